//! What survives a killed server, a full disk, a flipped bit.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use strongroom_tests::{FileSystem, Image, Need, Program, Random, Scratch, has, is_mountpoint, run};

use crate::{MOUNTS, MOUNTS_AS_ROOT, Vault, words};

#[test]
fn a_killed_server_loses_nothing_that_was_synced() {
    if !has(MOUNTS) {
        return;
    }
    let rounds = std::env::var("STRONGROOM_KILLS").map_or(3, |text| text.parse().unwrap());
    let vault = Vault::create();
    let mut synced = BTreeMap::new();
    for round in 0..rounds {
        synced.extend(killed_under_load(&vault, round));
        let output = Program::Strongroom.check(&vault.scratch, &vault.cipher_dir);
        let blamed = words(&output);
        let innocent = synced.keys().find(|name| blamed.contains(&format!("/{}", name.display())));
        assert!(innocent.is_none(), "a synced file is damaged: {blamed}");
        let server = vault.mount(&[]);
        for (name, size) in &synced {
            assert!(
                fs::read(server.root().join(name)).unwrap() == content_of(name, *size),
                "{name:?} is as it was synced"
            );
        }
        server.unmount();
    }
}

/// Lets writers write until the server is killed, clears the dead mount, and returns what had been synced.
fn killed_under_load(vault: &Vault, round: u64) -> BTreeMap<PathBuf, usize> {
    let mut server = vault.mount(&[]);
    let synced = Mutex::new(BTreeMap::new());
    let is_dead = AtomicBool::new(false);
    let root = vault.mountpoint.as_path();
    std::thread::scope(|threads| {
        for writer in 0..4 {
            let (synced, is_dead) = (&synced, &is_dead);
            threads.spawn(move || write_until_dead(root, round * 10 + writer, synced, is_dead));
        }
        std::thread::sleep(Duration::from_millis(500 + 300 * (round % 4)));
        server.kill();
        is_dead.store(true, Ordering::Relaxed);
    });
    assert!(is_mountpoint(root), "a killed server leaves a dead mount");
    run(Program::Strongroom.command().arg("umount").arg(root));
    assert!(!is_mountpoint(root));
    let synced = synced.into_inner().unwrap();
    assert!(!synced.is_empty(), "something was synced before the kill");
    synced
}

fn write_until_dead(root: &Path, writer: u64, synced: &Mutex<BTreeMap<PathBuf, usize>>, is_dead: &AtomicBool) {
    let mut random = Random::seeded(writer);
    for turn in 0.. {
        let tail = *random.pick(&[0, 220]);
        let name = PathBuf::from(format!("{writer}-{turn}-{}.", "n".repeat(tail)));
        let size = random.below(50_000) as usize;
        match write_and_sync(&root.join(&name), &content_of(&name, size)) {
            Ok(()) => drop(synced.lock().unwrap().insert(name, size)),
            Err(_) if is_dead.load(Ordering::Relaxed) => return,
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTCONN | libc::ECONNABORTED | libc::EIO)) => {
                return;
            }
            Err(error) => panic!("{name:?}: {error}"),
        }
    }
}

fn write_and_sync(file: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(file)?;
    file.write_all(content)?;
    file.sync_all()
}

fn content_of(name: &Path, size: usize) -> Vec<u8> {
    let seed = name.as_os_str().as_encoded_bytes().iter().map(|byte| u64::from(*byte)).sum::<u64>();
    Random::seeded(seed + size as u64).bytes(size)
}

/// A process that waits for an answer of its own mount and is killed meanwhile would keep the connection open for ever.
#[test]
fn regression_a_server_killed_as_soon_as_it_has_mounted_ends() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    for _ in 0..60 {
        let mut server = vault.mount(&[]);
        server.signal(Signal::KILL);
        server.ended();
        run(Program::Strongroom.command().arg("umount").arg(&vault.mountpoint));
    }
}

#[test]
fn a_full_tmpfs_leaves_old_content_readable() {
    if !has(MOUNTS_AS_ROOT) {
        return;
    }
    let scratch = Scratch::new();
    let small = scratch.dir("cipher");
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m", "small"]).arg(small));
    old_content_stays_readable(&Vault::create_in(scratch));
}

#[test]
fn a_full_ext4_leaves_old_content_readable() {
    if !has(MOUNTS_AS_ROOT) || !has(&[Need::Images]) {
        return;
    }
    let scratch = Scratch::new();
    let image = Image::create(&scratch, FileSystem::Ext4, 16);
    fs::create_dir(image.root().join("cipher")).unwrap();
    std::os::unix::fs::symlink(image.root().join("cipher"), scratch.path("cipher")).unwrap();
    let vault = Vault::create_in(scratch);
    old_content_stays_readable(&vault);
}

fn old_content_stays_readable(vault: &Vault) {
    let server = vault.mount(&[]);
    let old = Random::seeded(5).bytes(1 << 20);
    write_and_sync(&server.path("old"), &old).unwrap();
    let full =
        (0..1000).find_map(|number| write_and_sync(&server.path(&format!("filler-{number}")), &[3; 300_000]).err());
    assert_eq!(full.expect("the disk fills up").kind(), ErrorKind::StorageFull);
    assert!(fs::read(server.path("old")).unwrap() == old);
    overwrite_while_full(&server.path("old"), &old);
    let deep = fs::create_dir(server.path(&"d".repeat(230)));
    assert!(deep.is_ok() || deep.unwrap_err().kind() == ErrorKind::StorageFull);
    fs::remove_file(server.path("filler-0")).unwrap();
    write_and_sync(&server.path("again"), &[4; 100_000]).unwrap();
    server.unmount();
    let server = vault.mount(&[]);
    assert!(fs::read(server.path("again")).unwrap() == [4; 100_000]);
    assert_eq!(fs::read(server.path("old")).unwrap().len(), 1 << 20);
    server.unmount();
    vault.is_sound();
}

/// Each block is either as it was or as it was written, whether the write succeeded or not.
fn overwrite_while_full(file: &Path, old: &[u8]) {
    let handle = File::options().read(true).write(true).open(file).unwrap();
    for block in [0, 17, 255] {
        let written = handle.write_all_at(&[9; 4096], block * 4096).and_then(|()| handle.sync_all());
        let mut found = [0; 4096];
        handle.read_exact_at(&mut found, block * 4096).unwrap();
        let before = &old[block as usize * 4096..][..4096];
        assert!(found == [9; 4096] || (written.is_err() && found == *before));
    }
}

#[test]
fn a_flipped_bit_costs_one_block_and_is_reported_by_its_plaintext_name() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let content = Random::seeded(6).bytes(5 * 4096);
    fs::create_dir(server.path("ledgers")).unwrap();
    fs::write(server.path("ledgers/1971.txt"), &content).unwrap();
    server.unmount();
    flip_a_bit(&largest_file(&vault.cipher_dir), 18 + 2 * 4128 + 1000);
    let server = vault.mount(&[]);
    let file = File::open(server.path("ledgers/1971.txt")).unwrap();
    let mut block = [0; 4096];
    for number in [0, 1, 3, 4_u64] {
        file.read_exact_at(&mut block, number * 4096).unwrap();
        assert!(block == content[number as usize * 4096..][..4096]);
    }
    assert_eq!(file.read_at(&mut block, 2 * 4096).unwrap_err().raw_os_error(), Some(libc::EIO));
    drop(file);
    assert!(server.words().contains("1971.txt"), "the log names the file: {}", server.words());
    server.unmount();
    let output = Program::Strongroom.check(&vault.scratch, &vault.cipher_dir);
    assert!(!output.status.success());
    assert!(words(&output).contains("ledgers/1971.txt"), "{}", words(&output));
}

#[test]
fn a_swapped_block_is_refused() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    fs::write(server.path("file"), Random::seeded(7).bytes(4 * 4096)).unwrap();
    server.unmount();
    let file = File::options().read(true).write(true).open(largest_file(&vault.cipher_dir)).unwrap();
    let mut block = [0; 4128];
    file.read_exact_at(&mut block, 18).unwrap();
    file.write_all_at(&block, 18 + 4128).unwrap();
    let server = vault.mount(&[]);
    let mut found = [0; 4096];
    let reading = File::open(server.path("file")).unwrap();
    assert_eq!(reading.read_at(&mut found, 4096).unwrap_err().raw_os_error(), Some(libc::EIO));
    reading.read_exact_at(&mut found, 2 * 4096).unwrap();
}

fn flip_a_bit(file: &Path, offset: u64) {
    let file = File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

fn largest_file(folder: &Path) -> PathBuf {
    let output = run(Command::new("find").arg(folder).args(["-type", "f", "-printf", "%s %p\\n"]));
    let text = String::from_utf8(output.stdout).unwrap();
    let sized = text.lines().map(|line| line.split_once(' ').unwrap());
    let (_, path) = sized.max_by_key(|(size, _)| size.parse::<u64>().unwrap()).unwrap();
    path.into()
}

#[test]
fn the_cipher_directory_shows_neither_names_nor_content() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    for name in ["marker-in-a-name".to_owned(), format!("marker-in-a-name-{}", "x".repeat(230))] {
        fs::write(server.path(&name), "marker-in-content ".repeat(1000)).unwrap();
    }
    std::os::unix::fs::symlink("marker-in-a-target", server.path("link")).unwrap();
    run(Command::new("setfattr")
        .args(["-n", "user.marker-xattr", "-v", "marker-value"])
        .arg(server.path("marker-in-a-name")));
    server.unmount();
    let mut listing = Command::new("sh");
    let script = r#"grep -r marker "$1"; find "$1" -ls | grep marker; getfattr -R -d -m - "$1" | grep marker; true"#;
    let output = run(listing.args(["-c", script, "sh"]).arg(&vault.cipher_dir));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}
