//! The journal of a migration: what is about to be done and what is done, one authenticated record each.
//!
//! ```text
//! payload    = mac (32 bytes) | seal (32 bytes, or zeros) | JSON of the record
//! mac        = HMAC-SHA-256(key, mac of the record before | seal | JSON);   before the first: 32 zeros
//! transcript = SHA-256(transcript of the record before | SHA-256(JSON));    before the first: 32 zeros
//! seal       = HMAC-SHA-256(key of the vault, "strongroom migration seal 1" | transcript)
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
            && !self.records.is_empty()
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
        self.add(state, mark, facts, moment, None)
    }

    /// Adds a record and confirms it, with all before it, with a key that only somebody has who can open the vault.
    pub fn append_sealed(
        &mut self,
        state: State,
        mark: Mark,
        facts: &impl Serialize,
        moment: Moment,
        journal_key: &Key<32>,
    ) -> Result<(), MigrateError> {
        self.add(state, mark, facts, moment, Some(journal_key))
    }

    /// Confirms all records so far with a key that only somebody has who can open the vault.
    pub fn seal(&mut self, journal_key: &Key<32>, moment: Moment) -> Result<(), MigrateError> {
        self.add(self.state(), Mark::Seal, &Value::Null, moment, Some(journal_key))
    }

    fn add(
        &mut self,
        state: State,
        mark: Mark,
        facts: &impl Serialize,
        moment: Moment,
        journal_key: Option<&Key<32>>,
    ) -> Result<(), MigrateError> {
        let facts = serde_json::to_value(facts).expect("facts are structures with text for keys");
        let seq = self.records.len() as u64;
        let record = Record { seq, time: moment.time, boot_id: moment.boot_id, state, mark, facts };
        let json = serde_json::to_vec(&record).expect("records are structures with text for keys");
        let transcript = self.chain.transcript_with(&json);
        let seal = journal_key.map_or(NO_SEAL, |key| seal_of(key, &transcript));
        let next = self.chain.after(&self.key, &seal, &json);
        self.journal.append(&[&next.mac[..], &seal, &json].concat())?;
        self.chain = next;
        self.records.push(record);
        self.write_mark()
    }

    /// Up to which record everything is confirmed by the vault's key: the number of the last that has a seal. A seal that
    /// was made with another key is [`MigrateError::Forged`].
    pub fn check_seal(&self, journal_key: &Key<32>) -> Result<Option<u64>, MigrateError> {
        let (mut chain, mut sealed) = (Chain::default(), None);
        for (number, payload) in self.journal.records().iter().enumerate() {
            let (_, seal, json) = parts(payload).expect("what was read was found to be whole");
            chain = chain.after(&self.key, seal, json);
            if *seal == NO_SEAL {
                continue;
            }
            if !is_equal(seal, &seal_of(journal_key, &chain.transcript)) {
                return Err(self.forged(number as u64, "its seal was not made by this vault"));
            }
            sealed = Some(number as u64);
        }
        Ok(sealed)
    }

    /// Whether reaching `state` was recorded, and confirmed by the vault's key.
    pub fn is_sealed(&self, state: State, journal_key: &Key<32>) -> Result<bool, MigrateError> {
        let sealed = self.check_seal(journal_key)?;
        let reached = self.last(state, Mark::Done);
        Ok(reached.is_some_and(|record| sealed.is_some_and(|sealed| record.seq <= sealed)))
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

const NO_SEAL: [u8; 32] = [0; 32];

impl Chain {
    fn after(self, key: &Key<32>, seal: &[u8; 32], json: &[u8]) -> Self {
        let mac = hmac_sha256(key.expose(), &[&self.mac[..], seal, json].concat());
        Self { mac, transcript: self.transcript_with(json) }
    }

    fn transcript_with(self, json: &[u8]) -> [u8; 32] {
        Sha256::of(&[self.transcript, Sha256::of(json)].concat())
    }
}

/// MAC, seal and JSON.
fn parts(payload: &[u8]) -> Option<(&[u8; 32], &[u8; 32], &[u8])> {
    let (mac, rest) = payload.split_first_chunk()?;
    let (seal, json) = rest.split_first_chunk()?;
    Some((mac, seal, json))
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
        let (mac, seal, json) = parts(payload).ok_or_else(|| forged("it is too short"))?;
        let message = [&chain.mac[..], seal, json].concat();
        check_hmac_sha256(key.expose(), &message, mac).map_err(|_| forged("it was not written by this migration"))?;
        let record: Record = serde_json::from_slice(json).map_err(|_| forged("another version wrote it"))?;
        if record.seq != number as u64 {
            return Err(forged("it has another number"));
        }
        chain = chain.after(key, seal, json);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::MigrationId;

    fn moment() -> Moment {
        Moment { time: Timestamp::UNIX_EPOCH, boot_id: "this start".into() }
    }

    fn place(state: &Path) -> Place {
        Place::of(state, MigrationId([1; 8])).draft(b"{}").unwrap().settle().unwrap()
    }

    fn written(place: &Place) -> Ledger {
        let mut ledger = Ledger::create(place).unwrap();
        for state in [State::Planned, State::Ready, State::BackedUp] {
            ledger.append(state, Mark::Intent, &json!({"n": 0.1}), moment()).unwrap();
            ledger.append(state, Mark::Done, &json!({"is": format!("{state:?}")}), moment()).unwrap();
        }
        ledger
    }

    /// Writes these payloads as a journal, whole as far as checksums go.
    fn rewritten(place: &Place, payloads: &[Vec<u8>]) {
        fs::remove_file(place.journal()).unwrap();
        let mut journal = Journal::create(&place.journal()).unwrap();
        payloads.iter().for_each(|payload| journal.append(payload).unwrap());
    }

    fn payloads(place: &Place) -> Vec<Vec<u8>> {
        Journal::read(&place.journal()).unwrap().unwrap()
    }

    #[test]
    fn what_was_recorded_is_read_again_and_added_to() {
        let state = tempfile::tempdir().unwrap();
        let place = place(state.path());
        drop(written(&place));
        let mut ledger = Ledger::open(&place).unwrap();
        assert_eq!((ledger.records().len(), ledger.state()), (6, State::BackedUp));
        assert_eq!(ledger.fact::<Value>(State::Ready).unwrap()["is"], "Ready");
        ledger.append(State::TargetMade, Mark::Done, &(), moment()).unwrap();
        drop(ledger);
        assert_eq!(Ledger::read(&place).unwrap().len(), 7);
    }

    #[test]
    fn a_record_of_another_hand_is_refused_wherever_it_is() {
        let state = tempfile::tempdir().unwrap();
        let place = place(state.path());
        drop(written(&place));
        let honest = payloads(&place);
        for number in 0..honest.len() {
            for at in [0, 31, 32, 63, 64, honest[number].len() - 2] {
                let mut forged = honest.clone();
                forged[number][at] ^= 1;
                rewritten(&place, &forged);
                let refused = Ledger::open(&place);
                assert!(matches!(refused, Err(MigrateError::Forged { record, .. }) if record == number as u64));
            }
        }
    }

    #[test]
    fn records_that_are_left_out_or_change_places_are_refused() {
        let state = tempfile::tempdir().unwrap();
        let place = place(state.path());
        drop(written(&place));
        let honest = payloads(&place);
        let mut without = honest.clone();
        without.remove(2);
        let mut swapped = honest.clone();
        swapped.swap(1, 2);
        for forged in [without, swapped, honest[1..].to_vec()] {
            rewritten(&place, &forged);
            assert!(matches!(Ledger::open(&place), Err(MigrateError::Forged { .. })));
        }
    }

    #[test]
    fn a_journal_under_another_key_is_refused() {
        let state = tempfile::tempdir().unwrap();
        let place = place(state.path());
        drop(written(&place));
        write_private(&place.key(), &[9; 32]).unwrap();
        assert!(matches!(Ledger::open(&place), Err(MigrateError::Forged { record: 0, .. })));
    }

    #[test]
    fn a_damaged_journal_is_told_apart_from_a_torn_one() {
        let state = tempfile::tempdir().unwrap();
        let place = place(state.path());
        drop(written(&place));
        let whole = fs::read(place.journal()).unwrap();
        fs::write(place.journal(), &whole[..whole.len() - 20]).unwrap();
        let torn = Ledger::open(&place).unwrap();
        assert!(torn.was_torn() && torn.records().len() == 5);
        drop(torn);
        let mut damaged = whole;
        damaged[100] ^= 1;
        fs::write(place.journal(), &damaged).unwrap();
        assert!(matches!(Ledger::open(&place), Err(MigrateError::Forged { record: 0, .. })));
    }

    #[test]
    fn only_who_opens_the_vault_can_seal() {
        let state = tempfile::tempdir().unwrap();
        let place = place(state.path());
        let mut ledger = written(&place);
        let (vault, other) = (Key::new(&[5; 32]), Key::new(&[6; 32]));
        assert_eq!(ledger.check_seal(&vault).unwrap(), None);
        ledger.append_sealed(State::Cutover, Mark::Done, &(), moment(), &vault).unwrap();
        assert_eq!(ledger.check_seal(&vault).unwrap(), Some(6));
        assert!(ledger.is_sealed(State::Cutover, &vault).unwrap());
        assert!(matches!(ledger.check_seal(&other), Err(MigrateError::Forged { record: 6, .. })));
        ledger.append(State::Soak, Mark::Done, &(), moment()).unwrap();
        assert!(!ledger.is_sealed(State::Soak, &vault).unwrap(), "it came after the seal");
        ledger.seal(&vault, moment()).unwrap();
        assert!(ledger.is_sealed(State::Soak, &vault).unwrap());
        assert_eq!(ledger.state(), State::Soak);
    }

    #[test]
    fn who_has_the_key_beside_the_journal_can_rewrite_it_but_not_seal_it() {
        let state = tempfile::tempdir().unwrap();
        let place = place(state.path());
        let vault = Key::new(&[5; 32]);
        let mut ledger = written(&place);
        ledger.append_sealed(State::Cutover, Mark::Done, &(), moment(), &vault).unwrap();
        let seal = *parts(&payloads(&place)[6]).unwrap().1;
        drop(ledger);
        // Another past, with a right chain of MACs, and the seal of the true one.
        fs::remove_file(place.journal()).unwrap();
        let mut forged = Ledger::create(&place).unwrap();
        forged.append(State::Soak, Mark::Done, &(), moment()).unwrap();
        let json = b"{}".to_vec();
        let next = forged.chain.after(&forged.key, &seal, &json);
        forged.journal.append(&[&next.mac[..], &seal, &json].concat()).unwrap();
        assert!(matches!(forged.check_seal(&vault), Err(MigrateError::Forged { record: 1, .. })));
    }

    #[test]
    fn a_journal_that_was_put_back_is_older_than_its_mark() {
        let state = tempfile::tempdir().unwrap();
        let place = place(state.path());
        let mark = state.path().join("mark");
        let mut ledger = written(&place);
        ledger.keep_mark(&mark).unwrap();
        drop(ledger);
        let old = fs::read(place.journal()).unwrap();
        let mut ledger = Ledger::open(&place).unwrap();
        ledger.keep_mark(&mark).unwrap();
        ledger.append(State::Cutover, Mark::Done, &(), moment()).unwrap();
        drop(ledger);
        fs::write(place.journal(), old).unwrap();
        let mut put_back = Ledger::open(&place).unwrap();
        assert!(matches!(put_back.keep_mark(&mark), Err(MigrateError::Forged { record: 6, .. })));
    }

    #[test]
    fn a_mark_that_was_not_written_before_the_power_went_is_written_then() {
        let state = tempfile::tempdir().unwrap();
        let place = place(state.path());
        let mark = state.path().join("mark");
        let mut ledger = written(&place);
        ledger.keep_mark(&mark).unwrap();
        let before = fs::read(&mark).unwrap();
        ledger.append(State::TargetMade, Mark::Done, &(), moment()).unwrap();
        let after = fs::read(&mark).unwrap();
        drop(ledger);
        fs::write(&mark, before).unwrap();
        Ledger::open(&place).unwrap().keep_mark(&mark).unwrap();
        assert_eq!(fs::read(&mark).unwrap(), after);
    }
}
