use super::*;

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;

/// A bucket and how it was used, with the time by hand.
struct Tried {
    level: Level,
    now: u64,
    /// When a take was served.
    served: Vec<u64>,
    /// When one was refused.
    refused: Vec<u64>,
}

impl Tried {
    fn new(rate: Rate) -> Self {
        Self { level: Level::full(rate, 0), now: 0, served: Vec::new(), refused: Vec::new() }
    }

    fn take(&mut self, rate: Rate) -> Verdict {
        let verdict = self.level.take(rate, self.now);
        if verdict.served { &mut self.served } else { &mut self.refused }.push(self.now);
        verdict
    }

    /// How many of so many pass now.
    fn burst(&mut self, rate: Rate, count: u32) -> usize {
        (0..count).filter(|_| self.take(rate).served).count()
    }

    /// The bound, over each interval from one served take to another; and of every take that was refused, that it
    /// would have broken the bound.
    fn assert_bound(&self, rate: Rate) {
        let may_pass = |micros: u64| u128::from(rate.limit) * u128::from(rate.period + micros);
        let cost = |takes: usize| takes as u128 * u128::from(rate.period);
        for (first, from) in self.served.iter().enumerate() {
            for (count, to) in self.served[first..].iter().enumerate() {
                assert!(cost(count + 1) <= may_pass(to - from), "{} in {} µs", count + 1, to - from);
            }
        }
        for refused in &self.refused {
            let before = self.served.partition_point(|served| served <= refused);
            let breaks = |first: usize| cost(before - first + 1) > may_pass(refused - self.served[first]);
            assert!((0..before).any(breaks), "refused at {refused} without need");
        }
    }
}

/// A generator of numbers that look random and are the same in each run (Knuth's MMIX).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn a_full_bucket_serves_exactly_its_limit_at_once() {
    for limit in [1, 2, 7, 60, 999, 1000, 1_000_000] {
        let rate = Rate::per_minute(limit);
        assert_eq!(Tried::new(rate).burst(rate, limit + 10), limit as usize);
    }
}

#[test]
fn a_token_is_back_exactly_when_it_is_due() {
    // 7 a minute: one in 8,571,428.57 µs, and not a microsecond earlier.
    let rate = Rate::per_minute(7);
    let mut tried = Tried::new(rate);
    tried.burst(rate, 7);
    tried.now = 7_571_428;
    assert_eq!(tried.take(rate).reset_seconds, 2, "it takes a second and a part of a microsecond");
    tried.now = 8_571_428;
    assert!(!tried.take(rate).served);
    tried.now = 8_571_429;
    assert!(tried.take(rate).served);
    // The fraction was not lost: the second one is due after twice the time, not after twice the rounded time.
    tried.now = 17_142_857;
    assert!(!tried.take(rate).served);
    tried.now = 17_142_858;
    assert!(tried.take(rate).served);
}

#[test]
fn whatever_arrives_the_bound_holds_over_every_interval_and_nothing_below_it_is_refused() {
    let mut numbers = Numbers(1);
    for limit in [1, 3, 7, 60, 100] {
        for crowding in [1, 3, 10] {
            let rate = Rate::per_minute(limit);
            let mut tried = Tried::new(rate);
            for _ in 0..1500 {
                // Bursts, and pauses that are now and then long enough to fill the bucket.
                tried.now += match numbers.below(200) {
                    0 => numbers.below(2 * MINUTE),
                    1..50 => 0,
                    _ => numbers.below(2 * MINUTE / u64::from(limit) / crowding + 1),
                };
                tried.take(rate);
            }
            assert!(tried.served.len() > 10 && !tried.refused.is_empty(), "both were seen");
            tried.assert_bound(rate);
        }
    }
}

#[test]
fn other_windows_keep_the_bound_too() {
    let rate = Rate::per(10, Duration::from_secs(900));
    let mut tried = Tried::new(rate);
    let mut numbers = Numbers(2);
    for _ in 0..500 {
        tried.now += numbers.below(120 * SECOND);
        tried.take(rate);
    }
    assert!(!tried.refused.is_empty());
    tried.assert_bound(rate);
}

#[test]
fn what_is_told_is_what_happens() {
    let rate = Rate::per_minute(5);
    let mut tried = Tried::new(rate);
    for left in [4, 3, 2, 1, 0] {
        let verdict = tried.take(rate);
        assert_eq!((verdict.served, verdict.limit, verdict.left, verdict.used()), (true, 5, left, 5 - left));
        assert_eq!(verdict.reset_seconds, 12);
    }
    tried.now = 4 * SECOND;
    let verdict = tried.take(rate);
    assert_eq!((verdict.served, verdict.left, verdict.used(), verdict.reset_seconds), (false, 0, 5, 8));
    // Waiting so long helps, and not only almost.
    tried.now += 8 * SECOND - 1;
    assert!(!tried.take(rate).served);
    tried.now += 1;
    assert!(tried.take(rate).served);
}

#[test]
fn a_raised_limit_serves_more_at_once() {
    let (low, high) = (Rate::per_minute(5), Rate::per_minute(50));
    let mut tried = Tried::new(low);
    assert_eq!(tried.burst(low, 10), 5);
    assert_eq!(tried.burst(high, 100), 45, "the five that were taken count");
    tried.now += MINUTE / 50;
    assert!(tried.take(high).served, "and it refills at the new rate");
}

#[test]
fn a_lowered_limit_holds_at_once() {
    let (low, high) = (Rate::per_minute(5), Rate::per_minute(50));
    let mut tried = Tried::new(high);
    tried.burst(high, 20);
    let verdict = tried.take(low);
    assert_eq!((verdict.served, verdict.left, verdict.used()), (false, 0, 5));
    // 16 of the 20 must come back at 12 s each before one more may pass.
    assert_eq!(verdict.reset_seconds, 192);
    tried.now += 192 * SECOND - 1;
    assert!(!tried.take(low).served);
    tried.now += 1;
    assert!(tried.take(low).served);
}

#[test]
fn changing_the_limit_back_and_forth_refills_nothing() {
    let (low, high) = (Rate::per_minute(5), Rate::per_minute(1000));
    let mut tried = Tried::new(low);
    assert_eq!(tried.burst(low, 10), 5);
    // Eleven seconds at the low rate bring no token, however briefly the high one holds afterwards.
    tried.now = 11 * SECOND;
    tried.level.give_back(high, tried.now);
    assert!(tried.take(high).served, "the one that was given back");
    assert!(!tried.take(low).served);
    for _ in 0..100 {
        assert_eq!(tried.level.take(low, tried.now).left, 0);
        tried.level.pass(high, tried.now);
    }
}

#[test]
fn a_token_that_is_given_back_can_be_taken_again_and_fills_nothing_over_the_brim() {
    let rate = Rate::per_minute(2);
    let mut tried = Tried::new(rate);
    tried.level.give_back(rate, 0);
    assert_eq!(tried.burst(rate, 5), 2);
    tried.level.give_back(rate, 0);
    assert_eq!(tried.burst(rate, 5), 1);
}

#[test]
fn a_clock_that_goes_back_gives_nothing_back_and_stops_nothing() {
    let rate = Rate::per_minute(1);
    let mut level = Level::full(rate, 100 * MINUTE);
    assert!(level.take(rate, 100 * MINUTE).served);
    assert!(!level.take(rate, 0).served);
    assert!(level.take(rate, MINUTE).served, "a minute after the moment to which it went back");
}

#[test]
fn shares_add_up_to_the_whole() {
    for (limit, instances) in [(1000, 3), (7, 3), (60, 4), (10, 10)] {
        let rate = Rate::per_minute(limit);
        let share = rate.share(instances);
        let each = Tried::new(share).burst(share, limit);
        assert_eq!(each, (limit / instances) as usize);
        // Over an hour, busy all the time, as much comes back as without sharing, but for the last token of each.
        let mut sum = 0;
        for _ in 0..instances {
            let mut tried = Tried::new(share);
            tried.burst(share, limit);
            for _ in 0..60 * 10 {
                tried.now += MINUTE / 10;
                tried.burst(share, limit);
            }
            sum += tried.served.len() - each;
        }
        let whole = 60 * limit as usize;
        assert!((whole - instances as usize..=whole).contains(&sum), "{sum} of {whole}");
    }
}

#[test]
fn a_share_is_one_at_least_and_is_told_as_the_whole() {
    let rate = Rate::per_minute(2);
    let share = rate.share(5);
    let mut tried = Tried::new(share);
    assert_eq!(tried.burst(share, 9), 1);
    let verdict = tried.take(share);
    assert_eq!((verdict.limit, verdict.used(), verdict.left), (2, 2, 0));
    assert_eq!(verdict.reset_seconds, 150, "a fifth of two a minute is one in 150 s");
    assert_eq!(rate.share(1), rate);
}

#[test]
fn a_bucket_is_forgotten_only_when_it_is_full() {
    let rate = Rate::per_minute(60);
    let mut level = Level::full(rate, 0);
    assert!(level.is_full(0));
    level.take(rate, 0);
    assert!(!level.is_full(SECOND - 1));
    assert!(level.is_full(SECOND));
}

#[test]
fn no_limit_is_too_large_or_too_small_to_be_exact() {
    for limit in [0, 1, u32::MAX] {
        let rate = Rate::per(limit, Duration::from_secs(3600));
        assert!(rate.limit() >= 1 && rate.units(rate.capacity()) <= EXACT, "{rate:?}");
        assert!(Level::full(rate, u64::MAX).take(rate, u64::MAX).served);
    }
}
