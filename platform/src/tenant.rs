//! The tenant as its members see it.

use serde::{Deserialize, Serialize};
use tenants::{
    Caller, Permission, Tenant, TenantId, TenantTx,
    http::{ETag, IfMatch, Json, Problem, WithETag, tidy},
};
use utoipa::ToSchema;
use validator::Validate;

use crate::{Result, identity::text};

/// The caller's tenant.
#[derive(Serialize, ToSchema)]
pub struct TenantProfile {
    /// Its id.
    pub id: TenantId,
    /// `business` or `individual`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// IANA time zone.
    pub time_zone: String,
    /// For pages and mails, `#rrggbb`.
    pub brand_color: String,
    #[serde(skip)]
    version: i64,
}

/// Your business.
#[utoipa::path(get, path = "/api/v1/tenant", tag = "tenant", security(("member" = [])),
    responses((status = 200, description = "The caller's business", body = TenantProfile, headers(("ETag" = String)))))]
pub async fn show(_caller: Caller, tenant: Tenant) -> Result<WithETag<Json<TenantProfile>>> {
    let profile = tenant.read(async |tx| find(tx).await).await?;
    Ok(WithETag(ETag(profile.version), Json(profile)))
}

/// What an owner can change; what is absent stays.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantChange {
    /// 1 to 120 characters.
    #[validate(custom(function = "text::name"))]
    #[schema(min_length = 1, max_length = 120, pattern = r"\S")]
    pub name: Option<String>,
    /// IANA time zone.
    #[validate(custom(function = "text::time_zone"))]
    #[schema(example = "Europe/Berlin")]
    pub time_zone: Option<String>,
    /// `#rrggbb`, lower case.
    #[validate(custom(function = "text::color"))]
    #[schema(pattern = "^#[0-9a-f]{6}$")]
    pub brand_color: Option<String>,
}

/// Change your business; for owners.
#[utoipa::path(patch, path = "/api/v1/tenant", tag = "tenant", security(("member" = [])), request_body = TenantChange,
    params(("If-Match" = Option<String>, Header, description = "The ETag you read")),
    responses((status = 200, description = "The business as it is now", body = TenantProfile, headers(("ETag" = String))),
              (status = 412, description = "`changed`: it has another version")))]
pub async fn update(
    caller: Caller,
    tenant: Tenant,
    if_match: IfMatch,
    Json(change): Json<TenantChange>,
) -> Result<WithETag<Json<TenantProfile>>> {
    caller.may(Permission::ManageTenant)?;
    let profile = tenant
        .write(async |tx| {
            let rows = tx.sql("select version from tenant where id = $1 for update", [tx.tenant_id().0.into()]).await?;
            let current: i64 = rows.first().ok_or_else(Problem::not_found)?.try_get("", "version")?;
            if_match.check(ETag(current))?;
            tx.run(
                "update tenant set name = coalesce($2, name), time_zone = coalesce($3, time_zone), \
                 brand_color = coalesce($4, brand_color), version = version + 1, updated_at = now() where id = $1",
                [
                    tx.tenant_id().0.into(),
                    change.name.as_deref().map(tidy).into(),
                    change.time_zone.clone().into(),
                    change.brand_color.clone().into(),
                ],
            )
            .await?;
            find(tx).await
        })
        .await?;
    Ok(WithETag(ETag(profile.version), Json(profile)))
}

async fn find(tx: &TenantTx) -> Result<TenantProfile> {
    let text = "select kind, name, time_zone, brand_color, version from tenant where id = $1";
    let rows = tx.sql(text, [tx.tenant_id().0.into()]).await?;
    let row = rows.first().ok_or_else(Problem::not_found)?;
    Ok(TenantProfile {
        id: tx.tenant_id(),
        kind: row.try_get("", "kind")?,
        name: row.try_get("", "name")?,
        time_zone: row.try_get("", "time_zone")?,
        brand_color: row.try_get("", "brand_color")?,
        version: row.try_get("", "version")?,
    })
}
