//! What a process counts is written every few seconds, and at the latest when it drains.

use reqwest::Method;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::{
    process::{GLANCE, PATIENCE, Process},
    trial::{Ask, Trial, World},
};

const REQUESTS: &str = "select coalesce(sum(amount), 0)::bigint from usage where meter = 'requests'";

#[tokio::test(flavor = "multi_thread")]
async fn a_process_writes_what_it_counted_while_it_runs_and_being_killed_then_loses_none_of_it() {
    let world = World::new().await;
    let trial = Trial::new(&world, None).await;
    let (api, base) = Process::api(trial.environment(), None).await;
    for person in [trial.app.acme().athlete(), trial.app.globex().athlete()] {
        let asked = trial.app.http.get(format!("{base}/api/v1/me")).bearer_auth(&person.token).send().await.unwrap();
        assert_eq!(asked.status(), 200);
    }
    let written = timeout(PATIENCE, async {
        while trial.app.count(REQUESTS).await < 2 {
            sleep(GLANCE).await;
        }
    });
    written.await.expect("nothing was written, though the process still runs");
    api.kill().await;
    let each = "select count(*) from usage where meter = 'requests' and amount = 1";
    assert_eq!(trial.app.count(each).await, 2, "one of each business's");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_drain_have_written_what_they_counted() {
    let world = World::new().await;
    let mut trial = Trial::new(&world, None).await;
    let (api, base) = Process::api(trial.environment(), None).await;
    let athlete = trial.app.acme().athlete().token;
    for _ in 0..3 {
        let asked = trial.app.http.get(format!("{base}/api/v1/me")).bearer_auth(&athlete).send().await.unwrap();
        assert_eq!(asked.status(), 200);
    }
    api.stop().await;
    assert_eq!(trial.app.count(REQUESTS).await, 3);

    let (owner, email) = (trial.app.acme().owner().token, trial.email("coach"));
    let invitation = json!({"email": email, "role": "coach"});
    trial.ask(Ask::new(Method::POST, "/api/v1/invitations", 201).by(&owner).with(invitation)).await;
    let worker = Process::start("worker", trial.environment(), None);
    let due = "select count(*) from graphile_worker._private_jobs where run_at < now() + interval '1 hour'";
    while trial.app.count(due).await > 0 {
        sleep(GLANCE).await;
    }
    worker.stop().await;
    assert_eq!(trial.app.count("select coalesce(sum(amount), 0)::bigint from usage where meter = 'jobs'").await, 1);
}
