//! What the product needs goes away, falls silent or loses an answer: whoever asks is told when to come back, nothing
//! is half-written, and everything works again as soon as it is there.

mod lost_answers;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::support::{
    Answer, CONFIRMATION_CODE, PASSWORD, RESET_CODE, TestApp, User,
    proxy::Proxy,
    registration, stack,
    video::{MP4, announcement},
};

const VIDEOS: &str = "/api/v1/videos";
const NEW_PASSWORD: &str = "a test's new password";
/// Every row that a flow here could leave.
const ROWS: &str = "select (select count(*) from tenant) + (select count(*) from member) + (select count(*) from audit) \
                    + (select count(*) from invitation where accepted_at is null) + (select count(*) from video) \
                    + (select count(*) from graphile_worker._private_jobs)";
/// Gateways give up after 30 s; an answer must come well before.
const WELL_BEFORE_THE_GATEWAY: Duration = Duration::from_secs(22);

/// The product behind a proxy for each thing it needs.
struct Behind {
    app: TestApp,
    /// Cognito, S3 and SES.
    aws: Proxy,
    /// The members' pool's keys.
    keys: Proxy,
    database: Proxy,
}

impl Behind {
    async fn start() -> Self {
        let (ministack, postgres) = (stack().ministack.port(), stack().server.postgres().port());
        let (aws, keys, database) = (Proxy::to(ministack).await, Proxy::to(ministack).await, Proxy::to(postgres).await);
        let through = |text: &mut String, proxy: &Proxy| {
            let mut url = Url::parse(text).unwrap();
            url.set_port(Some(proxy.port())).unwrap();
            *text = url.to_string();
        };
        let app = TestApp::start_changed(|variables| {
            let mut redirect = |name: &str, proxy| through(variables.get_mut(name).unwrap(), proxy);
            redirect("AWS_ENDPOINT_URL", &aws);
            redirect("FFP_MEMBERS_JWKS_URL", &keys);
            for name in ["FFP_DATABASE_URL", "FFP_WORKER_DATABASE_URL", "FFP_OPERATOR_DATABASE_URL"] {
                redirect(name, &database);
            }
        })
        .await;
        Self { app, aws, keys, database }
    }
}

impl Answer {
    /// Demands the answer of somebody who waits for a dependency.
    #[track_caller]
    fn assert_come_back(self) -> Self {
        let answer = self.assert_problem(503, "unavailable");
        let wait: u64 = answer.header("retry-after").parse().expect("Retry-After in seconds");
        assert!((1..=60).contains(&wait), "{wait}");
        answer
    }
}

/// One request of a table.
struct Request<'a> {
    user: User<'a>,
    method: Method,
    path: &'a str,
    body: Value,
    /// What it is answered when everything is there.
    healthy: u16,
}

impl<'a> Request<'a> {
    fn new(user: &User<'a>, method: Method, path: &'a str, body: Value, healthy: u16) -> Self {
        Self { user: user.clone(), method, path, body, healthy }
    }

    async fn send(&self) -> Answer {
        let body = (!self.body.is_null()).then_some(&self.body);
        self.user.send(self.method.clone(), self.path, body, &[]).await
    }
}

#[tokio::test]
async fn without_cognito_accounts_have_to_wait_and_nothing_is_half_written() {
    let behind = Behind::start().await;
    let app = &behind.app;
    let (person, leaver) = (
        app.register_individual(&app.fresh_email("person")).await,
        app.register_individual(&app.fresh_email("leaver")).await,
    );
    let invited = app.fresh_email("invited");
    app.acme().owner().post("/api/v1/invitations", &json!({"email": invited, "role": "athlete"})).await.assert(201);
    app.run_jobs().await;
    let token = app.invitation_token(&invited).await;

    let (anyone, member, other) = (app.anonymous(), app.with_token(&person.id_token), app.with_token(&leaver.id_token));
    let email = person.email.as_str();
    let credentials = json!({"email": email, "password": PASSWORD});
    let change = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
    let reset = json!({"email": email, "code": RESET_CODE, "new_password": PASSWORD});
    let refresh = json!({"refresh_token": person.refresh_token});
    let acceptance = json!({"token": token, "password": PASSWORD, "full_name": "Ina Invited"});
    let post = |path, body, healthy| Request::new(&anyone, Method::POST, path, body, healthy);
    let requests = [
        post("/api/v1/auth/register", registration(&app.fresh_email("new"), Some("New Gym")), 201),
        post("/api/v1/auth/confirm", json!({"email": email, "code": CONFIRMATION_CODE}), 204),
        post("/api/v1/auth/resend", json!({"email": email}), 202),
        post("/api/v1/auth/login", credentials, 200),
        post("/api/v1/auth/refresh", refresh.clone(), 200),
        post("/api/v1/auth/logout", refresh, 204),
        post("/api/v1/auth/accept-invitation", acceptance, 201),
        Request::new(&member, Method::PUT, "/api/v1/me/password", change, 204),
        Request::new(&other, Method::DELETE, "/api/v1/me/sessions", Value::Null, 204),
        post("/api/v1/auth/forgot-password", json!({"email": email}), 202),
        post("/api/v1/auth/reset-password", reset, 204),
    ];
    let rows = app.count(ROWS).await;

    behind.aws.close();
    for request in &requests {
        request.send().await.assert_come_back();
    }
    assert_eq!(app.count(ROWS).await, rows);
    // Who is logged in goes on.
    member.get("/api/v1/me").await.assert(200);

    behind.aws.open().await;
    for request in &requests {
        request.send().await.assert(request.healthy);
    }
}

#[tokio::test]
async fn without_the_pools_keys_no_token_is_judged_and_known_keys_last_through_an_outage() {
    let behind = Behind::start().await;
    let owner = behind.app.acme().owner();
    behind.keys.close();
    for _ in 0..3 {
        owner.get("/api/v1/me").await.assert_come_back();
    }
    let credentials = json!({"email": behind.app.acme().details("owner").email, "password": PASSWORD});
    behind.app.anonymous().post("/api/v1/auth/login", &credentials).await.assert_come_back();

    behind.keys.open().await;
    comes_back(&owner, "/api/v1/me").await;
    behind.app.anonymous().post("/api/v1/auth/login", &credentials).await.assert(200);

    behind.keys.close();
    owner.get("/api/v1/me").await.assert(200);
    behind.app.acme().coach().get("/api/v1/me").await.assert(200);
}

/// Asks until the answer is 200, as a client that obeys `Retry-After` would, if more often.
async fn comes_back(user: &User<'_>, path: &str) {
    let back = async {
        loop {
            let answer = user.get(path).await;
            if answer.status == 200 {
                return;
            }
            assert_eq!(answer.status, 503, "{}", answer.text);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), back).await.expect("the service is back by itself");
}

#[tokio::test]
async fn an_upload_waits_for_the_storage_and_goes_on() {
    let behind = Behind::start().await;
    let (app, coach) = (&behind.app, behind.app.acme().coach());
    let body = announcement("Patience", &MP4);
    let create = || coach.send(Method::POST, VIDEOS, Some(&body), &[("idempotency-key", "patience")]);

    behind.aws.close();
    create().await.assert_come_back();
    create().await.assert_come_back();
    assert_eq!(app.count("select count(*) from video where status = 'uploading' and upload_id is null").await, 1);

    behind.aws.open().await;
    let made = create().await.assert(201);
    assert_eq!(app.count("select count(*) from video").await, 1);
    let parts = json!({ "parts": coach.send_parts(&made.body["upload"], &MP4).await });
    let video = format!("{VIDEOS}/{}", made.id());
    let upload = format!("{video}/upload");

    behind.aws.close();
    coach.get(&upload).await.assert_come_back();
    coach.put(&upload, &parts).await.assert_come_back();
    assert_eq!(coach.get(&video).await.assert(200).body["status"], "uploading");

    behind.aws.open().await;
    assert_eq!(coach.put(&upload, &parts).await.assert(200).body["status"], "ready");
    coach.put_empty(&format!("{video}/publication")).await.assert(200);

    // Watching needs no storage of ours, and deleting is finished by a job when the storage is back.
    behind.aws.close();
    let stream = app.acme().athlete().get(&format!("{video}/stream")).await.assert(200);
    coach.delete(&video).await.assert(204);
    app.run_jobs().await;
    assert_eq!(app.http.get(stream.body["url"].as_str().unwrap()).send().await.unwrap().status(), 200);

    behind.aws.open().await;
    app.by_hand("update graphile_worker._private_jobs set run_at = now() where attempts > 0").await;
    app.run_jobs().await;
    assert_eq!(app.http.get(stream.body["url"].as_str().unwrap()).send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn an_invitation_is_mailed_when_the_mail_service_is_back() {
    let behind = Behind::start().await;
    let (app, email) = (&behind.app, behind.app.fresh_email("invited"));
    behind.aws.close();
    app.acme().owner().post("/api/v1/invitations", &json!({"email": email, "role": "athlete"})).await.assert(201);
    app.run_jobs().await;
    assert!(app.mails_to(&email).await.is_empty());

    behind.aws.open().await;
    app.by_hand("update graphile_worker._private_jobs set run_at = now() where attempts > 0").await;
    app.run_jobs().await;
    let acceptance =
        json!({"token": app.invitation_token(&email).await, "password": PASSWORD, "full_name": "Ina Invited"});
    app.anonymous().post("/api/v1/auth/accept-invitation", &acceptance).await.assert(201);
}

#[tokio::test]
async fn without_the_database_everybody_waits_and_the_process_lives_on() {
    let behind = Behind::start().await;
    let (app, anyone, owner) = (&behind.app, behind.app.anonymous(), behind.app.acme().owner());
    owner.get("/api/v1/me").await.assert(200);
    let email = app.fresh_email("founder");
    let register =
        Request::new(&anyone, Method::POST, "/api/v1/auth/register", registration(&email, Some("New Gym")), 201);
    let credentials = json!({"email": app.acme().details("coach").email, "password": PASSWORD});
    let requests = [
        Request::new(&owner, Method::GET, "/api/v1/me", Value::Null, 200),
        Request::new(&owner, Method::GET, VIDEOS, Value::Null, 200),
        Request::new(&owner, Method::PATCH, "/api/v1/me", json!({"full_name": "Olivia Owner"}), 200),
        Request::new(&owner, Method::POST, VIDEOS, announcement("Later", &MP4), 201),
        Request::new(&anyone, Method::POST, "/api/v1/auth/login", credentials, 200),
        register,
    ];
    let rows = app.count(ROWS).await;

    behind.database.close();
    for request in &requests {
        request.send().await.assert_come_back();
    }
    anyone.get("/livez").await.assert(200);
    for probe in ["/readyz", "/health"] {
        assert_eq!(anyone.get(probe).await.status, 503, "{probe}");
    }
    assert_eq!(app.count(ROWS).await, rows);

    behind.database.open().await;
    comes_back(&anyone, "/readyz").await;
    // The account of the interrupted registration is of no use until somebody registers again.
    let confirmation = json!({"email": email, "code": CONFIRMATION_CODE});
    anyone.post("/api/v1/auth/confirm", &confirmation).await.assert_problem(422, "code-invalid");
    for request in &requests {
        request.send().await.assert(request.healthy);
    }
    anyone.post("/api/v1/auth/confirm", &confirmation).await.assert(204);
}

#[tokio::test]
async fn a_silent_cognito_or_storage_is_given_up_before_the_caller_is() {
    let behind = Behind::start().await;
    let coach = behind.app.acme().coach();
    coach.get("/api/v1/me").await.assert(200);
    behind.aws.fall_silent();
    let credentials = json!({"email": behind.app.acme().details("owner").email, "password": PASSWORD});
    let (anyone, body) = (behind.app.anonymous(), announcement("Patience", &MP4));
    let both = async { tokio::join!(anyone.post("/api/v1/auth/login", &credentials), coach.post(VIDEOS, &body)) };
    let (login, create) = tokio::time::timeout(WELL_BEFORE_THE_GATEWAY, both).await.expect("an answer in good time");
    login.assert_come_back();
    create.assert_come_back();
}
