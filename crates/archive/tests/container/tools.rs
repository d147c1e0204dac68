use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
};

use strongroom_archive::Algorithm;

use crate::made::{Made, make, noise};

/// Runs a shell command in a directory; it must succeed and say nothing.
fn quietly(dir: &Path, command: &str) {
    let shell = Command::new("sh").current_dir(dir).args(["-c", command]).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&shell.stderr);
    assert!(shell.status.success() && said.is_empty(), "{command}: {}: {said}", shell.status);
}

/// A tree, what tar makes of it, and a container of that in several frames with an index of several blocks.
fn archive_of_a_tree(dir: &Path, algorithm: Algorithm, index_len: usize) -> Made {
    let tree = dir.join("tree");
    if !tree.exists() {
        fs::create_dir_all(tree.join("sub")).unwrap();
        fs::write(tree.join("words"), b"words and ".repeat(40_000)).unwrap();
        fs::write(tree.join("sub/noise"), noise(300_000)).unwrap();
        fs::write(tree.join("sub/empty"), b"").unwrap();
    }
    // Cut exactly behind the two blocks of zeros, as our writer does: tar itself would fill up to 10,240.
    quietly(dir, "tar --blocking-factor=1 -cf made.tar tree");
    let tar = fs::read(dir.join("made.tar")).unwrap();
    let made = make(algorithm, None, tar.chunks(100_000).map(<[u8]>::to_vec).collect(), noise(index_len));
    fs::write(dir.join(format!("x{}", algorithm.suffix())), &made.bytes).unwrap();
    made
}

/// The command must unpack into `out`, quietly, what `tree` is.
fn unpacks(dir: &Path, command: &str) {
    let out = dir.join("out");
    if out.exists() {
        fs::remove_dir_all(&out).unwrap();
    }
    fs::create_dir(&out).unwrap();
    quietly(dir, command);
    quietly(dir, "diff -r tree out/tree");
}

#[test]
fn zstd_and_tar_read_a_plain_archive() {
    for index_len in [0, 100, 3 << 20] {
        let dir = tempfile::tempdir().unwrap();
        archive_of_a_tree(dir.path(), Algorithm::Zstd, index_len);
        quietly(dir.path(), "zstd -q -t x.tar.zst");
        quietly(dir.path(), "zstd -q -d x.tar.zst -o again.tar && cmp made.tar again.tar");
        unpacks(dir.path(), "zstd -d < x.tar.zst | tar -x -C out");
        unpacks(dir.path(), "tar -xf x.tar.zst -C out");
        unpacks(dir.path(), "bsdtar -xf x.tar.zst -C out");
    }
}

#[test]
fn gzip_and_tar_read_a_plain_archive() {
    for index_len in [0, 100, 65_531, 3 << 20] {
        let dir = tempfile::tempdir().unwrap();
        archive_of_a_tree(dir.path(), Algorithm::Gzip, index_len);
        quietly(dir.path(), "gzip -t x.tar.gz");
        quietly(dir.path(), "gzip -dc x.tar.gz | cmp - made.tar");
        quietly(dir.path(), "zcat x.tar.gz | cmp - made.tar");
        quietly(dir.path(), "python3 -c 'import gzip; gzip.open(\"x.tar.gz\").read()'");
        unpacks(dir.path(), "tar -xzf x.tar.gz -C out");
        unpacks(dir.path(), "bsdtar -xf x.tar.gz -C out");
    }
}

#[test]
fn lz4_and_tar_read_a_plain_archive() {
    for index_len in [0, 100, 3 << 20] {
        let dir = tempfile::tempdir().unwrap();
        archive_of_a_tree(dir.path(), Algorithm::Lz4, index_len);
        quietly(dir.path(), "lz4 -q -t x.tar.lz4");
        quietly(dir.path(), "lz4 -q -d x.tar.lz4 again.tar && cmp made.tar again.tar");
        unpacks(dir.path(), "lz4 -d < x.tar.lz4 | tar -x -C out");
        unpacks(dir.path(), "lz4 -dc x.tar.lz4 | bsdtar -xf - -C out");
    }
}

#[test]
fn tar_alone_reads_an_uncompressed_archive() {
    for index_len in [0, 100, 9000, 10_240, 3 << 20] {
        let dir = tempfile::tempdir().unwrap();
        let made = archive_of_a_tree(dir.path(), Algorithm::None, index_len);
        assert!(made.bytes.starts_with(&fs::read(dir.path().join("made.tar")).unwrap()));
        quietly(dir.path(), "tar -tf x.tar > listed && tar -tf made.tar | cmp - listed");
        quietly(dir.path(), "bsdtar -tf x.tar > /dev/null");
        unpacks(dir.path(), "tar -xf x.tar -C out");
        unpacks(dir.path(), "bsdtar -xf x.tar -C out");
        let input = File::open(dir.path().join("x.tar")).unwrap();
        let tar = Command::new("tar").args(["-t", "--blocking-factor=7"]).stdin(input).output().unwrap();
        assert!(tar.status.success() && tar.stderr.is_empty(), "{}", String::from_utf8_lossy(&tar.stderr));
    }
}
