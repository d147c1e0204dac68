//! One of each kind that was seen, made in the vault, looked at, and removed: what a vault holds is not guessed.

use std::{io, ops::Range};

use strongroom_tree::{Content, Entry, Filter, Kind, Look, Meta, RelPath, Replica, Stamp, Timestamp, TreeError, Xattr};

use super::{
    Refusal,
    tally::{CAPABILITY, Kinds, LONGEST_TARGET},
};

/// Where it is tried. Whatever is there is left from an earlier try.
const PLACE: &[u8] = b".strongroom-probe";
/// A time that no clock gives by chance: before 1970, with all nanoseconds.
const LONG_AGO: Timestamp = Timestamp { seconds: -86_400, nanoseconds: 123_456_789 };
const SHORT_NAME: usize = 100;
const CONTENT: &[u8] = b"what a file holds";

/// Makes one of each kind in `kinds` under a hidden name of `replica`, reads it back, and removes it. Gives what is not as
/// it was made. Attributes for which `is_dropped` says so are left out.
pub fn probe(
    replica: &dyn Replica,
    kinds: &Kinds,
    is_dropped: &dyn Fn(&[u8]) -> bool,
) -> Result<Vec<Refusal>, TreeError> {
    let place = RelPath::parse(PLACE).expect("a plain name");
    replica.remove(&place)?;
    let tried = try_all(replica, &place, kinds, is_dropped);
    replica.remove(&place)?;
    replica.sync()?;
    tried
}

fn try_all(
    replica: &dyn Replica,
    place: &RelPath,
    kinds: &Kinds,
    is_dropped: &dyn Fn(&[u8]) -> bool,
) -> Result<Vec<Refusal>, TreeError> {
    replica.put(&entry(place.clone(), Kind::Directory, 0o700, Vec::new()), None)?;
    let mut refusals = Vec::new();
    let mut made = Vec::new();
    for (what, entry) in trials(place, kinds, is_dropped) {
        let mut content = Bytes(CONTENT);
        let is_file = matches!(entry.kind, Kind::File { .. });
        // A directory is given what it is to have when everything is in it.
        let dressed = || if entry.is_dir() { replica.dress(&entry) } else { Ok(()) };
        match replica.put(&entry, is_file.then_some(&mut content as &mut dyn Content)).and_then(|()| dressed()) {
            Ok(()) => made.push((what, entry)),
            Err(error) if error.is_full() => return Err(error),
            Err(error) => refusals.push(Refusal::NotKept { what, why: error.source.to_string() }),
        }
    }
    replica.sync()?;
    let filter = Filter::everything().only([place.clone()]);
    let found = replica.entries(&filter).collect::<Result<Vec<_>, _>>()?;
    for (what, entry) in made {
        let back = found.iter().find(|found| found.path == entry.path);
        refusals.extend(difference(&entry, back).map(|why| Refusal::NotKept { what, why }));
    }
    refusals.extend(unread(replica, place)?);
    Ok(refusals)
}

/// The content of the file that is tried is read back.
fn unread(replica: &dyn Replica, place: &RelPath) -> Result<Option<Refusal>, TreeError> {
    let path = place.join(b"file").expect("a plain name");
    let mut read = vec![0; CONTENT.len() + 1];
    let len = replica.open(&path)?.read_at(0, &mut read).map_err(TreeError::on("reading", &path))?;
    let is_right = &read[..len] == CONTENT;
    let refusal = Refusal::NotKept { what: "a file".into(), why: "it reads back as something else".into() };
    Ok((!is_right).then_some(refusal))
}

/// What is tried, and how it is called.
fn trials(place: &RelPath, kinds: &Kinds, is_dropped: &dyn Fn(&[u8]) -> bool) -> Vec<(String, Entry)> {
    let mut trials = Trials { place, found: Vec::new() };
    let file = || Kind::File { len: CONTENT.len() as u64 };
    trials.add("a file", b"file", file(), 0o640);
    if kinds.links {
        let to = place.join(b"file").expect("a plain name");
        trials.add("a hard link", b"link", Kind::Link { to }, 0o640);
    }
    if kinds.set_id {
        trials.add("set-id bits", b"set-id", file(), 0o6755);
    }
    // A short one is nothing to try, and might be one of those above.
    if kinds.longest_name.len() > SHORT_NAME {
        let what = format!("a name of {} bytes", kinds.longest_name.len());
        let name = kinds.longest_name.clone();
        trials.add(&what, &name, file(), 0o600);
    }
    // Longer ones have a refusal by name already.
    if kinds.longest_target > 0 && kinds.longest_target as u64 <= LONGEST_TARGET {
        let what = format!("a symbolic link to a path of {} bytes", kinds.longest_target);
        trials.add(&what, b"symlink", Kind::Symlink { target: vec![b't'; kinds.longest_target] }, 0o777);
    }
    if kinds.fifos {
        trials.add("a named pipe", b"fifo", Kind::Fifo, 0o600);
    }
    if let Some(rdev) = kinds.char_device {
        trials.add("a character device", b"char", Kind::CharDevice { rdev }, 0o600);
    }
    if let Some(rdev) = kinds.block_device {
        trials.add("a block device", b"block", Kind::BlockDevice { rdev }, 0o600);
    }
    trials.add_xattrs(kinds, is_dropped);
    trials.found
}

struct Trials<'a> {
    place: &'a RelPath,
    found: Vec<(String, Entry)>,
}

impl Trials<'_> {
    fn add(&mut self, what: &str, name: &[u8], kind: Kind, mode: u32) {
        let path = self.place.join(name).expect("a name that was seen, or is plain");
        self.found.push((what.to_owned(), entry(path, kind, mode, Vec::new())));
    }

    fn add_xattrs(&mut self, kinds: &Kinds, is_dropped: &dyn Fn(&[u8]) -> bool) {
        let singles = kinds.xattr_names.iter().map(|((file_type, name), sample)| {
            let name = strongroom_event::PathText(name);
            let len = sample.xattrs.first().map_or(0, |xattr| xattr.value.len());
            (*file_type, format!("the extended attribute {name}, with {len} bytes"), sample)
        });
        let all = kinds.largest_xattrs.iter().map(|(file_type, sample)| {
            (*file_type, format!("{} extended attributes of one file together", sample.xattrs.len()), sample)
        });
        for (n, (file_type, what, sample)) in singles.chain(all).enumerate() {
            let is_kept = |xattr: &&Xattr| !is_dropped(&xattr.name);
            let mut xattrs: Vec<_> = sample.xattrs.iter().filter(is_kept).cloned().collect();
            if xattrs.is_empty() {
                continue;
            }
            xattrs.sort();
            let path = self.place.join(format!("xattr-{n}").as_bytes()).expect("a plain name");
            let kind = match file_type {
                libc::S_IFDIR => Kind::Directory,
                _ => Kind::File { len: CONTENT.len() as u64 },
            };
            self.found.push((what, entry(path, kind, mode_of(&xattrs), xattrs)));
        }
    }
}

/// The mode that an access list is equal to: bits of its mask are those of the group.
fn mode_of(xattrs: &[Xattr]) -> u32 {
    let Some(list) = xattrs.iter().find(|xattr| xattr.name == b"system.posix_acl_access") else { return 0o700 };
    let entries = list.value.get(4..).unwrap_or_default().chunks_exact(8);
    let permissions = |wanted: u16| {
        let of = |entry: &[u8]| (u16::from_le_bytes([entry[0], entry[1]]), u32::from(entry[2] & 7));
        entries.clone().map(of).find(|(tag, _)| *tag == wanted).map(|(_, bits)| bits)
    };
    let (owner, group, mask, other) = (permissions(0x01), permissions(0x04), permissions(0x10), permissions(0x20));
    owner.unwrap_or(7) << 6 | mask.or(group).unwrap_or(0) << 3 | other.unwrap_or(0)
}

fn entry(path: RelPath, kind: Kind, mode: u32, xattrs: Vec<Xattr>) -> Entry {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let meta = Meta { mode, uid, gid, user: None, group: None, mtime: LONG_AGO, xattrs };
    Entry { path, kind, meta, stamp: Stamp::default() }
}

/// What is different in what was read back.
fn difference(made: &Entry, back: Option<&Entry>) -> Option<String> {
    let Some(back) = back else { return Some("it is not there when it is looked for".into()) };
    let lost = |xattr: &&Xattr| !back.meta.xattrs.contains(xattr);
    if let Some(xattr) = made.meta.xattrs.iter().find(lost) {
        // Only a mount with set-id shows capabilities; the vault's own tree does.
        let note = if xattr.name == CAPABILITY { " (capabilities)" } else { "" };
        return Some(format!("{} reads back as something else{note}", strongroom_event::PathText(&xattr.name)));
    }
    match &made.kind {
        // Which of two names is the first is not theirs to keep.
        Kind::Link { .. } => return None,
        kind if *kind != back.kind && !matches!(back.kind, Kind::Link { .. }) => {
            return Some("it is of another kind when it is read back".into());
        }
        _ => {}
    }
    if made.kind != Kind::Directory && made.meta.mtime != back.meta.mtime {
        return Some("its time is another when it is read back".into());
    }
    let is_symlink = matches!(made.kind, Kind::Symlink { .. });
    let is_linked = matches!(back.kind, Kind::Link { .. });
    (!is_symlink && !is_linked && made.meta.mode != back.meta.mode)
        .then(|| format!("its permissions {:o} read back as {:o}", made.meta.mode, back.meta.mode))
}

/// A file in memory.
struct Bytes(&'static [u8]);

impl Content for Bytes {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(out.len());
        out[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn data_from(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        let len = self.0.len() as u64;
        Ok((from < len).then_some(from..len))
    }

    fn look(&mut self) -> io::Result<Look> {
        Ok(Look { len: self.0.len() as u64, mtime: LONG_AGO, stamp: Stamp::default() })
    }
}
