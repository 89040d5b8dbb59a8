//! A worker that is killed in the middle of a job.

use reqwest::Method;
use serde_json::json;
use tokio::{net::TcpListener, time::sleep};

use crate::{
    process::{GLANCE, Process},
    trial::{Ask, Trial, World},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_job_of_a_killed_worker_is_done_by_another_one() {
    let world = World::new().await;
    let mut trial = Trial::new(&world, None).await;
    let (owner, email) = (trial.app.acme().owner().token, trial.email("coach"));
    let invitation = json!({"email": email, "role": "coach"});
    trial.ask(Ask::new(Method::POST, "/api/v1/invitations", 201).by(&owner).with(invitation)).await;

    // AWS takes the call and never answers: the worker is in the middle of its job when it dies.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut environment = trial.environment().clone();
    environment.insert("AWS_ENDPOINT_URL".to_owned(), format!("http://{}", silent.local_addr().unwrap()));
    let worker = Process::start("worker", &environment, None);
    let _call = silent.accept().await.unwrap();
    worker.kill().await;
    let locked = "select count(*) from graphile_worker._private_jobs where locked_at is not null";
    assert_eq!(trial.app.count(locked).await, 1, "the dead worker holds its job");

    // While the dead one may be alive for all one knows, nobody takes its job.
    let other = Process::start("worker", trial.environment(), None);
    let workers = "select count(*) from graphile_worker._private_workers";
    while trial.app.count(workers).await < 2 {
        sleep(GLANCE).await;
    }
    assert_eq!(trial.app.count(locked).await, 1);
    other.kill().await;

    trial.minutes_pass().await;
    let _other = Process::start("worker", trial.environment(), None);
    while trial
        .app
        .count("select count(*) from graphile_worker._private_jobs where run_at < now() + interval '1 hour'")
        .await
        > 0
    {
        trial.recovered_jobs_are_due().await;
        sleep(GLANCE).await;
    }
    let token = trial.app.invitation_token(&email).await;
    let acceptance = json!({"token": token, "password": "a test's password", "full_name": "Connie Coach"});
    trial.app.anonymous().post("/api/v1/auth/accept-invitation", &acceptance).await.assert(201);
}
