//! `invitations`.

use axum::http::StatusCode;
use serde::Deserialize;
use tenants::{
    Caller, Permission, Role, Tenant,
    http::{Idempotent, Json, Page, PageQuery, Params, PathId},
};
use utoipa::ToSchema;
use validator::Validate;

use super::Invitation;
use crate::{
    Result, faults,
    identity::{Email, email},
};

/// Who is invited as what.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvitation {
    /// Where the invitation is mailed to.
    #[validate(custom(function = "email::valid"))]
    #[schema(format = Email, max_length = 254)]
    pub email: String,
    /// Not above your own.
    pub role: Role,
}

/// Invite somebody; for admins and owners. Whether the address has an account elsewhere is told to them, not to you.
#[utoipa::path(post, path = "/api/v1/invitations", tag = "invitations", security(("member" = [])), request_body = NewInvitation,
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats of one request make one invitation")),
    responses((status = 201, description = "Its mail is on its way", body = Invitation),
              (status = 409, description = "`already-member` or `already-invited`")))]
pub async fn create(
    caller: Caller,
    tenant: Tenant,
    Idempotent { once, body }: Idempotent<NewInvitation>,
) -> Result<(StatusCode, Json<Invitation>)> {
    caller.may(Permission::ManageMembers)?;
    let email = Email::parse(&body.email)?;
    let invitation = tenant
        .write(async |tx| {
            let id = once.create(tx, async || super::add(tx, &caller, &email, body.role).await).await?;
            super::find(tx, id).await
        })
        .await?;
    faults::after("db.invite");
    Ok((StatusCode::CREATED, Json(invitation)))
}

/// The invitations; for admins and owners.
#[utoipa::path(get, path = "/api/v1/invitations", tag = "invitations", security(("member" = [])),
    params(("limit" = Option<u8>, Query, minimum = 1, maximum = 100, description = "20 if not given"),
           ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
    responses((status = 200, description = "A page of invitations", body = Page<Invitation>)))]
pub async fn list(caller: Caller, tenant: Tenant, Params(page): Params<PageQuery>) -> Result<Json<Page<Invitation>>> {
    caller.may(Permission::ManageMembers)?;
    let (limit, cursor) = page.parse()?;
    let rows = tenant.read(async |tx| super::list(tx, limit, cursor).await).await?;
    Ok(Json(Page::cut(rows, limit, |invitation| invitation.id)))
}

/// Send it again; for admins and owners. The link in the earlier mail no longer works.
#[utoipa::path(post, path = "/api/v1/invitations/{id}/resend", tag = "invitations", security(("member" = [])),
    params(("id" = Uuid, Path)),
    responses((status = 202, description = "A new mail is on its way"), (status = 409, description = "`not-open`: it was accepted or taken back")))]
pub async fn resend(caller: Caller, tenant: Tenant, PathId(id): PathId) -> Result<StatusCode> {
    caller.may(Permission::ManageMembers)?;
    tenant.write(async |tx| super::resend(tx, id).await).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Take it back; for admins and owners.
#[utoipa::path(delete, path = "/api/v1/invitations/{id}", tag = "invitations", security(("member" = [])),
    params(("id" = Uuid, Path)),
    responses((status = 204, description = "It can't be accepted any more"), (status = 409, description = "`not-open`: it was accepted or taken back")))]
pub async fn revoke(caller: Caller, tenant: Tenant, PathId(id): PathId) -> Result<StatusCode> {
    caller.may(Permission::ManageMembers)?;
    tenant.write(async |tx| super::revoke(tx, id).await).await?;
    Ok(StatusCode::NO_CONTENT)
}
