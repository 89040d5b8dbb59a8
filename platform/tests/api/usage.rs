//! What is used and what is left, as members, admins and owners see it.

use std::collections::BTreeMap;

use platform::usage::allowances::{ALL, PLAN};
use serde_json::{Value, json};
use tenants::{Meter, TenantId};

use crate::support::{TestApp, User};

const PATH: &str = "/api/v1/usage";

async fn usage(user: User<'_>) -> Value {
    user.get(PATH).await.assert(200).body
}

/// What the business used by meter, over all days that are shown: midnight in UTC may pass while a test runs.
async fn metered(user: User<'_>) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for day in usage(user).await["business"]["days"].as_array().unwrap() {
        for (meter, amount) in day["meters"].as_object().unwrap() {
            *all.entry(meter.clone()).or_default() += amount.as_u64().unwrap();
        }
    }
    all
}

/// What came of work that began and ended on one day in UTC; done again where midnight passed meanwhile.
async fn within_one_day<T>(work: impl AsyncFn() -> T) -> T {
    loop {
        let began = chrono::Utc::now().date_naive();
        let found = work().await;
        if chrono::Utc::now().date_naive() == began {
            return found;
        }
    }
}

fn tenant(id: &str) -> TenantId {
    TenantId(id.parse().unwrap())
}

#[tokio::test]
async fn everybody_sees_their_own_allowances_and_the_throttle() {
    let app = TestApp::start().await;
    let athlete = usage(app.acme().athlete()).await;
    let expected: Vec<Value> = ALL
        .iter()
        .map(|quota| json!({"name": quota.name, "limit": quota.limit, "used": 0, "window_seconds": quota.window.as_secs()}))
        .collect();
    assert_eq!(athlete["quotas"], json!(expected));
    assert_eq!(athlete["throttle"], json!({"requests_per_minute": 1000}));
    assert_eq!(athlete.get("business"), None, "what the business uses is not an athlete's");
    assert_eq!(usage(app.acme().coach()).await.get("business"), None);
    for user in [app.acme().admin(), app.acme().owner()] {
        assert!(usage(user).await["business"].is_object());
    }
}

#[tokio::test]
async fn a_take_is_seen_by_its_member_and_summed_for_the_owner() {
    let app = TestApp::start().await;
    for (business, member, hours) in [
        (app.acme(), "athlete", 2),
        (app.acme(), "athlete", 1),
        (app.acme(), "athlete2", 30),
        (app.globex(), "athlete", 1),
    ] {
        let mut database = app.superuser().await;
        let text = "insert into quota_take (tenant_id, id, member_id, quota, taken_at) values \
                    ($1::uuid, gen_random_uuid(), $2::uuid, $3, now() - make_interval(hours => $4))";
        let query =
            sqlx::query(text).bind(business.tenant_id()).bind(business.member_id(member)).bind(PLAN.name).bind(hours);
        query.execute(&mut database).await.unwrap();
    }
    let seen = usage(app.acme().athlete()).await["quotas"][0].clone();
    assert_eq!((&seen["name"], &seen["used"], &seen["limit"]), (&json!("plan.generate"), &json!(2), &json!(5)));
    let frees: chrono::DateTime<chrono::Utc> = seen["frees_at"].as_str().unwrap().parse().unwrap();
    let left = frees - chrono::Utc::now();
    assert!((chrono::Duration::minutes(21 * 60 + 50)..=chrono::Duration::hours(22)).contains(&left), "{left}");

    assert_eq!(usage(app.acme().athlete2()).await["quotas"][0]["used"], 0, "what was taken long ago counts no more");
    let owner = usage(app.acme().owner()).await;
    assert_eq!(owner["quotas"][0]["used"], 0);
    assert_eq!(owner["business"]["quotas"][0], json!({"name": "plan.generate", "used": 2, "window_seconds": 86400}));
}

#[tokio::test]
async fn what_an_operator_grants_shows() {
    let app = TestApp::start().await;
    app.by_hand(
        "update tenant set quotas = '{\"plan.generate\": 50, \"coach.suggest\": 0}', requests_per_minute = 5000 where name = 'acme'",
    )
    .await;
    let limits = |usage: &Value| [0, 1, 2].map(|n| usage["quotas"][n]["limit"].clone());
    let ours = usage(app.acme().athlete()).await;
    assert_eq!(limits(&ours), [json!(50), json!(10), json!(0)]);
    assert_eq!(ours["throttle"]["requests_per_minute"], 5000);
    assert_eq!(limits(&usage(app.globex().athlete()).await), [json!(5), json!(10), json!(20)]);
}

#[tokio::test]
async fn requests_streams_and_jobs_are_counted_for_the_business_that_makes_them() {
    let app = TestApp::start().await;
    let video = app.acme().coach().add_published_video("Intro").await;
    let stream = format!("/api/v1/videos/{}/stream", video.id());
    for _ in 0..3 {
        app.acme().athlete().get(&stream).await.assert(200);
    }
    app.globex().athlete().get(&stream).await.assert(404);
    app.anonymous().get(&stream).await.assert(401);
    app.platform.tenants.flush_usage().await.unwrap();

    let ours = metered(app.acme().owner()).await;
    // Announcing, completing and publishing the video, and watching it.
    assert_eq!(ours, BTreeMap::from([("requests".to_owned(), 6), ("videos.streamed".to_owned(), 3)]));
    let theirs = metered(app.globex().owner()).await;
    assert_eq!(theirs, BTreeMap::from([("requests".to_owned(), 1)]), "a video that is not theirs is not streamed");

    let email = app.fresh_email("counted");
    app.acme().owner().post("/api/v1/invitations", &json!({"email": email, "role": "athlete"})).await.assert(201);
    app.run_jobs().await;
    app.platform.tenants.flush_usage().await.unwrap();
    assert_eq!(metered(app.acme().owner()).await.get("jobs"), Some(&1));
    assert_eq!(metered(app.globex().owner()).await.get("jobs"), None);
}

#[tokio::test]
async fn throttled_requests_are_counted_as_such() {
    let app = TestApp::start().await;
    app.by_hand("update tenant set requests_per_minute = 2 where name = 'acme'").await;
    let mut throttled = 0;
    for _ in 0..6 {
        throttled += u64::from(app.acme().athlete().get("/api/v1/me").await.status == 429);
    }
    assert!(throttled > 0);
    app.by_hand("update tenant set requests_per_minute = 1000 where name = 'acme'").await;
    app.platform.tenants.flush_usage().await.unwrap();
    let counted = |meter: &str| {
        let text = "select coalesce(sum(amount), 0)::bigint from usage where meter = $1 and tenant_id = $2::uuid";
        let query = sqlx::query_scalar::<_, i64>(text).bind(meter.to_owned()).bind(app.acme().tenant_id());
        async { query.fetch_one(&mut app.superuser().await).await.unwrap() }
    };
    assert_eq!(counted("requests.throttled").await, throttled as i64);
    assert_eq!(counted("requests").await, 6);
}

/// What acme's admin sees of usage on some days; five requests of today were counted after the rest.
async fn usage_of_some_days() -> Value {
    let app = TestApp::start().await;
    app.by_hand(
        "insert into usage (tenant_id, id, meter, day, amount)
         select t.id, gen_random_uuid(), 'requests', (now() at time zone 'UTC')::date - n, case t.name when 'acme' then 10 else 7000 end
         from tenant t, unnest(array[0, 1, 29, 30, 400]) n where t.name in ('acme', 'globex')",
    )
    .await;
    app.platform.tenants.usage().add(tenant(app.acme().tenant_id()), Meter("requests"), 5);
    app.platform.tenants.flush_usage().await.unwrap();
    usage(app.acme().admin()).await["business"].clone()
}

#[tokio::test]
async fn usage_is_by_day_and_month_and_another_business_has_its_own() {
    let ours = within_one_day(usage_of_some_days).await;
    let amounts: Vec<&Value> = ours["days"].as_array().unwrap().iter().map(|day| &day["meters"]["requests"]).collect();
    assert_eq!(amounts, [&json!(15), &json!(10), &json!(10)], "newest first, and thirty days at most");
    let days: Vec<&str> = ours["days"].as_array().unwrap().iter().map(|day| day["day"].as_str().unwrap()).collect();
    assert!(days.is_sorted_by(|newer, older| newer > older), "{days:?}");

    let today = days[0].parse::<chrono::NaiveDate>().unwrap();
    let this_month = |days_ago: u64| {
        chrono::Datelike::month0(&(today - chrono::Days::new(days_ago))) == chrono::Datelike::month0(&today)
    };
    let expected = 15 + 10 * [1, 29, 30].into_iter().filter(|ago| this_month(*ago)).count();
    assert_eq!(ours["month"]["requests"], expected);
}

#[tokio::test]
async fn storage_is_what_the_videos_of_the_business_take() {
    let app = TestApp::start().await;
    app.globex().coach().add_video("Theirs").await;
    let storage = async || usage(app.acme().owner()).await["business"]["storage"].clone();
    let before = storage().await;
    assert_eq!(before["used_bytes"], 0);
    let video = app.acme().coach().add_video("Ours").await;
    let after = storage().await;
    assert_eq!(after["used_bytes"], video.body["size_bytes"]);
    assert_eq!(after["limit_bytes"], before["limit_bytes"]);
    app.acme().coach().delete(&format!("/api/v1/videos/{}", video.id())).await.assert(204);
    assert_eq!(storage().await, before);
}
