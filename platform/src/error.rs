//! The crate's one error. What it becomes as an answer is decided by `tenants::Error::into_problem`.

use axum::response::{IntoResponse, Response};
use sea_orm::DbErr;
use tenants::http::Problem;

use crate::{cognito, mail, storage};

/// What handlers and verbs return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A refusal, the database, or a defect.
    #[error(transparent)]
    Tenants(#[from] tenants::Error),
    /// Amazon Cognito, beyond what the handler expected of it.
    #[error("Cognito: {0}")]
    Cognito(#[from] cognito::Error),
    /// Object storage.
    #[error("storage: {0}")]
    Storage(#[from] storage::Error),
    /// Mail.
    #[error("mail: {0}")]
    Mail(#[from] mail::Error),
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Tenants(error.into())
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Tenants(problem.into())
    }
}

impl From<Error> for tenants::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Tenants(error) => error,
            Error::Cognito(cognito::Error::Unavailable | cognito::Error::Throttled) => {
                Self::Unavailable("the identity provider")
            }
            Error::Storage(storage::Error::Unavailable(_)) => Self::Unavailable("the file storage"),
            Error::Mail(mail::Error::Unavailable) => Self::Unavailable("the mail service"),
            other => Self::Internal(other.to_string()),
        }
    }
}

impl From<Error> for tenants::JobError {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        tenants::Error::from(self).into_response()
    }
}
