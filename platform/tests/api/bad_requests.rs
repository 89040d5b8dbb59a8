//! Addresses, methods, parameters and headers that are not what they should be.

use std::collections::BTreeSet;

use reqwest::{Method, header::HeaderValue};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    Answer, TestApp,
    video::{MP4, announcement},
};

const VIDEOS: &str = "/api/v1/videos";
const LIBRARY: &str = "/api/v1/admin/library/videos";

/// Path templates of the document, with the methods that each takes.
fn documented() -> Vec<(String, BTreeSet<String>)> {
    let document: Value = serde_json::from_str(&platform::server::document().unwrap()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let methods = |item: &Value| item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
    paths.iter().map(|(path, item)| (path.clone(), methods(item))).collect()
}

#[tokio::test]
async fn a_method_that_an_address_does_not_take_is_405_and_says_which_it_takes() {
    let app = TestApp::start().await;
    for (path, methods) in documented() {
        for method in
            ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].into_iter().filter(|method| !methods.contains(*method))
        {
            let path = path.replace("{id}", app.acme().member_id("coach"));
            let answer = app.acme().owner().send(method.parse().unwrap(), &path, None, &[]).await;
            let allow: BTreeSet<String> =
                answer.header("allow").split(',').map(|method| method.trim().to_owned()).collect();
            assert!(methods.is_subset(&allow) && !allow.contains(method), "{method} {path}: {allow:?}");
            answer.assert_problem(405, "method-not-allowed");
        }
    }
    let brew = app.request(Method::from_bytes(b"BREW").unwrap(), "/api/v1/me").send().await.unwrap();
    assert_eq!(brew.status(), 405);
    assert!(brew.headers().contains_key("allow"));
}

#[tokio::test]
async fn an_address_that_is_none_is_not_found() {
    let app = TestApp::start().await;
    let owner = app.acme().owner();
    for path in [
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v2/me",
        "/api/v1/me/",
        "/API/V1/ME",
        "/api/v1//me",
        "//api/v1/me",
        "/api/v1/me%2f",
        "/api/v1/me;x=1",
        "/api/v1/videos/a/b/c",
        "/.env",
        "/wp-login.php",
        "/api/v1/%00",
        "/api/v1/%ff",
        "/metrics",
        "/%F0%9F%92%AA",
    ] {
        owner.get(path).await.assert_problem(404, "not-found");
        app.anonymous().post(path, &json!({})).await.assert_problem(404, "not-found");
    }
}

#[tokio::test]
async fn an_id_that_is_no_uuid_is_like_one_that_does_not_exist() {
    let app = TestApp::start().await;
    let (owner, operator) = (app.acme().owner(), app.operator());
    let templates = documented().into_iter().filter(|(path, _)| path.contains("{id}"));
    let bodies = json!({"PATCH": {}, "POST": {"position_seconds": 1}, "PUT": {"parts": [{"number": 1, "etag": "e"}]},
        "suspension": {"reason": "R"}, "throttle": {"requests_per_minute": 5}, "quotas": {"limits": {}}, "storage": {"limit_bytes": 5}});
    let ids = [
        "x",
        "1",
        "-1",
        "0",
        "null",
        "%00",
        "%ff%fe",
        "%20",
        "%2e%2e%2fme",
        "..%2f..",
        "'%20or%201=1--",
        "%F0%9F%92%AA",
        "00000000-0000-0000-0000-00000000000",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        &"a".repeat(5000),
    ];
    for (template, methods) in templates {
        let user = if template.starts_with("/api/v1/admin/") { &operator } else { &owner };
        // A job's id is its number in the queue.
        let is_number = template.starts_with("/api/v1/admin/jobs/");
        for id in ids.into_iter().filter(|id| !(is_number && *id == "1")) {
            let path = template.replace("{id}", id);
            for method in &methods {
                let body = template.rsplit('/').next().and_then(|last| bodies.get(last)).or(bodies.get(method));
                let answer = user.send(method.parse().unwrap(), &path, body, &[]).await;
                assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text);
                answer.assert_problem(404, "not-found");
            }
        }
    }
}

#[tokio::test]
async fn parameters_of_lists_are_checked_and_named() {
    let app = TestApp::start().await;
    let long = format!("q={}", "x".repeat(101));
    let paged: &[(&str, &str)] = &[
        ("limit=0", "?limit"),
        ("limit=101", "?limit"),
        ("limit=-1", "?limit"),
        ("limit=1e1", "?limit"),
        ("limit=", "?limit"),
        ("limit=%2B5%20", "?limit"),
        ("limit=99999999999999999999999", "?limit"),
        ("limit=%EF%BC%95", "?limit"),
        ("limit=1&limit=2", "?limit"),
        ("limit=%00", "?limit"),
        ("cursor=", "?cursor"),
        ("cursor=x", "?cursor"),
        ("cursor=AAAA", "?cursor"),
        ("cursor=%00", "?cursor"),
        ("cursor=%ff", "?cursor"),
        ("cursor=..%2F..%2F", "?cursor"),
        ("cursor=AAAAAAAAAAAAAAAAAAAAAA%3D%3D", "?cursor"),
        ("cursor=a&cursor=b", "?cursor"),
    ];
    let searched: &[(&str, &str)] =
        &[("q=", "?q"), ("q=%20", "?q"), (&long, "?q"), ("q=%00", "?q"), ("q=a%ff", "?q"), ("q=a&q=b", "?q")];
    let scoped: &[(&str, &str)] = &[
        ("scope=", "?scope"),
        ("scope=everything", "?scope"),
        ("scope=Library", "?scope"),
        ("scope=tenant&scope=library", "?scope"),
    ];
    let (owner, operator) = (app.acme().owner(), app.operator());
    let members_of_acme = format!("/api/v1/admin/tenants/{}/members", app.acme().tenant_id());
    for (user, path, queries) in [
        (&owner, "/api/v1/members", vec![paged]),
        (&owner, "/api/v1/invitations", vec![paged]),
        (&owner, VIDEOS, vec![paged, searched, scoped]),
        (&operator, LIBRARY, vec![paged, searched]),
        (&operator, "/api/v1/admin/tenants", vec![paged, searched]),
        (&operator, "/api/v1/admin/jobs", vec![paged]),
        (&operator, "/api/v1/admin/audit", vec![paged]),
        (&operator, &members_of_acme, vec![paged]),
    ] {
        for (query, pointer) in queries.into_iter().flatten() {
            let answer = user.get(&format!("{path}?{query}")).await;
            assert_eq!(answer.status, 422, "{path}?{query}: {}", answer.text);
            answer.assert_problem(422, "invalid-request").assert_names(pointer);
        }
        // A cursor is no secret and no key: whichever it is, it starts a page of the caller's own.
        user.get(&format!("{path}?cursor={}&limit=100", "_".repeat(21) + "w")).await.assert(200);
        user.get(&format!("{path}?cursor=AAAAAAAAAAAAAAAAAAAAAA&limit=1")).await.assert(200);
    }
    for hostile in ["%25", "_", "%5C", "'", "%F0%9F%92%AA", "%E2%80%AE", "%5B%28%2A", "%24%7B7%2A7%7D"] {
        let found = owner.get(&format!("{VIDEOS}?q={hostile}")).await.assert(200);
        assert_eq!(found.body["items"], json!([]), "{hostile}");
    }
}

#[tokio::test]
async fn headers_that_are_there_twice_or_are_nonsense_are_refused_by_name() {
    let app = TestApp::start().await;
    let coach = app.acme().coach();
    let authorization = format!("Bearer {}", coach.token);
    let twice = app
        .request(Method::GET, "/api/v1/me")
        .header("authorization", &authorization)
        .header("authorization", &authorization);
    Answer::read(twice.send().await.unwrap()).await.assert_problem(401, "unauthenticated");

    let body = announcement("Keyed", &MP4);
    let keyed = |keys: &[&[u8]]| {
        let mut request = app.request(Method::POST, VIDEOS).header("authorization", &authorization).json(&body);
        for key in keys {
            request = request.header("idempotency-key", HeaderValue::from_bytes(key).unwrap());
        }
        async move { Answer::read(request.send().await.unwrap()).await }
    };
    let long = [b'k'; 256];
    let bad: [&[&[u8]]; 7] =
        [&[b"one", b"two"], &[b"same", b"same"], &[b""], &[b"a b"], &[&long], &[b"k\xe9y"], &["schlüssel".as_bytes()]];
    for keys in bad {
        keyed(keys).await.assert_problem(422, "invalid-request").assert_names("Idempotency-Key");
    }
    assert_eq!(app.count("select count(*) from video").await, 0);
    keyed(&[&long[..255]]).await.assert(201);

    let video = format!("{VIDEOS}/{}", coach.add_video("Tagged").await.id());
    let change = json!({"title": "Changed"});
    for tag in ["v1", "W/\"v1\"", "\"v999\"", "\"", "\"v1", "\"v18446744073709551616\"", "\"v-1\"", "\"'; --\"", ""] {
        coach.send(Method::PATCH, &video, Some(&change), &[("if-match", tag)]).await.assert_problem(412, "changed");
        coach.send(Method::DELETE, &video, None, &[("if-match", tag)]).await.assert_problem(412, "changed");
    }
    let bytes = HeaderValue::from_bytes(b"\"v\xff\"").unwrap();
    let request = app
        .request(Method::PATCH, &video)
        .header("authorization", &authorization)
        .header("if-match", bytes)
        .json(&change);
    Answer::read(request.send().await.unwrap()).await.assert(422).assert_names("If-Match");
    assert_eq!(coach.get(&video).await.body["title"], "Tagged");
}

#[tokio::test]
async fn headers_that_mean_nothing_here_change_nothing() {
    let app = TestApp::start().await;
    let owner = app.acme().owner();
    let before = owner.get("/api/v1/tenant").await.assert(200);
    let globex = app.globex().tenant_id();
    for (name, value) in [
        ("x-tenant-id", globex),
        ("x-original-url", "/api/v1/admin/library/videos"),
        ("x-rewrite-url", "/"),
        ("x-http-method-override", "DELETE"),
        ("x-forwarded-for", "127.0.0.1, <script>"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "for=\"_evil\";host=evil.example"),
        ("accept", "text/html;q=broken"),
        ("accept-language", &"x-".repeat(2000)),
        ("accept-encoding", "gzip;q=9"),
        ("range", "bytes=5-1"),
        ("if-none-match", "*"),
        ("origin", "null"),
        ("x-request-id", "<script>"),
        ("cookie", "a=b; ;;=; \u{1}"),
        ("content-length", "0"),
        ("traceparent", "00-zz-zz-zz"),
        ("x-origin-verify", "guess"),
        ("cloudfront-viewer-address", "nonsense"),
    ] {
        let Ok(value) = HeaderValue::from_str(value) else {
            continue;
        };
        let request = app.request(Method::GET, "/api/v1/tenant").bearer_auth(&owner.token).header(name, value);
        let answer = Answer::read(request.send().await.unwrap()).await.assert(200);
        assert_eq!(answer.body, before.body, "{name}");
        assert!(!answer.header("x-request-id").contains('<'));
    }
    let large =
        app.request(Method::GET, "/api/v1/tenant").bearer_auth(&owner.token).header("x-large", "x".repeat(1_000_000));
    let status = large.send().await.unwrap().status();
    assert!(status.is_client_error(), "{status}");
}

#[tokio::test]
async fn bytes_that_are_no_http_harm_nobody() {
    let app = TestApp::start().await;
    let address = app.base.trim_start_matches("http://");
    for raw in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET /api/v1/me HTTP/9.9\r\n\r\n",
        b"GET /api/v1/me HTTP/1.1\r\n\r\n",
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ",
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /api/v1/me\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/v1/me HTTP/1.1\r\nHost: x\r\nBad Header: x\r\n\r\n",
    ] {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(raw).await.unwrap();
        connection.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // A connection that is cut off is an answer too.
        let _ = connection.read_to_end(&mut answer).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4") || text.starts_with("HTTP/1.1 3"), "{raw:?}: {text}");
    }
    app.acme().owner().get("/api/v1/me").await.assert(200);
}
