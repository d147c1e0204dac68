//! Volumes that the real gocryptfs made, and ways to damage them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::fs::{XattrFlags, getxattr, listxattr, setxattr};
use strongroom_tests::{Cipher, Format, Names, Program, Random, Scratch, output_of};

/// Every way to encrypt contents and to store names.
pub fn modes() -> Vec<Format> {
    let ciphers = [Cipher::AesGcm, Cipher::AesSiv, Cipher::XChaCha];
    let names = [Names::Encrypted, Names::Deterministic, Names::Plaintext];
    let all = ciphers.iter().flat_map(|&cipher| names.map(|names| Format { cipher, names, long_name_max: None }));
    all.chain([Format { long_name_max: Some(62), ..Format::default() }]).collect()
}

/// A volume that is not mounted.
pub struct Volume {
    pub scratch: Scratch,
    pub dir: PathBuf,
    pub format: Format,
    /// Where on disk each path in plaintext is.
    places: BTreeMap<String, PathBuf>,
}

impl Volume {
    pub fn with(format: Format, fill: impl FnOnce(&Path)) -> Self {
        let scratch = Scratch::new();
        let (dir, mountpoint) = (scratch.dir("cipher"), scratch.dir("mount"));
        Program::Gocryptfs.init(&scratch, &dir, &format);
        let server = Program::Gocryptfs.mount(&scratch, &dir, &mountpoint, &[]);
        fill(server.root());
        let shown = by_inode(server.root());
        server.unmount();
        let stored = by_inode(&dir);
        let place = |(inode, path): (u64, PathBuf)| {
            let plain = path.strip_prefix(&mountpoint).unwrap().to_string_lossy().into_owned();
            stored.iter().find(|(number, _)| *number == inode).map(|(_, place)| (plain, place.clone()))
        };
        let places = shown.into_iter().filter_map(place).collect();
        Volume { scratch, dir, format, places }
    }

    /// Where something is on disk.
    pub fn disk(&self, plain: &str) -> &Path {
        self.places.get(plain).unwrap_or_else(|| panic!("{plain} was made: {:?}", self.places.keys()))
    }

    pub fn has_ivs(&self) -> bool {
        self.format.names == Names::Encrypted
    }

    pub fn has_names(&self) -> bool {
        self.format.names != Names::Plaintext
    }

    /// What a program says of it: gocryptfs's lines, without what is another one's each time, and the exit code.
    pub fn fsck(&self, program: Fsck, flags: &[&str]) -> (Vec<String>, Option<i32>) {
        let output = output_of(&mut program.command(&self.scratch, flags, &self.dir));
        (lines(&output), output.status.code())
    }
}

/// Paths with their inodes, each inode under its first path.
fn by_inode(root: &Path) -> Vec<(u64, PathBuf)> {
    let mut found = Vec::new();
    let mut ahead = vec![root.to_owned()];
    while let Some(dir) = ahead.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                ahead.push(path.clone());
            }
            found.push((metadata.ino(), path));
        }
    }
    found
}

/// Whose `-fsck`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsck {
    Theirs,
    Ours,
}

impl Fsck {
    pub fn command(self, scratch: &Scratch, flags: &[&str], dir: &Path) -> Command {
        let mut command = match self {
            Fsck::Theirs => Program::Gocryptfs.command(),
            Fsck::Ours => {
                let mut command = Program::Strongroom.command();
                command.arg("gocryptfs");
                command
            }
        };
        command.arg("-fsck").args(flags);
        if !flags.iter().any(|flag| flag.starts_with("-masterkey") || *flag == "-zerokey") {
            command.arg("-passfile").arg(scratch.passphrase_file());
        }
        command.arg(dir).env("TMPDIR", scratch.path(""));
        command
    }
}

/// The lines that begin with `fsck`, sorted: each program lists entries of a directory that are corrupt in its own order,
/// and the real one reads a temporary mount that its messages name.
pub fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<_> = text.lines().filter(|line| line.starts_with("fsck")).map(without_mount).collect();
    lines.sort();
    lines
}

/// `…: read /tmp/gocryptfs.fsck.123/a: input/output error` → `…: input/output error`
fn without_mount(line: &str) -> String {
    let Some(mount) = line.find("/gocryptfs.fsck.") else { return line.to_owned() };
    let what = line[..mount].rfind("\": ").or_else(|| line[..mount].rfind("): ")).expect("what failed stands before");
    let reason = line.rfind(": ").expect("why stands at the end");
    format!("{}{}", &line[..=what], &line[reason..])
}

/// Files of all kinds, some of which will be damaged: what is called `bad…`.
pub fn fill(root: &Path) {
    let mut random = Random::seeded(7);
    for dir in ["dir", "bad-no-iv", "bad-short-iv", "bad-zero-iv", "bad-empty-no-iv", "sub", "bad-dir-name"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    let mut write = |path: &str, len: usize| fs::write(root.join(path), random.bytes(len)).unwrap();
    for path in ["good", "sub/x", "sub.a", "bad-name", "bad-dir-name/within", "stub", "bad-19", "a\"b\n\tü\u{1}\u{ad}"]
    {
        write(path, 100);
    }
    for path in ["bad-block", "bad-two-blocks", "bad-header", "bad-zero-header", "bad-zero-tail", "bad-cut", "bad-hole"]
    {
        write(path, 300_000);
    }
    for path in ["bad-no-iv/x", "bad-short-iv/x", "bad-zero-iv/x", "bad-xattrs", "bad-z-link"] {
        write(path, 5000);
    }
    for tag in LONG {
        write(&format!("dir/{}", long(tag)), 100);
    }
    fs::write(root.join("empty"), "").unwrap();
    fs::hard_link(root.join("bad-z-link"), root.join("sub/again")).unwrap();
    fs::hard_link(root.join("bad-z-link"), root.join("bad-a-link")).unwrap();
    symlink("target", root.join("dir/link")).unwrap();
    symlink("another target", root.join("dir/bad-link")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for (path, name) in [("bad-xattrs", "user.one"), ("bad-xattrs", "user.two"), ("dir", "user.dir")] {
        setxattr(root.join(path), name, b"value", XattrFlags::empty()).unwrap();
    }
    let hole = File::create(root.join("hole")).unwrap();
    hole.write_all_at(b"data", 1 << 20).unwrap();
    File::options().write(true).open(root.join("bad-hole")).unwrap().write_all_at(b"data", 4 << 20).unwrap();
}

/// Long names that are damaged, each in another way.
const LONG: [&str; 5] = ["missing", "empty", "other", "gone", "fine"];

fn long(tag: &str) -> String {
    format!("{tag}-{}", "n".repeat(200))
}

/// Damages whatever can be, in whatever way.
pub fn damage(volume: &Volume) {
    let block = if volume.format.cipher == Cipher::XChaCha { 4136 } else { 4128 };
    flip(volume.disk("bad-block"), 18 + 40 * block);
    flip(volume.disk("bad-block"), 18 + 41 * block);
    flip(volume.disk("bad-two-blocks"), 18 + 9);
    flip(volume.disk("bad-two-blocks"), 18 + 60 * block);
    flip(volume.disk("bad-header"), 0);
    flip(volume.disk("bad-z-link"), 30);
    overwrite(volume.disk("bad-zero-header"), 0, &[0; 18]);
    // The size reached the disk, the content did not.
    set_len(volume.disk("bad-zero-tail"), 18 + 5 * block);
    set_len(volume.disk("bad-zero-tail"), 18 + 5 * block + 2000);
    set_len(volume.disk("bad-cut"), 18 + 5 * block + 20);
    // A block of zeros is a hole, and a part of one is not.
    overwrite(volume.disk("bad-hole"), 18 + block, &[0; 1000]);
    set_len(volume.disk("stub"), 18);
    set_len(volume.disk("bad-19"), 19);
    damage_xattrs(volume);
    if volume.has_names() {
        damage_names(volume);
    }
    if volume.has_ivs() {
        damage_ivs(volume);
    }
    fs::write(volume.dir.join("gocryptfs.conf.tmp"), "{}").unwrap();
    fs::write(volume.disk("dir").join("gocryptfs.diriv.rmdir.123"), [1; 16]).unwrap();
}

fn damage_xattrs(volume: &Volume) {
    for path in ["bad-xattrs", "dir"] {
        let disk = volume.disk(path);
        let mut names = [0; 4096];
        let len = listxattr(disk, &mut names).unwrap();
        for name in names[..len].split(|byte| *byte == 0).filter(|name| name.starts_with(b"user.gocryptfs.")) {
            let mut value = [0; 4096];
            let len = getxattr(disk, name, &mut value).unwrap();
            value[len - 1] ^= 1;
            setxattr(disk, name, &value[..len], XattrFlags::empty()).unwrap();
        }
    }
    setxattr(volume.disk("bad-xattrs"), "user.gocryptfs.!!!!", b"value", XattrFlags::empty()).unwrap();
}

fn damage_names(volume: &Volume) {
    let garbled = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        path.with_file_name(format!("AAAA{}", &name[4..]))
    };
    fs::rename(volume.disk("bad-name"), garbled(volume.disk("bad-name"))).unwrap();
    fs::rename(volume.disk("bad-dir-name"), volume.dir.join("!!!!")).unwrap();
    let link = volume.disk("dir/bad-link");
    let target = fs::read_link(link).unwrap().to_str().unwrap().to_owned();
    fs::remove_file(link).unwrap();
    symlink(format!("{}{}", if target.starts_with('A') { 'B' } else { 'A' }, &target[1..]), link).unwrap();
    let name_file = |tag: &str| {
        let mut path = volume.disk(&format!("dir/{}", long(tag))).to_owned().into_os_string();
        path.push(".name");
        PathBuf::from(path)
    };
    fs::remove_file(name_file("missing")).unwrap();
    set_len(&name_file("empty"), 0);
    // Listed by a name that nothing is found by.
    let gone = fs::read(name_file("gone")).unwrap();
    writable(&name_file("other"));
    fs::write(name_file("other"), gone).unwrap();
    fs::remove_file(volume.disk(&format!("dir/{}", long("gone")))).unwrap();
}

fn damage_ivs(volume: &Volume) {
    let iv = |dir: &str| volume.disk(dir).join("gocryptfs.diriv");
    fs::remove_file(iv("bad-no-iv")).unwrap();
    fs::remove_file(iv("bad-empty-no-iv")).unwrap();
    overwrite(&iv("bad-short-iv"), 16, b"x");
    overwrite(&iv("bad-zero-iv"), 0, &[0; 16]);
}

/// Changes a bit.
pub fn flip(path: &Path, at: u64) {
    let file = writable(path);
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

fn overwrite(path: &Path, at: u64, content: &[u8]) {
    writable(path).write_all_at(content, at).unwrap();
}

pub fn set_len(path: &Path, len: u64) {
    writable(path).set_len(len).unwrap();
}

fn writable(path: &Path) -> File {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    let file = File::options().read(true).write(true).open(path);
    file.unwrap_or_else(|error| panic!("{}: {error}", String::from_utf8_lossy(path.as_os_str().as_bytes())))
}
