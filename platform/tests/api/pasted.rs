//! Codes, tokens and addresses that were copied out of a mail, with what came along.

use serde_json::json;

use crate::support::{CONFIRMATION_CODE, RESET_CODE, TestApp, aws, stack};

const PASSWORD: &str = "a test's password";
const CONFIRM: &str = "/api/v1/auth/confirm";
const LOGIN: &str = "/api/v1/auth/login";

/// Somebody who waits for a code.
async fn waiting(app: &TestApp) -> String {
    let email = app.fresh_email("pasted");
    let registration = json!({"email": email, "password": PASSWORD, "full_name": "Paula Paste"});
    app.anonymous().post("/api/v1/auth/register", &registration).await.assert(201);
    email
}

#[tokio::test]
async fn a_code_is_right_with_what_a_mail_program_put_around_and_into_it() {
    let app = TestApp::start().await;
    let anyone = app.anonymous();
    for code in [
        "123456 ",
        "\t123456\r\n",
        "\u{a0}123456",
        "\u{200b}123456\u{feff}",
        "123 456",
        "123-456",
        "123\u{2011}456\u{2028}",
    ] {
        let email = waiting(&app).await;
        anyone.post(CONFIRM, &json!({"email": format!("\u{a0}{email}\u{200b}"), "code": code})).await.assert(204);
        let login = json!({"email": format!("{email}\u{a0}"), "password": PASSWORD});
        let tokens = anyone.post(LOGIN, &login).await.assert(200);
        app.with_token(tokens.body["id_token"].as_str().unwrap()).get("/api/v1/me").await.assert(200);
    }
    let person = app.register_individual(&app.fresh_email("reset")).await;
    for (n, code) in ["654321 ", "\u{200b}654\u{202f}321\n"].into_iter().enumerate() {
        anyone.post("/api/v1/auth/forgot-password", &json!({"email": person.email})).await.assert(202);
        let new = format!("a brand new password {n}");
        let reset = json!({"email": person.email, "code": code, "new_password": new});
        anyone.post("/api/v1/auth/reset-password", &reset).await.assert(204);
        anyone.post(LOGIN, &json!({"email": person.email, "password": new})).await.assert(200);
    }
    // A wrong code is as wrong with spaces, and nobody else's is right.
    let email = waiting(&app).await;
    anyone.post(CONFIRM, &json!({"email": email, "code": " 123 457 "})).await.assert_problem(422, "code-invalid");
    anyone.post(CONFIRM, &json!({"email": email, "code": RESET_CODE})).await.assert_problem(422, "code-invalid");
}

#[tokio::test]
async fn pasting_costs_no_attempt_and_neither_does_nothing_at_all() {
    let (app, _time) = TestApp::start_by_hand(&[("FFP_LOGIN_ATTEMPTS", "4")]).await;
    let (email, anyone) = (waiting(&app).await, app.anonymous());
    for _ in 0..6 {
        for nothing in ["", " ", "\u{a0}\u{200b}", "\n-\n"] {
            let body = json!({"email": email, "code": nothing});
            anyone.post(CONFIRM, &body).await.assert_problem(422, "invalid-request").assert_names("/code");
            let reset = json!({"email": email, "code": nothing, "new_password": PASSWORD});
            anyone.post("/api/v1/auth/reset-password", &reset).await.assert(422).assert_names("/code");
        }
    }
    // Wrong ones count whatever is around them, for one account.
    for code in ["000000", " 000 000", "000000\u{200b}"] {
        let body = json!({"email": format!("{email}\u{a0}"), "code": code});
        anyone.post(CONFIRM, &body).await.assert_problem(422, "code-invalid");
    }
    anyone.post(CONFIRM, &json!({"email": email, "code": format!("{CONFIRMATION_CODE}\n")})).await.assert(204);
    let other = waiting(&app).await;
    for _ in 0..4 {
        anyone
            .post(CONFIRM, &json!({"email": other, "code": "0-0-0-0-0-0 "}))
            .await
            .assert_problem(422, "code-invalid");
    }
    let late = json!({"email": format!(" {other}\u{200b}"), "code": CONFIRMATION_CODE});
    anyone.post(CONFIRM, &late).await.assert_problem(429, "too-many-attempts");
}

#[tokio::test]
async fn a_code_that_is_sent_again_is_right_again_and_another_is_not() {
    let (app, _time) = TestApp::start_by_hand(&[("FFP_LOGIN_ATTEMPTS", "4")]).await;
    let (email, anyone) = (waiting(&app).await, app.anonymous());
    let confirm = async |email: &str, code: &str| anyone.post(CONFIRM, &json!({"email": email, "code": code})).await;
    for code in ["123456", "123456 ", "\n123456", "123-456", "123456", "123456"] {
        confirm(&email, code).await.assert(204);
    }
    confirm(&email, "123457").await.assert_problem(422, "code-invalid");
    confirm(&email, "").await.assert(422).assert_names("/code");
    // It says nothing of an account that no code confirmed, and is forgotten with the day.
    let invited = app.acme().details("coach").email.clone();
    confirm(&invited, CONFIRMATION_CODE).await.assert_problem(422, "code-invalid");
    confirm(&app.fresh_email("nobody"), CONFIRMATION_CODE).await.assert_problem(422, "code-invalid");
    app.by_hand("update member_contact set confirmed_at = now() - interval '25 hours'").await;
    confirm(&email, CONFIRMATION_CODE).await.assert_problem(422, "code-invalid");
}

#[tokio::test]
async fn an_invitations_token_is_right_with_spaces_and_broken_over_two_lines() {
    let app = TestApp::start().await;
    let anyone = app.anonymous();
    for (at, into) in [(0, "\u{a0}"), (1000, " \r\n"), (50, "\n  "), (40, "\u{200b}")] {
        let email = app.fresh_email("invited");
        app.acme().owner().post("/api/v1/invitations", &json!({"email": email, "role": "athlete"})).await.assert(201);
        app.run_jobs().await;
        let mut token = app.invitation_token(&email).await;
        token.insert_str(at.min(token.len()), into);
        let acceptance = json!({"token": token, "password": PASSWORD, "full_name": "Ivy Invited"});
        let joined = anyone.post("/api/v1/auth/accept-invitation", &acceptance).await.assert(201);
        assert_eq!(joined.body["tenant_id"], app.acme().tenant_id());
    }
    let nothing = json!({"token": "\u{200b} \n", "password": PASSWORD, "full_name": "Ivy Invited"});
    anyone
        .post("/api/v1/auth/accept-invitation", &nothing)
        .await
        .assert_problem(422, "invalid-request")
        .assert_names("/token");
}

#[tokio::test]
async fn refresh_tokens_sessions_and_cursors_are_right_with_spaces() {
    let app = TestApp::start().await;
    let (email, anyone) = (app.fresh_email("tokens"), app.anonymous());
    let person = app.register_individual(&email).await;
    let pasted = json!({"refresh_token": format!("\u{a0}{}\n", person.refresh_token)});
    anyone.post("/api/v1/auth/refresh", &pasted).await.assert(200);
    anyone.post("/api/v1/auth/logout", &pasted).await.assert(204);
    anyone.post("/api/v1/auth/refresh", &json!({"refresh_token": person.refresh_token})).await.assert(401);
    for route in ["refresh", "logout"] {
        let blank = anyone.post(&format!("/api/v1/auth/{route}"), &json!({"refresh_token": "\u{200b}\n"})).await;
        blank.assert(422).assert_names("/refresh_token");
        let long =
            anyone.post(&format!("/api/v1/auth/{route}"), &json!({"refresh_token": " ".repeat(8193) + "x"})).await;
        long.assert(422).assert_names("/refresh_token");
    }

    let cognito = platform::cognito::client(&aws(&stack().ministack.endpoint()).sdk().await);
    let temporary = cognito.admin_set_user_password().user_pool_id(&stack().members_pool.pool_id);
    temporary.username(&email).password("a temporary password").permanent(false).send().await.unwrap();
    let asked = anyone.post(LOGIN, &json!({"email": email, "password": "a temporary password"})).await.assert(200);
    let session = format!("{}\u{a0}\r\n", asked.body["session"].as_str().unwrap());
    for challenge in ["NEW_PASSWORD_REQUIRED", "SOFTWARE_TOKEN_MFA"] {
        let nothing = json!({"session": session, "challenge": challenge, "answer": " \u{200b}"});
        anyone
            .post("/api/v1/auth/challenge", &nothing)
            .await
            .assert_problem(422, "invalid-request")
            .assert_names("/answer");
    }
    let answer = json!({"session": session, "challenge": "NEW_PASSWORD_REQUIRED", "answer": PASSWORD});
    anyone.post("/api/v1/auth/challenge", &answer).await.assert(200);

    let members = app.acme().owner();
    let first = members.get("/api/v1/members?limit=1").await.assert(200);
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let second = members.get(&format!("/api/v1/members?limit=1&cursor={cursor}")).await.assert(200);
    let pasted = members.get(&format!("/api/v1/members?limit=1&cursor=%C2%A0{cursor}%0A")).await.assert(200);
    assert_eq!(pasted.body["items"], second.body["items"]);
    app.globex().owner().get(&format!("/api/v1/members?limit=1&cursor={cursor}")).await.assert(200);
}
