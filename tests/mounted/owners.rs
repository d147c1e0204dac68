//! Users, groups and permissions: other users of a mount, mounts of users who are not root, ACLs, fstab.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use strongroom_tests::{Need, Program, Scratch, has, is_mountpoint, output_of, run};

use crate::{MOUNTS, MOUNTS_AS_ROOT, Vault, words};

/// A command that runs as user and group `id` and nobody else.
fn as_user(id: u32) -> Command {
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={id}"), format!("--regid={id}"), "--clear-groups".to_owned()]);
    command
}

fn shell_as(id: u32, script: &str, folder: &Path) -> Output {
    output_of(as_user(id).args(["sh", "-c", script]).current_dir("/").env("D", folder))
}

#[test]
fn files_of_a_shared_mount_belong_to_whoever_made_them() {
    if !has(MOUNTS_AS_ROOT) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&["--allow-other"]);
    fs::set_permissions(server.root(), fs::Permissions::from_mode(0o1777)).unwrap();
    let script =
        r#"cd "$D" && echo hello > file && mkdir folder && ln -s file link && mkfifo pipe && echo more >> file"#;
    let output = shell_as(1234, script, server.root());
    assert!(output.status.success(), "{}", words(&output));
    for name in ["file", "folder", "link", "pipe"] {
        let found = fs::symlink_metadata(server.path(name)).unwrap();
        assert_eq!((found.uid(), found.gid()), (1234, 1234), "{name}");
    }
    assert_eq!(fs::read(server.path("file")).unwrap(), b"hello\nmore\n");
}

#[test]
fn modes_keep_other_users_out_of_a_shared_mount() {
    if !has(MOUNTS_AS_ROOT) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&["--allow-other"]);
    fs::set_permissions(server.root(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(server.path("private"), "x").unwrap();
    fs::set_permissions(server.path("private"), fs::Permissions::from_mode(0o600)).unwrap();
    let refused = [r#"cat "$D/private""#, r#"echo > "$D/new""#, r#"chmod 666 "$D/private""#, r#"rm -f "$D/private""#];
    for script in refused {
        assert!(!shell_as(1234, script, server.root()).status.success(), "{script} is refused");
    }
    assert!(shell_as(1234, r#"ls "$D""#, server.root()).status.success());
}

#[test]
fn another_user_sees_nothing_of_a_mount_that_is_not_shared() {
    if !has(MOUNTS_AS_ROOT) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    assert!(!shell_as(1234, r#"ls "$D""#, server.root()).status.success());
}

#[test]
fn a_folder_with_the_setgid_bit_passes_its_group_on() {
    if !has(MOUNTS_AS_ROOT) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&["--allow-other"]);
    fs::create_dir(server.path("team")).unwrap();
    chown(server.path("team"), Some(1234), Some(5678)).unwrap();
    fs::set_permissions(server.path("team"), fs::Permissions::from_mode(0o2775)).unwrap();
    let output = shell_as(1234, r#"cd "$D/team" && echo > file && mkdir folder"#, server.root());
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(fs::metadata(server.path("team/file")).unwrap().gid(), 5678);
    let folder = fs::metadata(server.path("team/folder")).unwrap();
    assert_eq!((folder.gid(), folder.mode() & 0o2000), (5678, 0o2000));
}

#[test]
fn writing_takes_the_setuid_bit_away() {
    if !has(MOUNTS_AS_ROOT) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&["--allow-other"]);
    fs::write(server.path("program"), "old").unwrap();
    chown(server.path("program"), Some(1234), Some(1234)).unwrap();
    fs::set_permissions(server.path("program"), fs::Permissions::from_mode(0o4755)).unwrap();
    let output = shell_as(1234, r#"echo new >> "$D/program""#, server.root());
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(fs::metadata(server.path("program")).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn an_acl_lets_in_whom_it_names() {
    if !has(MOUNTS_AS_ROOT) || !has(&[Need::Program("setfacl")]) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&["--allow-other", "--acl"]);
    fs::set_permissions(server.root(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(server.path("file"), "secret").unwrap();
    fs::set_permissions(server.path("file"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(!shell_as(1234, r#"cat "$D/file""#, server.root()).status.success());
    run(Command::new("setfacl").args(["-m", "u:1234:r"]).arg(server.path("file")));
    assert_eq!(shell_as(1234, r#"cat "$D/file""#, server.root()).stdout, b"secret");
    assert!(!shell_as(4321, r#"cat "$D/file""#, server.root()).status.success());
}

#[test]
fn a_default_acl_is_inherited() {
    if !has(MOUNTS_AS_ROOT) || !has(&[Need::Program("setfacl")]) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&["--acl"]);
    let plain = vault.scratch.dir("plain");
    for root in [server.root(), plain.as_path()] {
        fs::create_dir(root.join("parent")).unwrap();
        run(Command::new("setfacl").args(["-m", "d:u:1234:rwx,d:g::rx,d:o::-"]).arg(root.join("parent")));
        fs::create_dir(root.join("parent/folder")).unwrap();
        fs::write(root.join("parent/folder/file"), "x").unwrap();
    }
    let acls = |root: &Path| {
        String::from_utf8(run(Command::new("getfacl").args(["-R", "parent"]).current_dir(root)).stdout).unwrap()
    };
    assert_eq!(acls(server.root()), acls(&plain));
}

#[test]
fn a_mount_without_xattrs_has_none() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&["--no-xattr"]);
    fs::write(server.path("file"), "x").unwrap();
    let output = output_of(Command::new("setfattr").args(["-n", "user.a", "-v", "b"]).arg(server.path("file")));
    assert!(words(&output).contains("not supported"), "{}", words(&output));
}

#[test]
fn a_user_who_is_not_root_makes_mounts_and_unmounts_a_vault() {
    if !has(MOUNTS_AS_ROOT) {
        return;
    }
    let scratch = Scratch::new();
    open_the_device_to_all(&scratch);
    let binary = scratch.path("strongroom");
    fs::copy(Program::Strongroom.command().get_program(), &binary).unwrap();
    for folder in ["cipher", "mount"] {
        chown(scratch.dir(folder), Some(65_534), Some(65_534)).unwrap();
    }
    chown(scratch.passphrase_file(), Some(65_534), Some(65_534)).unwrap();
    let strongroom = |arguments: &[&str]| {
        let mut command = as_user(65_534);
        run(command.arg(&binary).args(arguments).current_dir(scratch.path("")).env_remove("HOME"))
    };
    strongroom(&["init", "--scrypt-log-n", "10", "--passphrase-file", "passphrase", "cipher"]);
    strongroom(&["mount", "--passphrase-file", "passphrase", "cipher", "mount"]);
    let mountpoint = scratch.path("mount");
    let output = shell_as(65_534, r#"cd "$D" && echo mine > file && mkdir folder && cat file"#, &mountpoint);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "mine\n", "{}", words(&output));
    strongroom(&["umount", "mount"]);
    assert!(!is_mountpoint(&mountpoint));
    strongroom(&["check", "--passphrase-file", "passphrase", "cipher"]);
}

/// /dev/fuse is open to everybody on most machines; on one where it is not, within this test's mounts.
fn open_the_device_to_all(scratch: &Scratch) {
    if fs::metadata("/dev/fuse").unwrap().mode() & 0o666 == 0o666 {
        return;
    }
    let device = scratch.path("fuse");
    mknodat(CWD, &device, FileType::CharacterDevice, Mode::empty(), makedev(10, 229)).unwrap();
    fs::set_permissions(&device, fs::Permissions::from_mode(0o666)).unwrap();
    run(Command::new("mount").arg("--bind").arg(device).arg("/dev/fuse"));
}

#[test]
fn mount_8_mounts_a_vault_as_fstab_would() {
    if !has(MOUNTS_AS_ROOT) || !has(&[Need::Program("mount.fuse3")]) {
        return;
    }
    let vault = Vault::create();
    install_for_this_test(&vault.scratch);
    let options = format!("ro,allow_other,nodev,nosuid,passphrase_file={}", vault.scratch.passphrase_file().display());
    let mut mount = Command::new("mount");
    mount.args(["-t", "fuse.strongroom", "-o", &options]);
    run(mount.arg(&vault.cipher_dir).arg(&vault.mountpoint));
    assert!(is_mountpoint(&vault.mountpoint));
    assert!(fs::write(vault.mountpoint.join("file"), "").is_err(), "ro was heard");
    run(Command::new("umount").arg(&vault.mountpoint));
    assert!(!is_mountpoint(&vault.mountpoint));
}

/// Puts the program where mount(8) looks for it, within this test's mounts.
fn install_for_this_test(scratch: &Scratch) {
    let folder = scratch.dir("bin");
    fs::copy(Program::Strongroom.command().get_program(), folder.join("strongroom")).unwrap();
    run(Command::new("mount").arg("--bind").arg(folder).arg("/usr/local/sbin"));
}
