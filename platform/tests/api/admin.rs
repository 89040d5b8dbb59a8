//! What operators see and do: tenants, their limits, the job queue, the audit log. Every act is in that log, and none
//! reaches another tenant than the one it names.

mod acts;
mod jobs;
mod log;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, TestApp, User};

const TENANTS: &str = "/api/v1/admin/tenants";
const AUDIT: &str = "/api/v1/admin/audit";
const NOBODYS: &str = "0190a1b2-0000-7000-8000-000000000000";

fn tenant(id: &str) -> String {
    format!("{TENANTS}/{id}")
}

/// Who the operator's token says they are.
fn subject(operator: &User<'_>) -> String {
    let claims = URL_SAFE_NO_PAD.decode(operator.token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["sub"].as_str().unwrap().to_owned()
}

/// A tenant without members, as a registration would leave it.
async fn plant(app: &TestApp, name: &str, kind: &str, status: &str) -> String {
    let id = Uuid::now_v7();
    let text = "insert into tenant (id, name, kind, status, storage_limit_bytes) values ($1, $2, $3, $4, 0)";
    let mut connection = app.superuser().await;
    sqlx::query(text).bind(id).bind(name).bind(kind).bind(status).execute(&mut connection).await.unwrap();
    id.to_string()
}

fn ids(page: &Answer) -> Vec<String> {
    page.body["items"].as_array().unwrap().iter().map(|item| item["id"].to_string().replace('"', "")).collect()
}

/// All pages of a list, with something done between two of them.
async fn pages(operator: &User<'_>, list: &str, mut between: impl AsyncFnMut()) -> Vec<String> {
    let (mut seen, mut path) = (Vec::new(), list.to_owned());
    loop {
        let page = operator.get(&path).await.assert(200);
        seen.extend(ids(&page));
        let Some(cursor) = page.body["next_cursor"].as_str() else { return seen };
        path = format!("{list}&cursor={cursor}");
        between().await;
    }
}

/// The lines of the audit log, newest first, that a query finds.
async fn lines(app: &TestApp, query: &str) -> Vec<Value> {
    let found = app.operator().get(&format!("{AUDIT}?{query}")).await.assert(200);
    found.body["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn tenants_are_found_by_name_id_status_and_kind() {
    let app = TestApp::start().await;
    let operator = app.operator();
    let full = plant(&app, "100% Fit", "business", "active").await;
    let thousand = plant(&app, "1000 Fit", "business", "suspended").await;
    let snake = plant(&app, "snake_case Gym", "individual", "pending").await;
    let slash = plant(&app, r"back\slash", "individual", "active").await;
    let (acme, globex) = (app.acme().tenant_id(), app.globex().tenant_id());
    let cyrillic = plant(&app, "Зал Ёж", "business", "active").await;

    let list = async |query: &str| ids(&operator.get(&format!("{TENANTS}?{query}")).await.assert(200));
    let all = list("limit=100").await;
    assert_eq!(all[..5], [&*cyrillic, &slash, &snake, &thousand, &full], "newest first");
    assert!(all.contains(&acme.to_owned()) && all.contains(&globex.to_owned()));
    for (query, expected) in [
        ("q=fit", vec![&*thousand, &full]),
        ("q=100%25", vec![&full]),
        ("q=%25", vec![&full]),
        ("q=_", vec![&snake]),
        ("q=E_C", vec![&snake]),
        ("q=%5C", vec![&slash]),
        ("q=%D1%91%D0%B6", vec![&cyrillic]),
        ("q=acme", vec![acme]),
        ("q=nobody%20is%20called%20this", vec![]),
        (&*format!("q={globex}"), vec![globex]),
        (&*format!("q={NOBODYS}"), vec![]),
        ("status=suspended", vec![&thousand]),
        ("status=pending", vec![&snake]),
        ("kind=individual", vec![&slash, &snake]),
        ("kind=platform", vec!["00000000-0000-7000-8000-000000000001"]),
        ("q=fit&status=active", vec![&full]),
        ("kind=individual&status=active", vec![&slash]),
    ] {
        assert_eq!(list(query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn pages_of_tenants_have_no_gap_and_no_double_while_tenants_register() {
    let app = TestApp::start().await;
    let operator = app.operator();
    let mut expected = ids(&operator.get(&format!("{TENANTS}?limit=100")).await.assert(200));
    for name in ["a", "b", "c", "d", "e"] {
        expected.insert(0, plant(&app, name, "business", "active").await);
    }
    let seen = pages(&operator, &format!("{TENANTS}?limit=2"), async || {
        plant(&app, "newer", "business", "active").await;
    })
    .await;
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn one_tenant_shows_its_limits_usage_and_members() {
    let app = TestApp::start().await;
    let acme = app.acme();
    app.by_hand(
        "insert into usage (tenant_id, id, meter, day, amount)
             select id, gen_random_uuid(), 'videos.streamed', (now() at time zone 'utc')::date - days, 10 + days
             from tenant, unnest(array[0, 30, 31]) days where name = 'acme';
         insert into usage (tenant_id, id, meter, day, amount)
             select id, gen_random_uuid(), 'videos.streamed', (now() at time zone 'utc')::date, 999 from tenant where name = 'globex'",
    )
    .await;
    let shown = app.operator().get(&tenant(acme.tenant_id())).await.assert(200);
    let body = &shown.body;
    assert_eq!(body["id"], acme.tenant_id());
    assert_eq!((&body["name"], &body["kind"], &body["status"]), (&json!("acme"), &json!("business"), &json!("active")));
    assert_eq!((&body["requests_per_minute"], &body["quotas"]), (&json!(1000), &json!({})));
    assert_eq!(body["storage_limit_bytes"], 100_i64 << 30);
    assert!(shown.header("etag").starts_with("\"v"), "{}", shown.header("etag"));
    let amounts: Vec<i64> = body["usage"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["meter"] == "videos.streamed")
        .map(|line| line["amount"].as_i64().unwrap())
        .collect();
    assert_eq!(amounts, [10, 40], "31 days, newest first, its own");
    let mut people: Vec<(&str, &str)> = body["members"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| (member["email"].as_str().unwrap(), member["role"].as_str().unwrap()))
        .collect();
    people.sort_unstable();
    assert_eq!(
        people,
        [
            ("admin@acme.example", "admin"),
            ("athlete2@acme.example", "athlete"),
            ("athlete@acme.example", "athlete"),
            ("coach@acme.example", "coach"),
            ("owner@acme.example", "owner"),
        ]
    );
}

#[tokio::test]
async fn one_tenant_shows_how_much_it_stores_before_its_limit_is_set() {
    let app = TestApp::start().await;
    app.globex().coach().add_published_video("Theirs").await;
    let stored = async |id: &str| app.operator().get(&tenant(id)).await.assert(200).body["storage_used_bytes"].clone();
    let (acme, globex) = (app.acme().tenant_id(), app.globex().tenant_id());
    let theirs = stored(globex).await;
    assert!(theirs.as_i64().unwrap() > 0);
    assert_eq!(stored(acme).await, 0, "another tenant's videos are not its own");

    let [ready, announced] =
        [app.acme().coach().add_published_video("Uploaded").await, app.acme().coach().add_video("Announced").await];
    let size = |video: &Value| video["size_bytes"].as_i64().unwrap();
    let used = size(&ready.body) + size(&announced.body);
    assert_eq!(stored(acme).await, used);
    assert_eq!(stored(globex).await, theirs);
    let seen_by_its_owner = app.acme().owner().get("/api/v1/usage").await.assert(200).body;
    assert_eq!(seen_by_its_owner["business"]["storage"]["used_bytes"], used);

    // A limit set by that figure fits exactly.
    app.operator().put(&format!("{}/storage", tenant(acme)), &json!({"limit_bytes": used})).await.assert(200);
    let one_more = json!({"title": "More", "content_type": "video/mp4", "size_bytes": 1});
    app.acme().coach().post("/api/v1/videos", &one_more).await.assert_problem(413, "storage-quota");
    let list = app.operator().get(TENANTS).await.assert(200);
    assert!(!list.text.contains("storage_used_bytes"), "a list opens no tenant");
}

#[tokio::test]
async fn members_come_in_pages() {
    let app = TestApp::start().await;
    let list = format!("{}/members?limit=2", tenant(app.acme().tenant_id()));
    let mut seen = pages(&app.operator(), &list, async || {}).await;
    assert_eq!(seen.len(), 5);
    seen.sort();
    let mut expected: Vec<_> =
        ["owner", "admin", "coach", "athlete", "athlete2"].map(|name| app.acme().member_id(name).to_owned()).into();
    expected.sort();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn whoever_looks_into_a_tenant_is_in_the_audit_log_with_their_reason() {
    let app = TestApp::start().await;
    let (operator, acme) = (app.operator(), app.acme().tenant_id());
    operator.get(&format!("{}?reason=Support%20case%2042", tenant(acme))).await.assert(200);
    operator.get(&tenant(acme)).await.assert(200);
    operator.get(&format!("{}/members?reason=case%2043", tenant(acme))).await.assert(200);

    let found = lines(&app, "action=tenant.opened").await;
    let reasons: Vec<&str> = found.iter().map(|line| line["detail"]["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["case 43", "looked at the tenant", "Support case 42"]);
    for line in &found {
        assert_eq!((&line["tenant_id"], &line["object_id"]), (&json!(acme), &json!(acme)));
        assert_eq!((&line["actor_role"], &line["actor_id"]), (&json!("operator"), &json!(subject(&operator))));
    }
}

#[tokio::test]
async fn an_opening_that_cannot_be_logged_shows_nothing() {
    let app = TestApp::start().await;
    app.by_hand("alter table audit add constraint no_room check (action <> 'tenant.opened') not valid").await;
    for path in ["", "/members"] {
        let refused = app.operator().get(&format!("{}{path}", tenant(app.acme().tenant_id()))).await.assert(500);
        assert!(!refused.text.contains("acme"), "{}", refused.text);
    }
}

#[tokio::test]
async fn lists_of_tenants_open_none() {
    let app = TestApp::start().await;
    for path in [TENANTS, AUDIT, "/api/v1/admin/jobs"] {
        let answer = app.operator().get(path).await.assert(200);
        assert!(!answer.text.contains("@acme.example"), "{}", answer.text);
    }
    assert_eq!(app.count("select count(*) from audit where actor_role = 'operator'").await, 0);
}

#[tokio::test]
async fn a_parameter_that_is_not_right_is_named() {
    let app = TestApp::start().await;
    let operator = app.operator();
    let (acme, jobs) = (tenant(app.acme().tenant_id()), "/api/v1/admin/jobs");
    for (path, query, pointer) in [
        (TENANTS, "limit=0", "?limit"),
        (TENANTS, "limit=101", "?limit"),
        (TENANTS, "cursor=x", "?cursor"),
        (TENANTS, "status=gone", "?status"),
        (TENANTS, "kind=gym", "?kind"),
        (TENANTS, "q=", "?q"),
        (TENANTS, "q=%20", "?q"),
        (TENANTS, "stauts=active", "?stauts"),
        (&acme, "reason=", "?reason"),
        (&acme, "reason=a%0Ab", "?reason"),
        (&*format!("{acme}/members"), "limit=x", "?limit"),
        (&*format!("{acme}/members"), "reason=%20", "?reason"),
        (jobs, "tenant_id=acme", "?tenant_id"),
        (jobs, "state=broken", "?state"),
        (jobs, "cursor=%00", "?cursor"),
        (AUDIT, "tenant_id=1", "?tenant_id"),
        (AUDIT, "actor_id=me", "?actor_id"),
        (AUDIT, "action=", "?action"),
        (AUDIT, "from=yesterday", "?from"),
        (AUDIT, "to=2026-11-31T00:00:00Z", "?to"),
        (AUDIT, "actor=x", "?actor"),
    ] {
        operator.get(&format!("{path}?{query}")).await.assert(422).assert_names(pointer);
    }
    assert_eq!(app.count("select count(*) from audit where actor_role = 'operator'").await, 0, "nothing was opened");
}

#[tokio::test]
async fn a_tenant_or_job_that_does_not_exist_is_not_found_and_leaves_no_line() {
    let app = TestApp::start().await;
    let operator = app.operator();
    for id in [NOBODYS, "00000000-0000-0000-0000-000000000000", "not-an-id"] {
        let path = tenant(id);
        operator.get(&path).await.assert_not_found();
        operator.get(&format!("{path}/members")).await.assert_not_found();
        operator.put(&format!("{path}/suspension"), &json!({"reason": "x"})).await.assert_not_found();
        operator.delete(&format!("{path}/suspension")).await.assert_not_found();
        operator.put(&format!("{path}/throttle"), &json!({"requests_per_minute": 5})).await.assert_not_found();
        operator.put(&format!("{path}/quotas"), &json!({"limits": {}})).await.assert_not_found();
        operator.put(&format!("{path}/storage"), &json!({"limit_bytes": 5})).await.assert_not_found();
    }
    for id in ["0", "-1", "123456789", "9223372036854775807", "99999999999999999999", NOBODYS, "x"] {
        operator.get(&format!("/api/v1/admin/jobs/{id}")).await.assert_not_found();
        operator.post_empty(&format!("/api/v1/admin/jobs/{id}/retry")).await.assert_not_found();
    }
    assert_eq!(app.count("select count(*) from audit where actor_role = 'operator'").await, 0);
}

#[tokio::test]
async fn none_of_it_is_for_members() {
    let app = TestApp::start().await;
    let acme = tenant(app.acme().tenant_id());
    for user in [app.acme().owner(), app.acme().athlete(), app.globex().owner()] {
        for path in [TENANTS, AUDIT, &acme] {
            user.get(path).await.assert_problem(403, "forbidden");
        }
        user.put(&format!("{acme}/suspension"), &json!({"reason": "x"})).await.assert_problem(403, "forbidden");
        user.post_empty("/api/v1/admin/jobs/1/retry").await.assert_problem(403, "forbidden");
    }
    app.anonymous().get(TENANTS).await.assert(401);
    app.anonymous().delete(&format!("{acme}/suspension")).await.assert(401);
}
