//! A forgotten password.

use axum::{extract::State, http::StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use tenants::{
    Audit, TenantId,
    http::{Json, pasted::pasted_code},
};
use utoipa::ToSchema;
use validator::Validate;

use super::{
    Email,
    attempts::{Attempt, What},
    email, password,
    register::{Addressed, code_error, quietly},
    unhurried,
};
use crate::{Platform, Result, cognito, faults, server::Client};

/// Have a code mailed to set a new password with.
#[utoipa::path(post, path = "/api/v1/auth/forgot-password", tag = "auth", security(()), request_body = Addressed,
    responses((status = 202, description = "If the address has an account, a code is on its way"),
              (status = 429, description = "`too-many-attempts`")))]
pub async fn forgot_password(
    State(platform): State<Platform>,
    client: Client,
    Json(body): Json<Addressed>,
) -> Result<StatusCode> {
    let email = Email::parse(&body.email)?;
    let attempt = Attempt::begin(&platform, What::Mail, email.as_str(), client).await?;
    let sent = async { quietly(platform.directory.forgot_password(email.as_str()).await) };
    let outcome = unhurried(&platform, sent).await;
    attempt.settle(&outcome).await;
    outcome.map(|()| StatusCode::ACCEPTED)
}

/// A new password, with the code that was mailed.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// The account's address.
    #[validate(custom(function = "email::valid"))]
    #[schema(format = Email, max_length = 254)]
    pub email: String,
    /// From the mail; good for an hour. Spaces and dashes in and around it are no part of it.
    #[serde(deserialize_with = "pasted_code")]
    #[validate(length(min = 1, max = 64, message = "must be the code from the mail"))]
    #[schema(min_length = 1, max_length = 64)]
    pub code: String,
    /// 10 to 256 characters, counted in Unicode's composed form (NFC).
    #[serde(deserialize_with = "password::normal")]
    #[validate(custom(function = "password::acceptable"))]
    #[schema(min_length = 10, max_length = 256)]
    pub new_password: String,
}

/// Set a new password with the code from the mail. Everybody logged in to the account is logged out.
#[utoipa::path(post, path = "/api/v1/auth/reset-password", tag = "auth", security(()), request_body = Reset,
    responses((status = 204, description = "The password is set: log in"),
              (status = 429, description = "`too-many-attempts`")))]
pub async fn reset_password(
    State(platform): State<Platform>,
    client: Client,
    Json(body): Json<Reset>,
) -> Result<StatusCode> {
    let email = Email::parse(&body.email)?;
    let attempt = Attempt::begin(&platform, What::Code, email.as_str(), client).await?;
    let new = SecretString::from(body.new_password);
    let outcome = unhurried(&platform, reset(&platform, &email, &body.code, new, client)).await;
    attempt.settle(&outcome).await;
    outcome.map(|()| StatusCode::NO_CONTENT)
}

async fn reset(platform: &Platform, email: &Email, code: &str, new: SecretString, client: Client) -> Result<()> {
    use cognito::Error::{CodeExpired, CodeMismatch, NotFound, TooManyAttempts};
    match platform.directory.confirm_forgot_password(email.as_str(), code, &new).await {
        Ok(()) => {}
        // The code is used up and the password in force when an earlier try crashed before it ended the sessions. Asked
        // whatever stands behind an answer that says "wrong code", an unknown address too: so it tells no more than that.
        Err(CodeMismatch | CodeExpired | NotFound | TooManyAttempts)
            if is_in_force(platform, email, &new, client).await? => {}
        Err(error) => return Err(code_error(error)),
    }
    let Some(user) = platform.directory.find(email.as_str()).await? else {
        return Ok(());
    };
    let Some(tenant) = user.tenant_id else { return Ok(()) };
    end_sessions(platform, &platform.tenants.as_system(TenantId(tenant)), &user.subject, "member.password-reset").await
}

/// Whether one can log in with this password: a guess like a login's, which counts as one.
async fn is_in_force(platform: &Platform, email: &Email, password: &SecretString, client: Client) -> Result<bool> {
    let attempt = Attempt::begin(platform, What::Password, email.as_str(), client).await?;
    let right = match platform.directory.authenticate(email.as_str(), password).await {
        Ok(_) => Ok(true),
        Err(error @ (cognito::Error::Unavailable | cognito::Error::Throttled)) => Err(error.into()),
        Err(_) => Ok(false),
    };
    attempt.settle_guess(&right).await;
    right
}

/// Ends every session of an account: refresh tokens at Cognito, ID tokens by the member row.
pub(super) async fn end_sessions(
    platform: &Platform,
    tenant: &tenants::Tenant,
    subject: &str,
    action: &'static str,
) -> Result<()> {
    // Refresh tokens first: none is left that could outlive the moment the row names.
    platform.directory.global_sign_out(subject).await?;
    tenant
        .write(async |tx| {
            let text = "update member set not_before = now(), updated_at = now() where subject = $1 returning id";
            let rows = tx.sql(text, [subject.into()]).await?;
            for row in rows {
                let id = row.try_get("", "id")?;
                tx.audit(Audit { action, object_kind: "member", object_id: Some(id), detail: serde_json::json!({}) })
                    .await?;
            }
            tx.member_changed(subject);
            Ok::<_, crate::Error>(())
        })
        .await?;
    faults::after("db.end_sessions");
    Ok(())
}
