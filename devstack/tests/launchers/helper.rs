//! A launcher in a process of its own, which tests kill, and a look at what runs on this machine.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use devstack::{
    ministack::{MiniStack, MiniStackOptions},
    ports::Port,
    postgres::{Postgres, PostgresOptions, Profile},
    redis::Redis,
};

const WHAT: &str = "FFP_TEST_LAUNCH";
const DATA_DIR: &str = "FFP_TEST_DATA_DIR";

/// What the process launches.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Launch {
    Postgres,
    ThrowawayPostgres,
    MiniStack,
    Redis,
}

/// A process that launched a server and waits to be killed.
#[derive(Debug)]
pub(crate) struct Launcher {
    process: Child,
    /// Its superuser's URL, or the emulator's endpoint.
    pub(crate) url: String,
}

impl Launcher {
    /// Runs this very test program again, as another user if wanted, with one test that only launches.
    pub(crate) fn start(what: Launch, data_dir: &Path, user: Option<u32>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "helper::launches_and_waits_to_be_killed", "--ignored", "--nocapture"])
            .env(WHAT, format!("{what:?}"))
            .env(DATA_DIR, data_dir)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if let Some(user) = user {
            command.uid(user).gid(user).env("HOME", "/nonexistent");
        }
        Self::wait_for(command)
    }

    /// The same under some variables.
    pub(crate) fn start_with(what: Launch, data_dir: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = command(what, data_dir);
        command.envs(variables.iter().copied());
        Self::wait_for(command)
    }

    fn wait_for(mut command: Command) -> Self {
        let mut launcher = Self { process: command.spawn().unwrap(), url: String::new() };
        let mut output = BufReader::new(launcher.process.stdout.take().unwrap());
        let mut said = String::new();
        loop {
            let mut line = String::new();
            if output.read_line(&mut line).unwrap() == 0 {
                launcher.kill();
                panic!("the launcher failed: {said}");
            }
            if let Some((_, url)) = line.split_once("ready at ") {
                url.trim().clone_into(&mut launcher.url);
                std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
                return launcher;
            }
            said.push_str(&line);
        }
    }

    /// What a launcher says that is to fail under these variables.
    pub(crate) fn failure(what: Launch, data_dir: &Path, variables: &[(&str, &str)]) -> String {
        let output = command(what, data_dir).envs(variables.iter().copied()).stderr(Stdio::piped()).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn command(what: Launch, data_dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "helper::launches_and_waits_to_be_killed", "--ignored", "--nocapture"])
        .env(WHAT, format!("{what:?}"))
        .env(DATA_DIR, data_dir)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

#[tokio::test]
#[ignore = "only launches a server for another test to kill"]
#[allow(clippy::print_stdout)]
async fn launches_and_waits_to_be_killed() {
    let Ok(what) = std::env::var(WHAT) else {
        return;
    };
    let data_dir = PathBuf::from(std::env::var_os(DATA_DIR).unwrap());
    let durable = PostgresOptions { data_dir: data_dir.clone(), port: Port::Any, profile: Profile::Durable };
    match what.as_str() {
        "Postgres" => hold(Postgres::start(durable).await.unwrap(), |server| server.admin_url("postgres")).await,
        "ThrowawayPostgres" => hold(Postgres::throwaway().await.unwrap(), |server| server.admin_url("postgres")).await,
        "Redis" => hold(Redis::start().await.unwrap(), Redis::url).await,
        _ => {
            let options = MiniStackOptions { port: Port::Any, data_dir: Some(data_dir) };
            hold(MiniStack::start(options).await.unwrap(), MiniStack::endpoint).await;
        }
    }
}

#[allow(clippy::print_stdout)]
async fn hold<T>(server: T, url: impl Fn(&T) -> String) {
    println!("ready at {}", url(&server));
    std::future::pending::<()>().await;
}

/// The command lines of all processes, but this one, that mention a text.
pub(crate) fn processes_mentioning(text: &str) -> Vec<String> {
    let output = Command::new("ps").args(["-ww", "-A", "-o", "pid=,command="]).output().unwrap();
    let ourselves = std::process::id().to_string();
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| line.contains(text) && line.split_whitespace().next() != Some(&ourselves))
        .map(ToOwned::to_owned)
        .collect()
}

/// Waits until something holds, for as long as stopping a server may take.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(40), "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A directory that unprivileged accounts can enter.
pub(crate) fn open_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(dir.path(), open).unwrap();
    dir
}

/// Whether this runs as root.
pub(crate) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}
