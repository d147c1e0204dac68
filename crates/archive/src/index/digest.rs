//! SHA-256 over what records say of a tree: equal trees have equal hashes, whatever archives hold their bytes.

use strongroom_crypto::Sha256;
use strongroom_tree::Kind;

use super::Record;

/// A hash over records in the order of the index.
#[derive(Clone, Default)]
pub struct Digest(Sha256);

impl Digest {
    /// Takes in a record: docs/ARCHIVE.md, "Metadata". All numbers are big-endian; whatever has no fixed length stands
    /// after its length.
    pub fn add(&mut self, record: &Record) {
        let mut bytes = Vec::with_capacity(256);
        let meta = &record.entry.meta;
        put(&mut bytes, record.entry.path.as_bytes());
        bytes.push(letter(&record.entry.kind));
        match &record.entry.kind {
            Kind::File { len } => {
                bytes.extend_from_slice(&len.to_be_bytes());
                bytes.extend_from_slice(&record.sha256.unwrap_or_default());
            }
            Kind::Link { to } => put(&mut bytes, to.as_bytes()),
            Kind::Symlink { target } => put(&mut bytes, target),
            Kind::CharDevice { rdev } | Kind::BlockDevice { rdev } => bytes.extend_from_slice(&rdev.to_be_bytes()),
            Kind::Directory | Kind::Fifo | Kind::Socket => {}
        }
        for number in [meta.mode, meta.uid, meta.gid] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        put(&mut bytes, meta.user.as_deref().unwrap_or_default().as_bytes());
        put(&mut bytes, meta.group.as_deref().unwrap_or_default().as_bytes());
        bytes.extend_from_slice(&meta.mtime.seconds.to_be_bytes());
        bytes.extend_from_slice(&meta.mtime.nanoseconds.to_be_bytes());
        bytes.extend_from_slice(&(meta.xattrs.len() as u64).to_be_bytes());
        for xattr in &meta.xattrs {
            put(&mut bytes, &xattr.name);
            put(&mut bytes, &xattr.value);
        }
        self.0.update(&bytes);
    }

    /// The hash of all records taken in.
    pub fn finish(self) -> [u8; 32] {
        self.0.finish()
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn letter(kind: &Kind) -> u8 {
    match kind {
        Kind::Directory => b'd',
        Kind::File { .. } => b'f',
        Kind::Link { .. } => b'h',
        Kind::Symlink { .. } => b'l',
        Kind::Fifo => b'p',
        Kind::Socket => b's',
        Kind::CharDevice { .. } => b'c',
        Kind::BlockDevice { .. } => b'b',
    }
}
