//! Watching: a signed URL for those who may, for a few minutes.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use tenants::{
    Tenant,
    http::{Json, PathId, ProblemBody},
};
use utoipa::ToSchema;

use super::{STREAMED, reads, ready, signing};
use crate::{Platform, Result};

/// Where a video can be played from.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VideoStream)]
pub struct Stream {
    /// The signed URL. It takes Range requests.
    pub url: String,
    /// When it ceases to work, 4 to 5 minutes from now. What is being downloaded then is finished.
    pub expires_at: DateTime<Utc>,
    /// When to ask again for the next one, in good time.
    pub renew_at: DateTime<Utc>,
}

/// Gets a signed URL to watch a video.
///
/// Access is checked each time, so whoever loses it stops within 5 minutes. Athletes get published videos only.
#[utoipa::path(
    get,
    path = "/api/v1/videos/{id}/stream",
    operation_id = "videos_stream",
    tag = "videos",
    params(("id" = Uuid, Path, description = "The video")),
    responses(
        (status = 200, description = "Where to play it from", body = Stream),
        (status = 409, description = "`not-ready`: its upload is not finished, or was refused", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
    security(("member" = []))
)]
pub async fn stream(tenant: Tenant, State(platform): State<Platform>, PathId(id): PathId) -> Result<Json<Stream>> {
    let video = reads::play(&tenant, id).await?;
    ready(video.status)?;
    let viewing = signing::Viewing { tenant: tenant.id().0, video: video.id };
    let now = u64::try_from(Utc::now().timestamp()).unwrap_or_default();
    let signed = signing::object_url(&platform.settings.public_url, &video.object_key)
        .and_then(|url| platform.signer.object(viewing, &url, now))
        .map_err(|error| tenants::Error::Internal(error.to_string()))?;
    platform.tenants.usage().add(tenant.id(), STREAMED, 1);
    Ok(Json(Stream {
        url: signed.url.to_string(),
        expires_at: moment(signed.slot.expires_at),
        renew_at: moment(signed.slot.renew_at),
    }))
}

/// Epoch seconds as a time.
fn moment(seconds: u64) -> DateTime<Utc> {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}
