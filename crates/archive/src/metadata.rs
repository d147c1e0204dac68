//! `metadata.json`: what an archive says about itself and what is in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Algorithm, ArchiveId, ArchiveKind, hex};

/// The document `metadata.json`, which is the last member of the tar stream and stands at the head of the index too.
/// Fields that a reader does not know are passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// [`Metadata::FORMAT_VERSION`].
    pub format_version: u32,
    /// The program that made it.
    pub tool: String,
    /// Its version.
    pub tool_version: String,
    /// The machine's name.
    pub host: String,
    /// Its system and processor, such as `linux-x86_64`.
    pub platform: String,
    /// What the header says too: RFC 3339 with offset.
    pub created: String,
    /// When reading began.
    pub started: String,
    /// When reading ended.
    pub finished: String,
    /// Which archive this is.
    pub id: ArchiveId,
    /// Of what: the NAME of its file name.
    pub name: String,
    /// How it relates to earlier ones.
    pub kind: ArchiveKind,
    /// The archive that it was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<ArchiveId>,
    /// A person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The path of what was read, as text.
    pub source: String,
    /// What it was: `directory`, `mounted-vault`, `vault`.
    pub source_kind: String,
    /// How its frames are compressed.
    pub compression: Algorithm,
    /// How hard.
    pub compression_level: u8,
    /// How it is sealed; `None` if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// How the passphrase was stretched when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kdf: Option<String>,
    /// What it is made of. A record's component is a place in this list.
    pub components: Vec<ComponentInfo>,
    /// How much there is of what.
    pub counts: Counts,
    /// SHA-256 over all records (docs/ARCHIVE.md, "Metadata").
    #[serde(with = "hex::serde")]
    pub content_sha256: [u8; 32],
    /// Whether `encryption_key.enc` is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeysInfo>,
    /// Whether everything that was to be kept was.
    pub complete: bool,
    /// How many issues the index lists.
    pub issues: u64,
}

impl Metadata {
    /// The version of the format of tar members, index and metadata.
    pub const FORMAT_VERSION: u32 = 1;
    /// Its member in the tar stream.
    pub const MEMBER: &'static str = "metadata.json";
    /// The longest document that is written or read.
    pub const MAX_LEN: usize = 1 << 20;
}

/// One part of what was backed up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentInfo {
    /// What it is called, once in an archive.
    pub name: String,
    /// `files`, `config`, `sqlite`, ...
    pub kind: String,
    /// Where it was, as text.
    pub path: String,
    /// What the names of its members in the tar stream begin with, such as `files` or `databases/main`. No component's
    /// prefix is that of another, or below it.
    pub prefix: String,
    /// How many records.
    pub entries: u64,
    /// How many bytes of content.
    pub bytes: u64,
    /// SHA-256 over its records (docs/ARCHIVE.md, "Metadata").
    #[serde(with = "hex::serde")]
    pub sha256: [u8; 32],
    /// Whatever else is known of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

/// How much there is of what, over all components.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Directories.
    pub directories: u64,
    /// Regular files, each once.
    pub files: u64,
    /// Further names of files.
    pub links: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Named pipes and devices.
    pub other: u64,
    /// Bytes of content of all files.
    pub bytes: u64,
    /// Bytes of content that this archive holds itself; the rest is in archives before it.
    pub stored_bytes: u64,
    /// Files whose content this archive holds itself.
    pub new_files: u64,
    /// Files whose content is in archives before it.
    pub unchanged: u64,
    /// Entries of the base that are no longer there.
    pub gone: u64,
    /// Files that were known by another name in the base.
    pub renamed: u64,
}

/// What `encryption_key.enc` is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysInfo {
    /// The member's name.
    pub file: String,
    /// `backup-passphrase` or `vault-passphrase`.
    pub sealed_under: String,
}

impl KeysInfo {
    /// The member's name.
    pub const MEMBER: &'static str = "encryption_key.enc";
}
