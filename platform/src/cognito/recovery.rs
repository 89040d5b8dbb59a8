//! Codes sent to an address: confirming it, and choosing a new password.

use aws_sdk_cognitoidentityprovider::config::http::HttpResponse;
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};
use secrecy::{ExposeSecret, SecretString};

use super::accounts::acceptable;
use super::{Directory, Error, Result};
use crate::faults;

impl Directory {
    /// Confirms an address with the code that was mailed to it (good for 24 hours).
    ///
    /// # Errors
    /// [`Error::CodeMismatch`], also for an address without an account; [`Error::CodeExpired`],
    /// [`Error::AlreadyConfirmed`], [`Error::TooManyAttempts`], [`Error::Throttled`], [`Error::Unavailable`].
    pub async fn confirm_sign_up(&self, email: &str, code: &str) -> Result<()> {
        plausible(code)?;
        let answer = self
            .client
            .confirm_sign_up()
            .client_id(&self.pool.client_id)
            .secret_hash(self.secret_hash(email))
            .username(email)
            .confirmation_code(code)
            .send()
            .await;
        answer.map_err(|error| {
            // The same code stands for "confirmed already" and "disabled"; only the text tells them apart.
            let confirmed = error.message().is_some_and(|text| text.contains("Current status is CONFIRMED"));
            match Error::read("ConfirmSignUp", &error) {
                Error::InvalidCredentials if confirmed => Error::AlreadyConfirmed,
                Error::NotFound | Error::InvalidCredentials => Error::CodeMismatch,
                other => other,
            }
        })?;
        faults::after("cognito.confirm");
        Ok(())
    }

    /// Mails a new confirmation code. Whether the address has an account, or is confirmed already, shows nowhere.
    ///
    /// # Errors
    /// [`Error::Throttled`], [`Error::Unavailable`].
    pub async fn resend(&self, email: &str) -> Result<()> {
        let answer = self
            .client
            .resend_confirmation_code()
            .client_id(&self.pool.client_id)
            .secret_hash(self.secret_hash(email))
            .username(email)
            .send()
            .await;
        match answer {
            Ok(_) => faults::after("cognito.resend"),
            Err(error) => quietly("ResendConfirmationCode", &error)?,
        }
        Ok(())
    }

    /// Mails a code for choosing a new password, if the address has a confirmed account; answers the same if not.
    ///
    /// # Errors
    /// [`Error::Throttled`], [`Error::Unavailable`].
    pub async fn forgot_password(&self, email: &str) -> Result<()> {
        let answer = self
            .client
            .forgot_password()
            .client_id(&self.pool.client_id)
            .secret_hash(self.secret_hash(email))
            .username(email)
            .send()
            .await;
        match answer {
            Ok(_) => faults::after("cognito.forgot_password"),
            Err(error) => quietly("ForgotPassword", &error)?,
        }
        Ok(())
    }

    /// Sets a new password with the code that [`Self::forgot_password`] mailed (good for 1 hour). Tokens given out
    /// before stay good; end them with [`Self::global_sign_out`].
    ///
    /// # Errors
    /// [`Error::CodeMismatch`], also for an address without an account; [`Error::CodeExpired`],
    /// [`Error::InvalidPassword`], [`Error::TooManyAttempts`], [`Error::Throttled`], [`Error::Unavailable`].
    pub async fn confirm_forgot_password(&self, email: &str, code: &str, new_password: &SecretString) -> Result<()> {
        acceptable(new_password)?;
        plausible(code)?;
        let answer = self
            .client
            .confirm_forgot_password()
            .client_id(&self.pool.client_id)
            .secret_hash(self.secret_hash(email))
            .username(email)
            .confirmation_code(code)
            .password(new_password.expose_secret())
            .send()
            .await;
        answer.map_err(|error| match Error::read("ConfirmForgotPassword", &error) {
            Error::NotFound | Error::NotConfirmed | Error::InvalidCredentials => Error::CodeMismatch,
            other => other,
        })?;
        faults::after("cognito.confirm_forgot_password");
        Ok(())
    }
}

/// Lets every refusal pass that would tell something about an account: no such account, confirmed already or no
/// confirmed address (both an invalid parameter), not resettable in its state, its own limit of codes reached, an
/// address that takes no mail.
fn quietly<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Result<()>
where
    E: ProvideErrorMetadata,
{
    if error.code() == Some("InvalidParameterException") {
        return Ok(());
    }
    if error.code() == Some("CodeDeliveryFailureException") {
        tracing::error!(operation, "a code could not be mailed");
        return Ok(());
    }
    match Error::read(operation, error) {
        Error::NotFound | Error::InvalidCredentials | Error::TooManyAttempts => Ok(()),
        other => Err(other),
    }
}

/// Codes have six digits today; anything that no code could be is refused without a call.
fn plausible(code: &str) -> Result<()> {
    const LONGEST: usize = 64;
    if code.is_empty() || code.len() > LONGEST || !code.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Error::CodeMismatch);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_no_code_could_be_is_refused() {
        assert!(plausible("123456").is_ok());
        for code in ["", "12 34", "12\r\n34", "１２３４５６", &"1".repeat(65)] {
            assert_eq!(plausible(code), Err(Error::CodeMismatch));
        }
    }
}
