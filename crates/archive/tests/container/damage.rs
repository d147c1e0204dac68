use proptest::prelude::*;
use strongroom_archive::{Algorithm, ArchiveError, Container, FrameScratch};

use crate::made::{Made, check, file, make, noise, open, passphrase, read_frames, read_index, sealed};

const START: usize = 8192;
const SEALED_CHUNK: usize = (64 << 10) + 16;

thread_local! {
    static SEALED: Made = sealed();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_sealed_file_with_any_flipped_bit_is_refused(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        SEALED.with(|made| {
            let mut bytes = made.bytes.clone();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let refused = check(&bytes, &made.frames);
            prop_assert!(refused.as_ref().is_err_and(ArchiveError::is_damage), "byte {}: {:?}", at, refused.err());
            Ok(())
        })?;
    }

    #[test]
    fn a_sealed_file_with_a_flipped_bit_in_its_header_is_refused_too(at in 0..START, bit in 0u8..8) {
        SEALED.with(|made| {
            let mut bytes = made.bytes.clone();
            bytes[at] ^= 1 << bit;
            let refused = check(&bytes, &made.frames);
            let is_version = matches!(refused, Err(ArchiveError::UnknownVersion { .. }));
            prop_assert!(is_version || refused.as_ref().is_err_and(ArchiveError::is_damage), "byte {}", at);
            Ok(())
        })?;
    }

    #[test]
    fn a_sealed_file_cut_anywhere_is_refused(len in any::<prop::sample::Index>()) {
        SEALED.with(|made| {
            let len = len.index(made.bytes.len());
            prop_assert!(check(&made.bytes[..len], &made.frames).is_err());
            Ok(())
        })?;
    }

    #[test]
    fn a_plain_file_with_a_flipped_bit_gives_back_what_was_written_or_nothing(
        n in 0usize..4, at in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        let tar = vec![b"words and ".repeat(500), noise(2000)];
        let made = make(Algorithm::ALL[n], None, tar, noise(3000));
        let mut bytes = made.bytes.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // Uncompressed frames have no checksum: what guards them is the hash of every file, a layer above.
        let is_guarded = made.facts.compression != Algorithm::None || at as u64 >= made.frames[1].offset + 2000;
        if let (Ok(tar), true) = (check(&bytes, &made.frames), is_guarded) {
            prop_assert!(tar == made.tar && read_index(&open(&bytes, "").unwrap()).unwrap() == made.index);
        }
    }
}

#[test]
fn a_sealed_file_cut_where_it_hurts_most_is_refused() {
    let made = sealed();
    let chunks = (made.bytes.len() - START) / SEALED_CHUNK;
    let at_chunks = (0..=chunks).map(|n| START + n * SEALED_CHUNK);
    let lengths = at_chunks.flat_map(|at| [at, at + 1, at + 15, at + 16, at + 17, at - 1]).chain([0, 16, 4096, 4097]);
    for len in lengths.filter(|&len| len < made.bytes.len()) {
        assert!(check(&made.bytes[..len], &made.frames).is_err(), "{len}");
    }
    for cut in 1..40 {
        assert!(check(&made.bytes[..made.bytes.len() - cut], &made.frames).is_err(), "{cut}");
    }
}

#[test]
fn a_sealed_file_with_something_behind_it_is_refused() {
    let made = sealed();
    for more in [1, 16, 17, 4096, SEALED_CHUNK] {
        assert!(check(&[&made.bytes[..], &vec![0; more]].concat(), &made.frames).is_err(), "{more}");
    }
    let last = made.bytes[START..].chunks(SEALED_CHUNK).last().unwrap();
    assert!(check(&[&made.bytes[..], last].concat(), &made.frames).is_err());
}

#[test]
fn chunks_in_another_order_are_refused() {
    let made = sealed();
    let chunks: Vec<_> = made.bytes[START..].chunks(SEALED_CHUNK).collect();
    let with = |order: &[usize]| {
        let payload: Vec<_> = order.iter().flat_map(|&n| chunks[n]).copied().collect();
        check(&[&made.bytes[..START], &payload].concat(), &made.frames)
    };
    let whole: Vec<_> = (0..chunks.len()).collect();
    assert!(with(&whole).unwrap() == made.tar);
    for order in [vec![1, 0, 2, 3], vec![0, 2, 3], vec![0, 1, 1, 2, 3], vec![0, 0, 2, 3], vec![3]] {
        assert!(matches!(with(&order), Err(ArchiveError::Chunk { .. } | ArchiveError::Length { .. })), "{order:?}");
    }
}

#[test]
fn a_chunk_of_another_archive_with_the_same_passphrase_is_refused() {
    let (one, two) = (sealed(), sealed());
    for n in 0..3 {
        let place = START + n * SEALED_CHUNK..START + (n + 1) * SEALED_CHUNK;
        let mut spliced = one.bytes.clone();
        spliced[place.clone()].copy_from_slice(&two.bytes[place]);
        assert!(matches!(check(&spliced, &one.frames), Err(ArchiveError::Chunk { .. })));
    }
    let swapped = [&two.bytes[..START], &one.bytes[START..]].concat();
    assert!(matches!(check(&swapped, &one.frames), Err(ArchiveError::Chunk { .. })));
}

#[test]
fn headers_of_two_archives_are_not_one_header() {
    let (one, two) = (sealed(), sealed());
    let mixed = [&one.bytes[..4096], &two.bytes[4096..START], &one.bytes[START..]].concat();
    open(&mixed, "right").unwrap();
    assert!(matches!(check(&mixed, &one.frames), Err(ArchiveError::Header { .. })));
}

#[test]
fn an_archive_survives_the_loss_of_either_copy_of_its_header_but_does_not_verify() {
    let made = sealed();
    for lost in [0, 4096] {
        let mut bytes = made.bytes.clone();
        bytes[lost..lost + 4096].fill(0xE5);
        assert!(read_frames(&open(&bytes, "right").unwrap(), &made.frames).unwrap() == made.tar);
        assert!(matches!(check(&bytes, &made.frames), Err(ArchiveError::Header { .. })));
    }
}

#[test]
fn the_index_of_a_plain_archive_does_not_end_if_it_was_changed() {
    for algorithm in Algorithm::ALL {
        let made = make(algorithm, None, vec![noise(1000)], noise(5000));
        let mut bytes = made.bytes.clone();
        let at = open(&bytes, "").unwrap().frames_len() as usize + 2000;
        bytes[at] ^= 1;
        let container = open(&bytes, "").unwrap();
        let why = read_index(&container).unwrap_err();
        assert!(why.to_string().contains("SHA-256"), "{why}");
        assert!(container.verify_all(1, &|_| ()).unwrap_err().is_damage());
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_open_is_an_error_of_reading() {
    let made = sealed();
    let file = file(&made.bytes);
    let shrink = file.try_clone().unwrap();
    let container = Container::open(file, &mut |_| Ok(passphrase("right"))).unwrap();
    shrink.set_len(10_000).unwrap();
    let read = container.frame(&made.frames[0], &mut FrameScratch::default(), &mut Vec::new());
    assert!(matches!(read, Err(ArchiveError::Io { .. })));
}
