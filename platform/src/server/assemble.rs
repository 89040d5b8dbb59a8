//! All routes, and the layers around them in order.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use tenants::{
    Tenants,
    http::{Problem, operators, throttle, with_request_id},
};
use tower_http::cors::CorsLayer;

use super::{
    Health,
    burst::Bursts,
    layers::{self, Headers, Limits},
    observe::observe,
    origin::{OriginSecrets, admit},
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
///
/// What counts requests stands around what limits each: an answer that is 413, 500 or late was counted and says so.
pub fn router(platform: Platform, config: &HttpConfig, health: Health) -> Router {
    router_with(Router::new(), platform, config, health)
}

/// [`router`], with `more` among the routes that members call: tests bring work that no feature has.
pub fn router_with(more: Router<Platform>, platform: Platform, config: &HttpConfig, health: Health) -> Router {
    let limits = Limits { body: MAX_BODY_BYTES, time: REQUEST_LIMIT };
    let (faces, _) = router::api();
    let front = Front { bursts: Bursts::per_minute(config.burst_per_minute), tenants: platform.tenants.clone() };
    let operators = within(faces.operators.with_state(platform.clone()), limits);
    let members = within(faces.members.merge(more).with_state(platform.clone()), limits);
    let public = faces.public.with_state(platform.clone()).merge(public::pages(&config.public_url));
    let routes = within(public, limits)
        .layer(front.bursts.layer())
        .merge(members.layer(from_fn_with_state(front.clone(), of_members)))
        .merge(operators.layer(from_fn_with_state(front.clone(), of_operators)))
        .layer(from_fn_with_state(health.clone(), layers::require_start))
        .merge(within(public::health(health), limits))
        .merge(Router::new().fallback(nowhere).layer(front.bursts.layer()));
    around(routes, config)
}

/// What counts the requests that need a token.
#[derive(Clone)]
struct Front {
    bursts: Bursts,
    tenants: Tenants,
}

/// The tenant's throttle; whoever is of none, by their network.
async fn of_members(State(Front { bursts, tenants }): State<Front>, request: Request, next: Next) -> Response {
    let throttled = async |request| throttle(State(tenants.clone()), request, next).await;
    bursts.count_strangers(&tenants, request, throttled).await
}

/// Operators go uncounted; whoever is none, by their network.
async fn of_operators(State(Front { bursts, tenants }): State<Front>, request: Request, next: Next) -> Response {
    let marked = async |request| operators(State(tenants.clone()), request, next).await;
    bursts.count_strangers(&tenants, request, marked).await
}

/// The answer for what is no route.
async fn nowhere() -> Problem {
    Problem::not_found()
}

/// What holds for each handler.
fn within(routes: Router, limits: Limits) -> Router {
    routes
        .method_not_allowed_fallback(|| async { layers::method_not_allowed() })
        .layer(from_fn_with_state(limits, layers::contain))
}

/// Puts the layers around all routes.
fn around(routes: Router, config: &HttpConfig) -> Router {
    let is_https = config.public_url.scheme() == "https";
    // The last layer is the outermost: it sees the request first and the answer last.
    let router = match cors(&config.cors_origins) {
        Some(cors) => routes.layer(cors),
        None => routes,
    };
    let outer = Outer { edge: OriginSecrets::new(&config.origin_secrets), headers: Headers::new(is_https) };
    router.layer(from_fn_with_state(Arc::new(outer), surround))
}

/// What [`surround`] works with.
struct Outer {
    edge: OriginSecrets,
    headers: Headers,
}

/// What every request passes on its way in and every answer on its way out, outermost first: the id, the headers, the
/// span with line and metrics, panics, problem documents, the edge, and what is left of a body.
///
/// All in one of axum's layers: it copies everything inside a layer for each request that passes it, layers included.
async fn surround(State(outer): State<Arc<Outer>>, request: Request, next: Next) -> Response {
    let Outer { edge, headers } = &*outer;
    let answer = async |mut request| match admit(edge, &mut request) {
        Ok(()) => layers::drain_body(request, next).await,
        Err(problem) => problem.into_response(),
    };
    let whole = async |request| layers::only_problems(layers::catch_panics(answer(request)).await);
    with_request_id(request, async |request| {
        layers::add_headers(headers, request, async |request| observe(request, whole).await).await
    })
    .await
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
