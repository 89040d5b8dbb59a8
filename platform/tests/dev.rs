//! `platform dev`, as `make run` starts it: to "ready" on an empty directory, through the README's own commands, and
//! away again without a trace, also when it is killed.
#![cfg(feature = "dev")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use devstack::ports;

/// A directory and four ports of its own.
struct Machine {
    dir: tempfile::TempDir,
    ports: [u16; 4],
}

impl Machine {
    fn new() -> Self {
        // Started as root, PostgreSQL drops to a user that must reach its data: not below a private home.
        let dir = tempfile::Builder::new().prefix("ffp-dev-").tempdir().unwrap();
        Self { dir, ports: std::array::from_fn(|_| ports::free().unwrap()) }
    }

    fn command(&self, subcommand: &str) -> Command {
        let [http, metrics, postgres, aws] = self.ports;
        let mut command = Command::new(env!("CARGO_BIN_EXE_platform"));
        command
            .arg(subcommand)
            .current_dir(self.dir.path())
            .env("FFP_DATA_DIR", self.dir.path().join("data"))
            .env("FFP_HTTP_ADDR", format!("127.0.0.1:{http}"))
            .env("FFP_METRICS_ADDR", format!("127.0.0.1:{metrics}"))
            .env("FFP_POSTGRES_PORT", postgres.to_string())
            .env("FFP_AWS_PORT", aws.to_string());
        command
    }

    /// Starts it and waits for "ready"; answers the process and what it printed.
    fn start(&self) -> (Child, String) {
        let mut child = self.command("dev").stdout(Stdio::piped()).spawn().unwrap();
        let mut printed = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        while !printed.contains("stop with Ctrl-C") {
            let read = lines.read_line(&mut printed).unwrap();
            assert!(read > 0, "it ended before it was ready:\n{printed}");
        }
        // Whoever prints to a closed pipe later must not fail: keep it open.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        (child, printed)
    }

    fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// Waits until no process of this directory is left and the ports are free again.
    fn wait_until_gone(&self) {
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            let left = self.processes();
            if left.is_empty() && self.ports.iter().all(|port| ports::is_free(*port)) {
                return;
            }
            assert!(Instant::now() < patience, "still there: {left:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn processes(&self) -> Vec<String> {
        let own = self.dir.path().to_str().unwrap();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let commands = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        commands
            .map(|command| String::from_utf8_lossy(&command).replace('\0', " "))
            .filter(|command| command.contains(own))
            .collect()
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// The commands of the README's "Try it with curl", for this machine's address.
fn walkthrough(base: &str) -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = fs::read_to_string(readme).unwrap();
    let block = text.split("```sh\n").find(|block| block.starts_with("BASE=")).expect("the README has the block");
    let (commands, _) = block.split_once("```").unwrap();
    format!("set -eu -o pipefail\n{}", commands.replace("http://127.0.0.1:8080", base))
}

#[test]
fn everything_starts_on_an_empty_machine_does_what_the_readme_says_and_leaves_nothing_running() {
    let machine = Machine::new();
    let (mut child, printed) = machine.start();
    for expected in [machine.base().as_str(), "olivia@demo-gym.example", "operator@ffp.example"] {
        assert!(printed.contains(expected), "{expected} is not printed:\n{printed}");
    }
    let script: PathBuf = machine.dir.path().join("walkthrough.sh");
    fs::write(&script, walkthrough(&machine.base())).unwrap();
    let walked = Command::new("bash").arg(&script).current_dir(machine.dir.path()).output().unwrap();
    let out = String::from_utf8_lossy(&walked.stdout).into_owned();
    assert!(walked.status.success(), "{out}\n{}", String::from_utf8_lossy(&walked.stderr));
    for expected in ["streamed 100 bytes, status 206", "unsigned: status 403", "\"position_seconds\":3.5"] {
        assert!(out.contains(expected), "{expected} is missing:\n{out}");
    }
    let token = machine.command("operator-token").output().unwrap();
    assert!(token.status.success() && token.stdout.len() > 500, "{}", String::from_utf8_lossy(&token.stderr));

    // A second one is told in one sentence that the place is taken.
    let second = machine.command("dev").output().unwrap();
    let complaint = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && complaint.contains("FFP_HTTP_ADDR"), "{complaint}");

    signal(&child, "-INT");
    assert!(child.wait().unwrap().success());
    machine.wait_until_gone();

    // The next start finds everything; killed outright, it leaves nothing running, and the one after it recovers.
    let (mut child, _) = machine.start();
    signal(&child, "-KILL");
    child.wait().unwrap();
    machine.wait_until_gone();
    let (mut child, _) = machine.start();
    let login = r#"{"email":"anna@demo-gym.example","password":"Demo-Gym-2026"}"#;
    let login = Command::new("curl")
        .args(["--silent", "--fail", "-H", "Content-Type: application/json", "-d", login])
        .arg(format!("{}/api/v1/auth/login", machine.base()))
        .output()
        .unwrap();
    assert!(login.status.success(), "the demo logins survive");
    signal(&child, "-TERM");
    assert!(child.wait().unwrap().success());
    machine.wait_until_gone();
}
