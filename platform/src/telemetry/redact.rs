//! The last guard of the log: what looks like an address or a token is cut out of every text.
//!
//! Nobody logs these on purpose. The guard is for the messages of libraries, which quote what they were given.

use std::borrow::Cow;

/// The shortest thing that is taken for a JSON Web Token, in bytes.
const MIN_TOKEN: usize = 20;

/// The text without mail addresses, URLs with credentials, and JSON Web Tokens.
pub(super) fn redact(text: &str) -> Cow<'_, str> {
    if !text.contains('@') && !text.contains("eyJ") {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(is_boundary).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        clean.push_str(if word.len() >= MIN_TOKEN && word.contains("eyJ") {
            "[token]"
        } else if is_address(word) {
            "[address]"
        } else {
            word
        });
        let boundary = after.chars().next().map_or(0, char::len_utf8);
        clean.push_str(&after[..boundary]);
        rest = &after[boundary..];
    }
    Cow::Owned(clean)
}

/// What ends a word. Not `:`, `/`, `.` and their like, which stand inside URLs and tokens.
fn is_boundary(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '"' | '\'' | '`' | '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';' | '=' | '&')
}

fn is_address(word: &str) -> bool {
    word.split_once('@').is_some_and(|(before, after)| !before.is_empty() && !after.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_cut_out_wherever_it_stands() {
        for (text, clean) in [
            ("user ann@example.com exists", "user [address] exists"),
            ("<ann@example.com>, \"bob@example.com\"", "<[address]>, \"[address]\""),
            ("to=ann@localhost&x=1", "to=[address]&x=1"),
            ("postgres://ffp_app:hunter2@db/ffp is away", "[address] is away"),
            ("ann@exämple.com", "[address]"),
        ] {
            assert_eq!(redact(text), clean);
        }
    }

    #[test]
    fn a_token_is_cut_out() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";
        assert_eq!(redact(&format!("bad token `{token}`")), "bad token `[token]`");
        assert_eq!(redact(&format!("{{\"id_token\":\"{token}\"}}")), "{\"id_token\":\"[token]\"}");
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for text in ["nothing to hide", "a @ b", "@derive", "eyJ", ""] {
            assert_eq!(redact(text), text);
        }
    }
}
