//! Does a request carry a CloudFront signature that permits it? Reading the signed-URL parameters or the signed
//! cookies, and the verdict. A pure function of the request, the keys, the time and the viewer's address.
//!
//! Where AWS's documents leave a case open, the doubtful request is refused: doubled parameters, a policy
//! together with an expiry, percent-encoded parameter names, bytes that could break out of the signed JSON.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};

use super::keys::{HashAlgorithm, KeyGroup};
use super::path::percent_decode;
use super::policy::Policy;

/// Longest signature read, in characters: RSA-8192 in base64 is 1,368.
const MAX_SIGNATURE: usize = 1_400;
/// Longest policy read, in characters; CloudFront's whole URL is limited to 8,192 bytes.
const MAX_POLICY: usize = 8_192;

/// The parts of a request that decide about its signature.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// The edge's public origin without a trailing slash (`http://127.0.0.1:8080`), never the Host header.
    pub origin: &'a str,
    /// The path exactly as requested, percent-encoded.
    pub path: &'a str,
    /// The query exactly as requested, signing parameters included.
    pub query: Option<&'a str>,
    /// The headers, read for cookies.
    pub headers: &'a HeaderMap,
}

/// Why a request may not have what it asks for. The viewer is told only whether a key-pair id was missing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// Neither the query nor the cookies name a key.
    #[error("no Key-Pair-Id")]
    MissingKeyPairId,
    /// A key is named, but this other part is missing.
    #[error("no {0}")]
    Missing(&'static str),
    /// Given twice, or two that exclude each other: nobody can say which one was meant.
    #[error("ambiguous {0}")]
    Ambiguous(&'static str),
    /// Not in the form CloudFront writes.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// The key is not in the trusted group.
    #[error("unknown key")]
    UnknownKey,
    /// The signature is not this key's over this policy.
    #[error("the signature does not hold")]
    BadSignature,
    /// The end of the grant has come.
    #[error("expired")]
    Expired,
    /// The grant has not begun.
    #[error("not valid yet")]
    NotYetValid,
    /// The grant is for another URL.
    #[error("signed for another resource")]
    WrongResource,
    /// The grant is for another viewer's address.
    #[error("signed for another address")]
    WrongAddress,
}

/// Checks a request as CloudFront checks a signed URL or signed cookies: canned or custom policy, RSA or ECDSA,
/// SHA-1 unless SHA-256 is named. One signing parameter in the query is enough for cookies to be ignored.
///
/// # Errors
/// The first [`Refusal`] found; the signature is checked before its policy is read.
pub fn verify(request: &SignedRequest<'_>, keys: &KeyGroup, now: SystemTime, viewer: IpAddr) -> Result<(), Refusal> {
    let (fields, own_query) = fields_of(request)?;
    let presented = Presented::from_fields(fields)?;

    let mut url = format!("{}{}", request.origin, request.path);
    if let Some(query) = own_query {
        url.push('?');
        url.push_str(&query);
    }
    if !url.bytes().all(is_signable) {
        return Err(Refusal::Malformed("URL"));
    }

    let signed_with_trusted_key =
        |text: &[u8]| match keys.verifies(presented.key_pair_id, presented.hash, text, &presented.signature) {
            None => Err(Refusal::UnknownKey),
            Some(false) => Err(Refusal::BadSignature),
            Some(true) => Ok(()),
        };
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    match &presented.grant {
        // The signed text holds this very URL, so only the time is left to check; the URL's own `*` and `?`
        // are not wildcards here.
        Grant::Canned { expires } => {
            signed_with_trusted_key(canned_policy(&url, *expires).as_bytes())?;
            if since_epoch < Duration::from_secs(*expires) { Ok(()) } else { Err(Refusal::Expired) }
        }
        Grant::Custom { policy } => {
            signed_with_trusted_key(policy)?;
            Policy::parse(policy)?.permits(&url, since_epoch, viewer)
        }
    }
}

/// The text that is signed for a canned policy, to the byte.
fn canned_policy(url: &str, expires: u64) -> String {
    format!(r#"{{"Statement":[{{"Resource":"{url}","Condition":{{"DateLessThan":{{"AWS:EpochTime":{expires}}}}}}}]}}"#)
}

/// Visible ASCII except what could end or escape a JSON string.
fn is_signable(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'
}

/// The names of the signing parameters; the cookies' names are these after `CloudFront-`.
const NAMES: [&str; 5] = ["Policy", "Expires", "Signature", "Key-Pair-Id", "Hash-Algorithm"];

/// The value of each of [`NAMES`], raw.
#[derive(Default)]
struct Fields<'a>([Option<&'a str>; NAMES.len()]);

impl<'a> Fields<'a> {
    fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// Keeps the value if `name` is a signing parameter, and says whether it is.
    fn take(&mut self, name: &str, value: &'a str) -> Result<bool, Refusal> {
        let Some(at) = NAMES.iter().position(|known| *known == name) else {
            return Ok(false);
        };
        match self.0[at].replace(value) {
            None => Ok(true),
            Some(_) => Err(Refusal::Ambiguous(NAMES[at])),
        }
    }
}

/// The signing fields from the query if it has any, else from the cookies; and the request's own query, which
/// is what remains in the order and spelling of the request.
fn fields_of<'a>(request: &SignedRequest<'a>) -> Result<(Fields<'a>, Option<String>), Refusal> {
    let mut fields = Fields::default();
    let mut own: Option<String> = None;
    for piece in request.query.iter().flat_map(|query| query.split('&')) {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        if fields.take(name, value)? {
            continue;
        }
        // `%45xpires` is `Expires` to whoever decodes and something else to whoever compares.
        if name.contains('%') && percent_decode(name).is_none_or(|name| NAMES.contains(&&*name)) {
            return Err(Refusal::Ambiguous("query"));
        }
        match &mut own {
            None => own = Some(piece.to_owned()),
            Some(own) => {
                own.push('&');
                own.push_str(piece);
            }
        }
    }
    if fields.is_empty() {
        for line in request.headers.get_all(header::COOKIE) {
            // Other programs' cookies may hold anything; ours are ASCII.
            let Ok(line) = line.to_str() else { continue };
            for cookie in line.split(';') {
                if let Some((name, value)) = cookie.trim().split_once('=')
                    && let Some(name) = name.strip_prefix("CloudFront-")
                {
                    fields.take(name, value)?;
                }
            }
        }
    }
    Ok((fields, own))
}

/// What the request claims was granted, still unproved.
enum Grant {
    /// This URL until `expires`, seconds since the epoch.
    Canned { expires: u64 },
    /// What the policy document says.
    Custom { policy: Vec<u8> },
}

struct Presented<'a> {
    grant: Grant,
    signature: Vec<u8>,
    key_pair_id: &'a str,
    hash: HashAlgorithm,
}

impl<'a> Presented<'a> {
    fn from_fields(Fields(fields): Fields<'a>) -> Result<Self, Refusal> {
        let [policy, expires, signature, key_pair_id, hash] = fields;
        let key_pair_id = key_pair_id.filter(|id| !id.is_empty()).ok_or(Refusal::MissingKeyPairId)?;
        let hash = match hash {
            None | Some("SHA1") => HashAlgorithm::Sha1,
            Some("SHA256") => HashAlgorithm::Sha256,
            Some(_) => return Err(Refusal::Malformed("Hash-Algorithm")),
        };
        let signature = signature.ok_or(Refusal::Missing("Signature"))?;
        let signature = url_safe_decode(signature, MAX_SIGNATURE)
            .filter(|bytes| !bytes.is_empty())
            .ok_or(Refusal::Malformed("Signature"))?;
        let grant = match (policy, expires) {
            (None, None) => return Err(Refusal::Missing("Policy or Expires")),
            (Some(_), Some(_)) => return Err(Refusal::Ambiguous("Policy and Expires")),
            (Some(policy), None) => {
                Grant::Custom { policy: url_safe_decode(policy, MAX_POLICY).ok_or(Refusal::Malformed("Policy"))? }
            }
            (None, Some(expires)) => {
                Grant::Canned { expires: canonical_number(expires).ok_or(Refusal::Malformed("Expires"))? }
            }
        };
        Ok(Self { grant, signature, key_pair_id, hash })
    }
}

/// CloudFront's base64: `-`, `_`, `~` in place of `+`, `=`, `/`, and those three not allowed.
fn url_safe_decode(text: &str, max_characters: usize) -> Option<Vec<u8>> {
    if text.len() > max_characters || text.contains(['+', '=', '/']) {
        return None;
    }
    STANDARD.decode(text.replace('-', "+").replace('_', "=").replace('~', "/")).ok()
}

/// A number spelt as the signed JSON spells it: digits only, no sign, no leading zero.
fn canonical_number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
