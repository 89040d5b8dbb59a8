//! What a signature permits: CloudFront's policy document, its wildcards and its IPv4 ranges.
//!
//! A policy is read only after its signature held, so everything here was written by a trusted signer; what is
//! not understood is still refused, because a misspelt condition must not widen a grant.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::signature::Refusal;

/// The one statement of a policy document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Policy {
    /// URL pattern; `None` grants every resource, as CloudFront documents.
    resource: Option<String>,
    /// Seconds since the epoch; access ends when this instant is reached.
    date_less_than: u64,
    /// Seconds since the epoch; access begins after this instant.
    date_greater_than: Option<u64>,
    /// The viewers' addresses.
    source: Option<Ipv4Range>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "Statement")]
    statement: [Statement; 1],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    #[serde(rename = "Resource", default, deserialize_with = "present")]
    resource: Option<String>,
    #[serde(rename = "Condition")]
    condition: Condition,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    #[serde(rename = "DateLessThan")]
    date_less_than: EpochTime,
    #[serde(rename = "DateGreaterThan", default, deserialize_with = "present")]
    date_greater_than: Option<EpochTime>,
    #[serde(rename = "IpAddress", default, deserialize_with = "present")]
    ip_address: Option<SourceIp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EpochTime {
    #[serde(rename = "AWS:EpochTime")]
    seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceIp {
    #[serde(rename = "AWS:SourceIp")]
    range: String,
}

/// A field that may be left out but not be `null`: a signer that serialises "no resource" as `null` by mistake
/// would otherwise grant everything.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl Policy {
    /// Reads a policy document: one statement, no unknown or repeated members.
    pub(super) fn parse(json: &[u8]) -> Result<Self, Refusal> {
        let Document { statement: [one] } = serde_json::from_slice(json).map_err(|_| Refusal::Malformed("policy"))?;
        let source = match one.condition.ip_address {
            None => None,
            Some(ip) => Some(Ipv4Range::parse(&ip.range).ok_or(Refusal::Malformed("policy address"))?),
        };
        Ok(Self {
            resource: one.resource,
            date_less_than: one.condition.date_less_than.seconds,
            date_greater_than: one.condition.date_greater_than.map(|time| time.seconds),
            source,
        })
    }

    /// Whether the policy lets `viewer` fetch `url` at `now` (time since the epoch). At the very instant of
    /// either date it does not: both comparisons are strict.
    pub(super) fn permits(&self, url: &str, now: Duration, viewer: IpAddr) -> Result<(), Refusal> {
        if now >= Duration::from_secs(self.date_less_than) {
            return Err(Refusal::Expired);
        }
        if let Some(start) = self.date_greater_than
            && now <= Duration::from_secs(start)
        {
            return Err(Refusal::NotYetValid);
        }
        if let Some(source) = self.source
            && !source.contains(viewer)
        {
            return Err(Refusal::WrongAddress);
        }
        match &self.resource {
            Some(pattern) if !matches(pattern.as_bytes(), url.as_bytes()) => Err(Refusal::WrongResource),
            _ => Ok(()),
        }
    }
}

/// Whether a URL matches a Resource: `*` stands for any run of characters, `/` included, `?` for exactly one.
///
/// One rule is stricter than a plain wildcard: only a `*` at the very end reaches over the `?` that begins the
/// URL's query. The query does not choose the object, so `…/a/*.mp4` must not open `…/a/private.mov?x=.mp4`.
fn matches(pattern: &[u8], url: &[u8]) -> bool {
    let query_starts = url.iter().position(|&byte| byte == b'?');
    let trailing_stars = pattern.iter().rev().take_while(|&&byte| byte == b'*').count();
    let tail = pattern.len() - trailing_stars;

    // `reached[p]` says that `pattern[..p]` matches the part of the URL read so far. No backtracking, so the
    // cost is bounded by pattern length times URL length whatever the pattern.
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    skip_stars(pattern, &mut reached);
    for (at, &byte) in url.iter().enumerate() {
        let mut next = vec![false; pattern.len() + 1];
        for (p, &symbol) in pattern.iter().enumerate() {
            if !reached[p] {
                continue;
            }
            match symbol {
                b'*' => next[p] |= query_starts != Some(at) || p >= tail,
                b'?' => next[p + 1] = true,
                literal => next[p + 1] |= literal == byte,
            }
        }
        skip_stars(pattern, &mut next);
        reached = next;
    }
    reached[pattern.len()]
}

/// A `*` may stand for nothing.
fn skip_stars(pattern: &[u8], reached: &mut [bool]) {
    for (p, &symbol) in pattern.iter().enumerate() {
        if symbol == b'*' && reached[p] {
            reached[p + 1] = true;
        }
    }
}

/// An IPv4 CIDR range; a plain address is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ipv4Range {
    network: u32,
    mask: u32,
}

impl Ipv4Range {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            None => (text, 32),
            Some((address, prefix)) => {
                let digits = prefix.bytes().all(|b| b.is_ascii_digit());
                (address, prefix.parse::<u32>().ok().filter(|n| digits && *n <= 32)?)
            }
        };
        let address: Ipv4Addr = address.parse().ok()?;
        let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
        Some(Self { network: u32::from(address) & mask, mask })
    }

    /// IPv6 viewers are in no IPv4 range except the one that holds every address, `0.0.0.0/0`.
    fn contains(self, viewer: IpAddr) -> bool {
        match viewer.to_canonical() {
            IpAddr::V4(address) => u32::from(address) & self.mask == self.network,
            IpAddr::V6(_) => self.mask == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn wildcards_stand_for_any_run_and_for_exactly_one_character() {
        let yes = [
            ("http://h/v/a.mp4", "http://h/v/a.mp4"),
            ("*", "http://h/v/a.mp4"),
            ("http*://h/v/*", "https://h/v/"),
            ("http://h/v/*", "http://h/v/a/b/c.ts"),
            ("http://h/v/*", "http://h/v/a.ts?x=1"),
            ("http://h/v/**", "http://h/v/a.ts?x=1"),
            ("http://h/v/seg-???.ts", "http://h/v/seg-001.ts"),
            ("http://h/*/b/*.ts", "http://h/a/a/b/b/x.ts"),
            ("http://h/v/*.ts?x=*", "http://h/v/a.ts?x=1?y"),
            ("http://h/*x?y=*z", "http://h/x1y=/x?y=1z"),
            ("http://h/*game.zip*", "http://h/a/game.zip?size=big"),
        ];
        for (pattern, url) in yes {
            assert!(matches(pattern.as_bytes(), url.as_bytes()), "{pattern} {url}");
        }
        let no = [
            ("", "http://h/v/a.mp4"),
            ("http://h/v/a.mp4", "http://h/v/a.mp4x"),
            ("http://h/v/a.mp4", "http://h/v/a.mp"),
            ("http://h/V/a.mp4", "http://h/v/a.mp4"),
            ("http://h/v/*", "https://h/v/a.mp4"),
            ("http://h/v/*", "http://h.evil/v/a.mp4"),
            ("http://h/v/*", "http://h/w/a.mp4"),
            ("http://h/v/seg-???.ts", "http://h/v/seg-01.ts"),
            ("http://h/v/seg-???.ts", "http://h/v/seg-0001.ts"),
            ("http://h/v/[a-z].ts", "http://h/v/b.ts"),
        ];
        for (pattern, url) in no {
            assert!(!matches(pattern.as_bytes(), url.as_bytes()), "{pattern} {url}");
        }
    }

    #[test]
    fn an_inner_star_does_not_reach_into_the_query() {
        for (pattern, url) in [
            ("http://h/v/*.mp4", "http://h/v/private.mov?x=.mp4"),
            ("http://h/*/public/*", "http://h/private.mov?x=/public/"),
            ("*.mp4", "http://h/private.mov?x=.mp4"),
        ] {
            assert!(!matches(pattern.as_bytes(), url.as_bytes()), "{pattern} {url}");
        }
    }

    #[test]
    fn a_hostile_pattern_costs_no_more_than_its_length() {
        let pattern = "*a".repeat(2_000);
        let url = "a".repeat(4_000);
        assert!(matches(pattern.as_bytes(), url.as_bytes()));
        assert!(!matches(format!("{pattern}b").as_bytes(), url.as_bytes()));
    }

    #[test]
    fn only_a_document_understood_to_the_last_member_is_read() {
        let good = r#"{"Statement":[{"Resource":"http://h/*","Condition":{"DateLessThan":{"AWS:EpochTime":9}}}]}"#;
        assert!(Policy::parse(good.as_bytes()).is_ok());
        let date = r#""DateLessThan":{"AWS:EpochTime":9}"#;
        let bad = [
            String::new(),
            "{}".into(),
            r#"{"Statement":[]}"#.into(),
            format!(r#"{{"Statement":[{{"Condition":{{{date}}}}},{{"Condition":{{{date}}}}}]}}"#),
            r#"{"Statement":[{"Resource":"http://h/*"}]}"#.into(),
            r#"{"Statement":[{"Resource":"http://h/*","Condition":{}}]}"#.into(),
            format!(r#"{{"Statement":[{{"Resource":null,"Condition":{{{date}}}}}]}}"#),
            format!(r#"{{"Statement":[{{"Resource":["http://h/*"],"Condition":{{{date}}}}}]}}"#),
            format!(r#"{{"Statement":[{{"resource":"http://h/a","Condition":{{{date}}}}}]}}"#),
            format!(r#"{{"Statement":[{{"Resource":"a","Resource":"*","Condition":{{{date}}}}}]}}"#),
            format!(r#"{{"Statement":[{{"Condition":{{{date},"IpAdress":{{"AWS:SourceIp":"1.2.3.4"}}}}}}]}}"#),
            format!(r#"{{"Statement":[{{"Condition":{{{date},"IpAddress":{{"AWS:SourceIp":"::1/64"}}}}}}]}}"#),
            format!(r#"{{"Statement":[{{"Condition":{{{date}}}}}]}} trailing"#),
            r#"{"Statement":[{"Condition":{"DateLessThan":{"AWS:EpochTime":-1}}}]}"#.into(),
            r#"{"Statement":[{"Condition":{"DateLessThan":{"AWS:EpochTime":"9"}}}]}"#.into(),
            r#"{"Statement":[{"Condition":{"DateLessThan":{"AWS:EpochTime":1e99}}}]}"#.into(),
        ];
        for json in bad {
            assert!(Policy::parse(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn addresses_are_compared_by_their_range() {
        let range = |text| Ipv4Range::parse(text).unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(range("192.0.2.77/24").contains(ip("192.0.2.1")));
        assert!(!range("192.0.2.0/24").contains(ip("192.0.3.0")));
        assert!(range("192.0.2.1").contains(ip("::ffff:192.0.2.1")));
        assert!(!range("192.0.2.1/32").contains(ip("192.0.2.2")));
        assert!(range("0.0.0.0/0").contains(ip("2001:db8::1")));
        assert!(!range("0.0.0.0/1").contains(ip("2001:db8::1")));
        for bad in ["", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/+8", "192.0.2/24", "::/0", "1.2.3.4/8/8"] {
            assert_eq!(Ipv4Range::parse(bad), None, "{bad}");
        }
    }
}
