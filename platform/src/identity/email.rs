//! Email addresses, parsed once.

use tenants::http::Problem;
use validator::{ValidateEmail, ValidationError};

/// A trimmed, lower-cased address of at most 254 bytes (RFC 5321, 4.5.3.1.3).
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Reads an address.
    ///
    /// # Errors
    /// 422 for `/email`.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        normal(text).map(Self).ok_or_else(|| Problem::invalid("/email", MESSAGE))
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

const MESSAGE: &str = "must be an email address such as name@example.com, of at most 254 characters";

fn normal(text: &str) -> Option<String> {
    let email = text.trim().to_lowercase();
    // ASCII only: Cognito takes no other, and look-alike letters make two addresses out of one.
    let good = email.len() <= 254 && email.is_ascii() && email.validate_email();
    good.then_some(email)
}

/// For request bodies.
pub fn valid(text: &str) -> Result<(), ValidationError> {
    normal(text).map(|_| ()).ok_or_else(|| ValidationError::new("email").with_message(MESSAGE.into()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_trimmed_and_lower_cased() {
        assert_eq!(Email::parse("  Ann@Example.COM ").unwrap().as_str(), "ann@example.com");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(250));
        for text in [
            "",
            "ann",
            "ann@",
            "@example.com",
            "ann@exa mple.com",
            "ann@example.com\r\nBcc: x@y.z",
            "änn@example.com",
            &long,
        ] {
            assert!(Email::parse(text).is_err(), "{text}");
        }
    }
}
