//! What each flag of a mount does to it.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use strongroom_tests::{Need, has, output_of, run};

use crate::{AS_ROOT, MOUNTS, Mounted, Volume, real, said, words};

/// Flags, and what the kernel lists of a mount with them; `!` before what it does not.
const LISTED: &[(&[&str], &[&str])] = &[
    (&[], &["rw", "nodev", "nosuid", "!noexec", "!allow_other"]),
    (&["-ro"], &["ro"]),
    (&["-rw"], &["rw"]),
    (&["-ro", "-rw"], &["ro"]),
    (&["-dev", "-suid", "-exec"], &["!nodev", "!nosuid", "!noexec"]),
    (&["-dev", "-nodev", "-suid", "-nosuid", "-exec", "-noexec"], &["nodev", "nosuid", "noexec"]),
    (&["-allow_other"], &["allow_other", "default_permissions"]),
    (&["-force_owner", "1234:0x10"], &["allow_other", "default_permissions"]),
    (&["-ko", "noexec"], &["noexec", "nodev"]),
    (&["-o", "noexec,ro"], &["noexec", "ro"]),
    (&["-acl"], &["rw"]),
    (&["-kernel_cache", "-noprealloc", "-serialize_reads", "-sharedstorage", "-nofail"], &["rw"]),
    (&["-longnames=false", "-openssl=auto", "-devrandom", "-forcedecode"], &["rw"]),
];

#[test]
fn the_kernel_lists_what_the_flags_say() {
    if !has(AS_ROOT) {
        return;
    }
    let volume = Volume::create();
    for (flags, listed) in LISTED {
        let flags: Vec<_> = ["-q"].iter().chain(*flags).copied().collect();
        let mounted = volume.mount(&flags);
        assert_eq!(
            (mounted.kind.as_str(), Path::new(&mounted.source)),
            ("fuse.gocryptfs", volume.cipher_dir.as_path())
        );
        for option in *listed {
            let (option, wanted) = option.strip_prefix('!').map_or((*option, true), |option| (option, false));
            assert_eq!(mounted.has(option), wanted, "{flags:?}: {option} in {}", mounted.options);
        }
        assert_eq!(fs::write(mounted.path("file"), "x").is_ok(), !mounted.has("ro"), "{flags:?}");
        mounted.unmount();
    }
}

#[test]
fn the_real_one_lists_the_same() {
    if !has(&[Need::Gocryptfs]) || !has(AS_ROOT) {
        return;
    }
    let volume = Volume::create();
    for (flags, listed) in LISTED {
        let flags: Vec<_> = ["-q"].iter().chain(*flags).copied().collect();
        run(&mut volume.by(&real().unwrap(), &flags));
        let mounted = Mounted::at(&volume.mountpoint);
        for option in *listed {
            let (option, wanted) = option.strip_prefix('!').map_or((*option, true), |option| (option, false));
            assert_eq!(mounted.has(option), wanted, "{flags:?}: {option} in {}", mounted.options);
        }
        mounted.unmount();
    }
}

#[test]
fn a_source_can_be_named_and_commas_in_it_are_shown_as_something_else() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    for (name, shown) in [("a-name", "a-name"), ("x,y", "x_y")] {
        let output = run(&mut volume.gocryptfs(&["-fsname", name]));
        let mounted = Mounted::at(&volume.mountpoint);
        assert_eq!(mounted.source, shown);
        assert_eq!(words(&output).contains("will be displayed as"), name != shown, "{}", words(&output));
        mounted.unmount();
    }
}

#[test]
fn an_owner_is_shown_and_the_disk_has_another() {
    if !has(AS_ROOT) {
        return;
    }
    let volume = Volume::create();
    let mounted = volume.mount(&["-q", "-force_owner", "65534:65534"]);
    let as_nobody = format!("cd {} && echo text > file && mkdir dir && stat -c %u:%g . file dir", mounted.at.display());
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-ec", &as_nobody]);
    assert_eq!(said(&mut command), "65534:65534\n65534:65534\n65534:65534");
    mounted.unmount();
    assert!(fs::read_dir(&volume.cipher_dir).unwrap().all(|entry| entry.unwrap().metadata().unwrap().uid() == 0));
}

#[test]
fn attributes_do_not_exist_if_it_is_said() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    for (flags, works) in [(&["-q"][..], true), (&["-q", "-noxattr"], false)] {
        let mounted = volume.mount(flags);
        fs::write(mounted.path("file"), "x").unwrap();
        let mut set = Command::new("setfattr");
        let set = output_of(set.args(["-n", "user.a", "-v", "b"]).arg(mounted.path("file")));
        assert_eq!(set.status.success(), works, "{flags:?}: {}", words(&set));
        mounted.unmount();
    }
}

#[test]
fn access_lists_decide_if_it_is_said() {
    if !has(AS_ROOT) || !has(&[Need::Program("setfacl")]) {
        return;
    }
    let volume = Volume::create();
    for (flags, decides) in [(&["-q", "-allow_other"][..], false), (&["-q", "-allow_other", "-acl"], true)] {
        let mounted = volume.mount(flags);
        let file = mounted.path("file");
        fs::write(&file, "x").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        run(Command::new("setfacl").args(["-m", "u:65534:r"]).arg(&file));
        let mut read = Command::new("setpriv");
        let read = output_of(read.args(["--reuid=65534", "--regid=65534", "--clear-groups", "cat"]).arg(&file));
        assert_eq!(read.status.success(), decides, "{flags:?}: {}", words(&read));
        mounted.unmount();
    }
}

#[test]
fn files_are_made_with_the_modes_that_were_asked_for_whatever_the_umask_at_the_start() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    let script =
        "umask 077; gocryptfs -q -passfile passphrase cipher mount; umask 0; : > mount/file; stat -c %a mount/file";
    let text = said(&mut volume.shell(script));
    let mounted = Mounted::at(&volume.mountpoint);
    assert_eq!(text, "666");
    mounted.unmount();
}

#[test]
fn many_files_can_be_open_whatever_the_limit_at_the_start() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    run(&mut volume.shell("ulimit -Sn 256; gocryptfs -q -passfile passphrase cipher mount"));
    let mounted = Mounted::at(&volume.mountpoint);
    let limits = fs::read_to_string(format!("/proc/{}/limits", mounted.pid())).unwrap();
    let soft =
        limits.lines().find(|line| line.starts_with("Max open files")).unwrap().split_whitespace().nth(3).unwrap();
    assert!(soft.parse::<u64>().unwrap() >= 4096, "{limits}");
    mounted.unmount();
}

#[test]
fn undecodable_entries_are_shown_as_the_real_one_shows_them() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    let mounted = volume.mount(&["-q"]);
    fs::write(mounted.path("letter"), "text").unwrap();
    mounted.unmount();
    let reserved = ["gocryptfs.conf", "gocryptfs.diriv"];
    let mut names =
        fs::read_dir(&volume.cipher_dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let stored = names.find(|name| !reserved.contains(&name.as_str())).unwrap();
    let conflict = volume.cipher_dir.join(format!("{stored}.conflict"));
    fs::rename(volume.cipher_dir.join(stored), conflict).unwrap();
    fs::write(volume.cipher_dir.join("plain.conflict"), "").unwrap();
    let flags = ["-q", "-badname", "*.conflict"];
    let listed = |mounted: Mounted| {
        let mut names: Vec<_> =
            fs::read_dir(&mounted.at).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(fs::read_to_string(mounted.path(&names[0])).unwrap(), "text");
        mounted.unmount();
        names
    };
    let ours = listed(volume.mount(&flags));
    assert_eq!(ours, ["letter.conflict GOCRYPTFS_BAD_NAME", "plain.conflict GOCRYPTFS_BAD_NAME"]);
    if let Some(real) = real() {
        run(&mut volume.by(&real, &flags));
        assert_eq!(listed(Mounted::at(&volume.mountpoint)), ours);
    }
}

#[test]
fn a_cipher_directory_on_a_read_only_file_system_is_mounted_read_only() {
    if !has(AS_ROOT) {
        return;
    }
    let volume = Volume::create();
    let cipher = &volume.cipher_dir;
    run(Command::new("mount").arg("--bind").args([cipher, cipher]));
    run(Command::new("mount").args(["-o", "remount,bind,ro"]).arg(cipher));
    let mounted = volume.mount(&["-q"]);
    assert!(mounted.has("ro"), "{}", mounted.options);
    mounted.unmount();
    let refused = output_of(&mut volume.gocryptfs(&["-rw"]));
    assert_eq!(refused.status.code(), Some(1), "{}", words(&refused));
}

#[test]
fn a_master_key_opens_a_volume_whose_configuration_is_lost() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    let mounted = volume.mount(&["-q", "-zerokey"]);
    fs::write(mounted.path("file"), "of no security").unwrap();
    mounted.unmount();
    fs::remove_file(volume.cipher_dir.join("gocryptfs.conf")).unwrap();
    let zeros = "00000000-00000000-00000000-00000000-00000000-00000000-00000000-00000000";
    let mut command = Command::new(volume.scratch.path("bin/gocryptfs"));
    run(command.args(["-q", "-masterkey", zeros]).arg(&volume.cipher_dir).arg(&volume.mountpoint));
    let mounted = Mounted::at(&volume.mountpoint);
    assert_eq!(fs::read_to_string(mounted.path("file")).unwrap(), "of no security");
    mounted.unmount();
}

#[test]
fn a_reverse_mount_is_read_only_and_says_what_it_is() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    let script =
        "mkdir plain; echo text > plain/file; gocryptfs -init -q -reverse -scryptn 10 -passfile passphrase plain
        gocryptfs -q -reverse -exclude file -passfile passphrase plain mount | cat; ls mount";
    let text = said(&mut volume.shell(script));
    let mounted = Mounted::at(&volume.mountpoint);
    assert_eq!(text, "gocryptfs.conf\ngocryptfs.diriv");
    assert!(mounted.kind == "fuse.gocryptfs-reverse" && mounted.has("ro"), "{} {}", mounted.kind, mounted.options);
    mounted.unmount();
    let script = "gocryptfs -q -reverse -passfile passphrase cipher mount";
    let refused = output_of(&mut volume.shell(script));
    assert!(refused.status.code() == Some(11) && !words(&refused).is_empty(), "{refused:?}");
}

#[test]
fn the_control_socket_goes_with_the_mount() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    let socket = volume.scratch.path("socket");
    let mounted = volume.mount(&["-q", "-ctlsock", socket.to_str().unwrap()]);
    std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let second = Volume { mountpoint: volume.scratch.dir("second"), ..volume };
    let refused = output_of(&mut second.gocryptfs(&["-ctlsock", socket.to_str().unwrap()]));
    assert_eq!(refused.status.code(), Some(20), "{}", words(&refused));
    mounted.unmount();
    assert!(!socket.exists());
}

#[test]
fn a_mount_point_may_hold_files_if_it_is_said() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    OpenOptions::new().create(true).append(true).open(volume.mountpoint.join("mine")).unwrap();
    fs::set_permissions(&volume.mountpoint, fs::Permissions::from_mode(0o700)).unwrap();
    let mounted = volume.mount(&["-q", "-nonempty"]);
    assert!(!mounted.path("mine").exists());
    mounted.unmount();
}
