//! Headers of members, written.

use std::borrow::Cow;

use strongroom_tree::Meta;

use super::{
    acl,
    block::{self, BLOCK, Field},
    padding,
    sparse::Map,
    time,
};

/// What a member is.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// A directory.
    Directory,
    /// A regular file whose bytes follow the header.
    File {
        /// How many.
        len: u64,
    },
    /// A regular file with holes: map and data follow the header.
    Sparse(&'a Map),
    /// Another name of the member `to`.
    Link {
        /// The name of a member before this one.
        to: &'a [u8],
    },
    /// A symbolic link.
    Symlink {
        /// Where it points.
        target: &'a [u8],
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// Device number as stat(2) encodes it.
        rdev: u64,
    },
    /// A block device.
    BlockDevice {
        /// Device number as stat(2) encodes it.
        rdev: u64,
    },
}

/// Owner and group that stand in the ustar header when the true number does not fit: nobody. Whoever does not read the
/// extended header that has the true one gives nothing away by it.
const NOBODY: u64 = 65534;

/// Appends all headers of the member `name`, and of a sparse file its map. What follows is the data, then
/// [`padding`] zeros.
pub fn encode(name: &[u8], what: What<'_>, meta: &Meta, out: &mut Vec<u8>) {
    let mut member = Member { block: [0; BLOCK], records: Records::default(), long: Vec::new() };
    let map = if let What::Sparse(map) = what { map.encode() } else { Vec::new() };
    member.put_what(what, map.len());
    let stored_name = match what {
        What::Sparse(map) => member.put_sparse(name, map),
        What::Directory => Cow::Owned([name, b"/"].concat()),
        _ => Cow::Borrowed(name),
    };
    member.put_name(&stored_name);
    member.put_meta(meta);
    member.finish(name, out);
    out.extend_from_slice(&map);
}

struct Member {
    block: [u8; BLOCK],
    records: Records,
    /// GNU long name members, whole.
    long: Vec<u8>,
}

impl Member {
    fn put_what(&mut self, what: What<'_>, map_len: usize) {
        let (letter, size) = match what {
            What::Directory => (b'5', 0),
            What::File { len } => (b'0', len),
            What::Sparse(map) => (b'0', map_len as u64 + map.data_len()),
            What::Link { .. } => (b'1', 0),
            What::Symlink { .. } => (b'2', 0),
            What::Fifo => (b'6', 0),
            What::CharDevice { .. } => (b'3', 0),
            What::BlockDevice { .. } => (b'4', 0),
        };
        self.block[block::TYPE] = letter;
        self.put_number(block::SIZE, "size", size, 0);
        match what {
            What::Link { to } => self.put_link(to),
            What::Symlink { target } => self.put_link(target),
            What::CharDevice { rdev } | What::BlockDevice { rdev } => {
                self.put_number(block::DEV_MAJOR, "SCHILY.devmajor", rustix::fs::major(rdev).into(), 0);
                self.put_number(block::DEV_MINOR, "SCHILY.devminor", rustix::fs::minor(rdev).into(), 0);
            }
            _ => {}
        }
    }

    /// Says that the member has holes, and gives the name for the ustar header: one that readers without the format do
    /// not take for the file.
    fn put_sparse<'n>(&mut self, name: &'n [u8], map: &Map) -> Cow<'n, [u8]> {
        self.records.put(b"GNU.sparse.major", b"1");
        self.records.put(b"GNU.sparse.minor", b"0");
        self.records.put(b"GNU.sparse.realsize", map.len().to_string().as_bytes());
        if str::from_utf8(name).is_err() {
            return Cow::Borrowed(name);
        }
        self.records.put(b"GNU.sparse.name", name);
        let last = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let stand_in = [b"GNUSparseFile.0/", last].concat();
        Cow::Owned(stand_in[..stand_in.len().min(block::NAME.len)].to_vec())
    }

    fn put_name(&mut self, name: &[u8]) {
        if let Some((prefix, rest)) = split(name) {
            block::PREFIX.put_text(&mut self.block, prefix);
            block::NAME.put_text(&mut self.block, rest);
            return;
        }
        block::NAME.put_text(&mut self.block, &name[..block::NAME.len]);
        match str::from_utf8(name) {
            Ok(_) => self.records.put(b"path", name),
            Err(_) => put_long(b'L', name, &mut self.long),
        }
    }

    fn put_link(&mut self, to: &[u8]) {
        if to.len() <= block::LINK.len {
            return block::LINK.put_text(&mut self.block, to);
        }
        block::LINK.put_text(&mut self.block, &to[..block::LINK.len]);
        match str::from_utf8(to) {
            Ok(_) => self.records.put(b"linkpath", to),
            Err(_) => put_long(b'K', to, &mut self.long),
        }
    }

    fn put_meta(&mut self, meta: &Meta) {
        block::MODE.put_octal(&mut self.block, u64::from(meta.mode & 0o7777));
        self.put_number(block::UID, "uid", meta.uid.into(), NOBODY);
        self.put_number(block::GID, "gid", meta.gid.into(), NOBODY);
        self.put_owner(block::USER, "uname", meta.user.as_deref());
        self.put_owner(block::GROUP, "gname", meta.group.as_deref());
        let mtime = meta.mtime;
        let whole = u64::try_from(mtime.seconds).unwrap_or(0).min(block::MTIME.max());
        block::MTIME.put_octal(&mut self.block, whole);
        if mtime.nanoseconds != 0 || i64::try_from(whole) != Ok(mtime.seconds) {
            self.records.put(b"mtime", time::text(mtime).as_bytes());
        }
        for xattr in &meta.xattrs {
            self.put_xattr(&xattr.name, &xattr.value);
        }
    }

    fn put_xattr(&mut self, name: &[u8], value: &[u8]) {
        let key: &[u8] = match name {
            acl::ACCESS => b"SCHILY.acl.access",
            acl::DEFAULT => b"SCHILY.acl.default",
            _ => b"",
        };
        if !key.is_empty()
            && let Some(text) = acl::text(value)
        {
            return self.records.put(key, text.as_bytes());
        }
        self.records.put(&xattr_key(name), value);
    }

    fn put_number(&mut self, field: Field, key: &str, value: u64, instead: u64) {
        if value <= field.max() {
            return field.put_octal(&mut self.block, value);
        }
        field.put_octal(&mut self.block, instead);
        self.records.put(key.as_bytes(), value.to_string().as_bytes());
    }

    fn put_owner(&mut self, field: Field, key: &str, name: Option<&str>) {
        let Some(name) = name else { return };
        // One byte less than the field: some readers want the NUL.
        if name.len() < field.len {
            return field.put_text(&mut self.block, name.as_bytes());
        }
        self.records.put(key.as_bytes(), name.as_bytes());
    }

    fn finish(mut self, name: &[u8], out: &mut Vec<u8>) {
        block::MAGIC.put_text(&mut self.block, block::USTAR);
        block::seal(&mut self.block);
        out.extend_from_slice(&self.long);
        if !self.records.0.is_empty() {
            let last = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            let own_name = [b"PaxHeaders/", last].concat();
            let own_name = &own_name[..own_name.len().min(block::NAME.len)];
            put_special(b'x', own_name, &self.records.0, out);
        }
        out.extend_from_slice(&self.block);
    }
}

/// The records of an extended header.
#[derive(Default)]
struct Records(Vec<u8>);

impl Records {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        // The length counts its own digits.
        let rest = key.len() + value.len() + 3;
        let mut len = rest + 1;
        while len != rest + len.to_string().len() {
            len = rest + len.to_string().len();
        }
        self.0.extend_from_slice(len.to_string().as_bytes());
        self.0.push(b' ');
        self.0.extend_from_slice(key);
        self.0.push(b'=');
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
    }
}

/// As GNU tar writes the name of an attribute, in which `=` would end the key.
pub fn xattr_key(name: &[u8]) -> Vec<u8> {
    let mut key = b"SCHILY.xattr.".to_vec();
    for &byte in name {
        match byte {
            b'%' => key.extend_from_slice(b"%25"),
            b'=' => key.extend_from_slice(b"%3D"),
            _ => key.push(byte),
        }
    }
    key
}

/// A name in the two fields of ustar, if it fits: prefix, slash, the rest.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= block::NAME.len {
        return Some((b"", name));
    }
    let latest = name.len().min(block::PREFIX.len + 1);
    // A slash at the very end belongs to the name of a directory.
    let cut = name[..latest.min(name.len() - 1)].iter().rposition(|&byte| byte == b'/')?;
    let (prefix, rest) = (&name[..cut], &name[cut + 1..]);
    (!prefix.is_empty() && rest.len() <= block::NAME.len).then_some((prefix, rest))
}

/// A GNU member whose data is a name for the member that follows.
fn put_long(letter: u8, name: &[u8], out: &mut Vec<u8>) {
    put_special(letter, b"././@LongLink", &[name, b"\0"].concat(), out);
}

fn put_special(letter: u8, name: &[u8], data: &[u8], out: &mut Vec<u8>) {
    let mut header = [0; BLOCK];
    block::NAME.put_text(&mut header, name);
    block::MODE.put_octal(&mut header, 0o644);
    for field in [block::UID, block::GID, block::MTIME] {
        field.put_octal(&mut header, 0);
    }
    block::SIZE.put_octal(&mut header, data.len() as u64);
    header[block::TYPE] = letter;
    block::MAGIC.put_text(&mut header, block::USTAR);
    block::seal(&mut header);
    out.extend_from_slice(&header);
    out.extend_from_slice(data);
    out.resize(out.len() + padding(data.len() as u64), 0);
}
