//! Registering, logging in, recovering, and one's own profile.

use serde_json::{Value, json};

use crate::support::{CONFIRMATION_CODE, RESET_CODE, TestApp, aws, stack};

const PASSWORD: &str = "a test's password";

fn registration(email: &str) -> Value {
    json!({"email": email, "password": PASSWORD, "full_name": "Nora New", "business_name": "New Gym"})
}

fn credentials(email: &str) -> Value {
    json!({"email": email, "password": PASSWORD})
}

#[tokio::test]
async fn a_business_registers_confirms_and_logs_in() {
    let app = TestApp::start().await;
    let email = app.fresh_email("owner");
    let anyone = app.anonymous();
    let made = anyone.post("/api/v1/auth/register", &registration(&email)).await.assert(201);
    assert_eq!(made.body["status"], "confirmation_required");
    anyone.post("/api/v1/auth/login", &credentials(&email)).await.assert_problem(403, "email-not-confirmed");
    anyone.post("/api/v1/auth/confirm", &json!({"email": email, "code": CONFIRMATION_CODE})).await.assert(204);
    let tokens = anyone.post("/api/v1/auth/login", &credentials(&email)).await.assert(200);
    assert_eq!(tokens.body["token_type"], "Bearer");
    assert_eq!(tokens.body["expires_in"], 900);

    let me = app.with_token(tokens.body["id_token"].as_str().unwrap());
    let profile = me.get("/api/v1/me").await.assert(200);
    assert_eq!(profile.id(), made.body["member_id"].as_str().unwrap());
    assert_eq!(profile.body["role"], "owner");
    let tenant = me.get("/api/v1/tenant").await.assert(200);
    assert_eq!(tenant.body["kind"], "business");
    assert_eq!(tenant.body["name"], "New Gym");
}

#[tokio::test]
async fn without_a_business_name_an_individual_is_made() {
    let app = TestApp::start().await;
    let person = app.register_individual(&app.fresh_email("solo")).await;
    let tenant = app.with_token(person.id_token).get("/api/v1/tenant").await.assert(200);
    assert_eq!(tenant.body["kind"], "individual");
}

#[tokio::test]
async fn only_the_right_password_learns_that_an_address_is_not_confirmed() {
    let app = TestApp::start().await;
    let email = app.fresh_email("waiting");
    let anyone = app.anonymous();
    anyone.post("/api/v1/auth/register", &registration(&email)).await.assert(201);
    let wrong = json!({"email": email, "password": "not the password"});
    let wrong = anyone.post("/api/v1/auth/login", &wrong).await.assert_problem(401, "invalid-credentials");
    let unknown = json!({"email": app.fresh_email("nobody"), "password": "not the password"});
    let unknown = anyone.post("/api/v1/auth/login", &unknown).await.assert_problem(401, "invalid-credentials");
    assert_eq!(without_request_id(wrong.body), without_request_id(unknown.body));
}

fn without_request_id(mut body: Value) -> Value {
    body.as_object_mut().unwrap().remove("request_id");
    body
}

#[tokio::test]
async fn registering_a_confirmed_address_makes_nothing_and_tells_its_owner_by_mail() {
    let app = TestApp::start().await;
    let email = app.fresh_email("known");
    let first = app.register_business(&email, "First").await;
    let tenants = app.count("select count(*) from tenant").await;
    let again = app.anonymous().post("/api/v1/auth/register", &registration(&email)).await.assert(201);
    assert_eq!(again.body["status"], "confirmation_required");
    assert_ne!(again.body["tenant_id"], first.tenant_id.as_str());
    assert_eq!(app.count("select count(*) from tenant").await, tenants);
    let mails = app.mails_to(&email).await;
    assert!(mails.last().unwrap().contains("already have an account"), "{mails:?}");
    // Nothing of the owner's changed.
    app.anonymous().post("/api/v1/auth/login", &credentials(&email)).await.assert(200);
}

#[tokio::test]
async fn nobody_can_register_somebody_elses_address_ahead_of_them() {
    let app = TestApp::start().await;
    let email = app.fresh_email("victim");
    let anyone = app.anonymous();
    let mut squatter = registration(&email);
    squatter["password"] = "the squatter's own".into();
    anyone.post("/api/v1/auth/register", &squatter).await.assert(201);
    let made = anyone.post("/api/v1/auth/register", &registration(&email)).await.assert(201);
    anyone.post("/api/v1/auth/confirm", &json!({"email": email, "code": CONFIRMATION_CODE})).await.assert(204);
    let old = json!({"email": email, "password": "the squatter's own"});
    anyone.post("/api/v1/auth/login", &old).await.assert_problem(401, "invalid-credentials");
    let tokens = anyone.post("/api/v1/auth/login", &credentials(&email)).await.assert(200);
    let me = app.with_token(tokens.body["id_token"].as_str().unwrap()).get("/api/v1/me").await.assert(200);
    assert_eq!(me.body["tenant_id"], made.body["tenant_id"]);
    assert_eq!(app.count("select count(*) from tenant where status = 'pending'").await, 0);
}

#[tokio::test]
async fn a_wrong_code_an_unknown_address_and_a_confirmed_one_are_answered_alike() {
    let app = TestApp::start().await;
    let (waiting, confirmed) = (app.fresh_email("waiting"), app.fresh_email("confirmed"));
    app.anonymous().post("/api/v1/auth/register", &registration(&waiting)).await.assert(201);
    app.register_business(&confirmed, "Done").await;
    let mut answers = Vec::new();
    for (email, code) in
        [(waiting.as_str(), "000000"), (confirmed.as_str(), "000000"), ("nobody@example.com", "123456")]
    {
        let answer = app.anonymous().post("/api/v1/auth/confirm", &json!({"email": email, "code": code})).await;
        answers.push(without_request_id(answer.assert_problem(422, "code-invalid").assert_names("/code").body));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    for email in [&waiting, &confirmed, &app.fresh_email("nobody")] {
        app.anonymous().post("/api/v1/auth/resend", &json!({"email": email})).await.assert(202);
        app.anonymous().post("/api/v1/auth/forgot-password", &json!({"email": email})).await.assert(202);
    }
}

#[tokio::test]
async fn addresses_are_the_same_in_any_case_and_with_spaces_around() {
    let app = TestApp::start().await;
    let email = app.fresh_email("case");
    app.register_business(&email, "Case").await;
    let shouted = json!({"email": format!("  {}  ", email.to_uppercase()), "password": PASSWORD});
    app.anonymous().post("/api/v1/auth/login", &shouted).await.assert(200);
}

#[tokio::test]
async fn refreshing_brings_new_tokens_and_logging_out_ends_them() {
    let app = TestApp::start().await;
    let person = app.register_business(&app.fresh_email("refresh"), "Refresh").await;
    let refresh = json!({"refresh_token": person.refresh_token});
    let tokens = app.anonymous().post("/api/v1/auth/refresh", &refresh).await.assert(200);
    let id_token = tokens.body["id_token"].as_str().unwrap();
    app.with_token(id_token).get("/api/v1/me").await.assert(200);
    assert!(tokens.body["refresh_token"].is_string());
    app.anonymous().post("/api/v1/auth/logout", &refresh).await.assert(204);
    app.anonymous().post("/api/v1/auth/refresh", &refresh).await.assert_problem(401, "invalid-credentials");
    let nonsense = json!({"refresh_token": "nonsense"});
    app.anonymous().post("/api/v1/auth/logout", &nonsense).await.assert(204);
    app.anonymous().post("/api/v1/auth/refresh", &nonsense).await.assert_problem(401, "invalid-credentials");
}

#[tokio::test]
async fn an_access_token_and_a_refresh_token_open_nothing() {
    let app = TestApp::start().await;
    let person = app.acme().details("owner");
    app.with_token(&person.access_token).get("/api/v1/me").await.assert(401);
    app.with_token(&person.refresh_token).get("/api/v1/me").await.assert(401);
    app.with_token(&person.id_token).get("/api/v1/me").await.assert(200);
}

#[tokio::test]
async fn signing_out_everywhere_ends_every_token_here_at_once_and_login_works_again() {
    let app = TestApp::start().await;
    let email = app.fresh_email("everywhere");
    let person = app.register_business(&email, "Everywhere").await;
    let me = app.with_token(&person.id_token);
    me.delete("/api/v1/me/sessions").await.assert(204);
    me.get("/api/v1/me").await.assert(401);
    let refresh = json!({"refresh_token": person.refresh_token});
    app.anonymous().post("/api/v1/auth/refresh", &refresh).await.assert(401);
    // In the very second of the sign-out a login is still possible, and its token is good.
    let tokens = app.anonymous().post("/api/v1/auth/login", &credentials(&email)).await.assert(200);
    app.with_token(tokens.body["id_token"].as_str().unwrap()).get("/api/v1/me").await.assert(200);
    assert_eq!(app.count("select count(*) from audit where action = 'member.signed-out-everywhere'").await, 1);
}

#[tokio::test]
async fn changing_the_password_needs_the_old_one_and_ends_every_session() {
    let app = TestApp::start().await;
    let email = app.fresh_email("change");
    let person = app.register_business(&email, "Change").await;
    let me = app.with_token(&person.id_token);
    let wrong = json!({"current_password": "not my password", "new_password": "a brand new password"});
    me.put("/api/v1/me/password", &wrong).await.assert(422).assert_names("/current_password");
    me.get("/api/v1/me").await.assert(200);
    let right = json!({"current_password": PASSWORD, "new_password": "a brand new password"});
    me.put("/api/v1/me/password", &right).await.assert(204);
    me.get("/api/v1/me").await.assert(401);
    app.anonymous().post("/api/v1/auth/login", &credentials(&email)).await.assert_problem(401, "invalid-credentials");
    let new = json!({"email": email, "password": "a brand new password"});
    app.anonymous().post("/api/v1/auth/login", &new).await.assert(200);
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_with_the_mailed_code() {
    let app = TestApp::start().await;
    let email = app.fresh_email("forgot");
    let person = app.register_business(&email, "Forgot").await;
    app.anonymous().post("/api/v1/auth/forgot-password", &json!({"email": email})).await.assert(202);
    let reset = |code: &str| json!({"email": email, "code": code, "new_password": "a brand new password"});
    let anyone = app.anonymous();
    anyone.post("/api/v1/auth/reset-password", &reset("000000")).await.assert_problem(422, "code-invalid");
    anyone.post("/api/v1/auth/reset-password", &reset(RESET_CODE)).await.assert(204);
    app.with_token(&person.id_token).get("/api/v1/me").await.assert(401);
    anyone.post("/api/v1/auth/login", &credentials(&email)).await.assert_problem(401, "invalid-credentials");
    let new = json!({"email": email, "password": "a brand new password"});
    anyone.post("/api/v1/auth/login", &new).await.assert(200);
}

#[tokio::test]
async fn a_profile_is_changed_only_from_the_version_that_was_read() {
    let app = TestApp::start().await;
    let athlete = app.acme().athlete();
    let read = athlete.get("/api/v1/me").await.assert(200);
    let etag = read.header("etag").to_owned();
    let change = json!({"full_name": "  Ada Athlete ", "units": "imperial", "time_zone": "Europe/Prague"});
    let patch = |etag: &str| {
        let (athlete, change, etag) = (athlete.clone(), change.clone(), etag.to_owned());
        async move { athlete.send(reqwest::Method::PATCH, "/api/v1/me", Some(&change), &[("if-match", &etag)]).await }
    };
    let changed = patch(&etag).await.assert(200);
    assert_eq!(changed.body["full_name"], "Ada Athlete");
    assert_eq!(changed.body["units"], "imperial");
    patch(&etag).await.assert_problem(412, "changed");
    patch(changed.header("etag")).await.assert(200);
    // Nobody else's changed.
    let other = app.acme().athlete2().get("/api/v1/me").await.assert(200);
    assert_eq!(other.body["units"], "metric");
}

#[tokio::test]
async fn the_tenant_is_changed_by_its_owner_only() {
    let app = TestApp::start().await;
    let change = json!({"name": "Acme Strength", "brand_color": "#aa3300"});
    app.acme().admin().patch("/api/v1/tenant", &change).await.assert(403);
    app.acme().athlete().patch("/api/v1/tenant", &change).await.assert(403);
    let changed = app.acme().owner().patch("/api/v1/tenant", &change).await.assert(200);
    assert_eq!(changed.body["name"], "Acme Strength");
    assert_eq!(app.acme().athlete().get("/api/v1/tenant").await.body["name"], "Acme Strength");
    assert_eq!(app.globex().owner().get("/api/v1/tenant").await.body["name"], "globex");
}

#[tokio::test]
async fn a_registration_that_nobody_confirms_is_gone_after_seven_days() {
    let app = TestApp::start().await;
    let email = app.fresh_email("late");
    app.anonymous().post("/api/v1/auth/register", &registration(&email)).await.assert(201);
    app.run_jobs().await;
    assert_eq!(app.count("select count(*) from tenant where status = 'pending'").await, 1, "not before its time");
    app.by_hand("update graphile_worker._private_jobs set run_at = now() where key like '%expire-registration%'").await;
    app.run_jobs().await;
    assert_eq!(app.count("select count(*) from tenant where status = 'pending'").await, 0);
    assert!(app.platform.directory.find(&email).await.unwrap().is_none());
    // The address is free again.
    app.register_business(&email, "Late").await;
}

#[tokio::test]
async fn a_confirmed_registration_survives_its_expiry() {
    let app = TestApp::start().await;
    let person = app.register_business(&app.fresh_email("stays"), "Stays").await;
    app.by_hand("update graphile_worker._private_jobs set run_at = now() where key like '%expire-registration%'").await;
    app.run_jobs().await;
    app.with_token(&person.id_token).get("/api/v1/me").await.assert(200);
}

#[tokio::test]
async fn a_suspended_tenant_is_told_so_and_comes_back() {
    let app = TestApp::start().await;
    let email = app.fresh_email("suspended");
    let person = app.register_business(&email, "Late payer").await;
    let me = app.with_token(&person.id_token);
    me.get("/api/v1/me").await.assert(200);
    app.by_hand("update tenant set status = 'suspended' where name = 'Late payer'").await;
    let fresh = app.another_instance().await;
    fresh.with_token(&person.id_token).get("/api/v1/me").await.assert_problem(403, "tenant-suspended");
    fresh.anonymous().post("/api/v1/auth/login", &credentials(&email)).await.assert_problem(403, "tenant-suspended");
    app.acme().owner().get("/api/v1/me").await.assert(200);
    app.by_hand("update tenant set status = 'active' where name = 'Late payer'").await;
    let fresh = app.another_instance().await;
    fresh.with_token(&person.id_token).get("/api/v1/me").await.assert(200);
}

#[tokio::test]
async fn a_suspension_reaches_an_instance_that_has_the_tenant_cached_within_five_seconds() {
    let app = TestApp::start().await;
    let person = app.register_business(&app.fresh_email("suspended"), "Suspended soon").await;
    let me = app.with_token(&person.id_token);
    me.get("/api/v1/me").await.assert(200);
    app.by_hand("update tenant set status = 'suspended' where name = 'Suspended soon'").await;
    let since = std::time::Instant::now();
    while me.get("/api/v1/me").await.status == 200 {
        assert!(since.elapsed() < std::time::Duration::from_secs(5), "the suspended tenant is still let in");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    me.get("/api/v1/me").await.assert_problem(403, "tenant-suspended");
    app.globex().owner().get("/api/v1/me").await.assert(200);
}

#[tokio::test]
async fn a_login_that_asks_for_a_new_password_is_finished_by_a_second_call() {
    let app = TestApp::start().await;
    let person = app.register_business(&app.fresh_email("temporary"), "Temporary").await;
    let cognito = platform::cognito::client(&aws(&stack().ministack.endpoint()).sdk().await);
    let temporary = cognito.admin_set_user_password().user_pool_id(&stack().members_pool.pool_id);
    temporary.username(&person.email).password("a temporary password").permanent(false).send().await.unwrap();

    let anyone = app.anonymous();
    let login = json!({"email": person.email, "password": "a temporary password"});
    let asked = anyone.post("/api/v1/auth/login", &login).await.assert(200);
    assert_eq!(asked.body["challenge"], "NEW_PASSWORD_REQUIRED");
    assert!(asked.body.get("id_token").is_none(), "{}", asked.text);
    let answer = |session: &Value, challenge: &str| json!({"session": session, "challenge": challenge, "answer": "a password of my choice"});
    let made_up = answer(&json!("made up"), "NEW_PASSWORD_REQUIRED");
    anyone.post("/api/v1/auth/challenge", &made_up).await.assert_problem(401, "invalid-credentials");
    let other = answer(&asked.body["session"], "SOFTWARE_TOKEN_MFA");
    anyone.post("/api/v1/auth/challenge", &other).await.assert_problem(401, "invalid-credentials");
    let right = answer(&asked.body["session"], "NEW_PASSWORD_REQUIRED");
    let tokens = anyone.post("/api/v1/auth/challenge", &right).await.assert(200);
    app.with_token(tokens.body["id_token"].as_str().unwrap()).get("/api/v1/me").await.assert(200);
    anyone.post("/api/v1/auth/login", &login).await.assert_problem(401, "invalid-credentials");
}
