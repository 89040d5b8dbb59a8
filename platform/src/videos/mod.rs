//! Exercise videos: a tenant's own, and the platform's library that every tenant reads.
//!
//! Lives here: adding, listing, editing, publishing and deleting them (the verbs below), uploading (`upload`,
//! `completion`), streaming ([`stream`]) and watching ([`progress`]). The platform's operators do to the library
//! what coaches do to their own videos, by the same verbs ([`library`]). Does not live here: encoding.
//!
//! Who sees which row is decided by row-level security; a verb that finds no row answers "not found" and nobody can
//! tell why.

mod completion;
mod entity;
mod examine;
pub mod jobs;
pub mod library;
mod listing;
mod object;
pub mod probe;
pub mod progress;
mod reads;
mod request;
pub mod routes;
pub mod signing;
pub mod stream;
mod upload;
mod view;

use axum::http::StatusCode;
use chrono::{Duration, Utc};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, Value,
};
use tenants::{
    Audit, Meter, PLATFORM_TENANT, TenantTx,
    http::{IfMatch, Problem, tidy},
};
use uuid::Uuid;

use entity::columns;
pub use entity::{Model, Status};
pub use listing::{Filter, list};
pub use object::{ContentType, MAX_SIZE, PART_SIZE, SentPart, SentParts};
pub use request::{NewVideo, VideoChanges};
pub use upload::{AddedVideo, PartUrl, ReceivedPart, Upload};
pub use view::{Rejection, Scope, Video};

use crate::Result;

/// URLs to watch a video by that were handed out.
const STREAMED: Meter = Meter("videos.streamed");
/// How long an upload may stay unfinished.
pub(crate) const UPLOAD_TIME: Duration = Duration::hours(24);

/// Adds a video that is yet to be uploaded, and the job that collects it if it never is. Answers its id.
///
/// # Errors
/// 413 `storage-quota` when the tenant's videos would take more than it may store.
pub async fn add(tx: &TenantTx, new: NewVideo) -> Result<Uuid> {
    reserve(tx, new.size_bytes).await?;
    let id = Uuid::now_v7();
    let object_key = object::source_key(tx.tenant_id(), id, new.content_type);
    let upload_expires_at = Utc::now() + UPLOAD_TIME;
    let row = entity::ActiveModel {
        tenant_id: Set(tx.tenant_id().0),
        id: Set(id),
        title: Set(tidy(&new.title).to_owned()),
        description: Set(new.description.unwrap_or_default()),
        status: Set(Status::Uploading),
        content_type: Set(new.content_type.as_str().to_owned()),
        size_bytes: Set(new.size_bytes),
        object_key: Set(object_key.clone()),
        upload_expires_at: Set(upload_expires_at),
        // Operators are no members of the platform's tenant; the audit log knows them.
        created_by: if tx.tenant_id() == PLATFORM_TENANT { NotSet } else { Set(tx.actor().member) },
        ..Default::default()
    };
    entity::Entity::insert(row).exec_without_returning(tx).await?;
    let collect = jobs::CollectUpload { video_id: id, object_key };
    tx.enqueue(&collect, &id.to_string(), Some(upload_expires_at)).await?;
    audit(tx, "video.added", id, serde_json::json!({ "size_bytes": new.size_bytes })).await?;
    Ok(id)
}

/// Makes sure that `size` more bytes fit. Whoever adds to the same tenant waits until this transaction has ended.
async fn reserve(tx: &TenantTx, size: i64) -> Result<()> {
    let tenant = || Value::from(tx.tenant_id().0);
    tx.sql("select 1 from pg_advisory_xact_lock(hashtextextended($1::uuid::text, 1))", [tenant()]).await?;
    let Stored { used_bytes: used, limit_bytes: limit } = stored(tx).await?;
    if used.saturating_add(size) <= limit {
        return Ok(());
    }
    let slug = "storage-quota";
    let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, slug, "The video does not fit into your storage.");
    let free = (limit - used).max(0);
    Err(problem
        .detail(format!("{free} bytes of {limit} are free, and {size} are needed. Delete videos you no longer need."))
        .with("used", used)
        .with("limit", limit)
        .into())
}

/// Bytes of video that a tenant stores.
pub struct Stored {
    /// Uploaded or announced. Refused uploads are not stored.
    pub used_bytes: i64,
    /// The most it may store.
    pub limit_bytes: i64,
}

/// How much the actor's tenant stores.
///
/// # Errors
/// As the database says.
pub async fn stored(tx: &TenantTx) -> Result<Stored> {
    let rows = tx.sql(STORED, [tx.tenant_id().0.into()]).await?;
    let row = rows.first().ok_or_else(Problem::not_found)?;
    Ok(Stored { used_bytes: row.try_get("", "used_bytes")?, limit_bytes: row.try_get("", "limit_bytes")? })
}

/// What [`stored`] asks, for a statement that asks for more at once; of the tenant `$1`.
pub(crate) const STORED: &str = "select t.storage_limit_bytes as limit_bytes, \
                                        (select coalesce(sum(size_bytes), 0)::bigint from video \
                                          where tenant_id = $1 and status <> 'rejected') as used_bytes \
                                 from tenant t where t.id = $1";

/// A video that the actor may see: the tenant's own, or one that the platform has published.
///
/// # Errors
/// 404.
pub async fn find(tx: &TenantTx, id: Uuid) -> Result<Model> {
    Ok(look(tx, id).await?.ok_or_else(Problem::not_found)?)
}

/// Like [`find`], without a refusal.
async fn look(tx: &TenantTx, id: Uuid) -> Result<Option<Model>> {
    Ok(entity::Entity::find()
        // Both tenants by name, so that the primary key's index is used.
        .filter(entity::Column::TenantId.is_in([tx.tenant_id().0, PLATFORM_TENANT.0]))
        .filter(entity::Column::Id.eq(id))
        .one(tx)
        .await?)
}

/// A video that the actor's tenant owns.
///
/// # Errors
/// 404, and 403 for one of the platform's library.
pub async fn find_own(tx: &TenantTx, id: Uuid) -> Result<Model> {
    let row = find(tx, id).await?;
    if row.tenant_id == tx.tenant_id().0 {
        Ok(row)
    } else {
        Err(Problem::forbidden("This video belongs to the platform's library. You can watch it, but not change it.")
            .into())
    }
}

/// Like [`find_own`], and nobody else changes it before this transaction ends.
async fn lock_own(tx: &TenantTx, id: Uuid) -> Result<Model> {
    let row = find_own(tx, id).await?;
    let locked = entity::Entity::find_by_id((row.tenant_id, row.id)).lock_exclusive().one(tx).await?;
    Ok(locked.ok_or_else(Problem::not_found)?)
}

/// Changes title and description. Answers the video as it is now.
///
/// # Errors
/// As [`find_own`]; 412 when `if_match` names another version.
pub async fn edit(tx: &TenantTx, id: Uuid, changes: VideoChanges, if_match: &IfMatch) -> Result<Model> {
    let row = lock_own(tx, id).await?;
    if_match.check(view::etag(&row))?;
    let title = changes.title.map_or_else(|| row.title.clone(), |title| tidy(&title).to_owned());
    let description = changes.description.unwrap_or_else(|| row.description.clone());
    if title == row.title && description == row.description {
        return Ok(row);
    }
    let text = concat!(
        "update video set title = $3, description = $4, version = version + 1, updated_at = now() \
         where tenant_id = $1 and id = $2 returning ",
        columns!()
    );
    let values = [row.tenant_id.into(), row.id.into(), title.into(), description.into()];
    let edited = one(tx, text, values).await?.ok_or_else(Problem::not_found)?;
    let changed = [("title", edited.title != row.title), ("description", edited.description != row.description)];
    let changed: Vec<_> = changed.into_iter().filter_map(|(name, is_changed)| is_changed.then_some(name)).collect();
    audit(tx, "video.edited", id, serde_json::json!({ "changed": changed, "from": row.title, "to": edited.title }))
        .await?;
    Ok(edited)
}

/// Shows the video to athletes. Publishing again changes nothing.
///
/// # Errors
/// As [`find_own`]; 409 `not-ready` before it is uploaded and examined.
pub async fn publish(tx: &TenantTx, id: Uuid) -> Result<Model> {
    let row = lock_own(tx, id).await?;
    ready(row.status)?;
    if row.published_at.is_some() {
        return Ok(row);
    }
    let text = concat!(
        "update video set published_at = now(), version = version + 1, updated_at = now() \
         where tenant_id = $1 and id = $2 returning ",
        columns!()
    );
    let published = one(tx, text, [row.tenant_id.into(), row.id.into()]).await?;
    audit(tx, "video.published", id, serde_json::json!({})).await?;
    published.ok_or_else(|| Problem::not_found().into())
}

/// Hides the video from athletes. Hiding a hidden one changes nothing.
///
/// # Errors
/// As [`find_own`].
pub async fn unpublish(tx: &TenantTx, id: Uuid) -> Result<()> {
    let row = lock_own(tx, id).await?;
    if row.published_at.is_some() {
        let text = "update video set published_at = null, version = version + 1, updated_at = now() \
                    where tenant_id = $1 and id = $2";
        tx.run(text, [row.tenant_id.into(), row.id.into()]).await?;
        audit(tx, "video.unpublished", id, serde_json::json!({})).await?;
    }
    Ok(())
}

/// Deletes the video, and by a job everything that is stored of it.
///
/// # Errors
/// As [`find_own`]; 412 when `if_match` names another version.
pub async fn remove(tx: &TenantTx, id: Uuid, if_match: &IfMatch) -> Result<()> {
    let row = lock_own(tx, id).await?;
    if_match.check(view::etag(&row))?;
    tx.run("delete from video where tenant_id = $1 and id = $2", [row.tenant_id.into(), row.id.into()]).await?;
    jobs::DeleteObject::enqueue(tx, &row.object_key).await?;
    audit(tx, "video.deleted", id, serde_json::json!({ "title": row.title, "status": row.status })).await
}

/// Refuses what can't be played yet.
fn ready(status: Status) -> Result<()> {
    match status {
        Status::Ready => Ok(()),
        Status::Uploading => Err(not_ready("Its upload is not finished.")),
        Status::Rejected => Err(not_ready("Its upload was refused. Delete it and upload another file.")),
    }
}

fn not_ready(detail: &str) -> crate::Error {
    Problem::conflict("not-ready", "The video is not ready.").detail(detail).into()
}

/// The video that a statement has touched which returns `columns!()`.
async fn one(tx: &TenantTx, text: &'static str, values: impl IntoIterator<Item = Value>) -> Result<Option<Model>> {
    let rows = tx.sql(text, values).await?;
    Ok(rows.first().map(|row| Model::from_query_result(row, "")).transpose()?)
}

async fn audit(tx: &TenantTx, action: &'static str, video: Uuid, detail: serde_json::Value) -> Result<()> {
    Ok(tx.audit(Audit { action, object_kind: "video", object_id: Some(video), detail }).await?)
}
