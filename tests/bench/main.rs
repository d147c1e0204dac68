//! Measures the program beside the real gocryptfs, a pass-through without encryption and the bare file system: the same
//! work on each in turn, several times over, and a table of the best of each.

#![allow(clippy::print_stdout, clippy::print_stderr)] // this is a program that reports

mod arguments;
mod backup;
mod candidate;
mod fsck;
mod large;
mod measure;
mod migrate;
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
    let mut words: Vec<_> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "backup") {
        return measure_backups(words.split_off(1));
    }
    if words.first().is_some_and(|word| word == "migrate") {
        return measure_migrations(words.split_off(1));
    }
    if words.first().is_some_and(|word| word == "fsck") {
        return measure_checks(words.split_off(1));
    }
    let arguments = match Arguments::parse(words.into_iter()) {
        Ok(arguments) => arguments,
        Err(reason) => {
            let others = [backup::USAGE, migrate::USAGE, fsck::USAGE].join("\n\n");
            eprintln!("{reason}\n\n{}\n\n{others}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    let mut report = table::machine();
    for place in &arguments.places {
        let records = measure_at(place, &arguments);
        report += &table::render(place, &arguments, &records);
    }
    publish(&report, arguments.output.as_deref());
    ExitCode::SUCCESS
}

fn measure_backups(words: Vec<String>) -> ExitCode {
    let arguments = match backup::Arguments::parse(words) {
        Ok(arguments) => arguments,
        Err(reason) => {
            eprintln!("{reason}\n\n{}", backup::USAGE);
            return ExitCode::from(2);
        }
    };
    publish(&(table::machine() + &backup::run(&arguments)), arguments.output.as_deref());
    ExitCode::SUCCESS
}

fn measure_migrations(words: Vec<String>) -> ExitCode {
    let arguments = match migrate::Arguments::parse(words) {
        Ok(arguments) => arguments,
        Err(reason) => {
            eprintln!("{reason}\n\n{}", migrate::USAGE);
            return ExitCode::from(2);
        }
    };
    publish(&(table::machine() + &migrate::run(&arguments)), arguments.output.as_deref());
    ExitCode::SUCCESS
}

fn measure_checks(words: Vec<String>) -> ExitCode {
    let arguments = match fsck::Arguments::parse(words) {
        Ok(arguments) => arguments,
        Err(reason) => {
            eprintln!("{reason}\n\n{}", fsck::USAGE);
            return ExitCode::from(2);
        }
    };
    publish(&(table::machine() + &fsck::run(&arguments)), arguments.output.as_deref());
    ExitCode::SUCCESS
}

fn publish(report: &str, output: Option<&Path>) {
    println!("{report}");
    if let Some(file) = output {
        std::fs::write(file, report).unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
    }
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
    if matches!(group, Group::Siv | Group::Reverse) && candidate.format_matters().is_none() {
        return;
    }
    let mut stage = Stage::set(candidate, group, place);
    match group {
        Group::Large | Group::Siv => large::run(&mut stage, group, arguments, records),
        Group::Reverse => large::run_reverse(&mut stage, arguments, records),
        Group::Small => small::run(&mut stage, arguments, records),
        Group::Unpack => unpack::run(&mut stage, arguments, records),
    }
    stage.clear(records);
}
