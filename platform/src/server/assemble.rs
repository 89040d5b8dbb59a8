//! All routes, and the layers around them in order.

use std::time::Duration;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderName, HeaderValue, Method, header},
    middleware::{from_fn, from_fn_with_state},
};
use tenants::http::{Problem, request_id_layer};
use tower_http::cors::CorsLayer;

use super::{
    Health,
    layers::{self, Headers},
    observe::observe,
    origin::{OriginSecrets, require_edge},
    public,
};
use crate::{Platform, config::HttpConfig, router};

/// Bytes of a JSON body. Files go straight to object storage.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// How long one request may take. API Gateway gives up after 30 s as well.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// How long browsers remember what an origin may do.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

/// The whole public face: the features' routes, the index, the documentation and health, with all layers.
pub fn router(platform: Platform, config: &HttpConfig, health: Health) -> Router {
    let (api, _) = router::api();
    let routes = api.with_state(platform).merge(public::routes(&config.public_url, health.clone()));
    let routes = routes.layer(from_fn_with_state(health, layers::require_start));
    around(routes, config, Limits { body: MAX_BODY_BYTES, time: REQUEST_LIMIT })
}

#[derive(Clone, Copy)]
struct Limits {
    body: usize,
    time: Duration,
}

/// Puts the layers around routes, and answers for what is none.
fn around(routes: Router, config: &HttpConfig, limits: Limits) -> Router {
    let is_https = config.public_url.scheme() == "https";
    // The last layer is the outermost: it sees the request first and the answer last.
    let router = routes
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { layers::method_not_allowed() })
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(limits.body, layers::limit_body))
        .layer(from_fn_with_state(limits.time, layers::limit_time));
    let router = match cors(&config.cors_origins) {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router
        .layer(from_fn_with_state(OriginSecrets::new(&config.origin_secrets), require_edge))
        .layer(from_fn(layers::only_problems))
        .layer(from_fn(layers::catch_panics))
        .layer(from_fn(observe))
        .layer(from_fn_with_state(Headers::new(is_https), layers::add_headers))
        .layer(from_fn(request_id_layer))
}

/// Which other origins' pages may call. None by default, and then no preflight is answered either.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    let name = HeaderName::from_static;
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH, name("idempotency-key")])
            .expose_headers([
                header::ETAG,
                header::LOCATION,
                header::RETRY_AFTER,
                name("x-request-id"),
                name("ratelimit"),
                name("ratelimit-policy"),
            ])
            .max_age(PREFLIGHT_AGE)
    })
}

#[cfg(test)]
mod tests;
