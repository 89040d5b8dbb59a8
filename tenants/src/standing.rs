//! A member's standing: what the member row says of a caller, whatever their token claims.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use chrono::{DateTime, Utc};
use moka::future::Cache;
use sea_orm::{DbErr, QueryResult};

use crate::{Actor, Error, MemberId, Result, Role, Tenant, TenantId, Tenants, scope::Door, tx::Forget};

/// Elsewhere a change shows when the cached row has aged out: within 5 s, so 3 s plus the look-up.
const AGE: Duration = Duration::from_secs(3);

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

pub(crate) struct Standings {
    cache: Cache<(TenantId, String), Option<Standing>>,
    /// Counts what was forgotten: a row read before is not kept after.
    forgotten: AtomicU64,
}

impl Standings {
    pub(crate) fn new() -> Self {
        Self {
            cache: Cache::builder().max_capacity(50_000).time_to_live(AGE).support_invalidation_closures().build(),
            forgotten: AtomicU64::new(0),
        }
    }

    pub(crate) async fn forget(&self, what: Forget) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        match what {
            Forget::Member(tenant, subject) => self.cache.invalidate(&(tenant, subject)).await,
            Forget::Tenant(tenant) => {
                // Refused only when the cache was built without support for it, which it was not.
                if let Err(error) = self.cache.invalidate_entries_if(move |key, _| key.0 == tenant) {
                    tracing::error!(%error, "standings could not be forgotten");
                }
            }
        }
    }
}

impl Tenants {
    /// The standing of the member with this Cognito subject, cached for up to 3 s; `None` if there is none. For a
    /// subject and tenant of a verified token: looking it up takes the tenant's own share of the database.
    ///
    /// # Errors
    /// A database that is away.
    pub async fn standing(&self, tenant: TenantId, subject: &str) -> Result<Option<Standing>> {
        let key = (tenant, subject.to_owned());
        if let Some(cached) = self.standings().cache.get(&key).await {
            return Ok(cached);
        }
        let standings = self.standings();
        let before = standings.forgotten.load(Ordering::Acquire);
        let fresh = look_up(&self.open(tenant, Actor::SYSTEM, Door::App), subject).await?;
        standings.cache.insert(key.clone(), fresh.clone()).await;
        // Asked after the insertion: what was forgotten in between must not come back by it.
        if standings.forgotten.load(Ordering::Acquire) != before {
            standings.cache.invalidate(&key).await;
        }
        Ok(fresh)
    }

    /// The same, straight from the database, for those who proved nothing yet.
    ///
    /// # Errors
    /// A database that is away.
    pub async fn standing_now(&self, tenant: TenantId, subject: &str) -> Result<Option<Standing>> {
        look_up(&self.as_system(tenant), subject).await
    }
}

async fn look_up(tenant: &Tenant, subject: &str) -> Result<Option<Standing>> {
    let rows = tenant
        .read(async |tx| {
            let text = "select t.status as tenant_status, t.requests_per_minute, m.id, m.status, m.role, case when m.not_before > '-infinity' then m.not_before end as not_before \
                        from member m join tenant t on t.id = m.tenant_id where m.subject = $1";
            Ok::<_, Error>(tx.sql(text, [subject.into()]).await?)
        })
        .await?;
    rows.first().map(parse).transpose().map_err(Error::from)
}

fn parse(row: &QueryResult) -> Result<Standing, DbErr> {
    let odd = |what: &str| DbErr::Custom(format!("member row with an unknown {what}"));
    let text = |column: &str| row.try_get::<String>("", column);
    Ok(Standing {
        tenant_status: match text("tenant_status")?.as_str() {
            "pending" => TenantStatus::Pending,
            "active" => TenantStatus::Active,
            "suspended" => TenantStatus::Suspended,
            _ => return Err(odd("tenant status")),
        },
        member_id: MemberId(row.try_get("", "id")?),
        member_status: match text("status")?.as_str() {
            "pending" => MemberStatus::Pending,
            "active" => MemberStatus::Active,
            "disabled" => MemberStatus::Disabled,
            "removed" => MemberStatus::Removed,
            _ => return Err(odd("status")),
        },
        role: text("role")?.parse().map_err(DbErr::Custom)?,
        requests_per_minute: row.try_get::<i32>("", "requests_per_minute")?.try_into().map_err(|_| odd("throttle"))?,
        // Null stands for "never": '-infinity' has no counterpart here.
        not_before: row.try_get::<Option<DateTime<Utc>>>("", "not_before")?.map_or(i64::MIN, |at| at.timestamp()),
    })
}
