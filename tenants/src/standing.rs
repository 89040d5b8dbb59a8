//! A member's standing: what the member row says of a caller, whatever their token claims.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use moka::{Expiry, future, sync};

use crate::{
    Actor, Error, MemberId, Result, Role, Tenant, TenantId, Tenants,
    fetch::{FromRow, Hot, Row},
    sabotage::{self, Leak},
    scope::Door,
    tx::Forget,
};

/// Elsewhere a change shows when the cached row has aged out: within 5 s, so 3 s plus the look-up.
const AGE: Duration = Duration::from_secs(3);
/// Of this, each member's row ages out earlier by another part: those who came at once, as after a start or a message to
/// all, would else be looked up again at once every time, and everybody's requests would wait behind them.
const SPREAD: Duration = Duration::from_secs(1);
/// How long it is remembered that something was forgotten: longer than a look-up takes and its result is kept.
const FORGOTTEN: Duration = Duration::from_secs(60);

static LOOK_UP: Hot = Hot::new(
    "select t.status as tenant_status, m.id, m.status, m.role, t.requests_per_minute, \
            case when m.not_before > '-infinity' then m.not_before end as not_before \
     from member m join tenant t on t.id = m.tenant_id where m.subject = $1",
);

/// What the tenant may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantStatus {
    /// Registered, address not confirmed.
    Pending,
    /// In use.
    Active,
    /// Stopped by an operator.
    Suspended,
}

/// What the member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberStatus {
    /// Registered, address not confirmed.
    Pending,
    /// In use.
    Active,
    /// Barred by an admin; can be let in again.
    Disabled,
    /// Gone.
    Removed,
}

/// The authority over a caller's role and status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The tenant's status.
    pub tenant_status: TenantStatus,
    /// The member's id.
    pub member_id: MemberId,
    /// The member's status.
    pub member_status: MemberStatus,
    /// The member's role; a token's own claim is never asked.
    pub role: Role,
    /// Requests per minute that the tenant's throttle lets through.
    pub requests_per_minute: u32,
    /// Tokens issued in this second or before are refused; Unix seconds.
    pub not_before: i64,
}

impl Standing {
    /// Whether a token issued at `issued_at` (Unix seconds) still counts.
    ///
    /// Cognito gives whole seconds, so a token of the very second of the sign-out may be from before it: refused.
    pub fn accepts(&self, issued_at: i64) -> bool {
        issued_at > self.not_before
    }
}

/// What is known of members, by their tenant and Cognito subject.
pub(crate) struct Standings {
    known: future::Cache<(TenantId, String), Known>,
    /// How often anything was forgotten.
    changes: AtomicU64,
    /// Which change made a member's standing stale; a tenant's own, without a subject, everybody's in it.
    forgotten: sync::Cache<(TenantId, Option<String>), u64>,
}

/// How long rows are remembered, counted from when they were read.
struct Ages;

impl<V> Expiry<(TenantId, String), V> for Ages {
    fn expire_after_create(&self, key: &(TenantId, String), _: &V, _: Instant) -> Option<Duration> {
        Some(age(key))
    }

    fn expire_after_update(
        &self,
        key: &(TenantId, String),
        _: &V,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(age(key))
    }
}

/// Between 2 s and 3 s, always the same for the same member.
fn age(key: &(TenantId, String)) -> Duration {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    AGE - SPREAD.mul_f64(hasher.finish() as f64 / u64::MAX as f64)
}

/// What a look-up found, which began after as many changes.
#[derive(Clone)]
struct Known {
    standing: Option<Standing>,
    as_of: u64,
}

impl Standings {
    pub(crate) fn new() -> Self {
        Self {
            known: future::Cache::builder().max_capacity(50_000).expire_after(Ages).build(),
            changes: AtomicU64::new(0),
            forgotten: sync::Cache::builder().time_to_live(FORGOTTEN).build(),
        }
    }

    /// What was read before counts no more, also what is being read now.
    pub(crate) fn forget(&self, what: Forget) {
        let change = self.changes.fetch_add(1, Ordering::SeqCst) + 1;
        let whose = match what {
            Forget::Member(tenant, subject) => (tenant, Some(subject)),
            Forget::Tenant(tenant) => (tenant, None),
        };
        self.forgotten.insert(whose, change);
    }

    fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Whether nothing was forgotten since the look-up began that would make its result stale.
    fn is_current(&self, (tenant, subject): &(TenantId, String), known: &Known) -> bool {
        let holds = |whose| self.forgotten.get(&whose).is_none_or(|change| change <= known.as_of);
        known.as_of == self.changes() || (holds((*tenant, None)) && holds((*tenant, Some(subject.clone()))))
    }
}

impl Tenants {
    /// The standing of the member with this Cognito subject, cached for up to 3 s; `None` if there is none. For a
    /// subject and tenant of a verified token: looking it up takes the tenant's own share of the database. However many
    /// ask at once, one looks it up.
    ///
    /// # Errors
    /// A database that is away.
    pub async fn standing(&self, tenant: TenantId, subject: &str) -> Result<Option<Standing>> {
        let (standings, key) = (self.standings(), key(tenant, subject));
        loop {
            let looked_up = standings.known.try_get_with_by_ref(&key, self.look_up(tenant, subject)).await;
            let known = looked_up.map_err(|error| Error::clone(&error))?;
            if standings.is_current(&key, &known) {
                return Ok(known.standing);
            }
            standings.known.invalidate(&key).await;
        }
    }

    /// The same, if it is remembered; asks no database.
    pub(crate) async fn remembered_standing(&self, tenant: TenantId, subject: &str) -> Option<Option<Standing>> {
        let (standings, key) = (self.standings(), key(tenant, subject));
        let known = standings.known.get(&key).await?;
        standings.is_current(&key, &known).then_some(known.standing)
    }

    /// The same, straight from the database, for those who proved nothing yet.
    ///
    /// # Errors
    /// A database that is away.
    pub async fn standing_now(&self, tenant: TenantId, subject: &str) -> Result<Option<Standing>> {
        read(&self.as_system(tenant), subject).await
    }

    async fn look_up(&self, tenant: TenantId, subject: &str) -> Result<Known> {
        let as_of = self.standings().changes();
        let (limits, asked_at) = (&self.buckets().limits, self.buckets().now());
        let standing = read(&self.open(tenant, Actor::SYSTEM, Door::App), subject).await?;
        if let Some(standing) = &standing {
            limits.note(tenant, standing.requests_per_minute, asked_at);
        }
        // Asked after the note: what was changed in between must not come back by it.
        if self.standings().changes() != as_of {
            limits.forget(tenant);
        }
        Ok(Known { standing, as_of })
    }
}

/// Where a member's standing is remembered.
fn key(tenant: TenantId, subject: &str) -> (TenantId, String) {
    let tenant = if sabotage::on(Leak::StandingKey) { TenantId::NONE } else { tenant };
    (tenant, subject.to_owned())
}

async fn read(tenant: &Tenant, subject: &str) -> Result<Option<Standing>> {
    Ok(tenant.fetch(&LOOK_UP, &[&subject]).await?.pop())
}

impl FromRow for Standing {
    fn from_row(row: &mut Row<'_>) -> Result<Self> {
        let odd = |what: &str| Error::Internal(format!("member row with an unknown {what}"));
        Ok(Self {
            tenant_status: match row.take("tenant_status")? {
                "pending" => TenantStatus::Pending,
                "active" => TenantStatus::Active,
                "suspended" => TenantStatus::Suspended,
                _ => return Err(odd("tenant status")),
            },
            member_id: MemberId(row.take("id")?),
            member_status: match row.take("status")? {
                "pending" => MemberStatus::Pending,
                "active" => MemberStatus::Active,
                "disabled" => MemberStatus::Disabled,
                "removed" => MemberStatus::Removed,
                _ => return Err(odd("status")),
            },
            role: row.take::<&str>("role")?.parse().map_err(|_| odd("role"))?,
            requests_per_minute: row.take::<i32>("requests_per_minute")?.try_into().map_err(|_| odd("throttle"))?,
            // Null stands for "never": '-infinity' has no counterpart here.
            not_before: row.take::<Option<DateTime<Utc>>>("not_before")?.map_or(i64::MIN, |at| at.timestamp()),
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn members_age_out_between_two_and_three_seconds_and_not_all_at_once() {
        let key = |n: u128| (TenantId(Uuid::from_u128(n)), n.to_string());
        let ages: Vec<_> = (0..1000).map(|n| age(&key(n))).collect();
        assert!(ages.iter().all(|age| (Duration::from_secs(2)..=Duration::from_secs(3)).contains(age)));
        for tenth in 0..10 {
            let from = Duration::from_millis(2000 + tenth * 100);
            let aged = ages.iter().filter(|&&age| age >= from && age < from + Duration::from_millis(100)).count();
            assert!((50..=200).contains(&aged), "{aged} of a thousand at {from:?}");
        }
        assert_eq!(age(&key(7)), ages[7]);
    }
}
