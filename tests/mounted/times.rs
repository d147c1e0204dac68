//! Modification times as programs see them before and after a remount. The kernel keeps those of what it has cached, and its
//! clock ticks every few milliseconds: what is made and written within one tick, it never tells of again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use strongroom_tests::{has, wait_until};

use crate::{MOUNTS, Vault};

fn times(root: &Path) -> BTreeMap<String, (i64, i64)> {
    let entries = fs::read_dir(root).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let found = entry.metadata().unwrap();
            (entry.file_name().into_string().unwrap(), (found.mtime(), found.mtime_nsec()))
        })
        .collect()
}

/// Until a file that is made now has another time than those before.
fn a_tick_passes(beside: &Path) {
    let stamp = |name: &str| {
        fs::write(beside.join(name), name).unwrap();
        let found = fs::metadata(beside.join(name)).unwrap();
        (found.mtime(), found.mtime_nsec())
    };
    let before = stamp("before");
    wait_until("the clock ticks", Duration::from_secs(10), || stamp("after") > before);
}

#[test]
fn what_is_made_and_written_within_a_tick_has_the_same_times_after_a_remount() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    for number in 0..400 {
        fs::write(server.path(&format!("closed at once {number}")), "content").unwrap();
    }
    // These reach the ciphertext in a later tick than that in which they were written.
    let kept: Vec<File> = (0..20)
        .map(|number| {
            let mut file = File::create(server.path(&format!("closed later {number}"))).unwrap();
            file.write_all(b"content").unwrap();
            file
        })
        .collect();
    a_tick_passes(&vault.scratch.dir("beside"));
    drop(kept);
    let shown = times(server.root());
    server.unmount();
    let server = vault.mount(&[]);
    assert_eq!(times(server.root()), shown);
}

#[test]
fn what_is_written_to_again_and_again_has_the_same_times_after_a_remount() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let beside = vault.scratch.dir("beside");
    for number in 0..20u64 {
        let name = server.path(&format!("file {number}"));
        fs::write(&name, vec![1; 100_000]).unwrap();
        let file = File::options().read(true).write(true).open(&name).unwrap();
        file.write_all_at(b"again", number * 5000).unwrap();
        match number % 4 {
            0 => file.sync_all().unwrap(),
            1 => file.set_len(number * 4096).unwrap(),
            2 => a_tick_passes(&beside),
            _ => file.sync_data().unwrap(),
        }
        file.write_all_at(b"and again", number * 3000).unwrap();
    }
    let shown = times(server.root());
    server.unmount();
    let server = vault.mount(&[]);
    assert_eq!(times(server.root()), shown);
}
