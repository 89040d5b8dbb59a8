//! What Cognito's refusals mean here.

use aws_sdk_cognitoidentityprovider::config::http::HttpResponse;
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};

/// A result of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call to the user pool did not do what was asked. Carries no address, password, code or token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An account with this address exists already.
    #[error("the account exists already")]
    Exists,
    /// No such account. Only calls that the server makes on its own behalf say so.
    #[error("no such account")]
    NotFound,
    /// Cognito takes the address for none.
    #[error("the address is not an email address")]
    InvalidEmail,
    /// The password breaks the pool's policy; the text says how, in Cognito's words, without the password.
    #[error("{0}")]
    InvalidPassword(String),
    /// Wrong address, password, refresh token or challenge session, or the account is disabled: not told apart.
    #[error("wrong credentials")]
    InvalidCredentials,
    /// The address has not been confirmed. Cognito says so *without* looking at the password, so telling an
    /// anonymous caller tells that the address is registered.
    #[error("the address is not confirmed")]
    NotConfirmed,
    /// The account was confirmed before.
    #[error("the account is confirmed already")]
    AlreadyConfirmed,
    /// The account needs a new password through the recovery calls.
    #[error("the password must be reset")]
    PasswordResetRequired,
    /// A wrong confirmation, recovery or authenticator code, or no such account.
    #[error("wrong code")]
    CodeMismatch,
    /// The code is out of date. Real Cognito says this of unknown accounts too, where it says [`Self::CodeMismatch`]
    /// of known ones: answer both alike to anonymous callers.
    #[error("the code has expired")]
    CodeExpired,
    /// Too many wrong codes or too many codes asked for; to be tried later.
    #[error("too many attempts")]
    TooManyAttempts,
    /// The account or region is over Cognito's request quota; to be tried again soon.
    #[error("Cognito is throttling requests")]
    Throttled,
    /// Cognito cannot be reached, timed out, failed, or could not hand a code to the mail system. The call may have
    /// taken effect.
    #[error("Cognito is unavailable")]
    Unavailable,
    /// Anything else, as `operation: code`: a defect or a wrong setting, not the caller's doing.
    #[error("Cognito refused {0}")]
    Unexpected(String),
}

impl Error {
    /// Reads what the SDK reports of a failed `operation`. Messages stay behind, since they may quote an address;
    /// the one exception is the password policy's.
    pub(crate) fn read<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata,
    {
        match error {
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => Self::Unavailable,
            SdkError::ServiceError(failure) => {
                let refused = failure.err().meta();
                let status = failure.raw().status().as_u16();
                Self::of(operation, status, refused.code().unwrap_or_default(), refused.message().unwrap_or_default())
            }
            _ => Self::unexpected(operation, "request could not be built"),
        }
    }

    pub(crate) fn unexpected(operation: &'static str, what: &str) -> Self {
        Self::Unexpected(format!("{operation}: {what}"))
    }

    fn of(operation: &'static str, status: u16, code: &str, message: &str) -> Self {
        let message_lower = message.to_ascii_lowercase();
        match code {
            "UsernameExistsException" | "AliasExistsException" => Self::Exists,
            "UserNotFoundException" => Self::NotFound,
            "InvalidPasswordException" | "PasswordHistoryPolicyViolationException" => {
                Self::InvalidPassword(policy_text(message))
            }
            // Cognito reports a wrong client secret with the code of a wrong password. That is our defect, and
            // must not look like thousands of users mistyping.
            "NotAuthorizedException" if message_lower.contains("secret") => {
                Self::unexpected(operation, "client secret not accepted")
            }
            "NotAuthorizedException" | "RefreshTokenReuseException" | "UnsupportedTokenTypeException" => {
                Self::InvalidCredentials
            }
            "UserNotConfirmedException" => Self::NotConfirmed,
            "PasswordResetRequiredException" => Self::PasswordResetRequired,
            "CodeMismatchException" | "EnableSoftwareTokenMFAException" => Self::CodeMismatch,
            "ExpiredCodeException" => Self::CodeExpired,
            "TooManyFailedAttemptsException" | "LimitExceededException" => Self::TooManyAttempts,
            "TooManyRequestsException" | "ThrottlingException" | "Throttling" => Self::Throttled,
            "InternalErrorException" | "InternalFailure" | "ServiceUnavailable" | "CodeDeliveryFailureException" => {
                Self::Unavailable
            }
            "InvalidParameterException" if message_lower.contains("password") => {
                Self::InvalidPassword("The password has characters or a length that are not accepted.".into())
            }
            "InvalidParameterException" if message_lower.contains("email") => Self::InvalidEmail,
            _ if status >= 500 => Self::Unavailable,
            _ if status == 429 => Self::Throttled,
            "" => Self::unexpected(operation, &format!("status {status}")),
            code => Self::unexpected(operation, code),
        }
    }
}

/// Cognito's sentence about the password policy, bounded.
fn policy_text(message: &str) -> String {
    const LONGEST: usize = 300;
    if message.is_empty() {
        return "The password does not meet the password policy.".into();
    }
    message.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_client_secret_is_not_mistaken_for_a_wrong_password() {
        let password = Error::of("login", 400, "NotAuthorizedException", "Incorrect username or password.");
        assert_eq!(password, Error::InvalidCredentials);
        let secret = Error::of("login", 400, "NotAuthorizedException", "Unable to verify secret hash for client x");
        assert_eq!(secret, Error::Unexpected("login: client secret not accepted".into()));
    }

    #[test]
    fn a_reused_refresh_token_is_a_wrong_credential() {
        assert_eq!(Error::of("refresh", 400, "RefreshTokenReuseException", ""), Error::InvalidCredentials);
    }

    #[test]
    fn cognitos_own_failures_are_unavailability() {
        assert_eq!(Error::of("login", 500, "InternalErrorException", ""), Error::Unavailable);
        assert_eq!(Error::of("login", 503, "", "<html>"), Error::Unavailable);
        assert_eq!(Error::of("login", 400, "TooManyRequestsException", ""), Error::Throttled);
    }

    #[test]
    fn an_unknown_refusal_names_its_code_but_not_its_message() {
        let error = Error::of("find", 400, "InvalidParameterException", "Value 'ann@example.com' at 'username'");
        assert_eq!(error.to_string(), "Cognito refused find: InvalidParameterException");
    }

    #[test]
    fn the_policys_sentence_is_passed_on_in_one_line() {
        let error = Error::of("sign_up", 400, "InvalidPasswordException", "Password must have\r\nnumbers");
        assert_eq!(error, Error::InvalidPassword("Password must havenumbers".into()));
    }
}
