//! The stack of devices below a file system, from /sys.

use std::{
    fs::{self, File},
    path::Path,
};

use super::{Layer, Medium, mount::mount_of};

/// Deeper stacks are a mistake of somebody.
const DEEPEST: usize = 16;

/// The devices from `sysfs` down, a directory of /sys.
pub(super) fn stack(sysfs: &Path) -> Vec<Layer> {
    let mut layers = Vec::new();
    descend(sysfs, &mut layers);
    layers
}

fn descend(sysfs: &Path, layers: &mut Vec<Layer>) {
    let name = sysfs.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if layers.len() >= DEEPEST || layers.iter().any(|layer| layer.name == name) {
        return;
    }
    if sysfs.join("partition").exists() {
        // It is what the disk is.
        return sysfs.parent().map_or((), |disk| descend(disk, layers));
    }
    let below = children(&sysfs.join("slaves"));
    layers.push(Layer {
        medium: medium(sysfs, &name, &below),
        discard: number(&sysfs.join("queue/discard_max_bytes")) > 0,
        zoned: !matches!(&text(&sysfs.join("queue/zoned"))[..], "" | "none"),
        name,
    });
    for child in below {
        if let Ok(child) = fs::canonicalize(sysfs.join("slaves").join(child)) {
            descend(&child, layers);
        }
    }
}

fn medium(sysfs: &Path, name: &str, below: &[String]) -> Medium {
    let dm = text(&sysfs.join("dm/uuid"));
    if dm.starts_with("CRYPT-") {
        return Medium::Crypt;
    }
    if sysfs.join("dm").exists() {
        return mapped(&sysfs.join("dm/name"), below);
    }
    if sysfs.join("md").exists() {
        return Medium::Raid;
    }
    if sysfs.join("loop").exists() {
        let backing = text(&sysfs.join("loop/backing_file"));
        return Medium::Loop(File::open(backing).ok().and_then(|file| Some(mount_of(&file).ok()?.file_system)));
    }
    if name.starts_with("zram") || name.starts_with("ram") {
        return Medium::Memory;
    }
    if is_virtual(sysfs, name) {
        return Medium::Unknown;
    }
    if name.starts_with("nvme") || name.starts_with("mmcblk") || name.starts_with("mtd") {
        return Medium::Flash;
    }
    match &text(&sysfs.join("queue/rotational"))[..] {
        "1" => Medium::Rotating,
        "0" => Medium::Flash,
        _ => Medium::Unknown,
    }
}

/// LVM names the parts of its thin and deduplicating pools and of its snapshots so, and so do the names of what is below them.
fn mapped(name: &Path, below: &[String]) -> Medium {
    let names = below.iter().map(|child| text(&Path::new("/sys/block").join(child).join("dm/name")));
    let names: Vec<_> = names.chain([text(name)]).collect();
    let ends = |ends: &[&str]| names.iter().any(|name| ends.iter().any(|end| name.ends_with(end)));
    if ends(&["-tpool", "_tdata", "_tmeta", "-vpool", "_vdata"]) {
        return Medium::Thin;
    }
    if ends(&["-real", "-cow"]) {
        return Medium::Snapshotted;
    }
    Medium::Mapped
}

/// Made by a hypervisor, or reached over a network.
fn is_virtual(sysfs: &Path, name: &str) -> bool {
    let path = sysfs.to_string_lossy();
    let bus = ["/virtio", "/vbd-", "/vmbus", "/VMBUS", "/session", "/rport-"].iter().any(|part| path.contains(part));
    let driver = ["nbd", "rbd", "drbd", "ublk", "xvd", "vd", "pmem"].iter().any(|prefix| name.starts_with(prefix));
    let told = ["model", "vendor"].map(|file| text(&sysfs.join("device").join(file)).to_ascii_uppercase());
    let maker = ["QEMU", "VMWARE", "VBOX", "VIRTUAL", "MSFT", "GOOGLE", "AMAZON", "LIO-ORG", "IET", "XEN"];
    bus || driver || maker.iter().any(|maker| told.iter().any(|told| told.contains(maker)))
}

/// Whether the processor says that a hypervisor is below it.
pub(super) fn is_virtual_machine() -> bool {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = cpu.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    flags.split_whitespace().any(|flag| flag == "hypervisor")
}

fn children(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn number(path: &Path) -> u64 {
    text(path).parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory like those of /sys.
    fn sysfs(files: &[(&str, &str)], links: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        files.iter().for_each(|(path, text)| fs::write(make(path), text).unwrap());
        links.iter().for_each(|(path, to)| symlink(dir.path().join(to), make(path)).unwrap());
        dir
    }

    #[test]
    fn a_stack_is_followed_from_the_partition_through_the_mapping_to_the_disk() {
        let dir = sysfs(
            &[
                ("dm-0/dm/uuid", "CRYPT-LUKS2-0123\n"),
                ("dm-0/dm/name", "secret\n"),
                ("sdq/queue/rotational", "1\n"),
                ("sdq/queue/zoned", "none\n"),
                ("sdq/queue/discard_max_bytes", "0\n"),
                ("sdq/sdq1/partition", "1\n"),
            ],
            &[("dm-0/slaves/sdq1", "sdq/sdq1")],
        );
        let layers = stack(&dir.path().join("dm-0"));
        let seen: Vec<_> = layers.iter().map(|layer| (&layer.name[..], &layer.medium)).collect();
        assert_eq!(seen, [("dm-0", &Medium::Crypt), ("sdq", &Medium::Rotating)]);
    }

    #[test]
    fn thin_pools_snapshots_zones_and_hypervisors_are_seen() {
        let table: &[(&str, &str, &str, Medium)] = &[
            ("dm-1", "dm/name", "vg-pool-tpool", Medium::Thin),
            ("dm-1", "dm/name", "vg-vpool0_vdata", Medium::Thin),
            ("dm-1", "dm/name", "vg-home-real", Medium::Snapshotted),
            ("dm-1", "dm/name", "vg-home", Medium::Mapped),
            ("sda", "device/vendor", "QEMU", Medium::Unknown),
            ("sda", "queue/rotational", "0", Medium::Flash),
            ("nvme0n1", "queue/rotational", "1", Medium::Flash),
            ("vda", "queue/rotational", "1", Medium::Unknown),
            ("md0", "md/level", "raid1", Medium::Raid),
            ("sda", "size", "1", Medium::Unknown),
        ];
        for (name, file, text, medium) in table {
            let dir = sysfs(&[(&format!("{name}/{file}"), text)], &[]);
            assert_eq!(stack(&dir.path().join(name))[0].medium, *medium, "{name} {file} {text}");
        }
        let dir = sysfs(&[("sdz/queue/zoned", "host-managed"), ("sdz/queue/discard_max_bytes", "7")], &[]);
        let layer = &stack(&dir.path().join("sdz"))[0];
        assert!(layer.zoned && layer.discard);
    }
}
