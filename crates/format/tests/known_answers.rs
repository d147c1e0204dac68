//! Exact bytes, produced with gocryptfs: `known-answers.json`.
#![allow(missing_docs)]

mod common;

use common::{Fixed, MODES, ciphers, file_id};
use serde_json::Value;
use sha2::{Digest, Sha256};
use strongroom_crypto::{hkdf_sha256, scrypt};
use strongroom_format::{DirIv, FileHeader, MasterKey, Superblock, SuperblockError};
use strongroom_secret::Passphrase;

#[test]
fn sub_keys_are_derived_as_in_gocryptfs() {
    let answers = answers();
    let master = hex(&answers["masterkey"]);
    let cases = answers["hkdf"].as_object().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases.values() {
        let mut out = vec![0; case["len"].as_u64().unwrap() as usize];
        hkdf_sha256(&master, text(&case["info"]).as_bytes(), &mut out);
        assert_eq!(out, hex(&case["out"]), "{}", case["info"]);
    }
}

#[test]
fn names_are_encrypted_as_in_gocryptfs() {
    let answers = answers();
    let iv = DirIv::parse(&hex(&answers["diriv"])).unwrap();
    let raw = volume(&answers, &["HKDF", "GCMIV128", "DirIV", "EMENames", "LongNames", "Raw64"]).names;
    let padded = volume(&answers, &["HKDF", "GCMIV128", "DirIV", "EMENames", "LongNames"]).names;
    let legacy = volume(&answers, &["GCMIV128", "DirIV", "EMENames", "LongNames"]).names;
    let deterministic = volume(&answers, &["HKDF", "GCMIV128", "EMENames", "LongNames", "Raw64"]).names;
    let cases = answers["names"].as_array().unwrap();
    assert_eq!(cases.len(), 9);
    for case in cases {
        let plain = hex(&case["plain_hex"]);
        for (names, iv, encoded, disk) in [
            (&raw, &iv, "raw64", Some("disk_name_raw64")),
            (&padded, &iv, "padded64", Some("disk_name_padded64")),
            (&legacy, &iv, "legacy_no_hkdf_padded64", None),
            (&deterministic, &DirIv::ZERO, "raw64_zero_iv(deterministic)", None),
        ] {
            let encoded = text(&case[encoded]).as_bytes();
            let stored = names.encrypt(iv, &plain).unwrap();
            match stored.name_file() {
                Some((name, content)) => {
                    assert_eq!(name, [stored.disk(), b".name"].concat());
                    assert_eq!(content, encoded);
                    assert!(names.name_file_matches(stored.disk(), content));
                }
                None => assert_eq!(stored.disk(), encoded),
            }
            if let Some(disk) = disk {
                assert_eq!(stored.disk(), text(&case[disk]).as_bytes());
            }
            assert_eq!(names.decrypt(iv, encoded).unwrap(), plain);
        }
    }
}

#[test]
fn attribute_names_are_encrypted_as_in_gocryptfs() {
    let answers = answers();
    let raw = volume(&answers, &["HKDF", "GCMIV128", "DirIV", "EMENames", "LongNames", "Raw64"]).xattrs;
    let plaintext_names = volume(&answers, &["HKDF", "GCMIV128", "PlaintextNames"]).xattrs;
    let cases = answers["xattr_names"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let plain = text(&case["plain"]).as_bytes();
        for (xattrs, disk) in [(&raw, "raw64"), (&plaintext_names, "padded64 (PlaintextNames volumes)")] {
            let disk = text(&case[disk]).as_bytes();
            assert_eq!(xattrs.encrypt_name(plain).unwrap(), disk);
            assert_eq!(xattrs.decrypt_name(disk).unwrap().unwrap(), plain);
        }
    }
}

#[test]
fn blocks_are_sealed_as_in_gocryptfs() {
    let answers = answers();
    let id = file_id(&hex(&answers["file_id"]).try_into().unwrap());
    let ramp: Vec<u8> = (0..4096u32).map(|i| (i % 251) as u8).collect();
    for (mode, flags) in MODES {
        let case = &answers["blocks"][mode];
        let content = volume(&answers, flags).content;
        let random = Fixed(hex(&case["nonce"]));
        let seal = |block, plain: &[u8]| {
            let mut out = vec![0; plain.len() + content.geometry().overhead() as usize];
            assert_eq!(content.seal_blocks(&id, block, plain, &random, &mut out), out.len());
            let mut back = vec![0; plain.len()];
            assert_eq!(content.open_blocks(&id, block, &out, &mut back), Ok(plain.len()));
            assert_eq!(back, plain);
            out
        };
        assert_eq!(seal(0, b"x"), hex(&case["block0 pt=\"x\" ondisk"]), "{mode}");
        assert_eq!(seal(7, b"hello world"), hex(&case["block7 pt=\"hello world\" ondisk"]), "{mode}");
        let hash = Sha256::digest(seal(1, &ramp));
        assert_eq!(hash[..], hex(&case["block1 4096B(i%251) sha256(ondisk)"]), "{mode}");
        let file = [&FileHeader::encode(&id)[..], &seal(0, b"x")].concat();
        assert_eq!(file, hex(&case["file \"x\" complete"]), "{mode}");
        // Many at a time take another road with AES-SIV; the nonces are equal here, being fixed.
        let many = [&ramp[..], &ramp, &ramp].concat();
        let cipher_block = content.geometry().cipher_block() as usize;
        let sealed = {
            let mut out = vec![0; 3 * cipher_block];
            content.seal_blocks(&id, 0, &many, &random, &mut out);
            out
        };
        let hash = Sha256::digest(&sealed[cipher_block..2 * cipher_block]);
        assert_eq!(hash[..], hex(&case["block1 4096B(i%251) sha256(ondisk)"]), "{mode}, among others");
    }
}

#[test]
fn values_and_symlinks_are_sealed_as_in_gocryptfs() {
    let answers = answers();
    for (mode, flags) in MODES {
        let case = &answers["blocks"][mode];
        let content = volume(&answers, flags).content;
        let random = Fixed(hex(&case["nonce"]));
        let value = hex(&case["aad-only-8-zero-bytes pt=\"/a/b/c/d\" ondisk (symlink/xattr form)"]);
        assert_eq!(content.seal_value(b"/a/b/c/d", &random), value, "{mode}");
        assert_eq!(content.open_value(&value).unwrap(), b"/a/b/c/d");
        let link = text(&case["symlink_raw64"]).as_bytes();
        assert_eq!(content.seal_symlink(b"/a/b/c/d", &random), link, "{mode}");
        assert_eq!(content.open_symlink(link).unwrap(), b"/a/b/c/d");
    }
}

#[test]
fn sizes_are_those_of_gocryptfs() {
    let answers = answers();
    for (mode, flags) in MODES {
        let case = &answers["blocks"][mode];
        let geometry = volume(&answers, flags).content.geometry();
        assert_eq!(geometry.cipher_block(), case["cipher_block_size"].as_u64().unwrap());
        let to_cipher = case["sizes plain->cipher"].as_object().unwrap();
        let to_plain = case["sizes cipher->plain"].as_object().unwrap();
        assert!(to_cipher.len() == 9 && to_plain.len() == 13);
        for (plain, cipher) in to_cipher {
            assert_eq!(geometry.cipher_size(plain.parse().unwrap()), cipher.as_u64().unwrap(), "{mode} {plain}");
        }
        for (cipher, plain) in to_plain {
            assert_eq!(geometry.plain_size(cipher.parse().unwrap()), plain.as_u64().unwrap(), "{mode} {cipher}");
        }
    }
}

#[test]
fn the_master_key_is_wrapped_as_in_gocryptfs() {
    let answers = answers();
    let master = MasterKey::from_bytes(&hex(&answers["masterkey"]).try_into().unwrap());
    for (case, flags) in [("hkdf", r#""HKDF","GCMIV128""#), ("no_hkdf", r#""GCMIV128""#)] {
        let case = &answers["masterkey_wrap"][case];
        let salt = hex(&case["scrypt_salt"]);
        let mut stretched = [0; 32];
        scrypt(text(&case["password"]).as_bytes(), &salt, 10, 8, 1, &mut stretched).unwrap();
        assert_eq!(stretched[..], hex(&case["scrypt_out"]));

        let conf = format!(
            r#"{{"Creator":"x","EncryptedKey":"{}","Version":2,"FeatureFlags":[{flags},"PlaintextNames"],
                "ScryptObject":{{"Salt":"{}","N":1024,"R":8,"P":1,"KeyLen":32}}}}"#,
            text(&case["EncryptedKey_b64"]),
            common::base64(&salt),
        );
        let superblock = Superblock::parse(conf.as_bytes()).unwrap();
        assert_eq!(superblock.encrypted_key_len() as u64, case["len"].as_u64().unwrap());
        let pass = Passphrase::new(text(&case["password"]).into());
        let unlocked = superblock.unlock(&pass).unwrap();
        assert_eq!(unlocked.to_hex_groups(), master.to_hex_groups());
        let wrong = Passphrase::new(b"tesT".to_vec());
        assert!(matches!(superblock.unlock(&wrong), Err(SuperblockError::WrongPassphrase)));

        // Wrapped again with the salt and the nonce of the answer, every byte is the same.
        let mut again = superblock.clone();
        again.rewrap(&master, &pass, &Script::new([salt, hex(&case["nonce"])])).unwrap();
        assert_eq!(again.to_json(), superblock.to_json());
    }
}

#[test]
fn the_worked_bytes_of_the_document_are_these() {
    let document = include_str!("../../../docs/FORMAT.md");
    let answers = include_str!("known-answers.json");
    let quoted: Vec<_> = (document.split('`').skip(1).step_by(2))
        .filter(|text| text.len() >= 22 && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_=.".contains(c)))
        .filter(|text| text.chars().any(|c| c.is_ascii_digit()) && !text.contains("Poly1305"))
        .collect();
    assert!(quoted.len() >= 30, "only {} were found", quoted.len());
    for text in quoted {
        assert!(answers.contains(text), "{text} is not among the known answers");
    }
    let conf = document.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let superblock = Superblock::parse(conf.as_bytes()).unwrap();
    assert_eq!(superblock.to_json(), conf.as_bytes());
    let master = superblock.unlock(&Passphrase::new(b"test".to_vec())).unwrap();
    assert_eq!(master.to_hex_groups().replace('-', ""), text(&self::answers()["masterkey"]));
}

/// Gives one thing after the other.
struct Script(std::sync::Mutex<Vec<Vec<u8>>>);

impl Script {
    fn new(parts: [Vec<u8>; 2]) -> Self {
        Self(std::sync::Mutex::new(parts.into_iter().rev().collect()))
    }
}

impl strongroom_crypto::Random for Script {
    fn fill(&self, out: &mut [u8]) {
        out.copy_from_slice(&self.0.lock().unwrap().pop().unwrap());
    }
}

fn volume(answers: &Value, flags: &[&str]) -> strongroom_format::Ciphers {
    ciphers(&hex(&answers["masterkey"]).try_into().unwrap(), flags, 0)
}

fn answers() -> Value {
    serde_json::from_str(include_str!("known-answers.json")).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let digits: Vec<_> = text(value).chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
