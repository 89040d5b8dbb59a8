//! The probe, on an object in storage.

use std::{
    io,
    sync::{Arc, LazyLock, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use moka::sync::Cache;
use tenants::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::probe::{self, Ffprobe, Probe, ProbeError, RangeReader, Refusal};
use crate::{
    Result,
    storage::{self, Storage},
};

/// So many probes run at a time in one process, and the others wait. Each holds 52 MiB while it reads, and after that
/// `ffprobe` 192 at most: beside some 80 MiB of the process itself, two fit into a task of 512 MiB.
static PLACES: Semaphore = Semaphore::const_new(2);

/// How many of them one tenant has at most: files made to take long must not keep the others waiting.
const PLACES_OF_ONE: usize = 1;

/// Each tenant's places, as long as somebody asks for them. Kept for longer than a request lasts.
static OWN: LazyLock<Cache<TenantId, Arc<Semaphore>>> =
    LazyLock::new(|| Cache::builder().max_capacity(100_000).time_to_idle(Duration::from_secs(120)).build());

/// How long one waits for a place: what two probes take at most, within the time clients wait for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// An object, as the probe reads it.
struct Stored<'a> {
    storage: &'a Storage,
    key: &'a str,
    size: u64,
}

impl RangeReader for Stored<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    // Keys are written once: the upload is gone when its object is there.
    async fn read(&self, offset: u64, len: u64) -> io::Result<Bytes> {
        self.storage.read(self.key, offset, len).await.map_err(|error| match error {
            storage::Error::NotFound => io::Error::new(io::ErrorKind::NotFound, error),
            error => io::Error::other(error),
        })
    }
}

/// What the object is, or why it is refused.
///
/// # Errors
/// 503 when it could not be examined now; that says nothing of the object.
pub(super) async fn examine(
    tenant: TenantId,
    storage: &Storage,
    key: &str,
    size: u64,
    declared: &str,
) -> Result<Result<Probe, Refusal>> {
    let away = |what: &'static str| crate::Error::from(tenants::Error::Unavailable(what));
    let Ok(Some(_place)) = tokio::time::timeout(PATIENCE, place(tenant)).await else {
        return Err(away("the examination of videos, which is busy with others"));
    };
    let stored = Stored { storage, key, size };
    match probe::probe(ffprobe()?, &stored, declared).await {
        Ok(probe) => Ok(Ok(probe)),
        Err(ProbeError::Refused(refusal)) => Ok(Err(refusal)),
        Err(error @ (ProbeError::Reader(_) | ProbeError::SlowReader)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a video could not be read for its examination");
            Err(away("the file storage"))
        }
        Err(error @ (ProbeError::Tool(_) | ProbeError::Scratch(_))) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a video could not be examined");
            Err(away("the examination of videos"))
        }
    }
}

/// A place among the tenant's own, and then one among all. None is never: nobody closes the semaphores.
async fn place(tenant: TenantId) -> Option<(OwnedSemaphorePermit, SemaphorePermit<'static>)> {
    let own = OWN.get_with(tenant, || Arc::new(Semaphore::new(PLACES_OF_ONE)));
    Some((own.acquire_owned().await.ok()?, PLACES.acquire().await.ok()?))
}

/// The machine's `ffprobe`, looked for until it is found.
fn ffprobe() -> Result<&'static Ffprobe> {
    static FOUND: OnceLock<Ffprobe> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found);
    }
    let found = Ffprobe::find().map_err(|error| {
        tracing::error!(%error, "a video could not be examined");
        crate::Error::from(tenants::Error::Unavailable("the examination of videos"))
    })?;
    Ok(FOUND.get_or_init(|| found))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn one_tenants_examinations_leave_room_for_another() {
        let (acme, globex) = (TenantId::new(), TenantId::new());
        let held = place(acme).now_or_never();
        assert!(held.is_some());
        assert!(place(acme).now_or_never().is_none(), "the second waits");
        assert!(place(globex).now_or_never().is_some());
        drop(held);
        assert!(place(acme).now_or_never().is_some());
    }
}
