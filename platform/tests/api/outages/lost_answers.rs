//! A call has its effect and the answer is lost: trying again finds that, and makes nothing twice.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Behind, VIDEOS};
use crate::support::{
    Answer, CONFIRMATION_CODE, PASSWORD, User,
    proxy::Pick,
    registration,
    video::{MP4, announcement},
};

/// Asks up to three times, as long as one is told to come back; the answer is one of these.
async fn ask(user: &User<'_>, method: Method, path: &str, body: &Value, wanted: &[u16]) -> Answer {
    for _ in 0..3 {
        let answer = user.send(method.clone(), path, Some(body), &[("idempotency-key", "once")]).await;
        if answer.status != 503 {
            assert!(wanted.contains(&answer.status.as_u16()), "{path}: {} {}", answer.status, answer.text);
            return answer;
        }
        answer.assert_come_back();
    }
    panic!("{path}: away for ever")
}

/// Requests whose effect came about while the answer was lost.
const IDENTITY_CALLS: [(&str, Pick); 4] = [
    ("SignUp", |head| head.contains("Service.SignUp")),
    ("AdminUpdateUserAttributes", |head| head.contains("Service.AdminUpdateUserAttributes")),
    ("ConfirmSignUp", |head| head.contains("Service.ConfirmSignUp")),
    ("COMMIT", |head| head.contains("COMMIT")),
];

#[tokio::test]
async fn a_registration_survives_the_loss_of_any_answer() {
    let behind = Behind::start().await;
    let (app, anyone) = (&behind.app, behind.app.anonymous());
    for (call, pick) in IDENTITY_CALLS {
        eprintln!("losing the answer to {call}");
        let proxy = if call == "COMMIT" { &behind.database } else { &behind.aws };
        let email = app.fresh_email("founder");
        proxy.lose_the_answer_to(pick);
        ask(&anyone, Method::POST, "/api/v1/auth/register", &registration(&email, Some("New Gym")), &[201]).await;
        let confirmation = json!({"email": email, "code": CONFIRMATION_CODE});
        ask(&anyone, Method::POST, "/api/v1/auth/confirm", &confirmation, &[204]).await;
        assert!(proxy.has_lost_an_answer(), "{call} is called");
        let credentials = json!({"email": email, "password": PASSWORD});
        ask(&anyone, Method::POST, "/api/v1/auth/login", &credentials, &[200]).await;
    }
    let made = app.count("select count(*) from tenant where name = 'New Gym' and status = 'active'").await;
    assert_eq!((made, app.count("select count(*) from tenant where status = 'pending'").await), (4, 0));
}

#[tokio::test]
async fn an_acceptance_survives_the_loss_of_any_answer() {
    let behind = Behind::start().await;
    let (app, anyone) = (&behind.app, behind.app.anonymous());
    let calls: [(&str, Pick); 3] = [
        ("AdminCreateUser", |head| head.contains("Service.AdminCreateUser")),
        ("AdminSetUserPassword", |head| head.contains("Service.AdminSetUserPassword")),
        ("COMMIT", |head| head.contains("COMMIT")),
    ];
    for (call, pick) in calls {
        eprintln!("losing the answer to {call}");
        let email = app.fresh_email("athlete");
        app.acme().owner().post("/api/v1/invitations", &json!({"email": email, "role": "athlete"})).await.assert(201);
        app.run_jobs().await;
        let acceptance =
            json!({"token": app.invitation_token(&email).await, "password": PASSWORD, "full_name": "Ina Invited"});
        let proxy = if call == "COMMIT" { &behind.database } else { &behind.aws };
        proxy.lose_the_answer_to(pick);
        // Once it is accepted, a repetition is told that the invitation was used.
        ask(&anyone, Method::POST, "/api/v1/auth/accept-invitation", &acceptance, &[201, 422]).await;
        assert!(proxy.has_lost_an_answer(), "{call} is called");
        let credentials = json!({"email": email, "password": PASSWORD});
        ask(&anyone, Method::POST, "/api/v1/auth/login", &credentials, &[200]).await;
    }
    assert_eq!(app.count("select count(*) from member where full_name = 'Ina Invited'").await, 3);
}

#[tokio::test]
async fn an_upload_survives_the_loss_of_any_answer() {
    let calls: [(&str, Pick); 3] = [
        ("CreateMultipartUpload", |head| head.starts_with("POST") && head.contains("?uploads")),
        ("CompleteMultipartUpload", |head| head.starts_with("POST") && head.contains("uploadId=")),
        ("COMMIT", |head| head.contains("COMMIT")),
    ];
    for (call, pick) in calls {
        eprintln!("losing the answer to {call}");
        let behind = Behind::start().await;
        let (app, coach) = (&behind.app, behind.app.acme().coach());
        let proxy = if call == "COMMIT" { &behind.database } else { &behind.aws };
        proxy.lose_the_answer_to(pick);
        let made = ask(&coach, Method::POST, VIDEOS, &announcement("Lossy", &MP4), &[201]).await;
        let parts = json!({ "parts": coach.send_parts(&made.body["upload"], &MP4).await });
        let upload = format!("{VIDEOS}/{}/upload", made.id());
        let ready = ask(&coach, Method::PUT, &upload, &parts, &[200]).await;
        assert!(proxy.has_lost_an_answer(), "{call} is called");
        assert_eq!(ready.body["status"], "ready");
        assert_eq!(app.count("select count(*) from video").await, 1);
    }
}
