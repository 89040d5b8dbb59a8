//! The metrics that are made of log lines count what happened: lines that the real binary wrote, through each pattern of
//! `infra/log_metrics.json`.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    pattern::{Pattern, select},
    process::{GLANCE, PATIENCE, Process},
    shared,
    support::{CONFIRMATION_CODE, PASSWORD, TestApp, registration, stack, stack::environment},
};

#[derive(Deserialize)]
struct Metric {
    command: String,
    pattern: String,
    value: String,
    unit: String,
}

/// What an api did that is counted.
#[derive(Default)]
struct Happened {
    sign_ups: usize,
    plays: usize,
    throttled: usize,
    failed: usize,
}

/// A business signs up and a coach joins; neither by a wrong code.
async fn sign_up(app: &TestApp, api: &str) -> usize {
    let (anyone, at) = (app.anonymous(), |path: &str| format!("{api}/api/v1/auth/{path}"));
    let email = app.fresh_email("counted");
    anyone.post(&at("register"), &registration(&email, Some("Counted"))).await.assert(201);
    let confirm = async |code: &str| anyone.post(&at("confirm"), &json!({"email": email, "code": code})).await;
    assert!(confirm("000000").await.status.is_client_error());
    confirm(CONFIRMATION_CODE).await.assert(204);

    let email = app.fresh_email("invited");
    let invitation = json!({"email": email, "role": "coach"});
    app.acme().owner().post("/api/v1/invitations", &invitation).await.assert(201);
    app.run_jobs().await;
    let token = app.invitation_token(&email).await;
    let accept = async |token: &str| {
        let acceptance = json!({"token": token, "password": PASSWORD, "full_name": "Ivy Invited"});
        anyone.post(&at("accept-invitation"), &acceptance).await
    };
    assert!(accept("nobody.s").await.status.is_client_error());
    accept(&token).await.assert(201);
    2
}

/// A video is looked up and watched, and one that is not there is asked for.
async fn play(app: &TestApp, api: &str) -> usize {
    const TIMES: usize = 3;
    let video = app.acme().coach().add_published_video("Counted").await;
    let stream = |id: &str| format!("{api}/api/v1/videos/{id}/stream");
    app.acme().athlete().get(&format!("{api}/api/v1/videos/{}", video.id())).await.assert(200);
    for _ in 0..TIMES {
        app.acme().athlete().get(&stream(video.id())).await.assert(200);
    }
    app.acme().athlete().get(&stream("0190a1b2-0000-7000-8000-000000000000")).await.assert_not_found();
    TIMES
}

/// A business asks for more than it may, and somebody without a token does.
async fn throttle(app: &TestApp, api: &str) -> usize {
    let globex = app.globex();
    let limit = sqlx::query("update tenant set requests_per_minute = 2 where id = $1::uuid").bind(globex.tenant_id());
    limit.execute(&mut app.superuser().await).await.unwrap();
    let mut throttled = 0;
    for _ in 0..10 {
        throttled += usize::from(globex.owner().get(&format!("{api}/api/v1/me")).await.status == 429);
    }
    assert!(throttled > 0);
    let wrong = json!({"email": app.fresh_email("stranger"), "password": "a wrong password"});
    let mut strangers = 0;
    for _ in 0..20 {
        strangers += usize::from(app.anonymous().post(&format!("{api}/api/v1/auth/login"), &wrong).await.status == 429);
    }
    assert!(strangers > 0, "nobody without a tenant was refused");
    throttled
}

/// Something breaks.
async fn fail(app: &TestApp, api: &str) -> usize {
    let video = app.acme().coach().add_video("Unwatched").await;
    app.by_hand("alter table video_progress rename to lost").await;
    let path = format!("{api}/api/v1/videos/{}/progress", video.id());
    let body = json!({"position_seconds": 1.0});
    app.acme().owner().post(&path, &body).await.assert(500);
    app.by_hand("alter table lost rename to video_progress").await;
    1
}

/// A worker whose mail is refused, until a job has failed.
async fn fail_a_job(app: &TestApp, environment: &HashMap<String, String>) -> Vec<Value> {
    let invitation = json!({"email": app.fresh_email("unreachable"), "role": "coach"});
    app.acme().owner().post("/api/v1/invitations", &invitation).await.assert(201);
    let mut environment = environment.clone();
    environment.insert("FFP_MAIL_FROM".to_owned(), "nobody@unverified.example".to_owned());
    let worker = Process::start("worker", &environment, None);
    let began = Instant::now();
    while !(worker.output().contains("job failed") && worker.output().contains("\"queue\"")) {
        assert!(began.elapsed() < PATIENCE, "no job failed: {}", worker.output());
        tokio::time::sleep(GLANCE).await;
    }
    lines(worker.finish().await)
}

/// What was written in JSON, which is everything.
fn lines(written: Vec<String>) -> Vec<Value> {
    let read = |line: String| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    written.into_iter().map(read).collect()
}

#[tokio::test]
async fn each_metric_counts_what_happened_and_nothing_else() {
    let app = TestApp::start().await;
    let mut environment = environment(&stack().basis(), &app.database_name, &app.base);
    environment.insert("FFP_LOG".to_owned(), "info".to_owned());
    environment.insert("FFP_LOGIN_ATTEMPTS".to_owned(), "4".to_owned());

    let (api, base) = Process::api(&environment, None).await;
    let mut happened = Happened::default();
    happened.sign_ups += sign_up(&app, &base).await;
    happened.plays += play(&app, &base).await;
    happened.throttled += throttle(&app, &base).await;
    happened.failed += fail(&app, &base).await;
    let of_api = lines(api.finish().await);
    let of_worker = fail_a_job(&app, &environment).await;
    let attempts = app.count("select sum(attempts)::bigint from graphile_worker._private_jobs").await;

    let metrics: BTreeMap<String, Metric> = shared("log_metrics.json");
    let mut counted = BTreeMap::new();
    for (name, metric) in &metrics {
        let pattern = Pattern::parse(&metric.pattern).unwrap_or_else(|error| panic!("{name}: {error}"));
        let lines = match metric.command.as_str() {
            "api" => &of_api,
            "worker" => &of_worker,
            other => panic!("{name}: there is no log of {other}"),
        };
        let matched: Vec<&Value> = lines.iter().filter(|line| pattern.matches(line)).collect();
        for line in &matched {
            // A number, or the field that holds one.
            let value = metric.value.parse().ok().or_else(|| select(line, &metric.value)?.as_f64());
            assert!(value.is_some_and(|value: f64| value >= 0.0), "{name}: {} of {line}", metric.value);
        }
        assert!(["Count", "Seconds"].contains(&metric.unit.as_str()), "{name}");
        counted.insert(name.as_str(), matched.len());
    }

    let failures = of_api.iter().filter(|line| line["level"] == "ERROR").count();
    assert!(failures >= happened.failed, "a failure that nobody wrote down");
    let expected = [
        ("Failures", failures),
        ("JobFailures", usize::try_from(attempts).unwrap()),
        ("Plays", happened.plays),
        // Once a minute, and at the start.
        ("QueueAge", 1),
        ("SignUps", happened.sign_ups),
        ("Throttled", happened.throttled),
    ];
    assert_eq!(counted, expected.into());
    assert!(counted.values().all(|count| *count > 0), "{counted:?}");
}
