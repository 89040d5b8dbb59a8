//! The caller's own profile, password and sessions.

use axum::{extract::State, http::StatusCode};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tenants::{
    Caller, MemberId, Role, Tenant, TenantId, TenantTx,
    http::{ETag, IfMatch, Json, Problem, WithETag, tidy},
};
use utoipa::ToSchema;
use uuid::Uuid;
use validator::Validate;

use super::{
    attempts::{Attempt, What},
    password,
    recovery::end_sessions,
    text,
};
use crate::{
    Error, Platform, Result,
    cognito::{self, AuthOutcome},
    server::Client,
};

/// The caller.
#[derive(Serialize, ToSchema)]
pub struct Profile {
    /// The member.
    pub id: MemberId,
    /// Their tenant.
    pub tenant_id: TenantId,
    /// The login.
    pub email: String,
    /// Their name.
    pub full_name: String,
    /// Their role.
    pub role: Role,
    /// IANA time zone: what their training days are counted in.
    pub time_zone: String,
    /// `metric` or `imperial`.
    pub units: String,
    /// The coaches of the business, by name.
    pub coaches: Vec<CoachName>,
    #[serde(skip)]
    version: i64,
}

/// A coach as athletes see one.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct CoachName {
    /// The member.
    pub id: Uuid,
    /// Their name.
    pub full_name: String,
}

/// Your profile.
#[utoipa::path(get, path = "/api/v1/me", tag = "me", security(("member" = [])),
    responses((status = 200, description = "The caller", body = Profile, headers(("ETag" = String)))))]
pub async fn show(caller: Caller, tenant: Tenant) -> Result<WithETag<Json<Profile>>> {
    let profile = tenant.read(async |tx| find(tx, &caller).await).await?;
    Ok(WithETag(ETag(profile.version), Json(profile)))
}

/// What can be changed; what is absent stays.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileChange {
    /// 1 to 120 characters.
    #[validate(custom(function = "text::name"))]
    #[schema(min_length = 1, max_length = 120, pattern = r"\S")]
    pub full_name: Option<String>,
    /// IANA time zone.
    #[validate(custom(function = "text::time_zone"))]
    #[schema(example = "Europe/Berlin")]
    pub time_zone: Option<String>,
    /// `metric` or `imperial`.
    pub units: Option<Units>,
}

/// How distances and weights are shown.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Units {
    /// Kilometres and kilograms.
    Metric,
    /// Miles and pounds.
    Imperial,
}

impl Units {
    fn as_str(self) -> &'static str {
        match self {
            Self::Metric => "metric",
            Self::Imperial => "imperial",
        }
    }
}

/// Change your profile.
#[utoipa::path(patch, path = "/api/v1/me", tag = "me", security(("member" = [])), request_body = ProfileChange,
    params(("If-Match" = Option<String>, Header, description = "The ETag you read")),
    responses((status = 200, description = "The profile as it is now", body = Profile, headers(("ETag" = String))),
              (status = 412, description = "`changed`: it has another version")))]
pub async fn update(
    caller: Caller,
    tenant: Tenant,
    if_match: IfMatch,
    Json(change): Json<ProfileChange>,
) -> Result<WithETag<Json<Profile>>> {
    let profile = tenant
        .write(async |tx| {
            let rows =
                tx.sql("select version from member where id = $1 for update", [caller.member_id.0.into()]).await?;
            let current: i64 = rows.first().ok_or_else(Problem::not_found)?.try_get("", "version")?;
            if_match.check(ETag(current))?;
            tx.run(
                "update member set full_name = coalesce($2, full_name), time_zone = coalesce($3, time_zone), \
                 units = coalesce($4, units), version = version + 1, updated_at = now() where id = $1",
                [
                    caller.member_id.0.into(),
                    change.full_name.as_deref().map(tidy).into(),
                    change.time_zone.clone().into(),
                    change.units.map(Units::as_str).into(),
                ],
            )
            .await?;
            find(tx, &caller).await
        })
        .await?;
    Ok(WithETag(ETag(profile.version), Json(profile)))
}

async fn find(tx: &TenantTx, caller: &Caller) -> Result<Profile> {
    let text = "select m.full_name, m.time_zone, m.units, m.version, c.email, array( \
                    select json_build_object('id', id, 'full_name', full_name) from member \
                    where role = 'coach' and status = 'active' and id <> $1 order by full_name, id limit 100) as coaches \
                from member m join member_contact c on c.tenant_id = m.tenant_id and c.id = m.id where m.id = $1";
    let rows = tx.sql(text, [caller.member_id.0.into()]).await?;
    let row = rows.first().ok_or_else(Problem::not_found)?;
    let coaches = row.try_get::<Vec<serde_json::Value>>("", "coaches")?.into_iter();
    let coaches = coaches.map(serde_json::from_value).collect::<serde_json::Result<_>>();
    let coaches = coaches.map_err(|error| tenants::Error::Internal(format!("coaches: {error}")))?;
    Ok(Profile {
        id: caller.member_id,
        tenant_id: caller.tenant_id,
        email: row.try_get("", "email")?,
        full_name: row.try_get("", "full_name")?,
        role: caller.role,
        time_zone: row.try_get("", "time_zone")?,
        units: row.try_get("", "units")?,
        coaches,
        version: row.try_get("", "version")?,
    })
}

/// The old password and the new one.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The password you log in with now.
    #[validate(custom(function = "password::triable"))]
    #[schema(min_length = 1, max_length = 256)]
    pub current_password: String,
    /// 10 to 256 characters, counted in Unicode's composed form (NFC).
    #[serde(deserialize_with = "password::normal")]
    #[validate(custom(function = "password::acceptable"))]
    #[schema(min_length = 10, max_length = 256)]
    pub new_password: String,
}

/// Change your password. You are logged out everywhere.
#[utoipa::path(put, path = "/api/v1/me/password", tag = "me", security(("member" = [])), request_body = PasswordChange,
    responses((status = 204, description = "Changed: log in again"),
              (status = 429, description = "`throttled`, or `too-many-attempts` at the password")))]
pub async fn change_password(
    caller: Caller,
    tenant: Tenant,
    State(platform): State<Platform>,
    client: Client,
    Json(body): Json<PasswordChange>,
) -> Result<StatusCode> {
    let email = tenant.read(async |tx| find(tx, &caller).await).await?.email;
    replace(&platform, &caller, &email, body, client).await?;
    end_sessions(&platform, &tenant, &caller.subject, "member.password-changed").await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn replace(
    platform: &Platform,
    caller: &Caller,
    email: &str,
    body: PasswordChange,
    client: Client,
) -> Result<()> {
    let (current, new) = (SecretString::from(body.current_password), SecretString::from(body.new_password));
    if is_password(platform, email, &current, client).await? {
        platform.directory.set_password(&caller.subject, &new).await.map_err(|error| match error {
            cognito::Error::InvalidPassword(detail) => Error::from(Problem::invalid("/new_password", detail)),
            other => other.into(),
        })?;
    } else if !is_password(platform, email, &new, client).await? {
        // Were the new one in force already, an earlier try would have crashed right behind the change.
        return Err(Problem::invalid("/current_password", "is not your password").into());
    }
    Ok(())
}

/// Counts like a guess at the login, each time: a stolen token must not be a way to try passwords, two at a time even.
async fn is_password(platform: &Platform, email: &str, typed: &SecretString, client: Client) -> Result<bool> {
    let attempt = Attempt::begin(platform, What::Password, email, client).await?;
    let right = match password::authenticate(&platform.directory, email, typed).await {
        Ok(AuthOutcome::Tokens(_) | AuthOutcome::Challenge { .. }) => Ok(true),
        Err(cognito::Error::InvalidCredentials) => Ok(false),
        Err(cognito::Error::TooManyAttempts) => Err(super::register::too_many_attempts()),
        Err(error) => Err(error.into()),
    };
    attempt.settle_guess(&right).await;
    right
}

/// Sign out everywhere, here too.
#[utoipa::path(delete, path = "/api/v1/me/sessions", tag = "me", security(("member" = [])),
    responses((status = 204, description = "Every token issued so far is refused")))]
pub async fn sign_out_everywhere(
    caller: Caller,
    tenant: Tenant,
    State(platform): State<Platform>,
) -> Result<StatusCode> {
    end_sessions(&platform, &tenant, &caller.subject, "member.signed-out-everywhere").await?;
    Ok(StatusCode::NO_CONTENT)
}
