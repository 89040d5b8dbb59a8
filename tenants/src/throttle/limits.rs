//! What each tenant's limit was when it was last read, so that its bucket is asked before the database is.

use std::time::Duration;

use moka::sync::Cache;

use crate::TenantId;

/// Requests per minute of a tenant about which nothing is known, while the database is away; the column's default.
pub const UNKNOWN: u32 = 1000;
/// How long a limit counts as known, in microseconds: an operator's change shows within 5 s on every instance.
const AGE: u64 = 3_000_000;

pub(crate) struct TenantLimits(Cache<TenantId, Seen>);

#[derive(Clone, Copy)]
struct Seen {
    limit: u32,
    /// When the reading began, in microseconds of the buckets' clock; none once it was changed.
    read_at: Option<u64>,
}

impl TenantLimits {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(100_000).time_to_idle(Duration::from_secs(3600)).build())
    }

    /// A limit that the database told when asked at this moment.
    pub(crate) fn note(&self, tenant: TenantId, limit: u32, read_at: u64) {
        self.0.insert(tenant, Seen { limit, read_at: Some(read_at) });
    }

    /// It was changed: it must be read anew, and serves as a last resort until then.
    pub(crate) fn forget(&self, tenant: TenantId) {
        if let Some(seen) = self.0.get(&tenant) {
            self.0.insert(tenant, Seen { read_at: None, ..seen });
        }
    }

    /// The limit, if it was read lately.
    pub(crate) fn fresh(&self, tenant: TenantId, now: u64) -> Option<u32> {
        let seen = self.0.get(&tenant)?;
        (now < seen.read_at?.saturating_add(AGE)).then_some(seen.limit)
    }

    /// The limit as it was once, while nobody can tell what it is.
    pub(crate) fn last_known(&self, tenant: TenantId) -> u32 {
        self.0.get(&tenant).map_or(UNKNOWN, |seen| seen.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_known_for_three_seconds_and_remembered_beyond() {
        let (limits, tenant) = (TenantLimits::new(), TenantId::new());
        assert_eq!((limits.fresh(tenant, 0), limits.last_known(tenant)), (None, UNKNOWN));
        limits.note(tenant, 70, 5);
        assert_eq!(limits.fresh(tenant, 3_000_004), Some(70));
        assert_eq!((limits.fresh(tenant, 3_000_005), limits.last_known(tenant)), (None, 70));
    }

    #[test]
    fn a_limit_that_was_changed_is_read_anew() {
        let (limits, tenant) = (TenantLimits::new(), TenantId::new());
        limits.note(tenant, 70, 5);
        limits.forget(tenant);
        assert_eq!((limits.fresh(tenant, 6), limits.last_known(tenant)), (None, 70));
        assert_eq!(limits.fresh(TenantId::new(), 6), None, "another's was never known");
    }
}
