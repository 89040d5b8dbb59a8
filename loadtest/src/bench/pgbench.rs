//! PostgreSQL's own pace: pgbench runs the same transactions with nothing in front of it, as the role that the platform
//! connects as.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, ensure};
use devstack::programs;

use super::stack::{Scale, Stack};
use crate::{
    report::results::median,
    seeded::{Caller, Read, Seeded},
};

/// As many different callers and videos; each is a script of its own, since pgbench's variables are numbers.
const SCRIPTS: usize = 40;
/// What a read of the platform's sets before anything else, all of it.
const SETTINGS: &str = include_str!("../../peers/pgbench/settings.sql");
const POINT: &str = include_str!("../../peers/pgbench/point.sql");
const PAGE: &str = include_str!("../../peers/pgbench/page.sql");

/// How a transaction's statements travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// BEGIN, the settings, the read, COMMIT, each waiting for the answer to the one before.
    OneByOne,
    /// The same four, all at once. This is what the targets are measured against.
    Pipelined,
    /// The settings and the read in one message that is a transaction of its own, as the platform sends its hottest
    /// reads.
    Implicit,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::OneByOne, Self::Pipelined, Self::Implicit];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OneByOne => "pgbench",
            Self::Pipelined => "pgbench-pipelined",
            Self::Implicit => "pgbench-implicit",
        }
    }
}

/// pgbench and its scripts.
pub(super) struct PgBench {
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    database: &'static str,
    password_url: String,
}

impl PgBench {
    /// Writes the scripts.
    pub(super) async fn prepare(stack: &Stack, scale: Scale, seeded: &Seeded) -> anyhow::Result<Self> {
        let program = programs::postgres_bin().await?.join("pgbench");
        ensure!(program.exists(), "{} is missing: install Debian's postgresql", program.display());
        let dir = stack.dir.join("pgbench");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let callers = seeded.callers.iter().cycle().take(SCRIPTS).enumerate();
        for (n, caller) in callers {
            for way in Way::ALL {
                for (read, text) in [(Read::Point, POINT), (Read::Page, PAGE)] {
                    let path = dir.join(format!("{}-{}-{n}.sql", way.name(), read.name()));
                    fs::write(path, script(way, text, caller, n))?;
                }
            }
        }
        let password_url = stack.app_url(scale.name);
        Ok(Self { program, dir, port: stack.postgres.port(), database: scale.name, password_url })
    }

    /// Transactions a second, the first `warm` seconds left out.
    pub(super) fn run(
        &self,
        way: Way,
        read: Read,
        connections: usize,
        warm: u64,
        measured: u64,
    ) -> anyhow::Result<f64> {
        let password = self.password_url.split(':').nth(2).and_then(|rest| rest.split('@').next()).unwrap_or_default();
        let threads = std::thread::available_parallelism()?.get().min(connections).to_string();
        let mut command = Command::new(&self.program);
        command
            .args(["-n", "-M", "prepared", "-h", "127.0.0.1", "-U", "ffp_app", "-P", "1"])
            .args(["-p", &self.port.to_string(), "-c", &connections.to_string(), "-j", &threads])
            .args(["-T", &(warm + measured).to_string()]);
        for n in 0..SCRIPTS {
            command.arg("-D").arg(format!("seen_{n}=0")).arg("-f").arg(self.dir.join(format!(
                "{}-{}-{n}.sql",
                way.name(),
                read.name()
            )));
        }
        // Progress goes to standard error.
        let out =
            command.arg(self.database).env("PGPASSWORD", password).stderr(std::process::Stdio::piped()).output()?;
        let lines = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(out.status.success(), "pgbench failed ({}): {}", out.status, lines.lines().last().unwrap_or_default());
        let each_second: Vec<f64> = lines.lines().filter_map(progress).collect();
        ensure!(each_second.len() as u64 > warm, "pgbench told no progress: {lines}");
        Ok(median(&each_second[warm as usize..]))
    }
}

/// `progress: 3.0 s, 7812.9 tps, lat 4.090 ms stddev 0.912, 0 failed`
fn progress(line: &str) -> Option<f64> {
    line.strip_prefix("progress: ")?.split(", ").nth(1)?.strip_suffix(" tps")?.parse().ok()
}

/// The platform's transaction for one caller: its settings, its statement with values in the place of parameters, and
/// BEGIN and COMMIT around them unless the way goes without.
fn script(way: Way, text: &str, caller: &Caller, n: usize) -> String {
    let video = caller.videos.get(n % caller.videos.len().max(1)).map_or("", String::as_str);
    let values = [
        ("{tenant}", caller.tenant.as_str()),
        ("{member}", &caller.member),
        ("{role}", &caller.role),
        ("{video}", video),
    ];
    let both = format!("{}\n{}\n", SETTINGS.trim(), text.trim());
    let work = values.iter().fold(both, |text, (name, value)| text.replace(name, value));
    let whole = format!("begin;\n{work}commit;\n");
    match way {
        Way::OneByOne => whole,
        Way::Pipelined => piped(&whole, n),
        Way::Implicit => piped(&work, n),
    }
}

/// As one message. pgbench 15 prepares a script's statements when it sends the first, which it can't within a pipeline: so
/// each connection runs each script once without one.
fn piped(statements: &str, n: usize) -> String {
    format!(
        "\\if :seen_{n}\n\\startpipeline\n{statements}\\endpipeline\n\\else\n\\set seen_{n} 1\nselect 1;\n\\endif\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_from_a_line_of_progress() {
        let line = "progress: 3.0 s, 7812.9 tps, lat 4.090 ms stddev 0.912, 0 failed";
        assert_eq!(progress(line), Some(7812.9));
        assert_eq!(progress("pgbench (15.18)"), None);
    }

    fn caller() -> Caller {
        let text = |text: &str| text.to_owned();
        Caller { tenant: text("T"), member: text("M"), role: text("R"), token: text("K"), videos: vec![text("V")] }
    }

    #[test]
    fn every_way_runs_the_same_settings_and_the_same_read() {
        for text in [POINT, PAGE] {
            let scripts = Way::ALL.map(|way| script(way, text, &caller(), 0));
            for script in &scripts {
                assert!(!script.contains('{'), "{script}");
                for needed in
                    ["set_config('app.tenant_id', 'T', true)", "'enable_bitmapscan', 'off'", "left join lateral"]
                {
                    assert_eq!(script.matches(needed).count(), 1, "{needed} in {script}");
                }
            }
            let is_framed = |script: &String| script.contains("begin;\n") && script.contains("\ncommit;\n");
            assert_eq!(scripts.each_ref().map(is_framed), [true, true, false]);
            let is_one_message = |script: &String| script.contains("\\startpipeline");
            assert_eq!(scripts.each_ref().map(is_one_message), [false, true, true]);
        }
    }

    #[test]
    fn the_settings_and_statements_are_those_of_the_platform() {
        let ours = |path: &str| {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
            bare(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        };
        let (settings, reads) = (ours("tenants/src/fetch/connection.rs"), ours("platform/src/videos/reads.rs"));
        let names = |text: &str| {
            text.split("set_config('")
                .skip(1)
                .map(|rest| rest.split('\'').next().unwrap_or_default().to_owned())
                .collect::<Vec<_>>()
        };
        let constant =
            settings.split("constSETTINGS").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or_default();
        assert_eq!(names(constant), names(&bare(SETTINGS)), "the platform's hot reads set something else");
        let values = [("'{tenant}'", "$1"), ("'{member}'", "$2")];
        let with = |text: &str, more: &[(&str, &str)]| {
            bare(&values.iter().chain(more).fold(text.to_owned(), |text, (from, to)| text.replace(from, to)))
        };
        let point = with(POINT, &[("'{video}'", "$3")]);
        let page = with(
            &PAGE.replacen("where true", "where $3", 1).replacen("where true", "where $4", 1),
            &[
                ("'ffffffff-ffff-ffff-ffff-ffffffffffff'", "$5"),
                ("search_form(null)", "search_form($6)"),
                ("null::text", "$6::text"),
                ("limit 21", "limit $7"),
            ],
        );
        for (name, statement, ends) in
            [("point", point, ["wherev.tenant_idin"].as_slice()), ("page", page, &["from(select", "orderbyv.id"])]
        {
            // The platform builds its statements of parts: each of them is here, and nothing else is.
            let (columns, rest) = statement.split_at(statement.find("from").unwrap_or(0));
            assert!(reads.contains(columns), "{name}: {columns}");
            let joined = rest.find("leftjoin").unwrap_or(0);
            let end =
                rest.find("ponttrue").or_else(|| rest.find("pontrue")).map_or(rest.len(), |at| at + "pontrue".len());
            for part in [&rest[..joined], &rest[joined..end], &rest[end..]] {
                assert!(reads.contains(part.trim_end_matches(';')), "{name}: {part} is not the platform's");
            }
            assert!(ends.iter().all(|end| statement.contains(end)), "{name}: {statement}");
        }
    }

    /// Without what Rust and SQL may write differently: space, line ends and quotes of Rust's.
    fn bare(text: &str) -> String {
        text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '\\' | '"')).collect()
    }
}
