//! Texts that people type: what of them other people can read, what is kept of them, and searching for a part.
//!
//! What a character is, is Unicode's to say: its properties come from ICU4X, none is listed here but where fonts differ
//! from them.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizer;
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory as Category, GeneralCategoryGroup as Group, WhiteSpace},
};

use super::Problem;

/// Characters that Unicode calls symbols or letters and that are drawn as nothing: the blank pattern of Braille, the place
/// of an object, a note without a head, blanks among hieroglyphs.
const BLANKS: [char; 5] = ['\u{2800}', '\u{fffc}', '\u{1d159}', '\u{13441}', '\u{13442}'];

/// A character that no ink belongs to: white space of any kind, controls, formatting, and what is ignorable wherever it
/// stands, such as a Hangul filler or a variation selector. Joiners are among them, though they shape what is around them.
pub fn is_invisible(c: char) -> bool {
    CodePointSetData::new::<WhiteSpace>().contains(c)
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || matches!(category(c), Category::Control | Category::Format)
        || BLANKS.contains(&c)
        || is_noncharacter(c)
}

fn is_noncharacter(c: char) -> bool {
    matches!(u32::from(c), 0xfdd0..=0xfdef) || u32::from(c) & 0xfffe == 0xfffe
}

fn category(c: char) -> Category {
    CodePointMapData::<Category>::new().get(c)
}

/// Accents and vowel signs that are seen, and need a letter to stand at.
pub fn is_mark(c: char) -> bool {
    Group::Mark.contains(category(c)) && !is_invisible(c)
}

/// Characters that have no place in a line: controls and line ends of any kind, and those that turn the direction of the
/// text around them, with which a page or a mail says something else than it does.
fn unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A typed line as it is kept: without what shows nothing at its ends. What belongs to the character before it stays: the
/// selector of an emoji's look, the tags of a flag, the joiner that makes a half form at the end of a word.
pub fn tidy(line: &str) -> &str {
    let mut rest = line.trim_start_matches(falls_off);
    while let Some(last) = rest.chars().next_back() {
        let before = &rest[..rest.len() - last.len_utf8()];
        if !falls_off(last) || belongs_to(last, before) {
            break;
        }
        rest = before;
    }
    rest
}

/// What is refused in a line is no mistake of pasting, unless it ends one: it stays, for the refusal.
fn falls_off(c: char) -> bool {
    is_invisible(c) && (c.is_whitespace() || !unprintable(c))
}

fn belongs_to(last: char, before: &str) -> bool {
    match last {
        '\u{200c}' | '\u{200d}' => before.chars().next_back().is_some_and(is_mark),
        _ if is_selector(last) => {
            before.chars().rev().find(|c| !is_selector(*c)).is_some_and(|c| !is_invisible(c) && !is_mark(c))
        }
        _ => false,
    }
}

/// Variation selectors and tags.
pub fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' | '\u{180b}'..='\u{180d}' | '\u{180f}'
                | '\u{e0020}'..='\u{e007f}')
}

/// Whether a text, once it is [`tidy`], is one line of at most `longest` characters in which there is something to see.
pub fn is_line(text: &str, longest: usize) -> bool {
    let line = tidy(text);
    // An accent alone shows nothing that anybody could read.
    line.chars().any(|c| !is_invisible(c) && !is_mark(c))
        && line.chars().count() <= longest
        && !line.chars().any(unprintable)
}

/// A text in Unicode's composed form (NFC): one sequence of characters for each text, however a keyboard makes it.
pub fn composed(text: &str) -> Cow<'_, str> {
    ComposingNormalizer::new_nfc().normalize(text)
}

/// What is searched for by `?q=`, as typed but for its ends. It is no line: nobody is shown it.
///
/// # Errors
/// 422 when there is nothing to search for, or more than 100 characters.
pub fn searched(q: &str) -> Result<String, Problem> {
    let q = tidy(q);
    if (1..=100).contains(&q.chars().count()) {
        return Ok(q.to_owned());
    }
    Err(Problem::invalid("?q", "must have 1 to 100 characters, and not only spaces"))
}

/// The pattern of LIKE for texts that contain `part` literally.
pub fn containing(part: &str) -> String {
    let mut pattern = String::with_capacity(part.len() + 2);
    pattern.push('%');
    for character in part.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_for_like_s_own_signs_means_the_signs() {
        assert_eq!(containing("Push up"), "%Push up%");
        assert_eq!(containing("100%_\\"), "%100\\%\\_\\\\%");
    }

    #[test]
    fn a_line_in_which_nothing_is_seen_is_none() {
        let blank = [
            "",
            " ",
            "\u{a0}",
            "\u{2003}\u{3000}",
            "\u{200b}",
            "\u{200c}",
            "\u{200d}\u{200d}",
            "\u{2060}",
            "\u{feff}",
            "\u{ad}",
            "\u{200e}",
            "\u{200f}",
            "\u{61c}",
            "\u{34f}",
            "\u{115f}",
            "\u{1160}",
            "\u{3164}",
            "\u{ffa0}",
            "\u{2800}",
            "\u{fe0f}",
            "\u{e0101}",
            "\u{e0041}\u{e007f}",
            "\u{180e}",
            "\u{17b4}",
            "\u{301}",
            "\u{20dd}",
            " \u{200b} ",
            "\u{fffe}",
            "\u{1d173}",
            "\u{fff9}",
            "\t",
            "\u{2028}",
            "\u{85}",
            "\u{7f}",
            "\u{fffc}",
        ];
        for text in blank {
            assert!(!is_line(text, 120), "{}", text.escape_unicode());
        }
        for text in [
            "Ø",
            "山",
            "👩\u{200d}👩\u{200d}👧",
            "می\u{200c}رود",
            "O’Brien d'Arc",
            "محمد",
            "Z\u{301}oe",
            "🇫🇷",
            "1️⃣",
            "\u{e000}",
        ] {
            assert!(is_line(text, 120), "{text}");
        }
    }

    #[test]
    fn every_kind_of_line_end_makes_two_lines() {
        for end in ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'] {
            assert!(!is_line(&format!("a{end}b"), 120), "{}", end.escape_unicode());
            // At the end of a pasted line it is none.
            assert!(is_line(&format!("a{end}"), 120), "{}", end.escape_unicode());
        }
        for turned in ["a\u{202e}b", "\u{202e}b", "b\u{2066}", "\u{feff}b", "b\u{1b}"] {
            assert!(!is_line(turned, 120), "{}", turned.escape_unicode());
        }
    }

    #[test]
    fn ends_that_show_nothing_fall_off_and_what_shapes_a_character_stays() {
        for (typed, kept) in [
            ("\u{2060} Ann\u{a0}\u{200b}\n", "Ann"),
            ("\u{200f}محمد\u{200f}", "محمد"),
            ("Ann\u{200d}", "Ann"),
            ("Ann \u{fe0f}\u{3164}", "Ann"),
            ("❤\u{fe0f} ", "❤\u{fe0f}"),
            ("🏴\u{e0067}\u{e0062}\u{e007f}", "🏴\u{e0067}\u{e0062}\u{e007f}"),
            ("അവന\u{d4d}\u{200d}", "അവന\u{d4d}\u{200d}"),
            ("a\u{200b}b", "a\u{200b}b"),
            (" \u{2800}\u{301}", "\u{301}"),
        ] {
            assert_eq!(tidy(typed), kept, "{}", typed.escape_unicode());
        }
    }

    #[test]
    fn length_is_counted_of_what_is_kept() {
        assert!(is_line(&format!(" {}\u{200b}", "ü".repeat(120)), 120));
        assert!(!is_line(&"ü".repeat(121), 120));
    }
}
