//! From text to header and claims, believing nothing yet.
//!
//! Strict where JSON and JWT libraries are lenient: parsers differ in which of
//! two equal members wins, so a token with duplicates is refused.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::error::{Part, TokenError};

/// The longest token that is looked at, in bytes. Cognito's ID tokens take 1 to
/// 2 KiB; 8 KiB is what most HTTP servers allow for a header.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The longest `kid` that is looked up, in bytes; Cognito's have 44.
const MAX_KID_BYTES: usize = 256;

/// Header members that name a key of the token's own choosing or change how the
/// rest is to be read. Cognito uses none of them.
const FORBIDDEN: [&str; 10] = ["jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip", "enc"];

/// A token taken apart; nothing in it is verified.
pub(super) struct Unverified<'a> {
    /// The text the signature is over: header, dot, payload.
    pub(super) signed: &'a str,
    /// The signature, base64url.
    pub(super) signature: &'a str,
    /// The name of the signing key.
    pub(super) kid: String,
    /// The claims.
    pub(super) claims: Map<String, Value>,
}

/// Takes a token of acceptable length apart and checks its header.
pub(super) fn parse(raw: &str) -> Result<Unverified<'_>, TokenError> {
    let (signed, signature) = raw.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    // A fourth part would leave a dot in the payload, which is not base64url.
    let header = decode(header)?;
    let payload = decode(payload)?;
    decode(signature)?;

    let kid = key_id(&object(&header, Part::Header)?)?;
    let claims = object(&payload, Part::Claims)?;
    Ok(Unverified { signed, signature, kid, claims })
}

/// Checks the header and returns its `kid`.
fn key_id(header: &Map<String, Value>) -> Result<String, TokenError> {
    if let Some(name) = FORBIDDEN.into_iter().find(|name| header.contains_key(*name)) {
        return Err(TokenError::ForbiddenHeader(name));
    }
    if header.get("alg").and_then(Value::as_str) != Some("RS256") {
        return Err(TokenError::Algorithm);
    }
    // Absent in Cognito's tokens; where present it must not announce another
    // kind of token (RFC 8725 §3.11).
    let is_jwt = |typ: &Value| typ.as_str().is_some_and(|t| t.eq_ignore_ascii_case("JWT"));
    if !header.get("typ").is_none_or(is_jwt) {
        return Err(TokenError::Algorithm);
    }
    match header.get("kid").and_then(Value::as_str) {
        Some(kid) if !kid.is_empty() && kid.len() <= MAX_KID_BYTES => Ok(kid.to_owned()),
        _ => Err(TokenError::UnknownKey),
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}

fn object(json: &[u8], part: Part) -> Result<Map<String, Value>, TokenError> {
    let object: Object = serde_json::from_slice(json).map_err(|_| TokenError::NotAnObject(part))?;
    if object.has_duplicate {
        return Err(TokenError::Duplicate(part));
    }
    Ok(object.members)
}

/// A JSON object that remembers whether a member occurred twice. Only the top
/// level is watched: no nested object in a token is ever read.
struct Object {
    members: Map<String, Value>,
    has_duplicate: bool,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Map::new();
                let mut has_duplicate = false;
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    has_duplicate |= members.insert(name, value).is_some();
                }
                Ok(Object { members, has_duplicate })
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}
