//! What an operator grants one tenant: its throttle, its quotas, its storage. Each takes effect without a restart.

use axum::extract::State;
use sea_orm::JsonValue;
use serde::Deserialize;
use tenants::{
    Operator, Result,
    http::{IfMatch, Json, PathId, Problem},
};
use utoipa::ToSchema;
use validator::Validate;

use crate::{
    QuotaNames,
    settings::{Change, change},
    tenant::{Answer, Limits, Tenant},
};

/// The most a quota may allow.
const MAX_QUOTA: i64 = 1_000_000;
/// 1 PiB, the most a tenant may store.
const MAX_STORAGE: i64 = 1 << 50;

/// A tenant's throttle.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// Requests per minute over all its members: the capacity of its bucket, and what flows back in a minute.
    #[validate(range(min = 1, max = 1_000_000, message = "must be from 1 to 1000000 requests per minute"))]
    #[schema(minimum = 1, maximum = 1_000_000, example = 1000)]
    pub requests_per_minute: i32,
}

/// Set a tenant's throttle. It holds on this instance at once and on the others within 5 s.
#[utoipa::path(put, path = "/api/v1/admin/tenants/{id}/throttle", operation_id = "operators_set_throttle",
    tag = "operators", security(("operator" = [])), request_body = Throttle,
    params(("id" = Uuid, Path, description = "The tenant"),
           ("If-Match" = Option<String>, Header, description = "The ETag you read")),
    responses((status = 200, description = "The tenant as it is now", body = Tenant, headers(("ETag" = String))),
              (status = 412, description = "`changed`: it has another version")))]
pub async fn set_throttle(
    operator: Operator,
    PathId(id): PathId,
    if_match: IfMatch,
    Json(throttle): Json<Throttle>,
) -> Result<Answer> {
    let wanted = throttle.requests_per_minute;
    change(&operator.scope, id, &if_match, |tenant| {
        Ok((tenant.requests_per_minute != wanted).then(|| Change {
            action: "tenant.throttle-set",
            detail: from_to(tenant.requests_per_minute, wanted),
            update: "update tenant set requests_per_minute = $2, version = version + 1, updated_at = now() where id = $1",
            values: vec![wanted.into()],
        }))
    })
    .await
}

/// A tenant's own allowances.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Quotas {
    /// All of them, by the quota's name, each from 0 to 1 000 000; the product's own apply to quotas that are not here.
    #[schema(value_type = BTreeMap<String, i64>, example = json!({}))]
    pub limits: Limits,
}

/// Set a tenant's own quotas, all at once: what is left out falls back to the product's.
#[utoipa::path(put, path = "/api/v1/admin/tenants/{id}/quotas", operation_id = "operators_set_quotas",
    tag = "operators", security(("operator" = [])), request_body = Quotas,
    params(("id" = Uuid, Path, description = "The tenant"),
           ("If-Match" = Option<String>, Header, description = "The ETag you read")),
    responses((status = 200, description = "The tenant as it is now", body = Tenant, headers(("ETag" = String))),
              (status = 412, description = "`changed`: it has another version")))]
pub async fn set_quotas(
    operator: Operator,
    State(QuotaNames(names)): State<QuotaNames>,
    PathId(id): PathId,
    if_match: IfMatch,
    Json(Quotas { limits }): Json<Quotas>,
) -> Result<Answer> {
    check_quotas(&limits, names)?;
    change(&operator.scope, id, &if_match, |tenant| {
        Ok((tenant.quotas != limits).then(|| Change {
            action: "tenant.quotas-set",
            detail: from_to(&tenant.quotas, &limits),
            update: "update tenant set quotas = $2, version = version + 1, updated_at = now() where id = $1",
            values: vec![serde_json::json!(limits).into()],
        }))
    })
    .await
}

/// Every name is one of the product's and every limit one that a quota can have; all that are not are named.
fn check_quotas(limits: &Limits, names: &[&str]) -> Result<(), Problem> {
    let pointer = |name: &str| format!("/limits/{}", name.replace('~', "~0").replace('/', "~1"));
    let bad = limits.0.iter().filter_map(|(name, limit)| {
        if !names.contains(&name.as_str()) {
            Some((pointer(name), format!("is no quota: there are {}", names.join(", "))))
        } else if !(0..=MAX_QUOTA).contains(limit) {
            Some((pointer(name), format!("must be from 0 to {MAX_QUOTA}")))
        } else {
            None
        }
    });
    let problem = bad.fold(None, |problem: Option<Problem>, (pointer, detail)| match problem {
        None => Some(Problem::invalid(pointer, detail)),
        Some(problem) => Some(problem.field(pointer, detail)),
    });
    problem.map_or(Ok(()), Err)
}

/// A tenant's storage.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// Bytes of video it may store, up to 1 PiB. Below what it has, nothing is deleted and nothing can be added.
    #[validate(range(min = 0, max = MAX_STORAGE, message = "must be from 0 to 1125899906842624 bytes (1 PiB)"))]
    #[schema(minimum = 0, maximum = 1_125_899_906_842_624_i64, example = 107_374_182_400_i64)]
    pub limit_bytes: i64,
}

/// Set how much a tenant may store.
#[utoipa::path(put, path = "/api/v1/admin/tenants/{id}/storage", operation_id = "operators_set_storage",
    tag = "operators", security(("operator" = [])), request_body = Storage,
    params(("id" = Uuid, Path, description = "The tenant"),
           ("If-Match" = Option<String>, Header, description = "The ETag you read")),
    responses((status = 200, description = "The tenant as it is now", body = Tenant, headers(("ETag" = String))),
              (status = 412, description = "`changed`: it has another version")))]
pub async fn set_storage(
    operator: Operator,
    PathId(id): PathId,
    if_match: IfMatch,
    Json(storage): Json<Storage>,
) -> Result<Answer> {
    let wanted = storage.limit_bytes;
    change(&operator.scope, id, &if_match, |tenant| {
        Ok((tenant.storage_limit_bytes != wanted).then(|| Change {
            action: "tenant.storage-set",
            detail: from_to(tenant.storage_limit_bytes, wanted),
            update: "update tenant set storage_limit_bytes = $2, version = version + 1, updated_at = now() where id = $1",
            values: vec![wanted.into()],
        }))
    })
    .await
}

fn from_to(from: impl serde::Serialize, to: impl serde::Serialize) -> JsonValue {
    serde_json::json!({ "from": from, "to": to })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn quotas_that_the_product_lacks_and_absurd_limits_are_named_all_at_once() {
        let limits =
            |pairs: &[(&str, i64)]| Limits(pairs.iter().map(|(name, limit)| ((*name).into(), *limit)).collect());
        let names = ["plan.generate", "analysis"];
        assert!(check_quotas(&limits(&[]), &names).is_ok());
        assert!(check_quotas(&limits(&[("plan.generate", 0), ("analysis", MAX_QUOTA)]), &names).is_ok());
        let bad = limits(&[("analysis", -1), ("plan.generate", MAX_QUOTA + 1), ("a/b~c", 1)]);
        let problem = check_quotas(&bad, &names).unwrap_err();
        let pointers: Vec<&str> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/limits/a~1b~0c", "/limits/analysis", "/limits/plan.generate"]);
    }
}
