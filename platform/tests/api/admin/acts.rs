//! What operators change: suspension, throttle, quotas, storage.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::{lines, plant, subject, tenant};
use crate::support::{Answer, TestApp};

/// Each act with a value that is not the tenant's, and the line it leaves.
fn acts() -> [(&'static str, Value, &'static str); 4] {
    [
        ("suspension", json!({"reason": "Unpaid"}), "tenant.suspended"),
        ("throttle", json!({"requests_per_minute": 50}), "tenant.throttle-set"),
        ("quotas", json!({"limits": {"plan.generate": 7}}), "tenant.quotas-set"),
        ("storage", json!({"limit_bytes": 5000}), "tenant.storage-set"),
    ]
}

async fn act(app: &TestApp, what: &str, body: &Value, if_match: Option<&str>) -> Answer {
    let path = format!("{}/{what}", tenant(app.acme().tenant_id()));
    let headers: Vec<_> = if_match.map(|tag| ("If-Match", tag)).into_iter().collect();
    app.operator().send(Method::PUT, &path, Some(body), &headers).await
}

/// The registry's rows as text, acme's first.
async fn rows(app: &TestApp) -> Vec<String> {
    let text = "select t::text from tenant t where name in ('acme', 'globex') order by name";
    sqlx::query_scalar(text).fetch_all(&mut app.superuser().await).await.unwrap()
}

#[tokio::test]
async fn every_act_changes_one_tenant_and_is_in_the_audit_log() {
    let app = TestApp::start().await;
    let operator = app.operator();
    let before = rows(&app).await;
    for (what, body, action) in acts() {
        act(&app, what, &body, None).await.assert(200);
        let found = lines(&app, &format!("action={action}")).await;
        assert_eq!(found.len(), 1, "{what}");
        assert_eq!(found[0]["tenant_id"], app.acme().tenant_id());
        assert_eq!((&found[0]["actor_role"], &found[0]["actor_id"]), (&json!("operator"), &json!(subject(&operator))));
    }
    let shown = operator.get(&tenant(app.acme().tenant_id())).await.assert(200).body;
    assert_eq!((&shown["status"], &shown["suspended_reason"]), (&json!("suspended"), &json!("Unpaid")));
    assert_eq!(shown["requests_per_minute"], 50);
    assert_eq!(shown["quotas"], json!({"plan.generate": 7}));
    assert_eq!(shown["storage_limit_bytes"], 5000);
    for (action, from, to) in [
        ("tenant.throttle-set", json!(1000), json!(50)),
        ("tenant.quotas-set", json!({}), json!({"plan.generate": 7})),
        ("tenant.storage-set", json!(100_i64 << 30), json!(5000)),
    ] {
        let line = lines(&app, &format!("action={action}")).await.remove(0);
        assert_eq!(line["detail"], json!({"from": from, "to": to}), "{action}");
    }
    assert_eq!(rows(&app).await[1], before[1], "globex is as it was");
}

#[tokio::test]
async fn an_act_that_cannot_be_logged_does_not_happen() {
    let app = TestApp::start().await;
    act(&app, "suspension", &json!({"reason": "First"}), None).await.assert(200);
    app.by_hand("alter table audit add constraint no_room check (action !~ '^tenant') not valid").await;
    let before = rows(&app).await;
    for (what, body, _) in acts() {
        act(&app, what, &body, None).await.assert(500);
    }
    let suspension = format!("{}/suspension", tenant(app.acme().tenant_id()));
    app.operator().delete(&suspension).await.assert(500);
    assert_eq!(rows(&app).await, before);
}

#[tokio::test]
async fn repeating_an_act_changes_nothing_and_leaves_no_second_line() {
    let app = TestApp::start().await;
    for (what, body, action) in acts() {
        let first = act(&app, what, &body, None).await.assert(200);
        let again = act(&app, what, &body, None).await.assert(200);
        assert_eq!((first.header("etag"), &first.body), (again.header("etag"), &again.body), "{what}");
        assert_eq!(lines(&app, &format!("action={action}")).await.len(), 1, "{what}");
    }
    let suspension = format!("{}/suspension", tenant(app.acme().tenant_id()));
    app.operator().delete(&suspension).await.assert(204);
    app.operator().delete(&suspension).await.assert(204);
    assert_eq!(lines(&app, "action=tenant.resumed").await.len(), 1);
}

#[tokio::test]
async fn an_act_on_an_older_version_is_refused() {
    let app = TestApp::start().await;
    let path = tenant(app.acme().tenant_id());
    for (what, body, action) in acts() {
        let read = app.operator().get(&path).await.assert(200);
        let etag = read.header("etag").to_owned();
        // The owner renames the business meanwhile; while it is suspended, an operator changes something.
        app.by_hand("update tenant set version = version + 1 where name = 'acme'").await;
        act(&app, what, &body, Some(&etag)).await.assert_problem(412, "changed");
        assert!(lines(&app, &format!("action={action}")).await.is_empty(), "{what}");
        let read = app.operator().get(&path).await.assert(200);
        let done = act(&app, what, &body, Some(read.header("etag"))).await.assert(200);
        assert_ne!(done.header("etag"), etag);
    }
    let suspension = format!("{path}/suspension");
    let stale = app.operator().send(Method::DELETE, &suspension, None, &[("If-Match", "\"v1\"")]).await;
    stale.assert_problem(412, "changed");
}

#[tokio::test]
async fn of_two_operators_who_change_the_same_version_at_once_one_is_told() {
    let app = TestApp::start().await;
    // They wait below, for as long as it takes.
    app.by_hand(
        "do $$ begin
             execute format('alter role ffp_operator in database %I set lock_timeout = 0', current_database());
             execute format('alter role ffp_operator in database %I set statement_timeout = 0', current_database());
         end $$",
    )
    .await;
    let etag = app.operator().get(&tenant(app.acme().tenant_id())).await.assert(200).header("etag").to_owned();
    let mut holder = app.superuser().await;
    sqlx::raw_sql("begin; select from tenant where name = 'acme' for update").execute(&mut holder).await.unwrap();
    let both_wait = async {
        let waiting =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        while app.count(waiting).await < 2 {
            tokio::task::yield_now().await;
        }
        sqlx::raw_sql("commit").execute(&mut holder).await.unwrap();
    };
    let (slower, faster) = (json!({"requests_per_minute": 10}), json!({"requests_per_minute": 20}));
    let (one, other, ()) = tokio::join!(
        act(&app, "throttle", &slower, Some(&etag)),
        act(&app, "throttle", &faster, Some(&etag)),
        both_wait
    );
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412], "{} {}", one.text, other.text);
    assert_eq!(lines(&app, "action=tenant.throttle-set").await.len(), 1);
}

#[tokio::test]
async fn the_members_of_a_suspended_tenant_are_out_at_once_until_it_is_resumed() {
    let app = TestApp::start().await;
    let suspension = format!("{}/suspension", tenant(app.acme().tenant_id()));
    app.acme().owner().get("/api/v1/me").await.assert(200);
    app.operator().put(&suspension, &json!({"reason": "Unpaid"})).await.assert(200);
    for person in ["owner", "athlete"] {
        let refused = app.acme().person(person).get("/api/v1/me").await.assert_problem(403, "tenant-suspended");
        assert!(!refused.text.contains("Unpaid"), "the reason is for operators: {}", refused.text);
    }
    app.globex().owner().get("/api/v1/me").await.assert(200);
    app.operator().delete(&suspension).await.assert(204);
    app.acme().owner().get("/api/v1/me").await.assert(200);
    let resumed = lines(&app, "action=tenant.resumed").await.remove(0);
    assert_eq!(resumed["detail"], json!({"suspended_for": "Unpaid"}));
    let shown = app.operator().get(&tenant(app.acme().tenant_id())).await.assert(200);
    assert_eq!((&shown.body["status"], &shown.body["suspended_reason"]), (&json!("active"), &Value::Null));
}

#[tokio::test]
async fn elsewhere_a_suspension_holds_within_five_seconds() {
    let app = TestApp::start().await;
    let elsewhere = app.another_instance().await;
    let token = &app.acme().details("coach").id_token;
    elsewhere.with_token(token).get("/api/v1/me").await.assert(200);
    act(&app, "suspension", &json!({"reason": "Unpaid"}), None).await.assert(200);
    let since = Instant::now();
    while elsewhere.with_token(token).get("/api/v1/me").await.status == 200 {
        assert!(since.elapsed() < Duration::from_secs(5), "the other instance still lets them in");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    elsewhere.with_token(token).get("/api/v1/me").await.assert_problem(403, "tenant-suspended");
}

#[tokio::test]
async fn the_platforms_own_tenant_and_one_that_is_not_confirmed_are_not_suspended() {
    let app = TestApp::start().await;
    let operator = app.operator();
    let pending = plant(&app, "Not yet", "business", "pending").await;
    let reason = json!({"reason": "Unpaid"});
    for (id, slug) in [("00000000-0000-7000-8000-000000000001", "platform-tenant"), (&*pending, "not-confirmed")] {
        let path = format!("{}/suspension", tenant(id));
        operator.put(&path, &reason).await.assert_problem(409, slug);
        // It is not suspended, so resuming makes nothing active.
        operator.delete(&path).await.assert(204);
    }
    assert_eq!(app.count("select count(*) from tenant where status = 'suspended'").await, 0);
    assert_eq!(app.count("select count(*) from tenant where name = 'Not yet' and status = 'pending'").await, 1);
    assert_eq!(app.count("select count(*) from audit where actor_role = 'operator'").await, 0);
}

#[tokio::test]
async fn another_reason_replaces_the_first_and_is_logged() {
    let app = TestApp::start().await;
    for reason in ["Unpaid", " Fraud "] {
        act(&app, "suspension", &json!({"reason": reason}), None).await.assert(200);
    }
    let reasons: Vec<Value> =
        lines(&app, "action=tenant.suspended").await.iter().map(|l| l["detail"].clone()).collect();
    let expected = [json!({"reason": "Fraud", "from": "suspended"}), json!({"reason": "Unpaid", "from": "active"})];
    assert_eq!(reasons, expected);
}

#[tokio::test]
async fn limits_out_of_their_bounds_and_quotas_that_are_none_are_named() {
    let app = TestApp::start().await;
    let before = rows(&app).await;
    for (what, body, pointer) in [
        ("suspension", json!({"reason": " "}), "/reason"),
        ("suspension", json!({"reason": "x".repeat(501)}), "/reason"),
        ("throttle", json!({"requests_per_minute": 0}), "/requests_per_minute"),
        ("throttle", json!({"requests_per_minute": 1_000_001}), "/requests_per_minute"),
        ("throttle", json!({"requests_per_minute": 5.5}), "/requests_per_minute"),
        ("quotas", json!({"limits": {"plan.generate": -1}}), "/limits/plan.generate"),
        ("quotas", json!({"limits": {"plan.generate": 1_000_001}}), "/limits/plan.generate"),
        ("quotas", json!({"limits": {"plan.generate": "7"}}), "/limits/plan.generate"),
        ("quotas", json!({"limits": {"a/b": 7, "plan.generate": 7}}), "/limits/a~1b"),
        ("quotas", json!({"plan.generate": 7}), "/plan.generate"),
        ("storage", json!({"limit_bytes": -1}), "/limit_bytes"),
        ("storage", json!({"limit_bytes": (1_i64 << 50) + 1}), "/limit_bytes"),
    ] {
        act(&app, what, &body, None).await.assert(422).assert_names(pointer);
    }
    assert_eq!(rows(&app).await, before);
    assert_eq!(app.count("select count(*) from audit where actor_role = 'operator'").await, 0);
}

#[tokio::test]
async fn quotas_are_set_all_at_once() {
    let app = TestApp::start().await;
    for limits in [json!({"plan.generate": 0}), json!({"plan.generate": 1_000_000}), json!({})] {
        let set = act(&app, "quotas", &json!({"limits": limits}), None).await.assert(200);
        assert_eq!(set.body["quotas"], limits);
    }
}

#[tokio::test]
async fn the_storage_that_is_granted_is_what_uploads_are_held_to() {
    let app = TestApp::start().await;
    let announcement = json!({"title": "Row", "content_type": "video/mp4", "size_bytes": 2000});
    act(&app, "storage", &json!({"limit_bytes": 1999}), None).await.assert(200);
    let refused = app.acme().coach().post("/api/v1/videos", &announcement).await.assert_problem(413, "storage-quota");
    assert_eq!(refused.body["limit"], 1999);
    app.globex().coach().post("/api/v1/videos", &announcement).await.assert(201);
    act(&app, "storage", &json!({"limit_bytes": 2000}), None).await.assert(200);
    app.acme().coach().post("/api/v1/videos", &announcement).await.assert(201);
}
