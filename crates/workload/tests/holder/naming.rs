//! What /proc says about who it is.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use strongroom_workload::{Asked, Hold};

use crate::world::{Holding, World, given, hold_on, is_root, map, send_away};

fn in_tree(path: &str) -> PathBuf {
    path.into()
}

/// What the only holder named is, without those of other kinds that every process has.
fn holds(world: &World, holding: &Holding) -> Vec<Hold> {
    world.held_by(holding.pid()).into_iter().map(|holder| holder.hold).collect()
}

#[test]
fn a_tree_that_nobody_uses_has_no_holders() {
    let world = World::new();
    let _own = fs::OpenOptions::new().append(true).open(world.file()).unwrap();
    assert_eq!(world.sightings().holders, [], "not even this process");
}

#[test]
fn a_writer_and_a_reader_are_told_apart() {
    let world = World::new();
    let writer = Holding::shell(r#"exec 3>>"$1""#, &world.file());
    let reader = Holding::shell(r#"exec 3<"$1""#, &world.file());
    assert_eq!(holds(&world, &writer), [Hold::Fd { path: in_tree("sub/file"), writable: true }]);
    assert_eq!(holds(&world, &reader), [Hold::Fd { path: in_tree("sub/file"), writable: false }]);
    let named = world.held_by(writer.pid()).remove(0).to_string();
    assert_eq!(named, format!("sh (process {}, user {}) has sub/file open for writing", writer.pid(), uid()));
}

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[test]
fn a_working_directory_is_named() {
    let world = World::new();
    let inside = Holding::shell(r#"cd "$1""#, &world.root().join("sub"));
    let at_root = Holding::shell(r#"cd "$1""#, &world.root());
    assert_eq!(holds(&world, &inside), [Hold::Cwd { path: in_tree("sub") }]);
    assert_eq!(holds(&world, &at_root), [Hold::Cwd { path: in_tree("") }]);
}

#[test]
fn a_program_in_the_tree_is_named() {
    let world = World::new();
    let program = world.root().join("program");
    fs::copy("/bin/sh", &program).unwrap();
    let mut command = Command::new(&program);
    command.args(["-c", "echo ready; read forever"]);
    let running = Holding::start(command);
    assert!(holds(&world, &running).contains(&Hold::Exe { path: in_tree("program") }));
}

#[test]
#[ignore = "a child of the next"]
fn maps_a_file() {
    let Some(path) = given() else { return };
    map(&path, true);
    hold_on();
}

#[test]
fn a_mapping_whose_descriptor_was_closed_is_named() {
    let world = World::new();
    let mapping = Holding::child("naming::maps_a_file", &world.file());
    assert_eq!(holds(&world, &mapping), [Hold::Map { path: in_tree("sub/file"), shared_writable: true }]);
}

#[test]
#[ignore = "a child of the next"]
fn sends_a_file_away() {
    let Some(path) = given() else { return };
    let _ends = send_away(&path);
    hold_on();
}

/// Why the lease decides: /proc knows nothing of it.
#[test]
fn a_descriptor_in_flight_has_no_name_but_the_lease_knows() {
    let world = World::new();
    let sender = Holding::child("naming::sends_a_file_away", &world.file());
    assert_eq!(holds(&world, &sender), []);
    assert_eq!(world.busy(Asked::Writers), [in_tree("sub/file")]);
}

#[test]
fn a_file_that_was_opened_by_a_name_outside_is_found() {
    let world = World::new();
    let outside = world.beside().join("link");
    fs::hard_link(world.file(), &outside).unwrap();
    let holding = Holding::shell(r#"exec 3>>"$1""#, &outside);
    assert_eq!(holds(&world, &holding), [Hold::Fd { path: in_tree("sub/file"), writable: true }]);
}

#[test]
fn what_was_unlinked_is_told_by_where_it_was() {
    let world = World::new();
    let holding = Holding::shell(r#"exec 3>>"$1"; rm "$1""#, &world.file());
    assert_eq!(holds(&world, &holding), [Hold::Fd { path: in_tree("sub/file (deleted)"), writable: true }]);
}

#[test]
fn the_tree_is_found_when_it_was_renamed() {
    let world = World::new();
    let holding = Holding::shell(r#"cd "$1/sub""#, &world.root());
    let root = fs::File::open(world.root()).unwrap();
    fs::rename(world.root(), world.beside().join("moved")).unwrap();
    let found = strongroom_workload::holders(std::os::fd::AsFd::as_fd(&root)).unwrap().holders;
    assert!(found.iter().any(|holder| holder.pid == holding.pid() && holder.hold.path() == Path::new("sub")));
}

#[test]
fn files_of_the_same_file_system_beside_the_tree_are_nobodys_business() {
    let world = World::new();
    fs::write(world.beside().join("file"), b"x").unwrap();
    let holding = Holding::shell(r#"cd "$1"; exec 3>>file"#, &world.beside());
    assert_eq!(holds(&world, &holding), []);
}

#[test]
fn a_bind_mount_in_another_namespace_is_named() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let script = format!(r#"mount --bind "$1/sub" {0} && cd {0} && exec 3>>file"#, world.beside().display());
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c"]).arg(format!("{script}; echo ready; read forever")).arg("sh").arg(world.root());
    let holding = Holding::start(command);
    let found = holds(&world, &holding);
    let is_mount = |hold: &Hold| matches!(hold, Hold::Mount { at, path, upon: false, .. } if *at == world.beside() && path == Path::new("sub"));
    assert!(found.iter().any(is_mount), "{found:?}");
    assert!(found.contains(&Hold::Cwd { path: in_tree("sub") }), "{found:?}");
    assert!(found.contains(&Hold::Fd { path: in_tree("sub/file"), writable: true }), "{found:?}");
}

#[test]
fn what_another_namespace_has_mounted_in_the_tree_is_named() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", r#"mount -t tmpfs none "$1/sub"; echo ready; read forever"#, "sh"])
        .arg(world.root());
    let holding = Holding::start(command);
    let found = holds(&world, &holding);
    let is_mount = |hold: &Hold| matches!(hold, Hold::Mount { path, upon: true, .. } if path == Path::new("sub"));
    assert!(found.iter().any(is_mount), "{found:?}");
}

/// A loop device that goes with this.
struct Loop(String);

impl Loop {
    fn on(file: &Path) -> Self {
        let made = Command::new("losetup").args(["-f", "--show"]).arg(file).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        Self(String::from_utf8(made.stdout).unwrap().trim().to_owned())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("-d").arg(&self.0).status();
    }
}

#[test]
fn a_file_behind_a_loop_device_is_busy_and_the_device_named() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let image = world.root().join("image");
    fs::File::create(&image).unwrap().set_len(1 << 20).unwrap();
    let device = Loop::on(&image);
    let found: Vec<_> = world.sightings().holders.into_iter().filter(|holder| holder.pid == 0).collect();
    let expected = Hold::Loop { device: device.0.clone().into(), path: in_tree("image") };
    assert_eq!(found.into_iter().map(|holder| holder.hold).collect::<Vec<_>>(), [expected]);
    assert_eq!(world.busy(Asked::Writers), [in_tree("image")]);
}

/// Runs `what` on a thread that is an ordinary user.
pub fn as_nobody<T: Send>(what: impl FnOnce() -> T + Send) -> T {
    let as_nobody = || {
        // SAFETY: made without the C library, these change the credentials of this thread alone, which ends with `what`.
        let changed = unsafe {
            [
                libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<u32>()),
                libc::syscall(libc::SYS_setresgid, 65534, 65534, 65534),
                libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534),
            ]
        };
        assert_eq!(changed, [0; 3]);
        what()
    };
    std::thread::scope(|scope| scope.spawn(as_nobody).join().unwrap())
}

#[test]
fn processes_that_cannot_be_looked_at_are_told() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let holding = Holding::shell(r#"exec 3>>"$1""#, &world.file());
    fs::set_permissions(world.root().parent().unwrap(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let sightings = as_nobody(|| world.sightings());
    let unseen = sightings.unseen.iter().find(|unseen| unseen.pid == holding.pid()).unwrap();
    assert_eq!((unseen.command.as_str(), unseen.uid), ("sh", 0));
    assert!(sightings.holders.iter().all(|holder| holder.pid != holding.pid()));
}
