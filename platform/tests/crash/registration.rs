//! Registering, confirming, logging in; and registering again over an address that nobody confirmed.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    flow::survives_every_crash,
    support::{CONFIRMATION_CODE, PASSWORD, registration},
    trial::{Ask, Fault, Trial, World},
};

const REGISTER: &str = "/api/v1/auth/register";
const CONFIRM: &str = "/api/v1/auth/confirm";
const LOGIN: &str = "/api/v1/auth/login";
/// What somebody else registered the address with.
const OLD_PASSWORD: &str = "the password of somebody else";

fn confirmation(email: &str) -> Value {
    json!({"email": email, "code": CONFIRMATION_CODE})
}

fn credentials(email: &str, password: &str) -> Value {
    json!({"email": email, "password": password})
}

async fn confirm_and_log_in(trial: &mut Trial, email: &str) {
    trial.ask(Ask::new(Method::POST, CONFIRM, 204).with(confirmation(email))).await;
    trial.ask(Ask::new(Method::POST, LOGIN, 200).with(credentials(email, PASSWORD))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_a_business_survives_every_crash() {
    let path = [
        "api cognito.find",
        "api cognito.sign_up",
        "api cognito.set_tenant",
        "api db.register",
        "api cognito.find",
        "api cognito.confirm",
        "api db.activate",
        "api cognito.authenticate",
    ];
    survives_every_crash(&path, async |trial: &mut Trial| {
        let email = trial.email("founder");
        trial.ask(Ask::new(Method::POST, REGISTER, 201).with(registration(&email, Some("Crash Gym")))).await;
        confirm_and_log_in(trial, &email).await;
    })
    .await;
}

/// The address is registered and not confirmed.
async fn registered_by_somebody_else(trial: &Trial, email: &str) {
    let mut body = registration(email, Some("Squatters Ltd"));
    body["password"] = json!(OLD_PASSWORD);
    trial.app.anonymous().post(REGISTER, &body).await.assert(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_over_an_unconfirmed_address_survives_every_crash() {
    let path = [
        "api cognito.find",
        "api db.delete_pending",
        "api cognito.delete",
        "api cognito.sign_up",
        "api cognito.set_tenant",
        "api db.register",
        "api cognito.find",
        "api cognito.confirm",
        "api db.activate",
        "api cognito.authenticate",
    ];
    survives_every_crash(&path, async |trial: &mut Trial| {
        let email = trial.email("founder");
        registered_by_somebody_else(trial, &email).await;
        trial.ask(Ask::new(Method::POST, REGISTER, 201).with(registration(&email, None))).await;
        confirm_and_log_in(trial, &email).await;
        trial.ask(Ask::new(Method::POST, LOGIN, 401).with(credentials(&email, OLD_PASSWORD))).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_password_is_dead_from_the_first_change_on_even_if_nobody_tries_again() {
    let world = World::new().await;
    for point in ["db.delete_pending", "cognito.delete", "cognito.sign_up", "cognito.set_tenant", "db.register"] {
        let mut trial = Trial::new(&world, Some(Fault { process: "api", point: point.to_owned() })).await;
        let email = trial.email("founder");
        registered_by_somebody_else(&trial, &email).await;
        let register = Ask::new(Method::POST, REGISTER, 201).with(registration(&email, None));
        assert!(trial.try_once(&register).await.is_none(), "{point}: the server dies");

        let anyone = trial.app.anonymous();
        for _ in 0..2 {
            let login = anyone.post(LOGIN, &credentials(&email, OLD_PASSWORD)).await;
            assert_eq!(login.status, 401, "{point}: the old password works: {}", login.text);
            // The code confirms the new registration where it is whole, and nothing elsewhere.
            let confirmed = anyone.post(CONFIRM, &confirmation(&email)).await.status;
            assert!(confirmed == 422 || point == "db.register", "{point}: {confirmed}");
        }
        trial.end().await;
        trial.app.stop().await;
    }
}
