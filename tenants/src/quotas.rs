//! Quotas: counted allowances of a member for what costs money. Exact sliding windows, kept in PostgreSQL.
//!
//! A feature declares `const PLAN: Quota = Quota::per(5, hours(24), "plan.generate")` and takes one inside its own write
//! transaction: `quotas::take(tx, PLAN).await?`. The take exists if and only if the write does, so a crash between the
//! two takes nothing. Work that fails later through no fault of the member gives it back: the worker that of a job which it
//! gives up ([`Job::take`](crate::Job::take)), and whoever knows it sooner by [`refund`].

use std::time::Duration;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use sea_orm::Value;
use serde_json::json;
use uuid::Uuid;

use crate::{Error, Result, TenantTx, http::Problem};

/// An allowance: at most `limit` takes by one member in any `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// What it is for, `feature.verb`; an operator's grant to one tenant goes by it.
    pub name: &'static str,
    /// Takes that fit into a window, unless the tenant was granted another number.
    pub limit: u32,
    /// The window's length.
    pub window: Duration,
}

impl Quota {
    /// `limit` takes in any `window`.
    pub const fn per(limit: u32, window: Duration, name: &'static str) -> Self {
        Self { name, limit, window }
    }
}

/// A quota's window.
pub const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

/// One use of an allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Take {
    /// What [`refund`] takes. A job keeps it in its payload and answers it by [`Job::take`](crate::Job::take).
    pub id: Uuid,
    /// How many may be taken in a window.
    pub limit: u32,
    /// How many of them are, with this one.
    pub used: u32,
}

/// How much of an allowance is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// As declared.
    pub quota: Quota,
    /// Takes that fit into a window in this tenant.
    pub limit: u32,
    /// Takes of the actor's within the window that ends now.
    pub used: u32,
    /// When the oldest of them leaves the window; none when nothing is used.
    pub frees_at: Option<DateTime<Utc>>,
    /// Takes of all members within the window, as far as the actor may see them: owners and admins see all.
    pub used_by_all: u32,
}

/// What the tenant was granted instead of the declared limit, if it was: a number in `tenant.quotas`. `$limit` is the
/// declared one.
macro_rules! granted {
    ($quota:literal, $limit:literal) => {
        concat!(
            "case jsonb_typeof(t.quotas -> ",
            $quota,
            ") when 'number' \
             then least(greatest((t.quotas ->> ",
            $quota,
            ")::numeric, 0), 1000000)::int else ",
            $limit,
            " end"
        )
    };
}

/// The actor's takes of one quota, one transaction after the other, wherever they are asked for.
const TURN: &str = "select 1 from pg_advisory_xact_lock(hashtextextended($1, 2))";

/// The clock is read once it is the transaction's turn: those before it have committed and are seen.
const TAKE: &str = concat!(
    "with moment as materialized (select clock_timestamp() as at, make_interval(secs => $4) as window_length), \
     gone as (delete from quota_take q using moment where q.tenant_id = $1 and q.member_id = $2 and q.quota = $3 \
              and q.taken_at <= at - window_length), \
     recent as materialized (select q.taken_at from quota_take q, moment where q.tenant_id = $1 and q.member_id = $2 \
              and q.quota = $3 and q.taken_at > at - window_length), \
     allowed as (select ",
    granted!("$3::text", "$5::int"),
    " as most from tenant t where t.id = $1), \
     taken as (insert into quota_take (tenant_id, id, member_id, quota, taken_at) \
               select $1, $6, $2, $3, at from moment, allowed where (select count(*) from recent) < most returning id) \
     select most, (select count(*) from recent)::int as used, exists (select from taken) as is_taken, \
            ceil(extract(epoch from window_length - (at - (select r.taken_at from recent r order by r.taken_at desc \
                 offset greatest(most - 1, 0) limit 1))))::bigint as reset_seconds \
     from moment, allowed"
);

/// Uses one of the actor's allowance. It counts once the transaction has committed, and not if it does not.
///
/// Takes of one member and quota wait for each other until the transaction ends, so it belongs at the end of the work.
///
/// # Errors
/// 429 `quota-exhausted`, with when the next one is free; 429 `busy` when other takes of the member's hold it up for 2 s.
/// An actor who is no member has no allowance: a defect.
pub async fn take(tx: &TenantTx, quota: Quota) -> Result<Take> {
    let member = tx.actor().member.ok_or_else(|| Error::Internal(format!("{}: nobody's allowance", quota.name)))?;
    let tenant = tx.tenant_id().0;
    tx.sql(TURN, [format!("{tenant} {member} {}", quota.name).into()]).await?;
    let id = Uuid::now_v7();
    let values: [Value; 6] = [
        tenant.into(),
        member.into(),
        quota.name.into(),
        quota.window.as_secs_f64().into(),
        i32::try_from(quota.limit).unwrap_or(i32::MAX).into(),
        id.into(),
    ];
    let rows = tx.sql(TAKE, values).await?;
    let row = rows.first().ok_or_else(|| Error::Internal("a quota was asked of a tenant that is not there".into()))?;
    let (limit, used) = (number(row.try_get("", "most")?), number(row.try_get("", "used")?));
    if row.try_get("", "is_taken")? {
        return Ok(Take { id, limit, used: used + 1 });
    }
    // Without any allowance there is nothing to wait for; a window later is early enough to ask again.
    let reset: Option<i64> = row.try_get("", "reset_seconds")?;
    let reset = reset.and_then(|seconds| u64::try_from(seconds.max(1)).ok()).unwrap_or(quota.window.as_secs());
    Err(exhausted(quota, limit, used, reset).into())
}

/// Gives a take back, for work that failed through no fault of the member. Answers whether there was one to give back:
/// repeating it, or naming another member's take or another tenant's, changes nothing.
///
/// A member gives back their own; a job, which acts as the system, those of its tenant.
///
/// # Errors
/// As the database says.
pub async fn refund(tx: &TenantTx, take: Uuid) -> Result<bool> {
    let text = "delete from quota_take where tenant_id = $1 and id = $2";
    Ok(tx.run(text, [tx.tenant_id().0.into(), take.into()]).await? > 0)
}

/// What [`allowances`] asks, for a statement that asks for more at once: `most`, `used`, `used_by_all` and `frees_at` of
/// each declared quota, numbered by `place`. `$1` is the tenant, `$2` what [`declared`] says, `$3` the member.
pub const ALLOWANCES: &str = concat!(
    "select d.place, ",
    granted!("d.name", "d.most"),
    " as most, count(q.id) filter (where q.member_id = $3)::int as used, count(q.id)::int as used_by_all, \
      min(q.taken_at) filter (where q.member_id = $3) + make_interval(secs => d.secs) as frees_at \
     from tenant t cross join \
          rows from (jsonb_to_recordset($2) as (name text, most int, secs double precision)) \
               with ordinality as d (name, most, secs, place) \
          left join quota_take q on q.tenant_id = t.id and q.quota = d.name \
               and q.taken_at > clock_timestamp() - make_interval(secs => d.secs) \
     where t.id = $1 group by t.id, d.name, d.most, d.secs, d.place order by d.place"
);

/// How much of each of these allowances the actor has used, in the same order.
///
/// # Errors
/// As the database says.
pub async fn allowances(tx: &TenantTx, quotas: &[Quota]) -> Result<Vec<Allowance>> {
    let rows = tx.sql(ALLOWANCES, [tx.tenant_id().0.into(), declared(quotas), tx.actor().member.into()]).await?;
    let allowance = |(quota, row): (&Quota, &sea_orm::QueryResult)| {
        Ok(Allowance {
            quota: *quota,
            limit: number(row.try_get("", "most")?),
            used: number(row.try_get("", "used")?),
            frees_at: row.try_get("", "frees_at")?,
            used_by_all: number(row.try_get("", "used_by_all")?),
        })
    };
    quotas.iter().zip(&rows).map(allowance).collect()
}

/// Quotas as [`ALLOWANCES`] takes them.
pub fn declared(quotas: &[Quota]) -> Value {
    let each = quotas.iter();
    let each = each.map(|quota| json!({"name": quota.name, "most": quota.limit, "secs": quota.window.as_secs_f64()}));
    serde_json::Value::Array(each.collect()).into()
}

fn number(count: i32) -> u32 {
    count.try_into().unwrap_or_default()
}

fn exhausted(quota: Quota, limit: u32, used: u32, reset_seconds: u64) -> Problem {
    let window = quota.window.as_secs();
    let detail = if limit == 0 {
        format!("Your business has no allowance of `{}`.", quota.name)
    } else {
        format!("`{}` is allowed {limit} times in {window} s. The next one is free in {reset_seconds} s.", quota.name)
    };
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "quota-exhausted", "Your allowance is used up.")
        .detail(detail)
        .with("quota", quota.name)
        .with("window_seconds", window)
        .with("limit", limit)
        .with("used", used)
        .with("reset_seconds", reset_seconds)
        .retry_after(reset_seconds)
}
