//! What somebody tries who wants what is not theirs, or whose request meets another's at the worst moment.

use std::time::Duration;

use platform::videos::jobs::DeleteObject;
use serde_json::json;
use tenants::{Job, TenantId};

use crate::support::TestApp;

const PASSWORD: &str = "a test's password";

fn member(id: &str) -> String {
    format!("/api/v1/members/{id}")
}

#[tokio::test]
async fn registering_an_address_anew_while_it_is_confirmed_does_not_delete_the_account() {
    let app = TestApp::start().await;
    let (email, anyone) = (app.fresh_email("confirming"), app.anonymous());
    let registration =
        json!({"email": email, "password": PASSWORD, "full_name": "Vera Victim", "business_name": "Confirming"});
    anyone.post("/api/v1/auth/register", &registration).await.assert(201);
    let before = app.platform.directory.find(&email).await.unwrap().unwrap();
    // The tenant became active after somebody else's registration had read that the account is unconfirmed.
    app.by_hand("update tenant set status = 'active' where name = 'Confirming'").await;
    let another = json!({"email": email, "password": "the stranger's password", "full_name": "Sam Stranger"});
    anyone.post("/api/v1/auth/register", &another).await.assert(201);
    let after = app.platform.directory.find(&email).await.unwrap().expect("the account is still there");
    assert_eq!(after.subject, before.subject);
    assert_eq!(app.count("select count(*) from tenant where name = 'Confirming'").await, 1);
}

#[tokio::test]
async fn an_expiry_that_was_killed_behind_the_tenant_finishes_with_the_account() {
    let app = TestApp::start().await;
    let email = app.fresh_email("expiring");
    let registration =
        json!({"email": email, "password": PASSWORD, "full_name": "Vera Victim", "business_name": "Expiring"});
    app.anonymous().post("/api/v1/auth/register", &registration).await.assert(201);
    // A job that was killed after it had deleted the tenant finishes with the account.
    app.by_hand("delete from tenant where name = 'Expiring'").await;
    app.by_hand("update graphile_worker._private_jobs set run_at = now() where key like '%expire-registration%'").await;
    app.run_jobs().await;
    assert!(app.platform.directory.find(&email).await.unwrap().is_none());
}

#[tokio::test]
async fn who_is_made_an_owner_while_an_admin_removes_them_stays_whole() {
    let app = TestApp::start().await;
    let coach = app.acme().member_id("coach");
    let mut other = app.superuser().await;
    sqlx::raw_sql("begin").execute(&mut other).await.unwrap();
    sqlx::query("update member set role = 'owner', version = version + 1 where id = $1::uuid")
        .bind(coach)
        .execute(&mut other)
        .await
        .unwrap();
    let (admin, path) = (app.acme().admin(), member(coach));
    let promotion = async {
        let waits =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        while app.count(waits).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sqlx::raw_sql("commit").execute(&mut other).await.unwrap();
    };
    let (refused, ()) = tokio::join!(admin.delete(&path), promotion);
    refused.assert_problem(409, "changed");
    assert_eq!(app.count("select count(*) from member_contact where email = 'coach@acme.example'").await, 1);
    assert_eq!(
        app.count("select count(*) from graphile_worker._private_jobs where key like '%delete-account%'").await,
        0
    );
}

#[tokio::test]
async fn nobody_comes_back_by_an_invitation_they_made_before_they_were_removed() {
    let app = TestApp::start().await;
    let owner = app.register_business(&app.fresh_email("owner"), "Careful").await;
    for (change, role, works) in [
        (None, "athlete", false),
        (Some(json!({"status": "disabled"})), "athlete", false),
        (Some(json!({"role": "coach"})), "admin", false),
        (Some(json!({"role": "coach"})), "athlete", true),
    ] {
        let rogue = app.invite_and_accept(&owner, &app.fresh_email("rogue"), "admin").await;
        let own = app.fresh_email("rogues-other");
        let invitation = json!({"email": own, "role": role});
        let made = app.with_token(&rogue.id_token).post("/api/v1/invitations", &invitation).await.assert(201);
        app.run_jobs().await;
        let token = app.invitation_token(&own).await;
        let (boss, path) = (app.with_token(&owner.id_token), member(&rogue.member_id));
        match &change {
            None => boss.delete(&path).await.assert(204),
            Some(change) => boss.patch(&path, change).await.assert(200),
        };
        let acceptance = json!({"token": token, "password": PASSWORD, "full_name": "Rogue again"});
        let accepted = app.anonymous().post("/api/v1/auth/accept-invitation", &acceptance).await;
        if works {
            accepted.assert(201);
        } else {
            accepted.assert_problem(422, "invitation-invalid");
            // It shows as taken back, and somebody else can invite the address.
            let list = boss.get("/api/v1/invitations?limit=100").await.assert(200);
            let shown = list.body["items"].as_array().unwrap().iter().find(|i| i["id"] == made.id()).unwrap();
            assert_eq!(shown["status"], "revoked");
            boss.post("/api/v1/invitations", &invitation).await.assert(201);
        }
    }
}

#[tokio::test]
async fn an_invitation_made_in_the_last_moment_before_a_removal_is_worth_nothing() {
    let app = TestApp::start().await;
    let owner = app.register_business(&app.fresh_email("owner"), "Careful").await;
    let rogue = app.invite_and_accept(&owner, &app.fresh_email("rogue"), "admin").await;
    let own = app.fresh_email("rogues-other");
    let invitation = json!({"email": own, "role": "admin"});
    app.with_token(&rogue.id_token).post("/api/v1/invitations", &invitation).await.assert(201);
    app.run_jobs().await;
    let token = app.invitation_token(&own).await;
    // An instance that had not heard of the removal let them invite after it.
    app.by_hand("update member set status = 'removed' where role = 'admin' and tenant_id in (select id from tenant where name = 'Careful')").await;
    let acceptance = json!({"token": token, "password": PASSWORD, "full_name": "Rogue again"});
    let refused = app.anonymous().post("/api/v1/auth/accept-invitation", &acceptance).await;
    refused.assert_problem(422, "invitation-invalid");
}

#[tokio::test]
async fn a_job_of_one_business_deletes_no_object_of_another() {
    let app = TestApp::start().await;
    let made = app.globex().coach().add_video("Theirs").await;
    let key = format!("videos/tenants/{}/{}/source.mp4", app.globex().tenant_id(), made.id());
    let acme = TenantId(app.acme().tenant_id().parse().unwrap());
    let job = DeleteObject { key: key.clone() };
    assert!(job.run(app.platform.tenants.as_system(acme), app.platform.clone()).await.is_err());
    app.platform.storage.head(&key).await.unwrap();
}
