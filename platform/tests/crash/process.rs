//! `platform api` and `platform worker` as processes of their own, which can die.

use std::{
    collections::HashMap,
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    task::JoinHandle,
    time::sleep,
};

/// How long one waits for a process to start, to work or to end; far beyond what any of it takes.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often one looks.
pub const GLANCE: Duration = Duration::from_millis(20);
/// `abort` ends a process by this signal.
const SIGABRT: i32 = 6;

/// A running `platform`, killed when this is dropped.
pub struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a command in this environment and no other; with a fault it dies behind that call.
    pub fn start(command: &str, environment: &HashMap<String, String>, fault: Option<&str>) -> Self {
        let inherited = ["PATH", "HOME", "TMPDIR"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut child = Command::new(env!("CARGO_BIN_EXE_platform"))
            .arg(command)
            .env_clear()
            .envs(inherited)
            .env("FFP_LOG", "warn,platform::faults=trace")
            .envs(environment)
            .envs(fault.map(|fault| ("FFP_FAULT", fault)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = Arc::default();
        let readers =
            vec![collect(child.stdout.take().unwrap(), &lines), collect(child.stderr.take().unwrap(), &lines)];
        Self { child, lines, readers }
    }

    /// The API, once it is ready; its address.
    pub async fn api(environment: &HashMap<String, String>, fault: Option<&str>) -> (Self, String) {
        loop {
            let addr = format!("127.0.0.1:{}", devstack::ports::free().unwrap());
            let mut environment = environment.clone();
            environment.insert("FFP_HTTP_ADDR".to_owned(), addr.clone());
            let mut process = Self::start("api", &environment, fault);
            if process.is_ready(&format!("http://{addr}/readyz")).await {
                return (process, format!("http://{addr}"));
            }
            // Somebody else got the port; anything else is no reason to try again.
            assert!(process.output().contains("cannot listen"), "{}", process.output());
        }
    }

    async fn is_ready(&mut self, url: &str) -> bool {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let ready = async {
            while !client.get(url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                if self.has_ended() {
                    return false;
                }
                sleep(GLANCE).await;
            }
            true
        };
        let ready = tokio::time::timeout(PATIENCE, ready).await;
        ready.unwrap_or_else(|_| panic!("never ready: {}", self.output()))
    }

    /// Whether it runs no more.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its death by the fault.
    pub async fn dies_of_its_fault(mut self) {
        let status = self.end().await;
        assert_eq!(status.signal(), Some(SIGABRT), "it ended otherwise ({status}): {}", self.output());
    }

    /// Kills it, as `kill -9` does.
    pub async fn kill(mut self) {
        self.child.start_kill().unwrap();
        self.end().await;
    }

    /// Stops it with SIGTERM and answers which points it passed, in order.
    pub async fn stop(self) -> Vec<String> {
        self.finish().await.iter().filter_map(|line| passed(line)).collect()
    }

    /// Stops it with SIGTERM and answers all lines that it wrote.
    pub async fn finish(mut self) -> Vec<String> {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        assert!(sent.success());
        let status = self.end().await;
        assert!(status.success(), "it did not stop well ({status}): {}", self.output());
        for reader in &mut self.readers {
            reader.await.unwrap();
        }
        std::mem::take(&mut *self.lines.lock().unwrap())
    }

    async fn end(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("it runs on: {}", self.output())).unwrap()
    }

    /// What it wrote so far.
    pub fn output(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }
}

fn collect(stream: impl AsyncRead + Unpin + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    tokio::spawn(async move {
        let mut stream = BufReader::new(stream).lines();
        while let Ok(Some(line)) = stream.next_line().await {
            lines.lock().unwrap().push(line);
        }
    })
}

/// The point that a line of the log says was passed.
fn passed(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let point = (line["target"] == "platform::faults").then(|| line["point"].as_str())??;
    Some(point.to_owned())
}
