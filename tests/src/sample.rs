//! Trees of files that leave out no corner of the format, made alike in any directory from one seed, and edits to them.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, makedev, mknodat, setxattr, utimensat,
};

use crate::capture::path_of;
use crate::process::run;
use crate::program::Format;
use crate::random::Random;

/// Sizes around every border there is: blocks of 4096, file header of 18, block overheads of 32 and 40, requests.
const SIZES: [usize; 41] = [
    0, 1, 2, 15, 16, 17, 18, 19, 31, 32, 33, 40, 50, 63, 64, 65, 4055, 4056, 4063, 4064, 4077, 4078, 4079, 4095, 4096,
    4097, 4110, 4114, 4128, 4136, 4146, 8191, 8192, 8193, 8256, 12_288, 65_535, 65_537, 131_072, 1_048_576, 1_048_577,
];

/// Fills `root` with a tree that a volume of `format` can hold.
pub fn grow(root: &Path, format: &Format, random: &mut Random) {
    grow_names(root, random);
    grow_sizes(root, random);
    grow_sparse(root, random);
    grow_links(root, format, random);
    grow_odd_metadata(root, random);
    settle_times(root);
}

/// Names of every length, and of every kind of bytes.
fn grow_names(root: &Path, random: &mut Random) {
    let folder = root.join("names");
    fs::create_dir(&folder).unwrap();
    for len in 1..=255 {
        fs::write(folder.join(path_of(name(len, random))), random.bytes(len % 7)).unwrap();
    }
    let mut deep = root.join("deep");
    fs::create_dir(&deep).unwrap();
    for len in [1, 100, 175, 176, 200, 255] {
        deep.push(path_of(name(len, random)));
        fs::create_dir(&deep).unwrap();
        fs::write(deep.join("file"), random.bytes(100)).unwrap();
    }
    for (index, odd) in
        ["gocryptfs.conf.x", "gocryptfs.longname.", "a b", "-rf", "\n", "%s%n", "ümläut", "*?"].iter().enumerate()
    {
        fs::write(folder.join(format!("{odd}{index}")), odd).unwrap();
    }
}

/// A name of `len` bytes: letters, UTF-8, or whatever a file name may hold.
fn name(len: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = match len % 3 {
        0 => random.bytes(len).into_iter().map(|byte| b'a' + byte % 26).collect(),
        1 => "é".repeat(len / 2 + 1).into_bytes()[..len].to_vec(),
        _ => random
            .bytes(len)
            .into_iter()
            .map(|byte| if matches!(byte, 0 | b'/') { 0xff } else { byte })
            .collect::<Vec<_>>(),
    };
    if bytes.iter().all(|byte| *byte == b'.') {
        bytes[0] = b'x';
    }
    bytes
}

fn grow_sizes(root: &Path, random: &mut Random) {
    let folder = root.join("sizes");
    fs::create_dir(&folder).unwrap();
    for size in SIZES {
        fs::write(folder.join(size.to_string()), random.bytes(size)).unwrap();
    }
    let mut bit_by_bit = File::create(folder.join("bit-by-bit")).unwrap();
    for len in [1, 4094, 1, 1, 17, 4096, 5000, 3] {
        bit_by_bit.write_all(&random.bytes(len)).unwrap();
    }
}

fn grow_sparse(root: &Path, random: &mut Random) {
    let folder = root.join("sparse");
    fs::create_dir(&folder).unwrap();
    for (name, data, size) in [
        ("in-front", vec![100_000], 100_010),
        ("in-front-aligned", vec![4096 * 30], 4096 * 31),
        ("between", vec![0, 50_001, 400_000], 400_010),
        ("behind", vec![0], 77_777),
        ("behind-aligned", vec![0], 4096 * 20),
        ("all", vec![], 1_000_003),
        ("all-aligned", vec![], 1 << 20),
    ] {
        let file = File::create(folder.join(name)).unwrap();
        for offset in data {
            file.write_all_at(&random.bytes(10), offset).unwrap();
        }
        if size > file.metadata().unwrap().len() {
            file.set_len(size).unwrap();
        }
    }
}

fn grow_links(root: &Path, format: &Format, random: &mut Random) {
    let folder = root.join("links");
    fs::create_dir_all(folder.join("other")).unwrap();
    fs::write(folder.join("first"), random.bytes(5000)).unwrap();
    fs::hard_link(folder.join("first"), folder.join("second")).unwrap();
    fs::hard_link(folder.join("first"), folder.join("other").join(path_of(name(240, random)))).unwrap();
    for len in [1, 2, 15, 16, 17, 100, 255, 256, 1000, 2000, format.longest_target()] {
        symlink(path_of(target(len, random)), folder.join(format!("to-{len}"))).unwrap();
    }
    symlink("../sizes/4096", folder.join(path_of(name(230, random)))).unwrap();
    symlink(".", folder.join("to-itself")).unwrap();
}

fn target(len: usize, random: &mut Random) -> Vec<u8> {
    random.bytes(len).into_iter().map(|byte| if byte == 0 { b'/' } else { byte }).collect()
}

fn grow_odd_metadata(root: &Path, random: &mut Random) {
    let folder = root.join("odd");
    fs::create_dir(&folder).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    for (name, kind) in [("fifo", FileType::Fifo), ("socket", FileType::Socket)] {
        mknodat(CWD, folder.join(name), kind, Mode::from(0o640), 0).unwrap();
    }
    if is_root {
        mknodat(CWD, folder.join("device"), FileType::CharacterDevice, Mode::from(0o600), makedev(1, 3)).unwrap();
    }
    for mode in [0o000, 0o400, 0o644, 0o1777, 0o2770, 0o4755, 0o7777] {
        let file = folder.join(format!("mode-{mode:o}"));
        fs::write(&file, random.bytes(20)).unwrap();
        if is_root {
            chown(&file, Some(1000 + mode), Some(4_000_000_000)).unwrap();
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    }
    grow_attributes(&folder, random);
    grow_acls(&folder);
}

fn grow_attributes(folder: &Path, random: &mut Random) {
    let file = folder.join("attributes");
    fs::write(&file, "x").unwrap();
    fs::create_dir(folder.join("attributes-dir")).unwrap();
    let long = format!("user.{}", "n".repeat(150));
    for (name, len) in [("user.empty", 0), ("user.a", 1), ("user.binary", 700), ("user.Ünicode", 16), (&long, 33)] {
        setxattr(&file, name, &random.bytes(len), XattrFlags::empty()).unwrap();
        setxattr(folder.join("attributes-dir"), name, &random.bytes(len), XattrFlags::empty()).unwrap();
    }
}

fn grow_acls(folder: &Path) {
    fs::write(folder.join("acl"), "x").unwrap();
    fs::create_dir(folder.join("acl-dir")).unwrap();
    run(Command::new("setfacl").args(["-m", "u:1234:rwx,g:77:r,m::rx"]).arg(folder.join("acl")));
    run(Command::new("setfacl").args(["-m", "u:1234:rwx,d:u:99:rx,d:o::-"]).arg(folder.join("acl-dir")));
}

/// Does some hundred edits to the regular files below `root`, at places that depend on nothing but `random` and the names.
pub fn edit(root: &Path, random: &mut Random) {
    let mut files = regular_files(root, Path::new(""));
    keep_one_name_each(root, &mut files);
    for step in 0..400 {
        let at = random.below(files.len() as u64) as usize;
        let file = root.join(&files[at]);
        match random.below(14) {
            0..=4 => overwrite(&file, random),
            5..=6 => truncate(&file, random),
            7 => OpenOptions::new().append(true).open(&file).unwrap().write_all(&random.bytes(333)).unwrap(),
            8 => rename(root, &mut files[at], step, random),
            9 => {
                fs::remove_file(&file).unwrap();
                files.swap_remove(at);
            }
            10..=11 => {
                let new = fresh(step, random);
                let size = random.below(20_000) as usize;
                fs::write(root.join(&new), random.bytes(size)).unwrap();
                files.push(new);
            }
            12 => setxattr(&file, "user.edited", &random.bytes(40), XattrFlags::empty()).unwrap(),
            _ => copy_over(&file, &root.join(&files[random.below(files.len() as u64) as usize])),
        }
    }
    for step in 1000..1020 {
        fs::hard_link(root.join(random.pick(&files)), root.join(fresh(step, random))).unwrap();
    }
    move_folders(root, random);
    settle_times(root);
}

/// A file with several names is edited by one of them only: gocryptfs shows a stale size by the others for a second.
fn keep_one_name_each(root: &Path, files: &mut Vec<PathBuf>) {
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(root.join(file).symlink_metadata().unwrap().ino()));
}

fn overwrite(file: &Path, random: &mut Random) {
    let file = OpenOptions::new().write(true).open(file).unwrap();
    let size = file.metadata().unwrap().len();
    let len = 1 + random.below(9000) as usize;
    file.write_all_at(&random.bytes(len), random.below(size + 10_000)).unwrap();
}

fn truncate(file: &Path, random: &mut Random) {
    let file = OpenOptions::new().write(true).open(file).unwrap();
    let size = file.metadata().unwrap().len();
    file.set_len(random.below(size + size / 4 + 2)).unwrap();
}

fn rename(root: &Path, path: &mut PathBuf, step: usize, random: &mut Random) {
    let new = fresh(step, random);
    fs::rename(root.join(&path), root.join(&new)).unwrap();
    *path = new;
}

/// Puts the content of one file into another, as an editor that writes in place does.
fn copy_over(from: &Path, to: &Path) {
    let content = fs::read(from).unwrap();
    OpenOptions::new().write(true).truncate(true).open(to).unwrap().write_all(&content).unwrap();
}

/// A name that is not taken yet, short or long.
fn fresh(step: usize, random: &mut Random) -> PathBuf {
    let tail = *random.pick(&[0, 10, 120, 200, 240]);
    Path::new(*random.pick(&["names", "sizes", "links", "odd"])).join(format!("new-{step}-{}", "z".repeat(tail)))
}

fn move_folders(root: &Path, random: &mut Random) {
    let long = path_of(name(250, random));
    fs::rename(root.join("deep"), root.join(&long)).unwrap();
    fs::create_dir(root.join("deep")).unwrap();
    fs::rename(root.join("sparse"), root.join("deep").join(&long)).unwrap();
    fs::create_dir(root.join("sparse")).unwrap();
    fs::remove_dir(root.join("sparse")).unwrap();
}

fn regular_files(root: &Path, folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(root.join(folder)).unwrap().map(Result::unwrap).collect();
    entries.sort_by(|left, right| left.file_name().as_bytes().cmp(right.file_name().as_bytes()));
    let below = |entry: &fs::DirEntry| {
        let path = folder.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => regular_files(root, &path),
            kind if kind.is_file() => vec![path],
            _ => vec![],
        }
    };
    entries.iter().flat_map(below).collect()
}

/// Gives every entry below `root` a time that belongs to its path: before 1970, in 2038 and later, to the nanosecond.
pub fn settle_times(root: &Path) {
    settle_below(root, Path::new(""));
}

fn settle_below(root: &Path, folder: &Path) {
    for entry in fs::read_dir(root.join(folder)).unwrap().map(Result::unwrap) {
        let path = folder.join(entry.file_name());
        let found = entry.metadata().unwrap();
        if found.is_dir() {
            settle_below(root, &path);
        }
        let is_shared = !found.is_dir() && found.nlink() > 1;
        let time = if is_shared { SHARED_TIME } else { time_for(entry.file_name().as_bytes()) };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, root.join(&path), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

/// The time of whatever has several names: which one the walk meets last is up to the file system.
const SHARED_TIME: Timespec = Timespec { tv_sec: 77_777_777, tv_nsec: 777_777_777 };

fn time_for(name: &[u8]) -> Timespec {
    // gocryptfs counts nanoseconds in 64 bits and so loses its way in the year 2262, at 9.2 thousand million seconds.
    let seconds = [-2_000_000_000, -1, 0, 1_234_567_890, 2_147_483_648, 5_000_000_000, 9_000_000_000];
    let sum = name.iter().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    Timespec { tv_sec: seconds[(sum % 7) as usize], tv_nsec: (sum % 1_000_000_000) as i64 }
}
