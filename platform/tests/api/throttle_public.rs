//! What holds for those without a token: bursts by address, and how often one may guess.

use std::time::Duration;

use devstack::redis::Redis;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, CONFIRMATION_CODE, PASSWORD, RESET_CODE, TestApp, aws, registration, stack};

const LOGIN: &str = "/api/v1/auth/login";
const ATTEMPTS: [(&str, &str); 1] = [("FFP_LOGIN_ATTEMPTS", "4")];

fn credentials(email: &str, password: &str) -> Value {
    json!({"email": email, "password": password})
}

impl TestApp {
    async fn guess(&self, email: &str) -> Answer {
        self.anonymous().post(LOGIN, &credentials(email, "not the password")).await
    }

    /// Guesses until it is told off, after so many guesses and no more.
    async fn guess_until_refused(&self, email: &str, allowed: u64) -> Answer {
        for _ in 0..allowed {
            self.guess(email).await.assert_problem(401, "invalid-credentials");
        }
        let refused = self.guess(email).await.assert_problem(429, "too-many-attempts");
        assert_eq!((&refused.body["limit"], &refused.body["used"]), (&json!(allowed), &json!(allowed)));
        assert_eq!(refused.header("retry-after"), refused.body["reset_seconds"].to_string());
        refused
    }
}

/// All of an answer but for what differs between any two.
fn comparable(mut answer: Answer) -> (u16, Value, Vec<(String, String)>) {
    answer.body.as_object_mut().unwrap().remove("request_id");
    let headers = answer.headers.iter().filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    (answer.status.as_u16(), answer.body, headers)
}

#[tokio::test]
async fn a_flood_without_a_token_is_told_off_whatever_it_claims_to_be() {
    let app = TestApp::start_with(&[("FFP_BURST_PER_MINUTE", "5")]).await;
    let mut served = 0;
    let refused = loop {
        // Were one of these believed, each request would come from somewhere else.
        let claim = format!("203.0.113.{}", served % 256);
        let viewer = format!("{claim}:40000");
        let forwarded = format!("for={claim}");
        let headers = [
            ("x-forwarded-for", claim.as_str()),
            ("x-real-ip", &claim),
            ("forwarded", &forwarded),
            ("cloudfront-viewer-address", &viewer),
            ("x-origin-verify", "a-guess-of-the-secret"),
        ];
        let path = ["/", "/openapi.json", "/docs/", "/api/v1/auth/logout"][served % 4];
        let method = if served % 4 == 3 { Method::POST } else { Method::GET };
        let answer = app.anonymous().send(method, path, None, &headers).await;
        if answer.status == 429 {
            break answer;
        }
        served += 1;
        assert!(served < 1000, "nobody is told off");
    };
    assert!(served >= 5, "{served}");
    let refused = refused.assert_problem(429, "too-many-requests");
    assert_eq!((&refused.body["limit"], &refused.body["used"]), (&json!(5), &json!(5)));
    assert_eq!(refused.header("retry-after"), refused.body["reset_seconds"].to_string());
    // Whoever has a token, and whoever asks for health, is not in this queue.
    for _ in 0..20 {
        app.acme().owner().get("/api/v1/me").await.assert(200);
        app.operator().get("/api/v1/admin/library/videos").await.assert(200);
        for path in ["/health", "/livez", "/readyz"] {
            app.anonymous().get(path).await.assert(200);
        }
    }
}

#[tokio::test]
async fn guesses_at_a_known_and_at_an_unknown_account_end_alike() {
    let (app, _time) = TestApp::start_by_hand(&ATTEMPTS).await;
    let person = app.register_individual(&app.fresh_email("guessed")).await;
    let known = app.guess_until_refused(&person.email, 4).await;
    let unknown = app.guess_until_refused(&app.fresh_email("nobody"), 4).await;
    assert_eq!(comparable(known), comparable(unknown));
    // However it is written, it is one account.
    let shouted = format!(" {} ", person.email.to_uppercase());
    app.guess(&shouted).await.assert_problem(429, "too-many-attempts");
    app.anonymous().post(LOGIN, &credentials(&person.email, PASSWORD)).await.assert_problem(429, "too-many-attempts");
    // What they have already is not touched: sessions go on, and end.
    let refresh = json!({"refresh_token": person.refresh_token});
    for _ in 0..10 {
        app.anonymous().post("/api/v1/auth/refresh", &refresh).await.assert(200);
    }
    app.anonymous().post("/api/v1/auth/logout", &refresh).await.assert(204);
    app.with_token(&person.id_token).get("/api/v1/me").await.assert(200);
}

#[tokio::test]
async fn those_who_know_their_password_are_never_counted_and_those_who_do_not_may_try_again_later() {
    let (app, time) = TestApp::start_by_hand(&ATTEMPTS).await;
    let person = app.register_individual(&app.fresh_email("regular")).await;
    let right = credentials(&person.email, PASSWORD);
    for _ in 0..12 {
        app.anonymous().post(LOGIN, &right).await.assert(200);
    }
    let refused = app.guess_until_refused(&person.email, 4).await;
    assert_eq!(refused.body["reset_seconds"], 225, "one in a quarter of an hour's quarter");
    time.advance(Duration::from_secs(225));
    app.anonymous().post(LOGIN, &right).await.assert(200);
    app.guess(&person.email).await.assert_problem(401, "invalid-credentials");
    app.guess(&person.email).await.assert_problem(429, "too-many-attempts");
}

#[tokio::test]
async fn a_right_password_that_opens_nothing_is_told_apart_by_nothing() {
    let (app, _time) = TestApp::start_by_hand(&ATTEMPTS).await;
    let person = app.register_business(&app.fresh_email("disabled"), "Disabled").await;
    app.by_hand("update member set status = 'disabled'").await;
    let mut answers = Vec::new();
    for (email, password) in [(&person.email, PASSWORD), (&app.fresh_email("nobody"), "not the password")] {
        for _ in 0..4 {
            let refused = app.anonymous().post(LOGIN, &credentials(email, password)).await;
            answers.push(comparable(refused.assert_problem(401, "invalid-credentials")));
        }
        answers.push(comparable(app.anonymous().post(LOGIN, &credentials(email, password)).await.assert(429)));
    }
    assert_eq!(answers[..5], answers[5..]);
}

#[tokio::test]
async fn guesses_at_once_are_all_counted() {
    let (app, _time) = TestApp::start_by_hand(&ATTEMPTS).await;
    let person = app.register_individual(&app.fresh_email("raced")).await;
    let answers = join_all((0..15).map(|_| app.guess(&person.email))).await;
    let with = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((with(401), with(429)), (4, 11));
}

#[tokio::test]
async fn one_address_cannot_try_a_password_on_everybody() {
    let (app, _time) = TestApp::start_by_hand(&ATTEMPTS).await;
    for number in 0..20 {
        app.guess(&format!("victim-{number}@example.com")).await.assert_problem(401, "invalid-credentials");
    }
    let refused = app.guess("victim-20@example.com").await.assert_problem(429, "too-many-attempts");
    assert_eq!((&refused.body["limit"], &refused.body["used"]), (&json!(20), &json!(20)));
}

#[tokio::test]
async fn codes_cannot_be_guessed_without_end() {
    let (app, _time) = TestApp::start_by_hand(&ATTEMPTS).await;
    let anyone = app.anonymous();
    let (known, unknown) = (app.fresh_email("codes"), app.fresh_email("nobody"));
    anyone.post("/api/v1/auth/register", &registration(&known, None)).await.assert(201);
    let (mut refusals, mut resets) = (Vec::new(), Vec::new());
    for email in [&known, &unknown] {
        let wrong = json!({"email": email, "code": "000000"});
        for _ in 0..4 {
            anyone.post("/api/v1/auth/confirm", &wrong).await.assert_problem(422, "code-invalid");
        }
        refusals.push(comparable(anyone.post("/api/v1/auth/confirm", &wrong).await.assert(429)));
        let reset = json!({"email": email, "code": RESET_CODE, "new_password": "a password of mine"});
        resets.push(comparable(anyone.post("/api/v1/auth/reset-password", &reset).await.assert(429)));
    }
    assert_eq!((&refusals[0], &resets[0]), (&refusals[1], &resets[1]));
    let right = json!({"email": known, "code": CONFIRMATION_CODE});
    anyone.post("/api/v1/auth/confirm", &right).await.assert_problem(429, "too-many-attempts");
}

#[tokio::test]
async fn a_wrong_code_is_no_way_to_guess_the_password() {
    let (app, _time) = TestApp::start_by_hand(&ATTEMPTS).await;
    let person = app.register_individual(&app.fresh_email("resets")).await;
    let reset = async |email: &str, code: &str, password: &str| {
        let body = json!({"email": email, "code": code, "new_password": password});
        app.anonymous().post("/api/v1/auth/reset-password", &body).await
    };
    // Whose change was interrupted repeats it, as often as they like.
    for _ in 0..6 {
        reset(&person.email, "000000", PASSWORD).await.assert(204);
    }
    let (mut refused, unknown) = (Vec::new(), app.fresh_email("nobody"));
    for email in [&person.email, &unknown] {
        for _ in 0..4 {
            reset(email, "000000", "perhaps this one").await.assert_problem(422, "code-invalid");
        }
        refused.push(comparable(app.guess(email).await.assert_problem(429, "too-many-attempts")));
    }
    assert_eq!(refused[0], refused[1]);
}

#[tokio::test]
async fn who_may_guess_no_password_may_still_redeem_a_code_and_guess_none_for_free() {
    let (app, _time) = TestApp::start_by_hand(&ATTEMPTS).await;
    let (redeems, guesses, nobody) =
        (app.fresh_email("redeems"), app.fresh_email("guesses"), app.fresh_email("nobody"));
    for email in [&redeems, &guesses] {
        app.register_individual(email).await;
        app.anonymous().post("/api/v1/auth/forgot-password", &json!({"email": email})).await.assert(202);
    }
    let reset = async |email: &str, code: &str| {
        let body = json!({"email": email, "code": code, "new_password": "a password of mine"});
        app.anonymous().post("/api/v1/auth/reset-password", &body).await
    };
    for email in [&redeems, &guesses, &nobody] {
        app.guess_until_refused(email, 4).await;
    }
    reset(&redeems, RESET_CODE).await.assert(204);
    let mut answers = Vec::new();
    for email in [&guesses, &nobody] {
        for _ in 0..4 {
            answers.push(comparable(reset(email, "000000").await.assert_problem(429, "too-many-attempts")));
        }
        answers.push(comparable(reset(email, RESET_CODE).await.assert_problem(429, "too-many-attempts")));
    }
    assert_eq!(answers[..5], answers[5..]);
}

#[tokio::test]
async fn nobodys_mailbox_can_be_flooded() {
    let (app, time) = TestApp::start_by_hand(&ATTEMPTS).await;
    let anyone = app.anonymous();
    let (known, unknown) = (app.fresh_email("flooded"), app.fresh_email("nobody"));
    for _ in 0..2 {
        anyone.post("/api/v1/auth/register", &registration(&known, None)).await.assert(201);
    }
    for email in [&known, &unknown] {
        anyone.post("/api/v1/auth/resend", &json!({"email": email})).await.assert(202);
        anyone.post("/api/v1/auth/forgot-password", &json!({"email": email})).await.assert(202);
    }
    for path in ["/api/v1/auth/resend", "/api/v1/auth/forgot-password"] {
        let [known, unknown] = [&known, &unknown].map(|email| json!({"email": email}));
        let (known, unknown) = (anyone.post(path, &known).await.assert(429), anyone.post(path, &unknown).await);
        assert_eq!(comparable(known), comparable(unknown));
    }
    let refused = anyone.post("/api/v1/auth/register", &registration(&known, None)).await;
    assert_eq!(refused.assert_problem(429, "too-many-attempts").body["limit"], 2, "half as many as guesses");
    // None of those mails keeps the owner of the other address from registering it.
    anyone.post("/api/v1/auth/register", &registration(&unknown, None)).await.assert(201);
    time.advance(Duration::from_secs(1800));
    anyone.post("/api/v1/auth/forgot-password", &json!({"email": known})).await.assert(202);
}

#[tokio::test]
async fn a_stolen_token_is_no_way_to_guess_the_password() {
    let (app, _time) = TestApp::start_by_hand(&ATTEMPTS).await;
    let person = app.register_individual(&app.fresh_email("stolen")).await;
    let thief = app.with_token(&person.id_token);
    let guess = json!({"current_password": "perhaps this one", "new_password": "a password of mine"});
    // Each tries two: the new one might be in force already.
    for _ in 0..2 {
        thief.put("/api/v1/me/password", &guess).await.assert(422).assert_names("/current_password");
    }
    thief.put("/api/v1/me/password", &guess).await.assert_problem(429, "too-many-attempts");
    app.guess(&person.email).await.assert_problem(429, "too-many-attempts");
}

#[tokio::test]
async fn new_sessions_bring_no_new_guesses_at_a_second_factor() {
    let (app, _time) = TestApp::start_by_hand(&ATTEMPTS).await;
    let person = app.register_individual(&app.fresh_email("challenged")).await;
    let cognito = platform::cognito::client(&aws(&stack().ministack.endpoint()).sdk().await);
    let temporary = cognito.admin_set_user_password().user_pool_id(&stack().members_pool.pool_id);
    temporary.username(&person.email).password("a temporary password").permanent(false).send().await.unwrap();
    let login = credentials(&person.email, "a temporary password");
    let answer = async || {
        let asked = app.anonymous().post(LOGIN, &login).await.assert(200);
        let wrong = json!({"session": asked.body["session"], "challenge": "SOFTWARE_TOKEN_MFA", "answer": "000000"});
        app.anonymous().post("/api/v1/auth/challenge", &wrong).await
    };
    for _ in 0..4 {
        answer().await.assert_problem(401, "invalid-credentials");
    }
    answer().await.assert_problem(429, "too-many-attempts");
}

#[tokio::test]
async fn guesses_count_on_all_instances_together() {
    let redis = Redis::start().await.unwrap();
    let url = redis.url();
    let settings =
        [ATTEMPTS[0], ("VALKEY_URL", url.as_str()), ("FFP_INSTANCES", "2"), ("FFP_VALKEY_TIMEOUT_MS", "10000")];
    let app = TestApp::start_with(&settings).await;
    let other = app.another_instance_with(&settings).await;
    let email = app.fresh_email("spread");
    for app in [&app, &other, &app, &other] {
        app.guess(&email).await.assert_problem(401, "invalid-credentials");
    }
    for app in [&app, &other] {
        app.guess(&email).await.assert_problem(429, "too-many-attempts");
    }
}
