//! The audit log of all tenants.

use chrono::{DateTime, Duration, Utc};
use sea_orm::{FromQueryResult, JsonValue, Value};
use serde::{Deserialize, Serialize};
use tenants::{
    Operator, Result,
    http::{Json, Page, PageQuery, Params, Problem},
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::tenant::all;

/// Which lines are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only what was done in this tenant.
    pub tenant_id: Option<Uuid>,
    /// Only this action, `tenant.suspended`.
    #[param(min_length = 1, max_length = 100)]
    pub action: Option<String>,
    /// Only what this member or operator did.
    pub actor_id: Option<Uuid>,
    /// Not before this time, RFC 3339.
    #[param(value_type = Option<DateTime<Utc>>)]
    pub from: Option<String>,
    /// Before this time, RFC 3339.
    #[param(value_type = Option<DateTime<Utc>>)]
    pub to: Option<String>,
    /// How many.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<String>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A line of the audit log.
#[derive(Debug, Serialize, FromQueryResult, ToSchema)]
pub struct AuditLine {
    /// Its id.
    pub id: Uuid,
    /// The tenant it was done in.
    pub tenant_id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// A member's role, `operator`, or `system` for what nobody asked for by token.
    pub actor_role: String,
    /// The member, or the operator's subject; none for the system.
    pub actor_id: Option<Uuid>,
    /// What was done, `object.verb`.
    pub action: String,
    /// To what kind of thing.
    pub object_kind: String,
    /// To which one.
    pub object_id: Option<Uuid>,
    /// What a reader needs to understand it.
    #[schema(value_type = Object)]
    pub detail: JsonValue,
}

/// Both lists: of one tenant by its primary key; of all by the indexes that operators have, as the values suggest: from
/// the newest on, or by a rare action or actor. (Their role has each plan made for its values.)
macro_rules! lines {
    ($whose:literal) => {
        concat!(
            "select id, tenant_id, at, actor_role, actor_id, action, object_kind, object_id, detail from audit where ",
            $whose,
            " and id < $2 and id >= $3 and ($4::timestamptz is null or at >= $4) and ($5::timestamptz is null or at < $5) \
              and ($6::text is null or action = $6) and ($7::uuid is null or actor_id = $7) order by id desc limit $8"
        )
    };
}

/// The audit log, newest first. It is written by what it tells of, in the same transaction, and never changed.
#[utoipa::path(get, path = "/api/v1/admin/audit", operation_id = "operators_list_audit", tag = "operators",
    security(("operator" = [])), params(AuditQuery),
    responses((status = 200, description = "A page of lines", body = Page<AuditLine>)))]
pub async fn list(operator: Operator, Params(query): Params<AuditQuery>) -> Result<Json<Page<AuditLine>>> {
    let (limit, after) = PageQuery { limit: query.limit, cursor: query.cursor }.parse()?;
    let from = query.from.map(|text| time("?from", &text)).transpose()?;
    let to = query.to.map(|text| time("?to", &text)).transpose()?;
    if query.action.as_ref().is_some_and(|action| !(1..=100).contains(&action.chars().count())) {
        return Err(Problem::invalid("?action", "must have 1 to 100 characters").into());
    }
    // Ids are made with the time in front, so a stretch of time is a stretch of the index.
    let newest = to.map_or(after.0, |to| after.0.min(first_id(to + CLOCKS_APART)));
    let oldest = from.map_or(Uuid::nil(), |from| first_id(from - CLOCKS_APART));
    let values: [Value; 8] = [
        query.tenant_id.into(),
        newest.into(),
        oldest.into(),
        from.into(),
        to.into(),
        query.action.into(),
        query.actor_id.into(),
        (limit as i64 + 1).into(),
    ];
    let text = if query.tenant_id.is_some() { lines!("tenant_id = $1") } else { lines!("$1::uuid is null") };
    let rows = operator.scope.across(async |tx| Ok::<_, tenants::Error>(all(&tx.sql(text, values).await?)?)).await?;
    Ok(Json(Page::cut(rows, limit, |line: &AuditLine| line.id)))
}

/// More than a line's id, by the clock of the instance that wrote it, is ever apart from its time, by the database's
/// clock at the transaction's beginning.
const CLOCKS_APART: Duration = Duration::days(1);

/// The lowest UUIDv7 of a moment: its first 48 bits are milliseconds since 1970 (RFC 9562, 5.7).
fn first_id(at: DateTime<Utc>) -> Uuid {
    let milliseconds = u128::try_from(at.timestamp_millis()).unwrap_or(0);
    Uuid::from_u128(milliseconds << 80)
}

/// Years 0 to 9999, which the database holds as well.
fn time(parameter: &str, text: &str) -> Result<DateTime<Utc>, Problem> {
    let parsed = DateTime::parse_from_rfc3339(text);
    parsed
        .map(|time| time.to_utc())
        .map_err(|_| Problem::invalid(parameter, "must be a time as RFC 3339 has it, such as 2026-11-30T08:00:00Z"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_ids_of_a_moment_begin_with_it() {
        let before = Utc::now();
        let id = Uuid::now_v7();
        assert!(first_id(before) <= id && id < first_id(Utc::now() + Duration::milliseconds(1)));
        assert_eq!(first_id("1969-07-20T20:17:40Z".parse().unwrap()), Uuid::nil());
    }

    #[test]
    fn a_time_that_is_none_is_named() {
        assert!(time("?from", "2026-11-30T08:00:00+01:00").is_ok());
        for text in ["", "yesterday", "2026-11-30", "2026-02-30T00:00:00Z", "+12026-11-30T08:00:00Z"] {
            assert_eq!(time("?from", text).unwrap_err().errors[0].pointer, "?from", "{text}");
        }
    }
}
