//! What a process counts is written at the latest when it drains.

use reqwest::Method;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    process::{GLANCE, Process},
    trial::{Ask, Trial, World},
};

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
    let requests = "select coalesce(sum(amount), 0)::bigint from usage where meter = 'requests'";
    assert_eq!(trial.app.count(requests).await, 3);

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
