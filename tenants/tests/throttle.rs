//! Buckets in a real Redis: what several processes may take together, and what happens while it is away.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use devstack::redis::Redis;
use futures::future::join_all;
use tenants::{
    LimitsConfig, TenantId,
    throttle::{Buckets, Clock, Hand, Key, Rate},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// One of three instances. A slow machine is no store that is away.
fn instance(url: &str) -> Buckets {
    patient(url, Duration::from_secs(10))
}

fn patient(url: &str, patience: Duration) -> Buckets {
    let config = LimitsConfig {
        valkey_url: Some(url.to_owned().into()),
        valkey_timeout: patience,
        instances: 3,
        clock: Clock::Hand(Hand::default()),
        ..LimitsConfig::default()
    };
    Buckets::new(&config).unwrap()
}

fn anybody() -> Key {
    Key::Tenant(TenantId::new())
}

async fn served(buckets: &Buckets, key: Key, rate: Rate, count: usize) -> usize {
    let takes = join_all((0..count).map(|_| buckets.take(key, rate))).await;
    takes.iter().filter(|taken| taken.verdict.served).count()
}

/// A question to the server itself.
async fn ask<T: redis::FromRedisValue>(redis: &Redis, command: &str, arguments: &[&str]) -> T {
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd(command).arg(arguments).query_async(&mut connection).await.unwrap()
}

/// How often anybody has connected so far, this question included.
async fn connections(redis: &Redis) -> i64 {
    let told: String = ask(redis, "INFO", &["stats"]).await;
    let line = told.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    line.unwrap().trim().parse().unwrap()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(60), "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn three_instances_take_no_more_than_there_is_and_all_of_it() {
    let redis = Redis::start().await.unwrap();
    let instances = [(); 3].map(|()| instance(&redis.url()));
    // So slow a refill that none comes while this runs.
    let (key, rate) = (anybody(), Rate::per(100, 100 * DAY));
    let one = instances[0].take(key, rate).await;
    let takes = instances.each_ref().map(|buckets| served(buckets, key, rate, 60));
    assert_eq!(join_all(takes).await.into_iter().sum::<usize>(), 99);
    let refused = instances[0].take(key, rate).await.verdict;
    assert_eq!((refused.served, refused.limit, refused.left, refused.used()), (false, 100, 0, 100));
    instances[1].give_back(one).await;
    assert_eq!(served(&instances[2], key, rate, 5).await, 1);
    assert_eq!(served(&instances[2], anybody(), rate, 5).await, 5, "another's bucket is untouched");
    // A changed limit holds at once on all, with what was used before.
    assert_eq!(served(&instances[0], key, Rate::per(103, 100 * DAY), 5).await, 3);
    assert_eq!(served(&instances[1], key, rate, 5).await, 0);
}

#[tokio::test]
async fn a_bucket_names_its_tenant_and_is_forgotten_when_it_is_full() {
    let redis = Redis::start().await.unwrap();
    let (buckets, tenant) = (instance(&redis.url()), TenantId::new());
    let (key, rate) = (Key::Tenant(tenant), Rate::per_minute(1));
    let taken = buckets.take(key, rate).await;
    assert!(taken.verdict.served);
    let name = format!("ffp:throttle:{tenant}");
    let expiry: i64 = ask(&redis, "PTTL", &[&name]).await;
    assert!((1..=60_001).contains(&expiry), "{expiry} ms");
    buckets.give_back(taken).await;
    let kept: u8 = ask(&redis, "EXISTS", &[&name]).await;
    assert_eq!(kept, 0, "a full bucket is none");
}

#[tokio::test]
async fn a_server_that_forgot_the_script_is_told_again() {
    let redis = Redis::start().await.unwrap();
    let (buckets, key, rate) = (instance(&redis.url()), anybody(), Rate::per(9, 100 * DAY));
    assert_eq!(served(&buckets, key, rate, 4).await, 4);
    let _: String = ask(&redis, "SCRIPT", &["FLUSH"]).await;
    assert_eq!(served(&buckets, key, rate, 9).await, 5);
    assert!(buckets.are_shared());
}

#[tokio::test]
async fn a_store_that_comes_late_is_used_from_then_on() {
    let mut redis = Redis::start().await.unwrap();
    redis.stop().await.unwrap();
    let (buckets, key, rate) = (instance(&redis.url()), anybody(), Rate::per(30, 100 * DAY));
    assert_eq!(served(&buckets, key, rate, 20).await, 10, "a third");
    assert!(!buckets.are_shared());
    redis.start_again().await.unwrap();
    until("the store's use", || buckets.are_shared()).await;
    assert_eq!(served(&buckets, key, rate, 40).await, 30);
    for _ in 0..3 {
        redis.stop().await.unwrap();
        assert_eq!(served(&buckets, anybody(), rate, 20).await, 10);
        redis.start_again().await.unwrap();
        until("the store's use", || buckets.are_shared()).await;
        assert_eq!(served(&buckets, anybody(), rate, 40).await, 30);
    }
}

#[tokio::test]
async fn a_token_is_given_back_where_it_was_taken_and_nowhere_else() {
    let mut redis = Redis::start().await.unwrap();
    let (buckets, key, rate) = (instance(&redis.url()), anybody(), Rate::per(30, 100 * DAY));
    let before = buckets.take(key, rate).await;
    assert!(before.verdict.served && buckets.are_shared());
    redis.stop().await.unwrap();
    let own = buckets.take(key, rate).await;
    assert!(own.verdict.served && !buckets.are_shared());
    assert_eq!(served(&buckets, key, rate, 20).await, 9, "the rest of a third");
    buckets.give_back(before).await;
    assert_eq!(served(&buckets, key, rate, 5).await, 0, "the store's token is none of the share's");
    redis.start_again().await.unwrap();
    until("the store's use", || buckets.are_shared()).await;
    assert_eq!(served(&buckets, key, rate, 40).await, 30);
    buckets.give_back(own).await;
    assert_eq!(served(&buckets, key, rate, 5).await, 0, "the share's token is none of the store's");
    redis.stop().await.unwrap();
    assert_eq!(served(&buckets, key, rate, 5).await, 1, "it is where it was taken");
}

#[tokio::test]
async fn a_server_that_refuses_is_a_store_that_is_away() {
    let redis = Redis::start().await.unwrap();
    let (buckets, rate) = (instance(&redis.url()), Rate::per(30, 100 * DAY));
    assert_eq!(served(&buckets, anybody(), rate, 40).await, 30);
    // As a primary that has become a replica answers: it is there, and takes no writes.
    let _: String = ask(&redis, "REPLICAOF", &["127.0.0.1", "1"]).await;
    assert_eq!(served(&buckets, anybody(), rate, 40).await, 10);
    // It is tried again and again meanwhile, which makes more connections than these questions do, and found no better.
    let before: i64 = connections(&redis).await;
    let since = Instant::now();
    for asked in 1.. {
        if connections(&redis).await > before + asked + 2 {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "it is not tried again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!buckets.are_shared());
    let _: String = ask(&redis, "REPLICAOF", &["NO", "ONE"]).await;
    until("the store's use", || buckets.are_shared()).await;
    assert_eq!(served(&buckets, anybody(), rate, 40).await, 30);
}

#[tokio::test]
async fn an_address_with_tls_at_which_nobody_speaks_it_is_a_store_that_is_away() {
    let redis = Redis::start().await.unwrap();
    let buckets = patient(&format!("rediss://127.0.0.1:{}", redis.port()), Duration::from_millis(50));
    assert_eq!(served(&buckets, anybody(), Rate::per(30, 100 * DAY), 20).await, 10);
    assert!(!buckets.are_shared());
}
