//! Schemathesis reads the served OpenAPI document and calls every operation with what fits it and with what does not:
//! as an owner, as an operator and without a token. It finds no 5xx, no status, content type, header or shape that is
//! not documented, no malformed request that is accepted, and nothing that works without the token it asks for.
//!
//! Runs are repeatable: the seed is fixed and nothing is remembered between them.

use std::{fmt::Write, path::PathBuf, process::Output};

use serde_json::{Value, json};
use tokio::{process::Command, sync::OnceCell};

use crate::support::{
    TestApp, User,
    video::{MP4, announcement},
};

const VIDEOS: &str = "/api/v1/videos";
const LIBRARY: &str = "/api/v1/admin/library/videos";
const SEED: &str = "20";
/// Requests per operation in the random phase; the systematic ones come on top of them.
const EXAMPLES: &str = "15";
/// What the document allows and the state of things refuses (a code that is not the mailed one, an entity tag of
/// yesterday) is refused with statuses that this check takes for defects.
const NOT_CHECKED: &str = "positive_data_acceptance";

/// These end the caller's sessions, and with them the run: they have runs, and callers, of their own.
const ENDING: [&str; 2] = ["/api/v1/me/password", "/api/v1/me/sessions"];

static PYTHON: OnceCell<Result<PathBuf, devstack::Error>> = OnceCell::const_new();

/// An interpreter that has Schemathesis, or none with a printed reason.
async fn python() -> Option<&'static PathBuf> {
    let find = || devstack::venv::ensure(include_str!("../requirements-fuzz.txt"));
    match PYTHON.get_or_init(find).await {
        Ok(python) => Some(python),
        Err(error) => {
            assert!(std::env::var("CI_REQUIRE").as_deref() != Ok("all"), "CI_REQUIRE=all, but: {error}");
            println!("skipped: fuzzing, since Schemathesis can't be installed ({error})");
            None
        }
    }
}

/// Values that Schemathesis takes now and then instead of its own inventions: without ids of things that exist it
/// would see nothing but 404.
#[derive(Default)]
struct Known(String);

impl Known {
    /// For the parameters so named of all operations.
    fn parameter(&mut self, parameter: &str, values: &[&str]) {
        self.add(None, parameter, values);
    }

    /// For the ids in paths that match.
    fn ids(&mut self, methods: &[&str], path: &str, values: &[&str]) {
        self.add(Some((methods, path)), "path.id", values);
    }

    fn add(&mut self, operations: Option<(&[&str], &str)>, parameter: &str, values: &[&str]) {
        let name = format!("known_{}", self.0.len());
        let bound = format!("{{ {parameter:?} = {{ dictionary = {name:?}, probability = 0.7 }} }}");
        match operations {
            Some((methods, path)) => {
                let methods = json!(methods);
                write!(
                    self.0,
                    "[[operations]]\ninclude-method = {methods}\ninclude-path-regex = '{path}'\nparameters = {bound}\n"
                )
            }
            None => write!(self.0, "[parameters.{parameter:?}]\ndictionary = {name:?}\nprobability = 0.7\n"),
        }
        .unwrap();
        writeln!(self.0, "[dictionaries.{name}]\nvalues = {}", json!(values)).unwrap();
    }
}

/// Runs Schemathesis against the app, with this token, if any. Panics with what it found.
async fn fuzz(app: &TestApp, token: &str, known: &Known, options: &[&str]) -> Option<Value> {
    let python = python().await?;
    // It sends more than any business does.
    app.by_hand("update tenant set requests_per_minute = 1000000").await;
    let dir = tempfile::tempdir().unwrap();
    let header =
        if token.is_empty() { String::new() } else { format!("headers = {{ Authorization = \"Bearer {token}\" }}\n") };
    std::fs::write(dir.path().join("schemathesis.toml"), header + &known.0).unwrap();
    let Output { status, stdout, stderr } = Command::new(python)
        .args(["-I", "-m", "schemathesis.cli", "run", &format!("{}/openapi.json", app.base)])
        .args(["--exclude-checks", NOT_CHECKED, "--seed", SEED, "--max-examples", EXAMPLES])
        .args([
            "--generation-database",
            "none",
            "--request-timeout",
            "30",
            "--no-color",
            "--report-json-path",
            "report.json",
        ])
        .args(options)
        .current_dir(dir.path())
        .env("NO_PROXY", "127.0.0.1")
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let (stdout, stderr) = (readable(&stdout), readable(&stderr));
    assert!(status.success(), "{stdout}\n{stderr}");
    let report: Value = serde_json::from_slice(&std::fs::read(dir.path().join("report.json")).unwrap()).unwrap();
    assert_eq!(report["complete"], true, "{stdout}");
    assert_eq!(report["operations"]["tested"], report["operations"]["selected"], "{stdout}");
    println!("{} operations, {} requests", report["operations"]["tested"], report["test_cases"]["generated"]);
    Some(report)
}

/// The output, its longest lines cut: a request of 1280 parts says enough by its beginning.
fn readable(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    text.lines().map(|line| line.chars().take(1000).chain(['\n']).collect::<String>()).collect()
}

/// The operations that let nobody past: a run to which nothing opens proves nothing.
fn closed(report: &Value) -> Vec<&str> {
    report["warnings"]["missing_auth"].as_array().unwrap().iter().map(|operation| operation.as_str().unwrap()).collect()
}

/// Ids of videos in every state: ready and published, half uploaded, refused; and of some to delete.
async fn videos(user: &User<'_>, base: &str) -> (Vec<String>, Vec<String>, String) {
    let ready = user.add_video_to(base, "Ready").await;
    user.put_empty(&format!("{base}/{}/publication", ready.id())).await.assert(200);
    let (begun, parts) = user.begin_video(base, "Begun", &MP4).await;
    let (refused, text) = user.begin_video(base, "Refused", b"not a video").await;
    user.put(&format!("{base}/{}/upload", refused.id()), &json!({ "parts": text })).await.assert(422);
    let mut doomed = Vec::new();
    for title in ["One", "Two", "Three", "Four"] {
        doomed.push(user.post(base, &announcement(title, b"x")).await.assert(201).id().to_owned());
    }
    let lasting = [&ready, &begun, &refused].map(|video| video.id().to_owned());
    (lasting.into(), doomed, parts[0]["etag"].as_str().unwrap().to_owned())
}

fn texts(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

fn but_for_endings() -> Vec<&'static str> {
    ENDING.iter().flat_map(|path| ["--exclude-path", path]).collect()
}

#[tokio::test]
async fn nothing_an_owner_sends_meets_an_undocumented_answer() {
    let app = TestApp::start().await;
    if python().await.is_none() {
        return;
    }
    let person = app.register_business(&app.fresh_email("fuzz"), "Fuzzed").await;
    let owner = app.with_token(&person.id_token);
    let mut members = Vec::new();
    for role in ["athlete", "athlete", "coach"] {
        members.push(app.invite_and_accept(&person, &app.fresh_email(role), role).await.member_id);
    }
    let mut invitations = Vec::new();
    for _ in 0..4 {
        let body = json!({"email": app.fresh_email("invited"), "role": "athlete"});
        invitations.push(owner.post("/api/v1/invitations", &body).await.assert(201).id().to_owned());
    }
    let (lasting, doomed, etag) = videos(&owner, VIDEOS).await;
    let mut known = Known::default();
    known.parameter("header.If-Match", &["\"v1\"", "\"v2\"", "*"]);
    known.parameter("body.time_zone", &["Europe/Berlin", "UTC"]);
    known.parameter("body.email", &[&person.email, "somebody.new@example.com"]);
    known.parameter("body.parts[*].etag", &[&etag]);
    known.ids(&["GET", "PUT", "POST", "PATCH"], "/videos/", &texts(&lasting));
    known.ids(&["DELETE"], "/videos/", &texts(&doomed));
    known.ids(&["GET", "PATCH"], "/members/", &[&person.member_id, &members[0], &members[1]]);
    known.ids(&["DELETE"], "/members/", &[&members[2]]);
    known.ids(&["POST"], "/invitations/", &[&invitations[0], &invitations[1]]);
    known.ids(&["DELETE"], "/invitations/", &[&invitations[2], &invitations[3]]);
    let Some(report) = fuzz(&app, &person.id_token, &known, &but_for_endings()).await else {
        return;
    };
    assert!(closed(&report).iter().all(|operation| operation.contains("/api/v1/admin/")), "{report}");
}

#[tokio::test]
async fn nothing_an_operator_sends_meets_an_undocumented_answer() {
    let app = TestApp::start().await;
    if python().await.is_none() {
        return;
    }
    let operator = app.operator();
    let (lasting, doomed, etag) = videos(&operator, LIBRARY).await;
    let mut known = Known::default();
    known.parameter("header.If-Match", &["\"v1\"", "\"v2\"", "*"]);
    known.parameter("body.parts[*].etag", &[&etag]);
    known.ids(&["GET", "PUT", "POST", "PATCH"], "/videos/", &texts(&lasting));
    known.ids(&["DELETE"], "/videos/", &texts(&doomed));
    known.ids(&["GET", "PUT", "DELETE"], "/tenants/", &[app.acme().tenant_id(), app.globex().tenant_id()]);
    known.parameter("query.tenant_id", &[app.acme().tenant_id()]);
    let Some(report) = fuzz(&app, &operator.token, &known, &but_for_endings()).await else {
        return;
    };
    assert!(closed(&report).iter().all(|operation| !operation.contains("/api/v1/admin/")), "{report}");
}

#[tokio::test]
async fn nothing_that_is_sent_without_a_token_meets_an_undocumented_answer() {
    let app = TestApp::start().await;
    if python().await.is_none() {
        return;
    }
    let acme = app.acme();
    let video = acme.coach().add_published_video("Acme's").await;
    let mut known = Known::default();
    known.parameter("body.time_zone", &["Europe/Berlin", "UTC"]);
    known.parameter("body.email", &["somebody.new@example.com", "another@example.com"]);
    known.parameter("body.refresh_token", &[&acme.details("owner").access_token]);
    known.ids(&["GET", "PUT", "POST", "PATCH", "DELETE"], "/videos/", &[video.id()]);
    known.ids(&["GET", "PATCH", "DELETE"], "/members/", &[acme.member_id("athlete")]);
    let Some(report) = fuzz(&app, "", &known, &[]).await else {
        return;
    };
    assert!(closed(&report).iter().all(|operation| !operation.contains("/api/v1/auth/")), "{report}");
}

#[tokio::test]
async fn changing_passwords_and_signing_out_meet_no_undocumented_answer() {
    let app = TestApp::start().await;
    for path in ENDING {
        let person = app.register_individual(&app.fresh_email("fuzz")).await;
        if fuzz(&app, &person.id_token, &Known::default(), &["--include-path", path]).await.is_none() {
            return;
        }
    }
}
