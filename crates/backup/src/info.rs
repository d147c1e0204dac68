//! What is in an archive, without reading all of it.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::mpsc,
};

use serde::Serialize;
use strongroom_archive::{Archive, ComponentInfo, Issue, Metadata, Record};
use strongroom_event::PathText;
use strongroom_tree::{Entry, Kind, RelPath};

use crate::{
    BackupError, Context, Marks, Missing,
    chain::{Chain, Opener},
    create::parts::{CONFIG, FILES},
    instant::text_of,
    words,
};

/// All that is known of an archive without reading its content.
#[derive(Debug, Serialize)]
pub struct Info {
    /// Where it is.
    #[serde(serialize_with = "words::path")]
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Whether it is sealed.
    pub sealed: bool,
    /// What it says of itself.
    pub metadata: Metadata,
    /// The archives it needs, by file name.
    pub needs: Vec<String>,
    /// Those of them that are not where it is.
    pub missing: Vec<Missing>,
    /// What could not be backed up as it was.
    pub issues: Vec<Issue>,
    /// What is remembered about it.
    pub marks: Marks,
}

/// An entry of an archive, for a listing.
#[derive(Clone, Debug, Serialize)]
pub struct ListedEntry {
    /// Its path below the source, odd bytes escaped.
    pub path: String,
    /// The component it belongs to.
    pub component: String,
    /// `file`, `directory`, `link`, `symlink`, `fifo`, `char-device`, `block-device`.
    pub kind: &'static str,
    /// Permission bits.
    pub mode: u32,
    /// Owner, by name if one is known.
    pub owner: String,
    /// Group, likewise.
    pub group: String,
    /// Bytes of content.
    pub bytes: u64,
    /// Last change of the content (RFC 3339, UTC).
    pub modified: String,
    /// Where a link or symbolic link leads.
    pub target: Option<String>,
    /// SHA-256 of the content, in hex.
    pub sha256: Option<String>,
    /// The file name of the archive that holds the content, if it is not this one.
    pub in_archive: Option<String>,
    /// What it was called in the base.
    pub renamed_from: Option<String>,
    /// Whether it would not hold still while it was read.
    pub changed: bool,
}

/// Reads what an archive says of itself.
pub fn info(archive: &Path, context: &Context<'_>) -> Result<Info, BackupError> {
    let chain = Chain::open(&Opener::new(context), archive)?;
    let newest = chain.newest();
    let reading = || BackupError::archive("reading", archive);
    Ok(Info {
        path: archive.to_owned(),
        bytes: newest.container().file_len(),
        sealed: newest.container().is_sealed(),
        metadata: newest.metadata().clone(),
        needs: newest.archives().iter().map(|base| base.file_name.clone()).collect(),
        missing: chain.missing(),
        issues: newest.issues().map_err(reading())?,
        marks: Marks::read(archive, &newest.metadata().id.to_string()),
    })
}

/// Gives every entry of the tree that an archive stands for, in the order of a walk.
pub fn contents(
    archive: &Path,
    context: &Context<'_>,
    each: &mut dyn FnMut(ListedEntry) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let chain = Chain::open(&Opener::new(context), archive)?;
    let newest = chain.newest();
    let reading = || BackupError::archive("reading the index of", archive);
    for record in newest.records().map_err(reading())? {
        let record = record.map_err(reading())?;
        let components = &newest.metadata().components;
        let component = components.get(record.component as usize);
        // Other components have the directories that lead to them, which are not theirs.
        let leads = record.entry.is_dir() && component.is_some_and(|component| leads_to(component, &record));
        if !leads {
            each(listed(newest, component, record))?;
        }
    }
    Ok(())
}

/// Whether a directory is there only to lead to a component.
fn leads_to(component: &ComponentInfo, record: &Record) -> bool {
    match component.kind.as_str() {
        FILES => false,
        "directory" | CONFIG => RelPath::parse(component.path.as_bytes())
            .is_ok_and(|at| at != record.entry.path && at.is_within(&record.entry.path)),
        _ => true,
    }
}

fn listed(archive: &Archive, component: Option<&ComponentInfo>, record: Record) -> ListedEntry {
    let bytes = record.entry.len();
    let Entry { path, kind, meta, .. } = record.entry;
    let (word, target) = match kind {
        Kind::Directory => ("directory", None),
        Kind::File { .. } => ("file", None),
        Kind::Link { to } => ("link", Some(to.to_string())),
        Kind::Symlink { target } => ("symlink", Some(PathText(&target).to_string())),
        Kind::Fifo => ("fifo", None),
        Kind::Socket => ("socket", None),
        Kind::CharDevice { .. } => ("char-device", None),
        Kind::BlockDevice { .. } => ("block-device", None),
    };
    let base = record.at.filter(|at| at.archive > 0).and_then(|at| archive.archives().get(at.archive as usize - 1));
    ListedEntry {
        path: path.to_string(),
        component: component.map(|component| component.name.clone()).unwrap_or_default(),
        kind: word,
        mode: meta.mode,
        owner: meta.user.map_or_else(|| meta.uid.to_string(), |name| name.to_string()),
        group: meta.group.map_or_else(|| meta.gid.to_string(), |name| name.to_string()),
        bytes,
        modified: text_of(meta.mtime),
        target,
        sha256: record.sha256.map(|hash| words::hex(&hash)),
        in_archive: base.map(|base| base.file_name.clone()),
        renamed_from: record.renamed_from.map(|path| path.to_string()),
        changed: record.changed,
    }
}

/// Writes the plain tar stream of an archive.
pub fn export(archive: &Path, context: &Context<'_>, out: &mut dyn Write) -> Result<u64, BackupError> {
    let opened = Opener::new(context).open(archive)?;
    // The archive decodes on threads; `out` may be bound to this one, as a locked standard output is.
    let (pieces, received) = mpsc::sync_channel(4);
    let workers = context.workers;
    std::thread::scope(|scope| {
        let opened = &opened;
        let exporting = scope.spawn(move || opened.export(&mut Pieces(pieces), workers));
        let mut written = Ok(());
        for piece in received.iter() {
            written = written.and_then(|()| out.write_all(&piece));
            if written.is_err() || (context.is_stopped)() {
                break;
            }
        }
        drop(received);
        let exported = exporting.join().expect("exporting does not panic");
        if (context.is_stopped)() {
            return Err(BackupError::Stopped);
        }
        written.map_err(BackupError::on("exporting", archive))?;
        exported.map_err(BackupError::archive("exporting", archive))
    })
}

/// Hands what is written to another thread.
struct Pieces(mpsc::SyncSender<Vec<u8>>);

impl Write for Pieces {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.send(data.to_vec()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The vault's keys that travel in an archive: a `gocryptfs.conf`. `None` if there are none in it.
pub fn keys_only(archive: &Path, context: &Context<'_>) -> Result<Option<Vec<u8>>, BackupError> {
    let opened = Opener::new(context).open(archive)?;
    opened.keys().map_err(BackupError::archive("reading the keys in", archive))
}
