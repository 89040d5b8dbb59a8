//! Registering makes a tenant; confirming the address makes it active.

use axum::{extract::State, http::StatusCode};
use chrono::{TimeDelta, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tenants::{
    Audit, MemberId, Role, TenantId, TenantTx,
    http::{Json, Problem, pasted::pasted_code, tidy},
};
use utoipa::ToSchema;
use validator::Validate;

use super::{
    Email,
    accounts::{Address, claim},
    attempts::{self, Attempt, What},
    confirmed, email,
    jobs::ExpireRegistration,
    password, text, unhurried,
};
use crate::{
    Platform, Result,
    cognito::{self, UserStatus},
    faults,
    mail::Message,
    server::Client,
};

/// Pending registrations live this long.
const UNCONFIRMED_DAYS: i64 = 7;

/// Who registers.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRegistration {
    /// Becomes the login.
    #[validate(custom(function = "email::valid"))]
    #[schema(format = Email, max_length = 254)]
    pub email: String,
    /// 10 to 256 characters, counted in Unicode's composed form (NFC).
    #[serde(deserialize_with = "password::normal")]
    #[validate(custom(function = "password::acceptable"))]
    #[schema(min_length = 10, max_length = 256)]
    pub password: String,
    /// The person's name.
    #[validate(custom(function = "text::name"))]
    #[schema(min_length = 1, max_length = 120, pattern = r"\S")]
    pub full_name: String,
    /// With it a business is made and the person owns it; without it, an individual's tenant.
    #[validate(custom(function = "text::name"))]
    #[schema(min_length = 1, max_length = 120, pattern = r"\S")]
    pub business_name: Option<String>,
    /// IANA time zone; UTC if not given.
    #[validate(custom(function = "text::time_zone"))]
    #[schema(example = "Europe/Berlin")]
    pub time_zone: Option<String>,
}

/// What registering answers, whether or not the address was known.
#[derive(Serialize, ToSchema)]
pub struct Registered {
    /// The new tenant.
    pub tenant_id: TenantId,
    /// The new member.
    pub member_id: MemberId,
    /// Always `confirmation_required`: a code is on its way by mail.
    pub status: &'static str,
}

impl Registered {
    fn new() -> Self {
        Self { tenant_id: TenantId::new(), member_id: MemberId::new(), status: "confirmation_required" }
    }
}

/// Register a business or yourself.
///
/// The answer is the same whether or not the address has an account already; its owner is told by mail.
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "auth", security(()), request_body = NewRegistration,
    responses((status = 201, description = "A code is on its way by mail", body = Registered),
              (status = 429, description = "`too-many-attempts`")))]
pub async fn register(
    State(platform): State<Platform>,
    client: Client,
    Json(new): Json<NewRegistration>,
) -> Result<(StatusCode, Json<Registered>)> {
    let email = Email::parse(&new.email)?;
    let attempt = Attempt::begin(&platform, What::Registration, email.as_str(), client).await?;
    let outcome = unhurried(&platform, make(&platform, &email, new)).await;
    attempt.settle(&outcome).await;
    outcome.map(|registered| (StatusCode::CREATED, Json(registered)))
}

/// The account first, stamped with the tenant's id, and the tenant last: whatever a crash leaves, the next try finds
/// the account unconfirmed and clears it away together with the pending tenant it names.
async fn make(platform: &Platform, email: &Email, new: NewRegistration) -> Result<Registered> {
    let registered = Registered::new();
    let secret = SecretString::from(new.password.clone());
    let check = password::hash(secret.clone()).await;
    if let Address::Taken(_) = claim(platform, email).await? {
        return already_registered(platform, email, registered).await;
    }
    let role = Role::Owner;
    let made = async {
        let subject = platform.directory.sign_up(email.as_str(), &secret).await?;
        platform.directory.set_tenant(&subject, registered.tenant_id.0, role.as_str()).await?;
        Ok(subject)
    };
    let subject = match made.await {
        Ok(subject) => subject,
        // A twin of this request overtook it; the later one counts.
        Err(cognito::Error::Exists | cognito::Error::NotFound) => return Ok(registered),
        Err(cognito::Error::InvalidPassword(detail)) => return Err(Problem::invalid("/password", detail).into()),
        Err(cognito::Error::InvalidEmail) => {
            return Err(Problem::invalid("/email", "is not accepted as an email address").into());
        }
        Err(error) => return Err(error.into()),
    };
    let limit = match new.business_name {
        Some(_) => platform.settings.storage_limit_business,
        None => platform.settings.storage_limit_individual,
    };
    platform
        .tenants
        .as_system(registered.tenant_id)
        .write(async |tx| insert(tx, &registered, email, &new, &subject, &check, limit).await)
        .await?;
    faults::after("db.register");
    Ok(registered)
}

async fn insert(
    tx: &TenantTx,
    ids: &Registered,
    email: &Email,
    new: &NewRegistration,
    subject: &str,
    check: &str,
    storage_limit: i64,
) -> Result<()> {
    let (tenant, member) = (ids.tenant_id.0, ids.member_id.0);
    let kind = if new.business_name.is_some() { "business" } else { "individual" };
    let name = tidy(new.business_name.as_deref().unwrap_or(&new.full_name));
    let zone = new.time_zone.as_deref().unwrap_or("UTC");
    let values = [tenant.into(), kind.into(), name.into(), zone.into(), storage_limit.into()];
    tx.run("insert into tenant (id, kind, name, time_zone, storage_limit_bytes) values ($1, $2, $3, $4, $5)", values)
        .await?;
    tx.run(
        "insert into member (tenant_id, id, subject, full_name, role, status, time_zone) \
         values ($1, $2, $3, $4, 'owner', 'pending', $5)",
        [tenant.into(), member.into(), subject.into(), tidy(&new.full_name).into(), zone.into()],
    )
    .await?;
    let contact = [tenant.into(), member.into(), email.as_str().into()];
    tx.run("insert into member_contact (tenant_id, id, email) values ($1, $2, $3)", contact).await?;
    let check = [tenant.into(), member.into(), check.into()];
    tx.run("insert into registration (tenant_id, id, password_check) values ($1, $2, $3)", check).await?;
    let expiry = Utc::now() + TimeDelta::days(UNCONFIRMED_DAYS);
    tx.enqueue(&ExpireRegistration { subject: subject.to_owned() }, subject, Some(expiry)).await?;
    Ok(())
}

/// The address has an account: nothing is made, its owner is told, and the answer looks the same.
async fn already_registered(platform: &Platform, email: &Email, registered: Registered) -> Result<Registered> {
    let message = Message::already_registered(&platform.link("login")?, &platform.link("forgot-password")?);
    if let Err(error) = platform.mailer.send(email.as_str(), &message).await {
        // Not the caller's concern: an error here would tell that the address is known.
        tracing::warn!(%error, "the mail to the owner of a registered address could not be sent");
    }
    Ok(registered)
}

/// A code for an address.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// As registered.
    #[validate(custom(function = "email::valid"))]
    #[schema(format = Email, max_length = 254)]
    pub email: String,
    /// From the mail. Spaces and dashes in and around it are no part of it.
    #[serde(deserialize_with = "pasted_code")]
    #[validate(length(min = 1, max = 64, message = "must be the code from the mail"))]
    #[schema(min_length = 1, max_length = 64)]
    pub code: String,
}

/// Confirm the address with the code from the mail. Repeated with the same code within a day, it answers the same.
#[utoipa::path(post, path = "/api/v1/auth/confirm", tag = "auth", security(()), request_body = Confirmation,
    responses((status = 204, description = "The address is confirmed: log in"),
              (status = 429, description = "`too-many-attempts`")))]
pub async fn confirm(
    State(platform): State<Platform>,
    client: Client,
    Json(body): Json<Confirmation>,
) -> Result<StatusCode> {
    let email = Email::parse(&body.email)?;
    let attempt = Attempt::begin(&platform, What::Code, email.as_str(), client).await?;
    let outcome = unhurried(&platform, confirm_address(&platform, &email, &body.code)).await;
    attempt.settle(&outcome).await;
    outcome.map(|()| StatusCode::NO_CONTENT)
}

async fn confirm_address(platform: &Platform, email: &Email, code: &str) -> Result<()> {
    let Some(user) = platform.directory.find(email.as_str()).await? else {
        return Err(wrong_code());
    };
    let Some(tenant) = user.tenant_id.map(TenantId) else {
        return Err(wrong_code());
    };
    // A registration that crashed before its tenant was written can't be confirmed, only repeated.
    let pending = platform
        .tenants
        .standing_now(tenant, &user.subject)
        .await?
        .is_some_and(|standing| standing.tenant_status == tenants::TenantStatus::Pending);
    if !pending {
        return confirmed::again(platform, tenant, email, code).await;
    }
    // Confirmed there and still pending here: a crash came between. The code was right then.
    if user.status == UserStatus::Unconfirmed {
        match platform.directory.confirm_sign_up(email.as_str(), code).await {
            Ok(()) | Err(cognito::Error::AlreadyConfirmed) => {}
            Err(error) => return Err(code_error(error)),
        }
    }
    activate(platform, tenant, Some(code)).await
}

/// Makes a pending tenant active, once Cognito has confirmed its owner's address, by `code` if it is known. Repeating it
/// changes nothing.
pub(super) async fn activate(platform: &Platform, tenant: TenantId, code: Option<&str>) -> Result<()> {
    platform
        .tenants
        .as_system(tenant)
        .write(async |tx| {
            let text = "update tenant set status = 'active', updated_at = now() where id = $1 and status = 'pending'";
            if tx.run(text, [tenant.0.into()]).await? == 0 {
                return Ok::<_, crate::Error>(());
            }
            tx.run("update member set status = 'active', updated_at = now() where status = 'pending'", []).await?;
            tx.run("delete from registration", []).await?;
            if let Some(code) = code {
                confirmed::remember(tx, code).await?;
            }
            let audit = Audit {
                action: "tenant.confirmed",
                object_kind: "tenant",
                object_id: Some(tenant.0),
                detail: serde_json::json!({}),
            };
            tx.audit(audit).await?;
            tx.tenant_changed();
            Ok(())
        })
        .await?;
    faults::after("db.activate");
    Ok(())
}

/// The same for a wrong code, an old one and an address that is not waiting for one.
pub(super) fn wrong_code() -> crate::Error {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "code-invalid",
        "The code is not right.",
    )
    .detail(
        "It may be mistyped, out of date or used, or there were too many attempts. Wait a while and ask for a new one.",
    )
    .field("/code", "must be the newest code that was mailed to this address")
    .into()
}

/// What a refused code becomes.
pub(super) fn code_error(error: cognito::Error) -> crate::Error {
    use cognito::Error::{AlreadyConfirmed, CodeExpired, CodeMismatch, InvalidPassword, NotFound, TooManyAttempts};
    match error {
        // Cognito counts attempts only where there is an account: saying so would tell that there is one.
        CodeMismatch | CodeExpired | NotFound | AlreadyConfirmed | TooManyAttempts => wrong_code(),
        InvalidPassword(detail) => Problem::invalid("/new_password", detail).into(),
        other => other.into(),
    }
}

/// Cognito counts wrong codes and passwords itself, and does not say how far it is: it locks an account after five, for a
/// second at first and about 15 minutes at most ("Lockout behavior for failed sign-in attempts" in its developer guide).
/// Only for those who have proved that the account is theirs.
pub(super) fn too_many_attempts() -> crate::Error {
    let (limit, longest) = (5, 900);
    let refused = attempts::refused().with("limit", limit).with("used", limit).with("reset_seconds", longest);
    refused.retry_after(longest).into()
}

/// An address.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Addressed {
    /// The account's address.
    #[validate(custom(function = "email::valid"))]
    #[schema(format = Email, max_length = 254)]
    pub email: String,
}

/// Have a new confirmation code mailed.
#[utoipa::path(post, path = "/api/v1/auth/resend", tag = "auth", security(()), request_body = Addressed,
    responses((status = 202, description = "If the address is waiting for one, a code is on its way"),
              (status = 429, description = "`too-many-attempts`")))]
pub async fn resend(
    State(platform): State<Platform>,
    client: Client,
    Json(body): Json<Addressed>,
) -> Result<StatusCode> {
    let email = Email::parse(&body.email)?;
    let attempt = Attempt::begin(&platform, What::Mail, email.as_str(), client).await?;
    let outcome = unhurried(&platform, async { quietly(platform.directory.resend(email.as_str()).await) }).await;
    attempt.settle(&outcome).await;
    outcome.map(|()| StatusCode::ACCEPTED)
}

/// Keeps a refusal that would tell about the address to the log; an outage is everybody's to know.
pub(super) fn quietly(outcome: Result<(), cognito::Error>) -> Result<()> {
    match outcome {
        Err(error @ (cognito::Error::Unavailable | cognito::Error::Throttled)) => Err(error.into()),
        Err(error) => {
            tracing::info!(%error, "a mail was asked for and not sent");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(error: cognito::Error) -> (u16, Vec<tenants::http::FieldError>) {
        let problem = tenants::Error::from(code_error(error)).into_problem();
        (problem.status.as_u16(), problem.errors.clone())
    }

    #[test]
    fn an_account_that_cognito_has_locked_is_told_all_that_a_429_tells() {
        let problem = tenants::Error::from(too_many_attempts()).into_problem();
        assert_eq!((problem.status.as_u16(), problem.retry_after), (429, Some(900)));
        let told = ["limit", "used", "reset_seconds"].map(|name| problem.extra[name].as_u64());
        assert_eq!(told, [Some(5), Some(5), Some(900)]);
    }

    #[test]
    fn attempts_that_are_counted_only_for_known_addresses_do_not_show() {
        use cognito::Error::{CodeExpired, CodeMismatch, NotFound, TooManyAttempts};
        for error in [CodeExpired, NotFound, TooManyAttempts] {
            assert_eq!(answer(error), answer(CodeMismatch));
        }
    }
}
