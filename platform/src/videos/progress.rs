//! How far a member has watched a video. Players post every 10 seconds or so, late and twice, from several devices.

use chrono::{DateTime, Datelike, Utc};
use sea_orm::{DbErr, QueryResult};
use serde::{Deserialize, Serialize};
use tenants::{
    Tenant, TenantTx,
    http::{Json, PathId, Problem, ProblemBody},
    on_constraint,
};
use utoipa::ToSchema;
use uuid::Uuid;
use validator::{Validate, ValidationError};

use super::{Model, find, reads, ready};
use crate::{Error, Result};

/// How far the caller has watched a video.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = VideoPosition)]
pub struct Position {
    /// Seconds from the beginning.
    pub position_seconds: f64,
    /// Whether it was ever watched to its end.
    pub completed: bool,
    /// When the player was there; null if never.
    pub recorded_at: Option<DateTime<Utc>>,
}

impl Position {
    const NEVER: Self = Self { position_seconds: 0.0, completed: false, recorded_at: None };
}

/// Where the player is.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewVideoPosition)]
pub struct NewPosition {
    /// Seconds from the beginning; what lies behind the end means the end.
    #[validate(range(min = 0.0, message = "must be 0 or more seconds"))]
    #[schema(minimum = 0)]
    pub position_seconds: f64,
    /// Whether it was watched to its end; once true it stays.
    pub completed: Option<bool>,
    /// When the player was there, for posts that may come late. Now if left out; the future means now.
    #[validate(custom(function = recent))]
    pub recorded_at: Option<DateTime<Utc>>,
}

fn recent(at: &DateTime<Utc>) -> std::result::Result<(), ValidationError> {
    if at.year() >= 2000 {
        return Ok(());
    }
    Err(ValidationError::new("recorded_at").with_message("must be a time after the year 2000".into()))
}

/// Records how far the caller has watched a video.
///
/// Answers what is stored. A post that is older than that does not wind the position back, though a completion in it
/// counts; the same post again changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/videos/{id}/progress",
    operation_id = "videos_progress_record",
    tag = "videos",
    params(("id" = Uuid, Path, description = "The video")),
    request_body = NewPosition,
    responses(
        (status = 200, description = "What is stored now", body = Position),
        (status = 409, description = "`not-ready`: its upload is not finished, or was refused", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
    security(("member" = []))
)]
pub async fn record(tenant: Tenant, PathId(id): PathId, Json(new): Json<NewPosition>) -> Result<Json<Position>> {
    let position = tenant
        .write(async |tx| {
            let video = find(tx, id).await?;
            ready(video.status)?;
            store(tx, &video, &new).await
        })
        .await?;
    Ok(Json(position))
}

/// Tells how far the caller has watched a video.
#[utoipa::path(
    get,
    path = "/api/v1/videos/{id}/progress",
    operation_id = "videos_progress_show",
    tag = "videos",
    params(("id" = Uuid, Path, description = "The video")),
    responses((status = 200, description = "The last position; 0 if never watched", body = Position)),
    security(("member" = []))
)]
pub async fn show(tenant: Tenant, PathId(id): PathId) -> Result<Json<Position>> {
    Ok(Json(reads::progress(&tenant, id).await?.unwrap_or(Position::NEVER)))
}

/// Keeps the newest position, and a completion however late it arrives. Answers what is kept.
async fn store(tx: &TenantTx, video: &Model, new: &NewPosition) -> Result<Position> {
    let end = video.duration_seconds.unwrap_or_default();
    let text = "insert into video_progress as old (tenant_id, id, member_id, video_tenant_id, video_id, \
                                                   position_seconds, completed, recorded_at) \
                values ($1, $2, $3, $4, $5, $6, $7, least(coalesce($8::timestamptz, now()), now())) \
                on conflict on constraint video_progress_once do update \
                set position_seconds = case when excluded.recorded_at >= old.recorded_at \
                                            then excluded.position_seconds else old.position_seconds end, \
                    completed = old.completed or excluded.completed, \
                    recorded_at = greatest(old.recorded_at, excluded.recorded_at), updated_at = now() \
                where excluded.recorded_at >= old.recorded_at or (excluded.completed and not old.completed)";
    let stored = tx
        .run(
            text,
            [
                tx.tenant_id().0.into(),
                Uuid::now_v7().into(),
                tx.actor().member.into(),
                video.tenant_id.into(),
                video.id.into(),
                new.position_seconds.clamp(0.0, end.max(0.0)).into(),
                new.completed.unwrap_or(false).into(),
                new.recorded_at.map(|at| at.min(Utc::now())).into(),
            ],
        )
        .await;
    // Deleted since it was found.
    on_constraint::<_, Error>(stored, "video_progress_video_tenant_id_video_id_fkey", Problem::not_found)?;
    Ok(of(tx, video).await?.unwrap_or(Position::NEVER))
}

/// How far the actor has watched a video; none if never.
pub(super) async fn of(tx: &TenantTx, video: &Model) -> Result<Option<Position>> {
    let text = "select position_seconds, completed, recorded_at from video_progress \
                where tenant_id = $1 and member_id = $2 and video_tenant_id = $3 and video_id = $4";
    let values = [tx.tenant_id().0.into(), tx.actor().member.into(), video.tenant_id.into(), video.id.into()];
    Ok(tx.sql(text, values).await?.first().map(position).transpose()?)
}

fn position(row: &QueryResult) -> Result<Position, DbErr> {
    Ok(Position {
        position_seconds: row.try_get("", "position_seconds")?,
        completed: row.try_get("", "completed")?,
        recorded_at: Some(row.try_get("", "recorded_at")?),
    })
}
