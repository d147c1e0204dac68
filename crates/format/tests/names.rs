//! Names: every name has one form on disk, and every form on disk stands for one name or none.
#![allow(missing_docs)]

mod common;

use common::{MODES, ciphers};
use proptest::prelude::*;
use strongroom_format::{Classified, DirIv, NameCipher, NameError, XattrCipher};

const DEFAULT: &[&str] = MODES[0].1;
const PADDED: &[&str] = &["HKDF", "GCMIV128", "DirIV", "EMENames", "LongNames"];
const DETERMINISTIC: &[&str] = &["HKDF", "GCMIV128", "EMENames", "LongNames", "Raw64"];
const PLAINTEXT: &[&str] = &["HKDF", "GCMIV128", "PlaintextNames"];
const SHORT: &[&str] = &["HKDF", "GCMIV128", "DirIV", "LongNameMax", "EMENames", "LongNames", "Raw64"];

fn names(flags: &[&str]) -> NameCipher {
    ciphers(&[8; 32], flags, 0).names
}

fn iv(byte: u8) -> DirIv {
    DirIv::parse(&[byte; 16]).unwrap()
}

fn valid_name() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>().prop_filter("no separator", |byte| !matches!(byte, 0 | b'/')), 1..=255)
        .prop_filter("no dots", |name| !matches!(&name[..], b"." | b".."))
}

proptest! {
    #[test]
    fn a_name_comes_back(name in valid_name(), byte in 1u8..) {
        for flags in [DEFAULT, PADDED, DETERMINISTIC, PLAINTEXT] {
            let names = names(flags);
            let stored = names.encrypt(&iv(byte), &name).unwrap();
            assert!(stored.disk().len() <= 255);
            let class = if stored.is_long() { Classified::LongContent } else { Classified::Ordinary };
            assert_eq!(names.classify(stored.disk(), true), class);
            match stored.name_file() {
                Some((file, encoded)) => {
                    assert_eq!(names.classify(&file, true), Classified::LongNameFile);
                    assert_eq!(names.name_file_of(stored.disk()), file);
                    assert!(encoded.len() <= NameCipher::MAX_NAME_FILE);
                    assert_eq!(names.decrypt(&iv(byte), encoded).unwrap(), name);
                }
                None => assert_eq!(names.decrypt(&iv(byte), stored.disk()).unwrap(), name),
            }
        }
    }

    #[test]
    fn a_changed_stored_name_never_stands_for_the_same_name(name in valid_name(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for flags in [DEFAULT, PADDED] {
            let names = names(flags);
            let stored = names.encrypt(&iv(1), &name).unwrap();
            let mut encoded = stored.name_file().map_or(stored.disk().to_vec(), |(_, encoded)| encoded.to_vec());
            let at = at.index(encoded.len());
            if encoded[at] != byte {
                encoded[at] = byte;
                assert_ne!(names.decrypt(&iv(1), &encoded), Ok(name.clone()));
            }
        }
    }

    #[test]
    fn an_attribute_name_comes_back(name in prop::collection::vec(1u8.., 1..=255)) {
        for flags in [DEFAULT, PLAINTEXT] {
            let xattrs = ciphers(&[8; 32], flags, 0).xattrs;
            let disk = xattrs.encrypt_name(&name).unwrap();
            assert!(disk.starts_with(b"user.gocryptfs."));
            assert_eq!(xattrs.decrypt_name(&disk), Some(Ok(name.clone())));
        }
    }
}

#[test]
fn equal_names_look_different_in_different_directories_unless_deterministic() {
    let encrypted = names(DEFAULT);
    assert_ne!(encrypted.encrypt(&iv(1), b"a").unwrap(), encrypted.encrypt(&iv(2), b"a").unwrap());
    let one = encrypted.encrypt(&iv(1), b"a").unwrap();
    assert!(matches!(encrypted.decrypt(&iv(2), one.disk()), Err(NameError::Padding)));
    assert!(encrypted.uses_dir_iv() && !names(DETERMINISTIC).uses_dir_iv() && !names(PLAINTEXT).uses_dir_iv());
    assert!(names(PLAINTEXT).is_plaintext() && !encrypted.is_plaintext());
}

#[test]
fn names_are_hashed_from_176_bytes_or_from_where_the_volume_says() {
    for (flags, max, last_short) in [(DEFAULT, 0, 175), (PADDED, 0, 175), (SHORT, 100, 63), (SHORT, 62, 31)] {
        let names = ciphers(&[8; 32], flags, max).names;
        for len in 1..=255 {
            let stored = names.encrypt(&iv(1), &vec![b'n'; len]).unwrap();
            assert_eq!(stored.is_long(), len > last_short, "{len} bytes with LongNameMax {max}");
        }
    }
}

#[test]
fn names_that_cannot_be_entries_are_refused() {
    for flags in [DEFAULT, DETERMINISTIC, PLAINTEXT] {
        let names = names(flags);
        for bad in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b", b"\0"] {
            assert_eq!(names.encrypt(&iv(1), bad), Err(NameError::Invalid));
        }
        assert_eq!(names.encrypt(&iv(1), &[b'x'; 256]), Err(NameError::TooLong));
        assert_eq!(names.encrypt(&iv(1), &[b'x'; 70_000]), Err(NameError::TooLong));
        assert!(names.encrypt(&iv(1), b"...").is_ok());
        assert!(names.encrypt(&iv(1), b"gocryptfs.conf").is_ok());
    }
}

#[test]
fn a_stored_name_has_one_spelling() {
    let raw = names(DEFAULT);
    let disk = raw.encrypt(&iv(1), b"name").unwrap().into_disk();
    for (at, insert) in [(disk.len(), "="), (disk.len(), "=="), (4, "\n"), (0, "\r"), (disk.len(), "\n"), (2, " ")] {
        let mut other = disk.clone();
        other.splice(at..at, insert.bytes());
        assert!(matches!(raw.decrypt(&iv(1), &other), Err(NameError::NotBase64 | NameError::Length)), "{insert:?}");
    }
    // 16 bytes are 22 characters, the last of which has four bits to spare.
    let mut stray = disk.clone();
    let last = stray.last_mut().unwrap();
    *last = if *last == b'Q' { b'R' } else { *last + 1 };
    assert_eq!(raw.decrypt(&iv(1), &stray), Err(NameError::NotBase64));
    let padded = names(PADDED);
    assert_eq!(padded.decrypt(&iv(1), &disk), Err(NameError::NotBase64));
    assert_eq!(padded.decrypt(&iv(1), &[&disk[..], b"=="].concat()).unwrap(), b"name");
}

#[test]
fn stored_names_of_odd_lengths_are_refused() {
    let names = names(DEFAULT);
    for (text, why) in [
        (String::new(), NameError::Length),
        ("AAAA".into(), NameError::Length),
        ("A".repeat(4 * 16), NameError::Padding),
        ("A".repeat(344), NameError::Length),
        ("A".repeat(4000), NameError::Length),
        ("gocryptfs.diriv.rmdir.123".into(), NameError::NotBase64),
        ("gocryptfs.conf.tmp".into(), NameError::NotBase64),
    ] {
        assert_eq!(names.decrypt(&iv(1), text.as_bytes()), Err(why), "{text}");
    }
}

#[test]
fn files_of_the_format_are_recognised() {
    let (encrypted, deterministic, plaintext) = (names(DEFAULT), names(DETERMINISTIC), names(PLAINTEXT));
    use Classified::*;
    for (disk, is_root, classes) in [
        ("gocryptfs.conf", true, [Reserved, Reserved, Reserved]),
        ("gocryptfs.conf", false, [Ordinary; 3]),
        ("gocryptfs.diriv", true, [Reserved, Ordinary, Ordinary]),
        ("gocryptfs.diriv", false, [Reserved, Ordinary, Ordinary]),
        ("gocryptfs.longname.x", false, [LongContent, LongContent, Ordinary]),
        ("gocryptfs.longname.x.name", false, [LongNameFile, LongNameFile, Ordinary]),
        ("gocryptfs.longname.", false, [LongContent, LongContent, Ordinary]),
        ("KQHWrumEfTjoVrcsve3l3Q", false, [Ordinary; 3]),
    ] {
        let found = [&encrypted, &deterministic, &plaintext].map(|names| names.classify(disk.as_bytes(), is_root));
        assert_eq!(found, classes, "{disk}");
    }
}

#[test]
fn a_name_file_of_another_entry_is_told_apart() {
    let names = names(DEFAULT);
    let (one, other) = (names.encrypt(&iv(1), &[b'a'; 200]).unwrap(), names.encrypt(&iv(1), &[b'b'; 200]).unwrap());
    assert!(names.name_file_matches(one.disk(), one.name_file().unwrap().1));
    assert!(!names.name_file_matches(one.disk(), other.name_file().unwrap().1));
}

#[test]
fn attribute_names_that_are_not_ours_or_never_encrypted_are_told_apart() {
    let xattrs = ciphers(&[8; 32], DEFAULT, 0).xattrs;
    for foreign in [&b"user.foo"[..], b"security.selinux", b"user.gocryptfs", b"system.posix_acl_access"] {
        assert_eq!(xattrs.decrypt_name(foreign), None);
    }
    assert_eq!(xattrs.decrypt_name(b"user.gocryptfs.???"), Some(Err(NameError::NotBase64)));
    for acl in [&b"system.posix_acl_access"[..], b"system.posix_acl_default"] {
        assert!(XattrCipher::passes_through(acl));
        assert_eq!(xattrs.decrypt_name(&xattrs.encrypt_name(acl).unwrap()), Some(Err(NameError::PassedThrough)));
    }
    assert_eq!(xattrs.encrypt_name(b""), Err(NameError::Invalid));
    assert_eq!(xattrs.encrypt_name(b"a\0b"), Err(NameError::Invalid));
    assert_eq!(xattrs.encrypt_name(&[b'x'; 256]), Err(NameError::TooLong));
    assert!(xattrs.encrypt_name(b"user.with/slash").is_ok());
}
