//! What is new, made beside the original on the same file system, where nobody looks, and on the disk before anything is
//! moved.

use std::{
    fs::{self, DirBuilder},
    io,
    ops::Range,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use strongroom_durable::{PathError, sync_dir};
use strongroom_event::{Event, Observer};
use strongroom_tree::{Content, Entry, Kind, LocalSink, Look, Planting, RelPath, Sink, Source, TreeError};

use super::{
    layout::{Layout, Origin, Piece},
    stoppable::IsToStop,
};
use crate::MigrateError;

/// Where pieces are made.
pub(super) struct Staging<'a> {
    /// The directory that both the original and the staging directory are in.
    pub parent: &'a Path,
    /// The name of the original there.
    pub original: RelPath,
    /// The name of the staging directory there.
    pub name: RelPath,
    pub workers: usize,
    pub observer: &'a dyn Observer,
    pub is_to_stop: IsToStop<'a>,
}

/// Bytes read at once.
const PIECE: usize = 1 << 20;

/// What could not be staged.
#[derive(Debug, Default)]
pub(super) struct Obstacles {
    /// The vault does not give it.
    pub unreadable: Vec<TreeError>,
    /// The file system does not take it, whatever is tried.
    pub unholdable: Vec<TreeError>,
}

impl Obstacles {
    pub fn is_empty(&self) -> bool {
        self.unreadable.is_empty() && self.unholdable.is_empty()
    }
}

impl Staging<'_> {
    pub fn path(&self) -> PathBuf {
        super::dressing::within(self.parent, &self.name)
    }

    /// Makes all pieces, and puts them on the disk. Files that cannot be copied do not keep the others from being tried, so
    /// that all of them are known at once; what needs them is not tried then.
    pub fn make(&self, layout: &Layout, now: &[Entry], vault: &dyn Source) -> Result<Obstacles, MigrateError> {
        self.refuse_if_full(layout, now)?;
        self.make_rooms()?;
        let sink = LocalSink::open(self.parent, Planting::exact(), self.observer)?;
        let (mut contents, mut rest, mut obstacles) = (Vec::new(), Vec::new(), Obstacles::default());
        for piece in &layout.pieces {
            match (&piece.origin, &now[piece.entry].kind) {
                (Origin::Vault, Kind::Directory) => {
                    let made = self.entry(piece, now).and_then(|entry| sink.put(&entry, None));
                    self.note(made, &now[piece.entry], &mut obstacles)?;
                }
                (Origin::Vault, Kind::File { .. }) => contents.push(piece),
                _ => rest.push(piece),
            }
        }
        if obstacles.is_empty() {
            obstacles = self.pour_all(&contents, now, vault, &sink)?;
        }
        if obstacles.is_empty() {
            for piece in rest {
                let made = self.entry(piece, now).and_then(|entry| sink.put(&entry, None));
                self.note(made, &now[piece.entry], &mut obstacles)?;
            }
        }
        sink.seal().map_err(failed)?;
        Ok(obstacles)
    }

    /// An estimate, for failing before anything is done; what does not fit after all is found when it is written.
    fn refuse_if_full(&self, layout: &Layout, now: &[Entry]) -> Result<(), MigrateError> {
        let of_vault = layout.pieces.iter().filter(|piece| piece.origin == Origin::Vault);
        let need: u64 =
            of_vault.map(|piece| &now[piece.entry]).map(|entry| entry.len().min(entry.stamp.blocks * 512)).sum();
        let room = rustix::fs::statvfs(self.parent).map_err(PathError::on("asking for the room in", self.parent))?;
        let has = room.f_frsize.saturating_mul(if rustix::process::geteuid().is_root() {
            room.f_bfree
        } else {
            room.f_bavail
        });
        if need > has {
            let why = format!("{need} bytes are to come to {}, which has {has} left", self.parent.display());
            return Err(MigrateError::NoRoom { what: "what is to be carried back", why });
        }
        Ok(())
    }

    /// What would be in the way of [`Staging::make`], as far as that can be told while programs still write to `vault`: what
    /// is damaged, and what there is no room for. Nothing is made.
    pub fn rehearse(&self, layout: &Layout, now: &[Entry], vault: &dyn Source) -> Result<Obstacles, MigrateError> {
        self.refuse_if_full(layout, now)?;
        let of_vault = layout.pieces.iter().filter(|piece| piece.origin == Origin::Vault);
        let files = of_vault.map(|piece| &now[piece.entry]).filter(|entry| matches!(entry.kind, Kind::File { .. }));
        let mut obstacles = Obstacles::default();
        let mut buffer = vec![0; PIECE];
        for entry in files {
            if let Err(error) = self.read_all(entry, vault, &mut buffer)
                && error.source.raw_os_error() == Some(libc::EIO)
            {
                obstacles.unreadable.push(error);
            }
        }
        Ok(obstacles)
    }

    fn read_all(&self, entry: &Entry, vault: &dyn Source, buffer: &mut [u8]) -> Result<(), TreeError> {
        let mut content = vault.open(&entry.path)?;
        let mut at = 0;
        loop {
            match content.read_at(at, buffer).map_err(TreeError::on("reading", &entry.path))? {
                0 => return Ok(()),
                len => {
                    at += len as u64;
                    self.observer.observe(&Event::Progress(len as u64));
                }
            }
        }
    }

    fn make_rooms(&self) -> Result<(), MigrateError> {
        let path = self.path();
        for dir in [path.clone(), path.join("new"), path.join("old")] {
            let made = DirBuilder::new().mode(0o700).create(&dir);
            made.map_err(PathError::on("making the directory", &dir)).map_err(full_or)?;
        }
        Ok(sync_dir(self.parent)?)
    }

    /// The entry that makes a piece, as the sink sees it.
    fn entry(&self, piece: &Piece, now: &[Entry]) -> Result<Entry, TreeError> {
        let mut entry = now[piece.entry].clone();
        entry.path = joined(&self.name, &piece.at)?;
        match &piece.origin {
            Origin::Vault => {}
            Origin::Original(path) => entry.kind = Kind::Link { to: joined(&self.original, path)? },
            Origin::Piece(path) => entry.kind = Kind::Link { to: joined(&self.name, path)? },
        }
        // Whoever is not root can move only directories that he may write to; it gets its permissions when it is in place.
        if entry.is_dir() && !rustix::process::geteuid().is_root() {
            entry.meta.mode |= 0o700;
        }
        Ok(entry)
    }

    /// Copies files, several at once.
    fn pour_all(
        &self,
        pieces: &[&Piece],
        now: &[Entry],
        vault: &dyn Source,
        sink: &LocalSink<'_>,
    ) -> Result<Obstacles, MigrateError> {
        let (next, state) = (AtomicUsize::new(0), Mutex::new((Obstacles::default(), Ok(()))));
        std::thread::scope(|scope| {
            for _ in 0..self.workers.max(1) {
                scope.spawn(|| {
                    while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let poured = self.pour(piece, now, vault, sink);
                        let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        if state.1.is_err() {
                            return;
                        }
                        let noted = self.sort(poured, &now[piece.entry], &mut state.0);
                        state.1 = noted;
                    }
                });
            }
        });
        let (obstacles, ended) = state.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        ended.map(|()| obstacles)
    }

    fn pour(&self, piece: &Piece, now: &[Entry], vault: &dyn Source, sink: &LocalSink<'_>) -> Result<(), Poured> {
        if (self.is_to_stop)() {
            return Err(Poured::Stopped);
        }
        let entry = &now[piece.entry];
        let content = vault.open(&entry.path).map_err(Poured::Unreadable)?;
        let mut watched = Watched { content, observer: self.observer, failed: None };
        let put = self.entry(piece, now).and_then(|entry| sink.put(&entry, Some(&mut watched)));
        match (put, watched.failed) {
            (Ok(()), _) => Ok(()),
            // Which the vault has been told as well, and gives nothing any more.
            (Err(_), _) if (self.is_to_stop)() => Err(Poured::Stopped),
            (Err(_), Some(source)) => {
                Err(Poured::Unreadable(TreeError { attempted: "reading", path: entry.path.clone(), source }))
            }
            (Err(error), None) => Err(Poured::Unmade(error)),
        }
    }

    fn sort(&self, poured: Result<(), Poured>, entry: &Entry, obstacles: &mut Obstacles) -> Result<(), MigrateError> {
        match poured {
            Ok(()) => {
                self.observer.observe(&Event::FileDone { path: entry.path.as_bytes().to_vec() });
                Ok(())
            }
            Err(Poured::Stopped) => Err(MigrateError::Stopped { state: crate::State::RollingBack }),
            Err(Poured::Unreadable(error)) => {
                let what = error.source.to_string();
                self.observer.observe(&Event::Damaged { path: error.path.as_bytes().to_vec(), what });
                obstacles.unreadable.push(error);
                Ok(())
            }
            Err(Poured::Unmade(error)) => self.note(Err(error), entry, obstacles),
        }
    }

    /// Tells what can never be made here from what failed.
    fn note(&self, made: Result<(), TreeError>, entry: &Entry, obstacles: &mut Obstacles) -> Result<(), MigrateError> {
        match made {
            Err(mut error) if is_unholdable(&error) => {
                error.path = entry.path.clone();
                obstacles.unholdable.push(error);
                Ok(())
            }
            made => made.map_err(failed),
        }
    }
}

/// Takes a staging directory away with all that is in it. Nothing there is well too.
pub(super) fn remove(path: &Path) -> Result<(), MigrateError> {
    let removing = || PathError::on("removing", path);
    if !rustix::process::geteuid().is_root() && path.is_dir() {
        open_up(path).map_err(removing())?;
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => Ok(removed.map_err(removing())?),
    }
}

/// Whoever is not root can only empty directories that he may write to.
fn open_up(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

/// Why a file was not poured.
enum Poured {
    Stopped,
    Unreadable(TreeError),
    Unmade(TreeError),
}

/// Content that remembers how reading it failed, and tells how far it is.
struct Watched<'a> {
    content: Box<dyn Content + 'a>,
    observer: &'a dyn Observer,
    failed: Option<io::Error>,
}

impl Watched<'_> {
    fn seen<T>(&mut self, read: io::Result<T>) -> io::Result<T> {
        read.inspect_err(|error| {
            let copy = io::Error::new(error.kind(), error.to_string());
            self.failed.get_or_insert(copy);
        })
    }
}

impl Content for Watched<'_> {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read_at(offset, out);
        let len = self.seen(read)?;
        self.observer.observe(&Event::Progress(len as u64));
        Ok(len)
    }

    fn data_from(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        let run = self.content.data_from(from);
        self.seen(run)
    }

    fn look(&mut self) -> io::Result<Look> {
        let look = self.content.look();
        self.seen(look)
    }
}

/// `path` below the directory of this name.
pub(super) fn joined(dir: &RelPath, path: &RelPath) -> Result<RelPath, TreeError> {
    let slash: &[u8] = if path.is_root() { b"" } else { b"/" };
    RelPath::parse(&[dir.as_bytes(), slash, path.as_bytes()].concat()).map_err(TreeError::on("naming", path))
}

fn failed(error: TreeError) -> MigrateError {
    if error.is_full() {
        return MigrateError::NoRoom { what: "what is to be carried back", why: error.to_string() };
    }
    error.into()
}

fn full_or(error: PathError) -> MigrateError {
    let error = MigrateError::from(error);
    if error.is_full() {
        return MigrateError::NoRoom { what: "what is to be carried back", why: error.to_string() };
    }
    error
}

/// Whether it fails because of what it is, and would fail again.
fn is_unholdable(error: &TreeError) -> bool {
    use rustix::io::Errno;
    const NEVER: [Errno; 4] = [Errno::NAMETOOLONG, Errno::ILSEQ, Errno::INVAL, Errno::OPNOTSUPP];
    error.cannot_hold().is_some()
        || Errno::from_io_error(&error.source).is_some_and(|errno| NEVER.contains(&errno))
        || error.source.kind() == io::ErrorKind::Unsupported
}
