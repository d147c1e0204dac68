//! A manifest survives being cut off anywhere, and is refused if it is damaged.

use std::fs;

use strongroom_crypto::Key;
use strongroom_tree::{Filter, Known, Manifest, ManifestError, Source};

use crate::mirror::{Setting, differences, key};
use crate::sample::{fill, path};

fn known(manifest: &Manifest) -> Vec<Known> {
    manifest.iter().cloned().collect()
}

/// A manifest of some rounds, and its bytes.
fn written() -> (Setting, Vec<u8>) {
    let mut setting = Setting::new();
    let (source, replica) = (setting.tree(), setting.replica());
    for number in 0..12 {
        fs::write(setting.source().join(number.to_string()), vec![1; number]).unwrap();
        fs::hard_link(setting.source().join(number.to_string()), setting.source().join(format!("other{number}")))
            .unwrap();
    }
    setting.round(&source, &replica).unwrap();
    fs::remove_file(setting.source().join("3")).unwrap();
    fs::write(setting.source().join("4"), b"changed").unwrap();
    setting.round(&source, &replica).unwrap();
    let bytes = fs::read(setting.manifest.path()).unwrap();
    (setting, bytes)
}

#[test]
fn cut_off_at_every_byte_it_opens_and_the_mirror_comes_to_the_same_end() {
    let (mut setting, bytes) = written();
    let (source, at) = (setting.tree(), setting.dir.path().join("cut"));
    let whole = setting.manifest.fingerprint();
    let mut seen = std::collections::BTreeSet::new();
    for len in 0..bytes.len() {
        fs::write(&at, &bytes[..len]).unwrap();
        setting.manifest = Manifest::open(&at, &key()).unwrap_or_else(|error| panic!("cut at {len}: {error}"));
        // Rounds are made from as many states as there are, once from each.
        if !seen.insert((setting.manifest.len(), setting.manifest.doubtful().count())) {
            continue;
        }
        let replica = setting.replica();
        setting.round(&source, &replica).unwrap();
        assert_eq!(differences(&source, &replica), [], "cut at {len}");
        assert_eq!(setting.manifest.fingerprint(), whole, "cut at {len}");
    }
    assert!(seen.len() > 6, "{seen:?}");
}

#[test]
fn zeros_or_garbage_in_place_of_the_last_record_are_its_torn_end() {
    let (setting, bytes) = written();
    let at = setting.dir.path().join("torn");
    for garbage in [0, 0xaa] {
        let torn = [bytes.as_slice(), &vec![garbage; 5000]].concat();
        fs::write(&at, &torn).unwrap();
        let opened = Manifest::open(&at, &key()).unwrap();
        assert_eq!(known(&opened), known(&setting.manifest));
        assert_eq!(fs::read(&at).unwrap(), bytes, "it is cut off");
    }
}

#[test]
fn a_flipped_bit_before_the_end_is_damage() {
    let (setting, bytes) = written();
    let at = setting.dir.path().join("damaged");
    for place in (32..bytes.len() - 1000).step_by(37) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x10;
        fs::write(&at, &damaged).unwrap();
        match Manifest::open(&at, &key()) {
            Err(ManifestError::Damaged { .. }) => {}
            // Padding is nothing.
            Ok(opened) => assert_eq!(known(&opened), known(&setting.manifest), "byte {place}"),
            Err(error) => panic!("byte {place}: {error}"),
        }
    }
}

#[test]
fn another_key_opens_nothing() {
    let (setting, _) = written();
    let other = Manifest::open(setting.manifest.path(), &Key::new(&[8; 32]));
    assert!(matches!(other, Err(ManifestError::NotAManifest { .. })));
    fs::write(setting.dir.path().join("text"), "some text that is longer than the head of a manifest").unwrap();
    let text = Manifest::open(&setting.dir.path().join("text"), &key());
    assert!(matches!(text, Err(ManifestError::NotAManifest { .. })));
}

#[test]
fn it_is_the_same_after_it_was_written_anew_and_smaller() {
    let (mut setting, bytes) = written();
    let (before, fingerprint) = (known(&setting.manifest), setting.manifest.fingerprint());
    setting.manifest.compact().unwrap();
    assert!(fs::read(setting.manifest.path()).unwrap().len() < bytes.len());
    setting.manifest.unsettle_all().unwrap();
    setting.reopen();
    assert_eq!((known(&setting.manifest), setting.manifest.fingerprint()), (before, fingerprint));
}

#[test]
fn an_entry_takes_about_300_bytes() {
    let mut setting = Setting::new();
    setting.batch_entries = 1000;
    fill(&setting.source());
    for number in 0..2000 {
        fs::write(setting.source().join(format!("a file with quite a usual name {number}")), b"x").unwrap();
    }
    let (source, replica) = (setting.tree(), setting.replica());
    setting.round(&source, &replica).unwrap();
    let len = fs::metadata(setting.manifest.path()).unwrap().len();
    let entries = source.entries(&Filter::everything()).count() as u64;
    assert!(len / entries < 300, "{} bytes an entry", len / entries);
    assert!(setting.manifest.get(&path("a file with quite a usual name 7")).unwrap().digest.is_some());
}
