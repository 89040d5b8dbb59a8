//! The job queue as operators see it: which work there is, how it goes, and trying again what failed.
//!
//! The operators' database role has nothing in the queue but three functions. The list says nothing that is a tenant's
//! own; the error of one job is read inside its tenant, after the audit log says so.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};
use tenants::{
    Audit, Operator, OperatorScope, Result, TenantId, TenantTx,
    http::{Json, Page, PageQuery, Params, Problem},
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::tenant::all;

/// Which jobs are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobQuery {
    /// Only this tenant's.
    pub tenant_id: Option<Uuid>,
    /// Only in this state.
    #[param(inline)]
    pub state: Option<JobState>,
    /// How many.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<String>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// For its time, or for a worker.
    Waiting,
    /// A worker has it.
    Running,
    /// Its last attempt failed. It is tried again at `run_at`, unless it was tried `max_attempts` times.
    Failed,
    /// It was ordered anew while it ran or when it was given up, and never runs again.
    Replaced,
}

impl JobState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Replaced => "replaced",
        }
    }
}

/// A job that is not done; those that are leave the queue.
#[derive(Debug, Serialize, FromQueryResult, ToSchema)]
pub struct Job {
    /// Its number in the queue.
    pub id: i64,
    /// The tenant that ordered it, and that it runs in.
    pub tenant_id: Uuid,
    /// `feature.verb`
    pub kind: String,
    /// `waiting`, `running`, `failed` or `replaced`.
    pub state: String,
    /// How often it was begun since it was ordered, or tried again by an operator.
    pub attempts: i32,
    /// How often it is begun at most.
    pub max_attempts: i32,
    /// Not before this time.
    pub run_at: DateTime<Utc>,
    /// When it was ordered first.
    pub ordered_at: DateTime<Utc>,
}

/// A job, and the error it met last.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenedJob {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// What its last attempt failed with.
    pub last_error: Option<String>,
}

/// The number of a job in a path. What is no such number is no job's.
pub struct JobId(i64);

impl<S: Send + Sync> FromRequestParts<S> for JobId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id = Path::<String>::from_request_parts(parts, state).await.ok().and_then(|Path(text)| text.parse().ok());
        id.filter(|id| (1..i64::MAX).contains(id)).map(Self).ok_or_else(Problem::not_found)
    }
}

/// The jobs of all tenants, newest first. Those that are done are not here.
#[utoipa::path(get, path = "/api/v1/admin/jobs", operation_id = "operators_list_jobs", tag = "operators",
    security(("operator" = [])), params(JobQuery),
    responses((status = 200, description = "A page of jobs", body = Page<Job>)))]
pub async fn list(operator: Operator, Params(query): Params<JobQuery>) -> Result<Json<Page<Job>>> {
    let (limit, after) = PageQuery { limit: query.limit, cursor: query.cursor }.parse()?;
    // The cursor is a UUID everywhere; a job's holds its number. The first page's is above all numbers.
    let before = i64::try_from(after.0.as_u128()).unwrap_or(i64::MAX);
    let state = query.state.map(JobState::as_str);
    let (tenant, count) = (query.tenant_id, limit as i32 + 1);
    let jobs = operator.scope.across(async |tx| jobs_in(tx, tenant, state, before, count).await).await?;
    Ok(Json(Page::cut(jobs, limit, |job| Uuid::from_u128(job.id as u128))))
}

/// One job, with the error it met. That opens its tenant: the audit log says so first.
#[utoipa::path(get, path = "/api/v1/admin/jobs/{id}", operation_id = "operators_show_job", tag = "operators",
    security(("operator" = [])), params(("id" = i64, Path, description = "The job")),
    responses((status = 200, description = "The job", body = OpenedJob)))]
pub async fn show(operator: Operator, JobId(id): JobId) -> Result<Json<OpenedJob>> {
    let job = find(&operator.scope, id).await?;
    let opened = operator.scope.open(TenantId(job.tenant_id), &format!("looked at its job {id}")).await?;
    let rows = opened
        .read(async |tx| Ok::<_, tenants::Error>(tx.sql("select operator_job_error($1)", [id.into()]).await?))
        .await?;
    let last_error = rows.first().map(|row| row.try_get_by_index(0)).transpose()?.flatten();
    Ok(Json(OpenedJob { job, last_error }))
}

/// Have a failed job tried again now, and as often as a new one.
#[utoipa::path(post, path = "/api/v1/admin/jobs/{id}/retry", operation_id = "operators_retry_job", tag = "operators",
    security(("operator" = [])), params(("id" = i64, Path, description = "The job")),
    responses((status = 200, description = "The job, waiting for a worker", body = Job),
              (status = 409, description = "`not-failed`: it waits, runs, or was replaced by a newer one")))]
pub async fn retry(operator: Operator, JobId(id): JobId) -> Result<Json<Job>> {
    let job = find(&operator.scope, id).await?;
    let retried = operator
        .scope
        .act(TenantId(job.tenant_id), async |tx| {
            let rows = tx.sql("select operator_retry_job($1)", [id.into()]).await?;
            if !rows.first().map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(false) {
                return Ok((None, None));
            }
            // Here, where nobody else has it yet: a worker may be through with it as soon as this is committed.
            let retried = find_in(tx, id).await?;
            let line = Audit {
                action: "job.retried",
                object_kind: "job",
                // Its number is no UUID.
                object_id: None,
                detail: serde_json::json!({ "job": id, "kind": job.kind, "attempts": job.attempts }),
            };
            Ok((Some(retried), Some(line)))
        })
        .await?;
    let refusal = || {
        Problem::conflict("not-failed", "The job has not failed.")
            .detail(format!("It was {} when it was looked at.", job.state))
    };
    Ok(Json(retried.ok_or_else(refusal)?))
}

async fn find(scope: &OperatorScope, id: i64) -> Result<Job> {
    scope.across(async |tx| find_in(tx, id).await).await
}

async fn find_in(tx: &TenantTx, id: i64) -> Result<Job> {
    let found = jobs_in(tx, None, None, id + 1, 1).await?;
    Ok(found.into_iter().find(|job| job.id == id).ok_or_else(Problem::not_found)?)
}

async fn jobs_in(
    tx: &TenantTx,
    tenant: Option<Uuid>,
    state: Option<&'static str>,
    before: i64,
    limit: i32,
) -> Result<Vec<Job>> {
    let values = [tenant.into(), state.into(), before.into(), limit.into()];
    Ok(all(&tx.sql("select * from operator_jobs($1, $2, $3, $4)", values).await?)?)
}
