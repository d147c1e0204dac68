//! Whether there is room, and how it is reckoned.

use std::{fs, process::Command};

use strongroom_migrate::{Direction, Refusal, Role};

use crate::world::{NOBODY, World, mount, own_mounts, run};

#[test]
fn a_file_system_that_is_too_small_is_refused() {
    if !own_mounts() {
        return;
    }
    let mut world = World::new();
    fs::write(world.data().join("file"), vec![1; 3 << 20]).unwrap();
    fs::create_dir(world.path("small")).unwrap();
    mount("tmpfs", "size=3m", &world.path("small"));
    world.move_vault(&world.path("small/vault"));
    world.memory_lasts = true;
    let refusal = world.refusal();
    assert!(matches!(refusal, Refusal::NoRoom { available, need, .. } if available == 3 << 20 && need > available));
    run(Command::new("mount").args(["-o", "remount,size=6m"]).arg(world.path("small")));
    assert_eq!(world.survey().refusals, []);
    let refusal = world.refusal_with(|request| request.growth = 4 << 20);
    assert!(matches!(refusal, Refusal::NoRoom { .. }), "what is written meanwhile needs room too");
}

#[test]
fn a_file_system_with_too_few_inodes_is_refused() {
    if !own_mounts() {
        return;
    }
    let mut world = World::new();
    (0..30).for_each(|n| fs::write(world.data().join(format!("{n}")), b"").unwrap());
    fs::create_dir(world.path("small")).unwrap();
    mount("tmpfs", "size=50m,nr_inodes=20", &world.path("small"));
    world.move_vault(&world.path("small/vault"));
    world.memory_lasts = true;
    assert!(
        matches!(world.refusal(), Refusal::NoInodes { need: 33, .. }),
        "30 files, the directory, its vector, the vault"
    );
}

#[test]
fn places_on_one_file_system_are_added_up() {
    let world = World::new();
    fs::write(world.data().join("file"), vec![1; 100_000]).unwrap();
    let backup = world.path("backup");
    let estimate = world.survey_with(|request| request.backup = Some(&backup)).estimate;
    assert_eq!(estimate.needs.len(), 1);
    let need = &estimate.needs[0];
    assert_eq!(need.roles, [Role::Copy, Role::Backup, Role::State]);
    let sum = estimate.copy_bytes + estimate.backup_bytes + estimate.state_bytes;
    assert!(need.bytes > sum && need.bytes < sum + (2 << 20), "with a reserve: {need:?}");
}

#[test]
fn places_on_other_file_systems_are_not_added_up() {
    if !own_mounts() {
        return;
    }
    let mut world = World::new();
    fs::create_dir(world.path("other")).unwrap();
    mount("tmpfs", "size=50m", &world.path("other"));
    world.move_vault(&world.path("other/vault"));
    let needs = world.survey().estimate.needs;
    assert_eq!(needs.iter().map(|need| need.roles.clone()).collect::<Vec<_>>(), [[Role::Copy], [Role::State]]);
}

#[test]
fn holes_need_no_room() {
    let world = World::new();
    let file = fs::File::create(world.data().join("sparse")).unwrap();
    file.set_len(1 << 40).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[1; 4096], 1 << 39).unwrap();
    let found = world.survey();
    assert_eq!((found.counts.sparse, found.counts.bytes), (1, 1 << 40));
    assert!(found.estimate.copy_bytes < 1 << 20, "{:?}", found.estimate);
    assert_eq!(found.refusals, []);
}

#[test]
fn a_file_with_two_names_needs_room_once() {
    let world = World::new();
    fs::write(world.data().join("a"), vec![1; 1 << 20]).unwrap();
    let before = world.survey().estimate.copy_bytes;
    fs::hard_link(world.data().join("a"), world.data().join("b")).unwrap();
    assert_eq!(world.survey().estimate.copy_bytes, before);
}

#[test]
fn the_way_back_needs_less() {
    let world = World::new();
    (0..100).for_each(|n| fs::write(world.data().join(format!("{n}")), [1; 4096]).unwrap());
    let forth = world.survey().estimate.copy_bytes;
    let back = world.survey_with(|request| request.direction = Direction::Decrypt).estimate.copy_bytes;
    assert!(forth - back >= 100 * 4096, "{forth} and {back}: a file of one block is two in a vault");
}

/// `Q_SETQUOTA` for user 65534, and how many bytes and files he may have.
fn limit(disk: &std::path::Path, bytes: u64, files: u64) {
    let dir = fs::File::open(disk).unwrap();
    // SAFETY: a structure of plain numbers.
    let mut limits: libc::dqblk = unsafe { std::mem::zeroed() };
    limits.dqb_bhardlimit = bytes / 1024;
    limits.dqb_ihardlimit = files;
    // QIF_LIMITS
    limits.dqb_valid = 5;
    // SAFETY: the descriptor is open, and Q_SETQUOTA reads one `struct dqblk`.
    let done = unsafe {
        libc::syscall(443, std::os::fd::AsRawFd::as_raw_fd(&dir), 0x8000_0800_u32, NOBODY, std::ptr::from_ref(&limits))
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn a_quota_that_would_be_exceeded_is_refused() {
    let Some(world) = World::on(&["mkfs.ext4", "-q", "-F", "-O", "quota"], "usrquota", 64) else { return };
    for n in 0..20 {
        let path = world.data().join(format!("{n}"));
        fs::write(&path, vec![1; 100_000]).unwrap();
        std::os::unix::fs::chown(path, Some(NOBODY), None).unwrap();
    }
    run(Command::new("sync").arg("-f").arg(world.path("disk")));
    limit(&world.path("disk"), 10 << 20, 1000);
    assert_eq!(world.survey().refusals, []);
    limit(&world.path("disk"), 3 << 20, 1000);
    assert!(matches!(world.refusal(), Refusal::Quota { whose, what: "bytes", .. } if whose == "user 65534"));
    limit(&world.path("disk"), 10 << 20, 25);
    assert!(matches!(world.refusal(), Refusal::Quota { what: "files", allowed: 5, need: 20, .. }));
}
