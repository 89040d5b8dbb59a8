//! Buckets in process memory.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use parking_lot::Mutex;

use super::{Key, Rate, Verdict, gcra::Level};

/// Locks; each guards the buckets whose keys fall to it, for some ten nanoseconds at a time.
const SHARDS: usize = 64;
/// Buckets in a shard before full ones are looked for.
const FIRST_SWEEP: usize = 64;

pub(super) struct Local {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
}

struct Shard {
    levels: HashMap<Key, Level>,
    /// With so many buckets the full ones are dropped. Twice what was left the last time, so a sweep costs each
    /// newcomer a constant.
    sweep_at: usize,
}

impl Local {
    pub(super) fn new() -> Self {
        let shard = || Mutex::new(Shard { levels: HashMap::new(), sweep_at: FIRST_SWEEP });
        Self { shards: std::iter::repeat_with(shard).take(SHARDS).collect(), hasher: RandomState::new() }
    }

    pub(super) fn take(&self, key: Key, rate: Rate, now: u64) -> Verdict {
        let mut shard = self.shard(&key).lock();
        if let Some(level) = shard.levels.get_mut(&key) {
            return level.take(rate, now);
        }
        shard.make_room(now);
        shard.levels.entry(key).or_insert_with(|| Level::full(rate, now)).take(rate, now)
    }

    pub(super) fn give_back(&self, key: Key, rate: Rate, now: u64) {
        if let Some(level) = self.shard(&key).lock().levels.get_mut(&key) {
            level.give_back(rate, now);
        }
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one(key);
        &self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or_default()]
    }
}

impl Shard {
    /// Drops the buckets that are full again: a new one would be just like them.
    fn make_room(&mut self, now: u64) {
        if self.levels.len() >= self.sweep_at {
            self.levels.retain(|_, level| !level.is_full(now));
            self.sweep_at = (self.levels.len() * 2).max(FIRST_SWEEP);
            self.levels.shrink_to(self.sweep_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TenantId;

    #[test]
    fn buckets_that_are_full_again_are_forgotten_and_others_are_not() {
        let (local, rate) = (Local::new(), Rate::per_minute(2));
        let drained = Key::Tenant(TenantId::new());
        for _ in 0..3 {
            local.take(drained, rate, 30_000_000);
        }
        for _ in 0..100_000 {
            // One token is back after half a minute: each of these is full at the end, and forgotten on the way.
            local.take(Key::Tenant(TenantId::new()), rate, 0);
        }
        for _ in 0..100_000 {
            local.take(Key::Tenant(TenantId::new()), rate, 30_000_000);
        }
        let kept: usize = local.shards.iter().map(|shard| shard.lock().levels.len()).sum();
        assert!(kept < 150_000, "{kept} of 200,001");
        assert!(!local.take(drained, rate, 30_000_000).served);
    }

    #[test]
    fn no_bucket_is_anothers() {
        let (local, rate) = (Local::new(), Rate::per_minute(1));
        let [one, other] = [Key::Tenant(TenantId::new()), Key::Tenant(TenantId::new())];
        assert!(local.take(one, rate, 0).served);
        assert!(!local.take(one, rate, 0).served);
        assert!(local.take(other, rate, 0).served);
    }

    #[test]
    fn threads_that_take_at_once_get_no_more_than_there_is() {
        let (local, key) = (Local::new(), Key::Tenant(TenantId::new()));
        let served: usize = std::thread::scope(|scope| {
            let take = || (0..1000).filter(|_| local.take(key, Rate::per_minute(1500), 0).served).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_default()).sum()
        });
        assert_eq!(served, 1500);
    }
}
