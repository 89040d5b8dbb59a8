//! Codes, tokens and addresses, which are copied out of mails: what comes along with them is no part of them, and no guess.

use serde::{Deserialize, Deserializer};

use super::text::is_invisible;

/// A token or a secret without the white space and the invisible characters that a mail program put at its ends, or into
/// it where it broke the line: none is ever part of one.
pub fn token(pasted: &str) -> String {
    pasted.chars().filter(|c| !is_invisible(*c)).collect()
}

/// A code as [`token`], also without the dashes that group its digits, `123-456`.
pub fn code(pasted: &str) -> String {
    let is_dash = |c: char| matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe63}' | '\u{ff0d}');
    pasted.chars().filter(|c| !is_invisible(*c) && !is_dash(*c)).collect()
}

/// An address without what shows nothing at its ends.
pub fn address(pasted: &str) -> &str {
    pasted.trim_matches(is_invisible)
}

/// Longest token of all, in characters. What is longer is left as it is, for the refusal of its field.
const LONGEST: usize = 8192;

/// Reads a field as [`token`] does, before anything counts its length.
///
/// # Errors
/// It is no string.
pub fn pasted_token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    read(deserializer, token)
}

/// Reads a field as [`code`] does, before anything counts its length.
///
/// # Errors
/// It is no string.
pub fn pasted_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    read(deserializer, code)
}

fn read<'de, D: Deserializer<'de>>(deserializer: D, clean: fn(&str) -> String) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(if text.chars().nth(LONGEST).is_some() { text } else { clean(&text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_along_with_a_code_is_no_part_of_it() {
        for pasted in [
            "123456",
            " 123456",
            "123456\n",
            "\t123456\r\n",
            "\u{a0}123456",
            "\u{200b}123456\u{feff}",
            "123 456",
            "123\u{202f}456",
            "123-456",
            "123\u{2011}456",
            "\u{2066}123456\u{2069}",
        ] {
            assert_eq!(code(pasted), "123456", "{}", pasted.escape_unicode());
        }
        assert_eq!(code(" \u{200b}-"), "");
        // Wrong letters stay wrong.
        assert_eq!(code("12345x"), "12345x");
    }

    #[test]
    fn a_token_that_was_broken_over_lines_is_whole_again_and_keeps_its_dashes() {
        assert_eq!(token("\u{a0}ab-c\n  d_e.f\u{200b}"), "ab-cd_e.f");
        assert_eq!(token("\u{feff}\n"), "");
    }

    #[test]
    fn an_address_keeps_what_is_inside_it() {
        assert_eq!(address("\u{feff} ann@example.com\u{a0}\n"), "ann@example.com");
        assert_eq!(address("an n@example.com"), "an n@example.com");
    }
}
