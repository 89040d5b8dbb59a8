//! The tenant's throttle: exactly its limit and no other's, told in every answer, changed at run time.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use url::Url;
use uuid::Uuid;

use crate::support::{Answer, Business, TestApp, User, proxy::Proxy, stack};

const ME: &str = "/api/v1/me";
const POLICY: &str = "ratelimit-policy";
const STATE: &str = "ratelimit";

impl TestApp {
    /// What an operator does, behind the product's back.
    pub async fn set_limit(&self, tenant: &str, per_minute: i32) {
        let set = sqlx::query("update tenant set requests_per_minute = $2 where id = $1::uuid");
        set.bind(tenant).bind(per_minute).execute(&mut self.superuser().await).await.unwrap();
    }
}

impl Business<'_> {
    /// What an operator does, through the product.
    async fn grant(&self, per_minute: u32) {
        let path = format!("/api/v1/admin/tenants/{}/throttle", self.tenant_id());
        self.app.operator().put(&path, &json!({"requests_per_minute": per_minute})).await.assert(200);
    }
}

/// So many requests at once; how many were served, and the answers to the others.
pub async fn burst(user: &User<'_>, count: usize) -> (usize, Vec<Answer>) {
    let answers = join_all((0..count).map(|_| user.get(ME))).await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    (served.len(), refused)
}

#[tokio::test]
async fn a_business_that_bursts_is_served_exactly_its_limit_and_told_when_there_is_more() {
    let (app, time) = TestApp::start_by_hand(&[]).await;
    app.set_limit(app.acme().tenant_id(), 5).await;
    let (served, refused) = burst(&app.acme().owner(), 12).await;
    assert_eq!(served, 5);
    for answer in refused {
        let answer = answer.assert_problem(429, "throttled");
        assert_eq!((&answer.body["limit"], &answer.body["used"]), (&json!(5), &json!(5)), "{}", answer.text);
        assert_eq!((&answer.body["reset_seconds"], answer.header("retry-after")), (&json!(12), "12"));
        assert_eq!(answer.header(STATE), "\"tenant\";r=0;t=12");
        assert_eq!(answer.header(POLICY), "\"tenant\";q=5;w=60");
    }
    // All its members share the one bucket.
    app.acme().athlete().get(ME).await.assert_problem(429, "throttled");
    time.advance(Duration::from_secs(12));
    let (served, refused) = burst(&app.acme().coach(), 3).await;
    assert_eq!((served, refused.len()), (1, 2));
    time.advance(Duration::from_secs(600));
    assert_eq!(burst(&app.acme().coach(), 9).await.0, 5, "no more than the capacity is saved up");
}

#[tokio::test]
async fn a_quiet_business_does_not_notice_anothers_burst() {
    let (app, _time) = TestApp::start_by_hand(&[]).await;
    app.set_limit(app.acme().tenant_id(), 5).await;
    let (acme, globex) = (app.acme().owner(), app.globex().owner());
    let (loud, quiet) = tokio::join!(burst(&acme, 40), burst(&globex, 8));
    assert_eq!((loud.0, quiet.0), (5, 8));
    assert_eq!(globex.get(ME).await.assert(200).header(STATE), "\"tenant\";r=991;t=1");
}

#[tokio::test]
async fn every_answer_to_a_member_says_what_remains() {
    let (app, _time) = TestApp::start_by_hand(&[]).await;
    app.set_limit(app.acme().tenant_id(), 60).await;
    let athlete = app.acme().athlete();
    let unknown = format!("/api/v1/videos/{}", Uuid::now_v7());
    let large = json!({"title": "x".repeat(1_100_000)});
    let video = json!({"title": "Squat", "content_type": "video/mp4", "size_bytes": 1});
    let mut remains = 60;
    for (method, path, body, status) in [
        (Method::GET, ME, None, 200),
        (Method::GET, unknown.as_str(), None, 404),
        (Method::GET, "/api/v1/videos/none", None, 404),
        (Method::DELETE, ME, None, 405),
        (Method::POST, "/api/v1/videos", Some(&video), 403),
        (Method::POST, "/api/v1/videos", Some(&json!({"no": 1})), 422),
        (Method::PATCH, ME, Some(&json!({"no": 1})), 422),
        (Method::PATCH, ME, Some(&large), 413),
        (Method::GET, "/api/v1/videos?limit=0", None, 422),
    ] {
        let answer = athlete.send(method, path, body, &[]).await.assert(status);
        remains -= 1;
        assert_eq!(answer.header(STATE), format!("\"tenant\";r={remains};t=1"), "{status} {path}");
        assert_eq!(answer.header(POLICY), "\"tenant\";q=60;w=60", "{status} {path}");
    }
}

#[tokio::test]
async fn who_has_no_valid_token_learns_nothing_and_takes_nothing() {
    let (app, _time) = TestApp::start_by_hand(&[]).await;
    app.set_limit(app.acme().tenant_id(), 5).await;
    let token = &app.acme().details("owner").id_token;
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    let access = &app.acme().details("owner").access_token;
    for token in ["", "nonsense", &forged, access] {
        for _ in 0..10 {
            let answer = app.with_token(token).get(ME).await.assert(401);
            assert_eq!((answer.header(STATE), answer.header(POLICY)), ("", ""));
        }
    }
    let answer = app.operator().get(ME).await.assert(403);
    assert_eq!(answer.header(STATE), "", "an operator has no tenant");
    for path in ["/", "/openapi.json", "/health", "/api/v1/nothing"] {
        assert_eq!(app.acme().owner().get(path).await.header(STATE), "", "{path} is nobody's");
    }
    // A token of another tenant takes from that one, whatever it says it is after.
    let video = app.acme().coach().get("/api/v1/videos").await.assert(200);
    assert_eq!(video.header(STATE), "\"tenant\";r=4;t=12");
    app.globex().owner().get(&format!("/api/v1/members/{}", app.acme().member_id("coach"))).await.assert_not_found();
    assert_eq!(app.acme().owner().get(ME).await.assert(200).header(STATE), "\"tenant\";r=3;t=12");
}

#[tokio::test]
async fn who_was_signed_out_cannot_use_up_what_is_their_colleagues() {
    let (app, _time) = TestApp::start_by_hand(&[]).await;
    let owner = app.register_business(&app.fresh_email("throttled"), "Throttled").await;
    let leaver = app.invite_and_accept(&owner, &app.fresh_email("leaver"), "athlete").await;
    app.set_limit(&owner.tenant_id, 40).await;
    let (owner, leaver) = (app.with_token(&owner.id_token), (app.with_token(&leaver.id_token), leaver.member_id));
    owner.delete(&format!("/api/v1/members/{}", leaver.1)).await.assert(204);
    for _ in 0..60 {
        assert_eq!(leaver.0.get(ME).await.assert(401).header(STATE), "");
    }
    owner.get(ME).await.assert(200);
}

#[tokio::test]
async fn who_turns_out_to_be_gone_behind_the_bucket_gets_nothing_out_of_it() {
    let (app, _time) = TestApp::start_by_hand(&[]).await;
    app.set_limit(app.acme().tenant_id(), 40).await;
    app.by_hand("update member set status = 'removed' where role = 'athlete'").await;
    // From here the limit is known, and of the athlete nothing is: the bucket is asked first.
    assert_eq!(app.acme().owner().get(ME).await.assert(200).header(STATE), "\"tenant\";r=39;t=2");
    let athlete = app.acme().athlete();
    for answer in join_all((0..20).map(|_| athlete.get(ME))).await {
        assert_eq!(answer.assert(401).header(STATE), "");
    }
    assert_eq!(app.acme().owner().get(ME).await.assert(200).header(STATE), "\"tenant\";r=38;t=2");
}

#[tokio::test]
async fn requests_of_a_suspended_business_count_too() {
    let (app, _time) = TestApp::start_by_hand(&[]).await;
    app.set_limit(app.acme().tenant_id(), 5).await;
    app.by_hand("update tenant set status = 'suspended' where name = 'acme'").await;
    for remains in (0..5).rev() {
        let answer = app.acme().owner().get(ME).await.assert_problem(403, "tenant-suspended");
        assert_eq!(answer.header(STATE), format!("\"tenant\";r={remains};t=12"));
    }
    app.acme().owner().get(ME).await.assert_problem(429, "throttled");
}

#[tokio::test]
async fn a_changed_limit_holds_at_once_on_the_instance_where_an_operator_changed_it() {
    let (app, _time) = TestApp::start_by_hand(&[]).await;
    let owner = app.acme().owner();
    app.acme().grant(5).await;
    assert_eq!(burst(&owner, 9).await.0, 5);
    app.acme().grant(8).await;
    let answer = owner.get(ME).await.assert(200);
    assert_eq!((answer.header(POLICY), answer.header(STATE)), ("\"tenant\";q=8;w=60", "\"tenant\";r=2;t=8"));
    assert_eq!(burst(&owner, 9).await.0, 2, "what was used before counts");
    app.acme().grant(2).await;
    let answer = owner.get(ME).await.assert_problem(429, "throttled");
    // Seven of the eight must come back, two a minute.
    assert_eq!((&answer.body["limit"], &answer.body["used"]), (&json!(2), &json!(2)));
    assert_eq!(answer.body["reset_seconds"], 7 * 30, "{}", answer.text);
}

#[tokio::test]
async fn a_changed_limit_holds_within_five_seconds_on_every_instance() {
    let app = TestApp::start().await;
    let elsewhere = app.another_instance().await;
    for app in [&app, &elsewhere] {
        assert_eq!(app.acme().owner().get(ME).await.assert(200).header(POLICY), "\"tenant\";q=1000;w=60");
    }
    let since = Instant::now();
    app.acme().grant(700).await;
    for app in [&app, &elsewhere] {
        while app.acme().owner().get(ME).await.assert(200).header(POLICY) != "\"tenant\";q=700;w=60" {
            assert!(since.elapsed() < Duration::from_secs(5), "the old limit is still in force");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert_eq!(app.globex().owner().get(ME).await.assert(200).header(POLICY), "\"tenant\";q=1000;w=60");
}

#[tokio::test]
async fn without_a_database_the_last_known_limit_holds() {
    let database = Proxy::to(stack().server.postgres().port()).await;
    let (app, _time) = TestApp::start_by_hand_changed(|variables| {
        for name in ["FFP_DATABASE_URL", "FFP_WORKER_DATABASE_URL", "FFP_OPERATOR_DATABASE_URL"] {
            let mut url = Url::parse(&variables[name]).unwrap();
            url.set_port(Some(database.port())).unwrap();
            variables.insert(name.to_owned(), url.to_string());
        }
    })
    .await;
    app.set_limit(app.acme().tenant_id(), 5).await;
    app.acme().owner().get(ME).await.assert(200);
    database.close();
    // Somebody of whom nothing is remembered, and of whose business the limit is.
    for remains in (0..4).rev() {
        let answer = app.acme().athlete().get("/api/v1/videos").await.assert_problem(503, "unavailable");
        assert_eq!(answer.header(POLICY), "\"tenant\";q=5;w=60");
        assert_eq!(answer.header(STATE), format!("\"tenant\";r={remains};t=12"));
    }
    app.acme().athlete().get("/api/v1/videos").await.assert_problem(429, "throttled");
    let answer = app.globex().athlete().get("/api/v1/videos").await.assert_problem(503, "unavailable");
    assert_eq!(answer.header(POLICY), "\"tenant\";q=1000;w=60", "nothing is known of them, so the usual limit holds");
    database.open().await;
    app.globex().athlete().get("/api/v1/videos").await.assert(200);
}
