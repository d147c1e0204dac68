//! Files as programs use them: open while they are renamed or deleted, appended to, read past the cache, mapped.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::process::Command;

use rustix::fs::{CWD, RenameFlags};
use rustix::fs::{FallocateFlags, Mode, OFlags, SeekFrom as Seeking, fallocate, renameat_with, seek};
use rustix::io::Errno;
use strongroom_tests::{Random, Server, has, run};

use crate::{MOUNTS, Vault};

fn whole_file_rw(server: &Server, name: &str) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).open(server.path(name)).unwrap()
}

#[test]
fn what_was_written_is_there_after_a_remount() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let content = Random::seeded(1).bytes(3 << 20);
    let server = vault.mount(&[]);
    fs::write(server.path("file"), &content).unwrap();
    server.unmount();
    let server = vault.mount(&[]);
    assert!(fs::read(server.path("file")).unwrap() == content);
    server.unmount();
    vault.is_sound();
}

#[test]
fn a_deleted_file_lives_on_for_those_who_hold_it_open() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    for name in ["short".to_owned(), "l".repeat(230)] {
        let file = whole_file_rw(&server, &name);
        file.write_all_at(&[7; 10_000], 0).unwrap();
        fs::remove_file(server.path(&name)).unwrap();
        file.write_all_at(b"after", 9_998).unwrap();
        file.set_len(10_001).unwrap();
        file.sync_all().unwrap();
        let found = file.metadata().unwrap();
        let mut tail = [0; 5];
        assert_eq!((found.nlink(), found.len()), (0, 10_001));
        assert_eq!(file.read_at(&mut tail, 9_996).unwrap(), 5);
        assert_eq!(&tail, b"\x07\x07aft");
        assert!(!server.path(&name).exists());
    }
}

#[test]
fn a_deleted_file_stays_apart_from_a_new_one_of_its_name() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let old = whole_file_rw(&server, "file");
    old.write_all_at(b"old", 0).unwrap();
    fs::remove_file(server.path("file")).unwrap();
    fs::write(server.path("file"), "new").unwrap();
    old.write_all_at(b"OLD", 0).unwrap();
    drop(old);
    assert_eq!(fs::read(server.path("file")).unwrap(), b"new");
    server.unmount();
    vault.is_sound();
}

#[test]
fn a_rename_over_an_open_file_leaves_its_holder_the_old_content() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let old = whole_file_rw(&server, "target");
    old.write_all_at(b"old content", 0).unwrap();
    let new = whole_file_rw(&server, "source");
    new.write_all_at(b"new", 0).unwrap();
    fs::rename(server.path("source"), server.path("target")).unwrap();
    new.write_all_at(b"er", 3).unwrap();
    let mut held = String::new();
    (&old).read_to_string(&mut held).unwrap();
    assert_eq!(held, "old content");
    assert_eq!(fs::read(server.path("target")).unwrap(), b"newer");
    drop((old, new));
    server.unmount();
    vault.is_sound();
}

#[test]
fn an_open_file_is_written_under_its_new_name_after_its_folder_moved() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    fs::create_dir_all(server.path("a/b")).unwrap();
    let file = whole_file_rw(&server, "a/b/file");
    fs::rename(server.path("a"), server.path(&"z".repeat(200))).unwrap();
    file.write_all_at(b"moved along", 0).unwrap();
    file.sync_all().unwrap();
    drop(file);
    assert_eq!(fs::read(server.path(&"z".repeat(200)).join("b/file")).unwrap(), b"moved along");
}

#[test]
fn two_names_can_be_exchanged_and_none_is_replaced_against_the_will() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let long = "x".repeat(240);
    fs::write(server.path("a"), "a").unwrap();
    fs::write(server.path(&long), "long").unwrap();
    let rename = |flags| renameat_with(CWD, server.path("a"), CWD, server.path(&long), flags);
    assert_eq!(rename(RenameFlags::NOREPLACE), Err(Errno::EXIST));
    rename(RenameFlags::EXCHANGE).unwrap();
    assert_eq!(fs::read(server.path("a")).unwrap(), b"long");
    assert_eq!(fs::read(server.path(&long)).unwrap(), b"a");
    server.unmount();
    vault.is_sound();
}

#[test]
fn two_processes_append_without_losing_a_line() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let script = r#"i=0; while [ $i -lt 2000 ]; do echo "$1 $i" >> "$2"; i=$((i+1)); done"#;
    let file = server.path("log");
    let writers =
        ["first", "second"].map(|who| Command::new("sh").args(["-c", script, "sh", who]).arg(&file).spawn().unwrap());
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
    let text = fs::read_to_string(&file).unwrap();
    for who in ["first", "second"] {
        let counted: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(who)).collect();
        let expected: Vec<_> = (0..2000).map(|number| format!(" {number}")).collect();
        assert_eq!(counted, expected);
    }
    assert_eq!(text.lines().count(), 4000);
}

#[test]
fn direct_io_and_the_cache_show_the_same() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let content = Random::seeded(2).bytes(1 << 20);
    fs::write(server.path("file"), &content).unwrap();
    let direct =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT).open(server.path("file")).unwrap();
    let mut buffer = Aligned([0; 65_536]);
    direct.read_exact_at(&mut buffer.0, 131_072).unwrap();
    assert!(buffer.0[..] == content[131_072..196_608]);
    buffer.0.fill(9);
    direct.write_all_at(&buffer.0, 524_288).unwrap();
    let seen = fs::read(server.path("file")).unwrap();
    assert!(
        seen[524_288..589_824] == buffer.0
            && seen[..524_288] == content[..524_288]
            && seen[589_824..] == content[589_824..]
    );
}

#[repr(align(4096))]
struct Aligned([u8; 65_536]);

#[test]
fn a_mount_past_the_cache_reads_what_was_written() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&["--direct-io"]);
    let content = Random::seeded(3).bytes(2_000_001);
    fs::write(server.path("file"), &content).unwrap();
    let file = OpenOptions::new().write(true).open(server.path("file")).unwrap();
    file.write_all_at(b"odd offset", 1_234_567).unwrap();
    let seen = fs::read(server.path("file")).unwrap();
    assert_eq!(seen.len(), content.len());
    assert_eq!(&seen[1_234_567..1_234_577], b"odd offset");
    assert!(seen[..1_234_567] == content[..1_234_567] && seen[1_234_577..] == content[1_234_577..]);
}

#[test]
fn a_temporary_file_is_made_or_properly_declined() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    match rustix::fs::open(server.root(), OFlags::TMPFILE | OFlags::RDWR, Mode::from(0o600)) {
        Err(refusal) => assert_eq!(refusal, Errno::OPNOTSUPP, "this is what programs fall back on"),
        Ok(file) => {
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file.as_fd()));
            let flags = rustix::fs::AtFlags::SYMLINK_FOLLOW;
            File::from(file.try_clone().unwrap()).write_all(b"linked").unwrap();
            rustix::fs::linkat(CWD, path.as_str(), CWD, server.path("named"), flags).unwrap();
            assert_eq!(fs::read(server.path("named")).unwrap(), b"linked");
        }
    }
}

#[test]
fn holes_are_found_where_they_are() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let file = whole_file_rw(&server, "sparse");
    file.write_all_at(b"head", 0).unwrap();
    file.write_all_at(b"tail", 1 << 30).unwrap();
    file.sync_all().unwrap();
    let hole = seek(&file, Seeking::Hole(0)).unwrap();
    let data = seek(&file, Seeking::Data(hole)).unwrap();
    assert!((4..1 << 20).contains(&hole), "a hole begins soon after the head, not at {hole}");
    assert!(((1 << 30) - (1 << 20)..=1 << 30).contains(&data), "data begins again at the tail, not at {data}");
    assert!(file.metadata().unwrap().blocks() < 2048, "the hole takes no room");
    let mut content = [1; 8];
    file.read_exact_at(&mut content, 1 << 29).unwrap();
    assert_eq!(content, [0; 8]);
}

#[test]
fn space_can_be_reserved_with_and_without_growth() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let file = whole_file_rw(&server, "file");
    file.write_all_at(b"content", 0).unwrap();
    fallocate(&file, FallocateFlags::KEEP_SIZE, 0, 1 << 20).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 7);
    fallocate(&file, FallocateFlags::empty(), 0, 100_000).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 100_000);
    let content = fs::read(server.path("file")).unwrap();
    assert!(content.starts_with(b"content") && content[7..].iter().all(|byte| *byte == 0));
    drop(file);
    server.unmount();
    vault.is_sound();
}

#[test]
fn times_modes_and_xattrs_survive_a_remount() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let file = server.path("file");
    fs::write(&file, "x").unwrap();
    run(Command::new("touch").args(["-d", "1901-12-14 01:02:03.123456789 UTC"]).arg(&file));
    run(Command::new("chmod").arg("4751").arg(&file));
    run(Command::new("setfattr").args(["-n", "user.colour", "-v", "blue"]).arg(&file));
    let before = shown(&server);
    server.unmount();
    let server = vault.mount(&[]);
    assert_eq!(shown(&server), before);
    assert_eq!(before, ("-2147468277.123456789".to_owned(), 0o4751, b"blue".to_vec()));
}

fn shown(server: &Server) -> (String, u32, Vec<u8>) {
    let found = fs::metadata(server.path("file")).unwrap();
    let mut value = [0; 100];
    let len = rustix::fs::getxattr(server.path("file"), "user.colour", &mut value[..]).unwrap();
    (format!("{}.{}", found.mtime(), found.mtime_nsec()), found.mode() & 0o7777, value[..len].to_vec())
}

#[test]
fn a_program_can_be_run_from_the_mount() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    fs::copy("/bin/true", server.path("true")).unwrap();
    run(&mut Command::new(server.path("true")));
}

#[test]
fn a_name_of_256_bytes_is_too_long() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let refusal = fs::write(server.path(&"n".repeat(256)), "").unwrap_err();
    assert_eq!(refusal.kind(), ErrorKind::InvalidFilename);
}

#[test]
fn the_end_of_a_file_is_where_seeking_says() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let mut file = whole_file_rw(&server, "file");
    file.write_all(&[1; 4097]).unwrap();
    assert_eq!(file.seek(SeekFrom::End(0)).unwrap(), 4097);
    assert_eq!(file.seek(SeekFrom::End(-4097)).unwrap(), 0);
}
