//! `gocryptfs -fsck` beside the real one, over volumes that are damaged in every way, and the repair of such volumes.

mod ending;
mod repair;
mod volume;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use strongroom_tests::{Format, Need, has, output_of};

use volume::{Fsck, Volume, damage, fill, lines, modes};

const BOTH: &[Need] = &[Need::Fuse, Need::Root, Need::Gocryptfs];

#[test]
fn the_same_is_found_in_damaged_volumes_of_every_mode() {
    if !has(BOTH) {
        return;
    }
    for format in modes() {
        let volume = Volume::with(format, fill);
        damage(&volume);
        let (theirs, ours) = (volume.fsck(Fsck::Theirs, &[]), volume.fsck(Fsck::Ours, &[]));
        assert!(theirs.0.len() > 10, "there is something to find: {theirs:#?}");
        assert_eq!(ours, theirs, "{format:?}");
        assert_eq!(ours.1, Some(26));
    }
}

#[test]
fn nothing_is_found_in_sound_volumes_of_every_mode() {
    if !has(BOTH) {
        return;
    }
    for format in modes() {
        let volume = Volume::with(format, fill);
        for program in [Fsck::Theirs, Fsck::Ours] {
            let found = volume.fsck(program, &[]);
            assert_eq!(found, (vec!["fsck summary: no problems found".to_owned()], Some(0)), "{program:?} {format:?}");
            assert_eq!(volume.fsck(program, &["-q"]), (vec![], Some(0)));
        }
    }
}

#[test]
fn a_volume_is_checked_with_its_master_key_alone_and_with_a_configuration_elsewhere() {
    if !has(BOTH) {
        return;
    }
    let volume = Volume::with(Format::default(), fill);
    damage(&volume);
    let found = volume.fsck(Fsck::Theirs, &[]);
    let elsewhere = volume.scratch.path("elsewhere.conf");
    fs::rename(volume.dir.join("gocryptfs.conf"), &elsewhere).unwrap();
    let config = format!("-config={}", elsewhere.display());
    assert_eq!(volume.fsck(Fsck::Theirs, &[&config]), found);
    assert_eq!(volume.fsck(Fsck::Ours, &[&config]), found);
    // Nothing of it opens with another key.
    let theirs = volume.fsck(Fsck::Theirs, &["-zerokey"]);
    assert_eq!((theirs.1, theirs.0.len() > 10), (Some(26), true));
    assert_eq!(volume.fsck(Fsck::Ours, &["-zerokey"]), theirs);
}

#[test]
fn what_cannot_be_checked_has_the_same_exit_code() {
    if !has(BOTH) {
        return;
    }
    let volume = Volume::with(Format::default(), |_| {});
    let wrong = volume.scratch.write_passphrase("wrong", "wrong");
    let wrong = format!("-passfile={}", wrong.display());
    let conf = volume.dir.join("gocryptfs.conf");
    let code = |program: Fsck, flags: &[&str]| volume.fsck(program, flags).1;
    for flags in [&["-reverse"][..], &[&wrong], &["-masterkey=00"], &["-config=/nonexistent"]] {
        assert_eq!(code(Fsck::Ours, flags), code(Fsck::Theirs, flags), "{flags:?}");
    }
    assert_eq!(code(Fsck::Ours, &["-reverse"]), Some(1));
    fs::remove_file(conf).unwrap();
    assert_eq!((code(Fsck::Ours, &[]), code(Fsck::Theirs, &[])), (Some(11), Some(11)));
}

/// Version 2.3 counts what may not be read as corrupt; later ones as skipped, as it was meant.
#[test]
fn what_may_not_be_read_is_told_alike_and_counts_as_skipped() {
    if !has(BOTH) || !has(&[Need::Program("unshare"), Need::Program("setpriv")]) {
        return;
    }
    let volume = Volume::with(Format::default(), |root| {
        for dir in ["closed", "half"] {
            fs::create_dir(root.join(dir)).unwrap();
            fs::write(root.join(dir).join("file"), "x").unwrap();
        }
        fs::write(root.join("locked"), "x").unwrap();
        fs::write(root.join("open"), "x").unwrap();
    });
    let allow = |plain: &str, mode| {
        fs::set_permissions(volume.disk(plain), fs::Permissions::from_mode(mode)).unwrap();
    };
    for (plain, mode) in [("closed", 0o700), ("half", 0o755), ("locked", 0o600), ("open", 0o644)] {
        allow(plain, mode);
    }
    for public in [&volume.dir, &volume.scratch.path(""), &volume.scratch.path("mount")] {
        fs::set_permissions(public, fs::Permissions::from_mode(0o777)).unwrap();
    }
    fs::set_permissions(volume.dir.join("gocryptfs.conf"), fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(volume.scratch.passphrase_file(), fs::Permissions::from_mode(0o444)).unwrap();
    let run = |program: Fsck| {
        let output = output_of(&mut as_nobody(&program.command(&volume.scratch, &[], &volume.dir)));
        (lines(&output), output.status.code())
    };
    let (theirs, ours) = (run(Fsck::Theirs), run(Fsck::Ours));
    let told = |lines: &[String]| lines.iter().filter(|line| line.starts_with("fsck: ")).cloned().collect::<Vec<_>>();
    assert_eq!(told(&ours.0), told(&theirs.0));
    assert_eq!(told(&ours.0).len(), 2, "{ours:?}");
    assert_eq!((ours.1, theirs.1), (Some(26), Some(26)));
    assert!(ours.0.contains(&"fsck summary: 0 corrupt files, 2 files skipped".to_owned()), "{ours:?}");
}

/// Runs a command as a user who owns nothing, with a /dev/fuse that is open to all.
fn as_nobody(command: &Command) -> Command {
    let script = r#"mknod "$TMPDIR/fuse" c 10 229 2>/dev/null; chmod 666 "$TMPDIR/fuse"
        mount --bind "$TMPDIR/fuse" /dev/fuse && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@""#;
    let mut unshared = Command::new("unshare");
    unshared.args(["-m", "sh", "-c", script, "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        value.map(|value| unshared.env(name, value));
    }
    unshared
}
