//! Every reader survives arbitrary bytes: the bodies of the fuzz targets, on generated input.

use proptest::prelude::*;
use strongroom_archive::{Algorithm, fuzz};

use crate::made::{make, noise, sealed};

/// Mostly what belongs there, sometimes what does not.
fn mostly(right: &'static str, wrong: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![20 => right, 1 => wrong]
}

fn slot() -> impl Strategy<Value = String> {
    let hostile = (any::<u8>(), any::<u32>(), any::<u32>());
    let scrypt = prop_oneof![8 => (10u8..23, 8u32..9, 1u32..3), 1 => hostile]
        .prop_map(|(log_n, r, p)| format!(r#""kind":"scrypt","log_n":{log_n},"r":{r},"p":{p}"#));
    let pbkdf2 = prop_oneof![8 => 600_000u64..100_000_000, 1 => any::<u64>()]
        .prop_map(|count| format!(r#""kind":"pbkdf2-sha256","iterations":{count}"#));
    let other = Just(r#""kind":"argon2""#.to_owned());
    let kind = prop_oneof![8 => scrypt, 8 => pbkdf2, 1 => other];
    (kind, mostly("[0-9a-f]{64}", "[0-9a-f]{65}"), mostly("[0-9a-f]{96}", "[0-9a-zA-F]{2}"))
        .prop_map(|(kind, salt, wrapped)| format!(r#"{{{kind},"salt":"{salt}","wrapped":"{wrapped}"}}"#))
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_survived(data in prop::collection::vec(any::<u8>(), 0..9000)) {
        fuzz::archive_header(&data);
        fuzz::archive_container(&data);
        fuzz::archive_frame(&data);
    }

    #[test]
    fn arbitrary_headers_of_the_right_shape_are_survived(
        id in mostly("[0-9a-f]{32}", "[0-9a-f]{31}"), parents in prop::collection::vec("[0-9a-f]{32}", 0..4),
        kind in mostly("full|incremental", "odd"), compression in mostly("zstd|gzip|lz4|none", "xz"),
        name in "\\PC{0,20}", salt in mostly("[0-9a-f]{64}", "[0-9a-f]{62}"),
        slots in prop::collection::vec(slot(), 0..6), size in prop_oneof![20 => Just(65536u64), 1 => any::<u64>()],
    ) {
        let quoted = serde_json::to_string(&name).unwrap();
        fuzz::archive_header(format!(
            r#"{{"id":"{id}","created":"","name":{quoted},"kind":"{kind}","parents":{parents:?},"label":null,"later":[1],
            "compression":"{compression}","suite":"AES-256-GCM-STREAM","chunk_size":{size},"salt":"{salt}",
            "slots":[{}]}}"#, slots.join(",")).as_bytes());
    }

    #[test]
    fn containers_with_arbitrary_changes_are_survived(
        n in 0usize..4, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in any::<prop::sample::Index>(), choice in any::<u8>(),
    ) {
        let made = make(Algorithm::ALL[n], None, vec![b"words ".repeat(100), noise(700)], noise(300));
        let mut bytes = made.bytes;
        bytes[0] ^= choice & 1;
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        fuzz::archive_container(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        bytes.insert(0, choice);
        fuzz::archive_container(&bytes);
    }

    #[test]
    fn sealed_files_with_arbitrary_beginnings_are_survived(
        at in 0usize..8192, data in prop::collection::vec(any::<u8>(), 0..100), len in 0usize..20_000,
    ) {
        let mut bytes = SEALED.with(|bytes| bytes[..len].to_vec());
        let end = (at + data.len()).min(len);
        if at < end {
            bytes[at..end].copy_from_slice(&data[..end - at]);
        }
        fuzz::archive_container(&bytes);
        fuzz::archive_header(&bytes);
    }
}

thread_local! {
    static SEALED: Vec<u8> = sealed().bytes;
}
