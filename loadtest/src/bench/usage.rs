//! What processes used, from Linux's `/proc`: processor time and resident memory of a process and all below it.

use std::{collections::HashMap, fs};

/// What a tree of processes has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Seconds of processor time, in user and kernel mode, of ended children too.
    pub cpu: f64,
    /// MiB. What processes share counts for each of them.
    pub resident_mib: f64,
}

impl Usage {
    /// Of this process and all below it.
    pub(super) fn of_tree(root: u32) -> Self {
        let processes = all();
        let mut usage = Self::default();
        let mut wanted = vec![root];
        while let Some(pid) = wanted.pop() {
            if let Some(process) = processes.get(&pid) {
                usage.cpu += process.ticks / TICKS;
                usage.resident_mib += process.pages * PAGE / 1_048_576.0;
            }
            wanted.extend(processes.iter().filter(|(_, process)| process.parent == pid).map(|(pid, _)| *pid));
        }
        usage
    }

    /// Of this process alone.
    pub(super) fn of_self() -> Self {
        let process = fs::read_to_string("/proc/self/stat").ok().and_then(|line| parse(&line));
        process.map_or_else(Self::default, |(_, process)| Self {
            cpu: process.ticks / TICKS,
            resident_mib: process.pages * PAGE / 1_048_576.0,
        })
    }
}

/// Clock ticks a second: `USER_HZ`, 100 on every Linux that Rust runs on.
const TICKS: f64 = 100.0;
/// Bytes of a page, as all machines in question have it but some with ARM's large ones.
const PAGE: f64 = 4096.0;

struct Process {
    parent: u32,
    ticks: f64,
    pages: f64,
}

fn all() -> HashMap<u32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| parse(&fs::read_to_string(entry.path().join("stat")).ok()?)).collect()
}

/// A line of `/proc/{pid}/stat`; see proc(5).
fn parse(line: &str) -> Option<(u32, Process)> {
    // The name, in brackets, may hold anything.
    let (pid, rest) = line.split_once(" (")?;
    let fields: Vec<&str> = rest.rsplit_once(") ")?.1.split(' ').collect();
    // Counted from the third, the state.
    let number = |field: usize| fields.get(field - 3).and_then(|text| text.trim().parse::<f64>().ok());
    let ticks = number(14)? + number(15)? + number(16)? + number(17)?;
    Some((pid.parse().ok()?, Process { parent: number(4)? as u32, ticks, pages: number(24)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_s_name_may_look_like_fields() {
        let line = "42 (a) b (c) S 7 1 1 0 -1 4194304 1 0 0 0 10 20 3 4 20 0 1 0 5 1000 256 18446744073709551615 1";
        let (pid, process) = parse(line).expect("the line is read");
        assert_eq!((pid, process.parent, process.ticks, process.pages), (42, 7, 37.0, 256.0));
    }

    #[test]
    fn our_own_memory_is_counted() {
        assert!(Usage::of_tree(std::process::id()).resident_mib > 1.0);
    }
}
