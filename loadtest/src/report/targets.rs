//! What the figures are measured against: what must be, and what is aimed at.

use super::{
    figures::title,
    results::{Beside, Results, Section, median},
};

/// How a figure stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What is aimed at.
    Aim,
    /// What must be.
    Must,
    /// Not even that.
    Missed,
    /// There is no figure.
    Unknown,
}

impl Verdict {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Aim => "aim reached",
            Self::Must => "must reached",
            Self::Missed => "**missed**",
            Self::Unknown => "not measured",
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub measure: String,
    pub must: String,
    pub aim: String,
    pub measured: String,
    pub verdict: Verdict,
}

/// Which way is better.
#[derive(Clone, Copy)]
enum Better {
    More,
    Less,
}

/// A target with its limits, and how figures of it are written.
struct Line {
    measure: String,
    must: f64,
    aim: f64,
    better: Better,
    write: fn(f64) -> String,
}

impl Line {
    fn more(measure: impl Into<String>, must: f64, aim: f64, write: fn(f64) -> String) -> Self {
        Self { measure: measure.into(), must, aim, better: Better::More, write }
    }

    fn less(measure: impl Into<String>, must: f64, aim: f64, write: fn(f64) -> String) -> Self {
        Self { measure: measure.into(), must, aim, better: Better::Less, write }
    }

    fn judge(self, figure: Option<f64>) -> Target {
        let reaches = |figure: f64, limit: f64| match self.better {
            Better::More => figure >= limit,
            Better::Less => figure <= limit,
        };
        let verdict = match figure {
            None => Verdict::Unknown,
            Some(figure) if !figure.is_finite() => Verdict::Unknown,
            Some(figure) if reaches(figure, self.aim) => Verdict::Aim,
            Some(figure) if reaches(figure, self.must) => Verdict::Must,
            Some(_) => Verdict::Missed,
        };
        Target {
            must: (self.write)(self.must),
            aim: (self.write)(self.aim),
            measured: figure.map_or_else(|| "–".to_owned(), self.write),
            measure: self.measure,
            verdict,
        }
    }
}

fn times(ratio: f64) -> String {
    let digits = if ratio < 10.0 { format!("{ratio:.2}") } else { format!("{ratio:.1}") };
    format!("{} ×", digits.trim_end_matches('0').trim_end_matches('.'))
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn packets(count: f64) -> String {
    format!("{count:.0}")
}

fn mib(size: f64) -> String {
    format!("{size:.0} MiB")
}

/// All of them.
pub(super) fn all(results: &Results) -> Vec<Target> {
    let mut all = rates(results);
    all.extend(packets_sent(results));
    all.extend(latency(results));
    all.extend(memory(results));
    all.extend(scaling(results));
    all.extend(neighbours(results));
    all
}

fn figures<T>(section: &Option<Section<T>>) -> Option<&T> {
    section.as_ref().and_then(Section::figures)
}

fn rates(results: &Results) -> Vec<Target> {
    let rates = figures(&results.rates);
    let of = |who: &str, read: &str| rates?.of(who, read);
    let against = |who: &str, read: &str| Some(of("platform", read)? / of(who, read)?);
    let (point, page) = ("one video", "a page of 20");
    vec![
        Line::more(format!("against Fastify + pg + jose, {point}"), 3.0, 6.0, times).judge(against("fastify", "point")),
        Line::more(format!("against Fastify + pg + jose, {page}"), 2.0, 4.0, times).judge(against("fastify", "page")),
        Line::more(format!("against FastAPI + SQLAlchemy + asyncpg, {point}"), 15.0, 40.0, times)
            .judge(against("fastapi", "point")),
        Line::more(format!("against FastAPI + SQLAlchemy + asyncpg, {page}"), 15.0, 40.0, times)
            .judge(against("fastapi", "page")),
        Line::more(format!("of pipelined pgbench, {point}"), 0.3, 0.6, percent)
            .judge(against("pgbench-pipelined", "point")),
        Line::more(format!("of pipelined pgbench, {page}"), 0.2, 0.5, percent)
            .judge(against("pgbench-pipelined", "page")),
        Line::more("`GET videos/{id}/stream` against `GET videos/{id}`", 0.7, 0.9, percent)
            .judge(of("platform", "stream").zip(of("platform", "point")).map(|(stream, point)| stream / point)),
    ]
}

fn packets_sent(results: &Results) -> Vec<Target> {
    let found = figures(&results.packets);
    let worst = |hot: bool| {
        let of_these = found?.iter().filter(|packets| !hot || packets.hot);
        of_these.max_by_key(|packets| packets.before)
    };
    let count = |hot: bool| worst(hot).map(|packets| packets.before as f64);
    let any = Line::less("packets to PostgreSQL before the answer, the worst of all reads", 2.0, 1.0, packets);
    let mut any = any.judge(count(false));
    if let (Some(worst), Some(all)) = (worst(false), found) {
        any.measured = format!("{} ({}, of {} kinds)", any.measured, title(&worst.read).to_lowercase(), all.len());
    }
    vec![
        Line::less("packets to PostgreSQL before the answer, the hottest reads", 1.0, 1.0, packets).judge(count(true)),
        any,
    ]
}

fn latency(results: &Results) -> Vec<Target> {
    let found = figures(&results.latency);
    let reads = found.map(|all| all.iter().filter(|latency| latency.who == "platform" && latency.read != "alive"));
    let worst = reads.and_then(|reads| reads.map(|latency| latency.p99 / latency.p50).reduce(f64::max));
    vec![Line::less("p99 / p50 at 70 % of the highest rate, the worst read", 3.0, 2.0, times).judge(worst)]
}

/// Growth that is still called flat.
const FLAT: f64 = 0.05;

fn memory(results: &Results) -> Vec<Target> {
    let found = figures(&results.memory);
    let minutes = found.map_or(10.0, |memory| memory.seconds / 60.0);
    let measure = format!("resident memory after {minutes:.0} min under load, flat");
    let mut target = Line::less(measure, 96.0, 48.0, mib).judge(found.map(|memory| memory.end_and_most().0));
    if let Some(memory) = found {
        let growth = memory.growth();
        target.measured = format!("{}, {:+.1} %", target.measured, growth * 100.0);
        if growth > FLAT {
            target.verdict = Verdict::Missed;
        }
    }
    vec![target]
}

fn scaling(results: &Results) -> Vec<Target> {
    let found = figures(&results.scaling);
    let what = found.map_or_else(
        || "10 to 10,000 tenants".to_owned(),
        |scaling| {
            format!(
                "{} to {} tenants, {} to {} rows",
                scaling.small.0, scaling.large.0, scaling.small.1, scaling.large.1
            )
        },
    );
    let of = |read: &str| found?.reads.iter().find(|scaled| scaled.read == read).map(|scaled| scaled.ratio());
    [("point", "one video"), ("page", "a page of 20")]
        .map(|(read, name)| Line::less(format!("p50 from {what}, {name}"), 1.3, 1.1, times).judge(of(read)))
        .into()
}

fn neighbours(results: &Results) -> Vec<Target> {
    let found = figures(&results.neighbours);
    let of = |who: &str| found?.beside.iter().find(|beside| beside.who == who);
    let alone = of("nobody").map(|beside| median(&beside.p95));
    let line = |who: &str, measure: &str| {
        let beside: Option<&Beside> = of(who);
        let ratio = beside.zip(alone).map(|(beside, alone)| median(&beside.p95) / alone);
        let mut target = Line::less(measure, 1.5, 1.2, times).judge(ratio);
        if let Some(beside) = beside {
            target.measured = format!("{}, {} × 429", target.measured, beside.quiet_refused);
            if beside.quiet_refused + beside.quiet_failed > 0 {
                target.verdict = Verdict::Missed;
            }
        }
        target
    };
    vec![
        line("throttled", "a quiet tenant's p95 beside one at 10 × its limit, without a 429"),
        line("slow", "a quiet tenant's p95 beside slow queries within the limit, without a 429"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_on_the_limit_reaches_it_whichever_way_is_better() {
        let verdict = |line: Line, figure| line.judge(figure).verdict;
        assert_eq!(verdict(Line::more("", 3.0, 6.0, times), Some(6.0)), Verdict::Aim);
        assert_eq!(verdict(Line::more("", 3.0, 6.0, times), Some(3.0)), Verdict::Must);
        assert_eq!(verdict(Line::more("", 3.0, 6.0, times), Some(2.9)), Verdict::Missed);
        assert_eq!(verdict(Line::less("", 3.0, 2.0, times), Some(2.0)), Verdict::Aim);
        assert_eq!(verdict(Line::less("", 3.0, 2.0, times), Some(3.1)), Verdict::Missed);
        assert_eq!(verdict(Line::less("", 3.0, 2.0, times), None), Verdict::Unknown);
    }

    #[test]
    fn without_results_nothing_is_claimed() {
        assert!(all(&Results::default()).iter().all(|target| target.verdict == Verdict::Unknown));
    }
}
