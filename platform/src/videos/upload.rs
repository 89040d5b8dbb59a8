//! Uploading: presigned URLs for the parts of a video's source, and resuming what was interrupted.
//!
//! No URL is stored. The row names S3's upload, and whoever asks gets URLs for the parts that S3 has not received.
//! A crash anywhere leaves a state from which asking again goes on.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, SubsecRound, Utc};
use serde::Serialize;
use tenants::{Tenant, TenantTx, http::Problem};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Model, PART_SIZE, Status, Video, find_own, jobs, look, object};
use crate::{Platform, Result, faults, storage};

/// How long the URLs of parts are valid.
const URL_TIME: Duration = Duration::from_secs(3600);

/// What is yet to be uploaded, and where.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VideoUpload)]
pub struct Upload {
    /// Bytes of every part but the last.
    pub part_size: i64,
    /// When the upload is given up unless it is completed.
    pub expires_at: DateTime<Utc>,
    /// When the URLs below cease to work; ask for fresh ones then.
    pub urls_expire_at: DateTime<Utc>,
    /// The parts that have arrived, for the list that completes the upload.
    pub received: Vec<ReceivedPart>,
    /// The parts that are missing.
    pub parts: Vec<PartUrl>,
}

/// A part that has arrived.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceivedPart {
    /// From 1.
    pub number: i32,
    /// Its `ETag`.
    pub etag: String,
    /// Bytes.
    pub size: i64,
}

/// Where a part is to be PUT. The answer's `ETag` belongs in the list that completes the upload.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartUrl {
    /// From 1; it begins at byte `(number - 1) * part_size`.
    pub number: i32,
    /// Exactly how many bytes to send.
    pub size: i64,
    /// Where to PUT them.
    pub url: String,
    /// Headers to send along.
    pub headers: BTreeMap<String, String>,
}

/// A video that was just added.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddedVideo {
    /// The video.
    #[serde(flatten)]
    pub video: Video,
    /// Where to upload it. Null when an `Idempotency-Key` was repeated after the upload's end.
    pub upload: Option<Upload>,
}

/// What the creation of `id` answers, the first time and when repeated with its `Idempotency-Key`.
///
/// # Errors
/// 409 `deleted` when the video is no more; 503 without storage.
pub(super) async fn offer(platform: &Platform, tenant: &Tenant, id: Uuid) -> Result<(Model, Option<Upload>)> {
    let Some(row) = tenant.read(async |tx| look(tx, id).await).await? else {
        return Err(Problem::conflict("deleted", "The video was deleted, or its upload given up.")
            .detail("The Idempotency-Key belongs to a video that is no more. Use a new key.")
            .into());
    };
    if row.status != Status::Uploading || is_over(&row) {
        return Ok((row, None));
    }
    let upload = open(platform, tenant, &row).await?;
    Ok((row, Some(upload)))
}

/// What is missing of a video's upload.
///
/// # Errors
/// 404, 403 for the platform's library; 409 `upload-finished` or `upload-expired`; 503 without storage.
pub(super) async fn resume(platform: &Platform, tenant: &Tenant, id: Uuid) -> Result<Upload> {
    let row = tenant.read(async |tx| find_own(tx, id).await).await?;
    unfinished(&row)?;
    open(platform, tenant, &row).await
}

/// Refuses an upload that is over.
pub(super) fn unfinished(row: &Model) -> Result<()> {
    let (slug, title) = match row.status {
        Status::Ready | Status::Rejected => ("upload-finished", "The upload is finished already."),
        Status::Uploading if is_over(row) => ("upload-expired", "The upload was not finished in time."),
        Status::Uploading => return Ok(()),
    };
    Err(Problem::conflict(slug, title).into())
}

fn is_over(row: &Model) -> bool {
    row.upload_expires_at <= Utc::now()
}

async fn open(platform: &Platform, tenant: &Tenant, row: &Model) -> Result<Upload> {
    let (storage, key) = (&platform.storage, row.object_key.as_str());
    let begun = match row.upload_id.as_deref() {
        None => None,
        Some(id) => match storage.parts(key, id).await {
            Ok(parts) => Some((id.to_owned(), parts)),
            Err(storage::Error::NotFound) => match storage.head(key).await {
                Ok(object) => return Ok(assembled(row, &object)),
                // S3 gave it up: from the start.
                Err(storage::Error::NotFound) => None,
                Err(error) => return Err(error.into()),
            },
            Err(error) => return Err(error.into()),
        },
    };
    let (upload_id, parts) = match begun {
        Some(begun) => begun,
        None => (begin(platform, tenant, row).await?, Vec::new()),
    };
    let received: Vec<ReceivedPart> = parts
        .into_iter()
        .filter(|part| object::part_size(row.size_bytes, part.number) == Some(part.size))
        .map(|part| ReceivedPart { number: part.number, etag: part.etag, size: part.size })
        .collect();
    let there: BTreeSet<i32> = received.iter().map(|part| part.number).collect();
    let urls_expire_at = (Utc::now() + URL_TIME).trunc_subsecs(0);
    let mut parts = Vec::new();
    for number in (1..=object::part_count(row.size_bytes)).filter(|number| !there.contains(number)) {
        let Some(size) = object::part_size(row.size_bytes, number) else {
            continue;
        };
        let (url, headers) = storage.presign_part(key, &upload_id, number, size, URL_TIME).await?;
        parts.push(PartUrl { number, size, url, headers: headers.into_iter().collect() });
    }
    Ok(Upload { part_size: PART_SIZE, expires_at: row.upload_expires_at, urls_expire_at, received, parts })
}

/// S3 has put the parts together, but the row was not told: nothing is missing, and any list of all parts completes it.
fn assembled(row: &Model, whole: &storage::Object) -> Upload {
    let received = (1..=object::part_count(row.size_bytes)).filter_map(|number| {
        let size = object::part_size(row.size_bytes, number)?;
        Some(ReceivedPart { number, etag: whole.etag.clone(), size })
    });
    Upload {
        part_size: PART_SIZE,
        expires_at: row.upload_expires_at,
        urls_expire_at: row.upload_expires_at,
        received: received.collect(),
        parts: Vec::new(),
    }
}

/// Begins an upload at S3 and writes its id down, unless somebody else was quicker: then theirs counts.
async fn begin(platform: &Platform, tenant: &Tenant, row: &Model) -> Result<String> {
    let ours = platform.storage.begin_upload(&row.object_key, &row.content_type).await?;
    let current = tenant.write(async |tx| remember(tx, row, &ours).await).await?.ok_or_else(Problem::not_found)?;
    faults::after("db.begin_upload");
    unfinished(&current)?;
    let theirs = current.upload_id.filter(|id| *id != ours);
    if theirs.is_some() {
        platform.storage.abort_upload(&row.object_key, &ours).await?;
    }
    Ok(theirs.unwrap_or(ours))
}

/// Writes the upload's id into the row as it was read. Answers the row as it is now; none if it is gone, and then
/// what was begun goes too.
async fn remember(tx: &TenantTx, row: &Model, upload_id: &str) -> Result<Option<Model>> {
    let text = "update video set upload_id = $3 where tenant_id = $1 and id = $2 and status = 'uploading' \
                and upload_id is not distinct from $4";
    tx.run(text, [row.tenant_id.into(), row.id.into(), upload_id.into(), row.upload_id.clone().into()]).await?;
    let current = look(tx, row.id).await?;
    if current.is_none() {
        jobs::DeleteObject::enqueue(tx, &row.object_key).await?;
    }
    Ok(current)
}
