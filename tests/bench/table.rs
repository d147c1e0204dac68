//! The measurements as a Markdown table: the best of each, the ratio, what is wanted, the ceiling, processor time.

use std::fmt::Write;
use std::path::Path;

use strongroom_tests::{Program, output_of};

use crate::arguments::{Arguments, Group};
use crate::candidate::Candidate;
use crate::measure::{Amount, Measured, Records};

/// What is wanted of each line on tmpfs, as a multiple of gocryptfs; a line without a wish must not be slower.
const WANTED: &[(Group, &str, f64)] = &[
    (Group::Large, "write, 1 MiB requests", 1.8),
    (Group::Large, "write, 4 KiB requests", 5.0),
    (Group::Large, "read, 1 MiB requests, cold", 1.6),
    (Group::Large, "random 4 KiB reads, cold", 1.2),
    (Group::Large, "random 4 KiB reads, 4 threads, cold", 1.7),
    (Group::Large, "random 4 KiB writes", 3.0),
    (Group::Siv, "write, 1 MiB requests", 5.0),
    (Group::Siv, "read, 1 MiB requests, cold", 5.0),
    (Group::Reverse, "read, 1 MiB requests, cold", 4.0),
    (Group::Small, "create, 4 KiB", 1.6),
    (Group::Small, "list and stat, cold", 2.5),
    (Group::Small, "ls -lR, cold", 2.5),
    (Group::Small, "read, 4 KiB, cold", 1.6),
    (Group::Small, "read, 4 KiB, warm", 5.0),
    (Group::Small, "append 100 bytes", 1.6),
    (Group::Small, "remove", 1.4),
];

/// What machine this is.
pub fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let peer = output_of(Program::Gocryptfs.command().arg("-version"));
    let model = model.trim_matches([':', ' ', '\t']);
    let peer = String::from_utf8_lossy(&peer.stdout).trim().to_owned();
    format!("{cores} cores of {model}, Linux {}, {peer}.\n", kernel.trim())
}

/// The table of one place.
pub fn render(place: &Path, arguments: &Arguments, records: &Records) -> String {
    let mut out = format!(
        "\n### Under {} (`scripts/bench {}`, best of {})\n\n| work | gocryptfs | strongroom | ratio | wanted | pass-through \
         | of it | bare | CPU gocryptfs | CPU strongroom |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
        place.display(),
        arguments.words,
        arguments.repetitions,
    );
    for (group, line) in &records.lines {
        out += &row(*group, line, records, is_in_memory(place));
    }
    out += "\nLarge files in MB/s and CPU seconds for a GiB, all else in operations a second and CPU microseconds each; CPU is that of the server and of its client together. \"Cold\" is after unmounting and mounting again";
    out += if is_in_memory(place) { ".\n" } else { ", and with the kernel's caches dropped.\n" };
    out + &memory(records)
}

fn is_in_memory(place: &Path) -> bool {
    place.starts_with("/dev/shm")
}

fn row(group: Group, line: &'static str, records: &Records, wishes_apply: bool) -> String {
    let of = |candidate| records.measured.get(&(group, line, candidate)).map(Vec::as_slice).unwrap_or_default();
    let best = |candidate| of(candidate).iter().copied().min_by(|a, b| a.wall.total_cmp(&b.wall));
    let cpu = |candidate| of(candidate).iter().copied().min_by(|a, b| work(a).total_cmp(&work(b)));
    let (theirs, ours, ceiling) =
        (best(Candidate::Gocryptfs), best(Candidate::Strongroom), best(Candidate::PassThrough));
    let wish = WANTED.iter().find(|wanted| (wanted.0, wanted.1) == (group, line)).map_or(1.0, |wanted| wanted.2);
    let ratio = |slower: Option<Measured>| match (slower, ours) {
        (Some(other), Some(ours)) => format!("{:.2}", other.wall / ours.wall),
        _ => String::new(),
    };
    let name = match group {
        Group::Siv => format!("AES-SIV: {line}"),
        Group::Reverse => format!("reverse: {line}"),
        _ => line.to_owned(),
    };
    let mut out = format!("| {name} | {} | {} | {} ", speed(theirs), speed(ours), ratio(theirs));
    let wish = if wishes_apply { format!("{wish:.1}") } else { String::new() };
    let bare = best(Candidate::Bare);
    let _ = write!(out, "| {wish} | {} | {} | {} ", speed(ceiling), ratio(ceiling), speed(bare));
    let _ = writeln!(out, "| {} | {} |", effort(cpu(Candidate::Gocryptfs)), effort(cpu(Candidate::Strongroom)));
    out
}

fn work(measured: &Measured) -> f64 {
    measured.server + measured.client
}

fn speed(measured: Option<Measured>) -> String {
    let Some(measured) = measured else { return String::new() };
    match measured.amount {
        Amount::Bytes(bytes) => format!("{:.0}", bytes as f64 / measured.wall / 1e6),
        Amount::Operations(count) => format!("{:.1}k", count as f64 / measured.wall / 1e3),
    }
}

fn effort(measured: Option<Measured>) -> String {
    let Some(measured) = measured else { return String::new() };
    match measured.amount {
        Amount::Bytes(bytes) => {
            let gibibytes = bytes as f64 / f64::from(1 << 30);
            format!("{:.2}+{:.2}", measured.server / gibibytes, measured.client / gibibytes)
        }
        Amount::Operations(count) => {
            format!("{:.1}+{:.1}", measured.server / count as f64 * 1e6, measured.client / count as f64 * 1e6)
        }
    }
}

fn memory(records: &Records) -> String {
    let mut out = String::from("\n| memory, MiB | peak | at rest after the work |\n|---|---:|---:|\n");
    for (candidate, peak) in &records.peak {
        let at_rest = records.at_rest.get(candidate).copied().unwrap_or_default();
        let _ = writeln!(out, "| {candidate:?} | {:.0} | {:.0} |", *peak as f64 / 1024.0, at_rest as f64 / 1024.0);
    }
    out
}
