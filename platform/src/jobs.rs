//! Every kind of background job the worker runs.

use tenants::{Worker, WorkerOptions};

use crate::{Platform, Result, identity, invitations, videos};

/// A worker that knows all kinds, ready to run `concurrency` jobs at a time.
///
/// # Errors
/// The queue can't be reached, or was not installed.
pub async fn worker(platform: &Platform, concurrency: usize) -> Result<Worker> {
    let worker = WorkerOptions::new(&platform.tenants, concurrency)
        .context(platform.clone())
        .job::<identity::jobs::DeleteAccount>()
        .job::<identity::jobs::ExpireRegistration>()
        .job::<identity::jobs::RepeatRole>()
        .job::<invitations::jobs::SendInvitation>()
        .job::<videos::jobs::DeleteObject>()
        .job::<videos::jobs::CollectUpload>()
        .start()
        .await?;
    Ok(worker)
}
