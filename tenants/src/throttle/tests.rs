//! What the two stores have in common, and what happens between them.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;

fn config(instances: u32) -> (LimitsConfig, Hand) {
    let hand = Hand::default();
    (LimitsConfig { instances, clock: Clock::Hand(hand.clone()), ..LimitsConfig::default() }, hand)
}

async fn served(buckets: &Buckets, key: Key, rate: Rate, count: u32) -> u32 {
    let mut served = 0;
    for _ in 0..count {
        served += u32::from(buckets.take(key, rate).await.verdict.served);
    }
    served
}

#[tokio::test]
async fn a_process_alone_serves_the_whole_limit() {
    let (config, hand) = config(1);
    let buckets = Buckets::new(&config).unwrap();
    let (key, rate) = (Key::Tenant(TenantId::new()), Rate::per_minute(30));
    assert_eq!(served(&buckets, key, rate, 50).await, 30);
    hand.advance(Duration::from_secs(10));
    assert_eq!(served(&buckets, key, rate, 4).await, 4);
    let last = buckets.take(key, rate).await;
    let none = buckets.take(key, rate).await;
    assert!(last.verdict.served && !none.verdict.served);
    buckets.give_back(none).await;
    assert_eq!(served(&buckets, key, rate, 50).await, 0, "what was refused is not given back");
    buckets.give_back(last).await;
    assert_eq!(served(&buckets, key, rate, 50).await, 1);
    assert!(!buckets.are_shared());
}

#[tokio::test]
async fn several_without_a_store_serve_a_share_each() {
    let (config, hand) = config(3);
    let key = Key::Tenant(TenantId::new());
    let instances = [(); 3].map(|()| Buckets::new(&config).unwrap());
    let (mut at_once, mut later) = (0, 0);
    for buckets in &instances {
        at_once += served(buckets, key, Rate::per_minute(30), 50).await;
    }
    hand.advance(Duration::from_secs(20));
    for buckets in &instances {
        later += served(buckets, key, Rate::per_minute(30), 50).await;
    }
    // A third of 30 a minute is 3 and a third in 20 s.
    assert_eq!((at_once, later), (30, 9));
}

#[test]
fn keys_name_their_owner_and_what_is_counted() {
    let tenant = TenantId::new();
    assert_eq!(Key::Tenant(tenant).to_string(), format!("ffp:throttle:{tenant}"));
    assert_eq!(Key::Digest("password", [0xab; 32]).to_string(), format!("ffp:password:{}", "ab".repeat(32)));
}

#[test]
fn a_url_that_is_none_is_refused_without_being_repeated() {
    let (mut config, _) = config(1);
    config.valkey_url = Some("redis://:hunter2@[::bad".to_owned().into());
    let error = Buckets::new(&config).unwrap_err().to_string();
    assert!(error.contains("VALKEY_URL") && !error.contains("hunter2"), "{error}");
}

/// The script, told the time instead of asking for it; and so without an expiry, which the server counts by its own.
fn timed_script() -> String {
    let mut script = valkey::SCRIPT.to_owned();
    for (asks, told) in [
        ("redis.call('TIME')", "{tonumber(ARGV[5] or 0), tonumber(ARGV[6] or 0)}"),
        (", 'PX', string.format('%.0f', expiry))", ")"),
    ] {
        assert!(script.contains(asks));
        script = script.replace(asks, told);
    }
    script
}

#[tokio::test]
async fn the_script_answers_what_the_arithmetic_does() {
    let redis = devstack::redis::Redis::start().await.unwrap();
    let valkey = Valkey::new(&redis.url().into(), Duration::from_secs(10), &timed_script()).unwrap();
    let mut number = 1_u64;
    let mut below = move |bound: u64| {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (number >> 33) % bound
    };
    let rates = [1, 7, 60, 1000, 1_000_000].map(Rate::per_minute);
    for _ in 0..6 {
        let (key, local) = (Key::Tenant(TenantId::new()), Local::new());
        // As in a real server: a time beyond what a float of 32 bits could tell apart.
        let mut now = 1_795_000_000_000_000;
        let mut rate = rates[0];
        for _ in 0..300 {
            now += match below(20) {
                0 => below(2 * rate.period()),
                1..6 => 0,
                _ => below(rate.period() / u64::from(rate.refill()) + 2),
            };
            if below(25) == 0 {
                rate = rates[usize::try_from(below(5)).unwrap()];
            }
            let clock = [now / 1_000_000, now % 1_000_000];
            if below(6) == 0 {
                valkey.change(&key, rate, Change::GiveBack, &clock).await.unwrap();
                local.give_back(key, rate, now);
            } else {
                let verdict = valkey.change(&key, rate, Change::Take, &clock).await.unwrap();
                assert_eq!(verdict, local.take(key, rate, now), "{rate:?} at {now}");
            }
        }
    }
}
