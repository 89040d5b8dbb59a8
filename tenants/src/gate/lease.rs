//! A worker's side of the gate: asking for a lease, keeping it while the job runs, and giving it back whatever happens.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    time::Duration,
};

use futures::FutureExt;
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

use crate::{Error, JobError, Result, Tenant};

/// How long a lease lasts without being renewed, as `gate_acquire` and `gate_renew` set it.
const LEASE: Duration = Duration::from_secs(60);
/// How often it is renewed: two renewals may fail.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(20);

/// One try at a job.
#[derive(Clone, Copy)]
pub(crate) struct Attempt {
    /// Its number in the queue.
    pub(crate) job: i64,
    /// Whether the queue gives it up when this one fails.
    pub(crate) is_last: bool,
    /// How often its lease is renewed.
    pub(crate) heartbeat: Duration,
}

/// What became of a job at the gate.
pub(crate) enum Passage {
    /// It had its lease and ran.
    Ran(Result<(), JobError>),
    /// No slot is free: it was put back into the queue and comes again.
    PutBack,
    /// Another job does this work, or did.
    Over,
}

/// Runs `work` under a lease, if one can be had. Work whose lease is lost is dropped where it stands, and has failed.
pub(crate) async fn pass(
    tenant: &Tenant,
    ticket: Uuid,
    attempt: Attempt,
    work: impl Future<Output = Result<(), JobError>> + Send,
) -> Result<Passage, JobError> {
    let mut lease = Lease { tenant: tenant.clone(), ticket, holder: Uuid::new_v4(), is_held: false };
    let asked = Instant::now();
    match lease.acquire(attempt.job).await?.as_str() {
        "run" => lease.is_held = true,
        "wait" => return Ok(Passage::PutBack),
        _ => return Ok(Passage::Over),
    }
    let outcome = tokio::select! {
        outcome = AssertUnwindSafe(work).catch_unwind() => outcome,
        () = lease.keep(asked, attempt.heartbeat) => Ok(Err(JobError("its lease of the gate was lost".into()))),
    };
    let again = !attempt.is_last && !matches!(outcome, Ok(Ok(())));
    lease.give_back(again).await;
    match outcome {
        Ok(outcome) => Ok(Passage::Ran(outcome)),
        Err(panic) => resume_unwind(panic),
    }
}

/// A slot of the gate.
struct Lease {
    tenant: Tenant,
    ticket: Uuid,
    holder: Uuid,
    is_held: bool,
}

impl Lease {
    fn slots(&self) -> i32 {
        i32::try_from(self.tenant.tenants.limits().gate_slots).unwrap_or(i32::MAX)
    }

    async fn acquire(&self, job: i64) -> Result<String> {
        let values = || [self.ticket.into(), job.into(), self.holder.into(), self.slots().into()];
        let answer = async |tx: &crate::TenantTx| {
            let rows = tx.sql("select gate_acquire($1, $2, $3, $4) as answer", values()).await?;
            let row = rows.first().ok_or_else(|| Error::Internal("the gate did not answer".into()))?;
            Ok::<String, Error>(row.try_get("", "answer")?)
        };
        self.tenant.write(answer).await
    }

    /// Renews it until it is lost: given to somebody else, or not renewed for as long as it lasts.
    async fn keep(&self, acquired: Instant, every: Duration) {
        let mut held_until = acquired + LEASE;
        loop {
            sleep_until(held_until.min(Instant::now() + every)).await;
            let asked = Instant::now();
            match timeout_at(held_until, self.renew()).await {
                Ok(Ok(true)) => held_until = asked + LEASE,
                Ok(Ok(false)) | Err(_) => return,
                Ok(Err(error)) => tracing::warn!(%error, "a lease of the gate was not renewed, to be tried again"),
            }
        }
    }

    async fn renew(&self) -> Result<bool> {
        let renewed = async |tx: &crate::TenantTx| {
            let rows = tx.sql("select gate_renew($1, $2) as held", [self.ticket.into(), self.holder.into()]).await?;
            Ok::<bool, Error>(rows.first().is_some_and(|row| row.try_get("", "held").unwrap_or_default()))
        };
        self.tenant.write(renewed).await
    }

    async fn give_back(mut self, again: bool) {
        self.is_held = false;
        leave(&self.tenant, self.ticket, self.holder, again, self.slots()).await;
    }
}

impl Drop for Lease {
    /// The worker stops in the middle of the job, which will be tried again.
    fn drop(&mut self) {
        if self.is_held
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (tenant, ticket, holder, slots) = (self.tenant.clone(), self.ticket, self.holder, self.slots());
            runtime.spawn(async move { leave(&tenant, ticket, holder, true, slots).await });
        }
    }
}

async fn leave(tenant: &Tenant, ticket: Uuid, holder: Uuid, again: bool, slots: i32) {
    let values = || [ticket.into(), holder.into(), again.into(), slots.into()];
    let left = async |tx: &crate::TenantTx| {
        tx.sql("select 1 from gate_leave($1, $2, $3, $4)", values()).await.map(|_| ()).map_err(Error::from)
    };
    if let Err(error) = tenant.write(left).await {
        tracing::warn!(%error, "a lease of the gate was not given back; it ends by itself");
    }
}
