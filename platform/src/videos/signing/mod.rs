//! CloudFront signatures: signed URLs for one object, signed cookies for everything under a prefix.
//!
//! Lives here: keys ([`SigningKey`]), policies ([`Policy`]), what is sent ([`SignedUrl`], [`SignedCookies`]),
//! the time slots that make signatures reusable ([`Slot`]) and the cache of them ([`Signer`]).
//! Does not live here: who may watch (a row-security query decides before anything is signed), and
//! verification (the edge's side).
//!
//! Always SHA-256, said to the edge by `Hash-Algorithm=SHA256`. Parameters follow the resource's own query in
//! the order of AWS's guide, the hash algorithm last:
//!
//! ```text
//! canned  Expires=N  & Signature=S & Key-Pair-Id=K & Hash-Algorithm=SHA256
//! custom  Policy=P   & Signature=S & Key-Pair-Id=K & Hash-Algorithm=SHA256
//! ```
//!
//! CloudFront reads them by name, so the order is only a promise of stable text to caches and tests.

mod cache;
mod keys;
mod policy;
mod resource;
mod slot;

pub use cache::{SignedObject, SignedPrefix, Signer, Viewing};
pub use keys::{GeneratedKey, KeyError, SigningKey};
pub use policy::{Ipv4Cidr, Policy};
pub use resource::{Resource, object_url};
pub use slot::Slot;

/// The one hash this signer uses, as CloudFront's parameter and cookie spell it.
pub const HASH_ALGORITHM: &str = "SHA256";

/// Why something was not signed. The text names the input's defect; it never repeats key material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The URL is not an absolute http(s) URL in the normal, percent-encoded form that clients request.
    #[error("cannot sign this URL: {0}")]
    Url(String),
    /// A character that could change the meaning of the policy's JSON, or that no encoded URL contains.
    #[error("cannot sign this URL: it contains {0}, which must be percent-encoded")]
    Unencoded(String),
    /// The URL's query already has a parameter that CloudFront would read as its own.
    #[error("cannot sign this URL: its query already has CloudFront's parameter {0:?}")]
    ReservedParameter(String),
    /// `*` or a second `?`: the edge would match more than the one object.
    #[error("cannot sign this URL: {0:?} is a wildcard there; percent-encode it")]
    Wildcard(char),
    /// The client range is not an IPv4 address or CIDR block.
    #[error("cannot limit to this address: {0}")]
    Ip(String),
    /// The times of the policy admit no moment.
    #[error("cannot sign: the policy would start at {start} and end at {end} (epoch seconds)")]
    Window {
        /// First second (epoch) that the policy would admit.
        start: u64,
        /// End (epoch seconds), excluded.
        end: u64,
    },
    /// A canned policy holds an end and nothing else; start and address need a custom one.
    #[error("a {0} needs a custom policy: a canned policy holds one URL and an end")]
    NotCanned(&'static str),
    /// The cryptographic library refused to sign. Says nothing of the key.
    #[error("the signature could not be made")]
    Crypto,
}

/// The four cookies that open a resource to a browser.
///
/// Session cookies on purpose: no `Max-Age`, the signature's own end is what counts.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedCookies {
    pairs: Vec<(&'static str, String)>,
    path: String,
}

impl std::fmt::Debug for SignedCookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedCookies").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SignedCookies {
    /// Names and values, in the order of [`sign_cookies`]; the values need no quoting.
    pub fn pairs(&self) -> &[(&'static str, String)] {
        &self.pairs
    }

    /// The path that the cookies are for: the signed prefix, or the signed object's own path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Complete `Set-Cookie` values: limited to [`path`](Self::path) so that two videos' cookies stand side by
    /// side, out of scripts' reach, and `Secure` when the site is https.
    ///
    /// `domain` is a parent shared by site and edge when their hosts differ, else `None` (host-only).
    pub fn set_cookie_values(&self, domain: Option<&str>, secure: bool) -> Vec<String> {
        let domain = domain.map(|d| format!("; Domain={d}")).unwrap_or_default();
        let secure = if secure { "; Secure" } else { "" };
        let path = &self.path;
        self.pairs
            .iter()
            .map(|(name, value)| format!("{name}={value}; Path={path}{domain}{secure}; HttpOnly; SameSite=Lax"))
            .collect()
    }
}

/// The URL of one object, valid until `expires_at` (epoch seconds, excluded), under a canned policy.
///
/// # Errors
/// When `url` is unfit (see [`Resource::object`]) or `expires_at` is 0.
pub fn sign_canned(key: &SigningKey, url: &str, expires_at: u64) -> Result<String, SignError> {
    let policy = Policy::canned(Resource::object(url)?, expires_at)?;
    let signature = key.sign(policy.text().as_bytes())?;
    Ok(with_parameters(url, &format!("Expires={expires_at}"), &signature, key.id()))
}

/// `url` with a custom policy: `policy` may open a whole prefix, start later, or name a client range.
///
/// # Errors
/// When `url` is unfit, or is not covered by the policy's resource (its signature would be worthless).
pub fn sign_custom(key: &SigningKey, url: &str, policy: &Policy) -> Result<String, SignError> {
    let object = Resource::object(url)?;
    if !policy.resource().covers(&object) {
        return Err(SignError::Url(format!("the policy is for {}", policy.resource().pattern())));
    }
    let text = policy.text();
    let signature = key.sign(text.as_bytes())?;
    let encoded = edge_base64(text.as_bytes());
    Ok(with_parameters(url, &format!("Policy={encoded}"), &signature, key.id()))
}

/// Cookies for the policy's resource: `CloudFront-Expires` when it is canned, else `CloudFront-Policy`;
/// then `-Signature`, `-Key-Pair-Id` and `-Hash-Algorithm`.
///
/// # Errors
/// [`SignError::Crypto`] only; the policy was checked when it was made.
pub fn sign_cookies(key: &SigningKey, policy: &Policy) -> Result<SignedCookies, SignError> {
    let text = policy.text();
    let signature = key.sign(text.as_bytes())?;
    let first = if policy.is_canned() {
        ("CloudFront-Expires", policy.ends_at().to_string())
    } else {
        ("CloudFront-Policy", edge_base64(text.as_bytes()))
    };
    Ok(SignedCookies {
        pairs: vec![
            first,
            ("CloudFront-Signature", edge_base64(&signature)),
            ("CloudFront-Key-Pair-Id", key.id().to_owned()),
            ("CloudFront-Hash-Algorithm", HASH_ALGORITHM.to_owned()),
        ],
        path: policy.resource().cookie_path(),
    })
}

fn with_parameters(url: &str, first: &str, signature: &[u8], key_id: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    let signature = edge_base64(signature);
    format!("{url}{separator}{first}&Signature={signature}&Key-Pair-Id={key_id}&Hash-Algorithm={HASH_ALGORITHM}")
}

/// Base64 in CloudFront's alphabet: standard, padded, with `+`, `=` and `/` replaced by `-`, `_` and `~`,
/// so that it needs no escaping in a query or a cookie. Not URL-safe Base64: that one swaps other letters.
fn edge_base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .encode(bytes)
        .chars()
        .map(|c| match c {
            '+' => '-',
            '=' => '_',
            '/' => '~',
            other => other,
        })
        .collect()
}
