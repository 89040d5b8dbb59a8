//! The audit log of all tenants.

use chrono::{Duration, Utc};
use serde_json::json;

use super::{AUDIT, lines, pages, subject, tenant};
use crate::support::TestApp;

/// So many lines, older ones first: acme's throttle set to 1, 2, 3 …
async fn act(app: &TestApp, times: i32) {
    let path = format!("{}/throttle", tenant(app.acme().tenant_id()));
    for limit in 1..=times {
        app.operator().put(&path, &json!({"requests_per_minute": limit})).await.assert(200);
    }
}

#[tokio::test]
async fn the_log_is_read_newest_first_and_by_tenant_action_actor_and_time() {
    let app = TestApp::start().await;
    let (acme, globex) = (app.acme().tenant_id(), app.globex().tenant_id());
    let begun = Utc::now();
    act(&app, 2).await;
    app.operator().get(&tenant(globex)).await.assert(200);
    app.acme().owner().patch("/api/v1/me", &json!({"full_name": "Olive"})).await.assert(200);

    let operators = lines(&app, &format!("actor_id={}", subject(&app.operator()))).await;
    let actions: Vec<&str> = operators.iter().map(|line| line["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["tenant.opened", "tenant.throttle-set", "tenant.throttle-set"]);
    assert_eq!(operators[1]["detail"]["to"], 2);
    assert_eq!(operators[2]["detail"]["to"], 1);
    assert_eq!(lines(&app, "action=tenant.throttle-set").await, operators[1..]);
    assert_eq!(lines(&app, &format!("action=tenant.opened&tenant_id={globex}")).await, operators[..1]);
    assert!(lines(&app, &format!("action=tenant.opened&tenant_id={acme}")).await.is_empty());
    assert!(lines(&app, "action=tenant").await.is_empty(), "an action is the whole word");

    let time = |at: chrono::DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    assert_eq!(lines(&app, &format!("from={}&action=tenant.throttle-set", time(begun))).await, operators[1..]);
    assert!(lines(&app, &format!("to={}&action=tenant.throttle-set", time(begun))).await.is_empty());
    assert!(lines(&app, &format!("from={}", time(Utc::now() + Duration::minutes(1)))).await.is_empty());
    assert!(lines(&app, "from=2000-01-01T00:00:00Z&to=2000-01-02T00:00:00Z").await.is_empty());
    assert!(!lines(&app, "from=0000-01-01T00:00:00Z&to=9999-12-31T23:59:59Z").await.is_empty());
    let second = operators[1]["at"].as_str().unwrap();
    assert_eq!(lines(&app, &format!("from={second}&action=tenant.throttle-set")).await, operators[1..2], "inclusive");
    assert_eq!(lines(&app, &format!("to={second}&action=tenant.throttle-set")).await, operators[2..], "exclusive");
}

#[tokio::test]
async fn pages_of_the_log_have_no_gap_and_no_double_while_lines_are_added() {
    let app = TestApp::start().await;
    act(&app, 7).await;
    for list in [format!("{AUDIT}?limit=3"), format!("{AUDIT}?limit=3&tenant_id={}", app.acme().tenant_id())] {
        let all = list.replace("limit=3", "limit=100");
        let expected = super::ids(&app.operator().get(&all).await.assert(200));
        assert!(expected.len() >= 7);
        let seen = pages(&app.operator(), &list, async || {
            app.operator().get(&tenant(app.acme().tenant_id())).await.assert(200);
        })
        .await;
        assert_eq!(seen, expected, "{list}");
    }
}
