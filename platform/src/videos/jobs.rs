//! What the worker does for videos. Every step bears repetition.

use sea_orm::DbErr;
use serde::{Deserialize, Serialize};
use tenants::{Job, JobError, Tenant, TenantId, TenantTx};
use uuid::Uuid;

use super::{audit, object};
use crate::{Error, Platform, faults, storage::Storage};

/// Deletes an object in all its versions, and uploads to it that were never finished.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeleteObject {
    /// The object's key.
    pub key: String,
}

impl DeleteObject {
    /// Orders the deletion, to happen once the transaction has committed.
    ///
    /// # Errors
    /// As the database says.
    pub async fn enqueue(tx: &TenantTx, key: &str) -> Result<(), DbErr> {
        tx.enqueue(&Self { key: key.to_owned() }, key, None).await
    }
}

impl Job for DeleteObject {
    const KIND: &'static str = "videos.delete_object";
    type Context = Platform;

    async fn run(self, tenant: Tenant, platform: Platform) -> Result<(), JobError> {
        delete(&platform.storage, tenant.id(), &self.key).await
    }
}

/// Uploads go first: one that is completed meanwhile has become a version, which goes next.
async fn delete(storage: &Storage, tenant: TenantId, key: &str) -> Result<(), JobError> {
    // The bucket knows no tenants, so this is the wall.
    if !object::is_of(tenant, key) {
        return Err(JobError("the object is another tenant's".into()));
    }
    storage.abort_uploads(key).await.map_err(Error::from)?;
    storage.delete_all_versions(key).await.map_err(Error::from)?;
    Ok(())
}

/// Gives up an upload that is unfinished when its time is over. It is ordered when the video is added.
#[derive(Debug, Serialize, Deserialize)]
pub struct CollectUpload {
    /// The video.
    pub video_id: Uuid,
    /// Its object's key, for what was begun at S3 and outlived the row.
    pub object_key: String,
}

/// What became of the video whose upload's time is over.
enum Found {
    /// Unfinished: its row is deleted now, and its objects by a job.
    Collected,
    /// Its row is deleted or refused, so nothing may be stored.
    Nothing,
    /// It is ready: what else was begun at S3 for it is waste.
    Kept,
    /// It has time left, and the job comes again.
    Early,
}

impl Job for CollectUpload {
    const KIND: &'static str = "videos.collect_upload";
    type Context = Platform;

    async fn run(self, tenant: Tenant, platform: Platform) -> Result<(), JobError> {
        let found = tenant.write(async |tx| collect(tx, &self).await).await?;
        faults::after("db.collect_upload");
        match found {
            Found::Collected | Found::Early => Ok(()),
            // A crash can leave an upload at S3 that no row names any more.
            Found::Nothing => delete(&platform.storage, tenant.id(), &self.object_key).await,
            Found::Kept => Ok(platform.storage.abort_uploads(&self.object_key).await.map_err(Error::from)?),
        }
    }
}

async fn collect(tx: &TenantTx, job: &CollectUpload) -> Result<Found, Error> {
    let place = || [tx.tenant_id().0.into(), job.video_id.into()];
    let collected = tx
        .run(
            "delete from video where tenant_id = $1 and id = $2 and status = 'uploading' and upload_expires_at <= now()",
            place(),
        )
        .await?;
    if collected > 0 {
        DeleteObject::enqueue(tx, &job.object_key).await?;
        audit(tx, "video.upload-collected", job.video_id, serde_json::json!({})).await?;
        return Ok(Found::Collected);
    }
    let kept = tx
        .sql(
            "select status, upload_expires_at from video where tenant_id = $1 and id = $2 and status <> 'rejected'",
            place(),
        )
        .await?;
    let Some(row) = kept.first() else {
        return Ok(Found::Nothing);
    };
    if row.try_get::<String>("", "status")? == "uploading" {
        // It was run early.
        tx.enqueue(job, &job.video_id.to_string(), Some(row.try_get("", "upload_expires_at")?)).await?;
        return Ok(Found::Early);
    }
    Ok(Found::Kept)
}
