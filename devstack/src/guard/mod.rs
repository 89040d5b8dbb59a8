//! Child processes that never outlive us, and the directories they work in.
//!
//! Every program runs under a small shell that reads from a pipe of which we hold the only writing end. When we stop
//! the program, drop its [`Guard`] or die (even by `kill -9`), the pipe closes and the shell stops the program. The
//! writing end is close-on-exec, as all descriptors of Rust's standard library, so no other child keeps it open.

mod account;
mod home;

use std::{
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

pub(crate) use account::Account;
pub(crate) use home::{Home, private_dir};
use tokio::time::sleep;

use crate::{Error, Result};

/// How often a child's end is looked for.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// How many lines of a log an error quotes.
const TAIL_LINES: usize = 15;

/// The signal that asks a program to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The usual request.
    Terminate,
    /// PostgreSQL's fast shutdown.
    Interrupt,
    /// PostgreSQL's immediate shutdown.
    Quit,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
            Self::Quit => "QUIT",
        }
    }

    fn number(self) -> rustix::process::Signal {
        match self {
            Self::Terminate => rustix::process::Signal::TERM,
            Self::Interrupt => rustix::process::Signal::INT,
            Self::Quit => rustix::process::Signal::QUIT,
        }
    }
}

/// What to run, and how it is stopped.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// What messages call it.
    pub(crate) name: &'static str,
    /// The executable's path.
    pub(crate) executable: PathBuf,
    /// Its arguments. One of them names the home directory, which tells the process from others later.
    pub(crate) arguments: Vec<OsString>,
    /// Its whole environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// The account it runs as; `None` is our own.
    pub(crate) account: Option<Account>,
    /// What asks it to stop.
    pub(crate) stop: Signal,
    /// How long it may take to stop, in whole seconds, before it is killed.
    pub(crate) grace: Duration,
}

/// A running program that stops when this is dropped, or when this process ends in whatever way.
#[derive(Debug)]
pub(crate) struct Guard {
    name: &'static str,
    shell: Option<Child>,
    pipe: Option<ChildStdin>,
    log: PathBuf,
    grace: Duration,
}

impl Guard {
    /// Starts the program in its home directory, its output going to a log file there.
    pub(crate) fn spawn(program: &Program, home: &Home) -> Result<Self> {
        let account = program.account.as_ref();
        let log = home.log_path(program.name);
        let log_file = home.fresh_log(&log, account)?;
        let pid_file = home.fresh_file(&home.pid_path(), account)?;
        let scrap = if home.is_scratch() { home.dir().as_os_str() } else { OsStr::new("") };

        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", include_str!("watch.sh"), "watch", program.stop.name()])
            .arg(program.grace.as_secs().to_string())
            .arg(scrap)
            .arg(&program.executable)
            .args(&program.arguments)
            .env_clear()
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(home.dir())
            .stdin(Stdio::piped())
            .stdout(pid_file)
            .stderr(log_file)
            // A Ctrl-C in the terminal reaches only us; we then stop our programs in order.
            .process_group(0);
        if let Some(account) = account {
            // As root this also drops the supplementary groups.
            command.uid(account.uid).gid(account.gid);
        }
        let mut shell = command.spawn().map_err(Error::io(format!("cannot start {}", program.name)))?;
        let pipe = shell.stdin.take();
        Ok(Self { name: program.name, shell: Some(shell), pipe, log, grace: program.grace })
    }

    /// The program's exit status, if it has ended.
    pub(crate) fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        match &mut self.shell {
            Some(shell) => shell.try_wait().map_err(Error::io(format!("cannot wait for {}", self.name))),
            None => Ok(None),
        }
    }

    /// Waits until the program ends by itself.
    pub(crate) async fn finished(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.exit_status()? {
                return Ok(status);
            }
            sleep(POLL).await;
        }
    }

    /// Stops the program and returns when it is gone.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.pipe = None;
        // The shell kills a program that ignores the request, so this ends; the extra time is for a busy machine.
        let deadline = Instant::now() + self.grace + Duration::from_secs(30);
        while self.exit_status()?.is_none() {
            if Instant::now() > deadline {
                return Err(self.failure("did not stop"));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// An error that quotes the end of the program's log.
    pub(crate) fn failure(&self, what: impl Into<String>) -> Error {
        let tail = tail(&self.log);
        Error::ProgramFailed { program: self.name, what: what.into(), log: self.log.clone(), tail }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.pipe = None;
        // Somebody has to collect the shell's exit status; it takes as long as the program takes to stop.
        if let Some(mut shell) = self.shell.take()
            && !matches!(shell.try_wait(), Ok(Some(_)))
        {
            std::thread::spawn(move || shell.wait());
        }
    }
}

/// The last lines of a log file.
pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    match lines.len() {
        0 => "(nothing)".to_owned(),
        count => lines[count.saturating_sub(TAIL_LINES)..].join("\n"),
    }
}

/// A small environment for a program that should see nothing of ours but where programs are.
pub(crate) fn bare_environment() -> Vec<(OsString, OsString)> {
    let path = std::env::var_os("PATH").filter(|path| !path.is_empty());
    let path = path.unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    vec![("PATH".into(), path), ("TZ".into(), "UTC".into()), ("LC_ALL".into(), "C.UTF-8".into())]
}
