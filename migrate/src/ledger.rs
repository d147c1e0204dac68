//! The journal of a migration: what is about to be done and what is done, one authenticated record each.
//!
//! ```text
//! payload    = mac (32 bytes) | JSON of the record
//! mac        = HMAC-SHA-256(key, mac of the record before | JSON);   before the first: 32 zeros
//! transcript = SHA-256(transcript before | SHA-256(JSON));           before the first: 32 zeros
//! seal       = HMAC-SHA-256(key of the vault, "strongroom migration seal 1" | transcript up to the record before it)
//! ```
//! The key lies beside the journal, so the MACs tell damage and other people's records from ours, and no more. The seals
//! can only be made by somebody who can open the vault: what destroys asks for one ([`Ledger::check_seal`]).
//!
//! A *mark*, a small file beside the data, repeats the number and the MAC of the last record. A journal that is older than
//! its mark was put back, and is refused. If both are put back together, nothing here can tell; but then the file system
//! of the data was, and the data with it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use strongroom_crypto::{Key, Sha256, check_hmac_sha256, hmac_sha256};
use strongroom_durable::{Journal, PathError};

use crate::{MigrateError, Place, State, place::write_private};

/// Which half of a step a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// It is about to be done: from here on it may be done, or half.
    Intent,
    /// It is done.
    Done,
    /// Nothing was done; all that precedes is confirmed by somebody who can open the vault.
    Seal,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its number, from 0.
    pub seq: u64,
    /// When, by the machine's calendar.
    pub time: Timestamp,
    /// In which start of the machine.
    pub boot_id: String,
    /// About which state.
    pub state: State,
    /// Which half of reaching it.
    pub mark: Mark,
    /// What else there is to know, by the kind of record.
    #[serde(default)]
    pub facts: Value,
}

/// The moment of a record.
#[derive(Clone, Debug)]
pub struct Moment {
    /// By the machine's calendar.
    pub time: Timestamp,
    /// In which start of the machine.
    pub boot_id: String,
}

/// The journal of one migration, open for writing by nobody else.
pub struct Ledger {
    journal: Journal,
    key: Key<32>,
    chain: Chain,
    records: Vec<Record>,
    mark: Option<PathBuf>,
}

/// How far the chain is.
#[derive(Clone, Copy, Default)]
struct Chain {
    mac: [u8; 32],
    transcript: [u8; 32],
}

impl Ledger {
    /// A new journal in `place`, whose key is there.
    pub fn create(place: &Place) -> Result<Self, MigrateError> {
        let (journal, key) = (Journal::create(&place.journal())?, place.read_key()?);
        Ok(Self { journal, key, chain: Chain::default(), records: Vec::new(), mark: None })
    }

    /// The journal of `place`. A record that was being written when the power went is cut off; anything else that is not
    /// as we wrote it is [`MigrateError::Forged`], and only a person can decide what to do.
    pub fn open(place: &Place) -> Result<Self, MigrateError> {
        let path = place.journal();
        let journal = Journal::open(&path).map_err(|source| MigrateError::of_journal(source, &path))?;
        let journal = journal.ok_or_else(|| MigrateError::NoMigration { path: place.dir().to_owned() })?;
        let key = place.read_key()?;
        let (records, chain) = authentic(&key, journal.records(), &path)?;
        Ok(Self { journal, key, chain, records, mark: None })
    }

    /// The records of `place`, for somebody who only looks, while another process may write.
    pub fn read(place: &Place) -> Result<Vec<Record>, MigrateError> {
        let path = place.journal();
        let records = Journal::read(&path).map_err(|source| MigrateError::of_journal(source, &path))?;
        let records = records.ok_or_else(|| MigrateError::NoMigration { path: place.dir().to_owned() })?;
        Ok(authentic(&place.read_key()?, &records, &path)?.0)
    }

    /// Keeps a mark of the last record at `path` from now on; first of all, holds the journal against the mark there.
    pub fn keep_mark(&mut self, path: &Path) -> Result<(), MigrateError> {
        let there = read_mark(path)?;
        let last = self.records.last().map(|record| record.seq);
        if let Some((seq, mac)) = there
            && self.records.first().is_some()
        {
            let known = self.mac_of(seq);
            if known != Some(mac) {
                return Err(
                    self.forged(seq, "it is older than the mark beside the data, or another one: it was put back")
                );
            }
        }
        self.mark = Some(path.to_owned());
        if there.map(|(seq, _)| seq) != last { self.write_mark() } else { Ok(()) }
    }

    /// Removes the mark: the migration is over.
    pub fn drop_mark(&mut self) -> Result<(), MigrateError> {
        let Some(path) = self.mark.take() else { return Ok(()) };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(PathError::on("removing", &path)(error).into())
            }
            _ => Ok(()),
        }
    }

    /// Adds a record, and returns when it is on the disk.
    pub fn append(
        &mut self,
        state: State,
        mark: Mark,
        facts: &impl Serialize,
        moment: Moment,
    ) -> Result<(), MigrateError> {
        let facts = serde_json::to_value(facts).expect("facts are structures with text for keys");
        let seq = self.records.len() as u64;
        let record = Record { seq, time: moment.time, boot_id: moment.boot_id, state, mark, facts };
        let json = serde_json::to_vec(&record).expect("records are structures with text for keys");
        let next = self.chain.after(&self.key, &json);
        self.journal.append(&[&next.mac[..], &json].concat())?;
        self.chain = next;
        self.records.push(record);
        self.write_mark()
    }

    /// Confirms all records so far with a key that only somebody has who can open the vault.
    pub fn seal(&mut self, journal_key: &Key<32>, moment: Moment) -> Result<(), MigrateError> {
        let seal = Sealed { seal: hex(&seal_of(journal_key, &self.chain.transcript)) };
        self.append(self.state(), Mark::Seal, &seal, moment)
    }

    /// Up to which record everything is confirmed by the vault's key: the number of the last seal. A seal that was made
    /// with another key is [`MigrateError::Forged`].
    pub fn check_seal(&self, journal_key: &Key<32>) -> Result<Option<u64>, MigrateError> {
        let (mut chain, mut sealed) = (Chain::default(), None);
        for (record, payload) in self.records.iter().zip(self.journal.records()) {
            let json = payload.get(32..).unwrap_or_default();
            if record.mark == Mark::Seal {
                let claim: Sealed = facts_of(record).ok_or_else(|| self.forged(record.seq, "its seal is none"))?;
                let right = seal_of(journal_key, &chain.transcript);
                if unhex(&claim.seal).is_none_or(|claim| !is_equal(&claim, &right)) {
                    return Err(self.forged(record.seq, "its seal was not made by this vault"));
                }
                sealed = Some(record.seq);
            }
            chain = chain.after(&self.key, json);
        }
        Ok(sealed)
    }

    /// Whether reaching `state` was recorded, and confirmed by the vault's key.
    pub fn is_sealed(&self, state: State, journal_key: &Key<32>) -> Result<bool, MigrateError> {
        let reached = self.records.iter().rfind(|record| record.state == state && record.mark == Mark::Done);
        let sealed = self.check_seal(journal_key)?;
        Ok(reached.is_some_and(|record| sealed.is_some_and(|seal| record.seq < seal)))
    }

    /// The records, oldest first.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The state that was reached last.
    pub fn state(&self) -> State {
        self.records.iter().rfind(|record| record.mark == Mark::Done).map_or(State::Planned, |record| record.state)
    }

    /// What was recorded last on reaching `state`.
    pub fn fact<T: DeserializeOwned>(&self, state: State) -> Option<T> {
        self.last(state, Mark::Done).and_then(facts_of)
    }

    /// What was recorded last before `state` was to be reached.
    pub fn intended<T: DeserializeOwned>(&self, state: State) -> Option<T> {
        self.last(state, Mark::Intent).and_then(facts_of)
    }

    /// The last record of one kind.
    pub fn last(&self, state: State, mark: Mark) -> Option<&Record> {
        self.records.iter().rfind(|record| (record.state, record.mark) == (state, mark))
    }

    /// Whether the last record had been torn by a power cut when this was opened, and is not there any more.
    pub fn was_torn(&self) -> bool {
        self.journal.was_torn()
    }

    fn mac_of(&self, seq: u64) -> Option<[u8; 32]> {
        self.journal.records().get(usize::try_from(seq).ok()?)?.get(..32)?.try_into().ok()
    }

    fn write_mark(&self) -> Result<(), MigrateError> {
        let (Some(path), Some(last)) = (&self.mark, self.records.last()) else { return Ok(()) };
        let text = format!("{} {}\n", last.seq, hex(&self.chain.mac));
        Ok(write_private(path, text.as_bytes())?)
    }

    fn forged(&self, record: u64, why: &'static str) -> MigrateError {
        MigrateError::Forged { path: self.journal.path().to_owned(), record, why }
    }
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    seal: String,
}

impl Chain {
    fn after(self, key: &Key<32>, json: &[u8]) -> Self {
        let mac = hmac_sha256(key.expose(), &[&self.mac[..], json].concat());
        let transcript = Sha256::of(&[self.transcript, Sha256::of(json)].concat());
        Self { mac, transcript }
    }
}

/// The facts of a record, if they are of that kind.
pub(crate) fn facts_of<T: DeserializeOwned>(record: &Record) -> Option<T> {
    serde_json::from_value(record.facts.clone()).ok()
}

/// Which migration's mark is at `path`, and of which record, without holding it against any journal.
fn read_mark(path: &Path) -> Result<Option<(u64, [u8; 32])>, MigrateError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(PathError::on("reading", path))?,
    };
    let parsed = text.trim_end().split_once(' ').and_then(|(seq, mac)| Some((seq.parse().ok()?, unhex(mac)?)));
    let bad = || PathError::on("reading", path)(io::Error::other("it is no mark of a migration"));
    Ok(Some(parsed.ok_or_else(bad)?))
}

fn authentic(key: &Key<32>, payloads: &[Vec<u8>], path: &Path) -> Result<(Vec<Record>, Chain), MigrateError> {
    let (mut records, mut chain) = (Vec::new(), Chain::default());
    for (number, payload) in payloads.iter().enumerate() {
        let forged = |why| MigrateError::Forged { path: path.to_owned(), record: number as u64, why };
        let (mac, json) = payload.split_first_chunk::<32>().ok_or_else(|| forged("it is too short"))?;
        let message = [&chain.mac[..], json].concat();
        check_hmac_sha256(key.expose(), &message, mac).map_err(|_| forged("it was not written by this migration"))?;
        let record: Record = serde_json::from_slice(json).map_err(|_| forged("another version wrote it"))?;
        if record.seq != number as u64 {
            return Err(forged("it has another number"));
        }
        chain = chain.after(key, json);
        records.push(record);
    }
    Ok((records, chain))
}

fn seal_of(journal_key: &Key<32>, transcript: &[u8; 32]) -> [u8; 32] {
    hmac_sha256(journal_key.expose(), &[b"strongroom migration seal 1".as_slice(), transcript].concat())
}

/// In the same time wherever they differ.
fn is_equal(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.iter().zip(other).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}
