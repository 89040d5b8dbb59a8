//! The throttle on several instances: together through Redis, each its share without, and what happens between.

use std::time::{Duration, Instant};

use devstack::redis::Redis;

use crate::{
    support::{Answer, TestApp, User, proxy::Proxy},
    throttle::burst,
};

const ME: &str = "/api/v1/me";

/// A slow machine is no store that is away.
fn shared(url: &str) -> [(&str, &str); 3] {
    [("VALKEY_URL", url), ("FFP_INSTANCES", "2"), ("FFP_VALKEY_TIMEOUT_MS", "10000")]
}

/// So many requests to each of two instances at once; how many were served together.
async fn burst_on_both(one: &User<'_>, other: &User<'_>, count: usize) -> usize {
    let (one, other) = tokio::join!(burst(one, count), burst(other, count));
    one.0 + other.0
}

/// A burst at a limit of 21 was served as a whole: more than twice the half of it, rounded down. What came back meanwhile
/// is none or one, as a rule; the sum is exact however slow the machine is.
#[track_caller]
fn assert_whole(served: usize, since: Instant) {
    let back = usize::try_from(since.elapsed().as_millis() * 21 / 60_000).unwrap();
    assert!((21..=21 + back).contains(&served), "{served} of 21 and {back}");
}

/// Waits until the store is in use.
async fn until_shared(apps: [&TestApp; 2]) {
    let since = Instant::now();
    while !apps.iter().all(|app| app.platform.tenants.buckets().are_shared()) {
        assert!(since.elapsed() < Duration::from_secs(60), "the store is not used");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn two_instances_serve_exactly_the_limit_together() {
    let redis = Redis::start().await.unwrap();
    let app = TestApp::start_with(&shared(&redis.url())).await;
    let other = app.another_instance_with(&shared(&redis.url())).await;
    app.set_limit(app.acme().tenant_id(), 21).await;
    let since = Instant::now();
    let served = burst_on_both(&app.acme().owner(), &other.acme().coach(), 30).await;
    assert_whole(served, since);
    assert_eq!(burst_on_both(&app.globex().owner(), &other.globex().owner(), 5).await, 10);
    assert!(app.platform.tenants.buckets().are_shared() && other.platform.tenants.buckets().are_shared());
}

#[tokio::test]
async fn while_the_store_is_away_each_instance_serves_its_share_and_then_they_count_together_again() {
    let mut redis = Redis::start().await.unwrap();
    let url = redis.url();
    let (app, time) = TestApp::start_by_hand(&shared(&url)).await;
    let other = app.another_instance_with(&shared(&url)).await;
    app.set_limit(app.acme().tenant_id(), 21).await;
    let (one, two) = (app.acme().owner(), other.acme().owner());
    let since = Instant::now();
    let served = burst_on_both(&one, &two, 30).await;
    assert_whole(served, since);

    redis.stop().await.unwrap();
    let (one_alone, two_alone) = (burst(&one, 30).await, burst(&two, 30).await);
    assert_eq!((one_alone.0, two_alone.0), (10, 10));
    let refused = &one_alone.1[0];
    assert_eq!((refused.body["limit"].as_u64(), refused.body["used"].as_u64()), (Some(21), Some(21)));
    assert_eq!(refused.header("retry-after"), "6", "half of 21 a minute");
    time.advance(Duration::from_secs(6));
    assert_eq!((burst(&one, 3).await.0, burst(&two, 3).await.0), (1, 1));
    assert_eq!(burst(&app.globex().owner(), 5).await.0, 5);
    assert!(!app.platform.tenants.buckets().are_shared());

    redis.start_again().await.unwrap();
    until_shared([&app, &other]).await;
    let since = Instant::now();
    let served = burst_on_both(&one, &two, 30).await;
    assert_whole(served, since);
}

#[tokio::test]
async fn an_instance_that_alone_cannot_reach_the_store_serves_its_share_on_top() {
    let redis = Redis::start().await.unwrap();
    let line = Proxy::to(redis.port()).await;
    let (direct, through) = (redis.url(), format!("redis://127.0.0.1:{}", line.port()));
    let (app, _time) = TestApp::start_by_hand(&shared(&direct)).await;
    let cut_off = app.another_instance_with(&shared(&through)).await;
    until_shared([&app, &cut_off]).await;
    app.set_limit(app.acme().tenant_id(), 21).await;
    line.close();
    assert_eq!(burst(&cut_off.acme().owner(), 30).await.0, 10, "half, rounded down");
    let since = Instant::now();
    let served = burst(&app.acme().owner(), 30).await.0;
    assert_whole(served, since);
    assert!(app.platform.tenants.buckets().are_shared() && !cut_off.platform.tenants.buckets().are_shared());
}

#[tokio::test]
async fn a_store_that_is_silent_holds_nobody_up() {
    let redis = Redis::start().await.unwrap();
    let silent = Proxy::to(redis.port()).await;
    let url = format!("redis://127.0.0.1:{}", silent.port());
    // The shortest patience: each call would take it, if each were made.
    let settings = [("VALKEY_URL", url.as_str()), ("FFP_INSTANCES", "2"), ("FFP_VALKEY_TIMEOUT_MS", "1000")];
    let (app, _time) = TestApp::start_by_hand(&settings).await;
    app.set_limit(app.acme().tenant_id(), 20).await;
    app.acme().owner().get(ME).await.assert(200);
    until_shared([&app, &app]).await;
    silent.fall_silent();
    assert_eq!(burst(&app.acme().owner(), 30).await.0, 10, "its share");
    assert!(!app.platform.tenants.buckets().are_shared());
    silent.open().await;
    until_shared([&app, &app]).await;
    app.globex().owner().get(ME).await.assert(200);
}

#[tokio::test]
async fn several_instances_without_a_store_serve_a_share_each() {
    let alone = [("FFP_INSTANCES", "4")];
    let (app, time) = TestApp::start_by_hand(&alone).await;
    let other = app.another_instance_with(&alone).await;
    app.set_limit(app.acme().tenant_id(), 20).await;
    for app in [&app, &other] {
        let (served, refused) = burst(&app.acme().owner(), 20).await;
        assert_eq!(served, 5);
        assert!(refused.iter().all(|answer: &Answer| answer.header("retry-after") == "12"));
    }
    time.advance(Duration::from_secs(12));
    assert_eq!(burst(&app.acme().owner(), 20).await.0, 1);
}
