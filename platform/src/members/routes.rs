//! `members`.

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenants::{
    Caller, Permission, Role, Tenant,
    http::{ETag, IfMatch, Json, Page, PageQuery, Params, PathId, Problem, WithETag},
};
use utoipa::ToSchema;
use uuid::Uuid;
use validator::Validate;

use super::Member;
use crate::{Result, faults};

/// A member. Athletes see their coaches' names and nothing more.
#[derive(Serialize, ToSchema)]
pub struct MemberView {
    /// The member.
    pub id: Uuid,
    /// Their name.
    pub full_name: String,
    /// Their role.
    pub role: String,
    /// Their address, for those who may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// `pending`, `active` or `disabled`, for those who may see the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// When they joined, for those who may see the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joined_at: Option<DateTime<Utc>>,
}

impl MemberView {
    fn new((member, contact): Member, caller: &Caller) -> Self {
        let all = caller.may(Permission::ListMembers).is_ok() || member.id == caller.member_id.0;
        Self {
            id: member.id,
            full_name: member.full_name,
            role: member.role,
            email: contact.map(|contact| contact.email),
            status: all.then_some(member.status),
            joined_at: all.then_some(member.created_at),
        }
    }
}

/// The members; for coaches and above.
#[utoipa::path(get, path = "/api/v1/members", tag = "members", security(("member" = [])),
    params(("limit" = Option<u8>, Query, minimum = 1, maximum = 100, description = "20 if not given"),
           ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
    responses((status = 200, description = "A page of members", body = Page<MemberView>)))]
pub async fn list(caller: Caller, tenant: Tenant, Params(page): Params<PageQuery>) -> Result<Json<Page<MemberView>>> {
    caller.may(Permission::ListMembers)?;
    let (limit, cursor) = page.parse()?;
    let rows = tenant.read(async |tx| super::list(tx, limit, cursor).await).await?;
    Ok(Json(Page::cut(rows, limit, |(member, _)| member.id).map(|row| MemberView::new(row, &caller))))
}

/// One member: yourself, a coach, or, for coaches and above, anybody.
#[utoipa::path(get, path = "/api/v1/members/{id}", tag = "members", security(("member" = [])),
    params(("id" = Uuid, Path)),
    responses((status = 200, description = "The member", body = MemberView, headers(("ETag" = String)))))]
pub async fn show(caller: Caller, tenant: Tenant, PathId(id): PathId) -> Result<WithETag<Json<MemberView>>> {
    let member = tenant.read(async |tx| super::find(tx, id).await).await?;
    Ok(WithETag(ETag(member.0.version), Json(MemberView::new(member, &caller))))
}

/// What an admin can change; what is absent stays.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberChange {
    /// Not above your own.
    pub role: Option<Role>,
    /// `disabled` bars the member, `active` lets them in again.
    pub status: Option<SettableStatus>,
}

/// The statuses that an admin sets.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SettableStatus {
    /// May come in.
    Active,
    /// May not.
    Disabled,
}

impl SettableStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}

/// Change a member's role or status; for admins and owners. Their tokens lose their power within 5 s.
#[utoipa::path(patch, path = "/api/v1/members/{id}", tag = "members", security(("member" = [])), request_body = MemberChange,
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header, description = "The ETag you read")),
    responses((status = 200, description = "The member as they are now", body = MemberView, headers(("ETag" = String))),
              (status = 409, description = "`last-owner`, or `not-confirmed`: they have not confirmed their address"),
              (status = 412, description = "`changed`: they have another version")))]
pub async fn update(
    caller: Caller,
    tenant: Tenant,
    PathId(id): PathId,
    if_match: IfMatch,
    Json(change): Json<MemberChange>,
) -> Result<WithETag<Json<MemberView>>> {
    let member = tenant
        .write(async |tx| {
            let (member, _) = super::find(tx, id).await?;
            caller.may(Permission::ManageMembers)?;
            if_match.check(ETag(member.version))?;
            if member.status == "pending" {
                return Err(Problem::conflict("not-confirmed", "The member has not confirmed their address.").into());
            }
            super::change(tx, &caller, &member, change.role, change.status.map(SettableStatus::as_str)).await?;
            super::find(tx, id).await
        })
        .await?;
    Ok(WithETag(ETag(member.0.version), Json(MemberView::new(member, &caller))))
}

/// Remove a member; for admins and owners. Their account is deleted.
#[utoipa::path(delete, path = "/api/v1/members/{id}", tag = "members", security(("member" = [])),
    params(("id" = Uuid, Path)),
    responses((status = 204, description = "Removed"), (status = 409, description = "`last-owner`")))]
pub async fn remove(caller: Caller, tenant: Tenant, PathId(id): PathId) -> Result<StatusCode> {
    tenant
        .write(async |tx| {
            let (member, _) = super::find(tx, id).await?;
            caller.may(Permission::ManageMembers)?;
            super::remove(tx, &caller, &member).await
        })
        .await?;
    faults::after("db.remove_member");
    Ok(StatusCode::NO_CONTENT)
}
