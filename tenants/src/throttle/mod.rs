//! Throttles: token buckets that all instances keep together, or each a share of.
//!
//! | File | Holds |
//! |---|---|
//! | `gcra.rs` | the arithmetic |
//! | `local.rs` | buckets in process memory |
//! | `valkey.rs`, `take.lua` | buckets in Valkey or Redis, and what happens while it is away |
//! | `limits.rs` | each tenant's limit, as lately read |
//! | `clock.rs` | the time in process memory |
//!
//! A process alone keeps its buckets itself. Several keep them in Valkey, where the sum over all obeys the same bound.
//! An instance that can't reach it, or has none configured, serves its share, `limit / instances`, from its own memory. Where
//! that holds for all of them, the sum obeys the bound again. Where it holds for `k` of `n` instances and the others go on
//! with the store, theirs comes on top for as long as it lasts: `1 + k / n` times the bound, less than twice it. At each
//! change buckets start full, so one capacity more may pass then; and a share is one request at least.

mod clock;
mod gcra;
mod limits;
mod local;
mod valkey;

use std::fmt;

use metrics::counter;

pub use clock::{Clock, Hand};
pub use gcra::{Rate, Verdict};
pub(crate) use limits::TenantLimits;
pub use limits::UNKNOWN as DEFAULT_LIMIT;

use self::{
    local::Local,
    valkey::{Change, Valkey},
};
use crate::{LimitsConfig, Result, TenantId};

/// Takes that a share decided because the store was away.
const SHARED: &str = "throttle_share_total";

/// Whose bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A tenant's requests.
    Tenant(TenantId),
    /// Something else that is counted, by what it is called and a digest that tells one from another.
    Digest(&'static str, [u8; 32]),
}

impl fmt::Display for Key {
    /// As it is called in Valkey: one key each, so a cluster may spread them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(tenant) => write!(f, "ffp:throttle:{tenant}"),
            Self::Digest(name, digest) => {
                write!(f, "ffp:{name}:")?;
                digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

/// A token that was asked for.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Taken {
    /// What the bucket said.
    pub verdict: Verdict,
    key: Key,
    rate: Rate,
    from: Store,
}

/// Who keeps a bucket.
#[derive(Clone, Copy, Debug)]
enum Store {
    /// All instances together.
    Shared,
    /// This one, its share.
    Own,
}

/// All buckets.
pub struct Buckets {
    local: Local,
    valkey: Option<Valkey>,
    instances: u32,
    clock: Clock,
    /// What the buckets of tenants hold.
    pub(crate) limits: TenantLimits,
}

impl fmt::Debug for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets").field("valkey", &self.valkey.is_some()).field("instances", &self.instances).finish()
    }
}

impl Buckets {
    /// Buckets as configured; a store that is away is waited for in the background.
    ///
    /// # Errors
    /// A URL that is none.
    pub fn new(config: &LimitsConfig) -> Result<Self> {
        let valkey = config.valkey_url.as_ref();
        let valkey = valkey.map(|url| Valkey::new(url, config.valkey_timeout, valkey::SCRIPT)).transpose()?;
        if valkey.is_none() && config.instances > 1 {
            tracing::info!(instances = config.instances, "no VALKEY_URL: each instance serves its share of a throttle");
        }
        Ok(Self {
            local: Local::new(),
            valkey,
            instances: config.instances,
            clock: config.clock.clone(),
            limits: TenantLimits::new(),
        })
    }

    /// Takes a token from a bucket, which is full when it is used for the first time.
    pub async fn take(&self, key: Key, rate: Rate) -> Taken {
        if let Some(valkey) = &self.valkey {
            if let Some(verdict) = valkey.change(&key, rate, Change::Take, &[]).await {
                return Taken { verdict, key, rate, from: Store::Shared };
            }
            counter!(SHARED).increment(1);
        }
        let verdict = self.local.take(key, rate.share(self.instances), self.now());
        Taken { verdict, key, rate, from: Store::Own }
    }

    /// Puts a token back that was taken for something that shall not count, where it was taken and nowhere else: a store
    /// that went away meanwhile keeps it, for in another bucket it would make room for something that shall count.
    pub async fn give_back(&self, taken: Taken) {
        let Taken { verdict, key, rate, from } = taken;
        match (from, &self.valkey) {
            _ if !verdict.served => {}
            (Store::Own, _) => self.local.give_back(key, rate.share(self.instances), self.now()),
            (Store::Shared, Some(valkey)) => {
                valkey.change(&key, rate, Change::GiveBack, &[]).await;
            }
            (Store::Shared, None) => {}
        }
    }

    /// Whether instances count together now: a store is configured, and it answers.
    pub fn are_shared(&self) -> bool {
        self.valkey.as_ref().is_some_and(Valkey::is_here)
    }

    /// Microseconds since any fixed moment.
    pub(crate) fn now(&self) -> u64 {
        self.clock.micros()
    }
}

#[cfg(test)]
mod tests;
