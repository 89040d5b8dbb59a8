//! Passwords, challenges and refresh tokens for tokens, and ending them.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_cognitoidentityprovider::error::ProvideErrorMetadata;
use aws_sdk_cognitoidentityprovider::types::{AuthFlowType, AuthenticationResultType, ChallengeNameType};
use chrono::Utc;
use secrecy::{ExposeSecret, SecretString};

use super::accounts::acceptable;
use super::session::PendingChallenge;
use super::{AuthOutcome, Challenge, Directory, Error, Result, Tokens};
use crate::faults;

/// Longest refresh token that is sent on, in bytes. Real ones have under 2,048 characters.
const MAX_REFRESH_TOKEN_LENGTH: usize = 8192;

impl Directory {
    /// Signs in with email address and password.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] for an unknown address, a wrong password and a disabled account alike;
    /// [`Error::NotConfirmed`] (whatever the password), [`Error::PasswordResetRequired`], [`Error::Throttled`],
    /// [`Error::Unavailable`].
    pub async fn authenticate(&self, email: &str, password: &SecretString) -> Result<AuthOutcome> {
        acceptable(password).map_err(|_| Error::InvalidCredentials)?;
        let answer = self
            .client
            .admin_initiate_auth()
            .user_pool_id(&self.pool.pool_id)
            .client_id(&self.pool.client_id)
            .auth_flow(AuthFlowType::AdminUserPasswordAuth)
            .auth_parameters("USERNAME", email)
            .auth_parameters("PASSWORD", password.expose_secret())
            .auth_parameters("SECRET_HASH", self.secret_hash(email))
            .send()
            .await
            .map_err(|error| unknown_is_wrong(Error::read("AdminInitiateAuth", &error)))?;
        faults::after("cognito.authenticate");
        self.outcome(
            "AdminInitiateAuth",
            email,
            answer.authentication_result,
            answer.challenge_name,
            answer.session,
            answer.challenge_parameters,
        )
    }

    /// Answers the challenge that [`Self::authenticate`] brought: six digits, or a new password. The outcome may be
    /// one more challenge.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] when `session` is not ours, is out of date or belongs to another challenge;
    /// [`Error::CodeMismatch`] and [`Error::CodeExpired`] for the digits, [`Error::InvalidPassword`] for the
    /// password; [`Error::TooManyAttempts`], [`Error::Throttled`], [`Error::Unavailable`].
    pub async fn answer_challenge(
        &self,
        session: &str,
        challenge: Challenge,
        answer: &SecretString,
    ) -> Result<AuthOutcome> {
        let pending = PendingChallenge::open(session, &self.key(), &self.pool.pool_id, Utc::now())
            .filter(|pending| pending.challenge == challenge)
            .ok_or(Error::InvalidCredentials)?;
        let field = match challenge {
            Challenge::SoftwareTokenMfa => {
                six_digits(answer.expose_secret())?;
                "SOFTWARE_TOKEN_MFA_CODE"
            }
            Challenge::NewPasswordRequired => {
                acceptable(answer)?;
                "NEW_PASSWORD"
            }
        };
        let answer = self
            .client
            .admin_respond_to_auth_challenge()
            .user_pool_id(&self.pool.pool_id)
            .client_id(&self.pool.client_id)
            .challenge_name(challenge.as_str().into())
            .session(&pending.session)
            .challenge_responses("USERNAME", &pending.username)
            .challenge_responses(field, answer.expose_secret())
            .challenge_responses("SECRET_HASH", self.secret_hash(&pending.username))
            .send()
            .await
            .map_err(|error| unknown_is_wrong(Error::read("AdminRespondToAuthChallenge", &error)))?;
        faults::after("cognito.answer_challenge");
        self.outcome(
            "AdminRespondToAuthChallenge",
            &pending.username,
            answer.authentication_result,
            answer.challenge_name,
            answer.session,
            answer.challenge_parameters,
        )
    }

    /// The user name whose challenge a session carries; none when it is not ours or out of date.
    pub fn challenged(&self, session: &str) -> Option<String> {
        let pending = PendingChallenge::open(session, &self.key(), &self.pool.pool_id, Utc::now());
        pending.map(|pending| pending.username)
    }

    fn outcome(
        &self,
        operation: &'static str,
        username: &str,
        result: Option<AuthenticationResultType>,
        challenge: Option<ChallengeNameType>,
        session: Option<String>,
        parameters: Option<HashMap<String, String>>,
    ) -> Result<AuthOutcome> {
        if let Some(result) = result {
            return tokens(operation, result).map(AuthOutcome::Tokens);
        }
        let challenge = match challenge {
            Some(ChallengeNameType::SoftwareTokenMfa) => Challenge::SoftwareTokenMfa,
            Some(ChallengeNameType::NewPasswordRequired) => Challenge::NewPasswordRequired,
            Some(other) => return Err(Error::unexpected(operation, &format!("challenge {other}"))),
            None => {
                return Err(Error::unexpected(operation, "neither tokens nor a challenge"));
            }
        };
        let session = session.ok_or_else(|| Error::unexpected(operation, "a challenge without a session"))?;
        // The user name proper: an alias such as the address is not taken when answering (API reference,
        // `AdminInitiateAuth`, ChallengeParameters).
        let username = parameters
            .and_then(|mut parameters| parameters.remove("USER_ID_FOR_SRP"))
            .unwrap_or_else(|| username.to_owned());
        let session = PendingChallenge::new(session, username, challenge, Utc::now())
            .seal(&self.key(), &self.pool.pool_id)
            .ok_or_else(|| Error::unexpected(operation, "a session that cannot be sealed"))?;
        Ok(AuthOutcome::Challenge { challenge, session })
    }

    /// Trades a refresh token for new tokens, by `GetTokensFromRefreshToken`: it is required where refresh tokens
    /// rotate, works where they do not, and needs no user name. Without a new refresh token in the answer the old
    /// one stays in force.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] when the token is expired, revoked, used up, somebody else's, or its account is
    /// gone or disabled; [`Error::Throttled`], [`Error::Unavailable`].
    pub async fn refresh(&self, refresh_token: &SecretString) -> Result<Tokens> {
        sendable(refresh_token)?;
        let answer = self
            .client
            .get_tokens_from_refresh_token()
            .client_id(&self.pool.client_id)
            .client_secret(self.pool.client_secret.expose_secret())
            .refresh_token(refresh_token.expose_secret())
            .send()
            .await
            .map_err(|error| unknown_is_wrong(Error::read("GetTokensFromRefreshToken", &error)))?;
        faults::after("cognito.refresh");
        let result = answer
            .authentication_result
            .ok_or_else(|| Error::unexpected("GetTokensFromRefreshToken", "no tokens in the answer"))?;
        tokens("GetTokensFromRefreshToken", result)
    }

    /// Revokes one refresh token and what came from it. A token that is none, or is no longer good, is as good as
    /// revoked. ID tokens given out live on until they expire.
    ///
    /// # Errors
    /// [`Error::Throttled`], [`Error::Unavailable`].
    pub async fn revoke(&self, refresh_token: &SecretString) -> Result<()> {
        if sendable(refresh_token).is_err() {
            return Ok(());
        }
        let answer = self
            .client
            .revoke_token()
            .client_id(&self.pool.client_id)
            .client_secret(self.pool.client_secret.expose_secret())
            .token(refresh_token.expose_secret())
            .send()
            .await;
        if let Err(error) = answer {
            let none = error.code() == Some("InvalidParameterException");
            return match Error::read("RevokeToken", &error) {
                Error::InvalidCredentials | Error::NotFound => Ok(()),
                _ if none => Ok(()),
                other => Err(other),
            };
        }
        faults::after("cognito.revoke");
        Ok(())
    }

    /// Ends all of an account's refresh and access tokens. ID tokens live on until they expire: the member row's
    /// `not_before` refuses them. An absent account has nothing to end.
    ///
    /// # Errors
    /// [`Error::Throttled`], [`Error::Unavailable`].
    pub async fn global_sign_out(&self, subject: &str) -> Result<()> {
        let answer =
            self.client.admin_user_global_sign_out().user_pool_id(&self.pool.pool_id).username(subject).send().await;
        match answer.map_err(|error| Error::read("AdminUserGlobalSignOut", &error)) {
            Ok(_) => faults::after("cognito.global_sign_out"),
            Err(Error::NotFound) => {}
            Err(other) => return Err(other),
        }
        Ok(())
    }
}

/// Depending on the app client, Cognito owns up to an unknown account; here it never shows.
fn unknown_is_wrong(error: Error) -> Error {
    match error {
        Error::NotFound => Error::InvalidCredentials,
        other => other,
    }
}

fn sendable(refresh_token: &SecretString) -> Result<()> {
    let token = refresh_token.expose_secret();
    if token.is_empty() || token.len() > MAX_REFRESH_TOKEN_LENGTH || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Error::InvalidCredentials);
    }
    Ok(())
}

fn six_digits(answer: &str) -> Result<()> {
    if answer.len() == 6 && answer.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(());
    }
    Err(Error::CodeMismatch)
}

fn tokens(operation: &'static str, result: AuthenticationResultType) -> Result<Tokens> {
    let (Some(id), Some(access)) = (result.id_token, result.access_token) else {
        return Err(Error::unexpected(operation, "a token is missing"));
    };
    let seconds = u64::try_from(result.expires_in).map_err(|_| Error::unexpected(operation, "a negative validity"))?;
    Ok(Tokens {
        id: id.into(),
        access: access.into(),
        refresh: result.refresh_token.map(SecretString::from),
        expires_in: Duration::from_secs(seconds),
    })
}
