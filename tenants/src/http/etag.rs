//! Entity tags of things that people edit: the row's version.

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};

use super::Problem;

/// A row's version as a strong entity tag, `"v7"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ETag(pub i64);

impl std::fmt::Display for ETag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"v{}\"", self.0)
    }
}

/// An answer with its `ETag`.
#[derive(Clone, Debug)]
pub struct WithETag<T>(pub ETag, pub T);

impl<T: IntoResponse> IntoResponse for WithETag<T> {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        if let Ok(value) = HeaderValue::from_str(&self.0.to_string()) {
            response.headers_mut().insert(header::ETAG, value);
        }
        response
    }
}

/// The request's `If-Match`. Without one, the last writer wins.
#[derive(Clone, Debug, Default)]
pub struct IfMatch(Option<String>);

impl IfMatch {
    /// Whether a change of this version is wanted.
    ///
    /// # Errors
    /// 412 when the header names another version.
    pub fn check(&self, current: ETag) -> Result<(), Problem> {
        let current = current.to_string();
        match self.0.as_deref() {
            None | Some("*") => Ok(()),
            Some(tags) if tags.split(',').any(|tag| tag.trim() == current) => Ok(()),
            Some(_) => Err(Problem::changed()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let values = parts.headers.get_all(header::IF_MATCH);
        let mut joined = Vec::new();
        for value in values {
            joined.push(value.to_str().map_err(|_| Problem::invalid("If-Match", "must be an entity tag in ASCII"))?);
        }
        Ok(Self((!joined.is_empty()).then(|| joined.join(","))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_current_version_matches() {
        let current = ETag(7);
        for tags in [None, Some("*"), Some("\"v7\""), Some("\"v6\", \"v7\"")] {
            assert!(IfMatch(tags.map(Into::into)).check(current).is_ok(), "{tags:?}");
        }
        // A weak tag never matches: RFC 9110, 13.1.1.
        for tags in ["\"v6\"", "W/\"v7\"", "v7", ""] {
            assert!(IfMatch(Some(tags.into())).check(current).is_err(), "{tags:?}");
        }
    }
}
