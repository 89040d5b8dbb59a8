//! One span, one line and one sample of the metrics for each request.
//!
//! The route is its template, never the path: paths hold ids, and query strings and headers hold secrets.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
    response::Response,
};
use tenants::http::current_request_id;
use tracing::{Instrument, field::Empty};

use crate::telemetry::metrics::{InFlight, answered};

/// The route of a request that none matched.
const UNMATCHED: &str = "unmatched";

/// Opens the span `http.request`. The extractors fill in `tenant` and `member` or `operator` once they know.
pub(super) async fn observe<F>(request: Request, next: F) -> Response
where
    F: AsyncFnOnce(Request) -> Response,
{
    let started = Instant::now();
    let _in_flight = InFlight::begin();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let method = known(request.method());
    let span = tracing::info_span!(
        "http.request",
        otel.name = %format_args!("{method} {route}"),
        otel.kind = "server",
        method,
        route,
        request_id = current_request_id(),
        tenant = Empty,
        member = Empty,
        operator = Empty,
        client = Empty,
        status = Empty,
    );
    let response = next(request).instrument(span.clone()).await;

    let status = response.status().as_u16();
    let seconds = started.elapsed().as_secs_f64();
    span.record("status", status);
    answered(method, route, status, seconds);
    let latency_ms = (seconds * 1e5).round() / 100.0;
    span.in_scope(|| match status {
        // Asked every few seconds; not being ready is an answer, not a failure.
        _ if matches!(route, "/livez" | "/readyz" | "/health") => {
            tracing::debug!(status, latency_ms, "request")
        }
        500.. => tracing::error!(status, latency_ms, "request failed"),
        _ => tracing::info!(status, latency_ms, "request"),
    });
    response
}

/// The method, of which clients may invent any number.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
