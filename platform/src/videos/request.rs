//! What a client says of a video.

use serde::Deserialize;
use tenants::http::is_line;
use utoipa::ToSchema;
use validator::{Validate, ValidationError};

use super::{ContentType, MAX_SIZE};

/// What a new video is made of.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVideo {
    /// 1 to 200 characters, not only spaces; spaces around it are dropped.
    #[validate(custom(function = a_title))]
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    pub title: String,
    /// Up to 5000 characters.
    #[validate(length(max = 5000, message = "must have 5000 characters at most"))]
    #[schema(max_length = 5000)]
    pub description: Option<String>,
    /// What will be uploaded.
    pub content_type: ContentType,
    /// Exactly how many bytes will be uploaded: 1 to 10 737 418 240 (10 GiB).
    #[validate(range(min = 1, max = MAX_SIZE, message = "must be from 1 to 10737418240 bytes (10 GiB)"))]
    #[schema(minimum = 1, maximum = 10_737_418_240_i64)]
    pub size_bytes: i64,
}

/// What is to be changed; what is left out stays.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoChanges {
    /// 1 to 200 characters, not only spaces; spaces around it are dropped.
    #[validate(custom(function = a_title))]
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    pub title: Option<String>,
    /// Up to 5000 characters.
    #[validate(length(max = 5000, message = "must have 5000 characters at most"))]
    #[schema(max_length = 5000)]
    pub description: Option<String>,
}

fn a_title(title: &str) -> Result<(), ValidationError> {
    if is_line(title, 200) {
        return Ok(());
    }
    let message = "must have 1 to 200 characters in one line, and not only spaces";
    Err(ValidationError::new("title").with_message(message.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_counted_in_characters_without_the_spaces_around_them() {
        for good in ["a", " a ", &"ü".repeat(200), "שלום", "🏋️"] {
            assert!(a_title(good).is_ok(), "{good}");
        }
        for bad in ["", "   ", "\n", "a\nb", "4pm.\u{202e}piz", "a\u{2028}b", "\u{2800}", &"ü".repeat(201)] {
            assert!(a_title(bad).is_err(), "{bad}");
        }
    }
}
