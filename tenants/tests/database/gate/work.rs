//! Jobs behind the gate.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tenants::{Error, Job, JobError, LimitsConfig, Role, Tenant, TenantTx, Tenants, Worker, WorkerOptions};

use super::{Asker, Bench, Does, JOBS, LEASES, TICKETS, Work, acme, bench, gate_of, heard, is_due, next, order};
use crate::support::{ACME, GLOBEX, TestDb};

async fn worker(tenants: &Tenants, bench: &Bench) -> Worker {
    WorkerOptions::new(tenants, 2).context(bench.clone()).job::<Work>().start().await.unwrap()
}

/// What was put back or failed is due again.
async fn time_passes(db: &mut TestDb) {
    db.execute("update graphile_worker._private_jobs set run_at = now() where locked_at is null").await;
}

#[tokio::test]
async fn a_job_behind_the_gate_is_done_once_and_leaves_nothing() {
    let mut db = gate_of(1).await;
    order(&acme(&db).await, 7).await.unwrap();
    let (bench, mut hear) = bench(Does::Nothing);
    worker(&db.tenants, &bench).await.run_due().await.unwrap();
    assert_eq!(heard(&mut hear), [7]);
    assert_eq!((db.count(TICKETS).await, db.count(JOBS).await), (0, 0));
}

/// A job that looks how many of its kind run at once.
#[derive(Serialize, Deserialize)]
struct Count;

#[derive(Clone, Default)]
struct Counted {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
}

impl Job for Count {
    const KIND: &'static str = "test.count";
    type Context = Counted;

    async fn run(self, tenant: Tenant, counted: Counted) -> Result<(), JobError> {
        let now = counted.now.fetch_add(1, Ordering::SeqCst) + 1;
        counted.most.fetch_max(now, Ordering::SeqCst);
        // Long enough for the others to come: each look is a transaction, as their way in is.
        for _ in 0..10 {
            let look = async |tx: &TenantTx| tx.sql("select 1", []).await.map_err(Error::from);
            tenant.read(look).await?;
        }
        counted.now.fetch_sub(1, Ordering::SeqCst);
        counted.done.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_more_jobs_run_at_once_than_there_are_slots_whoever_orders_and_whoever_works() {
    let mut db = gate_of(3).await;
    let (ours, theirs) = (acme(&db).await, db.member(GLOBEX, Role::Athlete).await);
    for number in 0..8 {
        for tenant in [&ours, &theirs] {
            let order = async |tx: &TenantTx| tx.enqueue_gated(&Count, &number.to_string()).await;
            tenant.write(order).await.unwrap();
        }
    }
    let counted = Counted::default();
    let another = db.another(24, &LimitsConfig { gate_slots: 3, ..LimitsConfig::default() });
    let start = async |tenants: &Tenants| {
        WorkerOptions::new(tenants, 8).context(counted.clone()).job::<Count>().start().await.unwrap()
    };
    let (one, two) = (start(&db.tenants).await, start(&another).await);
    while counted.done.load(Ordering::SeqCst) < 16 {
        time_passes(&mut db).await;
        let (one, two) = tokio::join!(one.run_due(), two.run_due());
        one.and(two).unwrap();
    }
    let most = counted.most.load(Ordering::SeqCst);
    assert!((2..=3).contains(&most), "{most} ran at once");
    assert_eq!(counted.done.load(Ordering::SeqCst), 16);
    assert_eq!((db.count(TICKETS).await, db.count(JOBS).await), (0, 0));
}

#[tokio::test]
async fn a_job_that_waits_loses_no_attempt_and_runs_when_the_slot_is_given_back() {
    let mut db = gate_of(1).await;
    let tenant = acme(&db).await;
    let first = order(&tenant, 1).await.unwrap().id;
    let mut slot = Asker::new(&db, ACME.id).await;
    assert_eq!(slot.acquire(&mut db, first).await, "run");
    let second = order(&tenant, 2).await.unwrap().id;
    let (bench, mut hear) = bench(Does::Nothing);
    let worker = worker(&db.tenants, &bench).await;
    for _ in 0..30 {
        time_passes(&mut db).await;
        worker.run_due().await.unwrap();
    }
    assert!(heard(&mut hear).is_empty());
    let untouched = format!("{JOBS} where attempts = 0 and locked_at is null and run_at > now()");
    assert_eq!(db.count(&untouched).await, 2, "both wait as they were ordered");
    assert_eq!(db.count(TICKETS).await, 2);

    slot.leave(first).await;
    assert!(is_due(&mut db, second).await);
    worker.run_due().await.unwrap();
    assert_eq!(heard(&mut hear), [2]);
    assert_eq!((db.count(TICKETS).await, db.count(JOBS).await), (0, 0), "the first was done by its holder");
}

#[tokio::test]
async fn a_job_that_fails_gives_its_slot_back_and_is_tried_again() {
    let mut db = gate_of(1).await;
    let tenant = acme(&db).await;
    let failing = order(&tenant, 1).await.unwrap().id;
    let (bench, mut hear) = bench(Does::Fails);
    let worker = worker(&db.tenants, &bench).await;
    worker.run_due().await.unwrap();
    assert_eq!(heard(&mut hear), [1]);
    assert_eq!(db.count(LEASES).await, 0);
    let rests = format!("{JOBS} where attempts = 1 and run_at > now() and last_error like '%the model is away%'");
    assert_eq!(db.count(&rests).await, 1);

    // Meanwhile it is in nobody's way.
    let other = order(&tenant, 2).await.unwrap();
    assert_eq!(other.position, 1);
    let mut slot = Asker::new(&db, ACME.id).await;
    assert_eq!(slot.acquire(&mut db, other.id).await, "run");
    slot.leave(other.id).await;
    assert!(!is_due(&mut db, failing).await, "a free slot does not shorten the rest after a failure");

    time_passes(&mut db).await;
    worker.run_due().await.unwrap();
    assert_eq!(heard(&mut hear), [1]);
    assert_eq!(db.count(&format!("{JOBS} where attempts = 2")).await, 1);
}

#[tokio::test]
async fn a_job_that_fails_for_good_or_panics_gives_its_slot_back() {
    for does in [Does::Fails, Does::Panics] {
        let mut db = gate_of(1).await;
        order(&acme(&db).await, 1).await.unwrap();
        db.execute("update graphile_worker._private_jobs set max_attempts = 1").await;
        let (bench, mut hear) = bench(does);
        let worker = worker(&db.tenants, &bench).await;
        worker.run_due().await.unwrap();
        assert_eq!(heard(&mut hear), [1]);
        assert_eq!((db.count(TICKETS).await, db.count(JOBS).await), (0, 1), "{does:?}: the job stays, to be looked at");

        // An operator has it tried again.
        db.execute("update graphile_worker._private_jobs set attempts = 0, run_at = now()").await;
        worker.run_due().await.unwrap();
        assert_eq!(heard(&mut hear), [1], "{does:?}");
        assert_eq!(db.count(TICKETS).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_renewed_while_the_job_runs_and_its_loss_ends_the_job() {
    let mut db = gate_of(1).await;
    order(&acme(&db).await, 1).await.unwrap();
    let (bench, mut hear) = bench(Does::NeverEnds);
    let options = WorkerOptions::new(&db.tenants, 1).context(bench).heartbeat(Duration::from_millis(5));
    let worker = options.job::<Work>().start().await.unwrap();
    let working = tokio::spawn(async move { worker.run_due().await });
    assert_eq!(next(&mut hear).await, 1);

    let until =
        "select (extract(epoch from lease_until) * 1000000)::bigint from gate_ticket where lease_until is not null";
    let begun = db.count(until).await;
    while db.count(until).await == begun && !working.is_finished() {
        tokio::task::yield_now().await;
    }

    db.execute("update gate_ticket set holder = gen_random_uuid() where lease_until is not null").await;
    assert_eq!(next(&mut hear).await, -1, "the work is dropped where it stands");
    working.await.unwrap().unwrap();
    let failed = format!("{JOBS} where attempts = 1 and last_error like '%lease%'");
    assert_eq!(db.count(&failed).await, 1);
    assert_eq!(db.count(LEASES).await, 1, "the slot is its new holder's");
}

#[tokio::test]
async fn a_job_that_was_put_back_and_recovered_as_well_is_done_once() {
    let mut db = gate_of(1).await;
    let tenant = acme(&db).await;
    let (first, second) = (order(&tenant, 1).await.unwrap().id, order(&tenant, 2).await.unwrap().id);
    let mut slot = Asker::new(&db, ACME.id).await;
    assert_eq!(slot.acquire(&mut db, first).await, "run");
    // The worker dies right behind putting it back; the queue holds it twice, and later has the older one tried again.
    assert_eq!(slot.acquire(&mut db, second).await, "wait");
    db.execute("update graphile_worker._private_jobs set attempts = attempts - 1 where attempts = max_attempts").await;
    slot.leave(first).await;
    assert_eq!(db.count(JOBS).await, 2);

    let (bench, mut hear) = bench(Does::Nothing);
    let worker = worker(&db.tenants, &bench).await;
    time_passes(&mut db).await;
    worker.run_due().await.unwrap();
    assert_eq!(heard(&mut hear), [2]);
    assert_eq!((db.count(TICKETS).await, db.count(JOBS).await), (0, 0));
}

#[tokio::test]
async fn jobs_without_a_ticket_pass_by_the_gate() {
    let mut db = gate_of(1).await;
    let tenant = acme(&db).await;
    let first = order(&tenant, 1).await.unwrap().id;
    let mut slot = Asker::new(&db, ACME.id).await;
    assert_eq!(slot.acquire(&mut db, first).await, "run");
    tenant.write(async |tx| tx.enqueue(&Work { number: 3 }, "3", None).await.map_err(Error::from)).await.unwrap();
    let (bench, mut hear) = bench(Does::Nothing);
    worker(&db.tenants, &bench).await.run_due().await.unwrap();
    assert_eq!(heard(&mut hear), [3]);
}
