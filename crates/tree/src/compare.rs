//! In what two trees differ.

use std::{
    cmp::Ordering,
    io,
    iter::Peekable,
    ops::Range,
    sync::{Mutex, MutexGuard},
};

use strongroom_event::{Event, Observer};

use crate::crew::{HandOut, crew};
use crate::{Content, Difference, Entry, Filter, Kind, Look, RelPath, Side, Source, TreeError, What, Xattr};
use crate::{digest::is_zero, manifest::is_same_stamp};

/// What is compared of two trees. Kinds, names, targets and links always are.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// Every byte of every file; else their lengths only.
    pub content: bool,
    /// Permissions.
    pub modes: bool,
    /// User and group, by number.
    pub owners: bool,
    /// Time of the last change of the content, to the nanosecond.
    pub times: bool,
    /// Extended attributes, ACLs and capabilities among them.
    pub xattrs: bool,
    /// Whether a file has holes at all: a file system may place them differently.
    pub holes: bool,
    /// Reads the holes of the first too, rather than believing that they are.
    pub plainly: bool,
    /// Files compared at once.
    pub workers: usize,
    /// Differences after which it stops.
    pub most: usize,
}

impl Default for Comparison {
    /// All but holes.
    fn default() -> Self {
        Self {
            content: true,
            modes: true,
            owners: true,
            times: true,
            xattrs: true,
            holes: false,
            plainly: false,
            workers: 2,
            most: 10_000,
        }
    }
}

/// All that the two trees, as far as it passes `filter`, do not have in common, by path.
///
/// Both are walked side by side, so that the whole of neither is kept.
pub fn compare(
    first: &dyn Source,
    second: &dyn Source,
    filter: &Filter,
    comparison: &Comparison,
    observer: &dyn Observer,
) -> Vec<Difference> {
    let wanted = Wanted { content_of: &|_| true, notes_still: false };
    run(first, second, filter, comparison, wanted, observer).differences
}

/// What a comparison found.
#[derive(Debug, Default)]
pub struct Compared {
    /// In what the trees differ, by path.
    pub differences: Vec<Difference>,
    /// Files whose content was read on both sides and is the same, and that looked the same before and after, as the first
    /// had them: for [`Manifest::settle`](crate::Manifest::settle).
    pub still: Vec<(RelPath, Look)>,
    /// Files whose content was read.
    pub read: u64,
}

/// Like [`compare`], but reads the content only of those files of the first tree for which `content_of` says so.
pub fn compare_where(
    first: &dyn Source,
    second: &dyn Source,
    filter: &Filter,
    comparison: &Comparison,
    content_of: &(dyn Fn(&Entry) -> bool + Sync),
    observer: &dyn Observer,
) -> Compared {
    run(first, second, filter, comparison, Wanted { content_of, notes_still: true }, observer)
}

/// What is wanted of a comparison.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    /// Whether the content of a file is to be read.
    content_of: &'a (dyn Fn(&Entry) -> bool + Sync),
    /// Whether it is to be told what stood still.
    notes_still: bool,
}

fn run(
    first: &dyn Source,
    second: &dyn Source,
    filter: &Filter,
    comparison: &Comparison,
    wanted: Wanted<'_>,
    observer: &dyn Observer,
) -> Compared {
    let compare = Compare { first, second, comparison, wanted, observer, found: Mutex::default() };
    let buffers = || [vec![0; PIECE], vec![0; PIECE]];
    crew(
        comparison.workers,
        buffers,
        |buffers, path| compare.work(&path, buffers),
        |files| compare.walk(filter, files),
    );
    let mut found = compare.found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    // The workers found theirs when they came to them.
    found.differences.sort_by(|a, b| a.path.cmp(&b.path));
    found.differences.truncate(comparison.most);
    found
}

struct Compare<'a> {
    first: &'a dyn Source,
    second: &'a dyn Source,
    comparison: &'a Comparison,
    wanted: Wanted<'a>,
    observer: &'a dyn Observer,
    found: Mutex<Compared>,
}

type Walk<'a> = Peekable<Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a>>;

impl Compare<'_> {
    fn walk(&self, filter: &Filter, files: &mut HandOut<RelPath>) {
        let mut first = self.first.entries(filter).peekable();
        let mut second = self.second.entries(filter).peekable();
        let (mut hidden_in_first, mut hidden_in_second) = (Hidden::default(), Hidden::default());
        while !self.has_enough() {
            self.pass_errors(&mut first, Side::First, &mut hidden_in_first);
            self.pass_errors(&mut second, Side::Second, &mut hidden_in_second);
            let order = match (first.peek(), second.peek()) {
                (Some(Ok(first)), Some(Ok(second))) => first.path.cmp(&second.path),
                (Some(_), _) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return,
            };
            let of_first = if order.is_le() { first.next().and_then(Result::ok) } else { None };
            let of_second = if order.is_ge() { second.next().and_then(Result::ok) } else { None };
            match (of_first, of_second) {
                (Some(first), Some(second)) => self.both(&first, &second, files),
                (Some(entry), None) if !hidden_in_second.has(&entry.path) => {
                    self.tell(&entry.path, What::OnlyIn(Side::First));
                }
                (None, Some(entry)) if !hidden_in_first.has(&entry.path) => {
                    self.tell(&entry.path, What::OnlyIn(Side::Second));
                }
                _ => {}
            }
        }
    }

    fn both(&self, first: &Entry, second: &Entry, files: &mut HandOut<RelPath>) {
        if self.entries(first, second) {
            files.add(first.path.clone(), first.len());
        }
    }

    /// Tells of what cannot be read next.
    fn pass_errors(&self, walk: &mut Walk<'_>, side: Side, hidden: &mut Hidden) {
        while let Some(Err(error)) = walk.next_if(Result::is_err) {
            self.tell(&error.path, What::Unreadable(side, error.source.to_string()));
            hidden.0.push(error.path);
        }
    }

    /// Compares all but content. Whether that is worth comparing too.
    fn entries(&self, first: &Entry, second: &Entry) -> bool {
        let path = &first.path;
        match (&first.kind, &second.kind) {
            // The rest is that of the first name.
            (Kind::Link { to: a }, Kind::Link { to: b }) => {
                if a != b {
                    self.tell(path, What::Links);
                }
                return false;
            }
            (Kind::Link { .. }, _) | (_, Kind::Link { .. }) => {
                self.tell(path, What::Links);
                return false;
            }
            (Kind::File { len: a }, Kind::File { len: b }) if a != b => self.tell(path, What::Length(*a, *b)),
            (Kind::File { .. }, Kind::File { .. }) => {
                self.metas(first, second);
                let is_read = self.comparison.content && (self.wanted.content_of)(first);
                if !is_read && !self.comparison.holes {
                    self.done(path);
                }
                return is_read || self.comparison.holes;
            }
            (Kind::Symlink { target: a }, Kind::Symlink { target: b }) if a != b => self.tell(path, What::Target),
            (Kind::CharDevice { rdev: a }, Kind::CharDevice { rdev: b })
            | (Kind::BlockDevice { rdev: a }, Kind::BlockDevice { rdev: b })
                if a != b =>
            {
                self.tell(path, What::Device);
            }
            (a, b) if std::mem::discriminant(a) != std::mem::discriminant(b) => {
                self.tell(path, What::Kind);
                return false;
            }
            _ => {}
        }
        self.metas(first, second);
        false
    }

    fn metas(&self, first: &Entry, second: &Entry) {
        let (path, a, b) = (&first.path, &first.meta, &second.meta);
        let comparison = self.comparison;
        // Those of a symbolic link mean nothing, and cannot be set.
        let has_mode = !matches!(first.kind, Kind::Symlink { .. });
        if comparison.modes && has_mode && a.mode != b.mode {
            self.tell(path, What::Mode(a.mode, b.mode));
        }
        if comparison.owners && (a.uid, a.gid) != (b.uid, b.gid) {
            self.tell(path, What::Owner((a.uid, a.gid), (b.uid, b.gid)));
        }
        if comparison.times && a.mtime != b.mtime {
            self.tell(path, What::Time(a.mtime, b.mtime));
        }
        if comparison.xattrs {
            for name in differing(&a.xattrs, &b.xattrs) {
                self.tell(path, What::Xattr(name));
            }
        }
        if !matches!(first.kind, Kind::File { .. }) {
            self.done(path);
        }
    }

    fn work(&self, path: &RelPath, buffers: &mut [Vec<u8>; 2]) {
        if !self.has_enough() {
            self.contents(path, buffers);
            self.done(path);
        }
    }

    fn contents(&self, path: &RelPath, buffers: &mut [Vec<u8>; 2]) {
        match self.open_both(path).and_then(|(first, second)| self.opened(path, first, second, buffers)) {
            Ok(None) => {}
            Ok(Some(what)) => self.tell(path, what),
            Err((side, error)) => self.tell(path, What::Unreadable(side, error.to_string())),
        }
    }

    #[allow(clippy::type_complexity)]
    fn open_both(&self, path: &RelPath) -> Result<(Box<dyn Content + '_>, Box<dyn Content + '_>), (Side, io::Error)> {
        let first = self.first.open(path).map_err(|error| (Side::First, error.source))?;
        let second = self.second.open(path).map_err(|error| (Side::Second, error.source))?;
        Ok((first, second))
    }

    fn opened(
        &self,
        path: &RelPath,
        mut first: Box<dyn Content + '_>,
        mut second: Box<dyn Content + '_>,
        buffers: &mut [Vec<u8>; 2],
    ) -> Result<Option<What>, (Side, io::Error)> {
        if self.comparison.content {
            let before = self.wanted.notes_still.then(|| looks(&mut *first, &mut *second)).transpose()?;
            if let Some(what) = self.bytes(&mut *first, &mut *second, buffers)? {
                return Ok(Some(what));
            }
            if let Some(before) = before {
                self.note_if_still(path, before, looks(&mut *first, &mut *second)?);
            }
        }
        if self.comparison.holes { holes(&mut *first, &mut *second) } else { Ok(None) }
    }

    /// Notes that content is the same, if nothing was written to it meanwhile.
    fn note_if_still(&self, path: &RelPath, before: [Look; 2], after: [Look; 2]) {
        let is_still = before.iter().zip(&after).all(|(before, after)| {
            (before.len, before.mtime) == (after.len, after.mtime) && is_same_stamp(&before.stamp, &after.stamp)
        });
        let mut found = self.found();
        found.read += 1;
        if is_still && before[0].len == before[1].len {
            found.still.push((path.clone(), before[0]));
        }
    }

    /// Compares byte by byte what is data in either, and says where they differ first.
    fn bytes(
        &self,
        first: &mut dyn Content,
        second: &mut dyn Content,
        [of_first, of_second]: &mut [Vec<u8>; 2],
    ) -> Result<Option<What>, (Side, io::Error)> {
        let mut at = 0;
        loop {
            let b = second.data_from(at).map_err(of(Side::Second))?;
            let a = self.run_of_first(first, at, b.as_ref()).map_err(of(Side::First))?;
            let is_hole = b.as_ref().is_none_or(|b| at < b.start);
            let Some(run) = next_run(at, a, b) else { return Ok(None) };
            at = run.start;
            while at < run.end {
                let len = PIECE.min(usize::try_from(run.end - at).unwrap_or(PIECE));
                let a = first.read_at(at, &mut of_first[..len]).map_err(of(Side::First))?;
                self.observer.observe(&Event::Progress(a as u64));
                // Zeros, where the second has a hole.
                if is_hole && self.comparison.plainly && a > 0 && is_zero(&of_first[..a]) {
                    at += a as u64;
                    continue;
                }
                let b = second.read_at(at, &mut of_second[..len]).map_err(of(Side::Second))?;
                let (a, b) = (&of_first[..a], &of_second[..b]);
                if a != b {
                    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
                    return Ok(Some(What::Content(at + same as u64)));
                }
                if a.is_empty() {
                    return Ok(None);
                }
                at += a.len() as u64;
            }
        }
    }

    /// Where the first has data next: at once, if holes are not to be believed, and up to where one of the second begins or
    /// ends.
    fn run_of_first(
        &self,
        first: &mut dyn Content,
        at: u64,
        second: Option<&Range<u64>>,
    ) -> io::Result<Option<Range<u64>>> {
        if !self.comparison.plainly {
            return first.data_from(at);
        }
        let len = first.look()?.len;
        let border = second.map_or(len, |run| if at < run.start { run.start } else { run.end });
        Ok((at < len).then_some(at..border.min(len)))
    }

    fn tell(&self, path: &RelPath, what: What) {
        self.found().differences.push(Difference { path: path.clone(), what });
    }

    fn done(&self, path: &RelPath) {
        self.observer.observe(&Event::FileDone { path: path.as_bytes().to_vec() });
    }

    fn has_enough(&self) -> bool {
        self.found().differences.len() >= self.comparison.most
    }

    fn found(&self) -> MutexGuard<'_, Compared> {
        self.found.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// What could not be read in one tree. The other may have it, and what is in it, without being alone in that.
#[derive(Default)]
struct Hidden(Vec<RelPath>);

impl Hidden {
    /// Whether `path` is, or is in, one of them. Asked in the order of the walk.
    fn has(&mut self, path: &RelPath) -> bool {
        self.0.retain(|hidden| hidden >= path || path.is_within(hidden));
        self.0.iter().any(|hidden| path.is_within(hidden))
    }
}

/// Bytes compared at once.
const PIECE: usize = 256 << 10;

fn of(side: Side) -> impl FnOnce(io::Error) -> (Side, io::Error) {
    move |error| (side, error)
}

/// The next bytes that are data in one or the other: up to where the run that begins first ends. Holes read as zeros.
fn next_run(at: u64, first: Option<Range<u64>>, second: Option<Range<u64>>) -> Option<Range<u64>> {
    let run = match (first, second) {
        (Some(first), Some(second)) if second.start < first.start => second,
        (Some(first), _) => first,
        (None, second) => second?,
    };
    Some(run.start.max(at)..run.end)
}

fn looks(first: &mut dyn Content, second: &mut dyn Content) -> Result<[Look; 2], (Side, io::Error)> {
    Ok([first.look().map_err(of(Side::First))?, second.look().map_err(of(Side::Second))?])
}

fn holes(first: &mut dyn Content, second: &mut dyn Content) -> Result<Option<What>, (Side, io::Error)> {
    let a = has_holes(first).map_err(of(Side::First))?;
    let b = has_holes(second).map_err(of(Side::Second))?;
    Ok(match (a, b) {
        (true, false) => Some(What::Holes(Side::First)),
        (false, true) => Some(What::Holes(Side::Second)),
        _ => None,
    })
}

fn has_holes(content: &mut dyn Content) -> io::Result<bool> {
    let len = content.look()?.len;
    let mut at = 0;
    while at < len {
        match content.data_from(at)? {
            Some(run) if run.start == at => at = run.end,
            _ => return Ok(true),
        }
    }
    Ok(false)
}

/// The names of the attributes that only one has, or with different values. Both lists are by name.
fn differing(first: &[Xattr], second: &[Xattr]) -> Vec<Vec<u8>> {
    let missing = |from: &[Xattr], xattr: &Xattr| !from.contains(xattr);
    let mut names: Vec<_> =
        first.iter().filter(|xattr| missing(second, xattr)).map(|xattr| xattr.name.clone()).collect();
    names.extend(second.iter().filter(|xattr| missing(first, xattr)).map(|xattr| xattr.name.clone()));
    names.sort_unstable();
    names.dedup();
    names
}
