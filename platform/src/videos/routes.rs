//! `/api/v1/videos`: what members do with videos.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use tenants::{
    Permission, Tenant, TenantTx,
    http::{Caller, Idempotent, IfMatch, Json, Page, Params, PathId, ProblemBody, WithETag},
};

use super::{
    Model, NewVideo, SentParts, Video, VideoChanges, completion,
    listing::ListQuery,
    progress, reads,
    upload::{self, AddedVideo, Upload},
    view::etag,
};
use crate::{Platform, Result, faults};

/// A video with its tag.
pub(super) type Answer = WithETag<Json<Video>>;

/// A video for somebody who watches nothing: an operator.
pub(super) fn present(row: Model) -> Answer {
    WithETag(etag(&row), Json(Video::new(row, None)))
}

/// A video with how far the caller has watched it.
async fn answer(tx: &TenantTx, row: Model) -> Result<Answer> {
    let progress = progress::of(tx, &row).await?;
    Ok(WithETag(etag(&row), Json(Video::new(row, progress))))
}

/// What a creation answers.
pub(super) fn added(base: &str, row: Model, upload: Option<Upload>) -> impl IntoResponse + use<> {
    let location = [(header::LOCATION, format!("{base}/{}", row.id))];
    let (tag, video) = (etag(&row), Video::new(row, None));
    (StatusCode::CREATED, location, WithETag(tag, Json(AddedVideo { video, upload })))
}

/// Lists videos, newest first: the library's and the business's own.
///
/// Athletes see published ones; coaches and above also what is being made.
#[utoipa::path(
    get,
    path = "/api/v1/videos",
    operation_id = "videos_list",
    tag = "videos",
    params(ListQuery),
    responses((status = 200, description = "A page of videos, each with the caller's progress", body = Page<Video>)),
    security(("member" = []))
)]
pub async fn list(tenant: Tenant, Params(query): Params<ListQuery>) -> Result<Json<Page<Video>>> {
    let filter = query.parse()?;
    Ok(Json(reads::list(&tenant, &filter).await?))
}

/// Adds a video and says where to upload it.
///
/// The file goes in parts straight to storage: PUT each to its URL within the hour, then complete the upload. Ask
/// again for fresh URLs as often as needed; an upload unfinished after 24 hours is given up.
#[utoipa::path(
    post,
    path = "/api/v1/videos",
    operation_id = "videos_create",
    tag = "videos",
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with it adds no second video")),
    request_body = NewVideo,
    responses(
        (status = 201, description = "The video, and where to upload it", body = AddedVideo),
        (status = 409, description = "`deleted`: the Idempotency-Key's video is no more", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 413, description = "`storage-quota`: it does not fit, see `used` and `limit`; or the body is too large",
         body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("member" = []))
)]
pub async fn create(
    caller: Caller,
    tenant: Tenant,
    State(platform): State<Platform>,
    Idempotent { once, body }: Idempotent<NewVideo>,
) -> Result<impl IntoResponse> {
    caller.may(Permission::ManageVideos)?;
    let id = tenant.write(async |tx| once.create(tx, async || super::add(tx, body).await).await).await?;
    faults::after("db.add_video");
    let (row, upload) = upload::offer(&platform, &tenant, id).await?;
    Ok(added("/api/v1/videos", row, upload))
}

/// Shows a video.
#[utoipa::path(
    get,
    path = "/api/v1/videos/{id}",
    operation_id = "videos_show",
    tag = "videos",
    params(("id" = Uuid, Path, description = "The video")),
    responses((status = 200, description = "The video, with the caller's progress", body = Video)),
    security(("member" = []))
)]
pub async fn show(tenant: Tenant, PathId(id): PathId) -> Result<Answer> {
    let shown = reads::show(&tenant, id).await?;
    Ok(WithETag(shown.etag, Json(shown.video)))
}

/// Changes a video's title and description.
#[utoipa::path(
    patch,
    path = "/api/v1/videos/{id}",
    operation_id = "videos_update",
    tag = "videos",
    params(
        ("id" = Uuid, Path, description = "The video"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version to change"),
    ),
    request_body = VideoChanges,
    responses(
        (status = 200, description = "The video as it is now", body = Video),
        (status = 412, description = "`changed`: it has another version", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
    security(("member" = []))
)]
pub async fn update(
    caller: Caller,
    tenant: Tenant,
    PathId(id): PathId,
    if_match: IfMatch,
    Json(changes): Json<VideoChanges>,
) -> Result<Answer> {
    caller.may(Permission::ManageVideos)?;
    tenant.write(async |tx| answer(tx, super::edit(tx, id, changes, &if_match).await?).await).await
}

/// Deletes a video and everything stored of it.
#[utoipa::path(
    delete,
    path = "/api/v1/videos/{id}",
    operation_id = "videos_remove",
    tag = "videos",
    params(
        ("id" = Uuid, Path, description = "The video"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version to delete"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 412, description = "`changed`: it has another version", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
    security(("member" = []))
)]
pub async fn remove(caller: Caller, tenant: Tenant, PathId(id): PathId, if_match: IfMatch) -> Result<StatusCode> {
    caller.may(Permission::ManageVideos)?;
    tenant.write(async |tx| super::remove(tx, id, &if_match).await).await?;
    faults::after("db.delete_video");
    Ok(StatusCode::NO_CONTENT)
}

/// Says which parts of an upload have arrived, with fresh URLs for the others.
#[utoipa::path(
    get,
    path = "/api/v1/videos/{id}/upload",
    operation_id = "videos_upload",
    tag = "videos",
    params(("id" = Uuid, Path, description = "The video")),
    responses(
        (status = 200, description = "What is received and what is missing", body = Upload),
        (status = 409, description = "`upload-finished` or `upload-expired`", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
    security(("member" = []))
)]
pub async fn upload(
    caller: Caller,
    tenant: Tenant,
    State(platform): State<Platform>,
    PathId(id): PathId,
) -> Result<Json<Upload>> {
    caller.may(Permission::ManageVideos)?;
    Ok(Json(upload::resume(&platform, &tenant, id).await?))
}

/// Completes an upload: the parts become a file, which is examined.
///
/// A repeated request gets the same answer. After `parts-refused` the upload stays open; every other 422 code is the
/// reason why the file is refused for good.
#[utoipa::path(
    put,
    path = "/api/v1/videos/{id}/upload",
    operation_id = "videos_complete_upload",
    tag = "videos",
    params(("id" = Uuid, Path, description = "The video")),
    request_body = SentParts,
    responses(
        (status = 200, description = "The video, ready", body = Video),
        (status = 409, description = "`upload-expired`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "A wrong list of parts, `parts-refused`, or why the file is refused, such as \
         `not-a-video` or `size-mismatch`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("member" = []))
)]
pub async fn complete_upload(
    caller: Caller,
    tenant: Tenant,
    State(platform): State<Platform>,
    PathId(id): PathId,
    Json(parts): Json<SentParts>,
) -> Result<Answer> {
    caller.may(Permission::ManageVideos)?;
    let row = completion::complete(&platform, &tenant, id, parts).await?;
    tenant.read(async |tx| answer(tx, row).await).await
}

/// Publishes a video: athletes see it. Publishing again changes nothing.
#[utoipa::path(
    put,
    path = "/api/v1/videos/{id}/publication",
    operation_id = "videos_publish",
    tag = "videos",
    params(("id" = Uuid, Path, description = "The video")),
    responses(
        (status = 200, description = "The video, published", body = Video),
        (status = 409, description = "`not-ready`: its upload is not finished, or was refused", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
    security(("member" = []))
)]
pub async fn publish(caller: Caller, tenant: Tenant, PathId(id): PathId) -> Result<Answer> {
    caller.may(Permission::ManageVideos)?;
    let published = tenant.write(async |tx| answer(tx, super::publish(tx, id).await?).await).await?;
    faults::after("db.publish_video");
    Ok(published)
}

/// Takes a video's publication back: athletes no longer see it.
#[utoipa::path(
    delete,
    path = "/api/v1/videos/{id}/publication",
    operation_id = "videos_unpublish",
    tag = "videos",
    params(("id" = Uuid, Path, description = "The video")),
    responses((status = 204, description = "It is not published")),
    security(("member" = []))
)]
pub async fn unpublish(caller: Caller, tenant: Tenant, PathId(id): PathId) -> Result<StatusCode> {
    caller.may(Permission::ManageVideos)?;
    tenant.write(async |tx| super::unpublish(tx, id).await).await?;
    Ok(StatusCode::NO_CONTENT)
}
