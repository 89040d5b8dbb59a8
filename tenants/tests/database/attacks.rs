//! What somebody tries who wants more than their share, or another's.

use std::{pin::pin, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tenants::{Error, Job, JobError, Role, Tenant, TenantId, TenantTx, WorkerOptions};

use crate::support::{ACME, GLOBEX, TestDb};

/// Connections of the application that are in the midst of something.
const OPEN: &str = "select count(*) from pg_stat_activity
                    where usename = 'ffp_app' and datname = current_database() and state like 'idle in transaction%'";
/// Connections of the application that work for somebody.
const SLOW: &str = "select count(*) from pg_stat_activity
                    where usename = 'ffp_app' and datname = current_database() and state = 'active' and query like '%pg_sleep%'";

#[tokio::test]
async fn a_caller_who_hangs_up_during_begin_leaves_no_open_transaction_in_the_pool() {
    let mut db = TestDb::with_connections(4).await;
    let acme = db.member(ACME, Role::Owner).await;
    acme.read(async |_tx| Ok::<_, Error>(())).await.unwrap();
    for polls in 1..12 {
        {
            let mut work = pin!(acme.read(async |tx| tx.sql("select 1", []).await.map_err(Error::from)));
            for _ in 0..polls {
                if futures::poll!(work.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // What was sent is answered soon; an open transaction would stay for 10 s.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(db.count(OPEN).await, 0, "hung up after {polls} polls");
    }
    // And nobody works in what a reader left behind.
    for _ in 0..8 {
        let globex = db.member(GLOBEX, Role::Owner).await;
        let renamed =
            globex.write(async |tx| tx.run("update tenant set name = 'Globex'", []).await.map_err(Error::from));
        assert_eq!(renamed.await.unwrap(), 1);
    }
}

#[tokio::test]
async fn hanging_up_does_not_make_more_of_a_share() {
    // Eight connections: two for each tenant.
    let mut db = TestDb::with_connections(8).await;
    let acme = db.member(ACME, Role::Owner).await;
    for _ in 0..8 {
        let mut work = pin!(acme.read(async |tx| tx.sql("select pg_sleep(2)", []).await.map_err(Error::from)));
        // Polled until the statement runs (or waits for its turn), and given up.
        let _ = tokio::time::timeout(Duration::from_millis(100), work.as_mut()).await;
    }
    let slow = db.count(SLOW).await;
    assert!(slow <= 2, "one tenant has {slow} of 8 connections");
}

#[tokio::test]
async fn callers_who_proved_nothing_take_neither_a_tenants_share_nor_the_whole_pool() {
    // Eight connections: two for each tenant, and two for all the doors together.
    let db = TestDb::with_connections(8).await;
    let release = tokio::sync::Semaphore::new(0);
    let entered = tokio::sync::Semaphore::new(0);
    let knock = async |tenant: TenantId| {
        db.tenants
            .as_system(tenant)
            .read(async |_tx| {
                entered.add_permits(1);
                release.acquire().await.unwrap().forget();
                Ok::<_, Error>(())
            })
            .await
    };
    let flood = async {
        // At Acme's door, and at doors of tenants that do not exist.
        let doors = (0..20).map(|n| if n % 2 == 0 { ACME.id } else { TenantId::new() });
        futures::future::join_all(doors.map(&knock)).await
    };
    let members = async {
        entered.acquire_many(2).await.unwrap().forget();
        let (one, two) = (db.member(ACME, Role::Owner).await, db.member(ACME, Role::Coach).await);
        let work = async |_tx: &TenantTx| {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok::<_, Error>(())
        };
        let (one, two) = tokio::join!(one.read(work), two.read(work));
        one.unwrap();
        two.unwrap();
        assert_eq!(entered.available_permits(), 0, "no third one stands in a door");
        release.add_permits(20);
    };
    let (outcomes, ()) = tokio::join!(flood, members);
    let served = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(served >= 2, "{served}");
}

/// Who was served, in order.
type Served = Arc<Mutex<Vec<TenantId>>>;

#[derive(Serialize, Deserialize)]
struct Chore;

impl Job for Chore {
    const KIND: &'static str = "test.chore";
    type Context = Served;

    async fn run(self, tenant: Tenant, served: Served) -> Result<(), JobError> {
        served.lock().push(tenant.id());
        Ok(())
    }
}

#[tokio::test]
async fn a_business_with_a_thousand_jobs_does_not_keep_anothers_waiting_for_all_of_them() {
    let db = TestDb::new().await;
    let order = async |business, count: usize| {
        let tenant = db.member(business, Role::Owner).await;
        let all = async |tx: &TenantTx| {
            for number in 0..count {
                tx.enqueue(&Chore, &number.to_string(), None).await?;
            }
            Ok::<_, Error>(())
        };
        tenant.write(all).await.unwrap();
    };
    order(ACME, 1000).await;
    order(GLOBEX, 1).await;
    let served = Served::default();
    let worker = WorkerOptions::new(&db.tenants, 2).context(served.clone()).job::<Chore>().start().await.unwrap();
    let done = async {
        while !served.lock().contains(&GLOBEX.id) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    worker.run(done).await.unwrap();
    let before = served.lock().iter().position(|tenant| *tenant == GLOBEX.id).unwrap();
    assert!(before < 100, "{before} jobs of the other business came first");
}
