//! Tenants as operators find them: the list of all, and one with its people and what it used.

use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};
use tenants::{
    Operator, OperatorScope, Result, TenantId, TenantTx,
    http::{Cursor, Json, Page, PageQuery, Params, PathId, Problem, WithETag, containing, is_line, searched, tidy},
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    StoredBytes,
    tenant::{self, Tenant, all, tenant_columns},
};

/// What the audit log says of an opening without a reason of the operator's own.
const LOOKED: &str = "looked at the tenant";
/// Days of usage that are shown, today included.
const USAGE_DAYS: i32 = 31;

/// Which tenants are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TenantQuery {
    /// Only names that contain this, in upper or lower case and however its accents are typed; or the one tenant with this id.
    #[param(min_length = 1, max_length = 100)]
    pub q: Option<String>,
    /// Only in this status.
    #[param(inline)]
    pub status: Option<Status>,
    /// Only of this kind.
    #[param(inline)]
    pub kind: Option<Kind>,
    /// How many.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<String>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A tenant's status.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Registered, not confirmed.
    Pending,
    /// In use.
    Active,
    /// Stopped by an operator.
    Suspended,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

/// What a tenant is.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A gym, a coaching firm, a company's programme.
    Business,
    /// Somebody who trains alone.
    Individual,
    /// The owner of the platform's library.
    Platform,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Business => "business",
            Self::Individual => "individual",
            Self::Platform => "platform",
        }
    }
}

/// All tenants, newest first.
#[utoipa::path(get, path = "/api/v1/admin/tenants", operation_id = "operators_list_tenants", tag = "operators",
    security(("operator" = [])), params(TenantQuery),
    responses((status = 200, description = "A page of tenants", body = Page<Tenant>)))]
pub async fn list(operator: Operator, Params(query): Params<TenantQuery>) -> Result<Json<Page<Tenant>>> {
    let TenantQuery { q, status, kind, limit, cursor } = query;
    let (limit, after) = PageQuery { limit, cursor }.parse()?;
    let q = q.map(|q| searched(&q)).transpose()?;
    let rows = operator
        .scope
        .across(async |tx| {
            // By the primary key. What is searched for is compared row by row: tenants are few beside their data.
            let text = concat!(
                "select ",
                tenant_columns!(),
                " from tenant where id < $1 and ($2::text is null or status = $2) and ($3::text is null or kind = $3) \
                  and ($4::text is null or search_form(name) like (select search_form($4)) or id = $5) order by id desc limit $6"
            );
            let values = [
                after.0.into(),
                status.map(Status::as_str).into(),
                kind.map(Kind::as_str).into(),
                q.as_deref().map(containing).into(),
                q.as_deref().and_then(|q| Uuid::try_parse(q).ok()).into(),
                (limit as i64 + 1).into(),
            ];
            Ok::<_, tenants::Error>(all(&tx.sql(text, values).await?)?)
        })
        .await?;
    Ok(Json(Page::cut(rows, limit, |tenant: &Tenant| tenant.id)))
}

/// A tenant with its people and what it used.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenedTenant {
    /// Its row in the registry.
    #[serde(flatten)]
    pub tenant: Tenant,
    /// Bytes of video it stores now, uploaded or announced: what counts against `storage_limit_bytes`.
    pub storage_used_bytes: i64,
    /// What it used on each of the last 31 days, newest first.
    pub usage: Vec<UsageOfDay>,
    /// The first page of its members; `next_cursor` goes on at `/members`.
    pub members: Page<Member>,
}

/// What a tenant used in one day.
#[derive(Debug, Serialize, FromQueryResult, ToSchema)]
pub struct UsageOfDay {
    /// The day, in UTC.
    pub day: NaiveDate,
    /// What was counted.
    pub meter: String,
    /// How much of it.
    pub amount: i64,
}

/// A member, as operators see one.
#[derive(Debug, Serialize, FromQueryResult, ToSchema)]
#[schema(as = MemberOfTenant)]
pub struct Member {
    /// The member.
    pub id: Uuid,
    /// Their name.
    pub full_name: String,
    /// Their address; none once they are removed.
    pub email: Option<String>,
    /// `athlete`, `coach`, `admin` or `owner`.
    pub role: String,
    /// `pending`, `active`, `disabled` or `removed`.
    pub status: String,
    /// When they joined.
    pub joined_at: DateTime<Utc>,
}

/// Why a tenant is looked into.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OpeningQuery {
    /// For the audit log, such as the number of a support case.
    #[param(min_length = 1, max_length = 200)]
    pub reason: Option<String>,
}

/// Open one tenant: its settings, what it stores, usage and members. The audit log says so first, with the reason.
#[utoipa::path(get, path = "/api/v1/admin/tenants/{id}", operation_id = "operators_show_tenant", tag = "operators",
    security(("operator" = [])), params(("id" = Uuid, Path, description = "The tenant"), OpeningQuery),
    responses((status = 200, description = "The tenant", body = OpenedTenant, headers(("ETag" = String)))))]
pub async fn show(
    operator: Operator,
    State(StoredBytes(stored)): State<StoredBytes>,
    PathId(id): PathId,
    Params(query): Params<OpeningQuery>,
) -> Result<WithETag<Json<OpenedTenant>>> {
    let opened = open(&operator.scope, id, query.reason).await?;
    let (limit, start) = PageQuery::default().parse()?;
    let tenant = opened
        .read(async |tx| {
            Ok::<_, tenants::Error>(OpenedTenant {
                tenant: tenant::find(tx, id).await?,
                storage_used_bytes: stored(tx).await?,
                usage: usage(tx).await?,
                members: members_of(tx, limit, start).await?,
            })
        })
        .await?;
    Ok(WithETag(tenant.tenant.etag(), Json(tenant)))
}

/// Which members are listed, and why.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MemberQuery {
    /// For the audit log, such as the number of a support case.
    #[param(min_length = 1, max_length = 200)]
    pub reason: Option<String>,
    /// How many.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<String>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// One tenant's members, newest first; those who were removed as well. The audit log says so first, with the reason.
#[utoipa::path(get, path = "/api/v1/admin/tenants/{id}/members", operation_id = "operators_list_members",
    tag = "operators", security(("operator" = [])), params(("id" = Uuid, Path, description = "The tenant"), MemberQuery),
    responses((status = 200, description = "A page of members", body = Page<Member>)))]
pub async fn members(
    operator: Operator,
    PathId(id): PathId,
    Params(query): Params<MemberQuery>,
) -> Result<Json<Page<Member>>> {
    let (limit, after) = PageQuery { limit: query.limit, cursor: query.cursor }.parse()?;
    let opened = open(&operator.scope, id, query.reason).await?;
    Ok(Json(opened.read(async |tx| members_of(tx, limit, after).await).await?))
}

/// Opens the tenant, which writes the audit row before anything is read.
async fn open(scope: &OperatorScope, id: Uuid, reason: Option<String>) -> Result<tenants::Tenant> {
    let reason = reason.as_deref().map_or(LOOKED, tidy);
    if !is_line(reason, 200) {
        return Err(
            Problem::invalid("?reason", "must have 1 to 200 characters in one line, and not only spaces").into()
        );
    }
    scope.open(TenantId(id), reason).await
}

async fn members_of(tx: &TenantTx, limit: u64, after: Cursor) -> Result<Page<Member>> {
    let text = "select m.id, m.full_name, c.email, m.role, m.status, m.created_at as joined_at from member m \
                left join member_contact c on c.tenant_id = m.tenant_id and c.id = m.id \
                where m.tenant_id = $1 and m.id < $2 order by m.id desc limit $3";
    let rows = tx.sql(text, [tx.tenant_id().0.into(), after.0.into(), (limit as i64 + 1).into()]).await?;
    Ok(Page::cut(all(&rows)?, limit, |member: &Member| member.id))
}

async fn usage(tx: &TenantTx) -> Result<Vec<UsageOfDay>> {
    let text = "select day, meter, amount from usage \
                where tenant_id = $1 and day > (now() at time zone 'utc')::date - $2 order by day desc, meter";
    Ok(all(&tx.sql(text, [tx.tenant_id().0.into(), USAGE_DAYS.into()]).await?)?)
}
