//! Allowances through HTTP, at a test's route that takes one (`gate.rs`).

use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::json;

use crate::{
    gate::{PATH, routes},
    support::{Answer, TestApp, User},
};

/// Slots enough that the line is nobody's limit.
const MANY_SLOTS: [(&str, &str); 2] = [("FFP_GATE_SLOTS", "100"), ("FFP_DATABASE_CONNECTIONS", "40")];

async fn order(user: &User<'_>, name: usize) -> Answer {
    loop {
        let answer = user.post(PATH, &json!({"name": name.to_string()})).await;
        // Whoever waits too long for the others of the business is told so, and asks again.
        if answer.body["type"] != "urn:ffp:problem:busy" {
            return answer;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_requests_at_once_get_exactly_what_is_allowed() {
    let app = TestApp::start_serving(routes(), &MANY_SLOTS).await;
    let athlete = app.acme().athlete();
    let answers = join_all((0..20).map(|name| order(&athlete, name))).await;
    let accepted = answers.iter().filter(|answer| answer.status == StatusCode::ACCEPTED).count();
    assert_eq!(accepted, 5);
    for refused in answers.into_iter().filter(|answer| answer.status != StatusCode::ACCEPTED) {
        let refused = refused.assert_problem(429, "quota-exhausted");
        assert_eq!((&refused.body["limit"], &refused.body["used"]), (&json!(5), &json!(5)));
        let reset = refused.body["reset_seconds"].as_u64().unwrap();
        assert!((1..=24 * 3600).contains(&reset) && refused.header("retry-after") == reset.to_string());
        assert_eq!(refused.body["quota"], "test.work");
    }
    assert_eq!(app.count("select count(*) from quota_take").await, 5);
    assert_eq!(app.count("select count(*) from graphile_worker._private_jobs where key like '%test.work%'").await, 5);

    order(&app.acme().athlete2(), 0).await.assert(202);
    order(&app.globex().athlete(), 0).await.assert(202);
}

#[tokio::test]
async fn a_restarted_server_remembers_what_was_taken() {
    let app = TestApp::start_serving(routes(), &MANY_SLOTS).await;
    for name in 0..5 {
        order(&app.acme().athlete(), name).await.assert(202);
    }
    let again = app.another_instance().await;
    let usage = again.acme().athlete().get("/api/v1/usage").await.assert(200);
    assert_eq!(usage.body["quotas"][0]["name"], "plan.generate", "the test's allowance is none of the product's");
    order(&app.acme().athlete(), 5).await.assert_problem(429, "quota-exhausted");
    app.by_hand("update quota_take set taken_at = taken_at - interval '24 hours'").await;
    order(&app.acme().athlete(), 5).await.assert(202);
}
