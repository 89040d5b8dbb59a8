//! Objects out of a real S3 emulator, opened by signatures.

use std::net::SocketAddr;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use axum::Router;
use axum::extract::Request;
use devstack::ministack::{MiniStack, MiniStackOptions};
use devstack::ports::Port;
use futures::StreamExt as _;
use http::StatusCode;
use reqwest::Response;
use tokio::sync::OnceCell;

use crate::signing::{as_cookies, policy};
use crate::support::{BUCKET, RunningEdge, client, nowhere, s3, soon};

const DENIED: &str = "<Error><Code>AccessDenied</Code><Message>Access denied</Message></Error>";

/// One emulator for all tests of this file; it ends with the test process.
static EMULATOR: OnceCell<MiniStack> = OnceCell::const_new();

/// The emulator with the bucket in it.
async fn store() -> Client {
    let emulator = EMULATOR
        .get_or_init(async || {
            let options = MiniStackOptions { port: Port::Any, data_dir: None };
            let emulator = MiniStack::start(options).await.unwrap();
            let store = s3(&emulator.endpoint());
            store.create_bucket().bucket(BUCKET).send().await.unwrap();
            emulator
        })
        .await;
    s3(&emulator.endpoint())
}

async fn put(store: &Client, key: &str, bytes: Vec<u8>) {
    store
        .put_object()
        .bucket(BUCKET)
        .key(key)
        .content_type("video/mp4")
        .cache_control("private, max-age=60")
        .body(ByteStream::from(bytes))
        .send()
        .await
        .unwrap();
}

/// Bytes of which every stretch tells where it is.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn assert_denied(answer: Response, why: &str) {
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{why}");
    assert_eq!(header(&answer, "content-type"), "text/xml", "{why}");
    let body = answer.text().await.unwrap();
    assert!(body.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"), "{why}: {body}");
    assert!(body.ends_with(DENIED), "{why}: {body}");
}

#[tokio::test]
async fn a_signature_opens_exactly_its_object() {
    let store = store().await;
    let bytes = pattern(100_000);
    put(&store, "videos/exact/intro.mp4", bytes.clone()).await;
    put(&store, "videos/exact/other.mp4", bytes.clone()).await;
    let edge = RunningEdge::start(nowhere().await, store).await;
    let signed = edge.signed("/videos/exact/intro.mp4");

    let answer = client().get(&signed).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(header(&answer, "content-type"), "video/mp4");
    assert_eq!(header(&answer, "cache-control"), "private, max-age=60");
    assert_eq!(header(&answer, "accept-ranges"), "bytes");
    assert_eq!(header(&answer, "content-length"), "100000");
    assert!(header(&answer, "etag").starts_with('"'));
    assert!(header(&answer, "last-modified").ends_with(" GMT"));
    assert_eq!(answer.bytes().await.unwrap(), bytes);

    let head = client().head(&signed).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(header(&head, "content-length"), "100000");
    assert!(head.bytes().await.unwrap().is_empty());

    let get = async |url: String| client().get(url).send().await.unwrap();
    assert_denied(get(signed.replace("intro.mp4", "other.mp4")).await, "another path").await;
    assert_denied(get(format!("{signed}&response-content-type=text/html")).await, "a longer query").await;
    assert_denied(get(signed.replace("Expires=", "Expires=1")).await, "a later end").await;
    assert_denied(get(signed.replace("KTEST", "KOTHER")).await, "another key").await;
    assert_denied(get(edge.signed("/videos/exact/missing.mp4")).await, "no such object").await;
    assert_denied(get(edge.signed("/progress-photos/x.jpg")).await, "no such bucket").await;
    let put = client().put(&signed).body("mine").send().await.unwrap();
    assert_denied(put, "another method").await;

    let unsigned = get(format!("{}/videos/exact/intro.mp4", edge.origin)).await;
    assert_eq!(unsigned.status(), StatusCode::FORBIDDEN);
    let body = unsigned.text().await.unwrap();
    assert!(
        body.contains("<Code>MissingKey</Code><Message>Missing Key-Pair-Id query parameter or cookie value</Message>")
    );
    edge.stop().await;
}

#[tokio::test]
async fn cookies_open_a_whole_folder_of_segments() {
    let store = store().await;
    put(&store, "videos/hls/master.m3u8", b"#EXTM3U".to_vec()).await;
    put(&store, "videos/hls/720p/seg 1+ü.m4s", pattern(10)).await;
    put(&store, "videos/hls2/seg.m4s", pattern(10)).await;
    let edge = RunningEdge::start(nowhere().await, store).await;
    let folder = policy(&format!("{}/videos/hls/*", edge.origin), soon());
    let cookies = as_cookies(&edge.signer.custom(&folder));
    let get = async |path: &str| {
        let url = format!("{}{path}", edge.origin);
        client().get(url).header("cookie", format!("theme=dark; {cookies}")).send().await.unwrap()
    };
    assert_eq!(get("/videos/hls/master.m3u8").await.text().await.unwrap(), "#EXTM3U");
    assert_eq!(get("/videos/hls/720p/seg%201+%C3%BC.m4s?_=7").await.bytes().await.unwrap(), pattern(10));
    assert_denied(get("/videos/hls2/seg.m4s").await, "another folder").await;
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_out_of_the_signed_folder() {
    let store = store().await;
    put(&store, "videos/in/a.mp4", pattern(10)).await;
    put(&store, "videos/out/secret.mp4", pattern(10)).await;
    let edge = RunningEdge::start(nowhere().await, store).await;
    let query = edge.signer.custom(&policy(&format!("{}/videos/in/*", edge.origin), soon()));
    let ask = async |path: &str| {
        let (host, request) = (edge.address, format!("GET {path}?{query} HTTP/1.1"));
        edge.raw(&format!("{request}\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
    };
    assert!(ask("/videos/in/a.mp4").await.starts_with("HTTP/1.1 200 "));
    for path in [
        "/videos/in/../out/secret.mp4",
        "/videos/in/%2e%2e/out/secret.mp4",
        "/videos/in/.%2E/out/secret.mp4",
        "/videos/in/..%2fout/secret.mp4",
        "/videos/in/..%5cout/secret.mp4",
        "/videos/in/..\\out\\secret.mp4",
        "/videos/in/%252e%252e/out/secret.mp4",
        "/videos/in//../../out/secret.mp4",
        "/videos/in/./a.mp4",
        "/videos/in//a.mp4",
        "/videos/in/",
    ] {
        let answer = ask(path).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{path}: {answer}");
    }
}

#[tokio::test]
async fn ranges_and_conditions_are_answered_as_http_says() {
    let store = store().await;
    let bytes = pattern(1_000);
    put(&store, "videos/ranges/v.mp4", bytes.clone()).await;
    put(&store, "videos/ranges/empty.mp4", Vec::new()).await;
    let edge = RunningEdge::start(nowhere().await, store).await;
    let signed = edge.signed("/videos/ranges/v.mp4");
    let get = async |headers: &[(&str, &str)]| {
        let mut request = client().get(&signed);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    };
    for (range, content_range, part) in [
        ("bytes=0-99", "bytes 0-99/1000", 0..100),
        ("bytes=990-", "bytes 990-999/1000", 990..1000),
        ("bytes=-1", "bytes 999-999/1000", 999..1000),
    ] {
        let answer = get(&[("range", range)]).await;
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(header(&answer, "content-range"), content_range);
        assert_eq!(header(&answer, "content-length"), part.len().to_string());
        assert_eq!(answer.bytes().await.unwrap(), bytes[part]);
    }
    let beyond = get(&[("range", "bytes=1000-")]).await;
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(header(&beyond, "content-range"), "bytes */1000");
    let several = get(&[("range", "bytes=0-1,5-6")]).await;
    assert_eq!(several.status(), StatusCode::OK);
    assert_eq!(several.bytes().await.unwrap(), bytes);

    let etag = header(&get(&[]).await, "etag").to_owned();
    let known = get(&[("if-none-match", &etag)]).await;
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(header(&known, "etag"), etag);
    assert!(known.bytes().await.unwrap().is_empty());
    let same = get(&[("range", "bytes=5-9"), ("if-range", &etag)]).await;
    assert_eq!(same.status(), StatusCode::PARTIAL_CONTENT);
    let changed = get(&[("range", "bytes=5-9"), ("if-range", "\"old\"")]).await;
    assert_eq!((changed.status(), changed.bytes().await.unwrap().len()), (StatusCode::OK, 1_000));
    let head = client().head(&signed).header("range", "bytes=0-9").send().await.unwrap();
    assert_eq!((head.status(), header(&head, "content-length")), (StatusCode::OK, "1000"));

    let empty = client().get(edge.signed("/videos/ranges/empty.mp4")).send().await.unwrap();
    assert_eq!((empty.status(), header(&empty, "content-length")), (StatusCode::OK, "0"));
}

#[tokio::test]
async fn a_viewer_who_leaves_in_the_middle_harms_nobody() {
    let store = store().await;
    put(&store, "videos/long/v.mp4", pattern(20_000_000)).await;
    let edge = RunningEdge::start(nowhere().await, store).await;
    let signed = edge.signed("/videos/long/v.mp4");
    for _ in 0..20 {
        let mut body = client().get(&signed).send().await.unwrap().bytes_stream();
        assert!(!body.next().await.unwrap().unwrap().is_empty());
    }
    let whole = client().get(&signed).send().await.unwrap().bytes().await.unwrap();
    assert!(whole == pattern(20_000_000), "the next viewer gets every byte");
}

#[tokio::test]
async fn a_store_that_is_down_is_a_502() {
    let edge = RunningEdge::start(nowhere().await, s3(&format!("http://{}", nowhere().await))).await;
    let answer = client().get(edge.signed("/videos/x.mp4")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(header(&answer, "content-type"), "text/xml");
    let refused = client().get(format!("{}/videos/x.mp4", edge.origin)).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN, "signatures come before the store");
}

#[tokio::test]
async fn the_store_sees_nothing_of_the_signature() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = seen.clone();
    let recorder = Router::new().fallback(async move |request: Request| {
        log.lock().unwrap().push(format!("{} {:?}", request.uri(), request.headers()));
        StatusCode::NOT_FOUND
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let recorder_address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, recorder).await });
    let edge = RunningEdge::start(nowhere().await, s3(&format!("http://{recorder_address}"))).await;
    let answer =
        client().get(edge.signed("/videos/a.mp4?versionId=1")).header("cookie", "session=secret").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let seen = seen.lock().unwrap().join("\n");
    assert!(seen.contains("/videos/a.mp4"), "{seen}");
    for secret in ["Key-Pair-Id", "KTEST", "versionId", "session=secret"] {
        assert!(!seen.contains(secret), "{secret} in {seen}");
    }
}
