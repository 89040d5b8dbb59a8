//! What a signature opens: one object, or everything under a prefix. Proof that the text is safe in a policy.

use super::SignError;
use url::Url;

/// Query parameters that CloudFront takes for itself and strips before the origin sees the request.
const RESERVED: [&str; 5] = ["Expires", "Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm"];

/// A resource that may stand in a policy: parsed, percent-encoded, with no wildcard but a prefix's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resource {
    pattern: String,
    prefix: bool,
}

impl Resource {
    /// One object: exactly this URL, which must be the percent-encoded form that clients request.
    ///
    /// # Errors
    /// Unless the URL is absolute http(s) without user, fragment or dot segments, in normal form (what a browser
    /// would send), free of characters that no encoded URL has (quotes, backslash, control characters, spaces),
    /// of wildcards and of CloudFront's own parameters.
    pub fn object(url: &str) -> Result<Self, SignError> {
        let parsed = checked(url)?;
        if url.contains('*') {
            return Err(SignError::Wildcard('*'));
        }
        if url.matches('?').count() > 1 {
            return Err(SignError::Wildcard('?'));
        }
        for (name, _) in parsed.query_pairs() {
            if let Some(reserved) = RESERVED.iter().find(|r| r.eq_ignore_ascii_case(&name)) {
                return Err(SignError::ReservedParameter((*reserved).to_owned()));
            }
        }
        Ok(Self { pattern: url.to_owned(), prefix: false })
    }

    /// Everything below a folder: `folder_url` ends in `/`, and the policy gets it with `*` behind.
    ///
    /// # Errors
    /// As [`object`](Self::object); also when the URL has a query, does not end in `/`, or is the whole site.
    pub fn prefix(folder_url: &str) -> Result<Self, SignError> {
        let parsed = checked(folder_url)?;
        if folder_url.contains('*') {
            return Err(SignError::Wildcard('*'));
        }
        // A query would end the path, so `*` behind it would match no segment of the folder.
        if folder_url.contains('?') {
            return Err(SignError::Wildcard('?'));
        }
        if !folder_url.ends_with('/') {
            return Err(SignError::Url("a prefix must end in '/', or it would also open its neighbours".into()));
        }
        if parsed.path() == "/" {
            return Err(SignError::Url("a prefix must be a folder, not the whole site".into()));
        }
        Ok(Self { pattern: format!("{folder_url}*"), prefix: true })
    }

    /// The text of the policy's `Resource`.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether this opens a whole prefix.
    pub fn is_prefix(&self) -> bool {
        self.prefix
    }

    /// Whether a policy for this resource opens `object`.
    pub(super) fn covers(&self, object: &Resource) -> bool {
        match self.pattern.strip_suffix('*') {
            Some(folder) if self.prefix => object.pattern.starts_with(folder),
            _ => self.pattern == object.pattern,
        }
    }

    /// The path to limit cookies to, percent-encoded as in the URL.
    pub(super) fn cookie_path(&self) -> String {
        let after_scheme = self.pattern.split_once("://").map_or("", |(_, rest)| rest);
        let path = after_scheme.find('/').map_or("/", |at| &after_scheme[at..]);
        path.split('?').next().unwrap_or("/").trim_end_matches('*').to_owned()
    }
}

/// The URL of the object `key` at the edge: the key is the path, each segment percent-encoded.
///
/// Encodes everything but RFC 3986's unreserved characters, so also `*`, `'` and `+`, which mean something to
/// policies or to S3.
///
/// # Errors
/// When `edge` has a path or query of its own, or `key` has empty, `.` or `..` segments: clients would
/// request another path than the one signed.
pub fn object_url(edge: &Url, key: &str) -> Result<String, SignError> {
    if edge.path() != "/" || edge.query().is_some() || edge.fragment().is_some() {
        return Err(SignError::Url("the edge's address must be scheme, host and port only".into()));
    }
    let mut url = edge.as_str().trim_end_matches('/').to_owned();
    for segment in key.split('/') {
        if matches!(segment, "" | "." | "..") {
            return Err(SignError::Url(format!("the object key {key:?} has an empty or dot segment")));
        }
        url.push('/');
        for byte in segment.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                url.push(char::from(byte));
            } else {
                url.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    Ok(url)
}

/// The checks that objects and prefixes share.
fn checked(url: &str) -> Result<Url, SignError> {
    if let Some(c) = url.chars().find(|c| !may_stand_in_url(*c)) {
        let name = match c {
            '"' => "a quote".to_owned(),
            '\\' => "a backslash".to_owned(),
            c if c.is_whitespace() => "whitespace".to_owned(),
            c if c.is_control() => "a control character".to_owned(),
            c => format!("the character {c:?}"),
        };
        return Err(SignError::Unencoded(name));
    }
    let mut rest = url;
    while let Some(at) = rest.find('%') {
        let hex = rest.as_bytes().get(at + 1..at + 3);
        if !hex.is_some_and(|h| h.iter().all(u8::is_ascii_hexdigit)) {
            return Err(SignError::Unencoded("'%' without two hexadecimal digits".into()));
        }
        rest = &rest[at + 3..];
    }
    let parsed = Url::parse(url).map_err(|e| SignError::Url(e.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(SignError::Url("only http and https can be signed".into()));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(SignError::Url("it carries a user name or password".into()));
    }
    if parsed.fragment().is_some() {
        return Err(SignError::Url("a fragment never reaches the edge".into()));
    }
    // The edge rebuilds the text from the request. Whatever a client would change on the way (case of the host,
    // default port, dot segments) can never verify.
    if parsed.as_str() != url {
        return Err(SignError::Url(format!("clients would request {parsed} instead")));
    }
    Ok(parsed)
}

/// RFC 3986's unreserved and reserved characters and `%`: what an encoded URL may consist of.
fn may_stand_in_url(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c)
}
