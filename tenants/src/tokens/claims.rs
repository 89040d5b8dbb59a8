//! The rules that the claims of a correctly signed token must pass.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Issuer, IssuerKind, TokenError, TokenUse, Verified};

/// How far `iat` and `nbf` may lie ahead of our clock, in seconds, because
/// clocks differ. `exp` gets no leeway.
pub const LEEWAY_SECONDS: i64 = 30;

/// Judges the claims of a token that `issuer` signed.
///
/// - An ID token's `aud` must be the one string that is the client's id. Arrays
///   are refused, also with this client as their only element: Cognito never
///   sends one.
/// - An access token has no `aud`; its `client_id` takes that place.
/// - Times are whole seconds, as Cognito sends them.
pub(super) fn check(
    claims: &Map<String, Value>,
    issuer: &Issuer,
    expected: TokenUse,
    now: i64,
) -> Result<Verified, TokenError> {
    if required_text(claims, "token_use")? != expected.as_str() {
        return Err(TokenError::TokenUse);
    }
    let client = match expected {
        TokenUse::Id => required_text(claims, "aud")?,
        TokenUse::Access => required_text(claims, "client_id")?,
    };
    if client != issuer.audience {
        return Err(TokenError::Audience);
    }

    let expires_at = time(claims, "exp")?.ok_or(TokenError::Claim("exp"))?;
    if now >= expires_at {
        return Err(TokenError::Expired);
    }
    let issued_at = time(claims, "iat")?.ok_or(TokenError::Claim("iat"))?;
    let latest = now.saturating_add(LEEWAY_SECONDS);
    if issued_at > latest || time(claims, "nbf")?.is_some_and(|nbf| nbf > latest) {
        return Err(TokenError::NotYetValid);
    }

    let tenant_id = match (issuer.kind, expected) {
        (IssuerKind::Member, TokenUse::Id) => Some(tenant(claims)?),
        _ => None,
    };
    Ok(Verified {
        kind: issuer.kind,
        issuer: issuer.issuer.clone(),
        subject: required_text(claims, "sub")?.to_owned(),
        tenant_id,
        email: text(claims, "email")?.map(str::to_owned),
        groups: groups(claims)?,
        issued_at,
        expires_at,
        auth_time: time(claims, "auth_time")?,
        token_use: expected,
    })
}

/// The tenant, in the hyphenated form of RFC 9562 that we write ourselves; the
/// nil UUID is no tenant.
fn tenant(claims: &Map<String, Value>) -> Result<Uuid, TokenError> {
    let text = required_text(claims, "custom:tenantId")?;
    if text.len() != uuid::fmt::Hyphenated::LENGTH {
        return Err(TokenError::Tenant);
    }
    match Uuid::try_parse(text) {
        Ok(id) if !id.is_nil() => Ok(id),
        _ => Err(TokenError::Tenant),
    }
}

/// A claim that must be a string with something in it.
pub(super) fn required_text<'a>(claims: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, TokenError> {
    match text(claims, name)? {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(TokenError::Claim(name)),
    }
}

fn text<'a>(claims: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(TokenError::Claim(name)),
    }
}

fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or(TokenError::Claim(name)),
    }
}

/// `cognito:groups`, which Cognito leaves out for a user in no group.
fn groups(claims: &Map<String, Value>) -> Result<Vec<String>, TokenError> {
    const NAME: &str = "cognito:groups";
    let malformed = TokenError::Claim(NAME);
    match claims.get(NAME) {
        None => Ok(Vec::new()),
        Some(Value::Array(groups)) => {
            groups.iter().map(|group| group.as_str().map(str::to_owned).ok_or(malformed)).collect()
        }
        Some(_) => Err(malformed),
    }
}
