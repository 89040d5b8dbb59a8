//! From a requested path to an object key, with nothing rewritten in between: the key is the percent-decoded
//! path, so what was signed is what is fetched.

/// The bytes behind `%XX`; `None` for a broken escape or a result that is not UTF-8. A `+` stays a plus.
pub(super) fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

/// The object key a path asks for: the decoded path without its first slash.
///
/// `None` for every path that some reader on the way might understand as another one: empty, `.` and `..`
/// segments (plain or encoded), encoded slashes, backslashes, control characters, broken escapes.
pub(super) fn object_key(path: &str) -> Option<String> {
    let mut key = String::with_capacity(path.len());
    for segment in path.strip_prefix('/')?.split('/') {
        let segment = percent_decode(segment)?;
        let misleading = matches!(&*segment, "" | "." | "..")
            || segment.contains(['/', '\\'])
            || segment.chars().any(char::is_control);
        if misleading {
            return None;
        }
        if !key.is_empty() {
            key.push('/');
        }
        key.push_str(&segment);
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_decoded_path() {
        for (path, key) in [
            ("/videos/t1/intro.mp4", "videos/t1/intro.mp4"),
            ("/videos/t1/a%20b+c.mp4", "videos/t1/a b+c.mp4"),
            ("/videos/%C3%BCbung.mp4", "videos/übung.mp4"),
            ("/videos/..a/b..", "videos/..a/b.."),
            ("/videos/%252e%252e/x", "videos/%2e%2e/x"),
            ("/videos/a%3Fb%23c", "videos/a?b#c"),
        ] {
            assert_eq!(object_key(path).as_deref(), Some(key));
        }
    }

    #[test]
    fn paths_with_a_second_reading_have_no_key() {
        for path in [
            "",
            "/",
            "videos/a",
            "//videos/a",
            "/videos/",
            "/videos//a",
            "/videos/./a",
            "/videos/../a",
            "/videos/t1/..",
            "/videos/%2e%2e/a",
            "/videos/%2E/a",
            "/videos/.%2e/a",
            "/videos/a%2Fb",
            "/videos/a%2fb",
            "/videos/a\\b",
            "/videos/a%5Cb",
            "/videos/..%5Ca",
            "/videos/a%00b",
            "/videos/a%0Ab",
            "/videos/a%7F",
            "/videos/%",
            "/videos/%4",
            "/videos/%zz",
            "/videos/%+4",
            "/videos/%FF",
            "/videos/%C0%AE%C0%AE/a",
        ] {
            assert_eq!(object_key(path), None, "{path}");
        }
    }
}
