//! The load generator of the benchmark: one thread and one connection for each of its callers.
//!
//! Blocking sockets are as light as an event loop at 32 connections, and a sleeping thread wakes within some 60 µs, where
//! an asynchronous timer has steps of a millisecond: more than many an answer takes.

mod connection;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;

pub use connection::{Connection, Request};

/// The longest latency that is told apart, in microseconds.
const LONGEST: u64 = 60_000_000;
/// Pause after a broken connection, so that a dead server is not hammered.
const AFTER_ERROR: Duration = Duration::from_millis(20);

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// How long it was measured, warm-up not included. At a constant rate that the server did not keep up with this is
    /// longer than was wanted.
    pub seconds: f64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without an answer.
    pub broken: u64,
    /// Microseconds until the whole answer was there: from sending, or at a constant rate from when it was due.
    pub latency: Histogram<u64>,
}

impl Outcome {
    fn new() -> anyhow::Result<Self> {
        let latency = Histogram::new_with_bounds(1, LONGEST, 3).context("a histogram")?;
        Ok(Self { seconds: 0.0, statuses: BTreeMap::new(), broken: 0, latency })
    }

    fn record(&mut self, status: std::io::Result<u16>, took: Duration) {
        match status {
            Ok(status) => {
                *self.statuses.entry(status).or_default() += 1;
                self.latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(LONGEST));
            }
            Err(_) => self.broken += 1,
        }
    }

    fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.broken += other.broken;
        self.latency.add(&other.latency).context("a histogram")
    }

    /// Answers of 200 to 299.
    pub fn good(&self) -> u64 {
        self.statuses.range(200..300).map(|(_, count)| count).sum()
    }

    /// Answers of this status.
    pub fn of(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or_default()
    }

    /// Good answers a second.
    pub fn rate(&self) -> f64 {
        self.good() as f64 / self.seconds
    }

    /// A quantile of the latency, in milliseconds.
    pub fn millis(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// Demands that every request was answered well.
    ///
    /// # Errors
    /// What else there was.
    pub fn all_good(self) -> anyhow::Result<Self> {
        let bad: Vec<_> = self.statuses.iter().filter(|(status, _)| !(200..300).contains(*status)).collect();
        ensure!(
            bad.is_empty() && self.broken == 0,
            "answers other than 2xx: {bad:?}, {} without an answer",
            self.broken
        );
        ensure!(self.good() > 0, "no request was answered");
        Ok(self)
    }
}

/// How long and by how many.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Connections, each with one request in flight at most.
    pub connections: usize,
    /// Before anything counts.
    pub warm: Duration,
    /// What counts.
    pub measured: Duration,
}

/// As fast as the server answers: each connection sends its next request when the answer to the last is there.
///
/// # Errors
/// Nobody listens.
pub fn closed(to: SocketAddr, requests: &[Request], span: Span) -> anyhow::Result<Outcome> {
    let begin = Instant::now();
    let (counts_from, end) = (begin + span.warm, begin + span.warm + span.measured);
    // All take from one list, as at a constant rate: with a place of its own each, a few callers are asked for at a time.
    let next = AtomicU64::new(0);
    each_connection(to, span, |_, connection, outcome| {
        loop {
            let sent = Instant::now();
            if sent >= end {
                break;
            }
            let n = next.fetch_add(1, Ordering::Relaxed);
            let answer = ask(connection, to, &requests[n as usize % requests.len()]);
            let answered = Instant::now();
            // What began before and ended within counts, and what began within and ended after does not.
            if answered >= counts_from && answered < end {
                outcome.record(answer, answered - sent);
            }
        }
    })
}

/// At a constant rate, whether the server keeps up or not. Latency counts from when a request was due, so that one slow
/// answer shows in all that had to wait behind it (no coordinated omission).
///
/// # Errors
/// Nobody listens.
pub fn constant(to: SocketAddr, requests: &[Request], per_second: f64, span: Span) -> anyhow::Result<Outcome> {
    let begin = Instant::now();
    let counts_from = begin + span.warm;
    let total = ((span.warm + span.measured).as_secs_f64() * per_second) as u64;
    let next = AtomicU64::new(0);
    let mut all = each_connection(to, span, |_, connection, outcome| {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= total {
                break;
            }
            let due = begin + Duration::from_secs_f64(n as f64 / per_second);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let answer = ask(connection, to, &requests[n as usize % requests.len()]);
            if due >= counts_from {
                outcome.record(answer, due.elapsed());
            }
        }
    })?;
    all.seconds = all.seconds.max(counts_from.elapsed().as_secs_f64());
    Ok(all)
}

fn ask(connection: &mut Connection, to: SocketAddr, request: &Request) -> std::io::Result<u16> {
    let answer = connection.send(request);
    if answer.is_err() {
        thread::sleep(AFTER_ERROR);
        if let Ok(fresh) = Connection::open(to) {
            *connection = fresh;
        }
    }
    answer
}

fn each_connection(
    to: SocketAddr,
    span: Span,
    work: impl Fn(usize, &mut Connection, &mut Outcome) + Sync,
) -> anyhow::Result<Outcome> {
    let mut all = Outcome::new()?;
    all.seconds = span.measured.as_secs_f64();
    let open = || Connection::open(to).with_context(|| format!("cannot connect to {to}"));
    let connections = (0..span.connections).map(|_| open()).collect::<anyhow::Result<Vec<_>>>()?;
    let outcomes: Vec<anyhow::Result<Outcome>> = thread::scope(|scope| {
        let threads: Vec<_> = connections
            .into_iter()
            .enumerate()
            .map(|(n, mut connection)| {
                let work = &work;
                scope.spawn(move || {
                    let mut outcome = Outcome::new()?;
                    work(n, &mut connection, &mut outcome);
                    Ok(outcome)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked"))))
            .collect()
    });
    for outcome in outcomes {
        all.add(&outcome?)?;
    }
    Ok(all)
}
