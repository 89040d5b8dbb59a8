//! Refusals as RFC 9457 problem details.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::current_request_id;

/// One bad field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// RFC 6901 pointer into the body, `/email`; a query parameter or header by its name, `?limit`.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

/// A refusal. Built where it is decided, turned into an answer in one place. One pointer wide, as errors travel far.
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

/// What a [`Problem`] says.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Answer's status.
    pub status: StatusCode,
    /// The last part of its `type`; stable, for programs.
    pub slug: &'static str,
    /// A short sentence, the same for every occurrence of the type.
    pub title: &'static str,
    /// This occurrence, for a person.
    pub detail: Option<String>,
    /// Bad fields.
    pub errors: Vec<FieldError>,
    /// `Retry-After`, seconds.
    pub retry_after: Option<u64>,
    /// Further members, `limit` and `used` among them.
    pub extra: Map<String, Value>,
}

/// The document as clients read it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `urn:ffp:problem:{slug}`
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every occurrence of the type.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Quote it when asking for help.
    pub request_id: String,
    /// One for each bad field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Further members of some types: `limit`, `used`, `reset_seconds`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl std::ops::Deref for Problem {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl std::ops::DerefMut for Problem {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.0
    }
}

impl Problem {
    /// A refusal of a kind.
    pub fn new(status: StatusCode, slug: &'static str, title: &'static str) -> Self {
        let parts =
            Parts { status, slug, title, detail: None, errors: Vec::new(), retry_after: None, extra: Map::new() };
        Self(Box::new(parts))
    }

    /// With a sentence on this occurrence.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With a further member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    /// With a bad field.
    #[must_use]
    pub fn field(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// With `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// 422 for one bad field.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-request", "A field is not valid.").field(pointer, detail)
    }

    /// 400 for a request that can't be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed-request", "The request can't be read.").detail(detail)
    }

    /// 401.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "A valid token is needed.").detail(detail)
    }

    /// 403: the caller may see the thing, and may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Your role does not allow this.").detail(detail)
    }

    /// 403 for everybody of a tenant that an operator has stopped.
    pub fn suspended() -> Self {
        Self::new(StatusCode::FORBIDDEN, "tenant-suspended", "This account is suspended.")
            .detail("Please get in touch with support.")
    }

    /// 404: it does not exist, or is not yours to see; nobody can tell which.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing.")
    }

    /// 409.
    pub fn conflict(slug: &'static str, title: &'static str) -> Self {
        Self::new(StatusCode::CONFLICT, slug, title)
    }

    /// 412.
    pub fn changed() -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "changed", "It was changed since you read it.")
            .detail("Read it again and repeat your change with the new ETag.")
    }

    /// 429 for a tenant all of whose `places` are taken, those in its share of the database for example.
    pub fn busy(places: u32) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", "Too much of your work is in progress.")
            .detail("Requests of your business are waiting for each other. Try again in a moment.")
            .with("limit", places)
            .with("used", places)
            .with("reset_seconds", 1)
            .retry_after(1)
    }

    /// 503 with `Retry-After`.
    pub fn unavailable(what: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "A part of the service is away.")
            .detail(format!("Could not reach {what}. Nothing is lost; try again in a moment."))
            .retry_after(5)
    }

    /// 500, which says nothing of its cause.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side.")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let parts = *self.0;
        let body = ProblemBody {
            kind: format!("urn:ffp:problem:{}", parts.slug),
            title: parts.title.to_owned(),
            status: parts.status.as_u16(),
            detail: parts.detail,
            request_id: current_request_id(),
            errors: parts.errors,
            extra: parts.extra,
        };
        let mut response = (parts.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = parts.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if parts.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"ffp\", error=\"invalid_token\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
