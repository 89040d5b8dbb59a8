//! Failures of one cause share a fingerprint, so that they can be counted and found together.

use std::{
    collections::HashSet,
    sync::{LazyLock, Mutex, PoisonError},
};

use sha2::{Digest, Sha256};

/// Distinct fingerprints that get a counter of their own; what comes later is counted together, so that no input can
/// fill the memory of whoever collects metrics.
const COUNTED_APART: usize = 200;

static COUNTED: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// Eight hexadecimal digits, the same when `exact` is the same and `general` differs only in numbers, identifiers and
/// quotations.
pub(super) fn fingerprint(exact: &[&str], general: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in exact.iter().map(|part| (*part).to_owned()).chain(general.iter().map(|part| generalised(part))) {
        hash.update(part);
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..4])
}

/// Counts a failure.
pub(super) fn count(fingerprint: &str) {
    let mut counted = COUNTED.lock().unwrap_or_else(PoisonError::into_inner);
    let apart =
        counted.contains(fingerprint) || counted.len() < COUNTED_APART && counted.insert(fingerprint.to_owned());
    drop(counted);
    let label = if apart { fingerprint } else { "other" };
    metrics::counter!(super::metrics::FAILURES, "fingerprint" => label.to_owned()).increment(1);
}

/// The text without what changes from one occurrence to the next: quotations, and words with a digit in them.
fn generalised(text: &str) -> String {
    let mut general = String::with_capacity(text.len());
    for (index, stretch) in text.split(['"', '`']).enumerate() {
        if index % 2 == 1 {
            general.push('*');
            continue;
        }
        for word in stretch.split_inclusive(|c: char| !c.is_alphanumeric() && c != '-') {
            general.push_str(if word.bytes().any(|byte| byte.is_ascii_digit()) { "#" } else { word });
        }
    }
    general
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_cause_has_one_fingerprint_whatever_it_happened_to() {
        let cause = |text: &str| fingerprint(&["tenants"], &[text]);
        assert_eq!(
            cause("no video 0190b0a0-3c1e-7def-8a31-000000000001 in `acme`"),
            cause("no video 0190c0a0-ffff-7def-8a31-0000000000ff in `globex`")
        );
        assert_eq!(cause("at byte 17"), cause("at byte 4096"));
        assert_ne!(cause("relation \"a\" does not exist"), cause("column \"a\" does not exist"));
    }

    #[test]
    fn exact_parts_are_told_apart_by_a_digit() {
        assert_ne!(fingerprint(&["src/a.rs:1:1"], &[]), fingerprint(&["src/a.rs:9:1"], &[]));
    }
}
