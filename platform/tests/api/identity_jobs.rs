//! Background work on accounts, ordered in one tenant with a subject of another's: the user pool knows no walls.

use platform::{
    cognito::UserStatus,
    identity::jobs::{DeleteAccount, ExpireRegistration, RepeatRole},
};
use serde_json::json;
use tenants::{Job, Role, TenantId, TenantTx};

use crate::support::{PASSWORD, TestApp, registration, stack::Person};

/// Orders a job in this tenant, as its own features would.
async fn order<J: Job>(app: &TestApp, tenant: &str, job: &J) {
    let tenant = TenantId(tenant.parse().unwrap());
    let order = async |tx: &TenantTx| Ok::<_, tenants::Error>(tx.enqueue(job, "attack", None).await?);
    app.platform.tenants.as_system(tenant).write(order).await.unwrap();
}

async fn subject(app: &TestApp, email: &str) -> String {
    app.platform.directory.find(email).await.unwrap().expect("the account is there").subject
}

/// The role in the tokens that somebody gets now.
async fn role(app: &TestApp, person: &Person) -> serde_json::Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let credentials = json!({"email": person.email, "password": PASSWORD});
    let tokens = app.anonymous().post("/api/v1/auth/login", &credentials).await.assert(200);
    let payload = tokens.body["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    claims["custom:role"].clone()
}

#[tokio::test]
async fn no_job_of_one_business_deletes_or_changes_the_account_of_another() {
    let app = TestApp::start().await;
    let victim = app.register_business(&app.fresh_email("victim"), "Victims").await;
    let theirs = subject(&app, &victim.email).await;
    let acme = app.acme().details("owner").tenant_id.clone();
    // An address finds an account as well as its subject does.
    for subject in [theirs.clone(), victim.email.clone()] {
        order(&app, &acme, &DeleteAccount { subject: subject.clone() }).await;
        order(&app, &acme, &RepeatRole { subject: subject.clone(), role: Role::Athlete }).await;
        order(&app, &acme, &ExpireRegistration { subject }).await;
        app.run_jobs().await;
    }
    assert_eq!(role(&app, &victim).await, "owner");
    assert_eq!(subject(&app, &victim.email).await, theirs);
    // They are done with: nothing will try again.
    assert_eq!(app.count("select count(*) from graphile_worker._private_jobs where key like '%:attack'").await, 0);

    // In their own business the same jobs do what they are for, and do it once more after a crash.
    for _ in 0..2 {
        order(&app, &victim.tenant_id, &RepeatRole { subject: theirs.clone(), role: Role::Coach }).await;
        app.run_jobs().await;
        assert_eq!(role(&app, &victim).await, "coach");
    }
    for _ in 0..2 {
        order(&app, &victim.tenant_id, &DeleteAccount { subject: theirs.clone() }).await;
        order(&app, &victim.tenant_id, &RepeatRole { subject: theirs.clone(), role: Role::Owner }).await;
        app.run_jobs().await;
        assert!(app.platform.directory.find(&victim.email).await.unwrap().is_none());
    }
    assert_eq!(app.count("select count(*) from graphile_worker._private_jobs where key like '%:attack'").await, 0);
}

#[tokio::test]
async fn no_job_of_one_business_deletes_a_registration_that_is_not_confirmed_yet() {
    let app = TestApp::start().await;
    let email = app.fresh_email("pending");
    app.anonymous().post("/api/v1/auth/register", &registration(&email, Some("Pending"))).await.assert(201);
    let pending = subject(&app, &email).await;
    let acme = app.acme().details("owner").tenant_id.clone();
    order(&app, &acme, &ExpireRegistration { subject: pending.clone() }).await;
    order(&app, &acme, &RepeatRole { subject: pending.clone(), role: Role::Athlete }).await;
    app.run_jobs().await;
    order(&app, &acme, &DeleteAccount { subject: pending.clone() }).await;
    app.run_jobs().await;
    let user = app.platform.directory.find(&email).await.unwrap().expect("the account is still there");
    assert_eq!((user.subject, user.status), (pending, UserStatus::Unconfirmed));
    app.acme().owner().get("/api/v1/me").await.assert(200);
}

/// An account that crashed before it was given its tenant belongs to nobody: no job may take it for its own.
#[tokio::test]
async fn an_account_without_a_tenant_is_left_alone() {
    let app = TestApp::start().await;
    let email = app.fresh_email("half-made");
    let half = app.platform.directory.sign_up(&email, &PASSWORD.to_owned().into()).await.unwrap();
    let acme = app.acme().details("owner").tenant_id.clone();
    order(&app, &acme, &DeleteAccount { subject: half.clone() }).await;
    order(&app, &acme, &RepeatRole { subject: half.clone(), role: Role::Owner }).await;
    app.run_jobs().await;
    assert_eq!(subject(&app, &email).await, half);
}
