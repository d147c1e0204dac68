//! Processes by number, told apart from those that have the number later; and all that they started.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::{Snapshot, deadline::Deadline};

/// A process. Its number alone is somebody else's once it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// When it began, in clock ticks since the machine did.
    pub(crate) begun: u64,
}

struct Stat {
    parent: u32,
    begun: u64,
    is_dead: bool,
}

/// What a snapshot calls the processes and their times, and the start of the machine that these belong to.
const PROCESSES: &str = "processes";
const BOOT: &str = "boot";

impl Process {
    /// The one that has this number now, if it runs. One that has ended and that nobody has waited for does not.
    pub(crate) fn find(pid: u32) -> Option<Self> {
        stat(pid).filter(|stat| !stat.is_dead).map(|stat| Self { pid, begun: stat.begun })
    }

    pub(crate) fn runs(self) -> bool {
        Self::find(self.pid) == Some(self)
    }
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, and may have any in it.
    let mut fields = text.rsplit_once(") ")?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let begun = fields.nth(17)?.parse().ok()?;
    // A first thread that has ended is a zombie as long as others go on.
    let is_dead = state == "X" || (state == "Z" && threads(pid) <= 1);
    Some(Stat { parent, begun, is_dead })
}

fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, |entries| entries.count())
}

/// `roots` as far as they run, and all that they and theirs started.
pub(crate) fn families(roots: &[u32]) -> Vec<Process> {
    let all = everybody();
    let mut found = BTreeSet::new();
    let mut ahead: Vec<u32> = roots.to_vec();
    while let Some(pid) = ahead.pop() {
        let Some(stat) = all.get(&pid) else { continue };
        if found.insert(Process { pid, begun: stat.begun }) {
            ahead.extend(all.iter().filter(|(_, stat)| stat.parent == pid).map(|(child, _)| *child));
        }
    }
    found.into_iter().collect()
}

fn everybody() -> BTreeMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?))).filter(|(_, stat)| !stat.is_dead).collect()
}

/// Waits until none of `processes` runs; those that still do are told.
pub(crate) fn await_end(processes: &[Process], deadline: &Deadline) -> Vec<u32> {
    let mut left = processes.to_vec();
    left.sort_unstable();
    left.dedup();
    loop {
        left.retain(|process| process.runs());
        if left.is_empty() || !deadline.pause() {
            return numbers(&left);
        }
    }
}

pub(crate) fn numbers(processes: &[Process]) -> Vec<u32> {
    processes.iter().map(|process| process.pid).collect()
}

/// Records `processes`, so that another process of ours knows them again.
pub(crate) fn record(processes: &[Process], snapshot: &mut Snapshot) {
    let words: Vec<_> = processes.iter().map(|process| format!("{}@{}", process.pid, process.begun)).collect();
    snapshot.pids = numbers(processes);
    snapshot.facts.insert(PROCESSES.into(), words.join(" "));
    snapshot.facts.insert(BOOT.into(), boot());
}

/// Those of the recorded processes that still run.
pub(crate) fn recorded(snapshot: &Snapshot) -> Vec<Process> {
    let text = snapshot.facts.get(PROCESSES).filter(|_| snapshot.facts.get(BOOT) == Some(&boot()));
    let words = text.into_iter().flat_map(|text| text.split_ascii_whitespace());
    let processes = words.filter_map(|word| {
        let (pid, begun) = word.split_once('@')?;
        Some(Process { pid: pid.parse().ok()?, begun: begun.parse().ok()? })
    });
    processes.filter(|process| process.runs()).collect()
}

/// Which start of the machine this is: times of processes are counted from it.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, process::Command};

    use super::*;
    use crate::ServiceSpec;

    #[test]
    fn a_process_and_what_it_started_are_a_family() {
        let mut parent = Command::new("sh").args(["-c", "sleep 100 & wait"]).spawn().unwrap();
        let family = loop {
            let family = families(&[parent.id()]);
            if family.len() == 2 {
                break family;
            }
        };
        assert!(family.iter().any(|process| process.pid == parent.id()) && families(&[0]).is_empty());
        let child = family.iter().find(|process| process.pid != parent.id()).unwrap();
        Command::new("kill").arg(child.pid.to_string()).status().unwrap();
        parent.wait().unwrap();
    }

    #[test]
    fn one_that_has_ended_does_not_run_even_before_it_is_waited_for() {
        let mut child = Command::new("true").spawn().unwrap();
        while Process::find(child.id()).is_some() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }

    #[test]
    fn a_number_that_has_another_process_by_now_is_not_taken_for_it() {
        let me = Process::find(std::process::id()).unwrap();
        let spec = ServiceSpec::Command("x".into());
        let mut snapshot = Snapshot { spec, was_running: true, pids: vec![], facts: BTreeMap::new() };
        record(&[me], &mut snapshot);
        assert_eq!(recorded(&snapshot), [me]);
        record(&[Process { begun: me.begun + 1, ..me }], &mut snapshot);
        assert!(recorded(&snapshot).is_empty());
        record(&[me], &mut snapshot);
        snapshot.facts.insert(BOOT.into(), "another".into());
        assert!(recorded(&snapshot).is_empty());
    }
}
