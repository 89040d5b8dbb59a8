//! Jobs: ordered in the transaction that needs them, run inside the tenant that ordered them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use sea_orm::DbErr;
use serde::{Deserialize, Serialize};
use sqlx::Executor;
use tenants::{Error, Job, JobError, Role, Tenant, TenantTx, Worker, WorkerOptions};
use uuid::Uuid;

use crate::support::{ACME, GLOBEX, TestDb};

/// What jobs saw: the tenant they were run in, and what was to be seen from there.
type Seen = Arc<Mutex<Vec<(Uuid, Vec<Uuid>, i64)>>>;

/// A job that looks around.
#[derive(Serialize, Deserialize)]
struct LookAround {
    number: i64,
}

impl Job for LookAround {
    const KIND: &'static str = "test.look-around";
    type Context = Seen;

    async fn run(self, tenant: Tenant, seen: Seen) -> Result<(), JobError> {
        let tenants = tenant
            .read(async |tx| {
                let rows = tx.sql("select distinct tenant_id from member", []).await?;
                rows.iter().map(|row| Ok(row.try_get_by_index::<Uuid>(0)?)).collect::<Result<Vec<_>, Error>>()
            })
            .await?;
        seen.lock().push((tenant.id().0, tenants, self.number));
        Ok(())
    }
}

async fn order(tenant: &Tenant, key: &str, number: i64) -> Result<(), Error> {
    tenant.write(async |tx| tx.enqueue(&LookAround { number }, key, None).await.map_err(Error::from)).await
}

async fn worker(db: &TestDb, seen: &Seen) -> Worker {
    WorkerOptions::new(&db.tenants, 2).context(seen.clone()).job::<LookAround>().start().await.unwrap()
}

const WAITING: &str = "select count(*) from graphile_worker._private_jobs";

#[tokio::test]
async fn a_job_runs_inside_the_tenant_that_ordered_it() {
    let mut db = TestDb::new().await;
    order(&db.member(ACME, Role::Athlete).await, "a", 1).await.unwrap();
    order(&db.member(GLOBEX, Role::Athlete).await, "a", 2).await.unwrap();
    let seen = Seen::default();

    worker(&db, &seen).await.run_due().await.unwrap();

    let mut seen = seen.lock().clone();
    seen.sort();
    let (acme, globex) = (ACME.id.0, GLOBEX.id.0);
    assert_eq!(seen, [(acme, vec![acme], 1), (globex, vec![globex], 2)]);
    assert_eq!(db.count(WAITING).await, 0, "and is done");
}

#[tokio::test]
async fn a_job_of_a_rolled_back_transaction_does_not_exist() {
    let mut db = TestDb::new().await;
    let failed = db
        .member(ACME, Role::Owner)
        .await
        .write(async |tx| {
            tx.enqueue(&LookAround { number: 1 }, "a", None).await?;
            Err::<(), _>(Error::Internal("no".into()))
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(db.count(WAITING).await, 0);
}

#[tokio::test]
async fn the_same_key_is_one_job_in_one_tenant_and_two_in_two() {
    let mut db = TestDb::new().await;
    let acme = db.member(ACME, Role::Owner).await;
    order(&acme, "same", 1).await.unwrap();
    order(&acme, "same", 2).await.unwrap();
    assert_eq!(db.count(WAITING).await, 1, "the second order replaced the first");
    order(&db.member(GLOBEX, Role::Owner).await, "same", 3).await.unwrap();
    assert_eq!(db.count(WAITING).await, 2, "and Globex's own is another");

    let seen = Seen::default();
    worker(&db, &seen).await.run_due().await.unwrap();

    let mut numbers: Vec<i64> = seen.lock().iter().map(|(_, _, number)| *number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3]);
}

#[tokio::test]
async fn a_job_that_is_not_due_waits() {
    let mut db = TestDb::new().await;
    let later = chrono::Utc::now() + chrono::Duration::hours(1);
    db.member(ACME, Role::Owner)
        .await
        .write(async |tx| tx.enqueue(&LookAround { number: 1 }, "a", Some(later)).await.map_err(Error::from))
        .await
        .unwrap();
    let seen = Seen::default();
    worker(&db, &seen).await.run_due().await.unwrap();
    assert!(seen.lock().is_empty());
    assert_eq!(db.count(WAITING).await, 1);
}

#[tokio::test]
async fn enqueueing_without_a_tenant_is_refused() {
    let mut db = TestDb::new().await;
    for role in crate::support::SERVICES {
        let mut connection = db.connect(role).await;
        for text in [
            "select enqueue('test.look-around', '{}', 'k', null)",
            "begin; select set_config('app.tenant_id', '', true); select enqueue('test.look-around', '{}', 'k', null)",
        ] {
            let refused = connection.execute(text).await.unwrap_err();
            let code = refused.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
            assert_eq!(code, "42501", "{role}: {refused}");
        }
    }
    assert_eq!(db.count(WAITING).await, 0);
}

#[tokio::test]
async fn a_payload_cannot_name_another_tenant() {
    let mut db = TestDb::new().await;
    let text =
        "select 1 from enqueue('test.look-around', jsonb_build_object('tenant_id', $1::uuid, 'number', 1), 'k', null)";
    let outcome = db
        .member(ACME, Role::Athlete)
        .await
        .write(async |tx| tx.run(text, [GLOBEX.id.0.into()]).await.map_err(Error::from))
        .await;
    outcome.unwrap();
    let stamped = format!("{WAITING} where payload ->> 'tenant_id' = '{}'", ACME.id);
    assert_eq!(db.count(&stamped).await, 1);
}

#[tokio::test]
async fn a_failed_job_is_kept_and_tried_again() {
    #[derive(Serialize, Deserialize)]
    struct Fails;
    impl Job for Fails {
        const KIND: &'static str = "test.fails";
        type Context = Seen;
        async fn run(self, tenant: Tenant, _seen: Seen) -> Result<(), JobError> {
            let write = async |tx: &TenantTx| {
                Ok::<_, Error>(tx.run("delete from video where 1 / 0 = 1", []).await.map(|_| ())?)
            };
            Ok(tenant.write(write).await?)
        }
    }
    let mut db = TestDb::new().await;
    db.tenants
        .as_system(ACME.id)
        .write(async |tx| tx.enqueue(&Fails, "k", None).await.map_err(Error::from))
        .await
        .unwrap();
    let worker = WorkerOptions::new(&db.tenants, 1).context(Seen::default()).job::<Fails>().start().await.unwrap();
    worker.run_due().await.unwrap();
    assert_eq!(
        db.count(&format!("{WAITING} where attempts = 1 and last_error like '%division by zero%' and run_at > now()"))
            .await,
        1
    );
    assert_eq!(db.count(&format!("select count(*) from video where tenant_id = '{}'", ACME.id)).await, 2);
}

#[tokio::test]
async fn the_age_of_the_queue_is_that_of_the_oldest_job_of_all_tenants_that_could_run() {
    let mut db = TestDb::new().await;
    let worker = worker(&db, &Seen::default()).await;
    let (acme, globex) = (db.member(ACME, Role::Owner).await, db.member(GLOBEX, Role::Owner).await);
    assert_eq!(worker.waited().await.unwrap(), Duration::ZERO, "there is none");
    let mut age = async |tenant: &Tenant, key: &str, set: &str| {
        order(tenant, key, 1).await.unwrap();
        db.execute(&format!("update graphile_worker._private_jobs set {set} where key like '%:{key}'")).await;
        worker.waited().await.unwrap().as_secs()
    };
    assert_eq!(age(&acme, "running", "locked_at = now(), run_at = now() - interval '3 hours'").await, 0);
    assert_eq!(age(&acme, "given-up", "attempts = max_attempts, run_at = now() - interval '2 hours'").await, 0);
    assert_eq!(age(&acme, "later", "run_at = now() + interval '1 hour'").await, 0);
    let (first, second) = (
        age(&globex, "ready", "run_at = now() - interval '1000 s'").await,
        age(&acme, "ready-later", "run_at = now() - interval '500 s'").await,
    );
    assert!((1000..1400).contains(&first) && (1000..1400).contains(&second), "{first} {second}");
}

#[tokio::test]
async fn the_worker_sees_its_queue_and_tenants_only_one_at_a_time() {
    let db = TestDb::new().await;
    order(&db.member(ACME, Role::Owner).await, "k", 1).await.unwrap();
    let mut connection = db.connect("ffp_worker").await;
    let count = async |connection: &mut sqlx::PgConnection, sql: &'static str| -> i64 {
        sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
    };
    for queue in
        [WAITING, "select count(*) from graphile_worker.jobs", "select count(*) from graphile_worker._private_tasks"]
    {
        assert_eq!(count(&mut connection, queue).await, 1, "{queue}");
    }
    assert_eq!(count(&mut connection, "select count(*) from member").await, 0);
}

#[tokio::test]
async fn a_payload_that_is_not_json_never_reaches_the_queue() {
    #[derive(Serialize, Deserialize)]
    struct Unwritable(std::collections::BTreeMap<Vec<u8>, u8>);
    impl Job for Unwritable {
        const KIND: &'static str = "test.unwritable";
        type Context = ();
        async fn run(self, _tenant: Tenant, (): ()) -> Result<(), JobError> {
            Ok(())
        }
    }
    let db = TestDb::new().await;
    let job = Unwritable([(vec![1], 1)].into());
    let outcome = db
        .member(ACME, Role::Owner)
        .await
        .write(async |tx| Ok::<_, Error>(tx.enqueue(&job, "k", None).await))
        .await
        .unwrap();
    assert!(matches!(outcome, Err(DbErr::Json(_))), "{outcome:?}");
}

#[tokio::test]
async fn an_idle_worker_leaves_the_database_alone_and_comes_when_it_is_called() {
    const LOOKS: usize = 100;
    let mut db = TestDb::new().await;
    let (tenant, seen) = (db.member(ACME, Role::Athlete).await, Seen::default());
    let worker = worker(&db, &seen).await;
    let watched = async {
        // A look every 20 ms for two seconds or longer: it asks once a second, and at first for what is there.
        let mut asked = BTreeSet::new();
        for _ in 0..LOOKS {
            let last = "select coalesce(max(extract(epoch from query_start) * 1e6), 0)::bigint from pg_stat_activity \
                        where usename = 'ffp_worker' and datname = current_database()";
            asked.insert(db.count(last).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        order(&tenant, "called", 1).await.unwrap();
        while seen.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(asked.len() < LOOKS / 2, "it asked something new at {} of {LOOKS} looks", asked.len());
    };
    worker.run(watched).await.unwrap();
}
