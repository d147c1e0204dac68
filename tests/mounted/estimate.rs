//! What a survey reckons that a tree will take in a vault, beside what it takes.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use rustix::fs::{StatVfs, XattrFlags, lsetxattr, statvfs};
use strongroom_event::Silent;
use strongroom_migrate::{Direction, Estimate, Fuse, SurveyRequest, survey};
use strongroom_tests::{FileSystem, Format, Image, Need, Program, Random, Scratch, has, output_of};

const NEEDS: &[Need] = &[Need::Fuse, Need::Root, Need::Images];

/// Things of fixed size that the estimate counts in, and the file system's own.
const FIXED: u64 = 512 << 10;

/// What is reckoned to take so much takes no more, and not much less.
fn is_reckoned(file_system: FileSystem, fill: impl FnOnce(&Path)) {
    if !has(NEEDS) {
        return;
    }
    let scratch = Scratch::new();
    let source = scratch.dir("source");
    fill(&source);
    let image = Image::create(&scratch, file_system, 512);
    let vault = image.root().join("vault");
    let reckoned = reckon(&scratch, &source, &vault);
    let before = settled(image.root());
    copy(&scratch, &source, &vault);
    let after = settled(image.root());
    let bytes = (before.f_bfree - after.f_bfree) * before.f_frsize;
    // Where inodes are made as needed, their number says nothing.
    let inodes = if file_system == FileSystem::Ext4 { before.f_ffree - after.f_ffree } else { 0 };
    let most = bytes + bytes * 15 / 100 + FIXED;
    let Estimate { copy_bytes, copy_inodes, .. } = reckoned;
    assert!((bytes..=most).contains(&copy_bytes), "reckoned to be {copy_bytes} bytes, and is {bytes}");
    assert!(inodes == 0 || (inodes..=inodes + 2).contains(&copy_inodes), "reckoned {copy_inodes} inodes, are {inodes}");
}

fn reckon(scratch: &Scratch, source: &Path, vault: &Path) -> Estimate {
    let (aside, stage, state_dir) = (scratch.path(".source.orig"), scratch.path("stage"), scratch.path("state"));
    let request = SurveyRequest {
        direction: Direction::Encrypt,
        data: source,
        vault,
        aside: &aside,
        stage: &stage,
        state_dir: &state_dir,
        backup: None,
        home: None,
        program: None,
        open: &[],
        accepted: &[],
        service_pids: &[],
        serves_others: false,
        mounts_suid: false,
        fuse: Fuse::default(),
        overhead: 32,
        growth: 0,
        workers: 2,
        stop: &AtomicBool::new(false),
    };
    survey(&request, &Silent).unwrap().estimate
}

fn copy(scratch: &Scratch, source: &Path, vault: &Path) {
    fs::create_dir(vault).unwrap();
    Program::Strongroom.init(scratch, vault, &Format::default());
    let server = Program::Strongroom.mount(scratch, vault, &scratch.dir("mount"), &[]);
    let copied = output_of(Command::new("cp").args(["-a", "--sparse=always"]).arg(source.join(".")).arg(server.root()));
    assert!(copied.status.success(), "{copied:?}");
    server.unmount();
}

/// How much is free when everything has its place.
fn settled(disk: &Path) -> StatVfs {
    let synced = Command::new("sync").arg("-f").arg(disk).status().unwrap();
    assert!(synced.success());
    statvfs(disk).unwrap()
}

/// Files of one block, which become two.
fn blocks(source: &Path) {
    let mut random = Random::seeded(1);
    for n in 0..3000 {
        fs::write(source.join(format!("file-{n}")), random.bytes(4096)).unwrap();
    }
}

/// Files of all sizes in directories of all sizes.
fn mixed(source: &Path) {
    let mut random = Random::seeded(2);
    for n in 0..1500 {
        let dir = source.join(format!("d{}/e{}", random.below(7), random.below(5)));
        fs::create_dir_all(&dir).unwrap();
        let len = if n % 50 == 0 { random.below(3 << 20) } else { random.below(40_000) };
        fs::write(dir.join(format!("{n}.data")), random.bytes(len as usize)).unwrap();
    }
}

/// Hardly any content: directories, long names, links, attributes.
fn names(source: &Path) {
    let mut random = Random::seeded(3);
    for n in 0..600 {
        let dir = source.join(format!("{}-{n}", "d".repeat(random.below(200) as usize)));
        fs::create_dir(&dir).unwrap();
        std::os::unix::fs::symlink("t".repeat(1 + random.below(300) as usize), dir.join("link")).unwrap();
        for name in 0..random.below(12) {
            fs::write(dir.join(format!("{}-{name}", "f".repeat(random.below(240) as usize))), b"").unwrap();
        }
        if n % 3 == 0 {
            lsetxattr(&dir, "user.attribute", &random.bytes(200), XattrFlags::empty()).unwrap();
        }
    }
}

/// One large directory, of the kind that file systems index.
fn crowd(source: &Path) {
    for n in 0..20_000 {
        fs::write(source.join(format!("{n:08}-{n}")), b"").unwrap();
    }
}

/// Large files, some with holes.
fn large(source: &Path) {
    use std::os::unix::fs::FileExt;
    let mut random = Random::seeded(4);
    fs::write(source.join("whole"), random.bytes(50 << 20)).unwrap();
    let sparse = fs::File::create(source.join("sparse")).unwrap();
    sparse.set_len(1 << 36).unwrap();
    for _ in 0..200 {
        let at = random.below(1 << 36) / 4096 * 4096;
        sparse.write_all_at(&random.bytes(64 << 10), at).unwrap();
    }
}

#[test]
fn many_small_files_on_ext4() {
    is_reckoned(FileSystem::Ext4, blocks);
}

#[test]
fn many_small_files_on_xfs() {
    is_reckoned(FileSystem::Xfs, blocks);
}

#[test]
fn a_mixed_tree_on_ext4() {
    is_reckoned(FileSystem::Ext4, mixed);
}

#[test]
fn a_mixed_tree_on_xfs() {
    is_reckoned(FileSystem::Xfs, mixed);
}

#[test]
fn names_and_links_and_attributes_on_ext4() {
    is_reckoned(FileSystem::Ext4, names);
}

#[test]
fn a_large_directory_on_ext4() {
    is_reckoned(FileSystem::Ext4, crowd);
}

#[test]
fn a_large_directory_on_xfs() {
    is_reckoned(FileSystem::Xfs, crowd);
}

#[test]
fn large_files_with_holes_on_ext4() {
    is_reckoned(FileSystem::Ext4, large);
}

#[test]
fn large_files_with_holes_on_xfs() {
    is_reckoned(FileSystem::Xfs, large);
}
