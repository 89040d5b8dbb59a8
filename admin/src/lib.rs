//! The operator API: what staff of the company that runs FFP do over tenants, under `/api/v1/admin`.
//!
//! It knows tenants, their limits, the job queue and the audit log, and no feature of the product. (What operators do
//! with the platform's own library lives with videos.) Everything goes through [`tenants::OperatorScope`]: lists read
//! the registry across tenants, an act changes one tenant and its line of the audit log in one transaction, and whoever
//! looks into a tenant is in that log first.

pub mod audit;
pub mod jobs;
pub mod limits;
pub mod registry;
mod settings;
pub mod suspension;
pub mod tenant;

use std::{future::Future, pin::Pin};

use axum::extract::FromRef;
use tenants::{Result, TenantTx, Tenants};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The names of the quotas that the product has: others are refused. The product says them, since this crate knows no
/// feature.
#[derive(Clone, Copy, Debug)]
pub struct QuotaNames(pub &'static [&'static str]);

/// Bytes that the transaction's tenant stores, as they count against its limit. The product counts them, since this
/// crate knows no feature; it must not count any other tenant's.
#[derive(Clone, Copy, Debug)]
pub struct StoredBytes(pub for<'tx> fn(&'tx TenantTx) -> Bytes<'tx>);

/// What [`StoredBytes`] will answer.
pub type Bytes<'tx> = Pin<Box<dyn Future<Output = Result<i64>> + Send + 'tx>>;

/// The routes, for a state that holds [`Tenants`], says the [`QuotaNames`] and counts the [`StoredBytes`].
pub fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Tenants: FromRef<S>,
    QuotaNames: FromRef<S>,
    StoredBytes: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(registry::list))
        .routes(routes!(registry::show))
        .routes(routes!(registry::members))
        .routes(routes!(suspension::suspend, suspension::resume))
        .routes(routes!(limits::set_throttle))
        .routes(routes!(limits::set_quotas))
        .routes(routes!(limits::set_storage))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show))
        .routes(routes!(jobs::retry))
        .routes(routes!(audit::list))
}
