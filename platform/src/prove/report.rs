//! What happened, for programs, readers and the terminal.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Serialize;
use tenants::proof::{Attempt, Verdict};

/// The page, with a place for the data.
const PAGE: &str = include_str!("assets/report.html");
/// What stands for the data in it.
const PLACE: &str = "/*REPORT*/null";

/// Everything about one run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// What was attacked.
    pub(super) url: String,
    pub(super) began_at: DateTime<Utc>,
    pub(super) ended_at: DateTime<Utc>,
    /// Requests sent, preparing and comparing included.
    pub(super) requests: u64,
    /// Times a request waited for its turn.
    pub(super) waits: u64,
    pub(super) attacker: String,
    pub(super) victim: String,
    /// Why it ended early, if it did.
    pub(super) ended_early: Option<String>,
    pub(super) groups: BTreeMap<&'static str, Group>,
    /// What was not tried, and why.
    pub(super) left_out: Vec<(String, String)>,
    /// What could not be taken away again.
    pub(super) remains: Vec<String>,
    pub(super) attempts: Vec<Attempt>,
}

/// One kind of attempt.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Group {
    held: usize,
    leak: usize,
    unproved: usize,
}

impl Report {
    /// Counts the attempts by group.
    pub(super) fn count(attempts: &[Attempt]) -> BTreeMap<&'static str, Group> {
        let mut groups: BTreeMap<&'static str, Group> = BTreeMap::new();
        for attempt in attempts {
            let group = groups.entry(attempt.group).or_default();
            match attempt.verdict {
                Verdict::Held => group.held += 1,
                Verdict::Leak => group.leak += 1,
                Verdict::Unproved => group.unproved += 1,
            }
        }
        groups
    }

    fn sum(&self, of: impl Fn(&Group) -> usize) -> usize {
        self.groups.values().map(of).sum()
    }

    /// Whether nothing leaked and nothing was left unproved.
    pub(super) fn holds(&self) -> bool {
        self.ended_early.is_none() && self.sum(|group| group.leak + group.unproved) == 0
    }

    /// Writes the JSON.
    ///
    /// # Errors
    /// A file that can't be written.
    pub(super) fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_vec(self)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Writes the page: one file that needs nothing else.
    ///
    /// # Errors
    /// A file that can't be written.
    pub(super) fn write_html(&self, path: &Path) -> anyhow::Result<()> {
        std::fs::write(path, self.page()?).with_context(|| format!("cannot write {}", path.display()))
    }

    fn page(&self) -> anyhow::Result<String> {
        // Within a script nothing may look like its end; `\u003c` is the same to JSON.
        let data = serde_json::to_string(self)?.replace('<', "\\u003c");
        Ok(PAGE.replacen(PLACE, &data, 1))
    }

    /// For the terminal.
    pub(super) fn summary(&self) -> String {
        let mut text = String::new();
        let seconds = (self.ended_at - self.began_at).num_seconds();
        let total = self.attempts.len();
        let _ = writeln!(text, "\n{total} attempts and {} requests at {} in {seconds} s", self.requests, self.url);
        let _ = writeln!(text, "attacker: {}\nvictim:   {}\n", self.attacker, self.victim);
        for (name, group) in &self.groups {
            let _ = writeln!(
                text,
                "  {name:<18} {:>6} held {:>5} leaked {:>5} unproved",
                group.held, group.leak, group.unproved
            );
        }
        for attempt in self.attempts.iter().filter(|attempt| attempt.verdict != Verdict::Held).take(20) {
            let what = if attempt.verdict == Verdict::Leak { "LEAK" } else { "UNPROVED" };
            let short = |text: &str| text.chars().take(300).collect::<String>();
            let _ = writeln!(
                text,
                "\n{what} in {}: {}\n  {}\n  {}",
                attempt.group,
                attempt.subject,
                short(&attempt.action),
                short(&attempt.detail)
            );
        }
        for (title, lines) in [
            ("Left out", self.left_out.iter().map(|(what, why)| format!("{what}: {why}")).collect::<Vec<_>>()),
            ("Remains", self.remains.clone()),
        ] {
            if !lines.is_empty() {
                let _ = writeln!(text, "\n{title}:");
                lines.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
            }
        }
        let _ = match (&self.ended_early, self.holds()) {
            (Some(why), _) => writeln!(text, "\nIt ended early: {why}"),
            (None, true) => writeln!(text, "\nNo leak: every attempt held."),
            (None, false) => writeln!(
                text,
                "\n{} leaks, {} attempts that prove nothing.",
                self.sum(|group| group.leak),
                self.sum(|group| group.unproved)
            ),
        };
        text
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn report(verdicts: &[Verdict]) -> Report {
        let attempt = |verdict: &Verdict| Attempt::new("sql.read", "video", "</script><script>alert(1)", *verdict, "a");
        let attempts: Vec<_> = verdicts.iter().map(attempt).collect();
        let now = Utc::now();
        Report {
            url: "http://localhost".into(),
            began_at: now,
            ended_at: now,
            requests: 1,
            waits: 0,
            attacker: "A".into(),
            victim: "B".into(),
            ended_early: None,
            groups: Report::count(&attempts),
            left_out: Vec::new(),
            remains: Vec::new(),
            attempts,
        }
    }

    #[test]
    fn only_a_proof_in_which_everything_held_holds() {
        assert!(report(&[Verdict::Held]).holds());
        for verdict in [Verdict::Leak, Verdict::Unproved] {
            let report = report(&[Verdict::Held, verdict]);
            assert!(!report.holds());
            assert!(report.summary().contains("in sql.read: video"), "{}", report.summary());
        }
        assert!(!Report { ended_early: Some("stopped".into()), ..report(&[Verdict::Held]) }.holds());
    }

    #[test]
    fn the_page_holds_the_data_and_nothing_in_it_ends_the_script() {
        let page = report(&[Verdict::Held]).page().unwrap();
        assert_eq!(page.matches("</script>").count(), PAGE.matches("</script>").count());
        assert!(page.contains(r"\u003c/script>") && !page.contains(PLACE));
        assert!(!PAGE.contains("http://") && !PAGE.contains("https://"), "nothing is loaded from elsewhere");
    }
}
