//! Gathers the facts.

use std::{
    fs as std_fs,
    fs::File,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{self, IFlags, Mode, OFlags},
    io::Errno,
};
use strongroom_durable::Beneath;

use super::{
    Facts, Snapshots, device,
    mount::{Mount, mount_of},
};
use crate::{
    EraseError, Kind,
    erase::names_in,
    look::{Look, join},
    sys,
};

/// So many files are looked at closely, and not more entries passed to find them.
const SAMPLE: u64 = 256;
const PASSED: usize = 20_000;

/// The facts about what `root` lies on.
pub fn gather(root: &Path) -> Result<Facts, EraseError> {
    let dir = open(root)?;
    let mount = mount_of(&dir)?;
    let mut facts = Facts {
        options: options(&mount),
        sampled: 0,
        no_cow: 0,
        compressed: 0,
        data_journaled: 0,
        shared: 0,
        inline: 0,
        snapshots: snapshots(&mount, &dir),
        layers: mount.sysfs().map(|sysfs| device::stack(&sysfs)).unwrap_or_default(),
        virtual_machine: device::is_virtual_machine(),
        file_system: mount.file_system,
    };
    sample(Beneath::on_one_mount(dir), &mut facts).map_err(EraseError::on("looking at files in", root))?;
    Ok(facts)
}

/// The block device that `root` lies on, for [`crate::prove`]. None where there is not exactly one.
pub fn device_below(root: &Path) -> Result<Option<PathBuf>, EraseError> {
    let mount = mount_of(open(root)?)?;
    let device = Path::new("/dev").join(mount.device_name());
    let several = mount.file_system == "zfs" || mount.file_system == "bcachefs" || btrfs_devices(&mount) > 1;
    Ok((!several && device != Path::new("/dev") && device.exists()).then_some(device))
}

fn open(root: &Path) -> Result<OwnedFd, EraseError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    fs::open(root, flags, Mode::empty()).map_err(EraseError::on("opening", root))
}

/// What /proc/self/mountinfo tells, and what ext4 keeps to itself because it is the default of this very file system.
fn options(mount: &Mount) -> Vec<String> {
    let mut options = mount.options.clone();
    if mount.file_system.starts_with("ext") {
        let told = std_fs::read_to_string(format!("/proc/fs/{}/{}/options", mount.file_system, mount.device_name()));
        options.extend(told.unwrap_or_default().lines().map(str::to_owned));
    }
    options.sort();
    options.dedup();
    options
}

fn snapshots(mount: &Mount, dir: &OwnedFd) -> Snapshots {
    match &mount.file_system[..] {
        "btrfs" => match sys::btrfs_subvolumes(dir) {
            Ok(subvolumes) => match subvolumes.iter().filter(|&&is_snapshot| is_snapshot).count() {
                0 => Snapshots::NoneSeen,
                many => Snapshots::Seen(many as u64),
            },
            Err(_) => Snapshots::Unknown,
        },
        "zfs" | "bcachefs" | "nilfs2" | "ceph" => Snapshots::Unknown,
        _ => Snapshots::NoneSeen,
    }
}

fn btrfs_devices(mount: &Mount) -> usize {
    if mount.file_system != "btrfs" {
        return 1;
    }
    // /sys/fs/btrfs/UUID/devices holds a link for each.
    let file_systems = std_fs::read_dir("/sys/fs/btrfs").into_iter().flatten().flatten();
    let mut devices =
        file_systems.map(|one| std_fs::read_dir(one.path().join("devices")).into_iter().flatten().flatten());
    let name = mount.device_name();
    let own = devices.find_map(|devices| {
        let names: Vec<_> = devices.map(|device| device.file_name().to_string_lossy().into_owned()).collect();
        names.contains(&name).then_some(names.len())
    });
    own.unwrap_or(1)
}

/// Looks closely at some files.
fn sample(root: Beneath, facts: &mut Facts) -> Result<(), Errno> {
    let mut directories = vec![Vec::new()];
    let mut passed = 0;
    while let Some(directory) = directories.pop() {
        let Ok(opened) = root.open(&directory, OFlags::RDONLY | OFlags::DIRECTORY) else { continue };
        for name in names_in(&opened)? {
            passed += 1;
            if passed > PASSED || facts.sampled >= SAMPLE {
                return Ok(());
            }
            let Ok(look) = Look::at(&opened, &name) else { continue };
            match look.kind {
                Kind::Directory if !look.mounted => directories.push(join(&directory, &name)),
                Kind::File if look.len > 0 => look_closely(&root, &join(&directory, &name), facts),
                _ => {}
            }
        }
    }
    Ok(())
}

/// What cannot be opened is not counted.
fn look_closely(root: &Beneath, path: &[u8], facts: &mut Facts) {
    let Ok(file) = root.open(path, OFlags::RDONLY | OFlags::NONBLOCK) else { return };
    let file = File::from(file);
    let flags = fs::ioctl_getflags(&file).unwrap_or(IFlags::empty());
    let (mut shared, mut encoded, mut inline) = (false, false, false);
    // Not every file system maps its files.
    let _ = sys::extents(&file, |extent| {
        shared |= extent.is_shared();
        inline |= extent.is_inline();
        encoded |= extent.is_encoded() && !extent.is_inline();
        true
    });
    let count = |number: &mut u64, holds: bool| *number += u64::from(holds);
    count(&mut facts.sampled, true);
    count(&mut facts.no_cow, flags.contains(IFlags::NOCOW));
    count(&mut facts.compressed, encoded || flags.contains(IFlags::COMPRESSED));
    count(&mut facts.data_journaled, flags.contains(IFlags::JOURNALING));
    count(&mut facts.shared, shared);
    count(&mut facts.inline, inline);
}
