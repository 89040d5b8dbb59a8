//! What a benchmark found, as it is kept in `loadtest/results.json`. The report is made of this and nothing else.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// Everything. Sections that were not run are absent; each says when it was, since single ones can be repeated.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// Requests a second, ours against the peers'.
    pub rates: Option<Section<Rates>>,
    /// Latency at 70 % of the highest rate.
    pub latency: Option<Section<Vec<Latency>>>,
    /// Packets to PostgreSQL.
    pub packets: Option<Section<Vec<Packets>>>,
    /// Few tenants and rows against many.
    pub scaling: Option<Section<Scaling>>,
    /// What a quiet tenant notices of others.
    pub neighbours: Option<Section<Neighbours>>,
    /// Memory over a long run.
    pub memory: Option<Section<Memory>>,
}

/// One part of the benchmark: when and on what it was run, and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Section<T> {
    /// RFC 3339, UTC.
    pub at: String,
    /// The commit; with `+` and their fingerprint for changes on top of it.
    pub commit: String,
    /// The machine.
    pub machine: Machine,
    /// Whether it was a short run, good for trying the benchmark and not for figures.
    pub quick: bool,
    /// Seconds it took.
    pub took: f64,
    /// What was found, or why nothing was.
    pub found: Found<T>,
}

/// What a section found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found<T> {
    /// Its figures.
    Figures(T),
    /// Why there are none.
    Failed(String),
}

impl<T> Section<T> {
    /// The figures, if there are any.
    pub fn figures(&self) -> Option<&T> {
        match &self.found {
            Found::Figures(figures) => Some(figures),
            Found::Failed(_) => None,
        }
    }

    /// Why there are none.
    pub fn failure(&self) -> Option<&str> {
        match &self.found {
            Found::Figures(_) => None,
            Found::Failed(why) => Some(why),
        }
    }
}

/// What it ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// As the kernel names it.
    pub processor: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// How many of them the measured service may use.
    pub service_cores: usize,
    /// GiB.
    pub memory_gib: u64,
    /// The kernel.
    pub kernel: String,
    /// Versions of what was compared.
    pub versions: BTreeMap<String, String>,
}

/// Requests a second.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rates {
    /// Tenants and rows of progress in the database.
    pub tenants: u64,
    /// Rows of progress.
    pub progress: u64,
    /// HTTP connections, and PostgreSQL's for pgbench.
    pub connections: usize,
    /// Seconds of each round.
    pub seconds: f64,
    /// Who did how much of what.
    pub series: Vec<Series>,
    /// Who could not be measured, and why.
    pub left_out: BTreeMap<String, String>,
}

/// One contender at one kind of read, in several rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Series {
    /// `platform`, `fastify`, `fastapi`, `pgbench`...
    pub who: String,
    /// `point`, `page` or `stream`.
    pub read: String,
    /// A second, round by round.
    pub rates: Vec<f64>,
    /// Microseconds of processor time for each answer: of the contender's own processes.
    pub own_us: f64,
    /// Of PostgreSQL's.
    pub postgres_us: f64,
    /// Of the load generator.
    pub generator_us: f64,
    /// MiB that the contender's processes hold at the end.
    pub resident_mib: f64,
}

impl Series {
    /// The middle round.
    pub fn median(&self) -> f64 {
        median(&self.rates)
    }
}

impl Rates {
    /// A contender's rate, if it was measured.
    pub fn of(&self, who: &str, read: &str) -> Option<f64> {
        self.series.iter().find(|series| series.who == who && series.read == read).map(Series::median)
    }
}

/// Latency of one kind of read at a constant rate; milliseconds, the middle of the rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Latency {
    /// `platform` or `fastify`.
    pub who: String,
    /// The read; `alive` is one that needs neither token nor database.
    pub read: String,
    /// The rate that could be reached, just before.
    pub highest: f64,
    /// The rate that was held.
    pub rate: f64,
    /// Half were faster.
    pub p50: f64,
    /// 95 % were.
    pub p95: f64,
    /// 99 % were.
    pub p99: f64,
    /// 99.9 % were.
    pub p999: f64,
}

/// Packets sent to PostgreSQL for one read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Packets {
    /// The read.
    pub read: String,
    /// Whether it is one of the hottest, which have a path of their own.
    pub hot: bool,
    /// Before its answer, in most cases.
    pub before: u64,
    /// Behind its answer, in most cases.
    pub after: u64,
    /// How many were looked at.
    pub looked_at: usize,
}

/// Milliseconds with few tenants and with many, at the same rate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scaling {
    /// Tenants and rows of progress.
    pub small: (u64, u64),
    /// Tenants and rows of progress.
    pub large: (u64, u64),
    /// One for each read.
    pub reads: Vec<Scaled>,
}

/// One read in a small and in a large database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scaled {
    /// The read.
    pub read: String,
    /// The rate that was held.
    pub rate: f64,
    /// p50 of each round, small.
    pub small: Vec<f64>,
    /// p50 of each round, large.
    pub large: Vec<f64>,
}

impl Scaled {
    /// How many times longer it takes among many.
    pub fn ratio(&self) -> f64 {
        median(&self.large) / median(&self.small)
    }
}

/// What a quiet tenant notices.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Neighbours {
    /// The quiet tenant's requests a second.
    pub quiet_rate: f64,
    /// Alone, and beside each of the others.
    pub beside: Vec<Beside>,
    /// Milliseconds that one slow query takes alone.
    pub slow_ms: f64,
}

/// The quiet tenant beside one kind of neighbour.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Beside {
    /// `nobody`, `throttled` or `slow`.
    pub who: String,
    /// The neighbour's requests a second.
    pub rate: f64,
    /// The quiet tenant's p95 of each round, milliseconds.
    pub p95: Vec<f64>,
    /// How often the quiet tenant was told 429.
    pub quiet_refused: u64,
    /// How often the quiet tenant got no good answer for another reason.
    pub quiet_failed: u64,
    /// The neighbour's good answers.
    pub served: u64,
    /// How often the neighbour was told 429.
    pub refused: u64,
}

/// Resident memory of the platform.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Seconds of load.
    pub seconds: f64,
    /// Requests a second during it.
    pub rate: f64,
    /// Seconds since the beginning, and MiB.
    pub samples: Vec<(f64, f64)>,
}

impl Memory {
    /// MiB when the load had ended, and the most there was.
    pub fn end_and_most(&self) -> (f64, f64) {
        let most = self.samples.iter().map(|(_, mib)| *mib).fold(0.0, f64::max);
        (self.samples.last().map_or(0.0, |(_, mib)| *mib), most)
    }

    /// By how much it grew from the second fifth of the run to the last: 0.02 is 2 %.
    pub fn growth(&self) -> f64 {
        let fifth = |n: usize| {
            let (from, to) = (self.samples.len() * n / 5, self.samples.len() * (n + 1) / 5);
            median(&self.samples[from..to].iter().map(|(_, mib)| *mib).collect::<Vec<_>>())
        };
        fifth(4) / fifth(1) - 1.0
    }
}

impl Results {
    /// Those of the file; none if there is none yet.
    ///
    /// # Errors
    /// The file can't be read as results.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        match std::fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| format!("{} can't be read", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The middle of some figures; of an even number the mean of the two in the middle, 0 of none.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn memory_that_only_rises_at_first_has_not_grown() {
        let samples = (0..100).map(|second| (f64::from(second), if second < 15 { f64::from(second) } else { 50.0 }));
        let memory = Memory { seconds: 100.0, rate: 1.0, samples: samples.collect() };
        assert_eq!(memory.growth(), 0.0);
        assert_eq!(memory.end_and_most(), (50.0, 50.0));
    }
}
