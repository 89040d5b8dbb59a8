//! Whatever is sent, the answer is a problem document that names what is wrong, never a 5xx, and nothing is written.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sqlx::Row;

use crate::support::{Answer, TestApp, User, video::MP4};

const VIDEOS: &str = "/api/v1/videos";
const LIBRARY: &str = "/api/v1/admin/library/videos";

/// An operation that takes a body, with one that is of the right shape.
struct Form<'a> {
    user: User<'a>,
    operation: &'static str,
    path: String,
    body: Value,
    required: &'static [&'static str],
}

impl Form<'_> {
    fn request(&self) -> RequestBuilder {
        let request = self.user.app.request(self.operation.split_once(' ').unwrap().0.parse().unwrap(), &self.path);
        if self.user.token.is_empty() { request } else { request.bearer_auth(&self.user.token) }
    }

    async fn send(&self, body: &Value) -> Answer {
        Answer::read(self.request().json(body).send().await.unwrap()).await
    }

    fn with(&self, member: &str, value: Value) -> Value {
        let mut body = self.body.clone();
        body[member] = value;
        body
    }

    fn members(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.body.as_object().unwrap().iter()
    }
}

/// Every operation that takes a body.
async fn forms(app: &TestApp) -> Vec<Form<'_>> {
    let (anyone, operator, acme) = (app.anonymous(), app.operator(), app.acme());
    let (coach, athlete) = (acme.coach(), acme.athlete());
    let video = coach.add_published_video("Ours").await.id().to_owned();
    let upload = coach.begin_video(VIDEOS, "Begun", &MP4).await.0.id().to_owned();
    let library = operator.begin_video(LIBRARY, "Begun", &MP4).await.0.id().to_owned();
    let new_video = json!({"title": "T", "description": "D", "content_type": "video/mp4", "size_bytes": 5});
    let edit = json!({"title": "T", "description": "D"});
    let parts = json!({"parts": [{"number": 1, "etag": "e"}]});
    let mut forms = Vec::new();
    let mut form = |user: &User<'_>, operation: &'static str, id: &str, body: Value, required| {
        let path = operation.split_once(' ').unwrap().1.replace("{id}", id);
        forms.push(Form { user: app.with_token(user.token.clone()), operation, path, body, required });
    };
    let (email, password) = ("new@example.com", "a long password");
    let registration = json!({"email": email, "password": password, "full_name": "N", "business_name": "B", "time_zone": "UTC"});
    form(&anyone, "POST /api/v1/auth/register", "", registration, &["email", "password", "full_name"]);
    form(&anyone, "POST /api/v1/auth/confirm", "", json!({"email": email, "code": "1"}), &["email", "code"]);
    form(&anyone, "POST /api/v1/auth/resend", "", json!({"email": email}), &["email"]);
    form(&anyone, "POST /api/v1/auth/login", "", json!({"email": email, "password": password}), &["email", "password"]);
    let challenge = json!({"session": "s", "challenge": "SOFTWARE_TOKEN_MFA", "answer": "1"});
    form(&anyone, "POST /api/v1/auth/challenge", "", challenge, &["session", "challenge", "answer"]);
    form(&anyone, "POST /api/v1/auth/refresh", "", json!({"refresh_token": "r"}), &["refresh_token"]);
    form(&anyone, "POST /api/v1/auth/logout", "", json!({"refresh_token": "r"}), &["refresh_token"]);
    form(&anyone, "POST /api/v1/auth/forgot-password", "", json!({"email": email}), &["email"]);
    let reset = json!({"email": email, "code": "1", "new_password": password});
    form(&anyone, "POST /api/v1/auth/reset-password", "", reset, &["email", "code", "new_password"]);
    let acceptance = json!({"token": "t", "password": password, "full_name": "N"});
    form(&anyone, "POST /api/v1/auth/accept-invitation", "", acceptance, &["token", "password", "full_name"]);
    form(&athlete, "PATCH /api/v1/me", "", json!({"full_name": "N", "time_zone": "UTC", "units": "metric"}), &[]);
    let passwords = json!({"current_password": "x", "new_password": password});
    form(&athlete, "PUT /api/v1/me/password", "", passwords, &["current_password", "new_password"]);
    form(&acme.owner(), "PATCH /api/v1/tenant", "", json!({"name": "N", "time_zone": "UTC", "brand_color": "#000000"}), &[]);
    let change = json!({"role": "coach", "status": "disabled"});
    form(&acme.admin(), "PATCH /api/v1/members/{id}", acme.member_id("athlete"), change, &[]);
    form(&acme.admin(), "POST /api/v1/invitations", "", json!({"email": email, "role": "coach"}), &["email", "role"]);
    form(&coach, "POST /api/v1/videos", "", new_video.clone(), &["title", "content_type", "size_bytes"]);
    form(&coach, "PATCH /api/v1/videos/{id}", &video, edit.clone(), &[]);
    form(&coach, "PUT /api/v1/videos/{id}/upload", &upload, parts.clone(), &["parts"]);
    let progress = json!({"position_seconds": 1.5, "completed": true, "recorded_at": "2026-01-01T00:00:00Z"});
    form(&athlete, "POST /api/v1/videos/{id}/progress", &video, progress, &["position_seconds"]);
    form(&operator, "POST /api/v1/admin/library/videos", "", new_video, &["title", "content_type", "size_bytes"]);
    form(&operator, "PATCH /api/v1/admin/library/videos/{id}", &library, edit, &[]);
    form(&operator, "PUT /api/v1/admin/library/videos/{id}/upload", &library, parts, &["parts"]);
    forms
}

fn document() -> Value {
    serde_json::from_str(&platform::server::document().unwrap()).unwrap()
}

/// The methods of each documented path.
fn documented() -> Vec<(String, Vec<String>)> {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    paths.iter().map(|(path, item)| (path.clone(), item.as_object().unwrap().keys().map(|m| m.to_uppercase()).collect())).collect()
}

/// A digest of every row there is, the queue's included.
async fn state(app: &TestApp) -> Vec<(String, String)> {
    let mut connection = app.superuser().await;
    let tables = "select format('select %L, coalesce(md5(string_agg(x::text, '','' order by x::text)), '''') from %s x', \
                  oid::regclass, oid::regclass) from pg_class where relkind = 'r' and relname !~ 'migration' \
                  and relnamespace in ('public'::regnamespace, 'graphile_worker'::regnamespace) order by oid::regclass::text";
    let queries: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.unwrap();
    assert!(queries.len() > 10);
    let mut digests = Vec::new();
    for query in queries {
        let row = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap();
        digests.push((row.get(0), row.get(1)));
    }
    digests
}

/// A refusal of this status that names this field.
#[track_caller]
fn assert_refused(answer: Answer, statuses: &[u16], pointer: Option<&str>, what: &str) {
    assert!(statuses.contains(&answer.status.as_u16()), "{what}: {} {}", answer.status, answer.text);
    answer.assert_is_problem();
    if let Some(pointer) = pointer {
        let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
        assert!(errors.iter().any(|error| error["pointer"] == pointer), "{what}: {pointer} is not named: {}", answer.text);
    }
}

#[tokio::test]
async fn every_member_of_every_body_is_checked_and_named() {
    let app = TestApp::start().await;
    let forms = forms(&app).await;
    let takes_body = |operation: &&str| {
        let (method, path) = operation.split_once(' ').unwrap();
        document()["paths"][path][method.to_lowercase()]["requestBody"].is_object()
    };
    let with_body = documented()
        .iter()
        .flat_map(|(path, methods)| methods.iter().map(move |method| format!("{method} {path}")))
        .filter(|operation| takes_body(&operation.as_str()))
        .count();
    assert_eq!(forms.len(), with_body, "an operation that takes a body is missing from the table");

    let before = state(&app).await;
    for form in &forms {
        for (member, good) in form.members() {
            let bad = match good {
                Value::String(_) => vec![json!(7), json!(true), json!([]), json!({}), json!("x".repeat(10_240)), json!("a\u{0}b")],
                Value::Number(_) => vec![json!("7"), json!(true), json!([]), json!({}), json!(-1), json!("NaN")],
                Value::Bool(_) => vec![json!("true"), json!(1), json!([]), json!({})],
                _ => vec![json!("x"), json!(7), json!({}), json!([])],
            };
            let pointer = format!("/{member}");
            for value in bad {
                let what = format!("{} with {member} {}", form.operation, value.to_string().chars().take(30).collect::<String>());
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
        b"", b" ", b"{", b"}", b"[]", b"null", b"true", b"7", b"\"x\"", b"{'a': 1}", b"{\"a\" 1}", b"{\"a\": 1,}", b"{\"a\": NaN}",
        b"{\"a\": \"\xff\xfe\"}", b"{\"a\": \"\\ud800\"}", b"{\"a\": \"\x00\"}", b"\xef\xbb\xbf{}", b"\x1f\x8b\x08\x00",
        deep.as_bytes(), deep_member.as_bytes(),
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
        for kind in ["", "text/plain", "text/json", "application/jsonx", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            let mut request = form.request().body(form.body.to_string());
            if !kind.is_empty() {
                request = request.header("content-type", kind);
            }
            let answer = Answer::read(request.send().await.unwrap()).await;
            assert_refused(answer, &[415], None, &format!("{} as {kind}", form.operation));
        }
        let compressed = form.request().header("content-type", "application/json").header("content-encoding", "gzip").body("\u{1f}");
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
        let pieces: Vec<_> = large.as_bytes().chunks(100_000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
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

#[tokio::test]
async fn people_write_in_any_script_and_nobody_turns_the_text_around_theirs() {
    let app = TestApp::start().await;
    let (athlete, coach) = (app.acme().athlete(), app.acme().coach());
    let video = format!("{VIDEOS}/{}", coach.add_published_video("Plain").await.id());
    for text in ["Žofie 💪🏽", "山田太郎", "محمد بن سلمان", "שלום", "O'Brien; drop table member; --", "<script>alert(1)</script>", "%00 \\u0000 {{7*7}}"] {
        assert_eq!(athlete.patch("/api/v1/me", &json!({"full_name": text})).await.assert(200).body["full_name"], text);
        assert_eq!(coach.patch(&video, &json!({"title": text})).await.assert(200).body["title"], text);
    }
    let before = state(&app).await;
    for text in ["", " \u{a0} ", "a\nb", "a\u{1b}[31mb", "gpj.\u{202e}exe", "\u{2066}a", "\u{feff}a", &"é".repeat(201), &"💪".repeat(2560)] {
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
        let request = app.request(Method::POST, path).bearer_auth(&user.token).header("content-type", "application/json");
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
    for time in ["1999-12-31T23:59:59Z", "-0001-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "yesterday", "2026-01-01", "+999999-01-01T00:00:00Z"] {
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
        let answer = send(&progress, format!("{{\"position_seconds\": {number}, \"recorded_at\": \"9999-12-31T23:59:59Z\"}}")).await;
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
