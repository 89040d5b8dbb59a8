//! Whatever is sent, the answer is a problem document that names what is wrong, never a 5xx, and nothing is written.

mod forms;
mod values;

use serde_json::{Value, json};

use self::forms::{assert_refused, forms, operations_with_body, state};
use crate::support::{Answer, TestApp};

const VIDEOS: &str = "/api/v1/videos";
const LIBRARY: &str = "/api/v1/admin/library/videos";

#[tokio::test]
async fn every_member_of_every_body_is_checked_and_named() {
    let app = TestApp::start().await;
    let forms = forms(&app).await;
    assert_eq!(forms.len(), operations_with_body(), "an operation that takes a body is missing from the table");

    let before = state(&app).await;
    for form in &forms {
        for (member, good) in form.members() {
            let bad = match good {
                Value::String(_) => {
                    vec![json!(7), json!(true), json!([]), json!({}), json!("x".repeat(10_240)), json!("a\u{0}b")]
                }
                Value::Number(_) => vec![json!("7"), json!(true), json!([]), json!({}), json!(-1), json!("NaN")],
                Value::Bool(_) => vec![json!("true"), json!(1), json!([]), json!({})],
                Value::Object(_) => vec![json!("x"), json!(7), json!(true), json!([])],
                _ => vec![json!("x"), json!(7), json!({}), json!([])],
            };
            let pointer = format!("/{member}");
            for value in bad {
                let what = format!(
                    "{} with {member} {}",
                    form.operation,
                    value.to_string().chars().take(30).collect::<String>()
                );
                assert_refused(form.send(&form.with(member, value)).await, &[400, 422], Some(&pointer), &what);
            }
        }
        for member in form.required {
            let what = format!("{} without {member}", form.operation);
            let mut body = form.body.clone();
            body.as_object_mut().unwrap().remove(*member);
            let pointer = format!("/{member}");
            assert_refused(form.send(&body).await, &[422], Some(&pointer), &what);
            assert_refused(form.send(&form.with(member, Value::Null)).await, &[422], Some(&pointer), &what);
        }
        let what = format!("{} with a surprise", form.operation);
        assert_refused(form.send(&form.with("surprise", json!(1))).await, &[422], Some("/surprise"), &what);
    }
    assert_eq!(state(&app).await, before);
}

#[tokio::test]
async fn what_is_no_json_object_is_refused() {
    let app = TestApp::start().await;
    let forms = forms(&app).await;
    let before = state(&app).await;
    let deep = "[".repeat(300_000);
    let deep_member = format!("{{\"a\": {}", "{\"a\":".repeat(100_000));
    let bodies: [&[u8]; 20] = [
        b"",
        b" ",
        b"{",
        b"}",
        b"[]",
        b"null",
        b"true",
        b"7",
        b"\"x\"",
        b"{'a': 1}",
        b"{\"a\" 1}",
        b"{\"a\": 1,}",
        b"{\"a\": NaN}",
        b"{\"a\": \"\xff\xfe\"}",
        b"{\"a\": \"\\ud800\"}",
        b"{\"a\": \"\x00\"}",
        b"\xef\xbb\xbf{}",
        b"\x1f\x8b\x08\x00",
        deep.as_bytes(),
        deep_member.as_bytes(),
    ];
    for form in &forms {
        for body in bodies {
            let request = form.request().header("content-type", "application/json").body(body.to_vec());
            let answer = Answer::read(request.send().await.unwrap()).await;
            let start = String::from_utf8_lossy(&body[..body.len().min(20)]);
            assert_refused(answer, &[400, 422], None, &format!("{} with {start}", form.operation));
        }
        let twice = format!("{} {}", form.body, form.body);
        let request = form.request().header("content-type", "application/json").body(twice);
        assert_refused(Answer::read(request.send().await.unwrap()).await, &[400], None, form.operation);
        // The members by their order in the code are no interface.
        let row: Vec<&Value> = form.members().map(|(_, value)| value).collect();
        assert_refused(form.send(&json!(row)).await, &[422], None, form.operation);
    }
    assert_eq!(state(&app).await, before);
}

#[tokio::test]
async fn a_body_that_is_not_sent_as_json_is_refused() {
    let app = TestApp::start().await;
    let forms = forms(&app).await;
    let before = state(&app).await;
    for form in &forms {
        for kind in [
            "",
            "text/plain",
            "text/json",
            "application/jsonx",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ] {
            let mut request = form.request().body(form.body.to_string());
            if !kind.is_empty() {
                request = request.header("content-type", kind);
            }
            let answer = Answer::read(request.send().await.unwrap()).await;
            assert_refused(answer, &[415], None, &format!("{} as {kind}", form.operation));
        }
        let compressed =
            form.request().header("content-type", "application/json").header("content-encoding", "gzip").body("\u{1f}");
        assert_refused(Answer::read(compressed.send().await.unwrap()).await, &[400], None, form.operation);
    }
    assert_eq!(state(&app).await, before);
}

#[tokio::test]
async fn a_body_over_a_mebibyte_is_too_large_whether_or_not_it_says_so() {
    let app = TestApp::start().await;
    let forms = forms(&app).await;
    let before = state(&app).await;
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(1 << 20));
    for form in &forms {
        let request = form.request().header("content-type", "application/json");
        let declared = request.try_clone().unwrap().body(large.clone());
        assert_refused(Answer::read(declared.send().await.unwrap()).await, &[413], None, form.operation);
        let pieces: Vec<_> =
            large.as_bytes().chunks(100_000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
        let streamed = request.body(reqwest::Body::wrap_stream(futures::stream::iter(pieces)));
        assert_refused(Answer::read(streamed.send().await.unwrap()).await, &[413], None, form.operation);
    }
    assert_eq!(state(&app).await, before);
}

#[tokio::test]
async fn a_refusal_arrives_although_its_large_body_was_not_read() {
    let app = TestApp::start().await;
    let body = json!({"title": "x".repeat(900_000)});
    for _ in 0..5 {
        app.anonymous().post(VIDEOS, &body).await.assert(401);
        app.acme().athlete().post(LIBRARY, &body).await.assert(403);
        app.acme().coach().post("/api/v1/nothing", &body).await.assert(404);
        app.acme().coach().put(VIDEOS, &body).await.assert(405);
    }
}
