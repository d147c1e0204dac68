//! Measures the program beside the real gocryptfs, a pass-through without encryption and the bare file system: the same
//! work on each in turn, several times over, and a table of the best of each.

#![allow(clippy::print_stdout, clippy::print_stderr)] // this is a program that reports

mod arguments;
mod candidate;
mod large;
mod measure;
mod small;
mod stage;
mod table;
mod unpack;

use std::path::Path;
use std::process::ExitCode;

use crate::arguments::{Arguments, Group};
use crate::candidate::Candidate;
use crate::measure::Records;
use crate::stage::Stage;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(reason) => {
            eprintln!("{reason}\n\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    let mut report = table::machine();
    for place in &arguments.places {
        let records = measure_at(place, &arguments);
        report += &table::render(place, &arguments, &records);
    }
    println!("{report}");
    if let Some(file) = &arguments.output {
        std::fs::write(file, report).unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
    }
    ExitCode::SUCCESS
}

/// All groups on all candidates, in turn, as often as asked.
fn measure_at(place: &Path, arguments: &Arguments) -> Records {
    let mut records = Records::default();
    for repetition in 0..arguments.repetitions {
        for group in &arguments.groups {
            let mut candidates = arguments.candidates.clone();
            candidates.rotate_left(repetition % arguments.candidates.len());
            for candidate in candidates {
                eprintln!("{}: {group:?}, {candidate:?}, round {}", place.display(), repetition + 1);
                run(*group, candidate, place, arguments, &mut records);
            }
        }
    }
    records
}

fn run(group: Group, candidate: Candidate, place: &Path, arguments: &Arguments, records: &mut Records) {
    if group == Group::Siv && candidate.format_matters().is_none() {
        return;
    }
    let mut stage = Stage::set(candidate, group, place);
    match group {
        Group::Large | Group::Siv => large::run(&mut stage, group, arguments, records),
        Group::Small => small::run(&mut stage, arguments, records),
        Group::Unpack => unpack::run(&mut stage, arguments, records),
    }
    stage.clear(records);
}
