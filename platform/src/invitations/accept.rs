//! Accepting an invitation makes a confirmed account and a member.
//!
//! The account is made first, stamped with the tenant's id, and the member row last. After a crash between them the
//! account is found without a member row, and the next try goes on with it.

use axum::{extract::State, http::StatusCode};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tenants::{
    Audit, MemberId, MemberStatus, Tenant, TenantId, TenantTx,
    http::{Json, Problem, pasted::pasted_token, tidy},
};
use utoipa::ToSchema;
use uuid::Uuid;
use validator::Validate;

use super::jobs::Secret;
use crate::{
    Error, Platform, Result,
    cognito::{self, User},
    faults,
    identity::{
        Email, acceptable_password,
        accounts::{Address, claim},
        normal_password, text,
    },
};

/// The invitation's token, and who accepts it.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// From the link in the mail.
    #[serde(deserialize_with = "pasted_token")]
    #[validate(length(min = 1, max = 256, message = "must be the token from the mail"))]
    #[schema(min_length = 1, max_length = 256)]
    pub token: String,
    /// 10 to 256 characters, counted in Unicode's composed form (NFC).
    #[serde(deserialize_with = "normal_password")]
    #[validate(custom(function = "acceptable_password"))]
    #[schema(min_length = 10, max_length = 256)]
    pub password: String,
    /// Your name.
    #[validate(custom(function = "text::name"))]
    #[schema(min_length = 1, max_length = 120, pattern = r"\S")]
    pub full_name: String,
}

/// Who joined what.
#[derive(Serialize, ToSchema)]
pub struct Joined {
    /// The business.
    pub tenant_id: TenantId,
    /// The new member.
    pub member_id: MemberId,
}

struct Open {
    id: Uuid,
    email: Email,
    role: String,
}

/// Accept an invitation. The address counts as confirmed, since the mail reached it.
#[utoipa::path(post, path = "/api/v1/auth/accept-invitation", tag = "auth", security(()), request_body = Acceptance,
    responses((status = 201, description = "The account is made: log in", body = Joined),
              (status = 409, description = "`account-elsewhere`, or `in-progress` when it was sent twice at once")))]
pub async fn accept(
    State(platform): State<Platform>,
    Json(body): Json<Acceptance>,
) -> Result<(StatusCode, Json<Joined>)> {
    let (tenant_id, secret) = Secret::parse(&body.token).ok_or_else(invalid)?;
    let tenant = platform.tenants.as_system(tenant_id);
    let open = tenant.read(async |tx| find_open(tx, &secret).await).await?;
    let subject = account(&platform, &tenant, &open).await?;
    let password = SecretString::from(body.password);
    platform.directory.set_password(&subject, &password).await.map_err(|error| match error {
        cognito::Error::InvalidPassword(detail) => Error::from(Problem::invalid("/password", detail)),
        other => other.into(),
    })?;
    let name = tidy(&body.full_name);
    let member_id = tenant.write(async |tx| join(tx, &open, &secret, &subject, name).await).await?;
    faults::after("db.join");
    Ok((StatusCode::CREATED, Json(Joined { tenant_id, member_id })))
}

async fn find_open(tx: &TenantTx, secret: &Secret) -> Result<Open> {
    // The inviter must still be one who may: an instance that has not heard of a removal lets them go on for seconds.
    let text = "select i.id, i.email, i.role from invitation i join tenant t on t.id = i.tenant_id \
                join member m on m.tenant_id = i.tenant_id and m.id = i.invited_by \
                    and m.status = 'active' and role_rank(m.role) >= role_rank(i.role) \
                where i.token_hash = $1 and i.accepted_at is null and i.revoked_at is null and i.expires_at > now() \
                and t.status = 'active'";
    let rows = tx.sql(text, [secret.hash().into()]).await?;
    let row = rows.first().ok_or_else(invalid)?;
    let email: String = row.try_get("", "email")?;
    Ok(Open { id: row.try_get("", "id")?, email: Email::parse(&email)?, role: row.try_get("", "role")? })
}

/// The account that joins: a new one, or the one that an earlier try of this made.
async fn account(platform: &Platform, tenant: &Tenant, open: &Open) -> Result<String> {
    if let Address::Taken(user) = claim(platform, &open.email).await? {
        match earlier_try(platform, tenant, &user).await? {
            Earlier::Unfinished => return Ok(user.subject),
            // Removed from this business before, and not yet deleted by the job.
            Earlier::Removed => platform.directory.delete(&user.subject).await?,
            Earlier::Elsewhere => return Err(account_elsewhere()),
        }
    }
    match platform.directory.create(open.email.as_str(), tenant.id().0, &open.role).await {
        Ok(subject) => Ok(subject),
        // A twin of this request made it.
        Err(cognito::Error::Exists) => {
            Err(Problem::conflict("in-progress", "The invitation is being accepted.").into())
        }
        Err(error) => Err(error.into()),
    }
}

enum Earlier {
    Unfinished,
    Removed,
    Elsewhere,
}

async fn earlier_try(platform: &Platform, tenant: &Tenant, user: &User) -> Result<Earlier> {
    if user.tenant_id != Some(tenant.id().0) {
        return Ok(Earlier::Elsewhere);
    }
    Ok(match platform.tenants.standing_now(tenant.id(), &user.subject).await? {
        None => Earlier::Unfinished,
        Some(standing) if standing.member_status == MemberStatus::Removed => Earlier::Removed,
        Some(_) => Earlier::Elsewhere,
    })
}

async fn join(tx: &TenantTx, open: &Open, secret: &Secret, subject: &str, name: &str) -> Result<MemberId> {
    let text = "update invitation set accepted_at = now(), token_hash = null where id = $1 and token_hash = $2 \
                and accepted_at is null and revoked_at is null and expires_at > now()";
    if tx.run(text, [open.id.into(), secret.hash().into()]).await? == 0 {
        return Err(invalid());
    }
    let (tenant, member) = (tx.tenant_id().0, MemberId::new());
    tx.run(
        "insert into member (tenant_id, id, subject, full_name, role, status, time_zone) \
         select $1, $2, $3, $4, $5, 'active', time_zone from tenant where id = $1",
        [tenant.into(), member.0.into(), subject.into(), name.into(), open.role.clone().into()],
    )
    .await?;
    let contact = [tenant.into(), member.0.into(), open.email.as_str().into()];
    tx.run("insert into member_contact (tenant_id, id, email) values ($1, $2, $3)", contact).await?;
    let detail = serde_json::json!({ "invitation": open.id, "role": open.role });
    tx.audit(Audit { action: "member.joined", object_kind: "member", object_id: Some(member.0), detail }).await?;
    tx.member_changed(subject);
    Ok(member)
}

/// The same for a token that is none, is of no invitation, was used, replaced or taken back, or is out of date.
fn invalid() -> Error {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invitation-invalid", "The invitation can't be accepted.")
        .detail("It may have been used, replaced by a newer mail, taken back, or be older than 7 days. If you accepted it, log in; else ask for a new one.")
        .field("/token", "must be the token from the newest mail")
        .into()
}

fn account_elsewhere() -> Error {
    Problem::conflict("account-elsewhere", "This address has an account already.")
        .detail(
            "One account belongs to one business. Ask to be invited with another address, or have the other account \
             removed there first.",
        )
        .into()
}
