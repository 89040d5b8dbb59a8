//! Private objects: a GET or HEAD with a valid signature becomes a read of the bucket, streamed as it arrives.
//!
//! Choices where CloudFront leaves room or depends on configuration:
//! - an object that is not there is 403 `AccessDenied`, as with an origin access control that may read objects
//!   but not list the bucket;
//! - several ranges in one request get the whole object with 200, as RFC 9110 allows;
//! - other methods are 403, as on a behaviour that allows GET and HEAD;
//! - nothing of the query reaches the bucket, so no `response-content-type` or `versionId` from a viewer does.

use std::net::IpAddr;
use std::time::SystemTime;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime, DateTimeFormat};
use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::answer;
use super::keys::KeyGroup;
use super::memory::Memory;
use super::path::object_key;
use super::ranges::{Selection, Validators, select};
use super::signature::{SignedRequest, verify};

/// How often the read starts over when the object is replaced between looking at it and opening it.
const ATTEMPTS: u32 = 3;

/// The private objects behind the edge.
#[derive(Debug)]
pub(super) struct Objects {
    pub(super) s3: Client,
    /// `(path prefix without the leading slash, bucket)`.
    pub(super) prefixes: Vec<(String, String)>,
    pub(super) keys: KeyGroup,
    pub(super) origin: String,
    pub(super) memory: Memory,
}

impl Objects {
    /// The bucket for a path; the prefix is compared with the path as requested, before any decoding.
    pub(super) fn bucket_for(&self, path: &str) -> Option<&str> {
        let path = path.strip_prefix('/')?;
        self.prefixes.iter().find(|(prefix, _)| path.starts_with(prefix.as_str())).map(|(_, bucket)| bucket.as_str())
    }

    /// Answers a request for an object of `bucket`.
    pub(super) async fn answer(&self, request: &Parts, bucket: &str, viewer: IpAddr) -> Response {
        if request.method != Method::GET && request.method != Method::HEAD {
            return answer::access_denied();
        }
        let signed = SignedRequest {
            origin: &self.origin,
            path: request.uri.path(),
            query: request.uri.query(),
            headers: &request.headers,
        };
        match verify(&signed, &self.keys, SystemTime::now(), viewer) {
            Ok(()) => self.memory.note(signed.query),
            Err(_) if self.memory.has_seen(signed.query) => {}
            Err(refusal) => {
                tracing::debug!(path = signed.path, %refusal, "object refused");
                return answer::refused(&refusal);
            }
        }
        let Some(key) = object_key(signed.path) else {
            return answer::access_denied();
        };
        for _ in 0..ATTEMPTS {
            if let Some(response) = self.read(request, bucket, &key).await {
                return response;
            }
        }
        answer::xml(StatusCode::BAD_GATEWAY, "BadGateway", "The object kept changing while it was read")
    }

    /// One try; `None` when the object was replaced under it.
    async fn read(&self, request: &Parts, bucket: &str, key: &str) -> Option<Response> {
        let head = match self.s3.head_object().bucket(bucket).key(key).send().await {
            Ok(head) => head,
            Err(error) => return Some(origin_failure(&error)),
        };
        let object = Validators {
            etag: head.e_tag(),
            last_modified: head.last_modified().map(DateTime::secs),
            length: head.content_length().and_then(|n| u64::try_from(n).ok())?,
        };
        let is_get = request.method == Method::GET;
        let (status, length, range) = match select(&request.headers, is_get, &object) {
            Selection::NotModified => return Some(without_body(StatusCode::NOT_MODIFIED, &head)),
            Selection::PreconditionFailed => {
                return Some(answer::xml(
                    StatusCode::PRECONDITION_FAILED,
                    "PreconditionFailed",
                    "A precondition of the request does not hold",
                ));
            }
            Selection::Unsatisfiable => return Some(unsatisfiable(object.length)),
            Selection::Whole => (StatusCode::OK, object.length, None),
            Selection::Part { first, last } => (StatusCode::PARTIAL_CONTENT, last - first + 1, Some((first, last))),
        };

        let mut response = without_body(status, &head);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        if let Some((first, last)) = range {
            insert(headers, header::CONTENT_RANGE, &format!("bytes {first}-{last}/{}", object.length));
        }
        if is_get && length > 0 {
            let body = self
                .s3
                .get_object()
                .bucket(bucket)
                .key(key)
                .set_if_match(head.e_tag().map(str::to_owned))
                .set_range(range.map(|(first, last)| format!("bytes={first}-{last}")))
                .send()
                .await;
            let body = match body {
                Ok(body) => body,
                Err(error) if status_of(&error) == Some(412) => return None,
                Err(error) => return Some(origin_failure(&error)),
            };
            // A replaced object, or a store that ignored the range: never mix two states in one answer.
            let as_promised = body.e_tag() == head.e_tag()
                && body.content_length().and_then(|n| u64::try_from(n).ok()) == Some(length);
            if !as_promised {
                return None;
            }
            *response.body_mut() = streamed(body.body);
        }
        Some(response)
    }
}

/// The bytes as they come; an error on the way cuts the connection, so that nobody takes the part for the whole.
fn streamed(bytes: ByteStream) -> Body {
    Body::from_stream(futures::stream::try_unfold(bytes, async |mut bytes| {
        let next = bytes.try_next().await;
        if let Err(error) = &next {
            tracing::warn!(%error, "the object store broke off");
        }
        next.map(|chunk| chunk.map(|chunk| (chunk, bytes)))
    }))
}

/// The object's headers without a body.
fn without_body(status: StatusCode, object: &HeadObjectOutput) -> Response {
    let last_modified = object.last_modified().and_then(|time| time.fmt(DateTimeFormat::HttpDate).ok());
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    for (name, value) in [
        (header::ETAG, object.e_tag()),
        (header::LAST_MODIFIED, last_modified.as_deref()),
        (header::CONTENT_TYPE, object.content_type()),
        (header::CONTENT_ENCODING, object.content_encoding()),
        (header::CONTENT_LANGUAGE, object.content_language()),
        (header::CONTENT_DISPOSITION, object.content_disposition()),
        (header::CACHE_CONTROL, object.cache_control()),
        (header::EXPIRES, object.expires_string()),
    ] {
        if let Some(value) = value {
            insert(headers, name, value);
        }
    }
    response
}

/// Leaves out what cannot be a header, which a store may hold but HTTP cannot say.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn unsatisfiable(length: u64) -> Response {
    let mut response =
        answer::xml(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", "The requested range is not satisfiable");
    insert(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{length}"));
    response
}

fn status_of<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|answer| answer.status().as_u16())
}

fn origin_failure<E>(error: &SdkError<E>) -> Response {
    match status_of(error) {
        Some(403 | 404) => answer::access_denied(),
        Some(503) => answer::xml(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "The object store asks for patience"),
        status => {
            tracing::warn!(?status, %error, "the object store did not answer");
            answer::xml(StatusCode::BAD_GATEWAY, "BadGateway", "The object store did not answer")
        }
    }
}
