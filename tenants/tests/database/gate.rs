//! The gate: no more expensive work in flight than there are slots, a line that nobody fills alone, and slots that come
//! back whatever happens to their holders.
//!
//! The line is tested through the functions as a worker calls them (`line.rs`), the work through jobs (`work.rs`), and a
//! worker's death with a process that dies (`killed.rs`).

mod killed;
mod line;
mod work;

use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tenants::{Error, Job, JobError, LimitsConfig, Role, Tenant, TenantId, Ticket, http::Problem};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use uuid::Uuid;

use crate::support::{ACME, TestDb};

/// A database where so much may be in flight at once.
async fn gate_of(slots: u32) -> TestDb {
    let mut db = TestDb::new().await;
    db.tenants = db.another(24, &LimitsConfig { gate_slots: slots, ..LimitsConfig::default() });
    db
}

/// A job that tells its number, and does what its number says.
#[derive(Serialize, Deserialize)]
struct Work {
    number: i64,
}

/// What a job is given: how to tell, and what it does besides.
#[derive(Clone)]
struct Bench {
    told: UnboundedSender<(TenantId, i64)>,
    does: Does,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Nothing,
    Fails,
    Panics,
    NeverEnds,
}

fn bench(does: Does) -> (Bench, UnboundedReceiver<(TenantId, i64)>) {
    let (told, hear) = tokio::sync::mpsc::unbounded_channel();
    (Bench { told, does }, hear)
}

/// Tells when a job is dropped in the middle: its number, negative.
struct Dropped(UnboundedSender<(TenantId, i64)>, TenantId, i64);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send((self.1, -self.2));
    }
}

impl Job for Work {
    const KIND: &'static str = "test.work";
    type Context = Bench;

    async fn run(self, tenant: Tenant, bench: Bench) -> Result<(), JobError> {
        bench.told.send((tenant.id(), self.number)).unwrap();
        match bench.does {
            Does::Nothing => Ok(()),
            Does::Fails => Err(JobError("the model is away".into())),
            Does::Panics => panic!("a test's panic"),
            Does::NeverEnds => {
                let _dropped = Dropped(bench.told.clone(), tenant.id(), self.number);
                std::future::pending().await
            }
        }
    }
}

/// The next thing that a job tells. It is waited for much longer than it takes, so that a test whose job is silent ends.
async fn next(hear: &mut UnboundedReceiver<(TenantId, i64)>) -> i64 {
    tokio::time::timeout(std::time::Duration::from_secs(60), hear.recv()).await.expect("a job tells").unwrap().1
}

fn heard(hear: &mut UnboundedReceiver<(TenantId, i64)>) -> Vec<i64> {
    std::iter::from_fn(|| hear.try_recv().ok()).map(|(_, number)| number).collect()
}

async fn order(tenant: &Tenant, number: i64) -> Result<Ticket, Problem> {
    let ordered = tenant.write(async |tx| tx.enqueue_gated(&Work { number }, &number.to_string()).await).await;
    ordered.map_err(|error| match error {
        Error::Refused(problem) => problem,
        error => panic!("{error}"),
    })
}

/// A worker's bare connection in one tenant, which asks the gate.
struct Asker {
    connection: PgConnection,
    tenant: TenantId,
    slots: u32,
}

impl Asker {
    async fn new(db: &TestDb, tenant: TenantId) -> Self {
        Self { connection: db.connect("ffp_worker").await, tenant, slots: db.tenants.limits().gate_slots }
    }

    async fn call<T>(&mut self, text: String) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin + 'static,
    {
        let mut tx = self.connection.begin().await.unwrap();
        let enter = format!(
            "select set_config('app.tenant_id', '{}', true), set_config('app.role', 'system', true)",
            self.tenant
        );
        (&mut *tx).execute(AssertSqlSafe(enter)).await.unwrap();
        let answer = sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        answer
    }

    /// Asks for the ticket's job as it is now; the ticket's id is also the holder's.
    async fn acquire(&mut self, db: &mut TestDb, ticket: Uuid) -> String {
        let job = db.count(&format!("select job_id from gate_ticket where id = '{ticket}'")).await;
        self.acquire_for(ticket, job).await
    }

    async fn acquire_for(&mut self, ticket: Uuid, job: i64) -> String {
        self.call(format!("select gate_acquire('{ticket}', {job}, '{ticket}', {})", self.slots)).await
    }

    async fn renew(&mut self, ticket: Uuid) -> bool {
        self.call(format!("select gate_renew('{ticket}', '{ticket}')")).await
    }

    async fn leave(&mut self, ticket: Uuid) {
        let left = format!("select gate_leave('{ticket}', '{ticket}', false, {})::text", self.slots);
        self.call::<String>(left).await;
    }
}

/// Whether the ticket's job is due, and how often it was tried.
async fn is_due(db: &mut TestDb, ticket: Uuid) -> bool {
    let due = "select count(*) from graphile_worker._private_jobs j join gate_ticket t on t.job_id = j.id
               where j.run_at <= now() and j.locked_at is null and t.id =";
    db.count(&format!("{due} '{ticket}'")).await == 1
}

const TICKETS: &str = "select count(*) from gate_ticket where order_key <> 'test.seeded:k'";
const LEASES: &str = "select count(*) from gate_ticket where lease_until is not null";
const JOBS: &str = "select count(*) from graphile_worker._private_jobs";

async fn acme(db: &TestDb) -> Tenant {
    db.member(ACME, Role::Athlete).await
}
