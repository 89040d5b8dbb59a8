//! How many packets go to PostgreSQL for one read: counted from the platform's own system calls while it serves one
//! request at a time, and so the same on every machine.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use super::{Bench, blocking};
use crate::{
    load::{Connection, Request},
    report::results::Packets,
    seeded::{Read, Seeded},
};

/// Requests of each kind.
const REQUESTS: usize = 60;
/// How long strace may take until it is attached.
const ATTACH: Duration = Duration::from_secs(20);
/// Between an answer and the next request: what is sent in its first half follows the one, else it precedes the other.
const PAUSE: Duration = Duration::from_millis(20);

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Packets>> {
    let stack = &bench.stack;
    let seeded = stack.seeded(bench.plan.large).await?;
    let server = stack.platform(bench.plan.large, &seeded).await?;
    let (addr, pid, port) = (server.addr, server.process.pid(), stack.postgres.port());
    let file = stack.log("strace");
    let mut all = Vec::new();
    for read in Read::ALL {
        let (seeded, file) = (seeded.clone(), file.clone());
        let found = blocking(move || traced(addr, pid, port, &file, &seeded, read)).await?;
        all.push(found);
    }
    Ok(all)
}

/// strace over all threads of a process; detaches when dropped.
struct Strace(Child);

impl Drop for Strace {
    fn drop(&mut self) {
        // SIGINT makes it let go of the process; a kill would too, but lose what it has not written.
        let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

fn traced(
    addr: SocketAddr,
    pid: u32,
    postgres: u16,
    file: &Path,
    seeded: &Seeded,
    read: Read,
) -> anyhow::Result<Packets> {
    let caller = &seeded.owner;
    let mut connection = Connection::open(addr)?;
    let list: Vec<Request> = caller
        .videos
        .iter()
        .cycle()
        .take(REQUESTS)
        .map(|video| Request::get(&read.path(caller, video), &caller.token))
        .collect();
    // Statements are prepared on every connection, and the caller known.
    for request in list.iter().cycle().take(200) {
        ensure!(connection.send(request)? == 200, "{} was refused", read.name());
    }
    let _ = fs::remove_file(file);
    let strace = Command::new("strace")
        .args(["-f", "-yy", "-ttt", "-s", "0", "-e", "trace=sendto,sendmsg,write,writev", "-o"])
        .arg(file)
        .args(["-p", &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("install strace")?;
    let strace = Strace(strace);
    let deadline = Instant::now() + ATTACH;
    // Attached when the first answer shows.
    while !fs::read_to_string(file).unwrap_or_default().contains(&format!("127.0.0.1:{}->", addr.port())) {
        ensure!(Instant::now() < deadline, "strace can't attach to the platform (ptrace may be forbidden here)");
        connection.send(&list[0])?;
        thread::sleep(Duration::from_millis(100));
    }
    for request in &list {
        connection.send(request)?;
        thread::sleep(PAUSE);
    }
    drop(strace);
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let counts = count(&text, addr.port(), postgres);
    // The first ones were sent while strace attached.
    let counts = &counts[counts.len().saturating_sub(REQUESTS - 1)..];
    ensure!(!counts.is_empty(), "strace saw no answers");
    Ok(Packets {
        read: read.name().to_owned(),
        hot: read.is_hot(),
        before: most_frequent(counts.iter().map(|(before, _)| *before)),
        after: most_frequent(counts.iter().map(|(_, after)| *after)),
        looked_at: counts.len(),
    })
}

/// For each answer, the packets sent to PostgreSQL before it, and those behind it.
fn count(text: &str, http: u16, postgres: u16) -> Vec<(u64, u64)> {
    let (to_client, to_postgres) = (format!("127.0.0.1:{http}->"), format!("->127.0.0.1:{postgres}]"));
    let mut counts: Vec<(u64, u64)> = Vec::new();
    let (mut before, mut answered) = (0, f64::MIN);
    // What another thread interrupted is told twice: once begun, once resumed.
    for line in text.lines().filter(|line| !line.contains(" resumed>")) {
        let Some(at) = line.split_whitespace().nth(1).and_then(|at| at.parse::<f64>().ok()) else { continue };
        if line.contains(&to_client) {
            counts.push((before, 0));
            (before, answered) = (0, at);
        } else if line.contains(&to_postgres) {
            match counts.last_mut().filter(|_| at - answered < PAUSE.as_secs_f64() / 2.0) {
                Some((_, after)) => *after += 1,
                None => before += 1,
            }
        }
    }
    counts
}

fn most_frequent(counts: impl Iterator<Item = u64>) -> u64 {
    let mut times: BTreeMap<u64, usize> = BTreeMap::new();
    counts.for_each(|count| *times.entry(count).or_default() += 1);
    times.into_iter().max_by_key(|(_, times)| *times).map_or(0, |(count, _)| count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_told_apart_by_when_they_were_sent() {
        let text = "\
7 100.000 sendto(9<TCP:[127.0.0.1:40->127.0.0.1:5433]>, \"\"..., 5, MSG_NOSIGNAL, NULL, 0) = 5
8 100.001 sendto(4<TCP:[127.0.0.1:8080->127.0.0.1:50]>, \"\"..., 9, MSG_NOSIGNAL, NULL, 0) = 9
7 100.002 sendto(9<TCP:[127.0.0.1:40->127.0.0.1:5433]>, \"\"..., 5, MSG_NOSIGNAL, NULL, 0 <unfinished ...>
7 100.002 <... sendto resumed>) = 5
7 100.003 write(1</log>, \"\"..., 9) = 9
7 100.030 sendto(9<TCP:[127.0.0.1:40->127.0.0.1:5433]>, \"\"..., 5, MSG_NOSIGNAL, NULL, 0) = 5
7 100.031 sendto(9<TCP:[127.0.0.1:40->127.0.0.1:5433]>, \"\"..., 5, MSG_NOSIGNAL, NULL, 0) = 5
8 100.032 sendto(4<TCP:[127.0.0.1:8080->127.0.0.1:50]>, \"\"..., 9, MSG_NOSIGNAL, NULL, 0) = 9
";
        assert_eq!(count(text, 8080, 5433), [(1, 1), (2, 0)]);
        assert_eq!(most_frequent([1, 2, 2, 3].into_iter()), 2);
    }
}
