//! The table `video`.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use tenants::PLATFORM_TENANT;

/// How far a video has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, utoipa::ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "lowercase")]
#[schema(as = VideoStatus)]
pub enum Status {
    /// Its parts are being sent.
    #[sea_orm(string_value = "uploading")]
    Uploading,
    /// Uploaded, examined, playable.
    #[sea_orm(string_value = "ready")]
    Ready,
    /// Uploaded and refused; nothing of it is stored.
    #[sea_orm(string_value = "rejected")]
    Rejected,
}

/// A video, a tenant's own or one of the platform's library.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "video")]
pub struct Model {
    /// Whose it is; the platform's tenant for the library.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// 1 to 200 characters.
    pub title: String,
    /// Up to 5000 characters.
    pub description: String,
    /// How far it has come.
    pub status: Status,
    /// Why it was refused, for programs.
    pub rejection_code: Option<String>,
    /// Why it was refused, for a person.
    pub rejection_detail: Option<String>,
    /// As declared.
    pub content_type: String,
    /// Bytes, as declared; a ready video has exactly as many.
    pub size_bytes: i64,
    /// The source's key in the bucket.
    pub object_key: String,
    /// S3's id of the multipart upload; none until S3 has answered.
    pub upload_id: Option<String>,
    /// When an unfinished upload is given up.
    pub upload_expires_at: DateTimeUtc,
    /// By content: `mp4`, `quicktime`, `matroska` or `webm`.
    pub container: Option<String>,
    /// FFmpeg's name.
    pub video_codec: Option<String>,
    /// FFmpeg's name; none for a silent video.
    pub audio_codec: Option<String>,
    /// Pixels, as displayed.
    pub width: Option<i32>,
    /// Pixels, as displayed.
    pub height: Option<i32>,
    /// Seconds.
    pub duration_seconds: Option<f64>,
    /// Since when athletes see it.
    pub published_at: Option<DateTimeUtc>,
    /// The member who added it; none in the library.
    pub created_by: Option<Uuid>,
    /// Counts changes; the `ETag`.
    pub version: i64,
    /// When it was added.
    pub created_at: DateTimeUtc,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
}

/// The columns of [`Model`] for a statement's text. By name, so that a statement goes on where a release adds one.
macro_rules! columns {
    () => {
        "tenant_id, id, title, description, status, rejection_code, rejection_detail, \
         content_type, size_bytes, object_key, upload_id, upload_expires_at, container, \
         video_codec, audio_codec, width, height, duration_seconds, published_at, created_by, \
         version, created_at, updated_at"
    };
}
pub(super) use columns;

impl Model {
    /// Whether it belongs to the platform's library.
    pub fn in_library(&self) -> bool {
        self.tenant_id == PLATFORM_TENANT.0
    }
}

/// None is followed: features join by their own SQL.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

#[cfg(test)]
mod tests {
    use sea_orm::{IdenStatic, Iterable};

    use super::*;

    #[test]
    fn the_columns_are_those_of_the_model() {
        let named: Vec<_> = columns!().split(", ").collect();
        assert_eq!(named, Column::iter().map(|column| column.as_str()).collect::<Vec<_>>());
    }
}
