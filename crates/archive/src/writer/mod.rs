//! Making an archive: what there is to keep comes in walk order, is read, hashed and compressed by several threads, and
//! written in order.

mod big;
mod gather;
mod member;
mod memory;
mod output;
mod pipeline;
mod plan;
mod reading;

use std::io::Write;

use strongroom_crypto::Random;
use strongroom_event::Observer;
use strongroom_tree::{Entry, RelPath, Source, Timestamp, TreeError};

use self::output::Output;
use crate::{
    ArchiveError, BaseRef, ComponentInfo, Compression, ContainerWriter, Counts, Facts, Gone, Issue, Metadata, Seal,
    index::check_prefixes,
};

/// How much tar goes into a frame, unless a single header needs more.
const FRAME: usize = 4 << 20;

/// What all of an archive has in common.
pub struct Job<'a> {
    /// What its header says in clear.
    pub facts: &'a Facts,
    /// How it is sealed, if it is.
    pub seal: Option<&'a Seal<'a>>,
    /// How to go about it.
    pub settings: Settings,
    /// What it is made of.
    pub components: Vec<Component>,
    /// The archives that [`Body::Kept`] refers to: number 1 is the first of these.
    pub archives: Vec<BaseRef>,
    /// What `encryption_key.enc` is to hold.
    pub keys: Option<Vec<u8>>,
    /// The time that the members of our own get.
    pub time: Timestamp,
    /// Told of bytes of content (those of earlier archives too), and of each entry that is done.
    pub observer: &'a dyn Observer,
    /// Where keys come from.
    pub random: &'a dyn Random,
}

/// How to go about making an archive.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How frames are compressed.
    pub compression: Compression,
    /// Processors to keep busy with reading and compressing.
    pub workers: usize,
    /// How many more times a file is read that was written to meanwhile.
    pub retries: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { compression: Compression::default(), workers: 2, retries: 3 }
    }
}

/// A part of what is backed up, as it is known beforehand.
#[derive(Clone, Debug)]
pub struct Component {
    /// What it is called, once in an archive.
    pub name: String,
    /// `files`, `config`, `sqlite`, ...
    pub kind: String,
    /// Where it is, as text.
    pub path: String,
    /// What the names of its members begin with, such as `files` or `databases/main`. No component's prefix may be that
    /// of another, or below it, or a member's name of our own.
    pub prefix: String,
}

/// One thing to keep. Within a component they come in the order of [`RelPath`], each once, a directory before what is in
/// it and a link after what it links to; components may alternate.
pub struct Item<'a> {
    /// Its component: a place in [`Job::components`].
    pub component: u32,
    /// What it is. The length of a file is a guess until it is opened, and so are the times.
    pub entry: Entry,
    /// Where its content comes from.
    pub body: Body<'a>,
    /// The path that it had in the base, if its content was found there under another name.
    pub renamed_from: Option<RelPath>,
}

/// Where the content of an item comes from.
pub enum Body<'a> {
    /// It has none: all but regular files.
    Nothing,
    /// From a file of a source, which need not be at the item's path.
    Read(&'a dyn Source, RelPath),
    /// From memory.
    Bytes(Vec<u8>),
    /// An earlier archive holds it.
    Kept {
        /// Which: 1 is the first of [`Job::archives`].
        archive: u32,
        /// Where in its tar stream the member begins.
        tar_offset: u64,
        /// How long the member is there.
        tar_len: u64,
        /// Length of the content.
        len: u64,
        /// SHA-256 of the content.
        sha256: [u8; 32],
    },
}

/// What there was, once all items have come.
#[derive(Clone, Debug)]
pub struct Totals {
    /// The components, their facts still empty, in the order of [`Job::components`].
    pub components: Vec<ComponentInfo>,
    /// How much of what; `gone` is still zero, and set by what is given back.
    pub counts: Counts,
    /// SHA-256 over all records.
    pub content_sha256: [u8; 32],
    /// How many issues there were.
    pub issues: u64,
}

/// What is known once all items have come.
pub struct Ending {
    /// The document. Of the totals it need only copy what it is given, and `counts.gone` and `issues` are set for it.
    pub metadata: Metadata,
    /// Entries of the base that are no longer there, renamed ones not among them.
    pub gone: Vec<Gone>,
    /// Issues that are not of items given, such as those of captures.
    pub issues: Vec<Issue>,
}

/// An archive that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The document as it is in the archive.
    pub metadata: Metadata,
    /// What could not be kept as it was.
    pub issues: Vec<Issue>,
    /// SHA-256 of the index, by which later archives refer to this one.
    pub index_sha256: [u8; 32],
    /// SHA-256 of the file.
    pub file_sha256: [u8; 32],
    /// Length of the file.
    pub bytes: u64,
}

/// Writes a whole archive to `out`. `ending` is asked once all items have come.
///
/// What vanishes or cannot be read is an [`Issue`], and left out. A file that is written to while it is read is read
/// again; if it will not hold still, as many bytes as it had when it was opened are kept and it is marked. An error of
/// `items` is an issue of its path.
///
/// Memory: some 50 MiB, and 20 MiB for each worker, whatever the sizes; and some 60 bytes for each entry.
pub fn write<'a, W: Write>(
    out: W,
    job: &Job<'_>,
    items: &mut (dyn Iterator<Item = Result<Item<'a>, TreeError>> + Send),
    ending: impl FnOnce(&Totals) -> Ending,
) -> Result<(W, Written), ArchiveError> {
    let prefixes: Vec<&str> = job.components.iter().map(|component| &*component.prefix).collect();
    check_prefixes(&prefixes).map_err(|why| ArchiveError::Unfit { path: RelPath::root(), why })?;
    let container = ContainerWriter::create(out, job.facts, job.settings.compression, job.seal, job.random)?;
    let mut output = Output::new(container, job)?;
    pipeline::run(job, items, &mut output)?;
    output.finish(ending)
}
