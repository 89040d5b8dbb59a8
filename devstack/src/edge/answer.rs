//! The answers the edge gives itself: CloudFront's XML errors for objects, problem documents for the platform's
//! paths, and the redirect to the public address.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::signature::Refusal;

/// Seconds after which a client may try a platform that is not up yet.
const RETRY_AFTER_SECONDS: &str = "2";

fn answer(status: StatusCode, headers: &[(HeaderName, &'static str)], body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// An error of the object side, in CloudFront's form. Code and message are ours, never the client's.
pub(super) fn xml(status: StatusCode, code: &str, message: &str) -> Response {
    answer(
        status,
        &[(header::CONTENT_TYPE, "text/xml")],
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        ),
    )
}

/// 403, the one answer to every bad signature and to every object that is not there.
pub(super) fn access_denied() -> Response {
    xml(StatusCode::FORBIDDEN, "AccessDenied", "Access denied")
}

/// What a refusal looks like to the viewer, who learns only that a key-pair id is missing.
pub(super) fn refused(refusal: &Refusal) -> Response {
    match refusal {
        Refusal::MissingKeyPairId => {
            xml(StatusCode::FORBIDDEN, "MissingKey", "Missing Key-Pair-Id query parameter or cookie value")
        }
        _ => access_denied(),
    }
}

/// A problem document (RFC 9457) for a path that belongs to the platform.
pub(super) fn problem(status: StatusCode, detail: &str) -> Response {
    let body = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": detail,
    });
    let mut response = answer(
        status,
        &[(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")],
        body.to_string(),
    );
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    response
}

/// 302 to the same path on the public address; not a permanent redirect, since browsers would keep that after
/// the public address changed.
pub(super) fn redirect(location: &str) -> Response {
    match HeaderValue::from_str(location) {
        Ok(location) => {
            let mut response = answer(StatusCode::FOUND, &[], String::new());
            response.headers_mut().insert(header::LOCATION, location);
            response
        }
        Err(_) => problem(StatusCode::BAD_REQUEST, "The request target is not valid."),
    }
}
