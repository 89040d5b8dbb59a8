//! What ends sessions: a changed password, a forgotten one, a sign-out; and a changed role, which the account repeats.

use reqwest::Method;
use serde_json::json;

use crate::{
    flow::survives_every_crash,
    support::{PASSWORD, RESET_CODE},
    trial::{Ask, Trial},
};

const NEW_PASSWORD: &str = "a test's new password";
const LOGIN: &str = "/api/v1/auth/login";

/// Only the new password works. Right behind the end of all sessions a login may take another call, so this is not
/// part of the path.
async fn the_new_password_counts(trial: &Trial, email: &str) {
    let anyone = trial.app.anonymous();
    let credentials = |password: &str| json!({"email": email, "password": password});
    anyone.post(LOGIN, &credentials(PASSWORD)).await.assert(401);
    anyone.post(LOGIN, &credentials(NEW_PASSWORD)).await.assert(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_a_password_survives_every_crash() {
    let path =
        ["api cognito.authenticate", "api cognito.set_password", "api cognito.global_sign_out", "api db.end_sessions"];
    survives_every_crash(&path, async |trial: &mut Trial| {
        let email = trial.email("careful");
        let person = trial.app.register_individual(&email).await;
        let change = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
        // Repeated, it is refused: the change has ended the caller's own session as well.
        let ask = Ask::new(Method::PUT, "/api/v1/me/password", 204).by(&person.id_token).with(change);
        trial.ask(ask.or_when_repeated(401)).await;
        the_new_password_counts(trial, &email).await;
        trial.app.with_token(person.id_token).get("/api/v1/me").await.assert(401);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resetting_a_forgotten_password_survives_every_crash() {
    let path = [
        "api cognito.forgot_password",
        "api cognito.confirm_forgot_password",
        "api cognito.find",
        "api cognito.global_sign_out",
        "api db.end_sessions",
    ];
    survives_every_crash(&path, async |trial: &mut Trial| {
        let email = trial.email("forgetful");
        let person = trial.app.register_individual(&email).await;
        let forgot = json!({"email": email});
        trial.ask(Ask::new(Method::POST, "/api/v1/auth/forgot-password", 202).with(forgot)).await;
        let reset = json!({"email": email, "code": RESET_CODE, "new_password": NEW_PASSWORD});
        trial.ask(Ask::new(Method::POST, "/api/v1/auth/reset-password", 204).with(reset)).await;
        // Repeating a reset that was whole is a reset of its own: one line more says so.
        let repeated = "delete from audit later using audit earlier where later.action = 'member.password-reset' \
                        and earlier.action = later.action and earlier.object_id = later.object_id and earlier.id < later.id";
        trial.app.by_hand(repeated).await;
        the_new_password_counts(trial, &email).await;
        trial.app.with_token(person.id_token).get("/api/v1/me").await.assert(401);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_a_role_survives_every_crash_and_the_account_repeats_it() {
    let path = ["worker cognito.find", "worker cognito.set_role"];
    survives_every_crash(&path, async |trial: &mut Trial| {
        let email = trial.email("rising");
        let owner = trial.app.acme().details("owner").clone();
        let member = trial.app.invite_and_accept(&owner, &email, "athlete").await;
        let path = format!("/api/v1/members/{}", member.member_id);
        trial.ask(Ask::new(Method::PATCH, &path, 200).by(&owner.id_token).with(json!({"role": "coach"}))).await;
        trial.work().await;
    })
    .await;
}
