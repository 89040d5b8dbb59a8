#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::Path,
    http::{Request, StatusCode},
    middleware::from_fn,
    response::Response,
    routing::{delete, get, post},
};
use http_body_util::BodyExt;
use secrecy::SecretString;
use serde_json::Value;
use tower::ServiceExt;
use url::Url;

use super::*;

const LIMITS: Limits = Limits { body: 64, time: Duration::from_millis(50) };

fn config(public_url: &str) -> HttpConfig {
    HttpConfig {
        addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        public_url: Url::parse(public_url).unwrap(),
        metrics_addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        origin_secrets: Vec::new(),
        cors_origins: Vec::new(),
        drain_delay: Duration::ZERO,
        burst_per_minute: 300,
    }
}

/// Routes that do what handlers do at their worst, with the product's layers around.
fn app(config: &HttpConfig) -> Router {
    around(within(handlers(), LIMITS).fallback(nowhere), config)
}

fn handlers() -> Router {
    Router::new()
        .route("/api/v1/things", get(|| async { "things" }).post(|body: Bytes| async move { body }))
        .route("/api/v1/things/{id}", delete(|Path(_): Path<u32>| async {}))
        .route(
            "/api/v1/panic",
            get(|| async {
                if LIMITS.body > 0 {
                    panic!("on purpose")
                }
            }),
        )
        .route("/api/v1/never", get(std::future::pending::<()>))
        .route("/api/v1/json", post(|Json(_): Json<Vec<u8>>| async {}))
        .route("/api/v1/bare", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .route("/public", get(|| async { "public" }))
}

async fn ask(request: Request<Body>) -> Response {
    app(&config("http://127.0.0.1:8080")).oneshot(request).await.unwrap()
}

fn request(method: &str, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// Reads a refusal, which must be a whole problem document.
async fn problem(response: Response, status: u16) -> Value {
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
    let id = header(&response, "x-request-id").unwrap().to_owned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["request_id"], id.as_str(), "the document names the request");
    assert!(problem["type"].as_str().unwrap().starts_with("urn:ffp:problem:") && problem["title"].is_string());
    problem
}

#[tokio::test]
async fn an_unknown_address_is_a_problem() {
    assert_eq!(problem(ask(request("GET", "/api/v1/nothing")).await, 404).await["type"], "urn:ffp:problem:not-found");
    problem(ask(request("GET", "/public/")).await, 404).await;
}

#[tokio::test]
async fn a_method_that_is_not_taken_is_a_problem_that_says_which_are() {
    let response = ask(request("DELETE", "/api/v1/things")).await;
    assert_eq!(header(&response, "allow"), Some("GET,HEAD,POST"));
    problem(response, 405).await;
    let response = ask(request("INVENTED", "/public")).await;
    assert_eq!(header(&response, "allow"), Some("GET,HEAD"));
    problem(response, 405).await;
}

#[tokio::test]
async fn a_body_that_declares_too_much_is_refused_unread() {
    let body = Body::from(vec![b'x'; 65]);
    let request = Request::post("/api/v1/things").header("content-length", 65).body(body).unwrap();
    assert_eq!(problem(ask(request).await, 413).await["limit"], 64);
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_is_refused() {
    let chunks = futures::stream::iter((0..10).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(b"0123456789"))));
    let request = Request::post("/api/v1/things").body(Body::from_stream(chunks)).unwrap();
    problem(ask(request).await, 413).await;
}

#[tokio::test]
async fn what_nobody_reads_of_a_body_is_read_behind_the_answer() {
    for (path, length, status) in
        [("/api/v1/things/none", 60, 400), ("/api/v1/nothing", 60, 404), ("/api/v1/things", 600, 413)]
    {
        let (last, read) = tokio::sync::oneshot::channel();
        let mut last = Some(last);
        let chunks = futures::stream::iter((1..=length / 10).map(move |number| {
            if number == length / 10 {
                last.take().unwrap().send(()).unwrap();
            }
            Ok::<_, std::io::Error>(Bytes::from_static(b"0123456789"))
        }));
        let request = Request::delete(path).header("content-length", length).body(Body::from_stream(chunks)).unwrap();
        problem(ask(request).await, status).await;
        assert_eq!(read.await, Ok(()), "{path}");
    }
}

#[tokio::test]
async fn a_client_that_waits_for_leave_to_send_is_not_asked_to() {
    let (polled, was_polled) = tokio::sync::oneshot::channel();
    let mut polled = Some(polled);
    let body = Body::from_stream(futures::stream::poll_fn(move |_| {
        polled.take().map(|polled| polled.send(()));
        std::task::Poll::Ready(None::<std::io::Result<Bytes>>)
    }));
    let request = Request::post("/api/v1/nothing").header("expect", "100-continue").body(body).unwrap();
    problem(ask(request).await, 404).await;
    assert!(was_polled.await.is_err(), "dropped unread");
}

#[tokio::test]
async fn a_body_of_the_largest_size_is_taken() {
    let request =
        Request::post("/api/v1/things").header("content-length", 64).body(Body::from(vec![b'x'; 64])).unwrap();
    let response = ask(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 64);
}

#[tokio::test]
async fn a_panic_is_a_problem_that_says_nothing_of_its_cause() {
    let problem = problem(ask(request("GET", "/api/v1/panic")).await, 500).await;
    assert!(!problem.to_string().contains("purpose"), "{problem}");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_a_problem_that_invites_a_retry() {
    let response = ask(request("GET", "/api/v1/never")).await;
    assert!(header(&response, "retry-after").is_some());
    problem(response, 503).await;
}

#[tokio::test]
async fn refusals_that_the_framework_makes_are_problems_too() {
    problem(ask(request("DELETE", "/api/v1/things/not-a-number")).await, 400).await;
    problem(ask(request("POST", "/api/v1/json")).await, 415).await;
    problem(ask(request("GET", "/api/v1/bare")).await, 503).await;
}

#[tokio::test]
async fn nothing_is_sniffed_and_nothing_under_the_api_is_stored() {
    for (path, status) in [("/api/v1/things", 200), ("/api/v1/nothing", 404), ("/api/v1/panic", 500)] {
        let response = ask(request("GET", path)).await;
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(header(&response, "cache-control"), Some("no-store"), "{path}");
        assert_eq!(header(&response, "vary"), Some("Authorization"), "{path}");
    }
}

#[tokio::test]
async fn a_public_answer_may_be_stored_unless_the_request_was_authorised() {
    let response = ask(request("GET", "/public")).await;
    assert_eq!((header(&response, "cache-control"), header(&response, "vary")), (None, None));
    let mut authorised = request("GET", "/public");
    authorised.headers_mut().insert("authorization", HeaderValue::from_static("Bearer x"));
    let response = ask(authorised).await;
    assert_eq!(
        (header(&response, "cache-control"), header(&response, "vary")),
        (Some("no-store"), Some("Authorization"))
    );
    assert!(
        header(&ask(request("GET", "/api/v10")).await, "cache-control").is_none(),
        "only the API's own prefix counts"
    );
}

#[tokio::test]
async fn strict_transport_is_asked_for_exactly_when_the_public_address_is_https() {
    let secure = app(&config("https://app.example.com")).oneshot(request("GET", "/public")).await.unwrap();
    assert!(header(&secure, "strict-transport-security").is_some());
    assert!(header(&ask(request("GET", "/public")).await, "strict-transport-security").is_none());
}

#[tokio::test]
async fn only_listed_origins_may_call_from_a_page() {
    let mut config = config("http://127.0.0.1:8080");
    let from = |origin: &'static str| {
        let mut request = request("GET", "/public");
        request.headers_mut().insert("origin", HeaderValue::from_static(origin));
        request
    };
    let allowed = |response: &Response| header(response, "access-control-allow-origin").map(str::to_owned);
    let response = app(&config).oneshot(from("https://app.example.com")).await.unwrap();
    assert_eq!(allowed(&response), None, "no list, no origin");

    config.cors_origins = vec!["https://app.example.com".to_owned()];
    let response = app(&config).oneshot(from("https://app.example.com")).await.unwrap();
    assert_eq!(allowed(&response).as_deref(), Some("https://app.example.com"));
    let response = app(&config).oneshot(from("https://evil.example.com")).await.unwrap();
    assert_eq!(allowed(&response), None);
}

#[tokio::test]
async fn what_does_not_come_through_the_edge_is_a_problem_and_still_has_its_headers() {
    let mut config = config("http://127.0.0.1:8080");
    config.origin_secrets = vec![SecretString::from("a-secret-of-the-edge")];
    let response = app(&config).oneshot(request("GET", "/public")).await.unwrap();
    assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"));
    problem(response, 403).await;
    let mut proven = request("GET", "/public");
    proven.headers_mut().insert("x-origin-verify", HeaderValue::from_static("a-secret-of-the-edge"));
    assert_eq!(app(&config).oneshot(proven).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_request_keeps_the_id_it_came_with_if_it_is_plain() {
    let with = |id: &'static str| {
        let mut request = request("GET", "/public");
        request.headers_mut().insert("x-request-id", HeaderValue::from_static(id));
        request
    };
    assert_eq!(header(&ask(with("0190b0a0-3c1e")).await, "x-request-id"), Some("0190b0a0-3c1e"));
    assert_ne!(header(&ask(with("<script>alert</script>")).await, "x-request-id"), Some("<script>alert</script>"));
}

#[tokio::test]
async fn whatever_happens_in_a_handler_an_answer_passes_the_layer_that_counts() {
    let mark = |request, next: axum::middleware::Next| async {
        let mut response: Response = next.run(request).await;
        response.headers_mut().insert("counted", HeaderValue::from_static("yes"));
        response
    };
    let routes = within(handlers(), LIMITS).layer(from_fn(mark));
    let app = around(routes, &config("http://127.0.0.1:8080"));
    let large = Request::post("/api/v1/things").header("content-length", 65).body(Body::from(vec![b'x'; 65])).unwrap();
    for (request, status) in [
        (request("GET", "/api/v1/things"), 200),
        (request("GET", "/api/v1/panic"), 500),
        (request("GET", "/api/v1/never"), 503),
        (request("PUT", "/api/v1/things"), 405),
        (large, 413),
    ] {
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!((response.status().as_u16(), header(&response, "counted")), (status, Some("yes")));
    }
}
