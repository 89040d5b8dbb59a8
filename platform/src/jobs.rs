//! Every kind of background job the worker runs.

use tenants::{Job, Worker, WorkerOptions};

use crate::{
    Platform, Result,
    identity::jobs::{DeleteAccount, ExpireRegistration, RepeatRole},
    invitations::jobs::SendInvitation,
    videos::jobs::{CollectUpload, DeleteObject},
};

macro_rules! kinds {
    ($($job:ty),* $(,)?) => {
        /// What the queue calls them; `prove-isolation` attacks with each.
        pub const KINDS: &[&str] = &[$(<$job>::KIND),*];

        fn with_all(options: WorkerOptions) -> WorkerOptions {
            options$(.job::<$job>())*
        }
    };
}

kinds![DeleteAccount, ExpireRegistration, RepeatRole, SendInvitation, DeleteObject, CollectUpload];

/// A worker that knows all kinds, ready to run `concurrency` jobs at a time.
///
/// # Errors
/// The queue can't be reached, or was not installed.
pub async fn worker(platform: &Platform, concurrency: usize) -> Result<Worker> {
    let options = WorkerOptions::new(&platform.tenants, concurrency).context(platform.clone());
    Ok(with_all(options).start().await?)
}
