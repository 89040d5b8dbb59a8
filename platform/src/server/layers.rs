//! What holds for every request: its size and time are limited, a panic is a 500, a refusal is a problem document,
//! and answers carry the headers that keep them where they belong.

use std::{
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, Bytes, HttpBody},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::{
    FutureExt, Stream, StreamExt,
    stream::{Fuse, poll_fn},
};
use http_body_util::Limited;
use tenants::http::Problem;

use super::Health;

/// Bytes of an unread body that are still read and thrown away. A client that is told off while it sends would often
/// see a broken connection instead of the answer.
const DISCARDED: usize = 8 * 1024 * 1024;
/// How long that may take.
const DISCARDING: Duration = Duration::from_secs(10);
/// A year, the least that browsers' preload lists take.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// Where everything is somebody's.
const API: &str = "/api/v1";

/// A request's body, shared by whoever handles the request and whoever clears up behind them.
type Shared = Arc<Mutex<Fuse<BodyDataStream>>>;

/// What one request may take.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of its body.
    pub(super) body: usize,
    /// From its head to its answer's.
    pub(super) time: Duration,
}

/// Holds a handler to its limits and catches its panic: whatever happens inside, an answer comes out, and the layers
/// around add what is theirs.
pub(super) async fn contain(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let request = if body.is_end_stream() {
        Request::from_parts(parts, body)
    } else {
        let length = parts.headers.get(header::CONTENT_LENGTH);
        let declared = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        // One that says it is too large is refused unread; one that turns out larger ends where it is read.
        if declared.is_some_and(|bytes| bytes > limits.body) {
            return too_large(limits.body).into_response();
        }
        Request::from_parts(parts, Body::new(Limited::new(body, limits.body)))
    };
    match tokio::time::timeout(limits.time, catch_panics(next.run(request))).await {
        Ok(response) => response,
        Err(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", "The request took too long.")
            .detail(format!("It was given up after {} s. Try again in a moment.", limits.time.as_secs()))
            .retry_after(5)
            .into_response(),
    }
}

/// What nobody reads of a body, because its request is refused before, is read behind the answer.
pub(super) async fn drain_body(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let waits_for_leave = parts.headers.contains_key(header::EXPECT);
    let body: Shared = Arc::new(Mutex::new(body.into_data_stream().fuse()));
    let passed = Body::from_stream(chunks(Arc::clone(&body)));
    let response = next.run(Request::from_parts(parts, passed)).await;
    // A client that waits for leave to send has sent nothing.
    if !waits_for_leave {
        tokio::spawn(tokio::time::timeout(DISCARDING, discard(body)));
    }
    response
}

fn chunks(body: Shared) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send {
    poll_fn(move |context| body.lock().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(context))
}

async fn discard(body: Shared) {
    let mut chunks = pin!(chunks(body));
    let mut bytes = 0;
    while let Some(Ok(chunk)) = chunks.next().await {
        bytes += chunk.len();
        if bytes > DISCARDED {
            return;
        }
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large.")
        .detail(format!("Bodies may have {} KiB; files go to the upload's own URLs.", limit / 1024))
        .with("limit", limit)
}

/// 503 to everything but health until the database was found safe.
pub(super) async fn require_start(State(health): State<Health>, request: Request, next: Next) -> Response {
    let open = ["/livez", "/readyz", "/health"].contains(&request.uri().path());
    match health.not_started() {
        Some(_) if !open => Problem::unavailable("the database, while starting").into_response(),
        _ => next.run(request).await,
    }
}

/// A panic is an answer like any other failure. The panic hook has logged and counted it.
pub(super) async fn catch_panics(answering: impl Future<Output = Response>) -> Response {
    let answered = AssertUnwindSafe(answering).catch_unwind().await;
    answered.unwrap_or_else(|_| Problem::internal().into_response())
}

/// Turns a refusal that is no problem document, such as the router's own, into one with the same status and headers.
pub(super) fn only_problems(response: Response) -> Response {
    let is_problem =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
    if is_problem || !(response.status().is_client_error() || response.status().is_server_error()) {
        return response;
    }
    let (parts, _) = response.into_parts();
    let mut problem = problem(parts.status).into_response();
    for (name, value) in &parts.headers {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH && !problem.headers().contains_key(name) {
            problem.headers_mut().append(name, value.clone());
        }
    }
    problem
}

/// What a bare status means here.
fn problem(status: StatusCode) -> Problem {
    match status {
        StatusCode::NOT_FOUND => Problem::not_found(),
        StatusCode::METHOD_NOT_ALLOWED => method_not_allowed(),
        StatusCode::UNAUTHORIZED => Problem::unauthenticated("Send `Authorization: Bearer` with an ID token."),
        StatusCode::INTERNAL_SERVER_ERROR => Problem::internal(),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(status, "body-too-large", "The body is too large."),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::new(status, "unsupported-media-type", "The body must be JSON."),
        StatusCode::SERVICE_UNAVAILABLE => Problem::unavailable("a part of the service"),
        status if status.is_client_error() => Problem::new(status, "malformed-request", "The request can't be read."),
        status => Problem::new(status, "internal", "Something went wrong on our side."),
    }
}

/// 405; the router adds `Allow`.
pub(super) fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This address does not take that method.")
        .detail("The methods it takes are in the answer's Allow header.")
}

/// Headers that depend on the deployment.
pub(super) struct Headers {
    extra: Vec<(HeaderName, HeaderValue)>,
}

impl Headers {
    /// For a public URL that is https or not.
    pub(super) fn new(secure: bool) -> Self {
        let nosniff = (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let hsts = secure.then_some((header::STRICT_TRANSPORT_SECURITY, HSTS));
        Self { extra: [Some(nosniff), hsts].into_iter().flatten().collect() }
    }
}

/// Adds them to the answer of `next`; and tells caches to keep away from what is, or may be, somebody's.
pub(super) async fn add_headers<F>(headers: &Headers, request: Request, next: F) -> Response
where
    F: AsyncFnOnce(Request) -> Response,
{
    let path = request.uri().path();
    let private = request.headers().contains_key(header::AUTHORIZATION)
        || path.strip_prefix(API).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let mut response = next(request).await;
    let answer = response.headers_mut();
    for (name, value) in &headers.extra {
        answer.insert(name.clone(), value.clone());
    }
    if private {
        answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer.append(header::VARY, HeaderValue::from_static("Authorization"));
    }
    response
}
