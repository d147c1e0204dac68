//! How mounts end.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use strongroom_mount::mounts::{self, Unmounted};
use strongroom_mount::{Adapter, End, MountError, MountOptions, Mountpoint, Session, Termination, UmountError};

use crate::place::{Place, can_mount, is_root, sh};

fn is_mounted(place: &Place) -> bool {
    mounts::find(&place.mnt()).unwrap().is_some()
}

fn wait_until(mut it: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !it() {
        assert!(Instant::now() < deadline, "waited too long");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_dropped_session_leaves_nothing_mounted() {
    if !can_mount() {
        return;
    }
    let place = Place::new();
    let session = place.session(&MountOptions::default());
    assert!(is_mounted(&place));
    drop(session);
    assert!(!is_mounted(&place));
}

#[test]
fn it_is_listed_by_its_cipher_directory() {
    if !can_mount() {
        return;
    }
    let place = Place::new();
    let _session = place.session(&MountOptions::default());
    let entry = mounts::find(&place.mnt()).unwrap().unwrap();
    assert_eq!((entry.kind.as_str(), PathBuf::from(&entry.source)), ("fuse.strongroom", place.cipher()));
    assert!(entry.is_vault() && !entry.is_dead());
    assert!(entry.options.contains("nosuid") && entry.options.contains("nodev"));
    assert_eq!(entry.server(), Some(std::process::id()));
}

#[test]
fn an_unmount_from_outside_ends_the_session() {
    if !can_mount() {
        return;
    }
    let place = Place::new();
    let session = place.session(&MountOptions::default());
    fs::write(place.mnt().join("file"), "kept").unwrap();
    sh(place.dir.path(), "umount mnt");
    assert_eq!(session.wait().unwrap(), End::Unmounted);
    let _again = place.session(&MountOptions::default());
    assert_eq!(fs::read_to_string(place.mnt().join("file")).unwrap(), "kept");
}

#[test]
fn a_mount_in_use_says_who_uses_it() {
    if !can_mount() {
        return;
    }
    let place = Place::new();
    let _session = place.session(&MountOptions::default());
    let mut user = Command::new("sleep").arg("60").current_dir(place.mnt()).spawn().unwrap();
    let error = mounts::umount(&place.mnt(), false).unwrap_err();
    user.kill().unwrap();
    user.wait().unwrap();
    let UmountError::Busy { holders, .. } = error else { panic!("{error}") };
    assert!(holders.iter().any(|holder| holder.pid == user.id() && holder.program == "sleep"), "{holders:?}");
}

#[test]
fn a_lazy_unmount_lets_the_last_user_finish() {
    if !can_mount() {
        return;
    }
    let place = Place::new();
    let session = place.session(&MountOptions::default());
    let mut file = File::create(place.mnt().join("file")).unwrap();
    assert_eq!(mounts::umount(&place.mnt(), true).unwrap(), Unmounted::Lingering);
    assert!(!is_mounted(&place));
    file.write_all(b"late").unwrap();
    drop(file);
    assert_eq!(session.wait().unwrap(), End::Unmounted);
    let _again = place.session(&MountOptions::default());
    assert_eq!(fs::read_to_string(place.mnt().join("file")).unwrap(), "late");
}

#[test]
fn an_idle_mount_goes_but_not_while_a_file_is_open() {
    if !can_mount() {
        return;
    }
    let place = Place::new();
    let session = place.session(&MountOptions { idle: Some(Duration::from_millis(400)), ..MountOptions::default() });
    fs::write(place.mnt().join("file"), "content").unwrap();
    let mut file = File::open(place.mnt().join("file")).unwrap();
    sleep(Duration::from_millis(1500));
    assert!(is_mounted(&place), "a file is open");
    let mut content = String::new();
    file.read_to_string(&mut content).unwrap();
    assert_eq!(content, "content");
    drop(file);
    assert_eq!(session.wait().unwrap(), End::Idle);
    assert!(!is_mounted(&place));
}

#[test]
fn a_session_that_is_to_end_on_a_signal_does_not_wait_for_its_users() {
    if !can_mount() {
        return;
    }
    let place = Place::new();
    let mut session = place.session(&MountOptions::default());
    session.end_on(Termination::catch().unwrap()).unwrap();
    let mut file = File::create(place.mnt().join("file")).unwrap();
    file.write_all(b"collected by the kernel").unwrap();
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
    assert_eq!(session.wait().unwrap(), End::Signal(15));
    assert!(!is_mounted(&place));
    // The process would end here, and take the kernel's connection with it.
    let _again = place.session(&MountOptions::default());
    assert_eq!(fs::read_to_string(place.mnt().join("file")).unwrap(), "collected by the kernel");
}

/// Mounts as mount.fuse3 does with drop_privileges, for somebody else to serve.
fn mounted_already(place: &Place, words: &str) -> String {
    let device = File::options().read(true).write(true).open("/dev/fuse").unwrap();
    let data = format!("fd={},rootmode=40000,user_id=0,group_id=0{words}", device.as_raw_fd());
    let data = std::ffi::CString::new(data).unwrap();
    let flags = rustix::mount::MountFlags::NODEV;
    rustix::mount::mount("gocryptfs", place.mnt(), "fuse.gocryptfs", flags, data.as_c_str()).unwrap();
    format!("/dev/fd/{}", device.into_raw_fd())
}

#[test]
fn a_mount_that_was_made_already_is_served_and_taken_down() {
    if !can_mount() || !is_root() {
        return;
    }
    let place = Place::new();
    let at = mounted_already(&place, "");
    let mountpoint = Mountpoint::check(at.as_ref(), &place.cipher(), false).unwrap();
    let options = MountOptions::default();
    let adapter = Arc::new(Adapter::new(place.vault(&options), &options));
    let session = Session::mount(adapter, &mountpoint, &place.cipher(), &options, place.told.clone()).unwrap();
    fs::write(place.mnt().join("file"), "served").unwrap();
    assert_eq!(fs::read_to_string(place.mnt().join("file")).unwrap(), "served");
    drop(session);
    assert!(!is_mounted(&place));
}

#[test]
fn a_mount_for_all_that_was_made_without_checks_is_not_served() {
    if !can_mount() || !is_root() {
        return;
    }
    for (words, is_refused) in [(",allow_other", true), (",allow_other,default_permissions", false)] {
        let place = Place::new();
        let at = mounted_already(&place, words);
        let checked = Mountpoint::check(at.as_ref(), &place.cipher(), false);
        sh(place.dir.path(), "umount -l mnt");
        assert_eq!(matches!(checked, Err(MountError::Unchecked(_))), is_refused, "{words}: {checked:?}");
    }
}

#[test]
fn what_is_held_is_let_go_only_at_the_end() {
    if !can_mount() {
        return;
    }
    struct Guard(std::sync::mpsc::Sender<()>);
    impl Drop for Guard {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let place = Place::new();
    let mut session = place.session(&MountOptions::default());
    let (sender, dropped) = std::sync::mpsc::channel();
    session.hold(Guard(sender));
    assert!(dropped.try_recv().is_err());
    session.unmounter().unmount().unwrap();
    session.wait().unwrap();
    dropped.try_recv().unwrap();
}

fn passthrough() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.parent().unwrap().with_file_name("examples").join("passthrough")
}

#[test]
fn an_ordinary_user_mounts_and_unmounts_by_fusermount3() {
    if !can_mount() || !is_root() {
        return;
    }
    let place = Place::new();
    chown(place.mnt(), Some(65534), Some(65534)).unwrap();
    chown(place.cipher(), Some(65534), Some(65534)).unwrap();
    let example = place.dir.path().join("passthrough");
    fs::copy(passthrough(), &example).unwrap();
    // In a mount namespace of its own, where /dev/fuse is open to all as on most machines.
    let script = r#"mknod fuse c 10 229; chmod 666 fuse; mount --bind fuse /dev/fuse
        exec setpriv --reuid 65534 --regid 65534 --clear-groups timeout 30 sh -ec '
            ./passthrough cipher mnt "fsname=a\,b" & server=$!
            until grep -q "$PWD/mnt .* fuse.strongroom a,b" /proc/self/mountinfo; do kill -0 $server; sleep 0.05; done
            echo content > mnt/file; mv mnt/file mnt/moved; chmod 600 mnt/moved; stat -c %u:%a mnt/moved
            (sleep 0.3; kill -TERM $server) & wait $server; echo ended $?
            ! grep -q "$PWD/mnt .* fuse.strongroom" /proc/self/mountinfo'"#;
    let output =
        Command::new("unshare").args(["-m", "sh", "-ec", script]).current_dir(place.dir.path()).output().unwrap();
    let cried = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "65534:600\nended 0\n", "{cried}");
    assert_eq!(fs::read_to_string(place.cipher().join("moved")).unwrap(), "content\n");
}

/// The pass-through example as a process of its own, which can be killed.
struct Server {
    child: Child,
    place: Place,
}

impl Server {
    fn start() -> Server {
        let place = Place::new();
        let child = Command::new(passthrough()).arg(place.cipher()).arg(place.mnt()).spawn().unwrap();
        wait_until(|| is_mounted(&place) && fs::metadata(place.mnt().join("gocryptfs.diriv")).is_ok());
        Server { child, place }
    }

    fn signal(&self, signal: &str) {
        sh(self.place.dir.path(), &format!("kill -{signal} {}", self.child.id()));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = mounts::umount(&self.place.mnt(), true);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_killed_servers_mount_is_cleared() {
    if !can_mount() {
        return;
    }
    let mut server = Server::start();
    let _open = File::open(server.place.mnt().join("gocryptfs.diriv")).unwrap();
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let dead = mounts::find(&server.place.mnt()).unwrap().unwrap();
    assert!(dead.is_dead());
    let error = Mountpoint::check(&server.place.mnt(), &server.place.cipher(), true).unwrap_err();
    assert!(matches!(error, MountError::DeadMount(_)), "{error}");
    assert_eq!(mounts::umount(&server.place.mnt(), false).unwrap(), Unmounted::Cleared);
    assert!(!is_mounted(&server.place));
}

#[test]
fn an_unmount_waits_for_the_server_to_end() {
    if !can_mount() {
        return;
    }
    let mut server = Server::start();
    assert_eq!(mounts::umount(&server.place.mnt(), false).unwrap(), Unmounted::Ended);
    assert!(server.child.try_wait().unwrap().is_some());
}

#[test]
fn sigterm_unmounts() {
    if !can_mount() {
        return;
    }
    let mut server = Server::start();
    fs::write(server.place.mnt().join("file"), "kept").unwrap();
    server.signal("TERM");
    assert!(server.child.wait().unwrap().success());
    assert!(!is_mounted(&server.place));
    assert_eq!(fs::read_to_string(server.place.cipher().join("file")).unwrap(), "kept");
}

#[test]
fn sigterm_lets_open_files_be_finished_and_a_second_one_does_not() {
    if !can_mount() {
        return;
    }
    let mut server = Server::start();
    let mut file = File::create(server.place.mnt().join("file")).unwrap();
    file.write_all(b"early").unwrap();
    server.signal("TERM");
    wait_until(|| !is_mounted(&server.place));
    file.write_all(b", late").unwrap();
    file.sync_all().unwrap();
    assert!(server.child.try_wait().unwrap().is_none(), "a file is open");
    server.signal("TERM");
    assert!(server.child.wait().unwrap().success());
    assert!(file.sync_all().is_err() || file.write_all(b"x").and_then(|()| file.sync_all()).is_err());
    assert_eq!(fs::read_to_string(server.place.cipher().join("file")).unwrap(), "early, late");
}

#[test]
fn a_session_that_has_ended_leaves_alone_what_was_mounted_in_its_place() {
    if !can_mount() {
        return;
    }
    let place = Place::new();
    let ended = place.session(&MountOptions::default());
    let device = mounts::find(&place.mnt()).unwrap().unwrap().device;
    sh(place.dir.path(), "umount mnt");
    // The kernel gives a device number away again once it is free, which is the case when the next mount has it.
    let mut next = place.session(&MountOptions::default());
    for _ in 0..200 {
        if mounts::find(&place.mnt()).unwrap().unwrap().device == device {
            break;
        }
        drop(next);
        sleep(Duration::from_millis(10));
        next = place.session(&MountOptions::default());
    }
    assert_eq!(ended.wait().unwrap(), End::Unmounted);
    assert!(is_mounted(&place));
    drop(next);
}
