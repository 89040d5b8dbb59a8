//! Ids that nobody has, in the place of the other tenant's: what a control request or statement is made of.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use uuid::Uuid;

/// A UUID's characters, hyphens included.
const UUID_LENGTH: usize = 36;

/// What of the victim's may appear nowhere, each with what stands for it in the control.
#[derive(Clone, Debug, Default)]
pub struct Disguise {
    stands_for: BTreeMap<String, String>,
    /// The stand-ins, to know them again.
    nobodys: BTreeSet<String>,
    /// Those that may be seen.
    released: BTreeSet<String>,
}

impl Disguise {
    /// Takes secrets in: UUIDs, addresses, names. What stands for one has its form and its length.
    pub fn learn(&mut self, secrets: impl IntoIterator<Item = String>) {
        for secret in secrets {
            if let Entry::Vacant(place) = self.stands_for.entry(secret) {
                let stand_in =
                    Uuid::try_parse(place.key()).map_or_else(|_| nobodys(place.key()), |id| nobodys_id(id).to_string());
                self.nobodys.insert(stand_in.clone());
                place.insert(stand_in);
            }
        }
    }

    /// Lets secrets be seen from now on, though they keep their stand-ins: what is done with them still must come to the same.
    pub fn release(&mut self, secrets: &[String]) {
        for secret in secrets {
            self.released.extend(uuids(secret).chain([secret.clone()]));
        }
    }

    /// Whether this is one of the secrets.
    pub fn knows(&self, text: &str) -> bool {
        self.stands_for.contains_key(text) && !self.released.contains(text)
    }

    /// The text with nobody's ids in the place of the victim's.
    pub fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for piece in pieces(text) {
            match piece {
                Piece::Uuid(id) => out.push_str(self.stands_for.get(&id.to_ascii_lowercase()).map_or(id, |it| it)),
                Piece::Other(other) => out.push_str(other),
            }
        }
        for (secret, stand_in) in self.stands_for.iter().filter(|(secret, _)| !is_uuid(secret)) {
            if out.contains(secret.as_str()) {
                out = out.replace(secret.as_str(), stand_in);
            }
        }
        out
    }

    /// The first secret that `answer` holds and `asked` does not.
    pub fn betrayed(&self, answer: &str, asked: &str) -> Option<String> {
        let asked = asked.to_ascii_lowercase();
        let told = |secret: &str| !asked.contains(&secret.to_ascii_lowercase());
        let id = pieces(answer).find_map(|piece| match piece {
            Piece::Uuid(id) => Some(id.to_ascii_lowercase()).filter(|id| self.knows(id) && told(id)),
            Piece::Other(_) => None,
        });
        id.or_else(|| {
            let words = self.stands_for.keys().filter(|secret| !is_uuid(secret));
            words
                .into_iter()
                .find(|secret| self.knows(secret) && answer.contains(secret.as_str()) && told(secret))
                .cloned()
        })
    }

    /// An answer as it would be with nobody's ids, and with all other ids and times made alike: two answers are told apart
    /// by what is left.
    pub fn level(&self, answer: &str) -> String {
        let answer = self.apply(answer);
        let mut out = String::with_capacity(answer.len());
        for piece in pieces(&answer) {
            match piece {
                Piece::Uuid(id) if self.nobodys.contains(&id.to_ascii_lowercase()) => {
                    out.push_str(&id.to_ascii_lowercase())
                }
                Piece::Uuid(_) => out.push_str("<uuid>"),
                Piece::Other(other) => out.push_str(&without_times(other)),
            }
        }
        out
    }
}

/// The UUIDs in a text, lower-cased.
pub fn uuids(text: &str) -> impl Iterator<Item = String> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Uuid(id) => Some(id.to_ascii_lowercase()),
        Piece::Other(_) => None,
    })
}

/// An id of the same moment, so that it stands at the same place in every list.
fn nobodys_id(id: Uuid) -> Uuid {
    let (moment, noise) = (id.as_u128() & !0xfff_3fff_ffff_ffff_ffff, Uuid::new_v4().as_u128());
    Uuid::from_u128(moment | (noise & 0xfff_3fff_ffff_ffff_ffff))
}

/// Letters and digits are moved, so that it is a word of the same kind.
fn nobodys(secret: &str) -> String {
    let moved = |c: char| match c {
        'a'..='y' | 'A'..='Y' | '0'..='8' => char::from_u32(c as u32 + 1).unwrap_or(c),
        'z' => 'a',
        'Z' => 'A',
        '9' => '0',
        c => c,
    };
    // The domain stays: some addresses are not addresses elsewhere.
    match secret.split_once('@') {
        Some((name, domain)) => format!("{}@{domain}", name.chars().map(moved).collect::<String>()),
        None => secret.chars().map(moved).collect(),
    }
}

enum Piece<'a> {
    Uuid(&'a str),
    Other(&'a str),
}

/// The text cut at its UUIDs.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let at = next_at(rest, 8, |rest| rest.get(..UUID_LENGTH).is_some_and(is_uuid));
        let (piece, length) = match at {
            Some(0) => (Piece::Uuid(&rest[..UUID_LENGTH]), UUID_LENGTH),
            Some(at) => (Piece::Other(&rest[..at]), at),
            None => (Piece::Other(rest), rest.len()),
        };
        rest = &rest[length..];
        Some(piece)
    })
}

fn is_uuid(text: &str) -> bool {
    text.len() == UUID_LENGTH
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `2026-11-20T12:00:00.5Z` and PostgreSQL's spelling of it become `<time>`.
fn without_times(text: &str) -> String {
    const SHAPE: &[u8] = b"0000-00-00 00:00:00";
    let begins_time = |bytes: &[u8]| {
        bytes.len() >= SHAPE.len()
            && SHAPE.iter().zip(bytes).all(|(shape, byte)| match shape {
                b'0' => byte.is_ascii_digit(),
                b' ' => matches!(byte, b' ' | b'T'),
                other => other == byte,
            })
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = next_at(rest, 4, |rest| begins_time(rest.as_bytes())) {
        out.push_str(&rest[..at]);
        out.push_str("<time>");
        let tail = &rest[at + SHAPE.len()..];
        let length = tail.find(|c: char| !(c.is_ascii_digit() || ".+:Z".contains(c))).unwrap_or(tail.len());
        rest = &tail[length..];
    }
    out.push_str(rest);
    out
}

/// Where the first thing begins that has its first hyphen after `before` bytes. Hyphens are rare, and found fast.
fn next_at(text: &str, before: usize, is_it: impl Fn(&str) -> bool) -> Option<usize> {
    let hyphens = text.match_indices('-').map(|(at, _)| at);
    hyphens.filter_map(|at| at.checked_sub(before)).find(|at| text.get(*at..).is_some_and(&is_it))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const THEIRS: &str = "0190a1b2-0000-7000-8000-000000000001";
    const OTHER: &str = "0190a1b2-0000-7000-8000-000000000002";

    fn disguise() -> Disguise {
        let mut disguise = Disguise::default();
        disguise.learn([THEIRS.to_owned(), "Ann.Zed9@b.example".to_owned()]);
        disguise
    }

    #[test]
    fn what_stands_for_a_secret_has_its_form_and_is_none() {
        let control = disguise().apply(&format!("x/{THEIRS}?m=Ann.Zed9@b.example&y={OTHER}"));
        assert!(!control.contains(THEIRS) && control.contains(OTHER), "{control}");
        assert!(control.contains("m=Boo.Afe0@b.example"), "{control}");
        assert_eq!(control.len(), format!("x/{THEIRS}?m=Ann.Zed9@b.example&y={OTHER}").len());
    }

    #[test]
    fn what_stands_for_an_id_is_of_the_same_moment_and_kind() {
        let stand_in = Uuid::try_parse(&disguise().apply(THEIRS)).unwrap();
        assert_eq!(stand_in.to_string()[..15], THEIRS[..15]);
        assert_eq!((stand_in.get_version_num(), stand_in.get_variant()), (7, uuid::Variant::RFC4122));
    }

    #[test]
    fn an_echo_betrays_nothing_and_everything_else_does() {
        let disguise = disguise();
        assert_eq!(disguise.betrayed(&format!("no {THEIRS}"), &format!("GET /{THEIRS}")), None);
        assert_eq!(disguise.betrayed(&format!("no {THEIRS}"), "GET /").as_deref(), Some(THEIRS));
        assert_eq!(disguise.betrayed(&THEIRS.to_uppercase(), "GET /").as_deref(), Some(THEIRS));
        assert!(disguise.betrayed("by Ann.Zed9@b.example", "GET /").is_some());
        assert_eq!(disguise.betrayed(OTHER, "GET /"), None);
    }

    #[test]
    fn answers_differ_by_what_is_neither_a_fresh_id_nor_a_time() {
        let disguise = disguise();
        let level = |answer: &str| disguise.level(answer);
        let fresh = Uuid::now_v7();
        assert_eq!(
            level(&format!("{OTHER} at 2026-11-20T12:00:00.123Z.")),
            level(&format!("{fresh} at 2027-01-01 00:00:00+00."))
        );
        assert_eq!(level(THEIRS), level(&disguise.apply(THEIRS)));
        assert_ne!(level("404"), level("403"));
        assert_ne!(level(THEIRS), level(OTHER));
    }
}
