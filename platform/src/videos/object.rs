//! The uploaded object: what may be uploaded, where it lies, and how it is cut into parts.

use serde::{Deserialize, Serialize};
use tenants::{PLATFORM_TENANT, TenantId, http::Problem};
use utoipa::ToSchema;
use uuid::Uuid;
use validator::{Validate, ValidationError};

use crate::Result;

/// Bytes of every part but the last: 8 MiB. S3 takes 5 MiB and up, and 10 000 parts at most.
pub const PART_SIZE: i64 = 8 << 20;

/// Most bytes of one video: 10 GiB, which is 1280 parts.
pub const MAX_SIZE: i64 = 10 << 30;

/// Most parts of one video.
const MAX_PARTS: u64 = (MAX_SIZE / PART_SIZE) as u64;

/// What may be uploaded. The content decides in the end: the probe compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ContentType {
    /// MP4
    #[serde(rename = "video/mp4")]
    Mp4,
    /// QuickTime (MOV)
    #[serde(rename = "video/quicktime")]
    QuickTime,
    /// WebM
    #[serde(rename = "video/webm")]
    WebM,
    /// Matroska (MKV)
    #[serde(rename = "video/x-matroska")]
    Matroska,
}

impl ContentType {
    /// As HTTP spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mp4 => "video/mp4",
            Self::QuickTime => "video/quicktime",
            Self::WebM => "video/webm",
            Self::Matroska => "video/x-matroska",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::QuickTime => "mov",
            Self::WebM => "webm",
            Self::Matroska => "mkv",
        }
    }
}

/// The key of a video's source, which is also the path of its URL at the edge.
pub(super) fn source_key(tenant: TenantId, video: Uuid, content_type: ContentType) -> String {
    let extension = content_type.extension();
    format!("{}{video}/source.{extension}", prefix(tenant))
}

/// Where everything of a tenant's videos lies.
fn prefix(tenant: TenantId) -> String {
    if tenant == PLATFORM_TENANT { "videos/library/".to_owned() } else { format!("videos/tenants/{tenant}/") }
}

/// Whether the object belongs to the tenant.
pub(super) fn is_of(tenant: TenantId, key: &str) -> bool {
    key.starts_with(&prefix(tenant))
}

/// How many parts an object of `size` bytes, one at least, has.
pub(super) fn part_count(size: i64) -> i32 {
    // At most 1280: `size` was checked against MAX_SIZE when the video was added.
    i32::try_from((size - 1) / PART_SIZE + 1).unwrap_or(i32::MAX)
}

/// The bytes of part `number` (from 1) of an object of `size` bytes; none beyond its last part.
pub(super) fn part_size(size: i64, number: i32) -> Option<i64> {
    let last = part_count(size);
    match number {
        number if number < 1 || number > last => None,
        number if number == last => Some(size - i64::from(last - 1) * PART_SIZE),
        _ => Some(PART_SIZE),
    }
}

/// A part that the client has sent.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SentPart {
    /// From 1.
    #[schema(minimum = 1, maximum = 1280)]
    pub number: i32,
    /// The `ETag` that the PUT of this part answered, with or without its quotes.
    #[validate(custom(function = entity_tag))]
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]+$")]
    pub etag: String,
}

/// All parts of an upload.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SentParts {
    /// Each part once, in any order.
    #[validate(nested, length(min = 1, max = MAX_PARTS, message = "must list every part once, from 1 to 1280 parts"))]
    #[schema(min_items = 1, max_items = 1280)]
    #[serde(deserialize_with = "tenants::http::objects")]
    pub parts: Vec<SentPart>,
}

fn entity_tag(etag: &str) -> std::result::Result<(), ValidationError> {
    if (1..=128).contains(&etag.len()) && etag.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(ValidationError::new("etag").with_message("must be the ETag that the PUT of the part answered".into()))
}

impl SentParts {
    /// Numbers and tags in S3's order, if they are exactly the parts of an object of `size` bytes.
    ///
    /// # Errors
    /// 422 that points at each part that is wrong, or at the list when one is missing.
    pub(super) fn of_object(self, size: i64) -> Result<Vec<(i32, String)>> {
        let count = part_count(size);
        let mut tags: Vec<Option<String>> = vec![None; count as usize];
        let mut problem: Option<Problem> = None;
        let mut wrong = |pointer: String, detail: String| {
            problem = Some(match problem.take() {
                None => Problem::invalid(pointer, detail),
                Some(problem) => problem.field(pointer, detail),
            });
        };
        for (index, part) in self.parts.into_iter().enumerate() {
            let place = part.number.checked_sub(1).and_then(|place| usize::try_from(place).ok());
            match place.and_then(|place| tags.get_mut(place)) {
                None => wrong(
                    format!("/parts/{index}/number"),
                    format!("must be from 1 to {count}: the video has {count} parts"),
                ),
                Some(Some(_)) => wrong(format!("/parts/{index}/number"), "must be listed once".into()),
                Some(tag) => *tag = Some(part.etag),
            }
        }
        for missing in tags.iter().zip(1..).filter(|(tag, _)| tag.is_none()).map(|(_, number)| number).take(10) {
            wrong("/parts".into(), format!("part {missing} is missing"));
        }
        match problem {
            Some(problem) => Err(problem.into()),
            None => Ok((1..).zip(tags.into_iter().flatten()).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sizes(size: i64) -> Vec<i64> {
        (1..=part_count(size)).map(|number| part_size(size, number).unwrap()).collect()
    }

    #[test]
    fn parts_are_8_mib_and_the_last_one_is_what_remains() {
        assert_eq!(sizes(1), [1]);
        assert_eq!(sizes(PART_SIZE), [PART_SIZE]);
        assert_eq!(sizes(PART_SIZE + 1), [PART_SIZE, 1]);
        assert_eq!(sizes(3 * PART_SIZE - 5), [PART_SIZE, PART_SIZE, PART_SIZE - 5]);
        let largest = sizes(MAX_SIZE);
        assert_eq!((largest.len(), largest.iter().sum::<i64>()), (1280, MAX_SIZE));
    }

    #[test]
    fn no_part_lies_outside_the_object() {
        for number in [i32::MIN, -1, 0, 3] {
            assert_eq!(part_size(PART_SIZE + 1, number), None);
        }
    }

    #[test]
    fn a_tenants_objects_and_the_librarys_lie_apart() {
        let (tenant, video) = (TenantId::new(), Uuid::now_v7());
        assert_eq!(
            source_key(tenant, video, ContentType::QuickTime),
            format!("videos/tenants/{tenant}/{video}/source.mov")
        );
        assert_eq!(source_key(PLATFORM_TENANT, video, ContentType::Mp4), format!("videos/library/{video}/source.mp4"));
    }

    #[test]
    fn content_types_read_back_from_their_own_names() {
        for kind in [ContentType::Mp4, ContentType::QuickTime, ContentType::WebM, ContentType::Matroska] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    fn sent(numbers: &[i32]) -> SentParts {
        SentParts {
            parts: numbers.iter().map(|number| SentPart { number: *number, etag: format!("\"{number}\"") }).collect(),
        }
    }

    fn pointers(numbers: &[i32]) -> Vec<String> {
        let refusal = sent(numbers).of_object(2 * PART_SIZE + 1).unwrap_err();
        tenants::Error::from(refusal).into_problem().errors.clone().into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn a_complete_list_is_put_in_order() {
        let parts = sent(&[3, 1, 2]).of_object(2 * PART_SIZE + 1).unwrap();
        assert_eq!(parts, [(1, "\"1\"".to_owned()), (2, "\"2\"".to_owned()), (3, "\"3\"".to_owned())]);
    }

    #[test]
    fn each_wrong_part_is_pointed_at() {
        assert_eq!(pointers(&[1, 2]), ["/parts"]);
        assert_eq!(pointers(&[1, 2, 3, 3]), ["/parts/3/number"]);
        assert_eq!(pointers(&[1, 2, 3, 4]), ["/parts/3/number"]);
        assert_eq!(pointers(&[0, 1, i32::MIN]), ["/parts/0/number", "/parts/2/number", "/parts", "/parts"]);
    }

    #[test]
    fn entity_tags_are_plain_and_short() {
        for good in ["\"d41d8cd98f00b204e9800998ecf8427e\"", "d41d8cd98f00b204e9800998ecf8427e", "\"a-12\""] {
            assert!(entity_tag(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "\u{1}", "é", &"a".repeat(129)] {
            assert!(entity_tag(bad).is_err(), "{bad}");
        }
    }
}
