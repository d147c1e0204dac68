//! What is wrong with where something is.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use strongroom_migrate::{Caution, Refusal};

use crate::world::{World, as_nobody, can_mount, is_root, mount, of_nobody, own_mounts, run};

#[test]
fn what_is_no_directory_is_refused() {
    let world = World::without_data();
    assert!(matches!(world.refusal(), Refusal::NotADirectory { .. }), "nothing is there");
    fs::create_dir(world.path("elsewhere")).unwrap();
    symlink(world.path("elsewhere"), world.data()).unwrap();
    assert!(matches!(world.refusal(), Refusal::NotADirectory { .. }), "a link is there");
}

fn is_of_the_system(data: &str) -> bool {
    let mut world = World::without_data();
    world.move_data(Path::new(data));
    let refusals = world.survey().refusals;
    refusals.iter().any(|refusal| matches!(refusal, Refusal::SystemDirectory { .. }))
}

#[test]
fn directories_of_the_system_are_refused_and_what_is_in_them_and_above_them() {
    for data in ["/", "/etc", "/etc/ssl", "/usr", "/usr/lib", "/boot", "/dev", "/proc", "/var"] {
        assert!(is_of_the_system(data), "{data}");
    }
    for data in ["/srv", "/opt", "/var/lib/nothing", "/etcetera"] {
        assert!(!is_of_the_system(data), "{data}");
    }
}

#[test]
fn the_home_directory_is_refused_and_what_holds_it_but_not_what_is_in_it() {
    let world = World::new();
    let (data, inner) = (world.data(), world.data().join("me"));
    for home in [&data, &inner] {
        let refusal = world.refusal_with(|request| request.home = Some(home));
        assert!(matches!(refusal, Refusal::HomeDirectory { .. }), "{refusal}");
    }
    let above = world.path("");
    assert_eq!(world.survey_with(|request| request.home = Some(&above)).refusals, []);
}

#[test]
fn what_is_needed_meanwhile_may_not_be_in_the_data() {
    let mut world = World::new();
    let inside = world.data().join("inside");
    let ours = |refusal: &Refusal, what: &str| matches!(refusal, Refusal::HoldsOurs { what: is, .. } if *is == what);
    assert!(ours(&world.refusal_with(|request| request.program = Some(&inside)), "the program"));
    assert!(ours(&world.refusal_with(|request| request.backup = Some(&inside)), "the backup"));
    assert!(ours(&world.refusal_with(|request| request.stage = &inside), "the private mount point"));
    world.move_state(&inside);
    assert!(ours(&world.refusal(), "the state directory"));
}

#[test]
fn the_state_directory_may_be_neither_in_the_vault_nor_in_the_backup() {
    let mut world = World::new();
    let (vault, backup) = (world.path("here.vault"), world.path("backup"));
    world.move_state(&backup.join("state"));
    assert!(matches!(world.refusal_with(|request| request.backup = Some(&backup)), Refusal::HoldsOurs { .. }));
    world.move_state(&vault.join("state"));
    assert!(matches!(world.refusal(), Refusal::HoldsOurs { .. }));
}

#[test]
fn a_mount_point_is_refused() {
    if !own_mounts() {
        return;
    }
    let world = World::new();
    mount("tmpfs", "size=1m", &world.data());
    let refusal = world.refusal();
    assert!(matches!(&refusal, Refusal::MountPoint { kind, .. } if kind == "tmpfs"), "{refusal}");
}

#[test]
fn what_has_something_mounted_in_it_is_refused() {
    if !own_mounts() {
        return;
    }
    let world = World::new();
    fs::create_dir_all(world.data().join("a/b")).unwrap();
    mount("tmpfs", "size=1m", &world.data().join("a/b"));
    let refusals = world.survey().refusals;
    assert!(refusals.iter().all(|refusal| matches!(refusal, Refusal::MountedWithin { .. })), "{refusals:?}");
    assert!(refusals.iter().any(|refusal| refusal.to_string().ends_with(": a/b")), "{refusals:?}");
}

#[test]
fn a_mounted_file_is_a_mount_too() {
    if !own_mounts() {
        return;
    }
    let world = World::new();
    fs::write(world.data().join("file"), b"").unwrap();
    fs::write(world.path("other"), b"").unwrap();
    run(Command::new("mount").arg("--bind").arg(world.path("other")).arg(world.data().join("file")));
    let refusals = world.survey().refusals;
    assert!(
        !refusals.is_empty() && refusals.iter().all(|one| matches!(one, Refusal::MountedWithin { .. })),
        "{refusals:?}"
    );
}

#[test]
fn a_subvolume_in_it_is_as_if_mounted() {
    let Some(world) = World::on(&["mkfs.btrfs", "-q"], "", 128) else { return };
    run(Command::new("btrfs").args(["-q", "subvolume", "create"]).arg(world.data().join("sub")));
    let refusal = world.refusal();
    assert!(matches!(&refusal, Refusal::MountedWithin { places } if places.some == ["sub"]), "{refusal}");
}

#[test]
fn what_is_mounted_elsewhere_too_is_refused() {
    if !own_mounts() {
        return;
    }
    let world = World::new();
    fs::create_dir(world.data().join("sub")).unwrap();
    fs::create_dir(world.path("elsewhere")).unwrap();
    run(Command::new("mount").arg("--bind").arg(world.data().join("sub")).arg(world.path("elsewhere")));
    let refusal = world.refusal();
    let at = world.path("elsewhere").display().to_string();
    assert!(matches!(&refusal, Refusal::MountedElsewhere { places } if places.some[0].starts_with(&at)), "{refusal}");
}

#[test]
fn vault_and_data_may_not_be_one_within_the_other() {
    let mut world = World::new();
    for vault in [world.data().join("vault"), world.path(""), world.data()] {
        world.move_vault(&vault);
        let refusals = world.survey().refusals;
        assert!(
            refusals.iter().any(|refusal| matches!(refusal, Refusal::VaultWithin { .. })),
            "{vault:?}: {refusals:?}"
        );
    }
}

#[test]
fn a_link_does_not_hide_that_the_vault_is_in_the_data() {
    let mut world = World::new();
    symlink(world.data(), world.path("link")).unwrap();
    world.move_vault(&world.path("link/vault"));
    assert!(matches!(world.refusal(), Refusal::VaultWithin { .. }));
}

#[test]
fn a_vault_must_be_new_or_an_empty_directory() {
    let world = World::new();
    fs::create_dir(world.path("here.vault")).unwrap();
    assert_eq!(world.survey().refusals, []);
    fs::write(world.path("here.vault/file"), b"").unwrap();
    assert!(matches!(world.refusal(), Refusal::VaultExists { .. }));
    fs::remove_dir_all(world.path("here.vault")).unwrap();
    fs::write(world.path("here.vault"), b"").unwrap();
    assert!(matches!(world.refusal(), Refusal::VaultExists { .. }));
}

#[test]
fn ciphertext_is_not_encrypted_again() {
    let mut world = World::new();
    fs::write(world.data().join("gocryptfs.conf"), b"{}").unwrap();
    assert!(matches!(world.refusal(), Refusal::Encrypted { .. }));
    fs::create_dir(world.data().join("deeper")).unwrap();
    world.move_data(&world.data().join("deeper"));
    assert!(matches!(world.refusal_with(|request| request.aside = Path::new("/tmp/.x")), Refusal::Encrypted { .. }));
}

#[test]
fn a_directory_under_fscrypt_is_refused() {
    let Some(world) = World::on(&["mkfs.ext4", "-q", "-F", "-O", "encrypt"], "", 64) else { return };
    let dir = fs::File::open(world.data()).unwrap();
    // struct fscrypt_policy_v1: AES-256-XTS and AES-256-CTS, with a key that nobody has.
    let policy = [0_u8, 1, 4, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    // SAFETY: FS_IOC_SET_ENCRYPTION_POLICY reads the twelve bytes of such a structure.
    let set = unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&dir), 0x800c_6613, policy.as_ptr()) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    let refusal = world.refusal();
    assert!(matches!(&refusal, Refusal::Encrypted { by, .. } if by.starts_with("fscrypt")), "{refusal}");
}

#[test]
fn a_file_system_of_a_program_is_refused() {
    if !own_mounts() || !crate::world::is_installed("gocryptfs") {
        return;
    }
    let mut world = World::new();
    for dir in ["cipher", "plain"] {
        fs::create_dir(world.path(dir)).unwrap();
    }
    fs::write(world.path("passphrase"), b"x\n").unwrap();
    let passphrase = world.path("passphrase");
    let gocryptfs = || {
        let mut command = Command::new("gocryptfs");
        command.args(["-q", "-nosyslog", "-scryptn", "10", "-passfile"]).arg(&passphrase);
        command
    };
    run(gocryptfs().arg("-init").arg(world.path("cipher")));
    // Its daemon would keep a pipe open.
    let nowhere = std::process::Stdio::null;
    let mut mounting = gocryptfs();
    mounting.arg(world.path("cipher")).arg(world.path("plain")).stdout(nowhere()).stderr(nowhere());
    assert!(mounting.status().unwrap().success());
    world.move_to(&world.path("plain"));
    fs::create_dir(world.data()).unwrap();
    let refusals = world.survey().refusals;
    assert!(matches!(&refusals[0], Refusal::Encrypted { by, .. } if by.contains("fuse")), "{refusals:?}");
}

#[test]
fn a_read_only_file_system_is_refused() {
    let Some(world) = World::on(&["mkfs.ext4", "-q", "-F"], "", 64) else { return };
    run(Command::new("mount").args(["-o", "remount,ro"]).arg(world.path("disk")));
    let refusals = world.survey().refusals;
    assert!(refusals.iter().any(|refusal| matches!(refusal, Refusal::ReadOnly { .. })), "{refusals:?}");
}

#[test]
fn a_state_directory_that_a_restart_empties_is_refused() {
    if !own_mounts() {
        return;
    }
    let mut world = World::new();
    fs::create_dir(world.path("memory")).unwrap();
    mount("tmpfs", "size=10m", &world.path("memory"));
    world.move_state(&world.path("memory/state"));
    assert!(matches!(world.refusal(), Refusal::StateNotKept { kind, .. } if kind == "tmpfs"));
}

#[test]
fn a_vault_in_memory_is_refused_for_data_that_are_not_there_themselves() {
    if !own_mounts() {
        return;
    }
    let mut world = World::new();
    fs::create_dir(world.path("memory")).unwrap();
    mount("tmpfs", "size=10m", &world.path("memory"));
    let home = world.data();
    world.move_vault(&world.path("memory/vault"));
    assert!(matches!(world.refusal(), Refusal::CopyNotKept { kind, .. } if kind == "tmpfs"));
    world.move_to(&world.path("memory"));
    fs::rename(home, world.path("elsewhere")).unwrap();
    fs::create_dir(world.data()).unwrap();
    let refusals = world.survey().refusals;
    assert!(!refusals.iter().any(|one| matches!(one, Refusal::CopyNotKept { .. })), "{refusals:?}");
}

#[test]
fn a_backup_in_memory_is_told() {
    if !own_mounts() {
        return;
    }
    let world = World::new();
    let memory = world.path("memory");
    fs::create_dir(&memory).unwrap();
    mount("tmpfs", "size=10m", &memory);
    let warnings = world.survey_with(|request| request.backup = Some(&memory)).warnings;
    assert!(warnings.iter().any(|one| matches!(one, Caution::BackupNotKept { .. })), "{warnings:?}");
}

#[test]
fn a_state_directory_on_an_overlay_is_refused() {
    if !own_mounts() {
        return;
    }
    let mut world = World::new();
    // An upper directory may not lie on an overlay itself, which the temporary directory may do.
    fs::create_dir(world.path("layers")).unwrap();
    mount("tmpfs", "size=10m", &world.path("layers"));
    for dir in ["layers/lower", "layers/upper", "layers/work", "merged"] {
        fs::create_dir(world.path(dir)).unwrap();
    }
    let [lower, upper, work] =
        ["lower", "upper", "work"].map(|dir| world.path(&format!("layers/{dir}")).display().to_string());
    mount("overlay", &format!("lowerdir={lower},upperdir={upper},workdir={work}"), &world.path("merged"));
    world.move_state(&world.path("merged/state"));
    assert!(matches!(world.refusal(), Refusal::StateNotKept { kind, .. } if kind == "overlay"));
}

#[test]
fn the_place_aside_must_be_free_and_on_the_same_file_system() {
    let mut world = World::new();
    let aside = world.path(".here.0123456789abcdef.orig");
    fs::create_dir(&aside).unwrap();
    assert_eq!(world.survey().refusals, [], "an empty directory is what an earlier run left");
    fs::write(aside.join("file"), b"").unwrap();
    assert!(matches!(world.refusal(), Refusal::Aside { .. }));
    if own_mounts() {
        fs::create_dir(world.path("other")).unwrap();
        mount("tmpfs", "size=1m", &world.path("other"));
        world.move_aside(&world.path("other/aside"));
        assert!(matches!(world.refusal(), Refusal::Aside { .. }));
    }
}

#[test]
fn a_migration_that_is_not_finished_is_in_the_way_of_those_around_it() {
    let world = World::new();
    fs::create_dir(world.data().join("sub")).unwrap();
    symlink(world.data(), world.path("alias")).unwrap();
    for other in [world.data(), world.data().join("sub"), world.path(""), world.path("alias")] {
        let open = [other];
        let refusal = world.refusal_with(|request| {
            let open: &[_] = Box::leak(Box::new(open.clone()));
            request.open = open;
        });
        assert!(matches!(refusal, Refusal::AlreadyMigrating { .. }), "{refusal}");
    }
    let beside: &[_] = Box::leak(Box::new([world.path("here2")]));
    assert_eq!(world.survey_with(|request| request.open = beside).refusals, []);
}

#[test]
fn a_machine_that_cannot_mount_is_refused() {
    let world = World::new();
    let refusal = world.refusal_with(|request| request.fuse.device = Path::new("/nonexistent/fuse"));
    assert!(matches!(refusal, Refusal::NoFuse { .. }));
}

#[test]
fn a_user_needs_fusermount() {
    let Some(world) = of_nobody() else { return };
    let refusal = as_nobody(|| {
        world.refusal_with(|request| {
            can_mount(request);
            request.fuse.has_fusermount = false;
        })
    });
    assert_eq!(refusal, Refusal::NoFusermount);
}

#[test]
fn services_of_other_users_need_user_allow_other() {
    let Some(world) = of_nobody() else { return };
    let conf = world.path("fuse.conf");
    fs::write(&conf, "# user_allow_other\nmount_max = 10\n").unwrap();
    let serving = || {
        world.survey_with(|request| {
            can_mount(request);
            request.serves_others = true;
            request.fuse.conf = &conf;
        })
    };
    let refusals = as_nobody(|| serving().refusals);
    assert!(matches!(&refusals[..], [Refusal::NotForOthers { .. }]), "{refusals:?}");
    assert_eq!(serving().refusals, [], "root may let others use it anyway");
    fs::write(&conf, "mount_max = 10\nuser_allow_other\n").unwrap();
    assert_eq!(as_nobody(|| serving().refusals), []);
}

#[test]
fn a_parent_in_which_nothing_may_be_made_is_named() {
    let Some(mut world) = of_nobody() else { return };
    fs::create_dir_all(world.path("mine")).unwrap();
    assert!(is_root());
    let closed = world.path("mine/vault");
    world.move_vault(&closed);
    let refusal = as_nobody(|| world.refusal_with(|request| can_mount(request)));
    assert!(matches!(&refusal, Refusal::NotWritable { what: "the vault", .. }), "{refusal}");
    use std::os::unix::fs::{PermissionsExt, chown};
    world.move_vault(&world.path("here.vault"));
    fs::set_permissions(world.path(""), fs::Permissions::from_mode(0o1777)).unwrap();
    chown(world.data(), Some(1), Some(1)).unwrap();
    let refusals = as_nobody(|| world.survey_with(|request| can_mount(request)).refusals);
    let is_sticky = |refusal: &Refusal| matches!(refusal, Refusal::NotWritable { why, .. } if why.contains("sticky"));
    assert!(refusals.iter().any(is_sticky), "{refusals:?}");
}
