//! A worker that is killed with a slot in its hands.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use tenants::{Role, WorkerOptions};

use super::{Does, JOBS, LEASES, TICKETS, Work, acme, bench, gate_of, heard, order};
use crate::support::{GLOBEX, SERVICES, tenants_at};

const CHILD: &str = "FFP_TEST_GATE_DATABASE";

/// A process of its own, which the test below kills.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "only works, for another test to kill"]
#[allow(clippy::print_stdout)]
async fn works_and_waits_to_be_killed() {
    let Ok(urls) = std::env::var(CHILD) else { return };
    let [app, worker, operator] = urls.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    let (bench, mut hear) = bench(Does::NeverEnds);
    let tenants = tenants_at(app, worker, operator, 8);
    let worker = WorkerOptions::new(&tenants, 1).context(bench).job::<Work>().start().await.unwrap();
    tokio::spawn(async move { worker.run_due().await });
    hear.recv().await.unwrap();
    println!("\nworking");
    std::io::stdout().flush().unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn the_slot_of_a_killed_worker_is_freed_and_its_job_runs_again() {
    // As many slots as the killed process believes there are.
    let mut db = gate_of(3).await;
    order(&acme(&db).await, 1).await.unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "gate::killed::works_and_waits_to_be_killed", "--ignored", "--nocapture"])
        .env(CHILD, SERVICES.map(|role| db.url(role)).join(" "))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap() == "working"), "the process works");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(db.count(LEASES).await, 1, "the dead one holds its slot");

    // With that slot as the only one, others wait for it.
    db.tenants = db.another(8, &tenants::LimitsConfig { gate_slots: 1, ..tenants::LimitsConfig::default() });
    order(&db.member(GLOBEX, Role::Athlete).await, 2).await.unwrap();
    let (bench, mut hear) = bench(Does::Nothing);
    let worker = WorkerOptions::new(&db.tenants, 1).context(bench).job::<Work>().start().await.unwrap();
    worker.run_due().await.unwrap();
    assert!(heard(&mut hear).is_empty(), "its lease has not ended yet");

    // A minute later it has.
    db.execute("update gate_ticket set lease_until = lease_until - interval '1 minute' where lease_until is not null")
        .await;
    db.execute("update graphile_worker._private_jobs set run_at = now() where locked_at is null").await;
    worker.run_due().await.unwrap();
    assert_eq!(heard(&mut hear), [2]);

    // Some minutes later the queue takes the worker for dead, and its job runs again.
    db.execute(
        "select graphile_worker.recover_dead_worker_jobs(array(select locked_by from graphile_worker._private_jobs))",
    )
    .await;
    worker.run_due().await.unwrap();
    assert_eq!(heard(&mut hear), [1]);
    assert_eq!((db.count(TICKETS).await, db.count(JOBS).await), (0, 0));
}
