//! Many at once: writers, files, entries.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use strongroom_tests::{Random, has};

use crate::{MOUNTS, Vault};

#[test]
fn writers_of_one_file_do_not_disturb_each_other() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let file = File::options().read(true).write(true).create_new(true).open(server.path("shared")).unwrap();
    const STRIPE: u64 = 3001; // Never at a block's border, so neighbours share blocks.
    std::thread::scope(|threads| {
        for writer in 0..8 {
            let file = &file;
            threads.spawn(move || {
                for turn in 0..200 {
                    file.write_all_at(&stripe(writer, turn), (turn * 8 + writer) * STRIPE).unwrap();
                }
            });
        }
    });
    drop(file);
    server.unmount();
    let server = vault.mount(&[]);
    let content = fs::read(server.path("shared")).unwrap();
    for (index, found) in content.chunks(STRIPE as usize).enumerate() {
        assert!(found == stripe(index as u64 % 8, index as u64 / 8), "stripe {index} is as it was written");
    }
    assert_eq!(content.len() as u64, 8 * 200 * STRIPE);

    fn stripe(writer: u64, turn: u64) -> Vec<u8> {
        Random::seeded(writer * 1000 + turn).bytes(STRIPE as usize)
    }
}

#[test]
fn writers_of_many_files_and_folders_all_get_through() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    std::thread::scope(|threads| {
        for writer in 0..6 {
            let root = server.root();
            threads.spawn(move || {
                let mut random = Random::seeded(writer);
                for turn in 0..60 {
                    let folder = root.join(format!("folder-{}", turn % 5));
                    let _ = fs::create_dir(&folder); // All writers try; one of them makes it.
                    let size = random.below(30_000) as usize;
                    let file = folder.join(format!("{writer}-{turn}"));
                    fs::write(&file, random.bytes(size)).unwrap();
                    fs::rename(&file, folder.join(format!("{writer}-{turn}-{}", "n".repeat(turn * 3)))).unwrap();
                }
            });
        }
    });
    server.unmount();
    let server = vault.mount(&["--read-only"]);
    let count = |folder| fs::read_dir(server.path(&format!("folder-{folder}"))).unwrap().count();
    assert_eq!((0..5).map(count).sum::<usize>(), 360);
    server.unmount();
    vault.is_sound();
}

#[test]
fn a_directory_holds_100_000_entries() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let folder = server.path("crowd");
    fs::create_dir(&folder).unwrap();
    for number in 0..100_000 {
        File::create(folder.join(format!("entry number {number}"))).unwrap();
    }
    let names =
        |folder| -> BTreeSet<_> { fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect() };
    assert_eq!(names(&folder).len(), 100_000);
    server.unmount();
    let server = vault.mount(&[]);
    let found = names(&folder);
    assert_eq!(found.len(), 100_000);
    for number in [0, 1, 49_999, 99_999] {
        assert!(found.contains(std::ffi::OsStr::new(&format!("entry number {number}"))));
    }
    for entry in fs::read_dir(&folder).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap(); // While it is being listed, as rm -r does.
    }
    fs::remove_dir(&folder).unwrap();
    server.unmount();
    vault.is_sound();
}

#[test]
fn a_listing_in_pieces_names_everything_once_while_entries_go() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    for number in 0..3000 {
        fs::write(server.path(&format!("{number:04}-{}", "x".repeat(number % 240))), "").unwrap();
    }
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(server.root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(seen.insert(name.clone()), "{name} is named once");
        if name.starts_with('1') {
            fs::remove_file(server.path(&name)).unwrap();
        }
    }
    assert_eq!(seen.len(), 3000);
}
