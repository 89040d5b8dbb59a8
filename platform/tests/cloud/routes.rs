//! What the HTTP API passes on without a token is what the OpenAPI document declares public, and the pages.

use serde_json::{Value, json};

use crate::{shared, support::TestApp};

/// With a token: `infra/platform/api.tf` has these, and `infra/tests/walls.tftest.hcl` holds it to them.
const WITH_TOKEN: [&str; 2] = ["ANY /api/v1/{proxy+}", "ANY /api/v1/admin/{proxy+}"];

/// Public though nothing answers there yet. The day something does, this list is too long and the test says so.
const AHEAD: [&str; 1] = ["ANY /api/v1/webhooks/{proxy+}"];

/// No operations of the API: the index, probes, documentation.
const PAGES: [&str; 8] =
    ["/", "/livez", "/readyz", "/health", "/docs/", "/docs/index.html", "/docs/swagger-ui.css", "/openapi.json"];

/// The route that API Gateway takes: of those that match, the one that names the whole path before one that ends with
/// `{proxy+}`, the longer one of these, and `$default` last; one that names the method before ANY.
fn route<'a>(routes: &[&'a str], method: &str, path: &str) -> &'a str {
    let fit = |route: &str| -> Option<(usize, bool)> {
        let Some((of, pattern)) = route.split_once(' ') else {
            return (route == "$default").then_some((0, false));
        };
        if of != "ANY" && of != method {
            return None;
        }
        let length = match pattern.strip_suffix("{proxy+}") {
            Some(begin) => path.strip_prefix(begin).filter(|rest| !rest.is_empty()).map(|_| begin.len()),
            None => (path == pattern).then_some(usize::MAX),
        };
        Some((length?, of != "ANY"))
    };
    let best = routes.iter().filter_map(|route| Some((fit(route)?, *route))).max_by_key(|(fit, _)| *fit);
    best.expect("$default takes everything").1
}

/// Every operation of the document, with the path as somebody would ask for it, and whether it is public.
fn operations() -> Vec<(String, String, bool)> {
    let document: Value = serde_json::from_str(&platform::server::document().unwrap()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["operationId"].is_string() {
                let asked = path.replace("{id}", "0190a1b2-0000-7000-8000-000000000000");
                all.push((method.to_uppercase(), asked, operation["security"] == json!([{}])));
            }
        }
    }
    assert!(all.len() >= 38, "the document lists {} operations", all.len());
    all
}

#[test]
fn an_operation_passes_without_a_token_if_and_only_if_the_document_declares_it_public() {
    let public: Vec<String> = shared("public_routes.json");
    let routes: Vec<&str> = public.iter().map(String::as_str).chain(WITH_TOKEN).collect();
    for (method, path, is_public) in operations() {
        let taken = route(&routes, &method, &path);
        assert_eq!(public.iter().any(|route| route == taken), is_public, "{method} {path} comes by `{taken}`");
    }
    // Whatever is added below the API asks for a token until the document says otherwise.
    assert_eq!(route(&routes, "GET", "/api/v1/whatever"), "ANY /api/v1/{proxy+}");
    assert_eq!(route(&routes, "GET", "/api/v1/admin/whatever"), "ANY /api/v1/admin/{proxy+}");
}

#[test]
fn no_route_is_public_without_something_public_behind_it() {
    let public: Vec<String> = shared("public_routes.json");
    let routes: Vec<&str> = public.iter().map(String::as_str).chain(WITH_TOKEN).collect();
    let operations = operations();
    let asked = operations.iter().filter(|(_, _, is_public)| *is_public).map(|(method, path, _)| (&**method, &**path));
    let taken: Vec<&str> =
        asked.chain(PAGES.map(|page| ("GET", page))).map(|(method, path)| route(&routes, method, path)).collect();
    for route in &public {
        assert_eq!(taken.contains(&route.as_str()), !AHEAD.contains(&route.as_str()), "{route}");
    }
    assert!(AHEAD.iter().all(|route| public.iter().any(|public| public == route)), "a route that is not there");
}

#[tokio::test]
async fn every_page_answers_without_a_token_and_comes_by_a_public_route() {
    let public: Vec<String> = shared("public_routes.json");
    let routes: Vec<&str> = public.iter().map(String::as_str).chain(WITH_TOKEN).collect();
    let app = TestApp::start().await;
    for page in PAGES {
        app.anonymous().get(page).await.assert(200);
        assert!(!WITH_TOKEN.contains(&route(&routes, "GET", page)), "{page}");
    }
}
