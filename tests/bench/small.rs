//! Thousands of files of 4 KiB in directories of 1,000.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use strongroom_tests::Random;

use crate::arguments::Arguments;
use crate::measure::{Amount, Records};
use crate::stage::Stage;

pub fn run(stage: &mut Stage, arguments: &Arguments, records: &mut Records) {
    let count = arguments.files;
    let each = Amount::Operations(count);
    stage.measure(records, "create, 4 KiB", each, |root| create(root, count));
    stage.cool();
    stage.measure(records, "list and stat, cold", each, walk);
    stage.cool();
    stage.measure(records, "ls -lR, cold", each, list);
    stage.measure(records, "ls -lR, warm", each, list);
    stage.cool();
    stage.measure(records, "stat, cold", each, |root| paths(root, count).for_each(look));
    stage.cool();
    stage.measure(records, "read, 4 KiB, cold", each, |root| paths(root, count).for_each(read));
    stage.measure(records, "read, 4 KiB, warm", each, |root| paths(root, count).for_each(read));
    stage.measure(records, "append 100 bytes", each, |root| paths(root, count).for_each(append));
    stage.measure(records, "rename", each, |root| paths(root, count).for_each(rename));
    stage.measure(records, "remove", each, |root| paths(root, count).for_each(remove));
}

fn paths(root: &Path, count: usize) -> impl Iterator<Item = PathBuf> {
    let root = root.to_owned();
    (0..count).map(move |number| root.join(format!("folder-{}/file-{number}.txt", number / 1000)))
}

fn create(root: &Path, count: usize) {
    let content = Random::seeded(3).bytes(4096);
    for (number, file) in paths(root, count).enumerate() {
        if number % 1000 == 0 {
            fs::create_dir(file.parent().expect("a file lies in a folder")).unwrap();
        }
        fs::write(file, &content).unwrap();
    }
}

/// What find(1) and backup programs do. `ls -l` also asks for two extended attributes of every file.
fn walk(root: &Path) {
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        if entry.metadata().unwrap().is_dir() {
            walk(&entry.path());
        }
    }
}

fn list(root: &Path) {
    let status = Command::new("ls").arg("-lR").arg(root).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
}

fn look(file: PathBuf) {
    assert!(fs::symlink_metadata(file).unwrap().size() >= 4096);
}

fn read(file: PathBuf) {
    let mut buffer = [0; 4096];
    File::open(file).unwrap().read_exact(&mut buffer).unwrap();
}

fn append(file: PathBuf) {
    OpenOptions::new().append(true).open(file).unwrap().write_all(&[b'x'; 100]).unwrap();
}

fn rename(file: PathBuf) {
    fs::rename(&file, file.with_extension("md")).unwrap();
}

fn remove(file: PathBuf) {
    fs::remove_file(file.with_extension("md")).unwrap();
}
