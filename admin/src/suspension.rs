//! Suspending a tenant: its members are refused with 403 `tenant-suspended`, by the instance that did it at once and by
//! the others within 5 s. Nothing of theirs is lost.

use axum::http::StatusCode;
use serde::Deserialize;
use tenants::{
    Operator, PLATFORM_TENANT, Result, TenantId,
    http::{IfMatch, Json, PathId, Problem, is_line, tidy},
};
use utoipa::ToSchema;
use validator::{Validate, ValidationError};

use crate::{
    settings::{Change, change},
    tenant::{Answer, Tenant},
};

/// Why a tenant is suspended.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Suspension {
    /// For other operators and the audit log: 1 to 500 characters in one line, not only spaces.
    #[validate(custom(function = a_reason))]
    #[schema(min_length = 1, max_length = 500, pattern = r"\S", example = "Unpaid since March")]
    pub reason: String,
}

fn a_reason(reason: &str) -> Result<(), ValidationError> {
    if is_line(reason, 500) {
        return Ok(());
    }
    let message = "must have 1 to 500 characters in one line, and not only spaces";
    Err(ValidationError::new("reason").with_message(message.into()))
}

/// Suspend a tenant, or give another reason for it. Its members are refused until it is resumed.
#[utoipa::path(put, path = "/api/v1/admin/tenants/{id}/suspension", operation_id = "operators_suspend_tenant",
    tag = "operators", security(("operator" = [])), request_body = Suspension,
    params(("id" = Uuid, Path, description = "The tenant"),
           ("If-Match" = Option<String>, Header, description = "The ETag you read")),
    responses((status = 200, description = "The tenant as it is now", body = Tenant, headers(("ETag" = String))),
              (status = 409, description = "`platform-tenant`: the platform's own is never suspended; `not-confirmed`: \
               nobody can use it yet, it is deleted by itself unless its owner confirms"),
              (status = 412, description = "`changed`: it has another version")))]
pub async fn suspend(
    operator: Operator,
    PathId(id): PathId,
    if_match: IfMatch,
    Json(suspension): Json<Suspension>,
) -> Result<Answer> {
    let reason = tidy(&suspension.reason);
    change(&operator.scope, id, &if_match, |tenant| {
        if TenantId(tenant.id) == PLATFORM_TENANT {
            return Err(Problem::conflict("platform-tenant", "The platform's own tenant is never suspended.").into());
        }
        // Resuming would make it active, which only its owner's code may.
        if tenant.status == "pending" {
            return Err(
                Problem::conflict("not-confirmed", "The tenant's owner has not confirmed their address.").into()
            );
        }
        if tenant.status == "suspended" && tenant.suspended_reason.as_deref() == Some(reason) {
            return Ok(None);
        }
        Ok(Some(Change {
            action: "tenant.suspended",
            detail: serde_json::json!({ "reason": reason, "from": tenant.status }),
            update: "update tenant set status = 'suspended', suspended_reason = $2, version = version + 1, \
                     updated_at = now() where id = $1",
            values: vec![reason.into()],
        }))
    })
    .await
}

/// Resume a tenant that is suspended. One that is not stays as it is.
#[utoipa::path(delete, path = "/api/v1/admin/tenants/{id}/suspension", operation_id = "operators_resume_tenant",
    tag = "operators", security(("operator" = [])),
    params(("id" = Uuid, Path, description = "The tenant"),
           ("If-Match" = Option<String>, Header, description = "The ETag you read")),
    responses((status = 204, description = "It is not suspended"),
              (status = 412, description = "`changed`: it has another version")))]
pub async fn resume(operator: Operator, PathId(id): PathId, if_match: IfMatch) -> Result<StatusCode> {
    change(&operator.scope, id, &if_match, |tenant| {
        Ok((tenant.status == "suspended").then(|| Change {
            action: "tenant.resumed",
            detail: serde_json::json!({ "suspended_for": tenant.suspended_reason }),
            update: "update tenant set status = 'active', suspended_reason = null, version = version + 1, \
                     updated_at = now() where id = $1",
            values: Vec::new(),
        }))
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_that_says_something() {
        for good in ["Unpaid", " Unpaid ", &"ü".repeat(500), "未払い"] {
            assert!(a_reason(good).is_ok(), "{good}");
        }
        for bad in ["", "  ", "a\nb", "a\u{202e}b", "a\u{2028}b", "\u{3164}", &"ü".repeat(501)] {
            assert!(a_reason(bad).is_err(), "{bad:?}");
        }
    }
}
