//! What is left on the raw image of a file system after erasing: the claims of the verdict, held against the blocks.

mod support;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::{fd::AsFd, unix::fs::FileExt},
    path::Path,
    sync::atomic::AtomicBool,
};

use strongroom_erase::{
    Erased, Erasing, Grade, MarkKind, Markers, Proof, Region, Samples, Verdict, device_below, judge, prove, scrub_free,
    scrub_journal,
};
use strongroom_event::Silent;
use support::{Image, can, erase, in_own_namespace, is_empty, list, open, run};

const EXT4: &[&str] = &["mkfs.ext4", "-q", "-F"];
const XFS: &[&str] = &["mkfs.xfs", "-q", "-f"];
const BTRFS: &[&str] = &["mkfs.btrfs", "-q", "-f"];

/// Markers are planted in a tree on a new file system, the tree is erased, and the raw image is looked at.
struct Case {
    mkfs: &'static [&'static str],
    mebibytes: u64,
    options: &'static str,
    /// What is done after planting, given the tree.
    meanwhile: fn(&Path),
    scrub: bool,
}

impl Default for Case {
    fn default() -> Self {
        Self { mkfs: EXT4, mebibytes: 64, options: "", meanwhile: |_| {}, scrub: false }
    }
}

/// What came of it.
struct Outcome {
    verdict: Verdict,
    erased: Erased,
    /// While still mounted, and after unmounting, which writes what was only in memory.
    proofs: [Proof; 2],
}

impl Case {
    fn run(&self) -> Option<Outcome> {
        if !can(&[self.mkfs[0]]) {
            return None;
        }
        let mut outcome = None;
        in_own_namespace(|| outcome = Some(self.run_here()));
        outcome
    }

    fn run_here(&self) -> Outcome {
        let dir = tempfile::tempdir().unwrap();
        let image = Image::make(dir.path(), self.mebibytes, self.mkfs, self.options);
        let tree = image.at.join("tree");
        match self.mkfs[0] {
            // So that there can be snapshots of it.
            "mkfs.btrfs" => run("btrfs", &["-q", "subvolume", "create", tree.to_str().unwrap()]),
            _ => fs::create_dir(&tree).unwrap(),
        }
        let markers = Markers::choose();
        markers.plant(open(&tree).as_fd()).unwrap();
        (self.meanwhile)(&tree);
        let look = |mounted: bool| {
            let mounted = mounted.then(|| open(&image.at));
            let mounted = mounted.as_ref().map(AsFd::as_fd);
            prove(&image.file, mounted, &markers, None, &Silent, &AtomicBool::new(false)).unwrap()
        };
        assert!(count(&look(true), MarkKind::Content) >= 256, "the markers are found before");
        let verdict = judge(&tree).unwrap();
        let erased = erase(&tree, &list(&tree), &Erasing::after(&verdict)).unwrap();
        assert!(is_empty(&tree));
        if self.scrub {
            let root = open(&image.at);
            scrub_journal(root.as_fd(), &Silent, &AtomicBool::new(false)).unwrap();
            scrub_free(root.as_fd(), 0, &Silent, &AtomicBool::new(false)).unwrap();
        }
        let mounted = look(true);
        image.unmount();
        Outcome { verdict, erased, proofs: [mounted, look(false)] }
    }
}

impl Outcome {
    fn finds(&self, kind: MarkKind) -> u64 {
        self.proofs.iter().map(|proof| count(proof, kind)).max().unwrap()
    }

    fn is_clean(&self) -> bool {
        self.proofs.iter().all(Proof::is_clean)
    }

    fn says(&self, what: &str) -> bool {
        self.verdict.reasons.iter().any(|reason| reason.contains(what))
    }
}

fn count(proof: &Proof, kind: MarkKind) -> u64 {
    proof.markers.get(&kind).map_or(0, |regions| regions.values().sum())
}

fn regions(proof: &Proof) -> Vec<Region> {
    let mut regions: Vec<_> = proof.markers.values().flat_map(BTreeMap::keys).copied().collect();
    regions.sort();
    regions.dedup();
    regions
}

#[test]
fn on_ext4_contents_are_gone_and_names_are_in_the_journal_alone() {
    let Some(outcome) = Case::default().run() else { return };
    assert_eq!(outcome.verdict.grade, Grade::B, "{}", outcome.verdict);
    assert_eq!((outcome.finds(MarkKind::Content), outcome.finds(MarkKind::Small)), (0, 0));
    // A long target of a link has a block of its own, which nobody can write to.
    let allowed = [Region::Free, Region::Journal];
    assert!(regions(&outcome.proofs[0]).iter().all(|region| allowed.contains(region)), "{:?}", outcome.proofs[0]);
    assert!(outcome.says("the journal keeps names"));
}

#[test]
fn on_ext4_nothing_is_left_after_scrubbing() {
    let Some(outcome) = (Case { scrub: true, ..Case::default() }).run() else { return };
    assert!(outcome.is_clean(), "{:?}", outcome.proofs);
}

#[test]
fn on_ext4_without_a_journal_only_long_links_are_left() {
    let mkfs: &[&str] = &["mkfs.ext4", "-q", "-F", "-O", "^has_journal"];
    let Some(outcome) = (Case { mkfs, ..Case::default() }).run() else { return };
    for kind in [MarkKind::Content, MarkKind::Small, MarkKind::Name, MarkKind::Attribute] {
        assert_eq!(outcome.finds(kind), 0, "{kind:?}");
    }
}

#[test]
fn files_within_their_inode_are_left_in_the_journal_alone_and_not_after_scrubbing() {
    let mkfs: &[&str] = &["mkfs.ext4", "-q", "-F", "-O", "inline_data"];
    let Some(outcome) = (Case { mkfs, ..Case::default() }).run() else { return };
    assert!(outcome.says("lie within metadata"), "{}", outcome.verdict);
    assert_eq!(outcome.finds(MarkKind::Content), 0);
    let places: Vec<_> = outcome.proofs[0].markers.get(&MarkKind::Small).into_iter().flat_map(BTreeMap::keys).collect();
    assert!(places.is_empty() || places == [&Region::Journal], "{places:?}");
    assert!((Case { mkfs, scrub: true, ..Case::default() }).run().unwrap().is_clean());
}

#[test]
fn journaled_data_are_of_grade_c_stay_in_the_journal_and_go_when_it_wraps() {
    let case = Case { options: "data=journal", ..Case::default() };
    let Some(outcome) = case.run() else { return };
    assert_eq!(outcome.verdict.grade, Grade::C);
    assert!(outcome.says("data=journal"));
    assert!(outcome.finds(MarkKind::Content) > 0);
    assert_eq!(outcome.proofs[0].markers[&MarkKind::Content].keys().collect::<Vec<_>>(), [&Region::Journal]);
    assert!((Case { scrub: true, ..case }).run().unwrap().is_clean());
}

#[test]
fn on_xfs_contents_are_gone_and_names_are_in_the_log_alone() {
    let Some(outcome) = (Case { mkfs: XFS, mebibytes: 300, ..Case::default() }).run() else { return };
    assert_eq!(outcome.verdict.grade, Grade::B, "{}", outcome.verdict);
    assert_eq!((outcome.finds(MarkKind::Content), outcome.finds(MarkKind::Small)), (0, 0));
    // What the log wrote back and nobody has used since.
    let allowed = [Region::Free, Region::Journal];
    assert!(regions(&outcome.proofs[0]).iter().all(|region| allowed.contains(region)), "{:?}", outcome.proofs[0]);
}

#[test]
fn on_xfs_nothing_is_left_after_scrubbing() {
    let Some(outcome) = (Case { mkfs: XFS, mebibytes: 300, scrub: true, ..Case::default() }).run() else { return };
    assert!(outcome.is_clean(), "{:?}", outcome.proofs);
}

#[test]
fn a_reflinked_file_is_not_overwritten_and_the_verdict_is_c() {
    let meanwhile = |tree: &Path| {
        let copy = tree.parent().unwrap().join("copy");
        run("cp", &["-r", "--reflink=always", tree.to_str().unwrap(), copy.to_str().unwrap()]);
    };
    let Some(outcome) = (Case { mkfs: XFS, mebibytes: 300, meanwhile, ..Case::default() }).run() else { return };
    assert_eq!(outcome.verdict.grade, Grade::C);
    assert!(outcome.says("share blocks"));
    assert_eq!(outcome.erased.shared.len(), 3);
    assert_eq!(outcome.finds(MarkKind::Content), 256, "the copy is whole");
}

#[test]
fn on_btrfs_the_old_blocks_stay_and_the_verdict_says_so() {
    let Some(outcome) = (Case { mkfs: BTRFS, mebibytes: 256, ..Case::default() }).run() else { return };
    assert_eq!((outcome.verdict.grade, outcome.verdict.overwrite), (Grade::C, false));
    assert!(outcome.says("btrfs copies on write"));
    assert!(outcome.finds(MarkKind::Content) >= 256);
    assert_eq!(outcome.erased.overwritten, 0, "what is useless is not done");
    assert!(outcome.verdict.remedies.iter().any(|remedy| remedy.contains("sanitize the whole device")));
}

#[test]
fn on_btrfs_filling_free_space_takes_contents_and_leaves_names() {
    let Some(outcome) = (Case { mkfs: BTRFS, mebibytes: 256, scrub: true, ..Case::default() }).run() else { return };
    assert_eq!(outcome.finds(MarkKind::Content), 0, "{:?}", outcome.proofs);
    assert!(outcome.finds(MarkKind::Name) > 0);
}

#[test]
fn on_btrfs_nocow_contents_are_overwritten_and_names_are_not() {
    let case = Case { mkfs: BTRFS, mebibytes: 256, options: "nodatacow", ..Case::default() };
    let Some(outcome) = case.run() else { return };
    assert_eq!((outcome.verdict.grade, outcome.verdict.overwrite), (Grade::C, true), "{}", outcome.verdict);
    assert_eq!(outcome.finds(MarkKind::Content), 0);
    assert!(outcome.finds(MarkKind::Name) > 0);
}

#[test]
fn a_snapshot_of_btrfs_is_seen_and_keeps_everything() {
    let meanwhile = |tree: &Path| {
        let snapshot = tree.parent().unwrap().join("snapshot");
        run("btrfs", &["-q", "subvolume", "snapshot", "-r", tree.to_str().unwrap(), snapshot.to_str().unwrap()]);
    };
    let case = Case { mkfs: BTRFS, mebibytes: 256, options: "nodatacow", meanwhile, ..Case::default() };
    let Some(outcome) = case.run() else { return };
    assert!(outcome.says("1 snapshot of this file system"), "{}", outcome.verdict);
    assert_eq!(outcome.finds(MarkKind::Content), 256);
    assert!(outcome.verdict.remedies.iter().any(|remedy| remedy.contains("delete the snapshots")));
}

#[test]
fn plain_unlinking_leaves_everything_and_filling_free_space_takes_it() {
    if !can(&["mkfs.ext4"]) {
        return;
    }
    in_own_namespace(|| {
        let dir = tempfile::tempdir().unwrap();
        let image = Image::make(dir.path(), 64, EXT4, "");
        let markers = Markers::choose();
        let content = || {
            let root = open(&image.at);
            let proof =
                prove(&image.file, Some(root.as_fd()), &markers, None, &Silent, &AtomicBool::new(false)).unwrap();
            proof.markers.get(&MarkKind::Content).cloned().unwrap_or_default()
        };
        let tree = image.at.join("tree");
        fs::create_dir(&tree).unwrap();
        markers.plant(open(&tree).as_fd()).unwrap();
        fs::remove_dir_all(&tree).unwrap();
        assert_eq!(content(), BTreeMap::from([(Region::Free, 256)]));
        // What a killed run left behind.
        fs::create_dir(image.at.join(".strongroom-scrub-free")).unwrap();
        rustix::fs::chmod(image.at.join(".strongroom-scrub-free"), rustix::fs::Mode::RWXU).unwrap();
        fs::write(image.at.join(".strongroom-scrub-free/fill-000000"), vec![1; 20 << 20]).unwrap();
        let filled = scrub_free(open(&image.at).as_fd(), 0, &Silent, &AtomicBool::new(false)).unwrap();
        assert!(filled.written > 40 << 20 && filled.left < 4 << 20, "{filled:?}");
        assert!(!image.at.join(".strongroom-scrub-free").exists());
        assert_eq!(content(), BTreeMap::new());
    });
}

#[test]
fn samples_of_real_files_are_found_before_and_not_after() {
    if !can(&["mkfs.ext4"]) {
        return;
    }
    in_own_namespace(|| {
        let dir = tempfile::tempdir().unwrap();
        let image = Image::make(dir.path(), 64, EXT4, "");
        let tree = image.at.join("tree");
        fs::create_dir(&tree).unwrap();
        for number in 0..50u32 {
            let word = |at: u32| (at + number * 100_000).wrapping_mul(2_654_435_761).to_le_bytes();
            fs::write(tree.join(number.to_string()), (0..5000).flat_map(word).collect::<Vec<_>>()).unwrap();
        }
        let targets = list(&tree);
        let samples = Samples::take(open(&tree).as_fd(), &targets, 50).unwrap();
        assert_eq!(samples.len(), 50);
        let found = || {
            let (root, stop) = (open(&image.at), AtomicBool::new(false));
            let markers = Markers::choose();
            let proof = prove(&image.file, Some(root.as_fd()), &markers, Some(&samples), &Silent, &stop).unwrap();
            assert!(proof.is_clean(), "nothing was planted");
            proof.samples.values().sum::<u64>()
        };
        assert_eq!(found(), 50);
        erase(&tree, &targets, &Erasing::default()).unwrap();
        assert_eq!(found(), 0);
    });
}

#[test]
fn a_sparse_file_of_a_tebibyte_is_erased_on_an_image_of_64_mebibytes() {
    if !can(&["mkfs.ext4"]) {
        return;
    }
    in_own_namespace(|| {
        let dir = tempfile::tempdir().unwrap();
        let image = Image::make(dir.path(), 64, EXT4, "");
        let tree = image.at.join("tree");
        fs::create_dir(&tree).unwrap();
        let markers = Markers::choose();
        let bearer = markers.plant(open(&tree).as_fd()).unwrap();
        let file = File::create(tree.join("sparse")).unwrap();
        file.set_len(1 << 40).unwrap();
        [0, 1 << 30, (1 << 40) - 5].iter().for_each(|&at| file.write_all_at(b"data!", at).unwrap());
        drop(file);
        let erased = erase(&tree, &list(&tree), &Erasing::default()).unwrap();
        assert_eq!(erased.files as usize, 1 + bearer.len() - 3);
        assert!(erased.overwritten < 2 << 20, "{erased:?}");
        assert!(is_empty(&tree));
    });
}

#[test]
fn what_fallocate_zeroed_or_cut_off_is_overwritten_as_far_as_it_has_blocks() {
    if !can(&["mkfs.ext4", "fallocate"]) {
        return;
    }
    in_own_namespace(|| {
        let dir = tempfile::tempdir().unwrap();
        let image = Image::make(dir.path(), 64, EXT4, "");
        let tree = image.at.join("tree");
        fs::create_dir(&tree).unwrap();
        let markers = Markers::choose();
        markers.plant(open(&tree).as_fd()).unwrap();
        let largest = list(&tree).into_iter().max_by_key(|target| {
            fs::symlink_metadata(tree.join(std::str::from_utf8(&target.path).unwrap())).unwrap().len()
        });
        let large = tree.join(std::str::from_utf8(&largest.unwrap().path).unwrap());
        File::open(&large).unwrap().sync_all().unwrap();
        // The blocks stay, and are marked as not written: they read as zeros.
        run("fallocate", &["-z", "-o", "0", "-l", "524288", large.to_str().unwrap()]);
        assert!(fs::read(&large).unwrap()[..524_288].iter().all(|&byte| byte == 0));
        erase(&tree, &list(&tree), &Erasing::default()).unwrap();
        let proof = prove(&image.file, None, &markers, None, &Silent, &AtomicBool::new(false)).unwrap();
        assert_eq!(count(&proof, MarkKind::Content), 0, "{proof:?}");
    });
}

#[test]
fn several_passes_write_several_times() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("large"), vec![7; 70 << 20]).unwrap();
    fs::write(tree.join("small"), vec![7; 5000]).unwrap();
    let erased = erase(&tree, &list(&tree), &Erasing { passes: 3, workers: 3, ..Erasing::default() }).unwrap();
    assert_eq!(erased.overwritten, 3 * ((70 << 20) + 8192));
    assert!(is_empty(&tree));
}

#[test]
fn the_names_of_a_large_directory_are_gone_once_the_journal_has_wrapped() {
    for (mkfs, mebibytes) in [(EXT4, 64), (XFS, 300)] {
        if !can(&[mkfs[0]]) {
            return;
        }
        in_own_namespace(|| {
            let dir = tempfile::tempdir().unwrap();
            let image = Image::make(dir.path(), mebibytes, mkfs, "");
            let tree = image.at.join("tree");
            fs::create_dir(&tree).unwrap();
            (0..3000).for_each(|number| fs::write(tree.join(format!("telling-name-{number}")), "x").unwrap());
            rustix::fs::syncfs(open(&tree)).unwrap();
            assert!(image.blocks_with(b"telling-name-") > 0);
            erase(&tree, &list(&tree), &Erasing::default()).unwrap();
            let churned = scrub_journal(open(&image.at).as_fd(), &Silent, &AtomicBool::new(false)).unwrap().unwrap();
            assert!(churned.written >= 2 * churned.journal, "{churned:?}");
            image.unmount();
            assert_eq!(image.blocks_with(b"telling-name-"), 0, "{mkfs:?}");
        });
    }
}

#[test]
fn what_lies_below_is_told_down_to_the_file_of_a_loop_device() {
    if !can(&["mkfs.ext4"]) {
        return;
    }
    in_own_namespace(|| {
        let dir = tempfile::tempdir().unwrap();
        let image = Image::make(dir.path(), 64, EXT4, "");
        let verdict = judge(&image.at).unwrap();
        let host = judge(dir.path()).unwrap();
        assert_eq!(verdict.file_system, "ext4");
        assert!(verdict.devices[0].starts_with("loop"), "{verdict}");
        assert!(verdict.devices[0].ends_with(&format!("(a file of {})", host.file_system)), "{verdict}");
        let device = device_below(&image.at).unwrap().unwrap();
        assert!(device.starts_with("/dev") && device.to_str().unwrap().contains("loop"), "{device:?}");
        // The device and the file of the image are the same to a search.
        let markers = Markers::choose();
        markers.plant(open(&image.at).as_fd()).unwrap();
        let root = open(&image.at);
        let proof = prove(&device, Some(root.as_fd()), &markers, None, &Silent, &AtomicBool::new(false)).unwrap();
        assert_eq!((proof.length, count(&proof, MarkKind::Content)), (64 << 20, 256));
        // What ext4 does not tell of is unknown, and never free.
        assert!(!proof.markers[&MarkKind::Content].contains_key(&Region::Free));
        let memory = dir.path().join("memory");
        fs::create_dir(&memory).unwrap();
        run("mount", &["-t", "tmpfs", "none", memory.to_str().unwrap()]);
        let verdict = judge(&memory).unwrap();
        assert_eq!((verdict.grade, verdict.overwrite), (Grade::C, false));
        assert_eq!(device_below(&memory).unwrap(), None);
    });
}
