//! The sections of the report: a sentence or two, and a table.

use super::results::{Found, Neighbours, Rates, Results, Section, Series, median};

/// A table of text.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self { head: head.iter().map(|cell| (*cell).to_owned()).collect(), rows }
    }

    /// The first column is text, the others figures.
    pub(super) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule: Vec<&str> = (0..self.head.len()).map(|column| if column == 0 { "---" } else { "---:" }).collect();
        let mut text = line(&self.head) + &format!("| {} |\n", rule.join(" | "));
        for row in &self.rows {
            text += &line(row);
        }
        text
    }
}

/// A section as it is shown.
pub(super) struct Shown {
    pub title: &'static str,
    pub chart: &'static str,
    pub words: String,
    pub table: Table,
    pub failure: Option<String>,
}

/// Those that were run.
pub(super) fn sections(results: &Results) -> Vec<Shown> {
    let mut all = Vec::new();
    if let Some(section) = &results.rates {
        all.push(shown("Requests a second", "rates", section, |rates| (rates_words(rates), rates_table(rates))));
        let words = "Microseconds of processor time for each answer. Together, over the machine's cores, they are what \
                     bounds the rate; the load generator's part is the same work for everybody.";
        if let Found::Figures(_) = &section.found {
            all.push(shown("What an answer costs", "costs", section, |rates| (words.to_owned(), costs_table(rates))));
        }
    }
    if let Some(section) = &results.latency {
        let words = "At a constant 70 % of everybody's own highest rate, in milliseconds from when a request was due. The last \
                     of the platform's is an answer that needs neither token nor database, at the rate of one video: what is \
                     left there is the machine's and the load generator's.";
        all.push(shown("Latency", "latency", section, |all| {
            let rows = all.iter().map(|latency| {
                let ms = |value: f64| format!("{value:.2}");
                let mut row = vec![of_whom(&latency.who, &latency.read), thousands(latency.rate)];
                row.extend([latency.p50, latency.p95, latency.p99, latency.p999].map(ms));
                row.push(format!("{:.2}", latency.p99 / latency.p50));
                row
            });
            let head = ["", "Requests/s", "p50", "p95", "p99", "p99.9", "p99 / p50"];
            (words.to_owned(), Table::new(&head, rows.collect()))
        }));
    }
    if let Some(section) = &results.scaling {
        all.push(shown("More tenants, more rows", "scaling", section, |scaling| {
            let words = format!(
                "p50 in milliseconds at the same rate, with {} tenants and {} rows of progress, and with {} and {}.",
                thousands(scaling.small.0 as f64),
                thousands(scaling.small.1 as f64),
                thousands(scaling.large.0 as f64),
                thousands(scaling.large.1 as f64)
            );
            let rows = scaling.reads.iter().map(|scaled| {
                let ms = |figures: &[f64]| format!("{:.2}", median(figures));
                let ratio = format!("{:.2} ×", scaled.ratio());
                vec![
                    title(&scaled.read).to_owned(),
                    thousands(scaled.rate),
                    ms(&scaled.small),
                    ms(&scaled.large),
                    ratio,
                ]
            });
            (words, Table::new(&["", "Requests/s", "Few", "Many", "Ratio"], rows.collect()))
        }));
    }
    if let Some(section) = &results.neighbours {
        all.push(shown("Noisy neighbours", "neighbours", section, |found| {
            (neighbours_words(found), beside_table(found))
        }));
    }
    if let Some(section) = &results.memory {
        all.push(shown("Memory", "memory", section, |memory| {
            let (end, most) = memory.end_and_most();
            let words = format!(
                "{:.0} minutes of looking, listing, streaming and posting progress at {} requests a second.",
                memory.seconds / 60.0,
                thousands(memory.rate)
            );
            let first = memory.samples.first().map_or(0.0, |(_, mib)| *mib);
            let row = vec![
                "Resident MiB".to_owned(),
                format!("{first:.0}"),
                format!("{end:.0}"),
                format!("{most:.0}"),
                format!("{:+.1} %", memory.growth() * 100.0),
            ];
            (words, Table::new(&["", "At the beginning", "At the end", "Most", "Second fifth to last"], vec![row]))
        }));
    }
    if let Some(section) = &results.packets {
        let words = "Packets sent to PostgreSQL for one read by an owner, once connections and caches are warm: every kind of \
                     read that members have, except an upload under way, which asks the object store too.";
        all.push(shown("Packets", "packets", section, |all| {
            let rows = all.iter().map(|packets| {
                vec![title(&packets.read).to_owned(), packets.before.to_string(), packets.after.to_string()]
            });
            (words.to_owned(), Table::new(&["", "Before the answer", "Behind it"], rows.collect()))
        }));
    }
    all
}

fn shown<T>(
    title: &'static str,
    chart: &'static str,
    section: &Section<T>,
    show: impl FnOnce(&T) -> (String, Table),
) -> Shown {
    let failure = section.failure().map(str::to_owned);
    let (words, table) = section.figures().map(show).unwrap_or_default();
    Shown { title, chart, words, table, failure }
}

/// A read as people call it.
pub(super) fn title(read: &str) -> &str {
    match read {
        "point" => "One video",
        "page" => "A page of 20",
        "stream" => "A signed URL",
        "progress" => "Progress",
        "me" => "The caller's profile",
        "tenant" => "The business",
        "usage" => "Usage, as its owner sees it",
        "member" => "One member",
        "members" => "A page of members",
        "invitations" => "A page of invitations",
        "alive" => "Nothing but HTTP",
        other => other,
    }
}

/// A contender and what it was asked for.
pub(super) fn of_whom(who: &str, read: &str) -> String {
    format!("{}, {}", contender(who), title(read).to_lowercase())
}

/// A contender as people call it.
pub(super) fn contender(who: &str) -> &str {
    match who {
        "platform" => "FFP",
        "fastify" => "Fastify + pg + jose",
        "fastify-cached" => "the same, remembering tokens",
        "fastapi" => "FastAPI + SQLAlchemy + asyncpg",
        "pgbench" => "pgbench, one by one",
        "pgbench-pipelined" => "pgbench, pipelined",
        "pgbench-implicit" => "pgbench, pipelined without BEGIN and COMMIT",
        other => other,
    }
}

/// A whole number with commas.
pub(super) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn rates_words(rates: &Rates) -> String {
    let rounds = rates.series.first().map_or(0, |series| series.rates.len());
    let mut words = format!(
        "{} connections, {} rounds of {:.0} s in turns, medians; {} tenants and {} rows of progress.",
        rates.connections,
        rounds,
        rates.seconds,
        thousands(rates.tenants as f64),
        thousands(rates.progress as f64)
    );
    let shares = ["point", "page"].map(|read| {
        let share = rates.of("platform", read)? / rates.of("pgbench-implicit", read)?;
        Some(format!("{:.0} % ({})", share * 100.0, title(read).to_lowercase()))
    });
    if let [Some(point), Some(page)] = shares {
        words += &format!("\n\nOf pgbench with the platform's own message, without BEGIN and COMMIT: {point}, {page}.");
    }
    for (who, why) in &rates.left_out {
        words += &format!("\n\n{} was left out: {why}", contender(who));
    }
    words
}

/// Contenders in their order, with their figure for each read.
fn rates_table(rates: &Rates) -> Table {
    let mut names: Vec<&str> = Vec::new();
    for series in &rates.series {
        if !names.contains(&series.who.as_str()) {
            names.push(&series.who);
        }
    }
    let rows = names.iter().map(|who| {
        let mut row = vec![contender(who).to_owned()];
        for read in ["point", "page", "stream"] {
            let found = rates.series.iter().find(|series| series.who == *who && series.read == read);
            row.push(found.map_or_else(|| "–".to_owned(), |series| thousands(series.median())));
            row.push(found.map_or_else(|| "–".to_owned(), spread));
        }
        row
    });
    Table::new(&["", "One video", "±", "A page of 20", "±", "A signed URL", "±"], rows.collect())
}

/// Half the distance between the slowest and the fastest round, as a share of the median.
fn spread(series: &Series) -> String {
    let most = series.rates.iter().copied().fold(f64::MIN, f64::max);
    let least = series.rates.iter().copied().fold(f64::MAX, f64::min);
    format!("{:.0} %", (most - least) / 2.0 / series.median() * 100.0)
}

fn costs_table(rates: &Rates) -> Table {
    let rows = rates.series.iter().filter(|series| series.own_us > 0.0).map(|series| {
        let us = |value: f64| format!("{value:.0}");
        let mut row = vec![of_whom(&series.who, &series.read)];
        row.extend([series.own_us, series.postgres_us, series.generator_us].map(us));
        row.push(format!("{:.0}", series.resident_mib));
        row
    });
    Table::new(&["", "Its own", "PostgreSQL", "Load generator", "MiB resident"], rows.collect())
}

fn neighbours_words(found: &Neighbours) -> String {
    format!(
        "A quiet tenant asks {:.0} times a second for a video, within the limit that every new tenant has. Its p95 in \
         milliseconds: alone, beside a tenant that asks for ten times its limit, and beside one within its limit whose \
         searches take {:.0} ms each.",
        found.quiet_rate, found.slow_ms
    )
}

fn beside_table(found: &Neighbours) -> Table {
    let rows = found.beside.iter().map(|beside| {
        vec![
            neighbour(&beside.who).to_owned(),
            format!("{:.2}", median(&beside.p95)),
            beside.quiet_refused.to_string(),
            beside.quiet_failed.to_string(),
            format!("{:.0}", beside.rate),
            thousands(beside.served as f64),
            thousands(beside.refused as f64),
        ]
    });
    let head = ["Beside", "Quiet p95", "Quiet 429", "Quiet failed", "Neighbour/s", "Served", "Refused"];
    Table::new(&head, rows.collect())
}

/// A neighbour as people call it.
pub(super) fn neighbour(who: &str) -> &str {
    match who {
        "nobody" => "nobody",
        "throttled" => "ten times its limit",
        "slow" => "slow queries within the limit",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_told_apart_by_commas() {
        assert_eq!([0.0, 999.0, 1000.0, 1_234_567.0].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
