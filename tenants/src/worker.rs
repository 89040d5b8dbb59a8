//! The worker: takes jobs from the queue and runs each inside its own tenant.
//!
//! graphile_worker is kept behind this file.

use std::{
    convert::Infallible,
    future::Future,
    panic::{AssertUnwindSafe, resume_unwind},
    time::Duration,
};

use futures::FutureExt;
use graphile_worker::{
    IntoTaskHandlerResult, LocalQueueConfig, RefetchDelayConfig, TaskHandler, Worker as Queue, WorkerContext,
    WorkerOptions as QueueOptions, WorkerRecoveryConfig,
};
use serde::{Deserialize, Serialize};
use tokio::time::MissedTickBehavior;
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    Actor, Error, Job, JobError, Result, Tenant, TenantId, Tenants,
    gate::{self, Attempt, HEARTBEAT, Passage},
    quotas,
    sabotage::{self, Leak},
    scope::Door,
    usage,
};

/// The longest that an idle worker goes without a look into the queue.
const POLL: Duration = Duration::from_secs(1);
/// How often a worker says how long the oldest job has waited.
const REPORT: Duration = Duration::from_secs(60);

/// A job as the queue holds it: `enqueue` wrote the tenant, `gate_enter` the ticket as well.
#[derive(Serialize, Deserialize)]
struct Ordered<J> {
    tenant_id: TenantId,
    payload: J,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ticket: Option<Uuid>,
}

/// What every job is given besides its payload.
#[derive(Clone)]
struct Given<C> {
    tenants: Tenants,
    context: C,
}

/// How often the leases of jobs behind the gate are renewed.
#[derive(Clone, Copy, Debug)]
struct Heartbeat(Duration);

impl<C> std::fmt::Debug for Given<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Given")
    }
}

impl<J: Job> TaskHandler for Ordered<J> {
    const IDENTIFIER: &'static str = J::KIND;

    async fn run(self, ctx: WorkerContext) -> impl IntoTaskHandlerResult {
        let Some(given) = ctx.get_ext::<Given<J::Context>>().cloned() else {
            return Err(JobError(format!("{}: the worker was started without its context", J::KIND)));
        };
        let mut whose = self.tenant_id;
        if sabotage::on(Leak::JobTenant) {
            let named = ctx.payload()["payload"]["tenant_id"].as_str();
            whose = named.and_then(|id| Uuid::try_parse(id).ok()).map_or(whose, TenantId);
        }
        let tenant = given.tenants.open(whose, Actor::SYSTEM, Door::Worker);
        let attempt = Attempt {
            job: *ctx.job().id(),
            is_last: ctx.job().attempts() >= ctx.job().max_attempts(),
            heartbeat: ctx.get_ext::<Heartbeat>().map_or(HEARTBEAT, |every| every.0),
        };
        let span = tracing::info_span!("job", kind = J::KIND, tenant = %self.tenant_id, job = ctx.job().id());
        async {
            let take = self.payload.take();
            let work = self.payload.run(tenant.clone(), given.context);
            let passage = AssertUnwindSafe(async {
                match self.ticket {
                    None => Ok(Passage::Ran(work.await)),
                    Some(ticket) => gate::pass(&tenant, ticket, attempt, work).await,
                }
            });
            let passage = passage.catch_unwind().await;
            if attempt.is_last && matches!(&passage, Err(_) | Ok(Err(_) | Ok(Passage::Ran(Err(_))))) {
                give_back(&tenant, take).await;
            }
            let outcome = match passage.unwrap_or_else(|panic| resume_unwind(panic)) {
                Ok(Passage::Ran(outcome)) => outcome,
                Ok(Passage::PutBack) => {
                    tracing::debug!("no slot of the gate is free, the job waits");
                    return Ok(());
                }
                Ok(Passage::Over) => {
                    tracing::info!("another job does this work");
                    return Ok(());
                }
                Err(error) => Err(error),
            };
            match &outcome {
                Ok(()) => {
                    given.tenants.usage().add(self.tenant_id, usage::JOBS, 1);
                    tracing::info!("job done");
                }
                Err(error) => tracing::warn!(%error, attempt = ctx.job().attempts(), "job failed, to be tried again"),
            }
            outcome
        }
        .instrument(span)
        .await
    }
}

/// The allowance of work that is given up.
async fn give_back(tenant: &Tenant, take: Option<Uuid>) {
    let Some(take) = take else { return };
    match tenant.write(async |tx| quotas::refund(tx, take).await).await {
        Ok(true) => tracing::info!("the job is given up, its allowance is given back"),
        Ok(false) => tracing::info!("the job is given up, its allowance was given back before"),
        Err(error) => tracing::error!(%error, %take, "the job is given up, and its allowance was not given back"),
    }
}

/// Which kinds of job a worker runs.
pub struct WorkerOptions {
    options: QueueOptions,
    tenants: Tenants,
}

impl WorkerOptions {
    /// A worker on the worker's own pool that runs `concurrency` jobs at a time.
    pub fn new(tenants: &Tenants, concurrency: usize) -> Self {
        let options = QueueOptions::default()
            .schema("graphile_worker")
            .concurrency(concurrency)
            .poll_interval(POLL)
            .pg_pool(tenants.pool(Door::Worker).clone())
            .listen_os_shutdown_signals(false)
            // Both are off by default: without the first, 200 jobs take 20 s; without the second, the jobs of a
            // killed worker wait four hours. With it, another worker has them after about six minutes.
            .local_queue(LocalQueueConfig::default().with_size(32).with_refetch_delay(idle()))
            .worker_recovery(WorkerRecoveryConfig::default().enabled(true));
        Self { options, tenants: tenants.clone() }
    }

    /// The value that jobs with this context type receive.
    #[must_use]
    pub fn context<C: Clone + Send + Sync + 'static>(mut self, context: C) -> Self {
        self.options = self.options.add_extension(Given { tenants: self.tenants.clone(), context });
        self
    }

    /// How often the lease of a job behind the gate is renewed: every 20 s, unless said here. It lasts a minute.
    #[must_use]
    pub fn heartbeat(mut self, every: Duration) -> Self {
        self.options = self.options.add_extension(Heartbeat(every));
        self
    }

    /// Runs jobs of this kind.
    #[must_use]
    pub fn job<J: Job>(mut self) -> Self {
        self.options = self.options.define_job::<Ordered<J>>();
        self
    }

    /// Connects to the queue.
    ///
    /// # Errors
    /// The database is away, or its queue was not installed by `platform migrate`.
    pub async fn start(self) -> Result<Worker> {
        let queue = self.options.init().await.map_err(|error| Error::Internal(format!("job queue: {error}")))?;
        Ok(Worker { queue, tenants: self.tenants })
    }
}

/// How often an idle worker looks into the queue: a notification cuts the pause short. Without a pause it would look again
/// at once, hundreds of times a second, since the end of each look wakes it for the next (`fetch` and `schedule_fetch` of
/// graphile_worker 0.14's local queue).
fn idle() -> RefetchDelayConfig {
    RefetchDelayConfig::default().with_duration(POLL).with_max_abort_threshold(1)
}

/// A worker that is ready to run.
pub struct Worker {
    queue: Queue,
    tenants: Tenants,
}

impl Worker {
    /// Runs jobs until `shutdown` resolves; jobs in flight get their grace period. Every minute a line of the log, `queue`,
    /// says in `oldest_seconds` how long the oldest job that could run has waited.
    ///
    /// # Errors
    /// The queue can't be read any more.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<()> {
        let stop = async {
            shutdown.await;
            self.queue.request_shutdown();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            outcome = self.queue.run() => outcome.map_err(|error| Error::Internal(format!("job queue: {error}"))),
            () = stop => Ok(()),
            never = self.report() => match never {},
        }
    }

    async fn report(&self) -> Infallible {
        let mut ticks = tokio::time::interval(REPORT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.waited().await {
                Ok(waited) => tracing::info!(oldest_seconds = waited.as_secs(), "queue"),
                Err(error) => tracing::warn!(%error, "nobody knows how long jobs wait"),
            }
        }
    }

    /// How long the oldest of all tenants' jobs has waited since it could have run; zero when none does. A job that is
    /// running, or was tried for the last time, does not wait; one that waits for its tenant's own jobs does.
    ///
    /// # Errors
    /// A database that is away.
    pub async fn waited(&self) -> Result<Duration> {
        let seconds: Option<f64> = sqlx::query_scalar(
            "select extract(epoch from clock_timestamp() - min(run_at))::float8 \
             from graphile_worker._private_jobs where is_available and run_at <= now()",
        )
        .fetch_one(self.tenants.pool(Door::Worker))
        .await?;
        Ok(Duration::try_from_secs_f64(seconds.unwrap_or_default()).unwrap_or_default())
    }

    /// Runs the jobs that are due now, and returns.
    ///
    /// # Errors
    /// The queue can't be read.
    pub async fn run_due(&self) -> Result<()> {
        self.queue.run_once().await.map_err(|error| Error::Internal(format!("job queue: {error}")))
    }
}
