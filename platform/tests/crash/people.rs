//! Inviting, accepting, and removing a member.

use reqwest::Method;
use serde_json::json;

use crate::{
    flow::survives_every_crash,
    support::PASSWORD,
    trial::{Ask, Trial},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_survives_every_crash_from_the_inviter_to_the_first_login() {
    let path = [
        "api db.invite",
        "api cognito.find",
        "api cognito.create",
        "api cognito.set_password",
        "api db.join",
        "api cognito.authenticate",
        "worker db.prepare_invitation",
        "worker ses.send",
    ];
    survives_every_crash(&path, async |trial: &mut Trial| {
        let (owner, email) = (trial.app.acme().owner().token, trial.email("coach"));
        let invitation = json!({"email": email, "role": "coach"});
        trial.ask(Ask::new(Method::POST, "/api/v1/invitations", 201).by(&owner).with(invitation).key("invite-1")).await;
        trial.work().await;

        let token = trial.app.invitation_token(&email).await;
        let acceptance = json!({"token": token, "password": PASSWORD, "full_name": "Connie Coach"});
        // Repeated, it is told that the invitation was used: whoever accepted can log in.
        let accept = Ask::new(Method::POST, "/api/v1/auth/accept-invitation", 201).with(acceptance);
        trial.ask(accept.or_when_repeated(422)).await;
        let credentials = json!({"email": email, "password": PASSWORD});
        trial.ask(Ask::new(Method::POST, "/api/v1/auth/login", 200).with(credentials)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_a_member_survives_every_crash_and_the_account_is_gone() {
    let path = ["api db.remove_member", "worker cognito.find", "worker cognito.delete"];
    survives_every_crash(&path, async |trial: &mut Trial| {
        let email = trial.email("athlete");
        let owner = trial.app.acme().details("owner").clone();
        let member = trial.app.invite_and_accept(&owner, &email, "athlete").await;
        let path = format!("/api/v1/members/{}", member.member_id);
        trial.ask(Ask::new(Method::DELETE, &path, 204).by(&owner.id_token).or_when_repeated(404)).await;
        trial.work().await;
        let credentials = json!({"email": email, "password": PASSWORD});
        trial.app.anonymous().post("/api/v1/auth/login", &credentials).await.assert(401);
    })
    .await;
}
