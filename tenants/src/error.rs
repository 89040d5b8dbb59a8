//! The crate's one error, and how the database's own words become an answer.

use sea_orm::{DbErr, RuntimeErr};
use sqlx::postgres::PgDatabaseError;

use crate::http::Problem;

/// What a scope's closure and the verbs of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The caller was refused, with the answer for them.
    #[error("{}", .0.title)]
    Refused(Problem),
    /// The database failed or refused.
    #[error("database: {0}")]
    Database(#[from] DbErr),
    /// The database refused a hot read.
    #[error("database: {message} ({code})")]
    Statement {
        /// SQLSTATE.
        code: String,
        /// The server's words.
        message: String,
    },
    /// The database, or something else that is needed, can't be reached now.
    #[error("{0} is away")]
    Unavailable(&'static str),
    /// A defect of ours.
    #[error("{0}")]
    Internal(String),
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if is_outage(&error) {
            Self::Unavailable("the database")
        } else {
            Self::Database(DbErr::Query(RuntimeErr::SqlxError(error.into())))
        }
    }
}

/// Of requests that wait for the same rows, one is served.
const AT_A_TIME: u32 = 1;

impl Error {
    /// The one place where an error becomes an answer. A 500 says nothing of its cause: that goes to the log.
    pub fn into_problem(self) -> Problem {
        match self {
            Self::Refused(problem) => problem,
            Self::Unavailable(what) => Problem::unavailable(what),
            Self::Database(error) => match sqlx_error(&error) {
                // The connection has forgotten the statement by then: the next try prepares it anew.
                Some(cause) if is_outage(cause) || is_stale_statement(cause) => Problem::unavailable("the database"),
                Some(sqlx::Error::Database(cause)) if cause.code().is_some_and(|code| is_contention(&code)) => {
                    Problem::busy(AT_A_TIME)
                }
                _ => internal(&error),
            },
            Self::Statement { code, .. } if is_contention(&code) => Problem::busy(AT_A_TIME),
            error @ Self::Statement { .. } => internal(&error),
            Self::Internal(cause) => internal(&cause),
        }
    }
}

fn internal(cause: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%cause, "internal error");
    Problem::internal()
}

impl axum::response::IntoResponse for Error {
    fn into_response(self) -> axum::response::Response {
        self.into_problem().into_response()
    }
}

/// Turns the violation of one named constraint into the answer it stands for; other errors stay as they are.
///
/// Let the database name a conflict instead of looking first and writing then.
pub fn on_constraint<T, E: From<Error>>(
    result: Result<T, DbErr>,
    constraint: &str,
    answer: impl FnOnce() -> Problem,
) -> Result<T, E> {
    match result {
        Ok(value) => Ok(value),
        Err(error) => {
            let violated = match sqlx_error(&error) {
                Some(sqlx::Error::Database(cause)) => cause.constraint() == Some(constraint),
                _ => false,
            };
            Err(if violated { Error::from(answer()) } else { Error::Database(error) }.into())
        }
    }
}

fn sqlx_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) => Some(cause),
        _ => None,
    }
}

/// Whether trying again later may help: nobody answered, or the server is starting or stopping.
pub(crate) fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_) => true,
        sqlx::Error::Database(cause) => cause.code().is_some_and(|code| is_outage_code(&code)),
        _ => false,
    }
}

/// 57P01-57P03 shutting down or starting, 53300 too many connections, class 08 connection exceptions
pub(crate) fn is_outage_code(code: &str) -> bool {
    matches!(code, "57P01" | "57P02" | "57P03" | "53300") || code.starts_with("08")
}

/// "cached plan must not change result type", in the server's language; among other things that are not supported.
pub(crate) const STALE_STATEMENT: &str = "0A000";

/// Whether the statement only has to be prepared again: a table was changed under it. The routine tells it from whatever
/// else is not supported, in any language.
pub(crate) fn is_stale_statement(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|cause| cause.try_downcast_ref::<PgDatabaseError>())
        .is_some_and(|cause| (cause.code(), cause.routine()) == (STALE_STATEMENT, Some("RevalidateCachedQuery")))
}

/// lock_timeout, statement_timeout, deadlock, serialization failure
fn is_contention(code: &str) -> bool {
    matches!(code, "55P03" | "57014" | "40P01" | "40001")
}

/// Whether this connection is gone, and another may be better: it was cut, or the server that it led to was stopped.
pub(crate) fn is_dead(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(cause) => matches!(cause.code().as_deref(), Some("57P01" | "57P02")),
        _ => false,
    }
}
