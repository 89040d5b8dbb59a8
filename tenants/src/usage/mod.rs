//! Usage: what each tenant used, counted in memory and written in batches.
//!
//! A feature declares a meter, `const STREAMED: Meter = Meter("videos.streamed")`, and counts:
//! `tenants.usage().add(tenant, STREAMED, 1)`. Every 5 s, and when a process drains, the amounts are added to the table
//! `usage`, by day (`flush.rs`). A process that is killed loses what it counted since, a few seconds at most; a batch whose
//! answer is lost with the connection may be counted twice. So these are figures to watch and to bill roundly by, and no
//! limit hangs on them.

mod flush;

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use chrono::NaiveDate;
use parking_lot::RwLock;

use crate::TenantId;

/// Something that is counted per tenant and day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Meter(
    /// Its name, `feature.verb`.
    pub &'static str,
);

/// Requests by members of the tenant, throttled ones among them.
pub const REQUESTS: Meter = Meter("requests");
/// Requests that the tenant's throttle refused.
pub const THROTTLED: Meter = Meter("requests.throttled");
/// Background jobs that were done.
pub const JOBS: Meter = Meter("jobs");

/// Tenants are spread over so many maps, so that counting for one seldom waits for another.
const SHARDS: usize = 16;
/// So many pairs of tenant and meter are counted at once, about 10 MB. Beyond, amounts are dropped and that is logged.
const MOST: usize = 100_000;

/// The amounts counted since the last batch. Adding for a tenant that was counted lately takes a read lock and an
/// atomic addition.
pub struct Usage {
    shards: [RwLock<HashMap<(TenantId, Meter), AtomicU64>>; SHARDS],
    /// Collected and not written yet.
    unsent: tokio::sync::Mutex<flush::Batch>,
    dropped: AtomicU64,
}

impl Usage {
    pub(crate) fn new() -> Self {
        Self { shards: Default::default(), unsent: Default::default(), dropped: AtomicU64::new(0) }
    }

    /// Adds to a tenant's meter.
    pub fn add(&self, tenant: TenantId, meter: Meter, amount: u64) {
        // The last byte of an id is random.
        let shard = &self.shards[usize::from(tenant.0.as_bytes()[15]) % SHARDS];
        if let Some(counted) = shard.read().get(&(tenant, meter)) {
            counted.fetch_add(amount, Ordering::Relaxed);
            return;
        }
        let mut shard = shard.write();
        if shard.len() < MOST / SHARDS || shard.contains_key(&(tenant, meter)) {
            shard.entry((tenant, meter)).or_default().fetch_add(amount, Ordering::Relaxed);
        } else {
            self.dropped.fetch_add(amount, Ordering::Relaxed);
        }
    }

    /// Moves all amounts into `batch`, as of `day`. A pair that was not counted since the last time is forgotten.
    fn collect(&self, batch: &mut flush::Batch, day: NaiveDate) {
        for shard in &self.shards {
            shard.write().retain(|(tenant, meter), counted| {
                let amount = std::mem::take(counted.get_mut());
                if amount > 0 {
                    batch.add(*tenant, *meter, day, amount);
                }
                amount > 0
            });
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::error!(dropped, "usage of too many tenants at once was not counted");
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const DAY: NaiveDate = NaiveDate::from_ymd_opt(2026, 11, 21).expect("a day");

    fn tenant(number: u128) -> TenantId {
        TenantId(Uuid::from_u128(number))
    }

    #[test]
    fn what_many_threads_count_is_collected_once_and_whole() {
        let usage = Usage::new();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1000).for_each(|n| usage.add(tenant(n % 3), REQUESTS, 2)));
            }
        });
        let mut batch = flush::Batch::default();
        usage.collect(&mut batch, DAY);
        usage.collect(&mut batch, DAY);
        let amounts: Vec<u64> = (0..3).map(|n| batch.amount(tenant(n), REQUESTS, DAY)).collect();
        assert_eq!(amounts, [8 * 334 * 2, 8 * 333 * 2, 8 * 333 * 2]);
    }

    #[test]
    fn a_tenant_that_is_quiet_for_a_while_takes_no_memory() {
        let usage = Usage::new();
        (0..100).for_each(|n| usage.add(tenant(n), REQUESTS, 1));
        let held = || usage.shards.iter().map(|shard| shard.read().len()).sum::<usize>();
        usage.collect(&mut flush::Batch::default(), DAY);
        assert_eq!(held(), 100, "they are likely to be counted again");
        usage.collect(&mut flush::Batch::default(), DAY);
        assert_eq!(held(), 0);
    }

    #[test]
    fn memory_is_bounded_and_known_tenants_go_on_being_counted() {
        let usage = Usage::new();
        (0..2 * MOST as u128).for_each(|n| usage.add(tenant(n), REQUESTS, 1));
        let held: usize = usage.shards.iter().map(|shard| shard.read().len()).sum();
        assert_eq!(held, MOST);
        usage.add(tenant(0), REQUESTS, 1);
        let mut batch = flush::Batch::default();
        usage.collect(&mut batch, DAY);
        assert_eq!(batch.amount(tenant(0), REQUESTS, DAY), 2);
    }
}
