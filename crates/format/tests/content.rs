//! Blocks and values: what was sealed opens, what was changed does not, what was never written is zeros.
#![allow(missing_docs)]

mod common;

use common::{Counted, MODES, ciphers, file_id};
use proptest::prelude::*;
use strongroom_format::{ContentCipher, Corrupt, CorruptBlock, FileId};

const BLOCK: usize = 4096;

fn each_mode(check: impl Fn(&ContentCipher)) {
    for (_, flags) in MODES {
        check(&ciphers(&[5; 32], flags, 0).content);
    }
}

fn id() -> FileId {
    file_id(&[6; 16])
}

fn seal(content: &ContentCipher, first: u64, plain: &[u8]) -> Vec<u8> {
    let mut out = vec![0; content.geometry().blocks_size(plain.len() as u64) as usize];
    assert_eq!(content.seal_blocks(&id(), first, plain, &Counted::default(), &mut out), out.len());
    out
}

fn open(content: &ContentCipher, first: u64, cipher: &[u8]) -> Result<Vec<u8>, CorruptBlock> {
    let mut out = vec![0xEE; cipher.len().div_ceil(BLOCK) * BLOCK];
    let len = content.open_blocks(&id(), first, cipher, &mut out)?;
    out.truncate(len);
    Ok(out)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8 ^ (i / BLOCK) as u8).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_was_sealed_opens(len in 0usize..300_000, first in 0u64..1 << 40) {
        each_mode(|content| {
            let plain = pattern(len);
            let sealed = seal(content, first, &plain);
            assert_eq!(open(content, first, &sealed).unwrap(), plain);
        });
    }

    #[test]
    fn one_flipped_bit_is_refused_and_the_block_named(blocks in 1usize..70, last in 1usize..=BLOCK, at in any::<prop::sample::Index>(), bit in 0u8..8) {
        each_mode(|content| {
            let plain = pattern((blocks - 1) * BLOCK + last);
            let mut sealed = seal(content, 3, &plain);
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            let bad = at / content.geometry().cipher_block() as usize;
            assert_eq!(open(content, 3, &sealed), Err(CorruptBlock { block: 3 + bad as u64, why: Corrupt::NotAuthentic }));
        });
    }

    #[test]
    fn blocks_before_a_bad_one_are_opened(blocks in 2usize..150, bad in any::<prop::sample::Index>()) {
        each_mode(|content| {
            let plain = pattern(blocks * BLOCK);
            let mut sealed = seal(content, 0, &plain);
            let bad = bad.index(blocks);
            sealed[bad * content.geometry().cipher_block() as usize + 100] ^= 1;
            let mut out = vec![0; plain.len()];
            let error = content.open_blocks(&id(), 0, &sealed, &mut out).unwrap_err();
            assert_eq!(error.block, bad as u64);
            assert!(out[..bad * BLOCK] == plain[..bad * BLOCK]);
        });
    }

    #[test]
    fn a_value_opens_as_it_was_and_not_with_a_bit_flipped(value in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>()) {
        each_mode(|content| {
            let mut sealed = content.seal_value(&value, &Counted::default());
            assert_eq!(content.open_value(&sealed).unwrap(), value);
            assert_eq!(content.open_xattr_value(&sealed).unwrap(), value);
            assert_eq!(sealed.is_empty(), value.is_empty());
            if !sealed.is_empty() {
                let at = at.index(sealed.len());
                sealed[at] ^= 0x10;
                assert_eq!(content.open_value(&sealed), Err(Corrupt::NotAuthentic));
            }
        });
    }

    #[test]
    fn a_symlink_opens_as_it_was(target in prop::collection::vec(1u8.., 0..600)) {
        each_mode(|content| {
            let stored = content.seal_symlink(&target, &Counted::default());
            assert!(stored.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)));
            assert_eq!(content.open_symlink(&stored).unwrap(), target);
        });
    }
}

#[test]
fn a_block_does_not_open_elsewhere() {
    each_mode(|content| {
        let sealed = seal(content, 3, b"text");
        let mut out = [0; 4];
        assert_eq!(content.open_blocks(&id(), 3, &sealed, &mut out), Ok(4));
        for (other, block) in [(id(), 4), (file_id(&[7; 16]), 3)] {
            let refused = Err(CorruptBlock { block, why: Corrupt::NotAuthentic });
            assert_eq!(content.open_blocks(&other, block, &sealed, &mut out), refused);
        }
        assert_eq!(out, [0; 4], "nothing of what is not authentic is left behind");
        assert_eq!(content.open_value(&sealed), Err(Corrupt::NotAuthentic));
    });
}

#[test]
fn holes_read_as_zeros_wherever_they_are() {
    each_mode(|content| {
        let cipher_block = content.geometry().cipher_block() as usize;
        for holes in [&[0][..], &[1], &[0, 1, 2], &[69], &[0, 64, 65, 69], &[0, 1, 2, 3, 4, 5, 6, 68, 69]] {
            let mut plain = pattern(70 * BLOCK);
            let mut sealed = seal(content, 0, &plain);
            for hole in holes {
                plain[hole * BLOCK..][..BLOCK].fill(0);
                sealed[hole * cipher_block..][..cipher_block].fill(0);
            }
            assert_eq!(open(content, 0, &sealed).unwrap(), plain);
        }
    });
}

#[test]
fn a_partial_block_of_zeros_is_no_hole() {
    each_mode(|content| {
        let cipher_block = content.geometry().cipher_block() as usize;
        let zeros = vec![0; cipher_block - 1];
        assert_eq!(open(content, 9, &zeros), Err(CorruptBlock { block: 9, why: Corrupt::ZeroNonce }));
        let hole_and_more = vec![0; 2 * cipher_block - 1];
        assert_eq!(open(content, 9, &hole_and_more), Err(CorruptBlock { block: 10, why: Corrupt::ZeroNonce }));
    });
}

#[test]
fn a_stub_that_cannot_hold_a_byte_is_refused() {
    each_mode(|content| {
        let overhead = content.geometry().overhead() as usize;
        let sealed = seal(content, 0, &pattern(3 * BLOCK));
        for stub in 1..=overhead {
            let cut = 2 * content.geometry().cipher_block() as usize + stub;
            let refused = CorruptBlock { block: 2, why: Corrupt::TooShort(stub as u64) };
            assert_eq!(open(content, 0, &sealed[..cut]), Err(refused));
        }
    });
}

#[test]
fn nonces_are_never_repeated() {
    each_mode(|content| {
        let random = Counted::default();
        let nonce_len = content.geometry().overhead() as usize - 16;
        let mut nonces = std::collections::HashSet::new();
        let plain = pattern(130 * BLOCK);
        let mut out = vec![0; content.geometry().blocks_size(plain.len() as u64) as usize];
        for _ in 0..2 {
            content.seal_blocks(&id(), 0, &plain, &random, &mut out);
            for block in out.chunks(content.geometry().cipher_block() as usize) {
                assert!(nonces.insert(block[..nonce_len].to_vec()));
            }
        }
        assert_eq!(nonces.len(), 260);
    });
}

#[test]
fn a_short_block_followed_by_zeros_is_recovered() {
    each_mode(|content| {
        let cipher_block = content.geometry().cipher_block() as usize;
        for len in [1, 2, 100, 4000, 4095] {
            let plain = pattern(len);
            let mut stored = seal(content, 5, &plain);
            let sealed_len = stored.len();
            for grown in [sealed_len + 1, sealed_len + 7, cipher_block] {
                stored.resize(grown.min(cipher_block), 0);
                let mut out = vec![0; BLOCK];
                assert!(content.open_blocks(&id(), 5, &stored, &mut out).is_err());
                assert_eq!(content.open_interrupted(&id(), 5, &stored, false, &mut out), Some(len));
                assert_eq!(out[..len], plain);
            }
        }
    });
}

#[test]
fn a_short_block_that_itself_ends_in_zeros_is_recovered() {
    // Random nonces, until the stored block ends in a zero byte: one in 256 does.
    each_mode(|content| {
        let random = Counted::default();
        let geometry = content.geometry();
        let mut stored = vec![1; 40 + geometry.overhead() as usize];
        while stored.last() != Some(&0) {
            content.seal_blocks(&id(), 5, &[9; 40], &random, &mut stored);
        }
        stored.resize(geometry.cipher_block() as usize, 0);
        let mut out = vec![0; BLOCK];
        assert_eq!(content.open_interrupted(&id(), 5, &stored, false, &mut out), Some(40));
        assert_eq!(out[..40], [9; 40]);
    });
}

#[test]
fn a_shorter_block_before_the_rest_of_an_older_one_is_recovered_at_the_end_of_the_file_only() {
    each_mode(|content| {
        let old = seal(content, 5, &pattern(BLOCK));
        for len in [1, 77, 4095] {
            let new = seal(content, 5, &pattern(BLOCK)[..len]);
            let torn = [&new[..], &old[new.len()..]].concat();
            let mut out = vec![0; BLOCK];
            assert!(content.open_blocks(&id(), 5, &torn, &mut out).is_err());
            assert_eq!(content.open_interrupted(&id(), 5, &torn, false, &mut out), None);
            assert_eq!(content.open_interrupted(&id(), 5, &torn, true, &mut out), Some(len));
            assert_eq!(out[..len], pattern(BLOCK)[..len]);
        }
    });
}

#[test]
fn nothing_is_recovered_from_another_place_or_from_damage() {
    each_mode(|content| {
        let geometry = content.geometry();
        let mut stored = seal(content, 5, &pattern(500));
        stored.resize(geometry.cipher_block() as usize, 0);
        let mut out = vec![0; BLOCK];
        assert_eq!(content.open_interrupted(&id(), 6, &stored, true, &mut out), None);
        assert_eq!(content.open_interrupted(&file_id(&[7; 16]), 5, &stored, true, &mut out), None);
        for at in [0, 30, 300, 500] {
            let mut damaged = stored.clone();
            damaged[at] ^= 4;
            assert_eq!(content.open_interrupted(&id(), 5, &damaged, true, &mut out), None);
        }
        for len in [0, 1, geometry.overhead() as usize, 200] {
            assert_eq!(content.open_interrupted(&id(), 5, &vec![0; len], true, &mut out), None);
        }
    });
}

#[test]
fn symlinks_stay_plain_where_names_do() {
    let content = ciphers(&[5; 32], &["HKDF", "GCMIV128", "PlaintextNames"], 0).content;
    assert_eq!(content.seal_symlink(b"../target", &Counted::default()), b"../target");
    assert_eq!(content.open_symlink(b"../target").unwrap(), b"../target");
}

#[test]
fn a_value_in_base64_as_old_versions_stored_it_is_read() {
    for (_, flags) in MODES {
        let content = ciphers(&[5; 32], flags, 0).content;
        let in_base64 = content.seal_symlink(b"value", &Counted::default());
        assert_eq!(content.open_xattr_value(&in_base64).unwrap(), b"value");
        assert_eq!(
            content.open_xattr_value(b"not sealed at all, by nobody, in no way, at no time"),
            Err(Corrupt::NotAuthentic)
        );
    }
}

#[test]
fn aes_gcm_and_xchacha_blocks_open_with_keys_of_their_own_only() {
    let sealed: Vec<_> =
        MODES.map(|(_, flags)| ciphers(&[5; 32], flags, 0).content.seal_value(b"v", &Counted::default())).into();
    for (i, (_, flags)) in MODES.iter().enumerate() {
        let content = ciphers(&[5; 32], flags, 0).content;
        for (j, sealed) in sealed.iter().enumerate() {
            assert_eq!(content.open_value(sealed).is_ok(), i == j);
        }
    }
}
