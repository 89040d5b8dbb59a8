//! The report's text, in Markdown. Where a chart belongs stands `<!-- chart NAME -->`, which Markdown does not show.

use super::{
    figures::{self, Table},
    results::{Machine, Results, Section},
    targets::{self, Verdict},
};

const INTRO: &str = "\
# How fast it is

Written by `make bench` from `loadtest/results.json`; `loadtest/README.md` says how to repeat it. **Read the ratios**: \
everything ran on one machine with the load generator beside it, and each contender took its turn in every round, so \
ratios carry over to other machines and absolute figures do not.
";

const METHOD: &str = "\
## How it was measured

- One PostgreSQL with its own durability (fsync, synchronous commit) and 1 GB of shared buffers serves everybody, with the \
same tables, row policies, indexes and rows. `platform seed` makes them, interleaved between tenants as time would do it.
- The same reads everywhere: `GET /api/v1/videos/{id}` and `GET /api/v1/videos?limit=20`, each with the caller's own \
progress. Before anything is measured, all contenders must give the same answers to the same requests, and refuse another \
tenant's video and a forged token.
- The platform runs as it is deployed: token check, member status, throttle, row security, a log line at `info` for each \
request, metrics. The peers write no log, have no throttle and fewer headers: that is in their favour.
- Alike for all, pgbench too: the database role and its row policies, the statement with its lookup of each video's progress, \
the tenant, member and role set for the transaction, bitmap scans off in it (with them PostgreSQL fetches and sorts all videos \
of a tenant for a page), one plan for any values (or it plans pages anew where one tenant has much more than others), prepared statements, and the number of database connections but the platform's, which has fewer.
- Not alike: the platform sends settings and statement as one message without BEGIN and COMMIT, which is one transaction all \
the same, and makes it read-only by a setting; the peers run BEGIN READ ONLY, `set_config`, the query and COMMIT, each waiting \
for the answer before, as their libraries do.
- The peers verify each token's RS256 signature with cached keys, cache a member's standing for 3 s as the platform does, and \
run a process for each processor that they may use. `fastify-cached` also remembers verified tokens, as the platform does.
- pgbench runs BEGIN, the platform's settings, its statement and COMMIT on as many connections as HTTP has: one by one, and \
pipelined, which is what the targets are measured against. A third way leaves BEGIN and COMMIT out, which is the platform's \
own message. Nothing is verified, built or sent on there, and values are literals that are planned once: both in pgbench's \
favour. Its rate includes pgbench's own work, which takes the same processors, as the load generator's does beside the others.
- The load generator has a thread and a connection for each of its callers. Rates are closed-loop, medians of the rounds. \
Latency is at a constant rate and counts from when a request was due, so that waiting behind a slow answer shows.
- 200 callers ask for 40 videos of theirs in turn. A signed URL is signed (ECDSA P-256) once a minute for each video of \
each tenant, so some 8,000 times a minute here.
- Memory is `VmRSS` of the process. Packets are `send` calls on connections to PostgreSQL, counted by strace.
";

/// The whole report.
pub(super) fn report(results: &Results, profile: &str) -> String {
    let mut text = INTRO.to_owned();
    text += &ran_on(results);
    text += &summary(results);
    for section in figures::sections(results) {
        text += &format!("\n## {}\n\n", section.title);
        match section.failure {
            Some(why) => text += &format!("Not measured: {why}\n"),
            None => {
                text +=
                    &format!("{}\n\n<!-- chart {} -->\n\n{}", section.words, section.chart, section.table.markdown());
            }
        }
    }
    if !profile.trim().is_empty() {
        text += &format!("\n## Where the time goes\n\n{}\n\n<!-- chart flamegraph -->\n", profile.trim());
    }
    text + "\n" + METHOD
}

/// The same for the repository, where there are no charts.
pub(super) fn without_charts(report: &str) -> String {
    let kept = report.lines().filter(|line| !line.starts_with("<!-- chart "));
    let mut text = String::new();
    let mut blank = false;
    for line in kept {
        // What the chart's line stood between.
        if !(blank && line.is_empty()) {
            text += line;
            text.push('\n');
        }
        blank = line.is_empty();
    }
    text
}

/// When each section ran, and on what; marked where that is not what the first of them ran on.
fn ran_on(results: &Results) -> String {
    let runs: Vec<Run> = [
        Run::of("rates", &results.rates),
        Run::of("latency", &results.latency),
        Run::of("packets", &results.packets),
        Run::of("scaling", &results.scaling),
        Run::of("neighbours", &results.neighbours),
        Run::of("memory", &results.memory),
    ]
    .into_iter()
    .flatten()
    .collect();
    let Some(first) = runs.first() else { return String::from("\n") };
    let rows = runs.iter().map(|run| {
        let took = format!("{:.0} min", (run.took / 60.0).max(1.0));
        vec![run.name.to_owned(), run.at.to_owned(), took, format!("`{}`", run.commit), run.apart(first)]
    });
    let table = Table::new(&["Section", "Began", "Took", "Commit", ""], rows.collect());
    let mut text = format!("\nOn {}.\n\n{}", machine(first.machine), table.markdown());
    let (commits, machines) =
        (runs.iter().any(|run| run.commit != first.commit), runs.iter().any(|run| run.machine != first.machine));
    if commits || machines {
        text +=
            "\n**Not one run: figures of sections that are marked were measured on something else than the first.**\n";
    }
    if runs.iter().any(|run| run.quick) {
        text +=
            "\n**A quick run, to try the benchmark: few rows, short rounds. These figures are not for comparing.**\n";
    }
    text
}

/// One section's run.
struct Run<'a> {
    name: &'static str,
    at: &'a str,
    took: f64,
    commit: &'a str,
    machine: &'a Machine,
    quick: bool,
}

impl<'a> Run<'a> {
    fn of<T>(name: &'static str, section: &'a Option<Section<T>>) -> Option<Self> {
        let Section { at, commit, machine, quick, took, .. } = section.as_ref()?;
        Some(Self { name, at, took: *took, commit, machine, quick: *quick })
    }

    /// What sets it apart from another.
    fn apart(&self, from: &Self) -> String {
        let mut marks = Vec::new();
        if self.commit != from.commit {
            marks.push("**another commit**".to_owned());
        }
        if self.machine != from.machine {
            marks.push(format!("**another machine**: {}", machine(self.machine)));
        }
        if self.quick != from.quick {
            marks.push(if self.quick { "**a quick run**" } else { "**a full run**" }.to_owned());
        }
        marks.join(", ")
    }
}

fn machine(machine: &Machine) -> String {
    // Some say their names in their versions.
    let versions = machine.versions.iter().map(|(name, version)| {
        let says_so = version.to_lowercase().contains(&name.to_lowercase()) || version.starts_with("rustc");
        if says_so { version.clone() } else { format!("{name} {version}") }
    });
    format!(
        "{} × {}, of which the measured service has {}, {} GiB, Linux {}; {}",
        machine.cores,
        machine.processor,
        machine.service_cores,
        machine.memory_gib,
        machine.kernel,
        versions.collect::<Vec<_>>().join(", ")
    )
}

fn summary(results: &Results) -> String {
    let targets = targets::all(results);
    let rows = targets.iter().map(|target| {
        [&target.measure, &target.must, &target.aim, &target.measured, target.verdict.as_str()]
            .map(str::to_owned)
            .to_vec()
    });
    let table = Table::new(&["Measure", "Must", "Aim", "Measured", ""], rows.collect());
    let count = |verdict| targets.iter().filter(|target| target.verdict == verdict).count();
    let words = format!(
        "Of {} targets {} reach what is aimed at, {} more what must be, {} miss that, {} were not measured.",
        targets.len(),
        count(Verdict::Aim),
        count(Verdict::Must),
        count(Verdict::Missed),
        count(Verdict::Unknown)
    );
    let short = targets.iter().filter(|target| matches!(target.verdict, Verdict::Must | Verdict::Missed));
    let short: Vec<_> =
        short.map(|target| format!("- {}: {}, aim {}", target.measure, target.measured, target.aim)).collect();
    let misses = if short.is_empty() {
        String::new()
    } else {
        format!(
            "\nShort of the aim, with what stands in the way of each kind under *Where the time goes*:\n\n{}\n",
            short.join("\n")
        )
    };
    format!("\n## Targets\n\n{words}\n\n{}{misses}", table.markdown())
}

#[cfg(test)]
mod tests {
    use super::{super::results::Found, *};

    #[test]
    fn charts_leave_no_trace_in_the_repository_s_report() {
        assert_eq!(without_charts("a\n\n<!-- chart x -->\n\nb\n"), "a\n\nb\n");
    }

    /// A run of some sections: the memory apart, on another tree and machine.
    fn sections() -> Results {
        let machine = |cores| Machine {
            processor: "P".to_owned(),
            cores,
            service_cores: 1,
            memory_gib: 1,
            kernel: "6".to_owned(),
            versions: [("Node".to_owned(), "v22.1.0".to_owned())].into(),
        };
        fn section<T>(at: &str, commit: &str, machine: Machine) -> Option<Section<T>> {
            let found = Found::Failed("no".to_owned());
            Some(Section { at: at.to_owned(), commit: commit.to_owned(), machine, quick: false, took: 90.0, found })
        }
        Results {
            rates: section("2026-01-01T10:00:00Z", "abc+1", machine(2)),
            packets: section("2026-01-01T11:00:00Z", "abc+1", machine(2)),
            memory: section("2026-01-02T10:00:00Z", "abc+2", machine(4)),
            ..Results::default()
        }
    }

    #[test]
    fn each_section_says_when_it_ran_and_what_sets_it_apart() {
        let text = ran_on(&sections());
        assert!(
            text.contains("On 2 × P, of which the measured service has 1, 1 GiB, Linux 6; Node v22.1.0."),
            "{text}"
        );
        assert!(text.contains("| packets | 2026-01-01T11:00:00Z | 2 min | `abc+1` |  |"), "{text}");
        let memory =
            "| memory | 2026-01-02T10:00:00Z | 2 min | `abc+2` | **another commit**, **another machine**: 4 × P";
        assert!(text.contains(memory) && text.contains("**Not one run"), "{text}");
        let one = ran_on(&Results { memory: None, ..sections() });
        assert!(!one.contains("another") && !one.contains("Not one run"), "{one}");
    }

    #[test]
    fn a_report_can_be_made_of_nothing() {
        let text = report(&Results::default(), "");
        assert!(text.contains("## Targets") && text.contains("were not measured"), "{text}");
    }
}
