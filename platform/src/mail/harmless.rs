//! Texts of other people within our mail, made harmless: nothing hidden, no second line, and nothing that a mail program
//! would turn into a link or a number to call.
//!
//! The one place, and the last: nothing is taken out of a text after its links are broken. What is invisible goes first,
//! then letters are composed (NFC), then the text is cut, then links are broken. Names keep what they need: the joiners of
//! Persian, Hindi and emoji, the dots of initials.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{ExtendedPictographic, GeneralCategory as Category, Ideographic},
};
use tenants::http::{composed, is_invisible, is_mark, is_selector};

/// What stands for a number.
const NUMBER: &str = "•••";
/// Digits in a row that may be called; a year, a house or "24/7" has fewer.
const CALLABLE: usize = 5;

/// A name in one line of about `longest` characters at most, in which nothing is a link: a scheme or an `@` is apart from
/// what follows, and so is a dot from the next label, unless it is an initial or a number (`evil.example` becomes
/// `evil. example`; `J.R. Ewing` and `2.0` stay).
pub(super) fn name(text: &str, longest: usize) -> String {
    let characters: Vec<char> = without_numbers(&line(text, longest)).chars().collect();
    let mut shown = String::with_capacity(characters.len() + 8);
    let mut at = 0;
    while at < characters.len() {
        let slashes = characters[at..].iter().take_while(|c| is_slash(**c)).count();
        if slashes > 1 {
            shown.push(' ');
            at += slashes;
            continue;
        }
        shown.push(characters[at]);
        if links(&characters, at) {
            shown.push(' ');
        }
        at += 1;
    }
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text in one line of at most `longest` characters, without controls and without what is invisible, in composed form.
pub(super) fn line(text: &str, longest: usize) -> String {
    let visible = visible(text);
    let line = composed(&visible).split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= longest {
        return line;
    }
    let mut cut: String = line.chars().take(longest - 1).collect();
    cut.truncate(cut.trim_end().len());
    cut.push('…');
    cut
}

/// The text without what is invisible, but for the joiners and selectors that shape the characters around them.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if c.is_whitespace() || c.is_control() {
            shown.push(' ');
        } else if !is_invisible(c) || shapes(shown.chars().next_back(), c, &text[at + c.len_utf8()..]) {
            shown.push(c);
        }
    }
    shown
}

/// Whether an invisible character shapes what it stands between: a joiner letters of a script without cases or the parts
/// of an emoji, a selector or a tag the emoji or the letter before it.
fn shapes(before: Option<char>, c: char, rest: &str) -> bool {
    let Some(before) = before else { return false };
    let after = rest.chars().find(|next| next.is_whitespace() || !is_invisible(*next));
    match c {
        '\u{200d}' if is_emoji_part(before) && after.is_some_and(is_pictographic) => true,
        '\u{200c}' | '\u{200d}' if is_joined(before) => match after {
            Some(next) if !next.is_whitespace() => is_joined(next),
            // A half form at the end of a word.
            _ => is_mark(before),
        },
        '\u{e0020}'..='\u{e007f}' => matches!(before, '🏴' | '\u{e0020}'..='\u{e007e}'),
        _ if is_selector(c) => is_pictographic(before) || is_caseless(before) || after == Some('\u{20e3}'),
        _ => false,
    }
}

fn is_caseless(c: char) -> bool {
    CodePointMapData::<Category>::new().get(c) == Category::OtherLetter && !is_invisible(c)
}

fn is_joined(c: char) -> bool {
    is_caseless(c) || is_mark(c)
}

fn is_pictographic(c: char) -> bool {
    CodePointSetData::new::<ExtendedPictographic>().contains(c)
}

/// An emoji, its look, or its colour of skin.
fn is_emoji_part(c: char) -> bool {
    is_pictographic(c) || matches!(c, '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}')
}

/// What stands between the characters of a label without being one: accents and what shapes.
fn is_attached(c: char) -> bool {
    is_mark(c) || is_invisible(c) && !c.is_whitespace()
}

fn is_slash(c: char) -> bool {
    matches!(c, '/' | '\\' | '\u{2044}' | '\u{2215}' | '\u{29f8}' | '\u{ff0f}' | '\u{ff3c}' | '\u{fe68}')
}

fn is_colon(c: char) -> bool {
    matches!(c, ':' | '\u{ff1a}' | '\u{fe55}' | '\u{fe13}' | '\u{2236}' | '\u{a789}')
}

fn is_at(c: char) -> bool {
    matches!(c, '@' | '\u{ff20}' | '\u{fe6b}')
}

/// The dots of a domain: the full stop, those that IDNA takes for it (UTS 46: ideographic and fullwidth ones), and those
/// that look like it.
fn is_dot(c: char) -> bool {
    matches!(c, '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}' | '\u{2024}' | '\u{fe52}')
}

/// Whether the character there would make one link of what is before and behind it.
fn links(line: &[char], at: usize) -> bool {
    let (c, before, behind) = (line[at], &line[..at], &line[at + 1..]);
    let nearest = |side: &mut dyn Iterator<Item = &char>| side.copied().find(|c| !is_attached(*c));
    let Some(next) = nearest(&mut behind.iter()).filter(|next| !next.is_whitespace()) else { return false };
    if is_at(c) {
        return true;
    }
    let Some(previous) = nearest(&mut before.iter().rev()) else { return false };
    if is_colon(c) {
        // A time of day stays.
        return previous.is_alphanumeric() && !(previous.is_numeric() && next.is_numeric());
    }
    is_dot(c) && !previous.is_whitespace() && next.is_alphanumeric() && !is_plain_dot(before, behind)
}

/// A dot that no mail program reads as a domain's: before one letter, since no top-level domain has only one, or before
/// the second number of `2.0`. `www.` and `ftp.` make a link of anything, and four numbers are a machine's address.
fn is_plain_dot(before: &[char], behind: &[char]) -> bool {
    let label = |characters: &mut dyn Iterator<Item = &char>| -> Vec<char> {
        let label =
            characters.copied().take_while(|c| c.is_alphanumeric() || matches!(c, '-' | '_') || is_attached(*c));
        label.filter(|c| !is_attached(*c)).collect()
    };
    let mut previous = label(&mut before.iter().rev());
    previous.reverse();
    let next = label(&mut behind.iter());
    let named: String = previous.iter().flat_map(|c| c.to_lowercase()).collect();
    if named.starts_with("www") || named == "ftp" {
        return false;
    }
    let is_number = |label: &[char]| !label.is_empty() && label.iter().all(|c| c.is_numeric());
    if is_number(&next) {
        let earlier = before.len() - previous.len().min(before.len());
        let third =
            is_number(&previous) && earlier > 1 && is_dot(before[earlier - 1]) && before[earlier - 2].is_numeric();
        return !third;
    }
    matches!(next.as_slice(), [one] if one.is_alphabetic() && !CodePointSetData::new::<Ideographic>().contains(*one))
}

/// The line without numbers to call: five digits or more in a row, or any behind a plus, with the marks that stand within
/// numbers.
fn without_numbers(line: &str) -> String {
    let characters: Vec<char> = line.chars().collect();
    let is_plus = |c: char| matches!(c, '+' | '＋' | '\u{fe62}');
    let within = |c: char| {
        c.is_whitespace()
            || is_plus(c)
            || is_dot(c)
            || is_slash(c)
            || is_colon(c)
            || is_attached(c)
            || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '(' | ')' | '[' | ']' | '_' | ',' | '*' | '·')
    };
    let (mut shown, mut at) = (String::with_capacity(line.len()), 0);
    while at < characters.len() {
        let run = characters[at..].iter().take_while(|c| c.is_numeric() || within(**c)).count();
        let Some((number, rest)) = characters.get(at..at + run.max(1)).map(|run| run.split_at(end_of_number(run)))
        else {
            break;
        };
        let digits = number.iter().filter(|c| c.is_numeric()).count();
        if digits >= CALLABLE || (digits > 0 && number.iter().any(|c| is_plus(*c))) {
            let lead = number.iter().take_while(|c| !c.is_numeric() && !is_plus(**c)).count();
            shown.extend(&number[..lead]);
            shown.push_str(NUMBER);
        } else {
            shown.extend(number);
        }
        shown.extend(rest);
        at += run.max(1);
    }
    shown
}

/// How far a run goes to its last digit.
fn end_of_number(run: &[char]) -> usize {
    run.iter().rposition(|c| c.is_numeric()).map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests;
