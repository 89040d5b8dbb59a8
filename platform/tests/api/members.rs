//! Who may see, change and remove whom.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::TestApp;

fn member(id: &str) -> String {
    format!("/api/v1/members/{id}")
}

#[tokio::test]
async fn staff_see_the_members_of_their_business_and_no_others() {
    let app = TestApp::start().await;
    for person in ["owner", "admin", "coach"] {
        let list = app.acme().person(person).get("/api/v1/members").await.assert(200);
        let emails: Vec<_> =
            list.body["items"].as_array().unwrap().iter().map(|m| m["email"].as_str().unwrap()).collect();
        assert_eq!(emails.len(), 5);
        assert!(emails.iter().all(|email| email.ends_with("@acme.example")), "{emails:?}");
    }
}

#[tokio::test]
async fn athletes_see_their_coaches_names_but_no_list_and_no_addresses() {
    let app = TestApp::start().await;
    let athlete = app.acme().athlete();
    athlete.get("/api/v1/members").await.assert(403);
    let me = athlete.get("/api/v1/me").await.assert(200);
    assert_eq!(me.body["coaches"][0]["id"], app.acme().member_id("coach"));
    let coach = athlete.get(&member(app.acme().member_id("coach"))).await.assert(200);
    assert_eq!(coach.body["full_name"], "coach of theirs");
    assert!(coach.body.get("email").is_none() && coach.body.get("status").is_none(), "{}", coach.text);
    for person in ["owner", "admin", "athlete2"] {
        athlete.get(&member(app.acme().member_id(person))).await.assert_not_found();
    }
    let own = athlete.get(&member(app.acme().member_id("athlete"))).await.assert(200);
    assert_eq!(own.body["email"], "athlete@acme.example");
}

#[tokio::test]
async fn a_member_of_another_business_is_answered_like_one_that_does_not_exist() {
    let app = TestApp::start().await;
    let theirs = member(app.globex().member_id("coach"));
    let nobodys = member("0190a1b2-0000-7000-8000-000000000000");
    let owner = app.acme().owner();
    for path in [&theirs, &nobodys] {
        owner.get(path).await.assert_not_found();
        owner.patch(path, &json!({"role": "athlete"})).await.assert_not_found();
        owner.delete(path).await.assert_not_found();
    }
    app.globex().coach().get("/api/v1/me").await.assert(200);
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition() {
    let app = TestApp::start().await;
    let owner = app.acme().owner();
    let mut seen = Vec::new();
    let mut path = "/api/v1/members?limit=2".to_owned();
    loop {
        let page = owner.get(&path).await.assert(200);
        seen.extend(page.body["items"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        path = format!("/api/v1/members?limit=2&cursor={cursor}");
    }
    let mut distinct = seen.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!((seen.len(), distinct.len()), (5, 5));
}

#[tokio::test]
async fn nobody_grants_a_role_above_their_own_and_only_owners_touch_owners() {
    let app = TestApp::start().await;
    let (admin, owner) = (app.acme().admin(), app.acme().owner());
    let (coach_id, owner_id) = (app.acme().member_id("coach"), app.acme().member_id("owner"));
    admin.patch(&member(coach_id), &json!({"role": "owner"})).await.assert(403);
    admin.patch(&member(owner_id), &json!({"role": "athlete"})).await.assert(403);
    admin.patch(&member(owner_id), &json!({"status": "disabled"})).await.assert(403);
    admin.delete(&member(owner_id)).await.assert(403);
    app.acme().coach().patch(&member(app.acme().member_id("athlete")), &json!({"role": "coach"})).await.assert(403);
    app.acme().athlete().patch(&member(coach_id), &json!({"role": "athlete"})).await.assert(403);
    admin.patch(&member(coach_id), &json!({"role": "admin"})).await.assert(200);
    owner.patch(&member(coach_id), &json!({"role": "owner"})).await.assert(200);
}

#[tokio::test]
async fn the_last_owner_can_be_neither_removed_nor_demoted() {
    let app = TestApp::start().await;
    let owner = app.acme().owner();
    let path = member(app.acme().member_id("owner"));
    owner.patch(&path, &json!({"role": "admin"})).await.assert_problem(409, "last-owner");
    owner.patch(&path, &json!({"status": "disabled"})).await.assert_problem(409, "last-owner");
    owner.delete(&path).await.assert_problem(409, "last-owner");
    owner.get("/api/v1/me").await.assert(200);
}

#[tokio::test]
async fn of_two_owners_who_demote_each_other_at_once_one_stays() {
    let app = TestApp::start().await;
    let (owner_id, admin_id) = (app.acme().member_id("owner"), app.acme().member_id("admin"));
    app.acme().owner().patch(&member(admin_id), &json!({"role": "owner"})).await.assert(200);
    // The admin's token is from before the change, so a new one is needed; any instance reads the row anew.
    let credentials = json!({"email": "admin@acme.example", "password": "a test's password"});
    let tokens = app.anonymous().post("/api/v1/auth/login", &credentials).await.assert(200);
    let second = app.with_token(tokens.body["id_token"].as_str().unwrap());
    let first = app.acme().owner();
    let demotion = json!({"role": "coach"});
    let (their_path, own_path) = (member(admin_id), member(owner_id));
    let (one, other) = tokio::join!(first.patch(&their_path, &demotion), second.patch(&own_path, &demotion));
    let granted = [&one, &other].iter().filter(|answer| answer.status == 200).count();
    assert_eq!(granted, 1, "{} {}", one.text, other.text);
    assert_eq!(
        app.count(
            "select count(*) from member m join tenant t on t.id = m.tenant_id \
                          where t.name = 'acme' and m.role = 'owner' and m.status = 'active'"
        )
        .await,
        1
    );
}

#[tokio::test]
async fn a_demoted_members_token_loses_its_power_here_at_once_and_elsewhere_within_five_seconds() {
    let app = TestApp::start().await;
    let elsewhere = app.another_instance().await;
    let token = &app.acme().details("coach").id_token;
    elsewhere.with_token(token).get("/api/v1/members").await.assert(200);
    let changed = app.acme().owner().patch(&member(app.acme().member_id("coach")), &json!({"role": "athlete"})).await;
    changed.assert(200);
    let since = Instant::now();
    app.with_token(token).get("/api/v1/members").await.assert(401);
    while elsewhere.with_token(token).get("/api/v1/members").await.status == 200 {
        assert!(since.elapsed() < Duration::from_secs(5), "the other instance still lets them in");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    elsewhere.with_token(token).get("/api/v1/members").await.assert(401);
    app.run_jobs().await;
    let user = app.platform.directory.find("coach@acme.example").await.unwrap();
    assert!(user.is_some());
    app.platform.directory.set_role(&user.unwrap().subject, "coach").await.unwrap();
}

#[tokio::test]
async fn a_removed_member_is_out_and_their_account_is_deleted() {
    let app = TestApp::start().await;
    let owner = app.register_business(&app.fresh_email("owner"), "Leavers").await;
    let email = app.fresh_email("leaver");
    let leaver = app.invite_and_accept(&owner, &email, "coach").await;
    let owner = app.with_token(&owner.id_token);
    let path = member(&leaver.member_id);
    owner.delete(&path).await.assert(204);
    app.with_token(&leaver.id_token).get("/api/v1/me").await.assert(401);
    let refresh = json!({"refresh_token": leaver.refresh_token});
    app.anonymous().post("/api/v1/auth/refresh", &refresh).await.assert(401);
    owner.get(&path).await.assert_not_found();
    owner.delete(&path).await.assert_not_found();
    assert!(app.platform.directory.find(&email).await.unwrap().is_some(), "the job deletes it, not the request");
    app.run_jobs().await;
    assert!(app.platform.directory.find(&email).await.unwrap().is_none());
    let credentials = json!({"email": email, "password": "a test's password"});
    app.anonymous().post("/api/v1/auth/login", &credentials).await.assert_problem(401, "invalid-credentials");
    assert_eq!(app.count("select count(*) from audit where action = 'member.removed'").await, 1);
}

#[tokio::test]
async fn a_disabled_member_is_out_until_let_in_again() {
    let app = TestApp::start().await;
    let owner = app.register_business(&app.fresh_email("owner"), "Barred").await;
    let email = app.fresh_email("barred");
    let barred = app.invite_and_accept(&owner, &email, "athlete").await;
    let owner = app.with_token(&owner.id_token);
    owner.patch(&member(&barred.member_id), &json!({"status": "disabled"})).await.assert(200);
    app.with_token(&barred.id_token).get("/api/v1/me").await.assert(401);
    let credentials = json!({"email": email, "password": "a test's password"});
    app.anonymous().post("/api/v1/auth/login", &credentials).await.assert_problem(401, "invalid-credentials");
    owner.patch(&member(&barred.member_id), &json!({"status": "active"})).await.assert(200);
    let tokens = app.anonymous().post("/api/v1/auth/login", &credentials).await.assert(200);
    app.with_token(tokens.body["id_token"].as_str().unwrap()).get("/api/v1/me").await.assert(200);
}
