//! A tenant as operators see it in lists: its row in the registry.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, FromJsonQueryResult, FromQueryResult};
use serde::{Deserialize, Serialize};
use tenants::{
    Result, TenantTx,
    http::{ETag, Json, Problem, WithETag},
};
use utoipa::ToSchema;
use uuid::Uuid;

/// The columns of [`Tenant`], for a SELECT from `tenant`.
macro_rules! tenant_columns {
    () => {
        "id, kind, name, status, suspended_reason, parent_business_id, time_zone, requests_per_minute, quotas, \
         storage_limit_bytes, version, created_at, updated_at"
    };
}
pub(crate) use tenant_columns;

/// Allowances by the quota's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
#[serde(transparent)]
pub struct Limits(pub BTreeMap<String, i64>);

/// A tenant, with what operators grant it.
#[derive(Clone, Debug, Serialize, FromQueryResult, ToSchema)]
pub struct Tenant {
    /// Its id.
    pub id: Uuid,
    /// `business`, `individual`, or `platform` for the one that owns the library.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// `pending` until its first owner has confirmed their address, then `active`, or `suspended`.
    pub status: String,
    /// Why it is suspended.
    pub suspended_reason: Option<String>,
    /// The business that this one is a location of.
    pub parent_business_id: Option<Uuid>,
    /// IANA time zone.
    pub time_zone: String,
    /// Its throttle: requests per minute over all its members.
    pub requests_per_minute: i32,
    /// Its own allowances, by the quota's name; the product's apply to quotas that are not here.
    #[schema(value_type = BTreeMap<String, i64>)]
    pub quotas: Limits,
    /// Bytes of video it may store.
    pub storage_limit_bytes: i64,
    #[serde(skip)]
    pub(crate) version: i64,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
}

impl Tenant {
    pub(crate) fn etag(&self) -> ETag {
        ETag(self.version)
    }
}

/// A tenant with its entity tag.
pub(crate) type Answer = WithETag<Json<Tenant>>;

/// The tenant that is open, or any by its id in a transaction across tenants.
pub(crate) async fn find(tx: &TenantTx, id: Uuid) -> Result<Tenant> {
    let rows = tx.sql(concat!("select ", tenant_columns!(), " from tenant where id = $1"), [id.into()]).await?;
    one(rows)
}

/// The same, locked against other changes. Rows that refer to it can be added meanwhile.
pub(crate) async fn lock(tx: &TenantTx) -> Result<Tenant> {
    let text = concat!("select ", tenant_columns!(), " from tenant where id = $1 for no key update");
    one(tx.sql(text, [tx.tenant_id().0.into()]).await?)
}

fn one(rows: Vec<sea_orm::QueryResult>) -> Result<Tenant> {
    let row = rows.first().ok_or_else(Problem::not_found)?;
    Ok(Tenant::from_query_result(row, "")?)
}

/// All rows as values of one type.
pub(crate) fn all<T: FromQueryResult>(rows: &[sea_orm::QueryResult]) -> Result<Vec<T>, DbErr> {
    rows.iter().map(|row| T::from_query_result(row, "")).collect()
}
