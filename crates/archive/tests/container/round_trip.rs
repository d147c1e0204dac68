use std::sync::atomic::{AtomicU64, Ordering};

use strongroom_archive::{Algorithm, ArchiveError, Frame, Peek, peek};

use crate::made::{check, file, make, noise, open, read_frames, read_index, sealed};

const CHUNK: usize = 64 << 10;

#[test]
fn everything_comes_back_from_every_kind_of_container() {
    for algorithm in Algorithm::ALL {
        for seal in [None, Some("right")] {
            let tar = vec![vec![0; 1024], noise(3 * CHUNK), b"words ".repeat(50_000), noise(1)];
            let made = make(algorithm, seal, tar, noise(200_000));
            let container = open(&made.bytes, "right").unwrap();
            assert!(read_frames(&container, &made.frames).unwrap() == made.tar);
            assert!(read_index(&container).unwrap() == made.index);
            container.verify_all(2, &|_| ()).unwrap();
            assert_eq!(container.facts(), seal.map(|_| &made.facts));
            assert_eq!(container.is_sealed(), seal.is_some());
            assert_eq!(container.algorithm(), algorithm);
            assert_eq!(container.index_sha256(), made.finished.index_sha256);
            assert_eq!(container.index_plain_len(), 12_345);
            assert_eq!(container.file_len(), made.finished.bytes);
            assert_eq!(container.tar_len(), made.tar.iter().map(Vec::len).sum::<usize>() as u64);
            let last = made.frames.last().unwrap();
            assert_eq!(container.frames_len(), last.offset + last.packed_len);
        }
    }
}

#[test]
fn a_container_of_nothing_comes_back() {
    for algorithm in Algorithm::ALL {
        for seal in [None, Some("right")] {
            let made = make(algorithm, seal, vec![], vec![]);
            let container = open(&made.bytes, "right").unwrap();
            assert_eq!(read_index(&container).unwrap(), b"");
            assert_eq!((container.frames_len(), container.tar_len()), (0, 0));
            container.verify_all(1, &|_| ()).unwrap();
        }
    }
}

#[test]
fn lengths_around_chunks_and_wrappings_come_back() {
    for algorithm in Algorithm::ALL {
        let around = [CHUNK - 200, CHUNK - 128, CHUNK, 65_530, 65_531, 65_532, (1 << 20) - 1, 1 << 20, (1 << 20) + 1];
        for len in around {
            let made = make(algorithm, Some("right"), vec![noise(len.min(CHUNK))], noise(len));
            assert!(read_index(&open(&made.bytes, "right").unwrap()).unwrap() == made.index, "{algorithm} {len}");
        }
    }
}

#[test]
fn frames_may_be_read_by_several_threads() {
    let made = sealed();
    let container = open(&made.bytes, "right").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(read_frames(&container, &made.frames).unwrap() == made.tar));
        }
    });
}

#[test]
fn a_frame_table_that_lies_is_refused_before_any_room_is_made() {
    for seal in [None, Some("right")] {
        let made = make(Algorithm::Zstd, seal, vec![noise(1000), noise(2000)], vec![]);
        let container = open(&made.bytes, "right").unwrap();
        let good = made.frames[0];
        for lie in [
            Frame { offset: good.offset + 1, ..good },
            Frame { packed_len: good.packed_len - 1, ..good },
            Frame { packed_len: good.packed_len + 1, ..good },
            Frame { packed_len: 0, ..good },
            Frame { packed_len: u64::MAX, ..good },
            Frame { offset: u64::MAX, ..good },
            Frame { offset: container.frames_len(), ..good },
            Frame { tar_len: good.tar_len + 1, ..good },
            Frame { tar_len: (16 << 20) + 1, ..good },
            Frame { tar_len: u64::MAX, packed_len: u64::MAX, ..good },
        ] {
            let refused = read_frames(&container, &[lie]);
            assert!(matches!(refused, Err(ArchiveError::Frame { .. })), "{lie:?}");
        }
    }
}

#[test]
fn progress_adds_up_to_the_length_of_a_sealed_file() {
    let made = sealed();
    let done = AtomicU64::new(0);
    let count = |bytes| _ = done.fetch_add(bytes, Ordering::Relaxed);
    open(&made.bytes, "right").unwrap().verify_all(3, &count).unwrap();
    assert_eq!(done.into_inner(), made.finished.bytes);
}

#[test]
fn what_is_in_clear_can_be_seen_without_a_secret() {
    let made = sealed();
    assert_eq!(peek(&file(&made.bytes)).unwrap(), Peek::Sealed(made.facts));
    for algorithm in Algorithm::ALL {
        let made = make(algorithm, None, vec![noise(10)], vec![]);
        assert_eq!(peek(&file(&made.bytes)).unwrap(), Peek::Plain(algorithm));
    }
}

#[test]
fn nothing_of_the_content_is_in_clear() {
    let secret = b"the quick brown fox jumps over the lazy dog";
    let made = make(Algorithm::None, Some("right"), vec![secret.repeat(3000)], secret.to_vec());
    assert!(!made.bytes.windows(12).any(|window| window == &secret[..12]));
}

#[test]
fn a_wrong_passphrase_is_called_that() {
    assert!(matches!(open(&sealed().bytes, "wrong"), Err(ArchiveError::WrongPassphrase)));
}

#[test]
fn nobody_is_asked_for_the_passphrase_of_a_file_that_is_too_short() {
    let made = sealed();
    let cut = file(&made.bytes[..8192 + 5]);
    let opened = strongroom_archive::Container::open(cut, &mut |_| panic!("asked"));
    assert!(matches!(opened, Err(ArchiveError::Length { .. })));
    assert!(matches!(peek(&file(&made.bytes[..8192 + 5])), Err(ArchiveError::Length { .. })));
}

#[test]
fn a_plain_archive_that_holds_a_sealed_one_is_plain() {
    let inner = sealed();
    let made = make(Algorithm::None, None, vec![[vec![0; 4096], inner.bytes].concat()], vec![]);
    assert!(!open(&made.bytes, "right").unwrap().is_sealed());
    assert!(check(&made.bytes, &made.frames).unwrap() == made.tar);
}

#[test]
fn what_is_not_an_archive_is_called_that() {
    for other in [&b""[..], b"x", &[0; 20_000], &noise(20_000), b"strongroom"] {
        assert!(matches!(open(other, "right"), Err(ArchiveError::NotAnArchive { .. })));
        assert!(matches!(peek(&file(other)), Err(ArchiveError::NotAnArchive { .. })));
    }
}

#[test]
fn a_plain_archive_that_is_cut_short_or_added_to_is_not_taken_for_something_else() {
    let mut tar = noise(1000);
    tar[257..265].copy_from_slice(b"ustar\x0000");
    for algorithm in Algorithm::ALL {
        let made = make(algorithm, None, vec![tar.clone()], vec![]);
        let longer = [&made.bytes[..], b"x"].concat();
        for other in [&made.bytes[..made.bytes.len() - 1], &made.bytes[..600], &longer] {
            assert!(matches!(open(other, "right"), Err(ArchiveError::NoFooter)), "{algorithm}");
            assert!(matches!(peek(&file(other)), Err(ArchiveError::NoFooter)), "{algorithm}");
        }
    }
}

#[test]
fn two_archives_of_the_same_bytes_have_nothing_in_common() {
    let tar = noise(100_000);
    let [one, two] = [(); 2].map(|()| make(Algorithm::None, Some("right"), vec![tar.clone()], vec![]).bytes);
    let same = one[8192..].iter().zip(&two[8192..]).filter(|(one, two)| one == two).count();
    assert!(same < one.len() / 100, "{same} bytes are the same");
}
