//! Values of the right type that nobody means well with, and tokens of every broken kind.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    VIDEOS,
    forms::{assert_refused, state},
};
use crate::support::{Answer, TestApp, video::MP4};

#[tokio::test]
async fn people_write_in_any_script_and_nobody_turns_the_text_around_theirs() {
    let app = TestApp::start().await;
    let (athlete, coach) = (app.acme().athlete(), app.acme().coach());
    let video = format!("{VIDEOS}/{}", coach.add_published_video("Plain").await.id());
    for text in [
        "Žofie 💪🏽",
        "山田太郎",
        "محمد بن سلمان",
        "שלום",
        "O'Brien; drop table member; --",
        "<script>alert(1)</script>",
        "%00 \\u0000 {{7*7}}",
    ] {
        assert_eq!(athlete.patch("/api/v1/me", &json!({"full_name": text})).await.assert(200).body["full_name"], text);
        assert_eq!(coach.patch(&video, &json!({"title": text})).await.assert(200).body["title"], text);
    }
    let before = state(&app).await;
    for text in [
        "",
        " \u{a0} ",
        "a\nb",
        "a\u{1b}[31mb",
        "gpj.\u{202e}exe",
        "\u{2066}a",
        "\u{feff}a",
        &"é".repeat(201),
        &"💪".repeat(2560),
    ] {
        athlete.patch("/api/v1/me", &json!({"full_name": text})).await.assert(422).assert_names("/full_name");
        app.acme().owner().patch("/api/v1/tenant", &json!({"name": text})).await.assert(422).assert_names("/name");
        coach.patch(&video, &json!({"title": text})).await.assert(422).assert_names("/title");
    }
    coach.patch(&video, &json!({"description": "💪".repeat(5001)})).await.assert(422).assert_names("/description");
    assert_eq!(state(&app).await, before);
}

#[tokio::test]
async fn absurd_numbers_and_times_are_refused_or_held_to_the_video() {
    let app = TestApp::start().await;
    let video = app.acme().coach().add_published_video("Short").await;
    let progress = format!("{VIDEOS}/{}/progress", video.id());
    let send = async |path: &str, body: String| {
        let user = app.acme().coach();
        let request =
            app.request(Method::POST, path).bearer_auth(&user.token).header("content-type", "application/json");
        Answer::read(request.body(body).send().await.unwrap()).await
    };
    for number in ["NaN", "Infinity", "-Infinity", "1e999", "-0.1", "-1", "+1", "\"1\"", "null", &"9".repeat(400)] {
        let answer = send(&progress, format!("{{\"position_seconds\": {number}}}")).await;
        assert_refused(answer, &[400, 422], Some("/position_seconds"), number);
    }
    for broken in ["0x10", "1_000", "01", "1.", "1e"] {
        let answer = send(&progress, format!("{{\"position_seconds\": {broken}}}")).await;
        assert_refused(answer, &[400], None, broken);
    }
    for time in [
        "1999-12-31T23:59:59Z",
        "-0001-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "yesterday",
        "2026-01-01",
        "+999999-01-01T00:00:00Z",
    ] {
        let answer = send(&progress, json!({"position_seconds": 1, "recorded_at": time}).to_string()).await;
        assert_refused(answer, &[422], Some("/recorded_at"), time);
    }
    for size in ["0", "-1", "1.5", "10737418241", "9223372036854775808", "1e30", "1e999", "null"] {
        let body = format!("{{\"title\": \"T\", \"content_type\": \"video/mp4\", \"size_bytes\": {size}}}");
        assert_refused(send(VIDEOS, body).await, &[400, 422], Some("/size_bytes"), size);
    }
    assert_eq!(app.count("select count(*) from video_progress").await, 0);
    assert_eq!(app.count("select count(*) from video").await, 1);
    let duration = &video.body["duration_seconds"];
    for number in ["1e308", "-0.0", "99999999999999999999999999", "0.00000000000000000000000000001"] {
        let answer =
            send(&progress, format!("{{\"position_seconds\": {number}, \"recorded_at\": \"9999-12-31T23:59:59Z\"}}"))
                .await;
        let kept = answer.assert(200).body["position_seconds"].as_f64().unwrap();
        assert!((0.0..=duration.as_f64().unwrap()).contains(&kept), "{number} became {kept}");
    }
}

#[tokio::test]
async fn a_list_of_parts_is_checked_part_by_part() {
    let app = TestApp::start().await;
    let coach = app.acme().coach();
    let (made, parts) = coach.begin_video(VIDEOS, "Parts", &MP4).await;
    let path = format!("{VIDEOS}/{}/upload", made.id());
    let before = state(&app).await;
    for (parts, pointer) in [
        (json!([]), "/parts"),
        (json!([[1, "e"]]), "/parts/0"),
        (json!([{"number": 1}]), "/parts/0/etag"),
        (json!([{"number": 1, "etag": "e", "size": 5}]), "/parts/0/size"),
        (json!([{"number": 1, "etag": ""}]), "/parts/0/etag"),
        (json!([{"number": 1, "etag": "<Part/>\n"}]), "/parts/0/etag"),
        (json!([{"number": 0, "etag": "e"}]), "/parts/0/number"),
        (json!([{"number": 2_147_483_648_i64, "etag": "e"}]), "/parts/0/number"),
        (json!([parts[0], parts[0]]), "/parts/1/number"),
        (json!([parts[0], {"number": 2, "etag": "e"}]), "/parts/1/number"),
        (json!(vec![json!({"number": 1, "etag": "e"}); 1281]), "/parts"),
        (json!([{"number": 1, "etag": "\"d41d8cd98f00b204e9800998ecf8427e\""}]), "/parts"),
    ] {
        let answer = coach.put(&path, &json!({ "parts": parts })).await;
        assert_refused(answer, &[422], Some(pointer), &parts.to_string().chars().take(60).collect::<String>());
    }
    assert_eq!(state(&app).await, before);
    // The upload is still open, and completes.
    coach.put(&path, &json!({ "parts": parts })).await.assert(200);
}

#[tokio::test]
async fn tokens_of_every_broken_kind_open_nothing() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
    let app = TestApp::start().await;
    let good = app.acme().owner().token;
    let parts: Vec<&str> = good.split('.').collect();
    let header = |json: Value| BASE64.encode(json.to_string());
    let claims = |change: &dyn Fn(&mut Value)| {
        let mut claims: Value = serde_json::from_slice(&BASE64.decode(parts[1]).unwrap()).unwrap();
        change(&mut claims);
        BASE64.encode(claims.to_string())
    };
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let globex = app.globex().tenant_id();
    for authorization in [
        String::new(),
        "Bearer".into(),
        "Bearer ".into(),
        good.clone(),
        format!("Basic {good}"),
        format!("Bearer {good} {good}"),
        format!("Bearer {good}."),
        format!("Bearer {head}.{body}"),
        format!("Bearer {head}.{body}."),
        format!("Bearer {}.{body}.", header(json!({"alg": "none"}))),
        format!("Bearer {}.{body}.{signature}", header(json!({"alg": "HS256", "kid": "x"}))),
        format!("Bearer {head}.{}.{signature}", claims(&|claims| claims["custom:tenantId"] = json!(globex))),
        format!("Bearer {head}.{}.{signature}", claims(&|claims| claims["exp"] = json!(9_999_999_999_i64))),
        format!("Bearer {}.{}.{}", "A".repeat(3000), "B".repeat(3000), "C".repeat(3000)),
        "Bearer ../../etc/passwd".into(),
    ] {
        let request = app.request(Method::GET, "/api/v1/me").header("authorization", &authorization);
        Answer::read(request.send().await.unwrap()).await.assert_problem(401, "unauthenticated");
    }
    let bytes = reqwest::header::HeaderValue::from_bytes(b"Bearer \xff\xfe").unwrap();
    let request = app.request(Method::GET, "/api/v1/me").header("authorization", bytes);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    // The scheme's name is case-insensitive (RFC 9110, 11.1), and the token is good.
    let request = app.request(Method::GET, "/api/v1/me").header("authorization", format!("bearer {good}"));
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
}
