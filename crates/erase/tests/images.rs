//! What is left on the raw image of a file system after erasing: the claims of the verdict, held against the blocks.

mod support;

use std::{
    fs::{self, File},
    os::{fd::AsFd, unix::fs::symlink},
    path::Path,
    sync::atomic::AtomicBool,
};

use strongroom_erase::{
    Erasing, Grade, MarkKind, Markers, Proof, Region, Samples, judge, prove, scrub_free, scrub_journal, trim,
};
use strongroom_event::Silent;
use support::{Image, can, erase, in_own_namespace, is_empty, list, open, run};

const EXT4: &[&str] = &["mkfs.ext4", "-q", "-F"];
const XFS: &[&str] = &["mkfs.xfs", "-q", "-f"];
const BTRFS: &[&str] = &["mkfs.btrfs", "-q", "-f"];

/// What is done with a tree that holds markers, on a new file system.
struct Case<'a> {
    mkfs: &'a [&'a str],
    mebibytes: u64,
    options: &'a str,
    before: fn(&Path),
    scrub: bool,
}

impl Default for Case<'_> {
    fn default() -> Self {
        Self { mkfs: EXT4, mebibytes: 64, options: "", before: |_| {}, scrub: false }
    }
}

impl Case<'_> {
    /// Plants markers, erases, and looks at the raw image. What was found, and the grade.
    fn run(&self) -> (Proof, Grade, strongroom_erase::Erased) {
        let mut result = None;
        in_own_namespace(|| result = Some(self.run_here()));
        result.unwrap()
    }

    fn run_here(&self) -> (Proof, Grade, strongroom_erase::Erased) {
        let dir = tempfile::tempdir().unwrap();
        let image = Image::make(dir.path(), self.mebibytes, self.mkfs, self.options);
        let tree = image.at.join("tree");
        // The tree may be a subvolume.
        if self.mkfs[0] == "mkfs.btrfs" {
            run("btrfs", &["-q", "subvolume", "create", tree.to_str().unwrap()]);
        } else {
            fs::create_dir(&tree).unwrap();
        }
        fs::write(tree.join("other"), "x".repeat(10_000)).unwrap();
        (self.before)(&tree);
        let markers = Markers::choose();
        markers.plant(open(&tree).as_fd()).unwrap();
        after_planting(&tree);
        let verdict = judge(&tree).unwrap();
        let how = Erasing::after(&verdict);
        // Sanity: the scan does find them before.
        let before = prove(&image.file, Some(open(&image.at).as_fd()), &markers, None, &Silent, &go()).unwrap();
        assert_eq!(before.markers[&MarkKind::Content].values().sum::<u64>() >= 256, true, "{before:?}");
        let erased = erase(&tree, &list(&tree), &how).unwrap();
        assert!(is_empty(&tree));
        if self.scrub {
            let t = std::time::Instant::now();
            let c = scrub_journal(open(&image.at).as_fd(), &Silent, &go()).unwrap();
            let t2 = std::time::Instant::now();
            let f = scrub_free(open(&image.at).as_fd(), 0, &Silent, &go()).unwrap();
            eprintln!("{c:?} {:?} {f:?} {:?}", t2 - t, t2.elapsed());
        }
        let mounted = open(&image.at);
        let proof = prove(&image.file, Some(mounted.as_fd()), &markers, None, &Silent, &go()).unwrap();
        drop(mounted);
        image.unmount();
        let after = prove(&image.file, None, &markers, None, &Silent, &go()).unwrap();
        // Unmounting writes what was only in memory: nothing may turn up then.
        eprintln!(
            "{:?} {:?}: grade {}, {:?}, unmounted {:?}",
            self.mkfs, self.options, verdict.grade, proof.markers, after.markers
        );
        (proof, verdict.grade, erased)
    }
}

fn after_planting(tree: &Path) {
    let _ = tree;
}

fn go() -> AtomicBool {
    AtomicBool::new(false)
}

#[test]
fn survey() {
    for scrub in [false, true] {
        eprintln!("scrub {scrub}");
        Case { scrub, ..Case::default() }.run();
        Case { scrub, options: "data=journal", ..Case::default() }.run();
        Case { scrub, mkfs: &["mkfs.ext4", "-q", "-F", "-O", "inline_data"], ..Case::default() }.run();
        Case { scrub, mkfs: &["mkfs.ext4", "-q", "-F", "-O", "^has_journal"], ..Case::default() }.run();
        Case { scrub, mkfs: XFS, mebibytes: 300, ..Case::default() }.run();
        Case { scrub, mkfs: BTRFS, mebibytes: 256, ..Case::default() }.run();
        Case { scrub, mkfs: BTRFS, mebibytes: 256, options: "nodatacow", ..Case::default() }.run();
    }
}
