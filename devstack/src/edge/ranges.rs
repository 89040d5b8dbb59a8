//! Which part of an object a request gets: conditional requests and byte ranges (RFC 9110 sections 13 and 14),
//! decided from the object's validators alone.

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use http::{HeaderMap, HeaderName, header};

/// What is known of an object before it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validators<'a> {
    /// The entity tag as S3 gives it, quotes included.
    pub(super) etag: Option<&'a str>,
    /// Seconds since the epoch.
    pub(super) last_modified: Option<i64>,
    /// Size in bytes.
    pub(super) length: u64,
}

/// What to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// 200, everything.
    Whole,
    /// 206, from the first to the last byte inclusive.
    Part { first: u64, last: u64 },
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 416.
    Unsatisfiable,
}

/// Decides in the order of RFC 9110 section 13.2.2. A range is looked at only for GET (`ranges_apply`); several
/// ranges at once get the whole object, which that RFC allows.
pub(super) fn select(headers: &HeaderMap, ranges_apply: bool, object: &Validators<'_>) -> Selection {
    let listed = |name: HeaderName, weak| {
        let mut lines = headers.get_all(name).iter().peekable();
        lines.peek()?;
        Some(lines.any(|line| line.to_str().is_ok_and(|line| lists(line, object.etag, weak))))
    };
    let date = |name| Some(http_date(single(headers, name)?)?.cmp(&object.last_modified?));

    match listed(header::IF_MATCH, false) {
        Some(false) => return Selection::PreconditionFailed,
        Some(true) => {}
        None if date(header::IF_UNMODIFIED_SINCE).is_some_and(|limit| limit.is_lt()) => {
            return Selection::PreconditionFailed;
        }
        None => {}
    }
    match listed(header::IF_NONE_MATCH, true) {
        Some(true) => return Selection::NotModified,
        Some(false) => {}
        None if date(header::IF_MODIFIED_SINCE).is_some_and(|limit| limit.is_ge()) => {
            return Selection::NotModified;
        }
        None => {}
    }
    match single(headers, header::RANGE) {
        Some(range) if ranges_apply && if_range_holds(headers, object) => part(range, object.length),
        _ => Selection::Whole,
    }
}

/// The header's value when it is given exactly once.
fn single(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    line.to_str().ok()
}

fn http_date(text: &str) -> Option<i64> {
    DateTime::from_str(text, DateTimeFormat::HttpDate).ok().map(|time| time.secs())
}

/// Whether a list of entity tags, or `*`, names this one. Weak comparison ignores the `W/` mark; strong
/// comparison never matches a weak tag. S3's tags are hexadecimal, so no comma hides inside one.
fn lists(line: &str, etag: Option<&str>, weak: bool) -> bool {
    line.split(',').map(str::trim).any(|candidate| {
        candidate == "*"
            || etag.is_some_and(|etag| {
                if weak {
                    candidate.trim_start_matches("W/") == etag.trim_start_matches("W/")
                } else {
                    candidate == etag && !candidate.starts_with("W/")
                }
            })
    })
}

/// A range counts only for the very object the client has the rest of.
fn if_range_holds(headers: &HeaderMap, object: &Validators<'_>) -> bool {
    if !headers.contains_key(header::IF_RANGE) {
        return true;
    }
    single(headers, header::IF_RANGE).is_some_and(|validator| {
        if validator.contains('"') {
            object.etag == Some(validator) && !validator.starts_with("W/")
        } else {
            object.last_modified.is_some() && http_date(validator) == object.last_modified
        }
    })
}

/// Reads a Range header against an object of `length` bytes. What is not one well-formed byte range is ignored.
fn part(range: &str, length: u64) -> Selection {
    let Some((unit, spec)) = range.split_once('=') else {
        return Selection::Whole;
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Selection::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Selection::Whole;
    }
    match (position(first), position(last)) {
        // `-n`: the last n bytes.
        (Some(None), Some(Some(count))) if count > 0 && length > 0 => {
            Selection::Part { first: length.saturating_sub(count), last: length - 1 }
        }
        (Some(None), Some(Some(_))) => Selection::Unsatisfiable,
        (Some(Some(first)), Some(Some(last))) if last < first => Selection::Whole,
        (Some(Some(first)), Some(last)) if first < length => {
            Selection::Part { first, last: last.unwrap_or(u64::MAX).min(length - 1) }
        }
        (Some(Some(_)), Some(_)) => Selection::Unsatisfiable,
        _ => Selection::Whole,
    }
}

/// `Some(None)` for an absent position, `None` for text that is no number. A number too large for 64 bits lies
/// behind the end of every object.
fn position(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use Selection::{NotModified, Part, PreconditionFailed, Unsatisfiable, Whole};

    const OBJECT: Validators<'_> = Validators {
        etag: Some("\"abc\""),
        last_modified: Some(784_111_777), // Sun, 06 Nov 1994 08:49:37 GMT
        length: 100,
    };

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn one_range_selects_that_part_and_anything_else_the_whole() {
        for (range, selected) in [
            ("bytes=0-0", Part { first: 0, last: 0 }),
            ("bytes=10-19", Part { first: 10, last: 19 }),
            ("bytes=90-", Part { first: 90, last: 99 }),
            ("bytes=90-1000", Part { first: 90, last: 99 }),
            ("bytes=0-99999999999999999999999", Part { first: 0, last: 99 }),
            ("bytes=-10", Part { first: 90, last: 99 }),
            ("bytes=-1000", Part { first: 0, last: 99 }),
            ("Bytes=1-2", Part { first: 1, last: 2 }),
            ("bytes=100-", Unsatisfiable),
            ("bytes=99999999999999999999999-", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=20-10", Whole),
            ("bytes=0-1,5-6", Whole),
            ("bytes=-", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=a-b", Whole),
            ("lines=0-1", Whole),
            ("nonsense", Whole),
        ] {
            assert_eq!(select(&headers(&[("range", range)]), true, &OBJECT), selected, "{range}");
        }
        let twice = headers(&[("range", "bytes=0-1"), ("range", "bytes=2-3")]);
        assert_eq!(select(&twice, true, &OBJECT), Whole);
        assert_eq!(select(&headers(&[("range", "bytes=0-1")]), false, &OBJECT), Whole);
        let empty = Validators { length: 0, ..OBJECT };
        for range in ["bytes=0-", "bytes=-5"] {
            assert_eq!(select(&headers(&[("range", range)]), true, &empty), Unsatisfiable);
        }
    }

    #[test]
    fn a_range_for_an_older_object_gets_the_whole_new_one() {
        let part = Part { first: 5, last: 9 };
        for (validator, selected) in [
            ("\"abc\"", part),
            ("\"old\"", Whole),
            ("W/\"abc\"", Whole),
            ("Sun, 06 Nov 1994 08:49:37 GMT", part),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Whole),
            ("nonsense", Whole),
        ] {
            let headers = headers(&[("range", "bytes=5-9"), ("if-range", validator)]);
            assert_eq!(select(&headers, true, &OBJECT), selected, "{validator}");
        }
    }

    #[test]
    fn what_the_client_already_has_is_not_sent_again() {
        for (name, value, selected) in [
            ("if-none-match", "\"abc\"", NotModified),
            ("if-none-match", "W/\"abc\"", NotModified),
            ("if-none-match", "\"x\", \"abc\"", NotModified),
            ("if-none-match", "*", NotModified),
            ("if-none-match", "\"x\"", Whole),
            ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT", NotModified),
            ("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT", Whole),
            ("if-modified-since", "nonsense", Whole),
            ("if-match", "\"abc\"", Whole),
            ("if-match", "*", Whole),
            ("if-match", "\"x\"", PreconditionFailed),
            ("if-match", "W/\"abc\"", PreconditionFailed),
            ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT", Whole),
            ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:36 GMT", PreconditionFailed),
        ] {
            assert_eq!(select(&headers(&[(name, value)]), true, &OBJECT), selected, "{name}: {value}");
        }
        let etag_first = headers(&[("if-none-match", "\"x\""), ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")]);
        assert_eq!(select(&etag_first, true, &OBJECT), Whole, "the tag outranks the date");
    }
}
