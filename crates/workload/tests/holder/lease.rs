//! What the kernel says about whether somebody can write.

use std::{
    fs::{self, File},
    os::fd::AsFd,
    path::PathBuf,
    process::Command,
    sync::atomic::AtomicBool,
};

use strongroom_workload::{Asked, WorkloadError, lease_probe};

use crate::world::{Holding, World, is_root, map, send_away};

fn the_file() -> Vec<PathBuf> {
    vec![PathBuf::from("sub/file")]
}

#[test]
fn nobody_is_in_the_way_in_a_tree_that_nobody_uses() {
    let world = World::new();
    let probed = world.probe(Asked::Writers);
    assert_eq!((probed.files, probed.has_leases), (2, true));
    assert_eq!((probed.busy, probed.undecided), (Vec::new(), Vec::new()));
    assert_eq!(world.busy(Asked::Anybody), [] as [PathBuf; 0]);
}

#[test]
fn a_descriptor_for_writing_is_in_the_way() {
    let world = World::new();
    let holding = Holding::shell(r#"exec 3>>"$1""#, &world.file());
    assert_eq!(world.busy(Asked::Writers), the_file());
    drop(holding);
    assert_eq!(world.busy(Asked::Writers), [] as [PathBuf; 0]);
}

#[test]
fn a_reader_is_no_writer() {
    let world = World::new();
    let _holding = Holding::shell(r#"exec 3<"$1""#, &world.file());
    assert_eq!(world.busy(Asked::Writers), [] as [PathBuf; 0]);
    assert_eq!(world.busy(Asked::Anybody), the_file());
}

#[test]
fn a_mapping_whose_descriptor_was_closed_is_in_the_way() {
    let world = World::new();
    let at = map(&world.file(), true);
    assert_eq!(world.busy(Asked::Writers), the_file());
    // SAFETY: the mapping that was made above, of which nothing else knows.
    assert_eq!(unsafe { libc::munmap(at.cast(), 4096) }, 0);
    assert_eq!(world.busy(Asked::Writers), [] as [PathBuf; 0]);
}

#[test]
fn a_descriptor_in_flight_is_in_the_way() {
    let world = World::new();
    let ends = send_away(&world.file());
    assert_eq!(world.busy(Asked::Writers), the_file());
    drop(ends);
    assert_eq!(world.busy(Asked::Writers), [] as [PathBuf; 0]);
}

#[test]
fn the_busy_file_is_told_by_device_and_inode_under_each_of_its_names() {
    use std::os::unix::fs::MetadataExt;
    let world = World::new();
    fs::hard_link(world.file(), world.root().join("other")).unwrap();
    let _open = fs::OpenOptions::new().append(true).open(world.file()).unwrap();
    let found = fs::metadata(world.file()).unwrap();
    let busy = world.probe(Asked::Writers).busy;
    assert_eq!(busy.len(), 2);
    assert!(busy.iter().all(|busy| (busy.dev, busy.ino) == (found.dev(), found.ino())), "{busy:?}");
}

#[test]
fn the_lease_is_given_back_so_that_others_can_write() {
    let world = World::new();
    world.probe(Asked::Writers);
    world.probe(Asked::Anybody);
    fs::OpenOptions::new().append(true).open(world.file()).unwrap();
}

/// Opening a file for writing while somebody has a lease sends SIGIO to him, which would end the process.
#[test]
fn who_opens_files_all_the_while_does_not_end_the_one_who_asks() {
    let world = World::new();
    for n in 0..50 {
        fs::write(world.root().join(format!("sub/{n}")), b"x").unwrap();
    }
    let script = r#"(while :; do for f in "$1"/*; do : >>"$f"; done; done) & echo $!"#;
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("{script}; echo ready; read forever; kill $!"))
        .arg("sh")
        .arg(world.root().join("sub"));
    let mut writer = crate::world::Paired::start(command);
    for _ in 0..800 {
        world.probe(Asked::Writers);
    }
    writer.end();
}

#[test]
fn a_pipe_in_the_tree_is_not_waited_for() {
    let world = World::new();
    assert!(Command::new("mkfifo").arg(world.root().join("pipe")).status().unwrap().success());
    assert_eq!(world.probe(Asked::Writers).files, 2);
}

#[test]
fn it_stops_when_it_is_to_stop() {
    let world = World::new();
    let root = File::open(world.root()).unwrap();
    let stopped = lease_probe(root.as_fd(), Asked::Writers, 2, &AtomicBool::new(true));
    assert!(matches!(stopped, Err(WorkloadError::Stopped)));
}

#[test]
fn what_is_mounted_in_the_tree_is_left_out() {
    if !is_root() {
        return;
    }
    let world = World::new();
    // The other file system is seen from another mount namespace only, where this runs once more.
    let script = r#"mount -t tmpfs none "$1/sub" && : > "$1/sub/within" && cd / && exec 3>>"$1/sub/within""#;
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c"]).arg(format!("{script}; echo ready; read forever")).arg("sh").arg(world.root());
    let holding = Holding::start(command);
    let seen_there = File::open(format!("/proc/{}/root{}", holding.pid(), world.root().display())).unwrap();
    let probed = lease_probe(seen_there.as_fd(), Asked::Writers, 2, &AtomicBool::new(false)).unwrap();
    assert_eq!((probed.files, probed.busy), (1, Vec::new()), "only the file beside the mount point");
}

#[test]
fn other_peoples_files_are_undecided_for_an_ordinary_user() {
    if !is_root() {
        return;
    }
    let world = World::new();
    open_to_all(&world);
    let probed = crate::naming::as_nobody(|| world.probe(Asked::Writers));
    assert_eq!(probed.undecided.len(), 2, "{probed:?}");
    assert!(probed.busy.is_empty() && probed.has_leases);
}

fn open_to_all(world: &World) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(world.root().parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
}
