//! Why a token, or the configuration of the verifier, was refused.

use thiserror::Error;

/// Why a token was not accepted.
///
/// The texts are for logs: they name rules and claims, never a value out of the
/// token. A client should learn no more than 401, or 503 for
/// [`TokenError::KeysUnavailable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Longer than [`MAX_TOKEN_BYTES`](super::MAX_TOKEN_BYTES).
    #[error("token is too long")]
    TooLong,
    /// Not three parts, or a part that is not base64url.
    #[error("token is not three parts of base64url")]
    Malformed,
    /// The header or the claims are not a JSON object.
    #[error("token {0} is not a JSON object")]
    NotAnObject(Part),
    /// A member occurs twice, so two readers could disagree on its value.
    #[error("token {0} has a member twice")]
    Duplicate(Part),
    /// `alg` is absent or not `RS256`, or `typ` says it is no JWT.
    #[error("token is not an RS256 JWT")]
    Algorithm,
    /// The header carries a key, a reference to one, or a demand (`crit`).
    #[error("token header has the member `{0}`, which is not accepted")]
    ForbiddenHeader(&'static str),
    /// A required claim is absent, or a claim has the wrong type.
    #[error("claim `{0}` is absent or malformed")]
    Claim(&'static str),
    /// `iss` is none of the configured issuers.
    #[error("issuer is not trusted")]
    UnknownIssuer,
    /// `kid` is absent, oversized or not in the issuer's JWKS.
    #[error("signing key is not one of the issuer's")]
    UnknownKey,
    /// The signature does not verify.
    #[error("signature does not verify")]
    Signature,
    /// An access token where an ID token is due, or the other way round.
    #[error("token is for another use")]
    TokenUse,
    /// Issued for another app client.
    #[error("token is for another app client")]
    Audience,
    /// `exp` is not in the future.
    #[error("token has expired")]
    Expired,
    /// `nbf` or `iat` is further ahead than clocks may differ.
    #[error("token is from the future")]
    NotYetValid,
    /// A member's `custom:tenantId` is not a UUID, or the nil UUID.
    #[error("tenant id is not a UUID")]
    Tenant,
    /// The issuer's JWKS cannot be fetched and none is cached: nothing can be
    /// said about the token. Temporary, and not the caller's fault.
    #[error("the issuer's keys are unavailable")]
    KeysUnavailable,
}

/// A part of a token, for naming it in an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The first part.
    Header,
    /// The second part.
    Claims,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Claims => "payload",
        })
    }
}

/// Why a [`Verifier`](super::Verifier) cannot be built.
#[derive(Debug, Error)]
pub enum SetupError {
    /// Nobody could ever be let in.
    #[error("no token issuer is configured")]
    NoIssuer,
    /// `iss` would not decide which pool's key verifies a token.
    #[error("token issuer {0} is configured twice")]
    IssuerTwice(String),
    /// The issuer's name or its app client's id is empty.
    #[error("token issuer {0:?} needs a name and an audience")]
    Incomplete(String),
    /// The JWKS address is neither http nor https.
    #[error("the JWKS address of token issuer {0} must be http or https")]
    JwksAddress(String),
    /// The HTTP client cannot be built, for instance for want of root
    /// certificates.
    #[error("cannot build the HTTP client that fetches JWKS")]
    Client(#[from] reqwest::Error),
}
