//! Email addresses, parsed once.
//!
//! An address is what any mail service takes: a dot-atom of RFC 5321 (4.1.2) in ASCII at a domain with a name (RFC 1035,
//! 2.3.1). Quoted local parts and addresses of machines (`a@[127.0.0.1]`) are legal and reach nobody.

use tenants::http::{Problem, pasted};
use validator::ValidationError;

/// A trimmed, lower-cased address of at most 254 bytes (RFC 5321, 4.5.3.1.3).
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Reads an address.
    ///
    /// # Errors
    /// 422 for `/email`.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        normal(text).map(Self).map_err(|wrong| Problem::invalid("/email", wrong))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Email {
    /// Addresses never reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Email(…)")
    }
}

/// Longest address, in bytes.
const LONGEST: usize = 254;
/// Longest part before the `@`, in bytes (RFC 5321, 4.5.3.1.1).
const LONGEST_LOCAL: usize = 64;
/// Longest label of a domain, in bytes (RFC 1035, 2.3.4).
const LONGEST_LABEL: usize = 63;

const SHAPE: &str = "must be one email address such as name@example.com";
const TOO_LONG: &str = "must have 254 characters at most, and 64 before the @";
const FOREIGN_LOCAL: &str =
    "must have only ASCII characters before the @: addresses with others can't be used here, give another one";
const FOREIGN_DOMAIN: &str =
    "must have a domain in ASCII: write an internationalised one in its xn-- form, such as name@xn--bcher-kva.example";
const LOCAL: &str =
    "must have before the @ only letters, digits and signs such as + - _, with single dots between them";
const DOMAIN: &str = "must have behind the @ a domain such as example.com: labels of letters, digits and inner hyphens with single \
                      dots between them, the last one not a number";

fn normal(text: &str) -> Result<String, &'static str> {
    let email = pasted::address(text);
    let (local, domain) = email.rsplit_once('@').ok_or(SHAPE)?;
    // Asked before lower-casing, which makes ASCII of others, such as the sign of Kelvin. Cognito takes no other, and
    // look-alike letters make two addresses out of one.
    if !local.is_ascii() {
        return Err(FOREIGN_LOCAL);
    }
    if !domain.is_ascii() {
        return Err(FOREIGN_DOMAIN);
    }
    if email.len() > LONGEST || local.len() > LONGEST_LOCAL {
        return Err(TOO_LONG);
    }
    if !local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext)) {
        return Err(LOCAL);
    }
    if !is_domain(domain) {
        return Err(DOMAIN);
    }
    Ok(email.to_ascii_lowercase())
}

/// `atext` of RFC 5322, 3.2.3.
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A top-level domain is alphabetic, or the ASCII form of one that is (RFC 3696, 2).
    let is_top = |label: &str| {
        (label.len() >= 2 && label.bytes().all(|byte| byte.is_ascii_alphabetic()))
            || (label.len() > 4 && label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--")))
    };
    domain.split('.').all(is_label) && domain.rsplit_once('.').is_some_and(|(_, top)| is_top(top))
}

/// For request bodies.
pub fn valid(text: &str) -> Result<(), ValidationError> {
    normal(text).map(|_| ()).map_err(|wrong| ValidationError::new("email").with_message(wrong.into()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_trimmed_and_lower_cased() {
        for text in ["  Ann@Example.COM ", "\u{a0}ann@example.com\n", "\u{feff}ann@example.com\u{200b}"] {
            assert_eq!(Email::parse(text).unwrap().as_str(), "ann@example.com");
        }
    }

    #[test]
    fn what_mail_services_take_is_taken() {
        let (local, label) = ("a".repeat(64), "d".repeat(63));
        for text in [
            "plus+tag@example.com",
            "o'neil@example.com",
            "first.last@sub.example.co.uk",
            "u@xn--bcher-kva.example",
            "u@example.xn--p1ai",
            "_@1.2.example",
            &format!("{local}@{label}.com"),
        ] {
            assert!(Email::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = |n: usize| format!("a@{}.com", ["d".repeat(60).as_str(); 5].join(".").get(..n).unwrap());
        assert!(normal(&long(248)).is_ok());
        for text in [
            "",
            "ann",
            "ann@",
            "@example.com",
            "a@b",
            "ann@exa mple.com",
            "ann@example.com\r\nBcc: x@y.zz",
            "an n@example.com",
            "a..b@example.com",
            ".a@example.com",
            "a.@example.com",
            "a@example..com",
            "a@.example.com",
            "a@example.com.",
            "a@-example.com",
            "a@example-.com",
            "a@example.c",
            "a@example.123",
            "a@127.0.0.1",
            "a@[127.0.0.1]",
            "a@[IPv6:::1]",
            "\"a b\"@example.com",
            "\"a\"@example.com",
            "a@b@example.com",
            "a,b@example.com",
            "Ann <ann@example.com>",
            "a@ex_ample.com",
            "a\u{7f}b@example.com",
            "a@example.xn--",
            "a@example.com,b@example.com",
            "mailto:a@example.com",
            &format!("{}@example.com", "a".repeat(65)),
            &format!("a@{}.com", "d".repeat(64)),
            &long(249),
        ] {
            assert!(Email::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ascii_is_asked_before_lower_casing_and_the_refusal_says_what_to_do() {
        for text in ["\u{212a}ate@example.com", "\u{130}van@example.com", "änn@example.com", "a\u{200b}n@example.com"]
        {
            assert_eq!(normal(text), Err(FOREIGN_LOCAL), "{text}");
        }
        for text in ["ann@bücher.example", "ann@\u{212a}.example", "ann@例え。テスト", "ann@example．com"] {
            assert_eq!(normal(text), Err(FOREIGN_DOMAIN), "{text}");
        }
        assert!(FOREIGN_DOMAIN.contains("xn--"));
    }
}
