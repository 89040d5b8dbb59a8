//! `loadtest bench`: the platform beside what people would use instead, on one machine, in turns.
//!
//! | File | Does |
//! |---|---|
//! | `stack.rs` | PostgreSQL, seeded databases, the platform |
//! | `peers.rs`, `node.rs`, `pgbench.rs` | the others |
//! | `process.rs`, `usage.rs`, `jwks.rs`, `machine.rs` | starting programs, what they use, the tokens' keys, where it runs |
//! | `same.rs` | everybody must give the same answers before anybody is measured |
//! | `rates.rs`, `latency.rs`, `packets.rs`, `scaling.rs`, `neighbours.rs`, `memory.rs` | a section each |
//!
//! A section that fails is reported as failed and the others go on. Each writes its figures as soon as it has them.

mod jwks;
mod latency;
mod machine;
mod memory;
mod neighbours;
mod node;
mod packets;
mod peers;
mod pgbench;
mod process;
mod rates;
mod same;
mod scaling;
mod stack;
mod usage;

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::{Args, ValueEnum};

use self::stack::{Scale, Stack};
use crate::{
    load::{self, Outcome, Request, Span},
    report::{
        self,
        results::{Found, Machine, Results, Section},
    },
};

/// Connections of everything that is measured.
const CONNECTIONS: usize = 32;

/// What to measure and how long.
#[derive(Clone, Debug, Args)]
pub struct BenchArguments {
    /// A short run with fewer rows, to try the benchmark itself: its figures are not for comparing
    #[arg(long)]
    quick: bool,
    /// Only these sections, over the databases of the run before; the others' figures stay
    #[arg(long, value_delimiter = ',', value_name = "SECTION")]
    only: Vec<Part>,
    /// The platform to measure, built with --release
    #[arg(long, default_value = "target/release/platform")]
    platform: PathBuf,
    /// Processors that the measured service may use, whether it is the platform or a peer; all, if it isn't said
    #[arg(long)]
    processors: Option<usize>,
    /// Where databases and logs go
    #[arg(long, default_value = "target/bench")]
    dir: PathBuf,
}

/// A section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Rates,
    Latency,
    Packets,
    Scaling,
    Neighbours,
    Memory,
}

/// How long everything takes.
#[derive(Clone, Copy, Debug)]
struct Plan {
    quick: bool,
    rounds: usize,
    warm: Duration,
    measured: Duration,
    /// Of rounds at a constant rate.
    steady: Duration,
    memory: Duration,
    small: Scale,
    large: Scale,
}

impl Plan {
    fn new(quick: bool) -> Self {
        let seconds = Duration::from_secs;
        let small = Scale { name: "bench_small", tenants: 10, progress: 10_000 };
        if quick {
            Self {
                quick,
                rounds: 2,
                warm: seconds(1),
                measured: seconds(3),
                steady: seconds(5),
                memory: seconds(40),
                small,
                large: Scale { name: "bench_large", tenants: 1000, progress: 300_000 },
            }
        } else {
            Self {
                quick,
                rounds: 5,
                warm: seconds(2),
                measured: seconds(8),
                steady: seconds(15),
                memory: seconds(600),
                small,
                large: Scale { name: "bench_large", tenants: 10_000, progress: 10_000_000 },
            }
        }
    }

    /// A round as fast as it goes.
    fn span(&self) -> Span {
        Span { connections: CONNECTIONS, warm: self.warm, measured: self.measured }
    }

    /// A round at a constant rate.
    fn steady(&self) -> Span {
        Span { connections: CONNECTIONS, warm: self.warm, measured: self.steady }
    }
}

/// Runs the sections and writes the report.
///
/// # Errors
/// No database can be had, or the report can't be written. A failed section is no error here: the report says so.
pub async fn run(arguments: &BenchArguments) -> anyhow::Result<()> {
    let begin = Instant::now();
    let plan = Plan::new(arguments.quick);
    let platform = std::path::absolute(&arguments.platform)?;
    anyhow::ensure!(platform.exists(), "{} is missing: run `cargo build --release -p platform`", platform.display());
    let dir = std::path::absolute(&arguments.dir)?;
    let processors = arguments.processors.map_or_else(|| thread::available_parallelism().map(usize::from), Ok)?;
    let fresh = arguments.only.is_empty();
    let mut stack = Stack::start(&dir, &platform, processors, fresh).await.context("PostgreSQL")?;
    if fresh {
        for scale in [plan.small, plan.large] {
            stack.seeded(scale).await?;
        }
        // Where a server has just taken ten million rows, its memory is in another state than after a start, and the first to
        // be measured would have some of the cost. Sections that are repeated find a server that was started.
        stack.postgres.stop().await?;
        stack = Stack::start(&dir, &platform, processors, false).await.context("PostgreSQL")?;
    }
    let bench = Bench { plan, machine: machine::describe(processors).await, commit: machine::commit(), stack };
    let wanted = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    let mut results = Results::read(Path::new(report::RESULTS))?;

    macro_rules! section {
        ($part:expr, $field:ident, $run:expr) => {
            if wanted($part) {
                results.$field = Some(bench.section(stringify!($field), async || $run(&bench).await).await);
                // At once: what is measured is not lost, whatever becomes of the rest.
                results.write(Path::new(report::RESULTS))?;
                report::write(&results)?;
            }
        };
    }
    section!(Part::Rates, rates, rates::run);
    section!(Part::Latency, latency, latency::run);
    section!(Part::Packets, packets, packets::run);
    section!(Part::Scaling, scaling, scaling::run);
    section!(Part::Neighbours, neighbours, neighbours::run);
    section!(Part::Memory, memory, memory::run);

    let Bench { stack, .. } = bench;
    stack.postgres.stop().await?;
    say(&format!(
        "{} and {} written, {:.0} min in all",
        report::MARKDOWN,
        report::HTML,
        begin.elapsed().as_secs_f64() / 60.0
    ));
    Ok(())
}

/// What all sections stand on.
struct Bench {
    plan: Plan,
    machine: Machine,
    commit: String,
    stack: Stack,
}

impl Bench {
    async fn section<T>(&self, name: &str, run: impl AsyncFnOnce() -> anyhow::Result<T>) -> Section<T> {
        let began = Instant::now();
        let at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        say(&format!("{name} …"));
        let found = match run().await {
            Ok(figures) => Found::Figures(figures),
            Err(error) => {
                say(&format!("{name} failed: {error:#}"));
                Found::Failed(format!("{error:#}"))
            }
        };
        let took = began.elapsed().as_secs_f64();
        say(&format!("{name}: {took:.0} s"));
        Section { at, commit: self.commit.clone(), machine: self.machine.clone(), quick: self.plan.quick, took, found }
    }
}

/// Blocking work, such as generating load, beside the tasks of this runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

/// How many requests a second are answered in a round as fast as it goes, all of them well.
async fn highest(addr: SocketAddr, requests: &[Request], span: Span) -> anyhow::Result<f64> {
    let requests = requests.to_vec();
    Ok(blocking(move || load::closed(addr, &requests, span)?.all_good()).await?.rate())
}

/// Rounds at a constant rate are repeated this often at most.
const TRIES: usize = 3;
/// Of the wanted rate, to count as held.
const HELD: f64 = 0.97;

/// A round at a constant rate that was held: latency of one that was not is the length of a queue.
async fn steady(addr: SocketAddr, requests: &[Request], rate: f64, span: Span) -> anyhow::Result<Outcome> {
    let mut reached = 0.0;
    for _ in 0..TRIES {
        let requests = requests.to_vec();
        let outcome = blocking(move || load::constant(addr, &requests, rate, span)?.all_good()).await?;
        reached = outcome.rate();
        if reached >= rate * HELD {
            return Ok(outcome);
        }
        say(&format!("  {rate:.0} requests a second could not be held, only {reached:.0}; trying again"));
    }
    anyhow::bail!(
        "{rate:.0} requests a second could not be held, only {reached:.0}: something else keeps the machine busy"
    )
}

/// A line for whoever watches.
fn say(line: &str) {
    // The terminal may be gone; the benchmark goes on.
    let _ = writeln!(io::stdout(), "{line}");
}
