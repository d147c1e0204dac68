//! Who uses the data.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use strongroom_migrate::{Caution, Refusal};

use crate::world::{World, as_nobody, can_mount, is_root, of_nobody, run};

/// A shell that does something, says so, and waits.
struct Holding(Child);

impl Holding {
    fn shell(script: &str, argument: &Path) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{script}; echo ready; read forever")).arg("sh").arg(argument);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let holding = Self(child);
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        holding
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_program_that_is_no_service_is_named_and_one_that_is_one_is_not() {
    let world = World::new();
    fs::write(world.data().join("file"), b"").unwrap();
    let holding = Holding::shell(r#"cd "$1"; exec 3>>file"#, &world.data());
    let pid = holding.0.id();
    match world.caution() {
        Caution::Held { who } => {
            assert_eq!(who.len(), 1, "once for each process: {who:?}");
            assert!(who[0].starts_with(&format!("sh (process {pid}")), "{who:?}");
        }
        other => panic!("{other}"),
    }
    let pids: &[u32] = Box::leak(Box::new([pid]));
    assert_eq!(world.survey_with(|request| request.service_pids = pids).warnings, []);
}

#[test]
fn what_was_unlinked_and_is_open_is_worth_knowing() {
    let world = World::new();
    fs::write(world.data().join("file"), b"").unwrap();
    let holding = Holding::shell(r#"exec 3>>"$1"; rm "$1""#, &world.data().join("file"));
    let pids: &[u32] = Box::leak(Box::new([holding.0.id()]));
    let caution = world.caution_with(|request| request.service_pids = pids);
    assert!(matches!(&caution, Caution::Unlinked { files } if files.some == ["file (deleted)"]), "{caution}");
}

#[test]
fn that_others_cannot_be_looked_at_is_worth_knowing() {
    let Some(world) = of_nobody() else { return };
    let _holding = Holding::shell(":", Path::new("/"));
    let caution = as_nobody(|| world.caution_with(|request| can_mount(request)));
    assert!(matches!(caution, Caution::Unseen { count } if count >= 1));
}

struct Loop(String);

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("-d").arg(&self.0).status();
    }
}

#[test]
fn a_file_behind_a_loop_device_is_refused() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let image = world.data().join("image");
    fs::File::create(&image).unwrap().set_len(1 << 20).unwrap();
    let made = Command::new("losetup").args(["-f", "--show"]).arg(&image).output().unwrap();
    assert!(made.status.success());
    let _device = Loop(String::from_utf8(made.stdout).unwrap().trim().to_owned());
    assert!(matches!(world.refusal(), Refusal::Loop { files } if files.some == ["image"]));
}

#[test]
fn a_mount_that_another_namespace_has_is_refused_though_nobody_here_sees_it() {
    if !is_root() {
        return;
    }
    let world = World::new();
    fs::create_dir(world.path("elsewhere")).unwrap();
    let elsewhere = world.path("elsewhere");
    let script = format!(
        r#"exec unshare -m sh -c 'mount --bind "$1" {}; echo ready; read forever' sh "$1""#,
        elsewhere.display()
    );
    let _holding = Holding::shell(&script, &world.data());
    let refusal = world.refusal();
    assert!(matches!(&refusal, Refusal::MountedElsewhere { .. }), "{refusal}");
    run(&mut Command::new("true"));
}
