//! What reaches the platform, and what comes back.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::support::{RunningEdge, SECRET, client, nowhere, s3};

/// A platform that answers with what it was asked.
async fn describe(request: Request) -> Response {
    let headers: Vec<Value> =
        request.headers().iter().map(|(name, value)| json!([name.as_str(), value.to_str().unwrap()])).collect();
    let mut seen = json!({
        "method": request.method().as_str(),
        "target": request.uri().to_string(),
        "headers": headers,
    });
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    seen["body"] = json!(String::from_utf8_lossy(&body));
    Response::builder()
        .status(418)
        .header("x-from-platform", "yes")
        .header("set-cookie", "a=1")
        .header("set-cookie", "b=2")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .body(Body::from(seen.to_string()))
        .unwrap()
}

async fn platform(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    address
}

async fn edge_over(app: Router) -> RunningEdge {
    let store = s3(&format!("http://{}", nowhere().await));
    RunningEdge::start(platform(app).await, store).await
}

fn seen(headers: &Value, name: &str) -> Vec<String> {
    headers
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line[0] == name)
        .map(|line| line[1].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_request_arrives_as_it_was_sent_with_the_edges_word_for_the_viewer() {
    let edge = edge_over(Router::new().fallback(describe)).await;
    let answer = client()
        .patch(format!("{}/api/v1/%76ideos//x?b=2&a=1&Expires=9&a=%2F", edge.origin))
        .header("authorization", "Bearer t")
        .header("x-origin-verify", "guess")
        .header("cloudfront-viewer-address", "1.2.3.4:5")
        .header("x-forwarded-for", "10.0.0.1")
        .body("hello")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 418);
    assert_eq!(answer.headers()["x-from-platform"], "yes");
    assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
    assert!(!answer.headers().contains_key("x-hop"), "hop-by-hop headers end at the edge");

    let it: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(it["method"], "PATCH");
    assert_eq!(it["target"], "/api/v1/%76ideos//x?b=2&a=1&Expires=9&a=%2F");
    assert_eq!(it["body"], "hello");
    assert_eq!(seen(&it["headers"], "authorization"), ["Bearer t"]);
    assert_eq!(seen(&it["headers"], "x-origin-verify"), [SECRET]);
    assert_eq!(seen(&it["headers"], "host"), [edge.address.to_string()]);
    assert_eq!(seen(&it["headers"], "x-forwarded-for"), ["10.0.0.1, 127.0.0.1"]);
    let viewer = seen(&it["headers"], "cloudfront-viewer-address");
    assert_eq!(viewer.len(), 1);
    assert_eq!(viewer[0].parse::<SocketAddr>().unwrap().ip().to_string(), "127.0.0.1");
    edge.stop().await;
}

#[tokio::test]
async fn bodies_flow_in_both_directions_before_they_are_complete() {
    // The platform answers with the upload itself, piece by piece.
    let echo = async |request: Request| Response::new(request.into_body());
    let edge = edge_over(Router::new().fallback(echo)).await;
    let (pieces, upload) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let upload = futures::stream::unfold(upload, async |mut from| Some((from.recv().await?, from)));
    pieces.send(Ok(Bytes::from_static(b"one"))).await.unwrap();
    let answer =
        client().post(format!("{}/echo", edge.origin)).body(reqwest::Body::wrap_stream(upload)).send().await.unwrap();
    let mut download = answer.bytes_stream();
    assert_eq!(download.next().await.unwrap().unwrap(), "one");
    pieces.send(Ok(Bytes::from_static(b"two"))).await.unwrap();
    assert_eq!(download.next().await.unwrap().unwrap(), "two");
    drop(pieces);
    assert!(download.next().await.is_none());
}

#[tokio::test]
async fn a_platform_that_is_not_up_is_a_503_to_try_again() {
    let store = s3(&format!("http://{}", nowhere().await));
    let edge = RunningEdge::start(nowhere().await, store).await;
    let answer = client().get(format!("{}/livez", edge.origin)).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert!(answer.headers().contains_key("retry-after"));
    let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(problem["status"], 503);
}

#[tokio::test]
async fn other_hosts_are_sent_to_the_public_address() {
    let edge = edge_over(Router::new().fallback(describe)).await;
    let port = edge.address.port();
    let wrong = [format!("localhost:{port}"), "127.0.0.1".to_owned(), "evil.test".to_owned()];
    for host in wrong {
        let answer =
            edge.raw(&format!("GET //x/../y?a=%20b HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 302 "), "{answer}");
        let location = format!("\r\nlocation: {}//x/../y?a=%20b\r\n", edge.origin);
        assert!(answer.contains(&location), "{answer}");
        let answer = edge
            .raw(&format!("POST /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
            .await;
        assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    }
    let here = edge.address;
    let twice = format!(
        "POST /x HTTP/1.1\r\nHost: {here}\r\nHost: evil.test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    assert!(!edge.raw(&twice).await.contains(" 418 "), "two hosts are for nobody");
    let absolute = format!("GET http://evil.test/x HTTP/1.1\r\nHost: {here}\r\nConnection: close\r\n\r\n");
    assert!(edge.raw(&absolute).await.starts_with("HTTP/1.1 302 "));
    let absolute = format!("GET {}/x HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n", edge.origin);
    let answer = edge.raw(&absolute).await;
    assert!(answer.starts_with("HTTP/1.1 418 "), "{answer}");
    assert!(!answer.contains("evil.test"), "the platform sees the public host only: {answer}");
}

#[tokio::test]
async fn odd_requests_do_not_reach_the_platform() {
    let edge = edge_over(Router::new().fallback(describe)).await;
    let here = edge.address;
    for line in ["TRACE / HTTP/1.1", "BREW / HTTP/1.1"] {
        let answer = edge.raw(&format!("{line}\r\nHost: {here}\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{line}: {answer}");
        assert!(answer.contains("\r\nallow: GET,HEAD,"), "{line}: {answer}");
    }
    let long = "a".repeat(9_000);
    let answer = client().get(format!("{}/{long}", edge.origin)).send().await.unwrap();
    assert_eq!(answer.status(), 414);
}
