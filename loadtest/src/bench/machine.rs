//! Where and on what it runs.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    fs,
    hash::{Hash, Hasher},
    process::Command,
};

use super::{node::Node, process::output};
use crate::report::results::Machine;

/// This machine, of which the measured service may use so many processors.
pub(super) async fn describe(service_cores: usize) -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let processor =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let memory = read("/proc/meminfo");
    let kib =
        memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let mut versions = BTreeMap::new();
    let mut add = |name: &str, version: anyhow::Result<String>| {
        if let Ok(version) = version {
            versions.insert(name.to_owned(), version);
        }
    };
    if let Ok(bin) = devstack::programs::postgres_bin().await {
        add("PostgreSQL", output("postgres", Command::new(bin.join("postgres")).arg("--version")));
    }
    add("Node", Node::find().await.map(|node| node.version));
    add("Rust", output("rustc", Command::new("rustc").arg("--version")));
    if let Ok(python) = devstack::programs::python().await {
        add("Python", output("python", Command::new(python).arg("--version")));
    }
    Machine {
        processor: processor.unwrap_or("unknown").trim().to_owned(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        service_cores,
        memory_gib: kib.unwrap_or_default() / (1 << 20),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        versions,
    }
}

/// What the report itself is made of: changing it changes nothing that is measured.
const REPORT: [&str; 5] = [
    ":!loadtest/results.json",
    ":!loadtest/REPORT.md",
    ":!loadtest/report.html",
    ":!loadtest/PROFILE.md",
    ":!loadtest/flamegraph.svg",
];

/// The commit that is checked out; with `+` and a fingerprint of the changes on top of it, so that two runs on changed
/// trees are taken for the same only if the changes were.
pub(super) fn commit() -> String {
    let git =
        |arguments: &[&str]| output("git", Command::new("git").args(arguments).args(["--", "."]).args(REPORT)).ok();
    let head = output("git", Command::new("git").args(["rev-parse", "--short=12", "HEAD"]));
    let Ok(commit) = head else { return "unknown".to_owned() };
    let changed = git(&["diff", "--binary", "HEAD"]);
    let added = git(&["ls-files", "--others", "--exclude-standard"]);
    let (Some(changed), Some(added)) = (changed, added) else { return format!("{commit}+") };
    if changed.is_empty() && added.is_empty() {
        return commit;
    }
    let mut hasher = DefaultHasher::new();
    changed.hash(&mut hasher);
    for path in added.lines() {
        (path, fs::read(path).unwrap_or_default()).hash(&mut hasher);
    }
    format!("{commit}+{:08x}", hasher.finish() as u32)
}
