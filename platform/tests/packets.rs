//! How often PostgreSQL is written to before an answer is, by the system calls of the real binary: once for a hot read,
//! twice for any other. Counted by strace, so nothing here depends on speed.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, unreachable_pub)]
// Tests look behind the walls as a superuser; the product never does.
#![allow(clippy::disallowed_types)]

#[allow(dead_code, unused_imports, reason = "the API tests use the rest of it")]
#[path = "api/support/mod.rs"]
mod support;

use std::{
    collections::HashMap,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use support::{TestApp, stack, stack::environment};

/// How often each read is asked for. The fewest packets count: by then the member is known, and each connection has
/// the statement; what the process does besides, it does not do every time.
const TRIES: usize = 8;
/// The hot reads.
const HOT: [&str; 4] =
    ["/api/v1/videos", "/api/v1/videos/{id}", "/api/v1/videos/{id}/stream", "/api/v1/videos/{id}/progress"];

#[tokio::test]
async fn a_hot_read_sends_one_packet_before_its_answer_and_any_other_read_two() {
    if let Some(reason) = cannot_trace() {
        println!("skipped: counting packets, since strace {reason}");
        return;
    }
    let app = TestApp::start().await;
    let reads = reads(&app).await;
    let owner = app.acme().owner();
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace");
    let (server, base) = Traced::start(&app, &trace).await;
    for (at, (template, path)) in reads.iter().enumerate() {
        for number in 0..TRIES {
            let request = app.http.get(format!("{base}{path}")).bearer_auth(&owner.token);
            let answer = request.header("x-request-id", format!("packets-{at}-{number}")).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{template}");
            answer.bytes().await.unwrap();
        }
    }
    server.stop();

    let trace = String::from_utf8_lossy(&std::fs::read(&trace).unwrap()).into_owned();
    let sent = packets(&trace, stack().server.postgres().port());
    for (at, (template, _)) in reads.iter().enumerate() {
        let counts: Vec<usize> = (0..TRIES).map(|number| sent[&format!("packets-{at}-{number}")]).collect();
        let fewest = *counts.iter().min().unwrap();
        if HOT.contains(&template.as_str()) {
            assert_eq!(fewest, 1, "{template}: {counts:?}");
        } else {
            assert!(fewest <= 2, "{template}: {counts:?}");
        }
    }
}

/// Every read that members have, by its template, with a path that is answered 200.
async fn reads(app: &TestApp) -> Vec<(String, String)> {
    let owner = app.acme().owner();
    let video = owner.add_published_video("Squats").await;
    let announced = json!({"title": "Later", "content_type": "video/mp4", "size_bytes": 5});
    let begun = owner.post("/api/v1/videos", &announced).await.assert(201);
    let document: Value = serde_json::from_str(&platform::server::document().unwrap()).unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    let members = paths.filter(|(_, methods)| methods["get"]["security"][0].get("member").is_some());
    let reads = members.map(|(template, _)| {
        let id = match template.as_str() {
            "/api/v1/videos/{id}/upload" => begun.id(),
            path if path.starts_with("/api/v1/videos/") => video.id(),
            "/api/v1/members/{id}" => app.acme().member_id("coach"),
            path => {
                assert!(!path.contains('{'), "{path} needs an id here");
                ""
            }
        };
        (template.clone(), template.replace("{id}", id))
    });
    let reads: Vec<_> = reads.collect();
    assert!(HOT.iter().all(|hot| reads.iter().any(|(template, _)| template == hot)), "{reads:?}");
    reads
}

/// Why nothing can be counted here.
fn cannot_trace() -> Option<String> {
    match Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output() {
        Err(error) => Some(format!("is not installed ({error})")),
        Ok(tried) if !tried.status.success() => {
            Some(format!("may not trace here ({})", String::from_utf8_lossy(&tried.stderr).trim()))
        }
        Ok(_) => None,
    }
}

/// `platform api` under strace. Both end when this is dropped.
struct Traced {
    strace: Child,
}

impl Traced {
    /// Serves the database of `app`, with two connections in each pool: few requests find a statement unprepared.
    async fn start(app: &TestApp, trace: &Path) -> (Self, String) {
        let mut variables: HashMap<String, String> = environment(&stack().basis(), &app.database_name, &app.base);
        let addr = format!("127.0.0.1:{}", devstack::ports::free().unwrap());
        let base = format!("http://{addr}");
        variables.extend([
            ("FFP_HTTP_ADDR".to_owned(), addr),
            ("FFP_PUBLIC_URL".to_owned(), base.clone()),
            ("FFP_DATABASE_CONNECTIONS".to_owned(), "2".to_owned()),
            ("FFP_HOT_DATABASE_CONNECTIONS".to_owned(), "2".to_owned()),
        ]);
        let inherited = ["PATH", "HOME", "TMPDIR"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let strace = Command::new("strace")
            // Sockets by their addresses, and enough of a text to see an answer's headers.
            .args(["-f", "-qq", "-yy", "-s", "1024", "-e", "trace=write,writev,sendto,sendmsg", "-o"])
            .arg(trace)
            .args([env!("CARGO_BIN_EXE_platform"), "api"])
            .env_clear()
            .envs(inherited)
            .envs(variables)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut traced = Self { strace };
        let ready = async {
            while !app.http.get(format!("{base}/readyz")).send().await.is_ok_and(|answer| answer.status() == 200) {
                assert!(traced.strace.try_wait().unwrap().is_none(), "the server ended");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), ready).await.expect("the server is ready");
        (traced, base)
    }

    fn stop(mut self) {
        self.signal("-TERM");
        assert!(self.strace.wait().unwrap().success(), "it drained");
    }

    /// Sends the traced process a signal; strace ends with it.
    fn signal(&self, signal: &str) {
        let id = self.strace.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        for child in children.split_whitespace() {
            let _ = Command::new("kill").args([signal, child]).status();
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        if let Ok(None) = self.strace.try_wait() {
            self.signal("-KILL");
            let _ = self.strace.wait();
        }
    }
}

/// How an earlier read ends, behind its answer: sqlx's ROLLBACK, and the ping by which it takes a connection back.
const ENDS: [&str; 2] = [r#", "Q\0\0\0\rROLLBACK\0""#, r#", "S\0\0\0\4""#];

/// How many packets went to PostgreSQL between one answer and the next, by the id of the request that was answered.
fn packets(trace: &str, postgres: u16) -> HashMap<String, usize> {
    let database = format!("->127.0.0.1:{postgres}]>");
    let (mut sent, mut count) = (HashMap::new(), 0);
    // A call that another thread interrupts takes two lines; the first one counts.
    for line in trace.lines().filter(|line| !line.contains(" resumed>")) {
        if line.contains(&database) {
            count += usize::from(!ENDS.iter().any(|end| line.contains(end)));
        } else if let Some((_, rest)) = line.split_once("x-request-id: ") {
            let id = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            sent.insert(id, count);
            count = 0;
        }
    }
    sent
}
