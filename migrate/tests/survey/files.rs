//! What is wrong with single files, and what is worth knowing of them.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
    process::Command,
};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat};
use strongroom_migrate::{Accepted, Caution, Direction, Refusal};

use crate::world::{NOBODY, World, as_nobody, can_mount, is_root, of_nobody, run};

fn file(world: &World, name: &str) -> std::path::PathBuf {
    let path = world.data().join(name);
    fs::write(&path, b"content").unwrap();
    path
}

fn set(path: &Path, name: &str, value: &[u8]) {
    lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

#[test]
fn device_nodes_are_refused_unless_accepted() {
    if !is_root() {
        return;
    }
    let world = World::new();
    mknodat(CWD, world.data().join("null"), FileType::CharacterDevice, Mode::RUSR, makedev(1, 3)).unwrap();
    assert!(matches!(world.refusal(), Refusal::Devices { nodes } if nodes.some == ["null"]));
    assert_eq!(world.survey_with(|request| request.accepted = &[Accepted::Devices]).refusals, []);
}

#[test]
fn a_link_to_a_path_of_3039_bytes_is_the_longest() {
    let world = World::new();
    symlink("t".repeat(3039), world.data().join("longest")).unwrap();
    assert_eq!(world.survey().refusals, []);
    symlink("t".repeat(3040), world.data().join("too-long")).unwrap();
    assert!(matches!(world.refusal(), Refusal::LinkTooLong { most: 3039, links } if links.some == ["too-long"]));
}

#[test]
fn a_link_that_fits_into_the_file_system_as_plaintext_only_is_refused() {
    let small_blocks: [&str; 5] = ["mkfs.ext4", "-q", "-F", "-b", "1024"];
    for (mkfs, size) in [(&["mkfs.xfs", "-q", "-f"] as &[&str], 300), (&small_blocks, 64)] {
        let Some(world) = World::on(mkfs, "", size) else { return };
        symlink("t".repeat(735), world.data().join("longest")).unwrap();
        assert_eq!(world.survey().refusals, [], "{mkfs:?}");
        symlink("t".repeat(736), world.data().join("too-long")).unwrap();
        assert!(matches!(world.refusal(), Refusal::LinkTooLong { most: 735, links } if links.some == ["too-long"]));
    }
}

#[test]
fn an_attribute_with_a_name_of_175_bytes_is_the_longest() {
    let world = World::new();
    let name = |len: usize| format!("user.{}", "n".repeat(len - 5));
    set(&file(&world, "a"), &name(175), b"value");
    assert_eq!(world.survey().refusals, []);
    set(&file(&world, "b"), &name(176), b"value");
    assert!(matches!(world.refusal(), Refusal::Xattr { files, .. } if files.some == ["b"]));
    let accepted: &[_] = Box::leak(Box::new([Accepted::DropXattr(name(176))]));
    let caution = world.caution_with(|request| request.accepted = accepted);
    assert!(matches!(caution, Caution::XattrDropped { files, .. } if files.count == 1));
}

#[test]
fn an_attribute_of_a_symbolic_link_is_refused_unless_dropped() {
    if !is_root() {
        return;
    }
    let world = World::new();
    symlink("x", world.data().join("link")).unwrap();
    set(&world.data().join("link"), "trusted.mark", b"value");
    assert!(matches!(world.refusal(), Refusal::Xattr { name, .. } if name == "trusted.mark"));
    let accepted: &[_] = Box::leak(Box::new([Accepted::DropXattr("trusted.mark".into())]));
    assert_eq!(world.survey_with(|request| request.accepted = accepted).refusals, []);
}

#[test]
fn capabilities_are_refused_where_the_mount_has_none() {
    if !is_root() {
        return;
    }
    let world = World::new();
    // struct vfs_cap_data, revision 2: cap_net_bind_service, permitted and effective.
    let mut capability = [0_u8; 20];
    capability[..8].copy_from_slice(&[1, 0, 0, 2, 0, 4, 0, 0]);
    set(&file(&world, "program"), "security.capability", &capability);
    assert!(matches!(world.refusal(), Refusal::Capabilities { .. }));
    assert_eq!(world.survey_with(|request| request.mounts_suid = true).refusals, []);
    let accepted: &[_] = Box::leak(Box::new([Accepted::DropXattr("security.capability".into())]));
    assert_eq!(world.survey_with(|request| request.accepted = accepted).refusals, []);
}

#[test]
fn immutable_and_append_only_files_are_refused_unless_the_flags_are_cleared() {
    if !is_root() {
        return;
    }
    let world = World::new();
    for (name, flag) in [("immutable", "+i"), ("append", "+a")] {
        run(Command::new("chattr").arg(flag).arg(file(&world, name)));
    }
    assert!(matches!(world.refusal(), Refusal::Flags { files } if files.some == ["append", "immutable"]));
    let caution = world.caution_with(|request| request.accepted = &[Accepted::ClearFlags]);
    assert!(matches!(caution, Caution::FlagsCleared { files } if files.count == 2));
}

#[test]
fn what_cannot_be_read_is_named() {
    let Some(world) = of_nobody() else { return };
    let closed = file(&world, "closed");
    fs::create_dir(world.data().join("closed-dir")).unwrap();
    for path in [&closed, &world.data().join("closed-dir")] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    let refusal = as_nobody(|| world.refusal_with(|request| can_mount(request)));
    assert!(matches!(&refusal, Refusal::Unreadable { files } if files.some == ["closed", "closed-dir"]), "{refusal}");
    assert_eq!(world.survey().refusals, [], "root reads it");
}

#[test]
fn owners_that_an_ordinary_user_cannot_keep_are_named() {
    let Some(world) = of_nobody() else { return };
    let theirs = file(&world, "theirs");
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o644)).unwrap();
    let refusal = as_nobody(|| world.refusal_with(|request| can_mount(request)));
    assert!(matches!(&refusal, Refusal::Owners { files } if files.some == ["theirs"]), "{refusal}");
}

#[test]
fn sockets_and_pipes_are_worth_knowing() {
    let world = World::new();
    let _socket = std::os::unix::net::UnixListener::bind(world.data().join("socket")).unwrap();
    assert!(matches!(world.caution(), Caution::Sockets { files } if files.some == ["socket"]));
    fs::remove_file(world.data().join("socket")).unwrap();
    mknodat(CWD, world.data().join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert!(matches!(world.caution(), Caution::Fifos { files } if files.some == ["pipe"]));
}

#[test]
fn names_outside_are_worth_knowing_and_names_inside_are_not() {
    let world = World::new();
    let a = file(&world, "a");
    fs::hard_link(&a, world.data().join("b")).unwrap();
    assert_eq!(world.survey().warnings, []);
    fs::hard_link(&a, world.path("outside")).unwrap();
    assert!(matches!(world.caution(), Caution::LinksOutside { files } if files.count == 1));
}

#[test]
fn set_id_programs_are_worth_knowing() {
    let world = World::new();
    fs::set_permissions(file(&world, "program"), fs::Permissions::from_mode(0o4755)).unwrap();
    assert!(matches!(world.caution(), Caution::SetId { files } if files.some == ["program"]));
    assert_eq!(world.survey_with(|request| request.mounts_suid = true).warnings, []);
}

#[test]
fn labels_are_worth_knowing() {
    if !is_root() {
        return;
    }
    let world = World::new();
    set(&file(&world, "file"), "security.SMACK64", b"label");
    assert!(matches!(world.caution(), Caution::Labels { files } if files.some == ["file"]));
}

#[test]
fn access_lists_are_nothing_special() {
    let world = World::new();
    run(Command::new("setfacl").args(["-m", "u:1234:r"]).arg(file(&world, "file")));
    let found = world.survey();
    assert_eq!((found.refusals, found.warnings), (Vec::new(), Vec::new()));
    assert_eq!(found.counts.with_xattrs, 1);
}

#[test]
fn btrfs_and_what_it_compresses_are_worth_knowing() {
    let Some(world) = World::on(&["mkfs.btrfs", "-q"], "", 128) else { return };
    assert!(matches!(world.caution(), Caution::CopyOnWrite { kind } if kind == "btrfs"));
    let file = file(&world, "file");
    run(Command::new("chattr").arg("+c").arg(&file));
    let warnings = world.survey().warnings;
    assert!(warnings.iter().any(|one| matches!(one, Caution::Compressed { .. })), "{warnings:?}");
}

#[test]
fn xfs_may_share_blocks() {
    let Some(world) = World::on(&["mkfs.xfs", "-q", "-f"], "", 300) else { return };
    assert!(matches!(world.caution(), Caution::Reflinks { kind } if kind == "xfs"));
}

#[test]
fn on_the_way_back_what_only_a_vault_cannot_hold_is_no_matter() {
    if !is_root() {
        return;
    }
    let world = World::new();
    symlink("t".repeat(3040), world.data().join("long")).unwrap();
    fs::create_dir_all(world.path("here.vault/full")).unwrap();
    let found = world.survey_with(|request| request.direction = Direction::Decrypt);
    assert_eq!(found.refusals, []);
}
