//! Background jobs: what one is, and how a transaction orders one.
//!
//! A job is enqueued through the same [`TenantTx`] as the write that needs it, so it exists if and only if the write
//! does. It carries its tenant: the SQL function `enqueue` stamps it from the transaction's setting.

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, Value};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{Tenant, TenantTx};

/// Why a job did not finish. It is tried again, later and later, up to 25 times.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct JobError(pub String);

impl From<crate::Error> for JobError {
    fn from(error: crate::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<DbErr> for JobError {
    fn from(error: DbErr) -> Self {
        Self(error.to_string())
    }
}

/// A kind of background work. The value is its payload.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its name in the queue, `feature.verb`.
    const KIND: &'static str;

    /// What it needs besides the tenant: the feature's clients.
    type Context: Clone + Send + Sync + 'static;

    /// The use of an allowance that it was ordered with ([`quotas::take`](crate::quotas::take)), if it was with one. When
    /// the queue gives the job up, the worker gives that back: who asked has got nothing. An operator who has it tried
    /// again after that gives it away.
    fn take(&self) -> Option<Uuid> {
        None
    }

    /// Does the work. It may run more than once, so each step must bear repetition. `tenant` is the tenant that
    /// ordered it, opened as the system.
    fn run(self, tenant: Tenant, context: Self::Context) -> impl Future<Output = Result<(), JobError>> + Send;
}

impl TenantTx {
    /// Orders a job, to run once this transaction has committed, and not before `run_at` if that is given. A second
    /// order with the same `key` in the same tenant replaces the first while it waits.
    ///
    /// # Errors
    /// As the database says.
    pub async fn enqueue<J: Job>(&self, job: &J, key: &str, run_at: Option<DateTime<Utc>>) -> Result<(), DbErr> {
        let payload = serde_json::to_value(job).map_err(|error| DbErr::Json(error.to_string()))?;
        let values: [Value; 4] = [J::KIND.into(), payload.into(), format!("{}:{key}", J::KIND).into(), run_at.into()];
        self.sql("select 1 from enqueue($1, $2, $3, $4)", values).await.map(|_| ())
    }
}
