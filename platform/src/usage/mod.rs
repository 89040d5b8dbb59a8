//! What is used and what is left: a member's allowances, and for those who answer for the business its requests, streams,
//! jobs and storage.
//!
//! The allowances are declared in [`allowances`]; meters by the features that count. Amounts are a few seconds late, and
//! a process that is killed loses that much. Storage is no meter: it is what the videos take now.

pub mod allowances;
mod keeper;

use std::{collections::BTreeMap, sync::LazyLock};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenants::{
    Caller, InGate, Quota, Role, Tenant,
    http::{Json, Problem},
    quotas::{self, ALLOWANCES},
};
use utoipa::ToSchema;

pub use keeper::Keeper;

use crate::{Result, videos::STORED};

/// Days of usage that are shown, today included.
const DAYS: i32 = 30;

/// What is used and what is left.
#[derive(Serialize, ToSchema)]
pub struct Usage {
    /// The caller's own allowances.
    pub quotas: Vec<QuotaUsage>,
    /// How often the business may ask.
    pub throttle: ThrottleLimit,
    /// The business as a whole; for admins and owners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business: Option<BusinessUsage>,
}

/// One allowance of the caller's: so many uses in any window of that length.
#[derive(Serialize, ToSchema)]
pub struct QuotaUsage {
    /// What it is for.
    #[schema(example = "plan.generate")]
    pub name: String,
    /// Uses that fit into a window.
    pub limit: u32,
    /// Uses in the window that ends now.
    pub used: u32,
    /// The window's length.
    pub window_seconds: u64,
    /// When the oldest of them leaves the window; absent when nothing is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frees_at: Option<DateTime<Utc>>,
}

/// The throttle of the business: a bucket of that many requests, which fills up within a minute.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct ThrottleLimit {
    /// Its capacity, and what it gains in a minute.
    pub requests_per_minute: u32,
}

/// What the business used. Days and months are UTC's; amounts are up to some seconds late.
#[derive(Serialize, ToSchema)]
pub struct BusinessUsage {
    /// This calendar month so far, by meter.
    #[schema(example = json!({"requests": 5120, "requests.throttled": 3, "videos.streamed": 240, "jobs": 17}))]
    pub month: BTreeMap<String, u64>,
    /// The last 30 days, newest first; days without use are left out.
    pub days: Vec<DayUsage>,
    /// Allowances used by all members together, in the window that ends now.
    pub quotas: Vec<QuotaTotal>,
    /// Videos stored.
    pub storage: StorageUsage,
    /// Expensive work, which waits for its turn among all businesses.
    pub gate: GateUsage,
}

/// One day.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct DayUsage {
    /// In UTC.
    pub day: NaiveDate,
    /// Amounts by meter.
    #[schema(example = json!({"requests": 512, "videos.streamed": 24}))]
    pub meters: BTreeMap<String, u64>,
}

/// One allowance, over all members.
#[derive(Serialize, ToSchema)]
pub struct QuotaTotal {
    /// What it is for.
    #[schema(example = "plan.generate")]
    pub name: String,
    /// Uses by all members.
    pub used: u32,
    /// The window's length.
    pub window_seconds: u64,
}

/// Bytes of video.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct StorageUsage {
    /// Stored or announced.
    pub used_bytes: u64,
    /// The most that fits.
    pub limit_bytes: u64,
}

/// Pieces of expensive work.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct GateUsage {
    /// In line, or to be tried again.
    pub waiting: u64,
    /// At work now.
    pub running: u64,
}

/// What you have used and when it frees; for admins and owners the business's usage as well.
#[utoipa::path(get, path = "/api/v1/usage", tag = "usage", security(("member" = [])),
    responses((status = 200, description = "What is used and what is left", body = Usage)))]
pub async fn show(caller: Caller, tenant: Tenant) -> Result<Json<Usage>> {
    let everything = caller.role >= Role::Admin;
    let seen = tenant
        .read(async |tx| {
            let text = if everything { BUSINESS.as_str() } else { OWN.as_str() };
            let declared = quotas::declared(&allowances::ALL);
            let values = [tx.tenant_id().0.into(), declared, tx.actor().member.into(), DAYS.into()];
            let rows = tx.sql(text, values.into_iter().take(if everything { 4 } else { 3 })).await?;
            let row = rows.first().ok_or_else(Problem::not_found)?;
            let seen: Value = row.try_get("", "seen")?;
            Ok::<_, crate::Error>(serde_json::from_value::<Seen>(seen).map_err(unreadable)?)
        })
        .await?;
    let total = |(quota, allowance): (&Quota, &Allowed)| QuotaTotal {
        name: quota.name.to_owned(),
        used: allowance.used_by_all,
        window_seconds: quota.window.as_secs(),
    };
    let totals = allowances::ALL.iter().zip(&seen.allowances).map(total).collect();
    let business = seen.business.map(|business| BusinessUsage {
        month: business.month,
        days: business.days,
        quotas: totals,
        storage: business.storage,
        gate: business.gate,
    });
    let own = |(quota, allowed): (&Quota, Allowed)| QuotaUsage {
        name: quota.name.to_owned(),
        limit: allowed.most,
        used: allowed.used,
        window_seconds: quota.window.as_secs(),
        frees_at: allowed.frees_at,
    };
    let quotas = allowances::ALL.iter().zip(seen.allowances).map(own).collect();
    Ok(Json(Usage { quotas, throttle: seen.throttle, business }))
}

fn unreadable(error: serde_json::Error) -> tenants::Error {
    tenants::Error::Internal(format!("usage: {error}"))
}

/// What PostgreSQL answers: everything in one statement, and so after one question.
#[derive(Deserialize)]
struct Seen {
    allowances: Vec<Allowed>,
    throttle: ThrottleLimit,
    business: Option<Business>,
}

/// Of one quota, in the order in which they are declared.
#[derive(Deserialize)]
struct Allowed {
    most: u32,
    used: u32,
    used_by_all: u32,
    frees_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Business {
    month: BTreeMap<String, u64>,
    days: Vec<DayUsage>,
    storage: StorageUsage,
    gate: GateUsage,
}

/// For members; `$1` to `$3` as [`quotas::ALLOWANCES`] has them.
static OWN: LazyLock<String> = LazyLock::new(|| statement("null::jsonb"));

/// For those who answer for the business; `$4` is how many days are shown.
static BUSINESS: LazyLock<String> = LazyLock::new(|| {
    let today = "(now() at time zone 'UTC')::date";
    statement(&format!(
        "jsonb_build_object(\
            'month', (select coalesce(jsonb_object_agg(meter, amount), '{{}}') from (\
                select meter, sum(amount)::bigint as amount from usage \
                where tenant_id = $1 and day >= date_trunc('month', {today}::timestamp)::date group by meter) of_month), \
            'days', (select coalesce(jsonb_agg(jsonb_build_object('day', day, 'meters', meters) order by day desc), '[]') \
                from (select day, jsonb_object_agg(meter, amount) as meters from usage \
                      where tenant_id = $1 and day > {today} - $4::int group by day) of_days), \
            'storage', (select to_jsonb(s) from ({STORED}) s), \
            'gate', (select to_jsonb(g) from ({gate}) g))",
        gate = InGate::SQL,
    ))
});

fn statement(business: &str) -> String {
    format!(
        "select jsonb_build_object(\
            'allowances', (select jsonb_agg(to_jsonb(a) order by a.place) from ({ALLOWANCES}) a), \
            'throttle', jsonb_build_object('requests_per_minute', t.requests_per_minute), \
            'business', {business}) as seen \
         from tenant t where t.id = $1"
    )
}
