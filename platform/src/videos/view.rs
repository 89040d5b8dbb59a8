//! A video as the API shows it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenants::http::ETag;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{entity, progress::Position};

/// Whose video it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = VideoScope)]
pub enum Scope {
    /// The platform's: every business reads it, none changes it.
    Library,
    /// The caller's own business's.
    Tenant,
}

/// A video.
#[derive(Debug, Serialize, ToSchema)]
pub struct Video {
    /// UUIDv7.
    pub id: Uuid,
    /// Whose it is.
    pub scope: Scope,
    /// 1 to 200 characters.
    pub title: String,
    /// Up to 5000 characters.
    pub description: String,
    /// How far it has come.
    pub status: entity::Status,
    /// Why the upload was refused, if it was.
    pub rejection: Option<Rejection>,
    /// As declared when it was added.
    pub content_type: String,
    /// Bytes of the source.
    pub size_bytes: i64,
    /// By content: `mp4`, `quicktime`, `matroska` or `webm`; null until it is ready.
    pub container: Option<String>,
    /// FFmpeg's name of the picture's coding, `h264`; null until it is ready.
    pub video_codec: Option<String>,
    /// FFmpeg's name of the sound's coding, `aac`; null for a silent video.
    pub audio_codec: Option<String>,
    /// Pixels, as displayed; null until it is ready.
    pub width: Option<i32>,
    /// Pixels, as displayed; null until it is ready.
    pub height: Option<i32>,
    /// Seconds; null until it is ready.
    pub duration_seconds: Option<f64>,
    /// Since when athletes see it; null if they do not.
    pub published_at: Option<DateTime<Utc>>,
    /// The member who added it; null in the library.
    pub created_by: Option<Uuid>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// How far the caller has watched it; null if never.
    pub progress: Option<Position>,
}

/// Why an upload was refused.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VideoRejection)]
pub struct Rejection {
    /// For programs, stable.
    pub code: String,
    /// For a person: what is wrong and what would be right.
    pub detail: String,
}

impl Video {
    /// With what the caller has watched of it.
    pub(super) fn new(row: entity::Model, progress: Option<Position>) -> Self {
        Self {
            id: row.id,
            scope: if row.in_library() { Scope::Library } else { Scope::Tenant },
            title: row.title,
            description: row.description,
            status: row.status,
            rejection: row
                .rejection_code
                .map(|code| Rejection { code, detail: row.rejection_detail.unwrap_or_default() }),
            content_type: row.content_type,
            size_bytes: row.size_bytes,
            container: row.container,
            video_codec: row.video_codec,
            audio_codec: row.audio_codec,
            width: row.width,
            height: row.height,
            duration_seconds: row.duration_seconds,
            published_at: row.published_at,
            created_by: row.created_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
            progress,
        }
    }
}

/// The tag of a video's current version.
pub(super) fn etag(row: &entity::Model) -> ETag {
    ETag(row.version)
}
