//! Programs that the benchmark starts, measures and ends: each a process group of its own.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use rustix::{
    process::{Pid, Signal, kill_process_group},
    thread::{CpuSet, sched_getaffinity},
};

use crate::load::{Connection, Request};

/// How long a program may take until it answers; Python's several processes are the slow case.
const START: Duration = Duration::from_secs(60);
/// How long it may take to end.
const END: Duration = Duration::from_secs(10);
/// How often one looks.
const GLANCE: Duration = Duration::from_millis(50);

/// A running program; it and all its children end when this is dropped.
pub(super) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program in an environment that has `PATH` and `HOME` of ours and nothing else.
    pub(super) fn start<V: AsRef<OsStr>>(
        name: &'static str,
        command: &mut Command,
        environment: impl IntoIterator<Item = (String, V)>,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let file = || OpenOptions::new().create(true).append(true).open(log);
        let file = || file().with_context(|| format!("cannot write {}", log.display()));
        let kept = ["PATH", "HOME"].into_iter().filter_map(|name| Some((name.to_owned(), std::env::var_os(name)?)));
        let child = command
            .env_clear()
            .envs(kept)
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(file()?)
            .stderr(file()?)
            // A Ctrl-C in the terminal reaches only us, who then end it.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child, log: log.to_owned() })
    }

    /// Waits until it gives a good answer to a request.
    pub(super) fn wait_until_good(&mut self, at: SocketAddr, request: &Request) -> anyhow::Result<()> {
        let deadline = Instant::now() + START;
        loop {
            let answer = Connection::open(at).and_then(|mut connection| connection.send(request));
            if matches!(answer, Ok(200..300)) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}): {}", self.name, self.tail());
            }
            if Instant::now() > deadline {
                bail!("{} gave no good answer in {START:?} (the last was {answer:?}): {}", self.name, self.tail());
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// The first process of the group.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Empties the log, which would else fill the disk with a line for each of millions of requests.
    pub(super) fn empty_log(&self) {
        // Written in append mode, so that the program goes on at the new end.
        let _ = File::options().write(true).open(&self.log).and_then(|file| file.set_len(0));
    }

    /// The last lines it wrote.
    fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(8 * 1024)..]).into_owned();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + END;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(GLANCE);
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// A service that is measured, on so many processors and no others.
pub(super) fn service(program: &Path, processors: usize) -> anyhow::Result<Command> {
    let ours = sched_getaffinity(None).context("cannot ask which processors we may use")?;
    let allowed: Vec<_> = (0..CpuSet::MAX_CPU)
        .filter(|&processor| ours.is_set(processor))
        .map(|processor| processor.to_string())
        .collect();
    ensure!(
        (1..=allowed.len()).contains(&processors),
        "the measured service can have 1 to {} processors, not {processors}",
        allowed.len()
    );
    let mut command = Command::new("taskset");
    command.arg("--cpu-list").arg(allowed[..processors].join(",")).arg(program);
    Ok(command)
}

/// Runs a program to its end. Answers what it wrote to standard output.
pub(super) fn output(name: &str, command: &mut Command) -> anyhow::Result<String> {
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {name}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !done.status.success() {
        bail!("{name} failed ({}): {}", done.status, text(&done.stderr));
    }
    Ok(text(&done.stdout))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_held_to_the_processors_that_it_is_given() {
        let count = |processors| output("nproc", &mut service(Path::new("nproc"), processors).unwrap()).unwrap();
        assert_eq!(count(1), "1");
        let all = std::thread::available_parallelism().unwrap().get();
        assert_eq!(count(all), all.to_string());
    }

    #[test]
    fn a_service_can_t_have_more_processors_than_there_are() {
        let error = service(Path::new("true"), 100_000).map(drop).map_err(|error| error.to_string());
        assert!(error.as_ref().is_err_and(|error| error.contains("not 100000")), "{error:?}");
    }
}
