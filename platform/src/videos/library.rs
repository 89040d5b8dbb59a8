//! `/api/v1/admin/library/videos`: what operators do with the platform's own library, by the verbs that coaches use.
//!
//! The library is the platform tenant's videos; every tenant reads the published ones.

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use serde::Deserialize;
use tenants::http::{Idempotent, IfMatch, Json, Operator, Page, Params, PathId, ProblemBody};
use utoipa::IntoParams;

use super::{
    NewVideo, SentParts, Video, VideoChanges, completion,
    listing::ListQuery,
    routes::{Answer, added, present},
    upload::{self, AddedVideo, Upload},
};
use crate::{Platform, Result};

/// Which of the library's videos are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LibraryQuery {
    /// Only titles that contain this, in upper or lower case and however its accents are typed.
    #[param(min_length = 1, max_length = 100)]
    pub q: Option<String>,
    /// How many.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<String>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Lists the library's videos, newest first, published or not.
#[utoipa::path(
    get,
    path = "/api/v1/admin/library/videos",
    operation_id = "library_list",
    tag = "library",
    params(LibraryQuery),
    responses((status = 200, description = "A page of videos", body = Page<Video>)),
    security(("operator" = []))
)]
pub async fn list(operator: Operator, Params(query): Params<LibraryQuery>) -> Result<Json<Page<Video>>> {
    let LibraryQuery { q, limit, cursor } = query;
    let filter = ListQuery { scope: None, q, limit, cursor }.parse()?;
    let page = operator.scope.library().read(async |tx| super::list(tx, &filter).await).await?;
    Ok(Json(page.map(|row| Video::new(row, None))))
}

/// Adds a video to the library and says where to upload it.
#[utoipa::path(
    post,
    path = "/api/v1/admin/library/videos",
    operation_id = "library_create",
    tag = "library",
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with it adds no second video")),
    request_body = NewVideo,
    responses(
        (status = 201, description = "The video, and where to upload it", body = AddedVideo),
        (status = 409, description = "`deleted`: the Idempotency-Key's video is no more", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 413, description = "`storage-quota`: it does not fit, see `used` and `limit`; or the body is too large",
         body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("operator" = []))
)]
pub async fn create(
    operator: Operator,
    State(platform): State<Platform>,
    Idempotent { once, body }: Idempotent<NewVideo>,
) -> Result<impl IntoResponse> {
    let library = operator.scope.library();
    let id = library.write(async |tx| once.create(tx, async || super::add(tx, body).await).await).await?;
    let (row, upload) = upload::offer(&platform, &library, id).await?;
    Ok(added("/api/v1/admin/library/videos", row, upload))
}

/// Shows a video of the library.
#[utoipa::path(
    get,
    path = "/api/v1/admin/library/videos/{id}",
    operation_id = "library_show",
    tag = "library",
    params(("id" = Uuid, Path, description = "The video")),
    responses((status = 200, description = "The video", body = Video)),
    security(("operator" = []))
)]
pub async fn show(operator: Operator, PathId(id): PathId) -> Result<Answer> {
    Ok(present(operator.scope.library().read(async |tx| super::find(tx, id).await).await?))
}

/// Changes the title and description of a video of the library.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/library/videos/{id}",
    operation_id = "library_update",
    tag = "library",
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
    security(("operator" = []))
)]
pub async fn update(
    operator: Operator,
    PathId(id): PathId,
    if_match: IfMatch,
    Json(changes): Json<VideoChanges>,
) -> Result<Answer> {
    let library = operator.scope.library();
    Ok(present(library.write(async |tx| super::edit(tx, id, changes, &if_match).await).await?))
}

/// Deletes a video of the library and everything stored of it.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/library/videos/{id}",
    operation_id = "library_remove",
    tag = "library",
    params(
        ("id" = Uuid, Path, description = "The video"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version to delete"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 412, description = "`changed`: it has another version", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
    security(("operator" = []))
)]
pub async fn remove(operator: Operator, PathId(id): PathId, if_match: IfMatch) -> Result<StatusCode> {
    operator.scope.library().write(async |tx| super::remove(tx, id, &if_match).await).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says which parts of an upload to the library have arrived, with fresh URLs for the others.
#[utoipa::path(
    get,
    path = "/api/v1/admin/library/videos/{id}/upload",
    operation_id = "library_upload",
    tag = "library",
    params(("id" = Uuid, Path, description = "The video")),
    responses(
        (status = 200, description = "What is received and what is missing", body = Upload),
        (status = 409, description = "`upload-finished` or `upload-expired`", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
    security(("operator" = []))
)]
pub async fn upload(operator: Operator, State(platform): State<Platform>, PathId(id): PathId) -> Result<Json<Upload>> {
    Ok(Json(upload::resume(&platform, &operator.scope.library(), id).await?))
}

/// Completes an upload to the library: the parts become a file, which is examined.
///
/// A repeated request gets the same answer. After `parts-refused` the upload stays open; every other 422 code is the
/// reason why the file is refused for good.
#[utoipa::path(
    put,
    path = "/api/v1/admin/library/videos/{id}/upload",
    operation_id = "library_complete_upload",
    tag = "library",
    params(("id" = Uuid, Path, description = "The video")),
    request_body = SentParts,
    responses(
        (status = 200, description = "The video, ready", body = Video),
        (status = 409, description = "`upload-expired`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "A wrong list of parts, `parts-refused`, or why the file is refused, such as \
         `not-a-video` or `size-mismatch`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("operator" = []))
)]
pub async fn complete_upload(
    operator: Operator,
    State(platform): State<Platform>,
    PathId(id): PathId,
    Json(parts): Json<SentParts>,
) -> Result<Answer> {
    Ok(present(completion::complete(&platform, &operator.scope.library(), id, parts).await?))
}

/// Publishes a video of the library: every business sees it. Publishing again changes nothing.
#[utoipa::path(
    put,
    path = "/api/v1/admin/library/videos/{id}/publication",
    operation_id = "library_publish",
    tag = "library",
    params(("id" = Uuid, Path, description = "The video")),
    responses(
        (status = 200, description = "The video, published", body = Video),
        (status = 409, description = "`not-ready`: its upload is not finished, or was refused", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
    security(("operator" = []))
)]
pub async fn publish(operator: Operator, PathId(id): PathId) -> Result<Answer> {
    Ok(present(operator.scope.library().write(async |tx| super::publish(tx, id).await).await?))
}

/// Takes a publication back: no business sees the video any more.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/library/videos/{id}/publication",
    operation_id = "library_unpublish",
    tag = "library",
    params(("id" = Uuid, Path, description = "The video")),
    responses((status = 204, description = "It is not published")),
    security(("operator" = []))
)]
pub async fn unpublish(operator: Operator, PathId(id): PathId) -> Result<StatusCode> {
    operator.scope.library().write(async |tx| super::unpublish(tx, id).await).await?;
    Ok(StatusCode::NO_CONTENT)
}
