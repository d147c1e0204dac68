//! The simulated disk answers as the kernel does.

use strongroom_testkit::{Journal, SimBacking, conform};
use strongroom_vault::RealBacking;

#[test]
fn the_kernel_is_a_backing() {
    rustix::process::umask(rustix::fs::Mode::empty());
    let dir = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    conform::backing(|| {
        count.set(count.get() + 1);
        let path = dir.path().join(count.get().to_string());
        std::fs::create_dir(&path).unwrap();
        RealBacking::open(&path).unwrap()
    });
}

#[test]
fn the_simulated_disk_is_a_backing() {
    conform::backing(|| SimBacking::new(Journal::Posix));
    conform::backing(|| SimBacking::new(Journal::Ext4Like));
}
