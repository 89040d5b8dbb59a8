//! How people join.

use serde_json::{Value, json};

use crate::support::TestApp;

fn acceptance(token: &str) -> Value {
    json!({"token": token, "password": "a test's password", "full_name": "Ivy Invited"})
}

#[tokio::test]
async fn an_invited_person_accepts_and_is_a_member_with_that_role() {
    let app = TestApp::start().await;
    let email = app.fresh_email("invited");
    let invitation = json!({"email": email, "role": "coach"});
    let made = app.acme().admin().post("/api/v1/invitations", &invitation).await.assert(201);
    assert_eq!(made.body["status"], "pending");
    assert!(!made.text.contains("token"), "{}", made.text);
    app.run_jobs().await;
    let token = app.invitation_token(&email).await;
    assert!(token.starts_with(app.acme().tenant_id()));
    let joined = app.anonymous().post("/api/v1/auth/accept-invitation", &acceptance(&token)).await.assert(201);
    assert_eq!(joined.body["tenant_id"], app.acme().tenant_id());
    let credentials = json!({"email": email, "password": "a test's password"});
    let tokens = app.anonymous().post("/api/v1/auth/login", &credentials).await.assert(200);
    let me = app.with_token(tokens.body["id_token"].as_str().unwrap()).get("/api/v1/me").await.assert(200);
    assert_eq!(me.body["role"], "coach");
    // Single use.
    app.anonymous()
        .post("/api/v1/auth/accept-invitation", &acceptance(&token))
        .await
        .assert_problem(422, "invitation-invalid");
    let list = app.acme().owner().get("/api/v1/invitations").await.assert(200);
    assert_eq!(list.body["items"][0]["status"], "accepted");
    // The token is kept nowhere but in the mail.
    assert_eq!(
        app.count("select count(*) from graphile_worker._private_jobs where payload::text like '%token%'").await,
        0
    );
}

#[tokio::test]
async fn only_admins_and_owners_invite_and_never_above_themselves() {
    let app = TestApp::start().await;
    let invite = |role: &str| json!({"email": app.fresh_email("x"), "role": role});
    app.acme().coach().post("/api/v1/invitations", &invite("athlete")).await.assert(403);
    app.acme().athlete().post("/api/v1/invitations", &invite("athlete")).await.assert(403);
    app.acme().admin().post("/api/v1/invitations", &invite("owner")).await.assert(403);
    app.acme().owner().post("/api/v1/invitations", &invite("owner")).await.assert(201);
    app.acme().coach().get("/api/v1/invitations").await.assert(403);
}

#[tokio::test]
async fn an_invitation_is_of_no_use_and_no_sight_to_another_business() {
    let app = TestApp::start().await;
    let email = app.fresh_email("invited");
    let made =
        app.acme().owner().post("/api/v1/invitations", &json!({"email": email, "role": "athlete"})).await.assert(201);
    let path = format!("/api/v1/invitations/{}", made.id());
    let stranger = app.globex().owner();
    stranger.delete(&path).await.assert_not_found();
    stranger.post_empty(&format!("{path}/resend")).await.assert_not_found();
    assert_eq!(
        stranger.get("/api/v1/invitations").await.body["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|invitation| invitation["email"] == email.as_str())
            .count(),
        0
    );
    app.run_jobs().await;
    // The secret under another tenant's id is nothing.
    let token = app.invitation_token(&email).await;
    let (_, secret) = token.split_once('.').unwrap();
    let forged = format!("{}.{secret}", app.globex().tenant_id());
    app.anonymous()
        .post("/api/v1/auth/accept-invitation", &acceptance(&forged))
        .await
        .assert_problem(422, "invitation-invalid");
    app.anonymous().post("/api/v1/auth/accept-invitation", &acceptance(&token)).await.assert(201);
}

#[tokio::test]
async fn sending_again_replaces_the_token_and_taking_back_ends_it() {
    let app = TestApp::start().await;
    let (owner, email) = (app.acme().owner(), app.fresh_email("again"));
    let made = owner.post("/api/v1/invitations", &json!({"email": email, "role": "athlete"})).await.assert(201);
    let path = format!("/api/v1/invitations/{}", made.id());
    app.run_jobs().await;
    let first = app.invitation_token(&email).await;
    owner.post_empty(&format!("{path}/resend")).await.assert(202);
    let anyone = app.anonymous();
    anyone.post("/api/v1/auth/accept-invitation", &acceptance(&first)).await.assert_problem(422, "invitation-invalid");
    app.run_jobs().await;
    let second = app.invitation_token(&email).await;
    assert_ne!(first, second);
    anyone.post("/api/v1/auth/accept-invitation", &acceptance(&first)).await.assert_problem(422, "invitation-invalid");
    owner.delete(&path).await.assert(204);
    anyone.post("/api/v1/auth/accept-invitation", &acceptance(&second)).await.assert_problem(422, "invitation-invalid");
    owner.post_empty(&format!("{path}/resend")).await.assert_problem(409, "not-open");
    // The address can be invited anew.
    owner.post("/api/v1/invitations", &json!({"email": email, "role": "athlete"})).await.assert(201);
}

#[tokio::test]
async fn an_invitation_is_good_for_seven_days() {
    let app = TestApp::start().await;
    let (owner, email) = (app.acme().owner(), app.fresh_email("late"));
    let invitation = json!({"email": email, "role": "athlete"});
    owner.post("/api/v1/invitations", &invitation).await.assert(201);
    app.run_jobs().await;
    let token = app.invitation_token(&email).await;
    app.by_hand("update invitation set expires_at = now() where accepted_at is null").await;
    app.anonymous()
        .post("/api/v1/auth/accept-invitation", &acceptance(&token))
        .await
        .assert_problem(422, "invitation-invalid");
    owner.post("/api/v1/invitations", &invitation).await.assert(201);
}

#[tokio::test]
async fn the_inviter_is_told_of_their_own_members_and_invitations_only() {
    let app = TestApp::start().await;
    let owner = app.acme().owner();
    let invite = |email: &str| json!({"email": email, "role": "athlete"});
    owner.post("/api/v1/invitations", &invite("coach@acme.example")).await.assert_problem(409, "already-member");
    let email = app.fresh_email("twice");
    owner.post("/api/v1/invitations", &invite(&email)).await.assert(201);
    owner.post("/api/v1/invitations", &invite(&email)).await.assert_problem(409, "already-invited");
    // A member of another business is invited like anybody, and told on accepting.
    let theirs = "athlete2@globex.example";
    owner.post("/api/v1/invitations", &invite(theirs)).await.assert(201);
    app.run_jobs().await;
    let token = app.invitation_token(theirs).await;
    let refused = app.anonymous().post("/api/v1/auth/accept-invitation", &acceptance(&token)).await;
    refused.assert_problem(409, "account-elsewhere");
    app.globex().athlete2().get("/api/v1/me").await.assert(200);
    let credentials = json!({"email": theirs, "password": "a test's password"});
    app.anonymous().post("/api/v1/auth/login", &credentials).await.assert(200);
}

#[tokio::test]
async fn a_removed_member_can_be_invited_again_before_and_after_the_job_ran() {
    let app = TestApp::start().await;
    let person = app.register_business(&app.fresh_email("owner"), "Again").await;
    let email = app.fresh_email("back");
    let owner = app.with_token(&person.id_token);
    let mut joined = app.invite_and_accept(&person, &email, "athlete").await;
    for round in ["at once", "later"] {
        owner.delete(&format!("/api/v1/members/{}", joined.member_id)).await.assert(204);
        if round == "later" {
            app.run_jobs().await;
        } else {
            // The deletion waits while the same address joins again.
            app.by_hand(
                "update graphile_worker._private_jobs set run_at = now() + interval '1 hour' \
                         where key like '%delete-account%'",
            )
            .await;
        }
        joined = app.invite_and_accept(&person, &email, "athlete").await;
        app.by_hand("update graphile_worker._private_jobs set run_at = now() where key like '%delete-account%'").await;
        app.run_jobs().await;
        app.with_token(&joined.id_token).get("/api/v1/me").await.assert(200);
        assert!(app.platform.directory.find(&email).await.unwrap().is_some(), "{round}: the new account stays");
    }
}

#[tokio::test]
async fn an_invitation_takes_the_place_of_an_unconfirmed_registration() {
    let app = TestApp::start().await;
    let email = app.fresh_email("both");
    let registration = json!({"email": email, "password": "somebody's password", "full_name": "Some Body"});
    app.anonymous().post("/api/v1/auth/register", &registration).await.assert(201);
    let owner = app.register_business(&app.fresh_email("owner"), "Inviter").await;
    let joined = app.invite_and_accept(&owner, &email, "athlete").await;
    assert_eq!(joined.tenant_id, owner.tenant_id);
    assert_eq!(app.count("select count(*) from tenant where status = 'pending'").await, 0);
}

#[tokio::test]
async fn the_same_request_with_the_same_key_invites_once() {
    let app = TestApp::start().await;
    let (owner, email) = (app.acme().owner(), app.fresh_email("once"));
    let body = json!({"email": email, "role": "athlete"});
    let key = [("idempotency-key", "invite-1")];
    let post = |body: Value| {
        let owner = owner.clone();
        async move { owner.send(reqwest::Method::POST, "/api/v1/invitations", Some(&body), &key).await }
    };
    let (one, other) = tokio::join!(post(body.clone()), post(body.clone()));
    assert_eq!(one.assert(201).id(), other.assert(201).id());
    let changed = json!({"email": app.fresh_email("other"), "role": "athlete"});
    post(changed.clone()).await.assert_problem(422, "idempotency-key-reused");
    // Keys are each member's own.
    let admin = app.acme().admin().send(reqwest::Method::POST, "/api/v1/invitations", Some(&changed), &key).await;
    admin.assert(201);
}
