//! Texts that people type: what of them other people can read, and searching for a part.

/// Control characters, and those that turn the direction of the text around them: a name with one makes a page or a
/// mail say something else than it does.
pub fn unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
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
}
