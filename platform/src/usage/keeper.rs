//! Writes what a process counts, as long as it runs.

use tenants::Tenants;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The task that writes; it ends when this is dropped.
pub struct Keeper {
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Writes every few seconds from now on.
    pub fn start(tenants: &Tenants) -> Self {
        let (tenants, stop) = (tenants.clone(), CancellationToken::new());
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move { tenants.keep_usage(stopped).await });
        Self { stop: stop.drop_guard(), task }
    }

    /// Has the last of it written, for which the pools must be open still.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "usage was not kept");
        }
    }
}
