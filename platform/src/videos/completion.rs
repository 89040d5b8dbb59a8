//! Completing an upload: S3 puts the parts together, the object is examined, and the row learns the outcome.
//!
//! Each step can be repeated, by the same client after a crash or by two at once: an upload that S3 no longer knows
//! has left an object, and the first outcome that is written stays.

use axum::http::StatusCode;
use sea_orm::Value;
use tenants::{Tenant, TenantTx, http::Problem};
use uuid::Uuid;

use super::{
    Model, SentParts, Status, audit, columns,
    examine::examine,
    find_own, jobs, look, one,
    probe::{Container, Probe, Refusal},
    upload::unfinished,
};
use crate::{
    Error, Platform, Result, faults,
    storage::{self, Storage},
};

/// A refusal that no probe gives: the object has another size than was declared.
const SIZE_MISMATCH: &str = "size-mismatch";

/// Every code under which an upload is refused; the slug of its problem.
const CODES: [&str; 16] = [
    "empty-file",
    "not-a-video",
    "unsupported-container",
    "content-type-mismatch",
    "truncated",
    "damaged",
    "external-reference",
    "index-too-large",
    "too-complex",
    "no-video-stream",
    "unsupported-codec",
    "unsupported-dimensions",
    "no-duration",
    "too-long",
    "probe-timeout",
    SIZE_MISMATCH,
];

/// What is to be written of an upload.
enum Outcome {
    Accepted(Probe),
    Refused { code: &'static str, detail: String },
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { code: refusal.code(), detail: refusal.to_string() }
    }
}

/// Completes the upload of a video. A repeated completion gets the first one's answer.
///
/// # Errors
/// 404, 403 for the platform's library; 409 `upload-expired`; 422 for a wrong list of parts, `parts-refused` when S3
/// has not received them (the upload stays open), or the code under which the upload was refused for good; 503 when
/// storage or the examination is away (repeat it).
pub(super) async fn complete(platform: &Platform, tenant: &Tenant, id: Uuid, parts: SentParts) -> Result<Model> {
    let row = tenant.read(async |tx| find_own(tx, id).await).await?;
    if row.status != Status::Uploading {
        return outcome_of(row);
    }
    unfinished(&row)?;
    let parts = parts.of_object(row.size_bytes)?;
    let Some(object) = assemble(&platform.storage, &row, parts).await? else {
        // Deleted, or completed by a twin and then deleted?
        tenant.read(async |tx| find_own(tx, id).await).await?;
        return Err(parts_refused("Storage has none of the parts. GET the upload and send what is missing."));
    };
    let outcome = if i64::try_from(object.size) == Ok(row.size_bytes) {
        match examine(tenant.id(), &platform.storage, &row.object_key, object.size, &row.content_type).await? {
            Ok(probe) => Outcome::Accepted(probe),
            Err(refusal) => refusal.into(),
        }
    } else {
        let detail =
            format!("The file has {} bytes, but {} were declared. Upload it again.", object.size, row.size_bytes);
        Outcome::Refused { code: SIZE_MISMATCH, detail }
    };
    let settled = tenant.write(async |tx| settle(tx, &row, outcome).await).await?;
    faults::after("db.settle_upload");
    outcome_of(settled.ok_or_else(Problem::not_found)?)
}

/// The object made of the parts; none if S3 has neither the upload nor the object.
async fn assemble(storage: &Storage, row: &Model, parts: Vec<(i32, String)>) -> Result<Option<storage::Object>> {
    let completed = match row.upload_id.as_deref() {
        Some(upload_id) => storage.complete_upload(&row.object_key, upload_id, parts).await,
        None => Ok(()),
    };
    let refusal = match completed {
        Ok(()) | Err(storage::Error::NotFound) => None,
        Err(storage::Error::InvalidParts(code)) => Some(code),
        Err(error) => return Err(error.into()),
    };
    // Whatever S3 says of the upload: if the object is there, an earlier call has completed it.
    match (storage.head(&row.object_key).await, refusal) {
        (Ok(object), _) => Ok(Some(object)),
        (Err(storage::Error::NotFound), None) => Ok(None),
        (Err(storage::Error::NotFound), Some(code)) => {
            let detail = format!("Storage answers {code}: a part is missing, or its etag is another.");
            Err(parts_refused(&format!("{detail} GET the upload to see the parts that have arrived.")))
        }
        (Err(error), _) => Err(error.into()),
    }
}

fn parts_refused(detail: &str) -> Error {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "parts-refused", "The parts can't be put together.")
        .detail(detail)
        .field("/parts", "must list every part with the ETag that its PUT answered")
        .into()
}

/// Writes the outcome unless one is written. Answers the row as it is now; none if it is gone, and then its object
/// goes too.
async fn settle(tx: &TenantTx, row: &Model, outcome: Outcome) -> Result<Option<Model>> {
    let settled = match &outcome {
        Outcome::Accepted(probe) => accept(tx, row, probe).await?,
        Outcome::Refused { code, detail } => {
            let text = concat!(
                "update video set status = 'rejected', rejection_code = $3, rejection_detail = $4, \
                 version = version + 1, updated_at = now() \
                 where tenant_id = $1 and id = $2 and status = 'uploading' returning ",
                columns!()
            );
            one(tx, text, [row.tenant_id.into(), row.id.into(), (*code).into(), detail.clone().into()]).await?
        }
    };
    if settled.is_none() {
        let current = look(tx, row.id).await?;
        if current.is_none() {
            jobs::DeleteObject::enqueue(tx, &row.object_key).await?;
        }
        return Ok(current);
    }
    match outcome {
        Outcome::Accepted(_) => audit(tx, "video.uploaded", row.id, serde_json::json!({})).await?,
        Outcome::Refused { code, .. } => {
            jobs::DeleteObject::enqueue(tx, &row.object_key).await?;
            audit(tx, "video.rejected", row.id, serde_json::json!({ "code": code })).await?;
        }
    }
    Ok(settled)
}

async fn accept(tx: &TenantTx, row: &Model, probe: &Probe) -> Result<Option<Model>> {
    let container = match probe.container {
        Container::Mp4 => "mp4",
        Container::QuickTime => "quicktime",
        Container::Matroska => "matroska",
        Container::WebM => "webm",
    };
    // The probe bounds the sides; 0 would show that it no longer does.
    let pixels = |side: u32| Value::from(i32::try_from(side).unwrap_or_default());
    let text = concat!(
        "update video set status = 'ready', container = $3, video_codec = $4, audio_codec = $5, width = $6, \
         height = $7, duration_seconds = $8, version = version + 1, updated_at = now() \
         where tenant_id = $1 and id = $2 and status = 'uploading' returning ",
        columns!()
    );
    let values = [
        row.tenant_id.into(),
        row.id.into(),
        container.into(),
        probe.video_codec.clone().into(),
        probe.audio_codec.clone().into(),
        pixels(probe.width),
        pixels(probe.height),
        probe.duration_seconds.into(),
    ];
    one(tx, text, values).await
}

/// The answer to whoever completes: the video, or why it was refused.
fn outcome_of(row: Model) -> Result<Model> {
    match row.status {
        Status::Ready => Ok(row),
        Status::Rejected => Err(rejected(&row).into()),
        Status::Uploading => Err(tenants::Error::Internal("an upload was settled and is not".into()).into()),
    }
}

fn rejected(row: &Model) -> Problem {
    let code = row.rejection_code.as_deref().unwrap_or_default();
    let slug = CODES.into_iter().find(|known| *known == code).unwrap_or("upload-refused");
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, slug, "The upload is refused.")
        .detail(row.rejection_detail.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_the_probe_has_its_slug() {
        let text = String::new;
        let refusals = [
            Refusal::Empty,
            Refusal::NotAVideo { found: "" },
            Refusal::UnsupportedContainer { found: "" },
            Refusal::ContentTypeMismatch { declared: text(), found: "", right: "" },
            Refusal::Truncated(text()),
            Refusal::Damaged(text()),
            Refusal::ExternalReference,
            Refusal::IndexTooLarge { limit_mib: 1 },
            Refusal::TooComplex { limit_mib: 1 },
            Refusal::NoVideoStream,
            Refusal::UnsupportedCodec { track: "", codec: text(), accepted: "" },
            Refusal::Dimensions { width: 0, height: 0 },
            Refusal::NoDuration,
            Refusal::TooLong { hours: 25.0 },
            Refusal::ProbeTimeout,
        ];
        for refusal in &refusals {
            assert!(CODES.contains(&refusal.code()), "{}", refusal.code());
        }
        assert_eq!(refusals.len() + 1, CODES.len());
    }
}
