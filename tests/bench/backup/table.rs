//! The measurements as a Markdown table.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::peer::{Peer, Work};
use super::tree::Made;
use super::{Arguments, Measured};

/// All measurements, and how much each peer stored.
#[derive(Default)]
pub struct Records {
    measured: BTreeMap<(Work, Peer), Vec<Measured>>,
    pub stored: BTreeMap<Peer, u64>,
}

impl Records {
    pub fn add(&mut self, work: Work, peer: Peer, measured: Measured) {
        self.measured.entry((work, peer)).or_default().push(measured);
    }

    fn best(&self, work: Work, peer: Peer, of: fn(&Measured) -> f64) -> Option<f64> {
        self.measured.get(&(work, peer))?.iter().map(of).min_by(f64::total_cmp)
    }

    fn largest(&self, work: Work, peer: Peer) -> Option<f64> {
        self.measured.get(&(work, peer))?.iter().map(|measured| measured.peak).max_by(f64::total_cmp)
    }
}

/// The whole report.
pub fn render(arguments: &Arguments, made: &Made, records: &Records) -> String {
    let mut out = format!(
        "\n### Backups of {} files, {} MiB, under {} (`scripts/bench backup {}`, best of {})\n\nSeconds on the wall; \
         in brackets processor seconds. Peak memory in MiB is that of the largest process of a pipe.\n\n| work |",
        made.files,
        made.bytes >> 20,
        arguments.place.display(),
        arguments.words,
        arguments.repetitions,
    );
    for peer in &arguments.peers {
        let _ = write!(out, " {} |", peer.name());
    }
    let _ = writeln!(out, "\n|---|{}", "---:|".repeat(arguments.peers.len()));
    for work in Work::ALL {
        row(&mut out, work.name(), arguments, |peer| {
            let (wall, cpu) = (records.best(work, peer, |m| m.wall)?, records.best(work, peer, |m| m.cpu)?);
            Some(format!("{wall:.2} ({cpu:.2})"))
        });
    }
    row(&mut out, "stored, MiB", arguments, |peer| Some((records.stored.get(&peer)? >> 20).to_string()));
    row(&mut out, "peak memory, backup", arguments, |peer| {
        Some(format!("{:.0}", records.largest(Work::Create, peer)?))
    });
    row(&mut out, "peak memory, restore", arguments, |peer| {
        Some(format!("{:.0}", records.largest(Work::Restore, peer)?))
    });
    out
}

fn row(out: &mut String, name: &str, arguments: &Arguments, cell: impl Fn(Peer) -> Option<String>) {
    let _ = write!(out, "| {name} |");
    for peer in &arguments.peers {
        let _ = write!(out, " {} |", cell(*peer).unwrap_or_default());
    }
    out.push('\n');
}
