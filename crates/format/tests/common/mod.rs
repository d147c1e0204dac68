//! Volumes with a known master key, and randomness that is not random.
#![allow(dead_code, missing_docs)]

use std::sync::atomic::{AtomicU64, Ordering};

use strongroom_crypto::{Random, hkdf_sha256};
use strongroom_format::{Ciphers, FileHeader, FileId, MasterKey, Superblock};

/// The flags of a volume in each content mode, names encrypted: (name, flags).
pub const MODES: [(&str, &[&str]); 5] = [
    ("gcm", &["HKDF", "GCMIV128", "DirIV", "EMENames", "LongNames", "Raw64"]),
    ("siv", &["HKDF", "GCMIV128", "DirIV", "EMENames", "LongNames", "Raw64", "AESSIV"]),
    ("xchacha", &["HKDF", "XChaCha20Poly1305", "DirIV", "EMENames", "LongNames", "Raw64"]),
    ("gcm_legacy", &["GCMIV128", "DirIV", "EMENames", "LongNames", "Raw64"]),
    ("siv_legacy", &["GCMIV128", "DirIV", "EMENames", "LongNames", "Raw64", "AESSIV"]),
];

/// A `gocryptfs.conf` with these flags, its key wrapped in nothing that matters.
pub fn conf(flags: &[&str], long_name_max: u8) -> String {
    let key = if flags.contains(&"HKDF") { 64 } else { 60 };
    let flags: Vec<_> = flags.iter().map(|flag| format!("{flag:?}")).collect();
    format!(
        r#"{{"Creator":"a test","EncryptedKey":"{}","Version":2,"FeatureFlags":[{}],"LongNameMax":{long_name_max},
            "ScryptObject":{{"Salt":"{}","N":1024,"R":8,"P":1,"KeyLen":32}}}}"#,
        base64(&vec![1; key]),
        flags.join(","),
        base64(&[2; 32]),
    )
}

pub fn ciphers(master: &[u8; 32], flags: &[&str], long_name_max: u8) -> Ciphers {
    let superblock = Superblock::parse(conf(flags, long_name_max).as_bytes()).unwrap();
    superblock.ciphers(&MasterKey::from_bytes(master)).unwrap()
}

pub fn file_id(id: &[u8; 16]) -> FileId {
    let mut header = [0; 18];
    header[1] = 2;
    header[2..].copy_from_slice(id);
    FileHeader::decode(&header).unwrap()
}

pub fn base64(bytes: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            match i <= chunk.len() {
                true => text.push(alphabet[(bits >> (18 - 6 * i) & 63) as usize] as char),
                false => text.push('='),
            }
        }
    }
    text
}

/// Gives the same bytes every time, from the start for each call.
pub struct Fixed(pub Vec<u8>);

impl Random for Fixed {
    fn fill(&self, out: &mut [u8]) {
        out.iter_mut().zip(self.0.iter().cycle()).for_each(|(out, byte)| *out = *byte);
    }
}

/// Gives other bytes for each call, the same in each run.
#[derive(Default)]
pub struct Counted(AtomicU64);

impl Random for Counted {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let mut block = [0; 32];
            hkdf_sha256(&self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes(), b"test", &mut block);
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}
