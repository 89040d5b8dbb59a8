//! Routes that belong to no feature: the index, the documentation, health.

use std::sync::LazyLock;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use tenants::http::Problem;
use tower_http::set_header::SetResponseHeaderLayer;
use url::Url;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::Health;
use crate::router;

/// What the pages of the documentation may load: their own files. Swagger UI styles its elements in place.
const DOCS_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
);

/// Seconds after which a refused caller asks again for readiness.
const ASK_AGAIN: u64 = 2;

/// The OpenAPI document as it is served and committed: indented, with a newline at its end.
///
/// # Errors
/// A document that can't be written as JSON, which a test rules out.
pub fn document() -> serde_json::Result<String> {
    let (_, document) = router::api();
    serde_json::to_string_pretty(&document).map(|text| text + "\n")
}

/// The same at every request, so it is made once.
static DOCUMENT: LazyLock<Option<String>> = LazyLock::new(|| document().ok());

/// What is shown to anybody: the index and the documentation.
pub(super) fn pages(public_url: &Url) -> Router {
    let at = |path: &str| public_url.join(path).map_or_else(|_| path.to_owned(), String::from);
    let index = json!({
        "name": "FFP",
        "docs": at("/docs"),
        "openapi": at("/openapi.json"),
        "health": at("/health"),
    });
    let docs: Router = SwaggerUi::new("/docs").config(Config::from("/openapi.json")).into();
    let docs = docs.layer(SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, DOCS_POLICY));
    Router::new().route("/", get(move || async move { Json(index) })).route("/openapi.json", get(openapi)).merge(docs)
}

/// What is asked by load balancers and container services.
pub(super) fn health(health: Health) -> Router {
    Router::new()
        .route("/livez", get(|| async { Json(json!({"status": "alive"})) }))
        .route("/readyz", get(ready))
        .route("/health", get(ready))
        .with_state(health)
}

async fn ready(State(health): State<Health>) -> Response {
    match health.ready().await {
        Ok(()) => Json(json!({"status": "ready"})).into_response(),
        Err(reason) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "This instance takes no requests now.")
                .detail(reason)
                .retry_after(ASK_AGAIN)
                .into_response()
        }
    }
}

async fn openapi() -> Response {
    match DOCUMENT.as_deref() {
        Some(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        None => Problem::internal().into_response(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_api_document_is_what_the_code_says() {
        let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi.json")).unwrap();
        assert!(committed == document().unwrap(), "openapi.json is out of date: run `make openapi`");
    }
}
