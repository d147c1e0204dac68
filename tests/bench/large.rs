//! One large file: written and read in large and small requests, and at random.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use strongroom_tests::Random;

use crate::arguments::{Arguments, Group};
use crate::measure::{Amount, Records};
use crate::stage::Stage;

pub fn run(stage: &mut Stage, group: Group, arguments: &Arguments, records: &mut Records) {
    sequential(stage, arguments, records);
    if group == Group::Large {
        small_requests(stage, arguments, records);
        random_reads(stage, arguments, records);
        random_writes(stage, arguments, records);
    }
}

/// The plaintext is written where it lies, and read encrypted.
pub fn run_reverse(stage: &mut Stage, arguments: &Arguments, records: &mut Records) {
    write(&stage.aside("cipher").join("large"), arguments.size, 1 << 20);
    let bytes = Amount::Bytes(arguments.size);
    stage.cool();
    stage.measure(records, "read, 1 MiB requests, cold", bytes, |root| read(&largest_in(root), 1 << 20));
    stage.cool();
    stage.measure(records, "read, 128 KiB requests, cold", bytes, |root| read(&largest_in(root), 128 << 10));
}

fn largest_in(root: &Path) -> PathBuf {
    let entries = std::fs::read_dir(root).unwrap().map(Result::unwrap);
    entries.max_by_key(|entry| entry.metadata().unwrap().len()).expect("there is something").path()
}

fn sequential(stage: &mut Stage, arguments: &Arguments, records: &mut Records) {
    let bytes = Amount::Bytes(arguments.size);
    stage.measure(records, "write, 1 MiB requests", bytes, |root| write(&root.join("large"), arguments.size, 1 << 20));
    stage.cool();
    stage.measure(records, "read, 1 MiB requests, cold", bytes, |root| read(&root.join("large"), 1 << 20));
    stage.measure(records, "read, 1 MiB requests, warm", bytes, |root| read(&root.join("large"), 1 << 20));
}

fn small_requests(stage: &mut Stage, arguments: &Arguments, records: &mut Records) {
    let bytes = Amount::Bytes(arguments.size);
    stage.measure(records, "write, 4 KiB requests", bytes, |root| write(&root.join("other"), arguments.size, 4096));
    stage.cool();
    stage.measure(records, "read, 4 KiB requests, cold", bytes, |root| read(&root.join("other"), 4096));
}

fn random_reads(stage: &mut Stage, arguments: &Arguments, records: &mut Records) {
    let count = operations(arguments);
    stage.cool();
    let line = "random 4 KiB reads, cold";
    stage.measure(records, line, Amount::Operations(count), |root| read_at_random(root, arguments.size, count, 1));
    stage.cool();
    let line = "random 4 KiB reads, 4 threads, cold";
    stage.measure(records, line, Amount::Operations(count), |root| read_at_random(root, arguments.size, count, 4));
}

fn random_writes(stage: &mut Stage, arguments: &Arguments, records: &mut Records) {
    let count = operations(arguments);
    stage.cool();
    let line = "random 4 KiB writes";
    stage.measure(records, line, Amount::Operations(count), |root| write_at_random(root, arguments.size, count, 1));
    stage.cool();
    let line = "random 4 KiB writes, 4 threads";
    stage.measure(records, line, Amount::Operations(count), |root| write_at_random(root, arguments.size, count, 4));
}

fn operations(arguments: &Arguments) -> usize {
    arguments.size / 4096 / 2
}

/// Writes and syncs, so that all of it has reached the server (and on a disk, the disk).
fn write(file: &Path, size: usize, request: usize) {
    let content = Random::seeded(1).bytes(request);
    let mut file = File::create(file).unwrap();
    for _ in 0..size / request {
        file.write_all(&content).unwrap();
    }
    file.sync_all().unwrap();
}

fn read(file: &Path, request: usize) {
    let mut buffer = vec![0; request];
    let mut file = File::open(file).unwrap();
    while file.read(&mut buffer).unwrap() > 0 {}
}

fn read_at_random(root: &Path, size: usize, count: usize, threads: usize) {
    let file = File::open(root.join("large")).unwrap();
    at_random(size, count, threads, |offset| file.read_exact_at(&mut [0; 4096], offset).unwrap());
}

fn write_at_random(root: &Path, size: usize, count: usize, threads: usize) {
    let file = OpenOptions::new().write(true).open(root.join("large")).unwrap();
    let content: [u8; 4096] = Random::seeded(2).bytes(4096).try_into().expect("as long as asked");
    at_random(size, count, threads, |offset| file.write_all_at(&content, offset).unwrap());
    file.sync_all().unwrap();
}

fn at_random(size: usize, count: usize, threads: usize, operation: impl Fn(u64) + Sync) {
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let operation = &operation;
            scope.spawn(move || {
                let mut random = Random::seeded(thread as u64);
                (0..count / threads).for_each(|_| operation(random.below(size as u64 / 4096) * 4096));
            });
        }
    });
}
