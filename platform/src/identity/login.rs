//! Logging in and out, and keeping a session alive.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use chrono::Utc;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tenants::{
    MemberStatus, Standing, TenantId, TenantStatus,
    http::{
        Json, Problem, composed,
        pasted::{self, pasted_token},
    },
    tokens::Verified,
};
use tokio::time::sleep_until;
use utoipa::ToSchema;
use validator::{Validate, ValidationError};

use super::{
    Email,
    attempts::{Attempt, What},
    earliest, email, password, register,
};
use crate::{
    Error, Platform, Result,
    cognito::{self, AuthOutcome, Challenge, Tokens},
    server::Client,
};

/// Address and password.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The account's address.
    #[validate(custom(function = "email::valid"))]
    #[schema(format = Email, max_length = 254)]
    pub email: String,
    /// Its password.
    #[validate(custom(function = "password::triable"))]
    #[schema(min_length = 1, max_length = 256)]
    pub password: String,
}

/// What a login brings: tokens, or one more question.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum LoginAnswer {
    /// Logged in.
    Tokens(TokenSet),
    /// Answer with `POST /api/v1/auth/challenge`.
    Challenge {
        /// `SOFTWARE_TOKEN_MFA` or `NEW_PASSWORD_REQUIRED`.
        challenge: &'static str,
        /// Send it back unchanged, within a few minutes.
        session: String,
    },
}

/// Tokens of a session.
#[derive(Serialize, ToSchema)]
pub struct TokenSet {
    /// Send it as `Authorization: Bearer`.
    pub id_token: String,
    /// For Cognito itself; this API refuses it.
    pub access_token: String,
    /// Trades for new tokens at `auth/refresh`; good for 7 days. May be replaced at each refresh.
    pub refresh_token: String,
    /// `Bearer`.
    pub token_type: &'static str,
    /// Seconds until the ID token expires.
    pub expires_in: u64,
}

/// Log in.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", security(()), request_body = Credentials,
    responses((status = 200, description = "Tokens, or a challenge to answer", body = LoginAnswer),
              (status = 401, description = "`invalid-credentials`"),
              (status = 403, description = "`email-not-confirmed`, `password-reset-required` or `tenant-suspended`"),
              (status = 429, description = "`too-many-attempts`")))]
pub async fn login(
    State(platform): State<Platform>,
    client: Client,
    Json(body): Json<Credentials>,
) -> Result<Json<LoginAnswer>> {
    let email = Email::parse(&body.email)?;
    let attempt = Attempt::begin(&platform, What::Password, email.as_str(), client).await?;
    let outcome = log_in(&platform, &email, SecretString::from(body.password)).await;
    attempt.settle(&outcome).await;
    outcome.map(Json)
}

async fn log_in(platform: &Platform, email: &Email, secret: SecretString) -> Result<LoginAnswer> {
    // From here: how long Cognito takes to refuse may differ as well.
    let earliest = earliest(platform);
    let refused = match password::authenticate(&platform.directory, email.as_str(), &secret).await {
        Ok(outcome) => return answer(platform, outcome).await,
        Err(error) => error,
    };
    let refusal = match refused {
        cognito::Error::NotConfirmed => unconfirmed(platform, email, secret).await,
        // Counted only where there is an account.
        cognito::Error::TooManyAttempts => invalid_credentials(),
        error => login_error(error),
    };
    // Only refusals wait: they are what an address could be guessed from.
    sleep_until(earliest).await;
    Err(refusal)
}

/// Cognito says "not confirmed" whatever the password; here only the right password learns it.
async fn unconfirmed(platform: &Platform, email: &Email, secret: SecretString) -> Error {
    match waiting_with(platform, email, secret).await {
        Ok(true) => Problem::new(StatusCode::FORBIDDEN, "email-not-confirmed", "The address is not confirmed.")
            .detail("Send the code from the mail to auth/confirm, or ask auth/resend for a new one.")
            .into(),
        Ok(false) => invalid_credentials(),
        Err(error) => error,
    }
}

async fn waiting_with(platform: &Platform, email: &Email, secret: SecretString) -> Result<bool> {
    let user = platform.directory.find(email.as_str()).await?;
    let check = match user.and_then(|user| user.tenant_id) {
        None => String::new(),
        Some(tenant) => {
            let read = async |tx: &tenants::TenantTx| {
                let rows = tx.sql("select password_check from registration", []).await?;
                Ok::<_, Error>(
                    rows.first().map(|row| row.try_get("", "password_check")).transpose()?.unwrap_or_default(),
                )
            };
            platform.tenants.as_system(TenantId(tenant)).read(read).await?
        }
    };
    Ok(password::matches(secret, &check).await)
}

fn login_error(error: cognito::Error) -> Error {
    use cognito::Error::{
        CodeMismatch, InvalidCredentials, InvalidPassword, NotFound, PasswordResetRequired, TooManyAttempts,
    };
    match error {
        InvalidCredentials | NotFound => invalid_credentials(),
        CodeMismatch | cognito::Error::CodeExpired => {
            Problem::new(StatusCode::UNAUTHORIZED, "code-invalid", "The code is not right.")
                .field("/answer", "must be the code that the authenticator shows now")
                .into()
        }
        PasswordResetRequired => {
            Problem::new(StatusCode::FORBIDDEN, "password-reset-required", "The password must be set anew.")
                .detail("Ask auth/forgot-password for a code.")
                .into()
        }
        InvalidPassword(detail) => Problem::invalid("/answer", detail).into(),
        TooManyAttempts => register::too_many_attempts(),
        other => other.into(),
    }
}

/// The same for a wrong password and an unknown address.
fn invalid_credentials() -> Error {
    Problem::new(StatusCode::UNAUTHORIZED, "invalid-credentials", "Address or password is wrong.").into()
}

async fn answer(platform: &Platform, outcome: AuthOutcome) -> Result<LoginAnswer> {
    match outcome {
        AuthOutcome::Tokens(tokens) => Ok(LoginAnswer::Tokens(admit(platform, tokens, None).await?)),
        AuthOutcome::Challenge { challenge, session } => {
            Ok(LoginAnswer::Challenge { challenge: challenge.as_str(), session })
        }
    }
}

/// Cognito knows the password; the member row knows whether they may come in. `known` is the refresh token the
/// caller holds already.
async fn admit(platform: &Platform, mut tokens: Tokens, known: Option<&SecretString>) -> Result<TokenSet> {
    let mut token = verified(platform, &tokens).await?;
    let standing = standing(platform, &token).await?;
    match standing.tenant_status {
        TenantStatus::Suspended => return Err(Problem::suspended().into()),
        TenantStatus::Pending => return Err(invalid_credentials()),
        TenantStatus::Active => {}
    }
    if standing.member_status != MemberStatus::Active {
        return Err(invalid_credentials());
    }
    let mut refresh = tokens.refresh.clone().or_else(|| known.cloned());
    if !standing.accepts(token.issued_at) {
        // Issued in the very second of a sign-out, where old and new tokens look alike. The next second settles it.
        let wait = (standing.not_before + 1).saturating_mul(1000) - Utc::now().timestamp_millis();
        tokio::time::sleep(std::time::Duration::from_millis(wait.clamp(0, 1100).unsigned_abs())).await;
        let again = refresh.clone().ok_or_else(invalid_credentials)?;
        tokens = platform.directory.refresh(&again).await.map_err(login_error)?;
        refresh = tokens.refresh.clone().or(refresh);
        token = verified(platform, &tokens).await?;
        if !standing.accepts(token.issued_at) {
            return Err(invalid_credentials());
        }
    }
    let refresh = refresh.ok_or_else(|| tenants::Error::Internal("a login without a refresh token".into()))?;
    Ok(TokenSet {
        id_token: tokens.id.expose_secret().to_owned(),
        access_token: tokens.access.expose_secret().to_owned(),
        refresh_token: refresh.expose_secret().to_owned(),
        token_type: "Bearer",
        expires_in: tokens.expires_in.as_secs(),
    })
}

async fn verified(platform: &Platform, tokens: &Tokens) -> Result<Arc<Verified>> {
    let verified = platform.tenants.verifier().verify(tokens.id.expose_secret()).await;
    verified.map_err(|error| match error {
        tenants::tokens::TokenError::KeysUnavailable => {
            tenants::Error::Unavailable("the identity provider's keys").into()
        }
        error => tenants::Error::Internal(format!("the pool's own token was refused: {error}")).into(),
    })
}

/// The member row. A tenant that is still pending, though Cognito has confirmed its owner, is made active: a crash
/// came between the two.
async fn standing(platform: &Platform, token: &Verified) -> Result<Standing> {
    let tenant = TenantId(token.tenant_id.ok_or_else(invalid_credentials)?);
    let find = async || platform.tenants.standing_now(tenant, &token.subject).await;
    let found = find().await?.ok_or_else(invalid_credentials)?;
    if found.tenant_status != TenantStatus::Pending {
        return Ok(found);
    }
    register::activate(platform, tenant, None).await?;
    find().await?.ok_or_else(invalid_credentials)
}

/// The answer to a challenge.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChallengeAnswer {
    /// From the login.
    #[serde(deserialize_with = "pasted_token")]
    #[validate(length(min = 1, max = 8192, message = "must be the session that the login answered"))]
    #[schema(min_length = 1, max_length = 8192)]
    pub session: String,
    /// Which challenge this answers.
    pub challenge: Challenge,
    /// The authenticator's code, or the new password.
    #[validate(custom(function = "an_answer"))]
    #[schema(min_length = 1, max_length = 256)]
    pub answer: String,
}

impl ChallengeAnswer {
    /// What is sent on: the code without what came along with it, or the password in its normal form.
    fn given(&self) -> SecretString {
        match self.challenge {
            Challenge::SoftwareTokenMfa => pasted::code(&self.answer).into(),
            Challenge::NewPasswordRequired => composed(&self.answer).into_owned().into(),
        }
    }
}

/// Not blank: of a code nothing would be left, and it would cost an attempt.
fn an_answer(answer: &str) -> Result<(), ValidationError> {
    let blank = pasted::code(answer).is_empty();
    if blank {
        Err(ValidationError::new("answer").with_message("must not be blank".into()))
    } else {
        password::triable(answer)
    }
}

/// Finish a login that asked for a code or a new password.
#[utoipa::path(post, path = "/api/v1/auth/challenge", tag = "auth", security(()), request_body = ChallengeAnswer,
    responses((status = 200, description = "Tokens, or a challenge to answer", body = LoginAnswer),
              (status = 401, description = "`invalid-credentials`, or `code-invalid` for a challenge's code"),
              (status = 403, description = "`email-not-confirmed`, `password-reset-required` or `tenant-suspended`"),
              (status = 429, description = "`too-many-attempts`")))]
pub async fn challenge(
    State(platform): State<Platform>,
    client: Client,
    Json(body): Json<ChallengeAnswer>,
) -> Result<Json<LoginAnswer>> {
    // By account, since a right password opens any number of sessions.
    let Some(account) = platform.directory.challenged(&body.session) else {
        return Err(invalid_credentials());
    };
    let attempt = Attempt::begin(&platform, What::SecondFactor, &account, client).await?;
    let outcome = meet(&platform, &body).await;
    attempt.settle(&outcome).await;
    outcome.map(Json)
}

async fn meet(platform: &Platform, body: &ChallengeAnswer) -> Result<LoginAnswer> {
    let given = body.given();
    let outcome =
        platform.directory.answer_challenge(&body.session, body.challenge, &given).await.map_err(login_error)?;
    answer(platform, outcome).await
}

/// A refresh token.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// From the login or the last refresh.
    #[serde(deserialize_with = "pasted_token")]
    #[validate(length(min = 1, max = 8192, message = "must be a refresh token"))]
    #[schema(min_length = 1, max_length = 8192)]
    pub refresh_token: String,
}

/// Trade a refresh token for new tokens.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", security(()), request_body = Refresh,
    responses((status = 200, description = "New tokens", body = TokenSet),
              (status = 401, description = "`invalid-credentials`: log in again"),
              (status = 403, description = "`password-reset-required` or `tenant-suspended`")))]
pub async fn refresh(State(platform): State<Platform>, Json(body): Json<Refresh>) -> Result<Json<TokenSet>> {
    let known = SecretString::from(body.refresh_token);
    let tokens = platform.directory.refresh(&known).await.map_err(login_error)?;
    admit(&platform, tokens, Some(&known)).await.map(Json)
}

/// Log out: the refresh token and what came from it end.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth", security(()), request_body = Refresh,
    responses((status = 204, description = "Logged out, whatever the token was")))]
pub async fn logout(State(platform): State<Platform>, Json(body): Json<Refresh>) -> Result<StatusCode> {
    platform.directory.revoke(&SecretString::from(body.refresh_token)).await?;
    Ok(StatusCode::NO_CONTENT)
}
