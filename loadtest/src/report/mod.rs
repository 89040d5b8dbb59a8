//! The report, from the results and nothing else: Markdown for the repository, and the same text with charts as one HTML
//! file that needs nothing beside it.
//!
//! | File | Holds |
//! |---|---|
//! | `results.rs` | the figures, as they are kept |
//! | `targets.rs` | what they are measured against |
//! | `text.rs`, `figures.rs` | the text and its tables, in Markdown |
//! | `html.rs` | Markdown as a page |
//! | `charts.rs` | the charts in it |

mod charts;
mod figures;
mod html;
pub mod results;
mod targets;
mod text;

use std::{fs, io::ErrorKind, path::Path};

use anyhow::Context;

use self::results::Results;

/// The figures.
pub const RESULTS: &str = "loadtest/results.json";
/// The report.
pub const MARKDOWN: &str = "loadtest/REPORT.md";
/// The report with charts.
pub const HTML: &str = "loadtest/report.html";
/// Where the time goes, written by a person who looked.
const PROFILE: &str = "loadtest/PROFILE.md";
/// The picture that goes with it.
const FLAMEGRAPH: &str = "loadtest/flamegraph.svg";

/// What it shows; it is no part of a run.
const FLAMEGRAPH_IS: &str = "A flame graph of reads of one video, made by hand with perf and loadtest/flamegraph.py at \
                             another time than the figures above";

/// Writes both.
///
/// # Errors
/// A file can't be read or written.
pub fn write(results: &Results) -> anyhow::Result<()> {
    let (profile, flamegraph) = (read(PROFILE)?, read(FLAMEGRAPH)?);
    let markdown = text::report(results, &profile);
    save(MARKDOWN, &text::without_charts(&markdown))?;
    let picture = (!flamegraph.is_empty()).then(|| html::picture(FLAMEGRAPH_IS, &flamegraph));
    let chart = |name: &str| if name == "flamegraph" { picture.clone() } else { charts::chart(name, results) };
    save(HTML, &html::page(&markdown, chart))
}

/// A file's text; none if it is not there.
fn read(path: &str) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        text => text.with_context(|| format!("cannot read {path}")),
    }
}

fn save(path: &str, text: &str) -> anyhow::Result<()> {
    fs::write(Path::new(path), text).with_context(|| format!("cannot write {path}"))
}
