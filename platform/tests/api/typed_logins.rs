//! Passwords and addresses as people type them: one password in two Unicode forms, addresses that reach nobody.

use serde_json::json;

use crate::support::{Answer, CONFIRMATION_CODE, RESET_CODE, TestApp, aws, stack};

const PASSWORD: &str = "a test's password";

#[tokio::test]
async fn a_password_is_the_same_however_a_keyboard_makes_its_letters() {
    let app = TestApp::start().await;
    let (composed, decomposed) = ("p\u{e4}ssword-l\u{e4}ng\u{e9}", "pa\u{308}ssword-la\u{308}nge\u{301}");
    let anyone = app.anonymous();
    for (set, typed) in [(composed, decomposed), (decomposed, composed)] {
        let email = app.fresh_email("forms");
        let registration = json!({"email": email, "password": set, "full_name": "Zoë"});
        anyone.post("/api/v1/auth/register", &registration).await.assert(201);
        let login = |password: &str| json!({"email": email, "password": password});
        // The check of a registration that waits knows both as well.
        anyone.post("/api/v1/auth/login", &login(typed)).await.assert_problem(403, "email-not-confirmed");
        anyone.post("/api/v1/auth/confirm", &json!({"email": email, "code": CONFIRMATION_CODE})).await.assert(204);
        anyone.post("/api/v1/auth/login", &login(set)).await.assert(200);
        let tokens = anyone.post("/api/v1/auth/login", &login(typed)).await.assert(200);
        // A change, and a reset.
        let me = app.with_token(tokens.body["id_token"].as_str().unwrap());
        let change = json!({"current_password": typed, "new_password": format!("{set}!")});
        me.put("/api/v1/me/password", &change).await.assert(204);
        anyone.post("/api/v1/auth/login", &login(&format!("{typed}!"))).await.assert(200);
        anyone.post("/api/v1/auth/forgot-password", &json!({"email": email})).await.assert(202);
        let reset = json!({"email": email, "code": RESET_CODE, "new_password": format!("{set}?")});
        anyone.post("/api/v1/auth/reset-password", &reset).await.assert(204);
        anyone.post("/api/v1/auth/login", &login(&format!("{typed}?"))).await.assert(200);
        anyone.post("/api/v1/auth/login", &login(typed)).await.assert_problem(401, "invalid-credentials");
    }
}

#[tokio::test]
async fn an_invited_person_and_one_with_a_temporary_password_log_in_with_either_form() {
    let app = TestApp::start().await;
    let (composed, decomposed) = ("l\u{e4}nge-l\u{e4}nge", "la\u{308}nge-la\u{308}nge");
    let (email, anyone) = (app.fresh_email("invited"), app.anonymous());
    app.acme().owner().post("/api/v1/invitations", &json!({"email": email, "role": "athlete"})).await.assert(201);
    app.run_jobs().await;
    let token = app.invitation_token(&email).await;
    let acceptance = json!({"token": token, "password": decomposed, "full_name": "Ivy"});
    anyone.post("/api/v1/auth/accept-invitation", &acceptance).await.assert(201);
    anyone.post("/api/v1/auth/login", &json!({"email": email, "password": composed})).await.assert(200);

    set_at_cognito(&email, "a temporary password", false).await;
    let login = json!({"email": email, "password": "a temporary password"});
    let asked = anyone.post("/api/v1/auth/login", &login).await.assert(200);
    let answer = json!({"session": asked.body["session"], "challenge": "NEW_PASSWORD_REQUIRED", "answer": format!("{decomposed}2")});
    anyone.post("/api/v1/auth/challenge", &answer).await.assert(200);
    anyone.post("/api/v1/auth/login", &json!({"email": email, "password": format!("{composed}2")})).await.assert(200);
}

/// Sets a password at Cognito itself, as it is.
async fn set_at_cognito(email: &str, password: &str, permanent: bool) {
    let stack = stack();
    let cognito = platform::cognito::client(&aws(&stack.ministack.endpoint()).sdk().await);
    let set = cognito.admin_set_user_password().user_pool_id(&stack.members_pool.pool_id);
    set.username(email).password(password).permanent(permanent).send().await.unwrap();
}

#[tokio::test]
async fn a_password_from_before_the_rule_keeps_working_as_it_was_typed() {
    let app = TestApp::start_with(&[("FFP_LOGIN_ATTEMPTS", "4")]).await;
    let person = app.register_individual(&app.fresh_email("older")).await;
    let older = "pa\u{308}ssword-la\u{308}nge\u{301}";
    set_at_cognito(&person.email, older, true).await;
    let anyone = app.anonymous();
    let login = |password: &str| json!({"email": person.email, "password": password});
    // Right ones are not counted, though the normal form is tried first and is wrong.
    for _ in 0..6 {
        anyone.post("/api/v1/auth/login", &login(older)).await.assert(200);
    }
    // A wrong one counts once.
    for _ in 0..3 {
        anyone
            .post("/api/v1/auth/login", &login("fa\u{308}lsch-fa\u{308}lsch"))
            .await
            .assert_problem(401, "invalid-credentials");
    }
    let tokens = anyone.post("/api/v1/auth/login", &login(older)).await.assert(200);
    let me = app.with_token(tokens.body["id_token"].as_str().unwrap());
    let change = json!({"current_password": older, "new_password": "ne\u{308}w-pa\u{308}ssword"});
    me.put("/api/v1/me/password", &change).await.assert(204);
    anyone.post("/api/v1/auth/login", &login("nëw-pässword")).await.assert(200);
}

#[tokio::test]
async fn a_password_is_counted_in_its_normal_form() {
    let app = TestApp::start().await;
    let accented = |n: usize| "e\u{301}".repeat(n);
    let registration = |n| json!({"email": app.fresh_email("long"), "password": accented(n), "full_name": "Zoë"});
    let anyone = app.anonymous();
    for n in [9, 257] {
        anyone.post("/api/v1/auth/register", &registration(n)).await.assert(422).assert_names("/password");
    }
    anyone.post("/api/v1/auth/register", &registration(10)).await.assert(201);
    let longest = registration(256);
    anyone.post("/api/v1/auth/register", &longest).await.assert(201);
    anyone
        .post("/api/v1/auth/confirm", &json!({"email": longest["email"], "code": CONFIRMATION_CODE}))
        .await
        .assert(204);
    for password in [accented(256), "é".repeat(256)] {
        let login = json!({"email": longest["email"], "password": password});
        anyone.post("/api/v1/auth/login", &login).await.assert(200);
    }
    let login = json!({"email": longest["email"], "password": accented(257)});
    anyone.post("/api/v1/auth/login", &login).await.assert(422).assert_names("/password");
}

/// An address in each place that takes one.
async fn addressed_everywhere(app: &TestApp, email: &str) -> Vec<Answer> {
    let anyone = app.anonymous();
    let code = CONFIRMATION_CODE;
    let mut answers = Vec::new();
    for (route, body) in [
        ("register", json!({"email": email, "password": PASSWORD, "full_name": "Ann"})),
        ("confirm", json!({"email": email, "code": code})),
        ("resend", json!({"email": email})),
        ("login", json!({"email": email, "password": PASSWORD})),
        ("forgot-password", json!({"email": email})),
        ("reset-password", json!({"email": email, "code": code, "new_password": PASSWORD})),
    ] {
        answers.push(anyone.post(&format!("/api/v1/auth/{route}"), &body).await);
    }
    let invitation = json!({"email": email, "role": "athlete"});
    answers.push(app.acme().owner().post("/api/v1/invitations", &invitation).await);
    answers
}

#[tokio::test]
async fn an_address_that_no_mail_service_takes_is_refused_before_anything_is_made() {
    let app = TestApp::start().await;
    let count = "select (select count(*) from tenant) + (select count(*) from invitation)";
    let before = app.count(count).await;
    let (long_local, long_label) = (format!("{}@example.com", "a".repeat(65)), format!("a@{}.com", "d".repeat(64)));
    for email in ["a..b@example.com", "a@127.0.0.1", "a@-example.com", "\u{212a}ate@example.com", "ann@bücher.example"]
    {
        for answer in addressed_everywhere(&app, email).await {
            answer.assert_problem(422, "invalid-request").assert_names("/email");
        }
    }
    let owner = app.acme().owner();
    for email in [
        ".a@example.com",
        "a.@example.com",
        "a@localhost",
        "a@[127.0.0.1]",
        "a@example-.com",
        "a@example..com",
        "a@example.com.",
        "a@example.123",
        "a@example.c",
        "\"a b\"@example.com",
        "an n@example.com",
        "a\u{1}b@example.com",
        "\u{130}van@example.com",
        "a\u{200b}nn@example.com",
        "a@ex_ample.com",
        "a@b@example.com",
        "a@example.com,b@example.com",
        &long_local,
        &long_label,
    ] {
        let invitation = json!({"email": email, "role": "athlete"});
        owner.post("/api/v1/invitations", &invitation).await.assert(422).assert_names("/email");
    }
    assert_eq!(app.count(count).await, before);
    // The refusal of a foreign domain says what to write instead.
    let foreign = owner.post("/api/v1/invitations", &json!({"email": "ann@bücher.example", "role": "athlete"})).await;
    assert!(foreign.text.contains("xn--"), "{}", foreign.text);
}

#[tokio::test]
async fn an_address_that_mail_services_take_is_taken_with_what_was_pasted_around_it() {
    let app = TestApp::start().await;
    let fresh = app.fresh_email("x");
    let (local, _) = fresh.split_once('@').unwrap();
    for (typed, kept) in [
        (format!("plus+tag-{local}@example.com"), format!("plus+tag-{local}@example.com")),
        (format!("o'neil-{local}@example.com"), format!("o'neil-{local}@example.com")),
        (format!("u-{local}@xn--bcher-kva.example"), format!("u-{local}@xn--bcher-kva.example")),
        (format!("\u{feff} Space-{local}@Example.COM\u{a0}\u{200b}\n"), format!("space-{local}@example.com")),
    ] {
        let invitation = json!({"email": typed, "role": "athlete"});
        let made = app.acme().owner().post("/api/v1/invitations", &invitation).await.assert(201);
        assert_eq!(made.body["email"], kept);
    }
}
