//! Checks of short texts that people type and other people read.

use chrono_tz::Tz;
use tenants::http::is_line;
use validator::ValidationError;

/// A name: 1 to 120 characters of which one can be seen, in one line. What is kept of it is [`tidy`](tenants::http::tidy).
pub fn name(text: &str) -> Result<(), ValidationError> {
    complain(is_line(text, 120), "must be 1 to 120 characters in one line, and not blank")
}

/// An IANA time zone.
pub fn time_zone(text: &str) -> Result<(), ValidationError> {
    complain(text.parse::<Tz>().is_ok(), "must be an IANA time zone such as Europe/Berlin")
}

/// A colour as `#1f6feb`.
pub fn color(text: &str) -> Result<(), ValidationError> {
    let good = text.strip_prefix('#').is_some_and(|hex| {
        hex.len() == 6 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    });
    complain(good, "must be a colour as six lower-case hexadecimal digits, such as #1f6feb")
}

fn complain(good: bool, message: &'static str) -> Result<(), ValidationError> {
    if good { Ok(()) } else { Err(ValidationError::new("text").with_message(message.into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_be_in_any_script_but_not_blank_or_over_lines() {
        for good in ["Ann", "Žofie Nováková", "山田太郎", "💪 Gym", "محمد"] {
            assert!(name(good).is_ok(), "{good}");
        }
        for bad in ["", "   ", "a\nb", "a\u{202e}b", "a\u{2029}b", "\u{2060}", &"x".repeat(121)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn colours_and_time_zones_are_checked() {
        assert!(
            color("#1f6feb").is_ok() && color("#1F6FEB").is_err() && color("red").is_err() && color("#12345").is_err()
        );
        assert!(time_zone("Europe/Berlin").is_ok() && time_zone("UTC").is_ok() && time_zone("Mars/Olympus").is_err());
    }
}
