//! The job queue: what operators see of it, and trying again what failed.

use serde_json::{Value, json};

use super::{lines, pages};
use crate::support::TestApp;

const JOBS: &str = "/api/v1/admin/jobs";

/// The worker can send no invitation until [`mend`] is called.
async fn breaks(app: &TestApp) {
    app.by_hand("revoke update (token_hash, sent_at) on invitation from ffp_worker").await;
}

async fn mend(app: &TestApp) {
    app.by_hand("grant update (token_hash, sent_at) on invitation to ffp_worker").await;
}

/// Somebody is invited; answers their address.
async fn invite(app: &TestApp) -> String {
    let email = app.fresh_email("invited");
    app.acme().owner().post("/api/v1/invitations", &json!({"email": email, "role": "athlete"})).await.assert(201);
    email
}

async fn jobs(app: &TestApp, query: &str) -> Vec<Value> {
    app.operator().get(&format!("{JOBS}?{query}")).await.assert(200).body["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_failed_job_that_is_retried_really_runs() {
    let app = TestApp::start().await;
    let acme = app.acme().tenant_id();
    breaks(&app).await;
    let email = invite(&app).await;
    app.run_jobs().await;

    let failed = jobs(&app, &format!("state=failed&tenant_id={acme}")).await;
    assert_eq!(failed.len(), 1, "{failed:?}");
    let job = &failed[0];
    assert_eq!((&job["kind"], &job["tenant_id"]), (&json!("invitations.send"), &json!(acme)));
    assert_eq!((&job["state"], &job["attempts"]), (&json!("failed"), &json!(1)));
    assert!(jobs(&app, &format!("state=failed&tenant_id={}", app.globex().tenant_id())).await.is_empty());

    mend(&app).await;
    app.run_jobs().await;
    assert!(app.mails_to(&email).await.is_empty(), "it is not due yet");
    let path = format!("{JOBS}/{}/retry", job["id"]);
    let retried = app.operator().post_empty(&path).await.assert(200);
    assert_eq!((&retried.body["state"], &retried.body["attempts"]), (&json!("waiting"), &json!(0)));
    app.operator().post_empty(&path).await.assert_problem(409, "not-failed");
    app.run_jobs().await;
    assert_eq!(app.mails_to(&email).await.len(), 1);
    app.operator().post_empty(&path).await.assert_not_found();
    assert!(jobs(&app, &format!("tenant_id={acme}&state=failed")).await.is_empty());

    let logged = lines(&app, "action=job.retried").await;
    assert_eq!(logged.len(), 1);
    assert_eq!((&logged[0]["tenant_id"], &logged[0]["actor_role"]), (&json!(acme), &json!("operator")));
    assert_eq!(logged[0]["detail"], json!({"job": job["id"], "kind": job["kind"], "attempts": 1}));
}

#[tokio::test]
async fn a_retry_is_answered_though_the_job_is_done_before_the_answer() {
    let app = TestApp::start().await;
    breaks(&app).await;
    invite(&app).await;
    app.run_jobs().await;
    let failed = jobs(&app, "state=failed").await;
    // As by the fastest of workers: the job is done the moment it is there to be done.
    app.by_hand(
        "create function done() returns trigger language plpgsql security definer as
             $$ begin delete from graphile_worker._private_jobs where id = new.id; return null; end $$;
         create constraint trigger done after update on graphile_worker._private_jobs
             deferrable initially deferred for each row when (new.attempts = 0) execute function done()",
    )
    .await;
    let path = format!("{JOBS}/{}/retry", failed[0]["id"]);
    let retried = app.operator().post_empty(&path).await.assert(200);
    assert_eq!((&retried.body["id"], &retried.body["state"]), (&failed[0]["id"], &json!("waiting")));
    assert!(jobs(&app, "").await.iter().all(|job| job["id"] != failed[0]["id"]));
    assert_eq!(lines(&app, "action=job.retried").await.len(), 1);
}

#[tokio::test]
async fn a_retry_that_cannot_be_logged_does_not_happen() {
    let app = TestApp::start().await;
    breaks(&app).await;
    invite(&app).await;
    app.run_jobs().await;
    let before = jobs(&app, "").await;
    app.by_hand("alter table audit add constraint no_room check (action <> 'job.retried') not valid").await;
    app.operator().post_empty(&format!("{JOBS}/{}/retry", before[0]["id"])).await.assert(500);
    assert_eq!(jobs(&app, "").await, before);
}

#[tokio::test]
async fn a_job_shows_its_error_once_its_tenant_is_opened_and_never_what_it_carries() {
    let app = TestApp::start().await;
    breaks(&app).await;
    let email = invite(&app).await;
    app.run_jobs().await;
    let list = app.operator().get(JOBS).await.assert(200);
    assert!(!list.text.contains("permission denied"), "{}", list.text);
    let id = list.body["items"][0]["id"].as_i64().unwrap();
    assert!(lines(&app, "action=tenant.opened").await.is_empty());

    let shown = app.operator().get(&format!("{JOBS}/{id}")).await.assert(200);
    assert!(shown.body["last_error"].as_str().unwrap().contains("permission denied"), "{}", shown.text);
    let opened = lines(&app, "action=tenant.opened").await;
    assert_eq!(opened.len(), 1);
    assert_eq!(opened[0]["tenant_id"], app.acme().tenant_id());
    assert_eq!(opened[0]["detail"]["reason"], format!("looked at its job {id}"));
    for answer in [&list, &shown] {
        assert!(!answer.text.contains("payload") && !answer.text.contains(&email), "{}", answer.text);
    }

    app.by_hand("alter table audit add constraint no_room check (action <> 'tenant.opened') not valid").await;
    app.operator().get(&format!("{JOBS}/{id}")).await.assert(500);
}

#[tokio::test]
async fn pages_of_jobs_have_no_gap_and_no_double_while_jobs_are_ordered() {
    let app = TestApp::start().await;
    for _ in 0..5 {
        invite(&app).await;
    }
    let expected: Vec<String> = jobs(&app, "limit=100").await.iter().map(|job| job["id"].to_string()).collect();
    assert!(expected.len() >= 5);
    let seen = pages(&app.operator(), &format!("{JOBS}?limit=2"), async || {
        invite(&app).await;
    })
    .await;
    assert_eq!(seen, expected);
}
