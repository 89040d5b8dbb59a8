//! Names and literals as SQL spells them.

/// A string literal.
pub(super) fn literal(text: &str) -> String {
    // Without a backslash there is only the quote to double; with one, the escape syntax keeps it one.
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("e'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// An identifier.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Identifiers with commas between.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(identifier).collect::<Vec<_>>().join(", ")
}
