//! A tar stream that says something else than the index, or more.

use serde_json::json;
use strongroom_archive::ArchiveError;

use crate::forge::{Parts, check, written};

#[test]
fn no_byte_of_the_tar_stream_can_be_changed_unnoticed() {
    let parts = Parts::good();
    assert_eq!(parts.frames.len(), 2, "the entries, and the end");
    let mut accepted = Vec::new();
    for n in 0..2 {
        // Every seventh, or it takes a minute: over all entries each field is hit somewhere.
        for at in (0..parts.frames[n].len()).step_by(7) {
            let mut parts = parts.clone();
            parts.frames[n][at] ^= 1 << (at % 8);
            parts.tell_frames();
            // The checksum of a header may be written in more than one way.
            if check(&parts.bytes()).is_ok() && !(148..156).contains(&(at % 512)) {
                accepted.push((n, at / 512, at % 512));
            }
        }
    }
    assert!(accepted.is_empty(), "{accepted:?}");
}

#[test]
fn a_member_that_the_index_does_not_list_is_refused_wherever_it_is() {
    let good = Parts::good();
    let first = good.frames[0].clone();
    let ends: Vec<usize> = {
        let mut parts = good.clone();
        ["a-file", "b-dir", "g-empty"].map(|path| parts.header(path)).to_vec()
    };
    // A whole member, taken from the archive itself.
    let mut parts = good.clone();
    let (at, len) = (parts.header("g-empty"), parts.entry("g-empty")["at"][2].as_u64().unwrap() as usize);
    let stowaway = first[at..at + len].to_vec();
    for end in ends.into_iter().chain([0, first.len()]) {
        let mut parts = good.clone();
        parts.frames[0].splice(end..end, stowaway.clone());
        parts.tell_frames();
        assert!(check(&parts.bytes()).is_err(), "at {end}");
    }
    let mut behind = good.clone();
    behind.frames.push([stowaway, vec![0; 1024]].concat());
    behind.tell_frames();
    assert!(check(&behind.bytes()).is_err());
}

#[test]
fn two_files_cannot_change_places() {
    let mut parts = Parts::good();
    let [one, two] = ["a-file", "b-dir/inner"].map(|path| parts.entry(path)["at"].clone());
    parts.entry("a-file")["at"] = two;
    parts.entry("b-dir/inner")["at"] = one;
    assert!(check(&parts.bytes()).is_err());
}

#[test]
fn two_files_cannot_share_a_member() {
    let mut parts = Parts::good();
    let one = parts.entry("a-file").clone();
    for field in ["at", "sha256", "size"] {
        parts.entry("b-dir/inner")[field] = one[field].clone();
    }
    assert!(check(&parts.bytes()).is_err());
}

#[test]
fn the_end_of_the_tar_stream_must_be_whole_and_the_last() {
    for (n, change) in [
        |tar: &mut Vec<u8>| tar.truncate(tar.len() - 512),
        |tar: &mut Vec<u8>| tar.truncate(tar.len() - 1024),
        |tar: &mut Vec<u8>| tar.extend_from_slice(&[0; 512]),
        |tar: &mut Vec<u8>| tar.extend_from_slice(&[1; 512]),
        |tar: &mut Vec<u8>| tar.drain(..1024).for_each(drop),
    ]
    .into_iter()
    .enumerate()
    {
        let mut parts = Parts::good();
        change(&mut parts.frames[1]);
        parts.tell_frames();
        assert!(check(&parts.bytes()).is_err(), "change {n}");
    }
}

#[test]
fn metadata_inside_and_before_must_be_the_same() {
    let mut parts = Parts::good();
    parts.line("head")["head"]["metadata"]["host"] = json!("there");
    assert!(check(&parts.bytes()).is_err());
}

#[test]
fn metadata_must_tell_of_the_keys() {
    let refused = check(&written(false)).unwrap_err().to_string();
    assert!(refused.contains("encryption_key.enc"), "{refused}");
}

#[test]
fn a_later_format_is_called_that() {
    let mut parts = Parts::good();
    parts.line("head")["head"]["format"] = json!(2);
    let refused = check(&parts.bytes()).unwrap_err();
    assert!(matches!(refused, ArchiveError::UnknownVersion { found: 2, .. }), "{refused}");
}

#[test]
fn frames_that_overlap_leave_gaps_or_are_not_whole_blocks_are_refused() {
    let good = Parts::good();
    let told = good.clone().line("frames")["frames"].clone();
    let of = |n: usize, m: usize| told[n][m].as_u64().unwrap();
    let (packed, tar) = ([of(0, 0), of(1, 0)], [of(0, 1), of(1, 1)]);
    for lie in [
        json!([[packed[0], tar[0]]]),
        json!([[packed[0] + 1, tar[0]], [packed[1] - 1, tar[1]]]),
        json!([[packed[0], tar[0] + 512], [packed[1], tar[1] - 512]]),
        json!([[packed[0], tar[0] + 1], [packed[1], tar[1] - 1]]),
        json!([[packed[0] + packed[1], tar[0] + tar[1]]]),
        json!([[packed[0], tar[0]], [packed[1], tar[1]], [0, 0]]),
        json!([[0, 0], [packed[0], tar[0]], [packed[1], tar[1]]]),
        json!([[packed[0], u64::MAX - 511], [packed[1], 512]]),
        json!([[u64::MAX, tar[0]], [packed[1], tar[1]]]),
    ] {
        let mut parts = good.clone();
        parts.line("head")["head"]["frames"] = json!(lie.as_array().unwrap().len());
        parts.line("frames")["frames"] = lie.clone();
        assert!(check(&parts.bytes()).is_err(), "{lie}");
    }
}
