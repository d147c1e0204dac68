//! Many at once: writers, files, entries.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use strongroom_tests::{Program, Random, Server, has};

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
    assert_eq!(names(&folder).len(), 0);
    fs::remove_dir(&folder).unwrap();
    server.unmount();
    vault.is_sound();
}

/// As `ls` beside an `rm -r` does: the kernel had kept one listing and lost another's place in it.
#[test]
fn regression_a_listing_beside_another_misses_nothing_while_entries_go() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    for number in 0..5000 {
        File::create(server.path(&format!("entry {number}"))).unwrap();
    }
    assert_eq!(fs::read_dir(server.root()).unwrap().count(), 5000);
    let mut listing = fs::read_dir(server.root()).unwrap();
    let first: Vec<_> = listing.by_ref().take(1500).map(|entry| entry.unwrap().path()).collect();
    first.iter().for_each(|file| fs::remove_file(file).unwrap());
    assert_eq!(fs::read_dir(server.root()).unwrap().count(), 3500);
    assert_eq!(listing.count(), 3500);
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

#[test]
fn changes_to_the_same_few_names_get_through_or_are_properly_refused() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    for folder in 0..4 {
        fs::create_dir(server.path(&format!("folder-{folder}"))).unwrap();
    }
    std::thread::scope(|threads| {
        for thread in 0..8 {
            let root = server.root();
            threads.spawn(move || {
                let mut random = Random::seeded(thread);
                for _ in 0..1500 {
                    is_proper(change_something(root, &mut random));
                }
            });
        }
    });
    server.unmount();
    vault.is_sound();
}

fn change_something(root: &Path, random: &mut Random) -> io::Result<()> {
    let (one, other) = (some_path(root, random), some_path(root, random));
    match random.below(10) {
        0..=1 => fs::write(one, [1; 5000]),
        2 => fs::create_dir(one),
        3..=5 => fs::rename(one, other),
        6 => fs::hard_link(one, other),
        7 => fs::remove_file(one),
        8 => fs::remove_dir(one),
        _ => fs::read_dir(one)?.try_for_each(|entry| entry.map(drop)),
    }
}

/// One of a few places, some of which may be a directory at one time and a file at another.
fn some_path(root: &Path, random: &mut Random) -> PathBuf {
    let mut path = root.join(format!("folder-{}", random.below(4)));
    for _ in 0..=random.below(2) {
        path.push(*random.pick(&["a", "b", "c", LONG]));
    }
    path
}

const LONG: &str = "a name so long that it is kept in a file of its own, because once it is encrypted and encoded it would not fit \
                    into a directory entry any more, which happens with more than one hundred and seventy-five bytes";

/// What one thread's change may meet when another was faster. Anything else is a fault.
fn is_proper(outcome: io::Result<()>) {
    const PROPER: [i32; 6] = [libc::ENOENT, libc::EEXIST, libc::ENOTEMPTY, libc::EISDIR, libc::ENOTDIR, libc::EINVAL];
    if let Err(error) = outcome {
        let is_expected = error.raw_os_error().is_some_and(|code| PROPER.contains(&code));
        assert!(is_expected || error.raw_os_error() == Some(libc::EPERM), "{error}"); // EPERM: a link to a directory.
    }
}

#[test]
fn a_server_with_few_descriptors_serves_many_open_files() {
    if !has(MOUNTS) {
        return;
    }
    let own = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: own.maximum, maximum: own.maximum }).unwrap();
    let vault = Vault::create();
    let mut command = Program::Strongroom.mount_command(&vault.scratch, &vault.cipher_dir, &vault.mountpoint, &[]);
    let few = Rlimit { current: Some(100), maximum: Some(100) };
    // SAFETY: setrlimit(2) is a plain system call, allowed between fork and exec.
    unsafe { command.pre_exec(move || Ok(setrlimit(Resource::Nofile, few)?)) };
    let server = Server::start(command, &vault.mountpoint, vault.scratch.path("server.log"));
    let open = |number: u64| {
        let folder = server.path(&format!("folder-{}", number % 150));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("file-{number}"));
        File::options().read(true).write(true).create_new(true).open(file).unwrap()
    };
    let files: Vec<_> = (0..600).map(open).collect();
    for (number, file) in files.iter().enumerate() {
        file.write_all_at(&[number as u8; 9000], 0).unwrap();
    }
    for (number, file) in files.iter().enumerate().rev() {
        let mut found = [0; 9000];
        file.read_exact_at(&mut found, 0).unwrap();
        assert!(found == [number as u8; 9000]);
    }
    drop(files);
    server.unmount();
    vault.is_sound();
}
