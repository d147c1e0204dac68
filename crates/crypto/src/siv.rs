//! AES-SIV (RFC 5297) with a 512-bit key, many messages at a time.
//!
//! S2V is a CMAC, and a CMAC is a chain: each AES call waits for the one before it, which leaves the AES unit idle nine
//! cycles of ten. Messages of a batch are independent of each other, so their chains are advanced side by side. The
//! notation is that of the RFC: S2V over [associated data, nonce, plaintext], V the synthetic IV, Q the first counter.

use aes::{
    Aes256Enc, Block,
    cipher::{
        BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit, ParBlocks,
        consts::U16, typenum::Unsigned,
    },
};
use strongroom_secret::Locked;
use subtle::ConstantTimeEq;

use crate::{OpenLane, SealLane, TAG_LEN};

/// How many chains are advanced side by side: a multiple of what AES-NI (8) and VAES (64) take at a time.
const LANES: usize = 64;
/// How much of a counter's keystream is made at a time: a block of a file.
const KEYSTREAM: usize = 256;

/// A key made ready.
pub struct Siv(Locked<Schedules>);

struct Schedules {
    /// K1, the key of S2V.
    mac: Aes256Enc,
    /// K2, the key of CTR.
    ctr: Aes256Enc,
    /// The two subkeys of CMAC (RFC 4493): for a last block that is whole, and for one that is padded.
    whole: u128,
    padded: u128,
    /// CMAC(zero block), where S2V begins.
    zero: u128,
}

impl Drop for Schedules {
    fn drop(&mut self) {
        // The AES schedules wipe themselves, and the pages are wiped after this; these three follow from the key as well.
        self.whole = 0;
        self.padded = 0;
        self.zero = 0;
    }
}

impl Siv {
    pub fn new(key: &[u8; 64]) -> Self {
        let (k1, k2) = key.split_at(32);
        let mac = Aes256Enc::new(k1.try_into().expect("half of 64"));
        let ctr = Aes256Enc::new(k2.try_into().expect("half of 64"));
        let encrypt = |block: u128| {
            let mut block = Block::from(block.to_be_bytes());
            mac.encrypt_block(&mut block);
            u128::from_be_bytes(block.into())
        };
        let whole = double(encrypt(0));
        let zero = encrypt(whole);
        Self(Locked::new(Schedules { whole, padded: double(whole), zero, mac, ctr }))
    }

    pub fn seal_batch(&self, lanes: &mut [SealLane<'_>]) {
        let mut keystream = [Block::default(); KEYSTREAM];
        let mut rest = lanes;
        while !rest.is_empty() {
            let (group, others) = rest.split_at_mut(run_of_equal(rest, |lane| shape(lane.aad, lane.nonce, lane.plain)));
            let mut v = [0; LANES];
            self.s2v(
                group.len(),
                |i| Message { aad: group[i].aad, nonce: group[i].nonce, plain: group[i].plain },
                &mut v,
            );
            for (lane, v) in group.iter_mut().zip(v) {
                let (tag, ciphertext) = lane.out.split_at_mut(TAG_LEN);
                tag.copy_from_slice(&v.to_be_bytes());
                self.apply_ctr(v, lane.plain, ciphertext, &mut keystream);
            }
            rest = others;
        }
    }

    pub fn open_batch(&self, lanes: &mut [OpenLane<'_>]) -> Result<(), usize> {
        let mut keystream = [Block::default(); KEYSTREAM];
        let mut done = 0;
        while done < lanes.len() {
            let rest = &mut lanes[done..];
            let group = run_of_equal(rest, |lane| shape(lane.aad, lane.nonce, lane.out));
            let group = &mut rest[..group];
            for lane in group.iter_mut() {
                let (tag, ciphertext) = lane.sealed.split_at(TAG_LEN);
                let v = u128::from_be_bytes(tag.try_into().expect("a tag is 16 bytes"));
                self.apply_ctr(v, ciphertext, lane.out, &mut keystream);
            }
            let mut v = [0; LANES];
            self.s2v(
                group.len(),
                |i| Message { aad: group[i].aad, nonce: group[i].nonce, plain: &*group[i].out },
                &mut v,
            );
            let mut first_bad = None;
            for (i, (lane, v)) in group.iter_mut().zip(v).enumerate() {
                if !bool::from(v.to_be_bytes().ct_eq(&lane.sealed[..TAG_LEN])) {
                    lane.out.fill(0);
                    first_bad = first_bad.or(Some(done + i));
                }
            }
            if let Some(first_bad) = first_bad {
                return Err(first_bad);
            }
            done += group.len();
        }
        Ok(())
    }

    fn s2v<'m>(&self, count: usize, message: impl Fn(usize) -> Message<'m>, v: &mut [u128; LANES]) {
        let keys = &*self.0;
        keys.mac.encrypt_with_backend(S2v { keys, count, message, v });
    }

    fn apply_ctr(&self, v: u128, from: &[u8], to: &mut [u8], keystream: &mut [Block; KEYSTREAM]) {
        // RFC 5297 2.5: bits 31 and 63 of the counter are cleared, so that counting never carries out of 32 bits.
        let q = v & !(1 << 63 | 1 << 31);
        self.0.ctr.encrypt_with_backend(Ctr { q, from, to, keystream });
    }
}

/// What S2V takes of one message.
struct Message<'m> {
    aad: &'m [u8],
    nonce: &'m [u8],
    plain: &'m [u8],
}

type Shape = (usize, usize, usize);

fn shape(aad: &[u8], nonce: &[u8], plain: &[u8]) -> Shape {
    (aad.len(), nonce.len(), plain.len())
}

/// How many lanes, at most `LANES`, have the shape of the first.
fn run_of_equal<L>(lanes: &[L], shape: impl Fn(&L) -> Shape) -> usize {
    let first = shape(&lanes[0]);
    lanes.iter().take(LANES).take_while(|lane| shape(lane) == first).count()
}

/// S2V of `count` messages of equal shape. A closure in the form that the cipher wants, so that all of it is compiled
/// for the instructions which that cipher found at run time, and the round keys stay in registers.
struct S2v<'a, F> {
    keys: &'a Schedules,
    count: usize,
    message: F,
    v: &'a mut [u128; LANES],
}

impl<F> BlockSizeUser for S2v<'_, F> {
    type BlockSize = U16;
}

impl<'m, F: Fn(usize) -> Message<'m>> BlockCipherEncClosure for S2v<'_, F> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let Self { keys, count, message, v } = self;
        let mut chains = Chains { backend, keys, states: [Block::default(); LANES], count };
        let mut d = [keys.zero; LANES];
        chains.cmac(|i| message(i).aad, &[0; LANES]);
        chains.absorb_into(&mut d);
        chains.cmac(|i| message(i).nonce, &[0; LANES]);
        chains.absorb_into(&mut d);
        if message(0).plain.len() >= 16 {
            chains.cmac(|i| message(i).plain, &d);
        } else {
            let padded = std::array::from_fn::<_, LANES, _>(|i| match i < count {
                true => (double(d[i]) ^ pad(message(i).plain)).to_be_bytes(),
                false => [0; 16],
            });
            chains.cmac(|i| &padded[i], &[0; LANES]);
        }
        for (v, state) in v.iter_mut().zip(&chains.states) {
            *v = u128::from_be_bytes((*state).into());
        }
    }
}

/// CMAC chains of equal length, advanced side by side.
struct Chains<'a, B> {
    backend: &'a B,
    keys: &'a Schedules,
    states: [Block; LANES],
    count: usize,
}

impl<B: BlockCipherEncBackend<BlockSize = U16>> Chains<'_, B> {
    /// CMAC of the messages, `masks` having been added to their last 16 bytes (S2V's `xorend`; zero for messages
    /// shorter than that). The results are the states.
    #[inline(always)]
    fn cmac<'m>(&mut self, message: impl Fn(usize) -> &'m [u8], masks: &[u128; LANES]) {
        self.states = [Block::default(); LANES];
        let len = message(0).len();
        let last = if len == 0 { 0 } else { (len - 1) % 16 + 1 };
        let before = len - last;
        // The mask reaches back into the block before the last one, if the last one is not whole.
        let straddles = last < 16 && before > 0;
        let body = if straddles { before - 16 } else { before };
        self.advance(body, &message);
        if straddles {
            self.step(|i| load(&message(i)[body..before]) ^ masks[i] >> (8 * last));
        }
        let (whole, padded) = (self.keys.whole, self.keys.padded);
        self.step(|i| match last {
            16 => load(&message(i)[before..]) ^ masks[i] ^ whole,
            0 => pad(&[]) ^ padded,
            _ => pad(&message(i)[before..]) ^ masks[i] << (8 * (16 - last)) ^ padded,
        });
    }

    /// Advances over the first `len` bytes, a multiple of 16.
    ///
    /// The blocks are laid out side by side first, a cache line of each message at a time. Messages lie 4 KiB apart and
    /// would otherwise throw each other out of the cache, and the cipher loads four states with one instruction, which
    /// stalls on bytes that were stored one state at a time.
    #[inline(always)]
    fn advance<'m>(&mut self, len: usize, message: impl Fn(usize) -> &'m [u8]) {
        const STEPS: usize = 4;
        let mut lines = [[Block::default(); LANES]; STEPS];
        let whole_lines = len - len % (16 * STEPS);
        for at in (0..whole_lines).step_by(16 * STEPS) {
            for i in 0..self.count {
                let line = &message(i)[at..at + 16 * STEPS];
                for (blocks, bytes) in lines.iter_mut().zip(line.chunks_exact(16)) {
                    blocks[i] = bytes.try_into().expect("one block");
                }
            }
            for blocks in &lines {
                for (state, block) in self.states.iter_mut().zip(blocks).take(self.count) {
                    xor(state, block);
                }
                self.encrypt();
            }
        }
        for at in (whole_lines..len).step_by(16) {
            self.step(|i| load(&message(i)[at..at + 16]));
        }
    }

    #[inline(always)]
    fn step(&mut self, block: impl Fn(usize) -> u128) {
        for i in 0..self.count {
            xor(&mut self.states[i], &block(i).to_be_bytes());
        }
        self.encrypt();
    }

    #[inline(always)]
    fn encrypt(&mut self) {
        // From half of what the cipher takes at a time, encrypting idle chains with the rest is no slower than encrypting
        // the rest one by one.
        let together = B::ParBlocksSize::USIZE;
        let rest = self.count % together;
        let width = if rest * 2 >= together { self.count - rest + together } else { self.count };
        encrypt(self.backend, &mut self.states[..width.min(LANES)]);
    }

    /// D = dbl(D) xor CMAC.
    #[inline(always)]
    fn absorb_into(&self, d: &mut [u128; LANES]) {
        for (d, state) in d.iter_mut().zip(&self.states) {
            *d = double(*d) ^ u128::from_be_bytes((*state).into());
        }
    }
}

/// Counter mode from Q on, over one message.
struct Ctr<'a> {
    q: u128,
    from: &'a [u8],
    to: &'a mut [u8],
    keystream: &'a mut [Block; KEYSTREAM],
}

impl BlockSizeUser for Ctr<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Ctr<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let mut counter = self.q as u32;
        let fixed = u128::from_le_bytes((self.q >> 32 << 32).to_be_bytes());
        for (from, to) in self.from.chunks(16 * KEYSTREAM).zip(self.to.chunks_mut(16 * KEYSTREAM)) {
            // All counters are written before the first is encrypted, for the reason given at `advance`.
            let keystream = &mut self.keystream[..from.len().div_ceil(16)];
            for block in keystream.iter_mut() {
                *block = (fixed | u128::from(counter.swap_bytes()) << 96).to_le_bytes().into();
                counter += 1;
            }
            encrypt(backend, keystream);
            let (whole_from, rest_from) = from.as_chunks::<16>();
            let (whole_to, rest_to) = to.as_chunks_mut::<16>();
            for ((to, from), key) in whole_to.iter_mut().zip(whole_from).zip(&*keystream) {
                *to = (u128::from_ne_bytes(*from) ^ u128::from_ne_bytes((*key).into())).to_ne_bytes();
            }
            if let Some(key) = keystream.get(whole_from.len()) {
                for ((to, from), key) in rest_to.iter_mut().zip(rest_from).zip(key) {
                    *to = from ^ key;
                }
            }
        }
    }
}

/// Encrypts blocks that are independent of each other, as many at a time as the cipher can.
#[inline(always)]
fn encrypt<B: BlockCipherEncBackend<BlockSize = U16>>(backend: &B, blocks: &mut [Block]) {
    let (together, rest) = ParBlocks::<B>::slice_as_chunks_mut(blocks);
    for blocks in together {
        backend.encrypt_par_blocks_inplace(blocks);
    }
    backend.encrypt_tail_blocks_inplace(rest);
}

/// Doubling in GF(2^128), the first byte being the most significant (RFC 5297 2.3).
#[inline(always)]
fn double(x: u128) -> u128 {
    // Without a branch: what is doubled follows from the key.
    (x << 1) ^ ((x >> 127) * 0x87)
}

/// Fewer than 16 bytes, then a one bit, then zeros (RFC 5297 2.4).
#[inline(always)]
fn pad(bytes: &[u8]) -> u128 {
    let mut block = [0; 16];
    block[..bytes.len()].copy_from_slice(bytes);
    block[bytes.len()] = 0x80;
    u128::from_be_bytes(block)
}

#[inline(always)]
fn load(bytes: &[u8]) -> u128 {
    u128::from_be_bytes(bytes.try_into().expect("one block"))
}

#[inline(always)]
fn xor(state: &mut Block, bytes: &[u8]) {
    let bytes = u128::from_ne_bytes(bytes.try_into().expect("one block"));
    *state = (u128::from_ne_bytes((*state).into()) ^ bytes).to_ne_bytes().into();
}

#[cfg(test)]
mod tests {
    use aes_siv::{Aes256SivAead, KeyInit as _, aead::Aead as _, aead::Payload};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn doubling_carries_into_the_polynomial() {
        assert_eq!(double(1 << 127), 0x87);
        assert_eq!(double(1 << 127 | 1), 0x85);
        assert_eq!(double(3), 6);
    }

    proptest! {
        #[test]
        fn it_seals_as_rustcrypto_does(
            key in prop::array::uniform32(any::<u8>()),
            aad in prop::collection::vec(any::<u8>(), 0..40),
            plain in prop::collection::vec(any::<u8>(), 0..200),
            count in 1usize..80,
        ) {
            let key: [u8; 64] = std::array::from_fn(|i| key[i % 32] ^ (i / 32) as u8);
            let plains: Vec<Vec<u8>> = (0..count).map(|i| plain.iter().map(|byte| byte ^ i as u8).collect()).collect();
            check_against_oracle(&key, &aad, &plains);
        }

        #[test]
        fn messages_of_mixed_lengths_may_share_a_batch(lens in prop::collection::vec(0usize..70, 1..90)) {
            let plains: Vec<Vec<u8>> = lens.iter().map(|&len| vec![len as u8; len]).collect();
            check_against_oracle(&[7; 64], b"associated", &plains);
        }
    }

    #[test]
    fn the_first_bad_message_of_a_batch_is_named() {
        let siv = Siv::new(&[9; 64]);
        let mut sealed = vec![[0u8; 4096 + 16]; 100];
        let plain = [5u8; 4096];
        let mut lanes: Vec<_> =
            sealed.iter_mut().map(|out| SealLane { nonce: &[1; 16], aad: &[2; 24], plain: &plain, out }).collect();
        siv.seal_batch(&mut lanes);
        sealed[70][4000] ^= 1;
        sealed[90][0] ^= 1;
        let mut opened = vec![[1u8; 4096]; 100];
        let mut lanes: Vec<_> = (opened.iter_mut().zip(&sealed))
            .map(|(out, sealed)| OpenLane { nonce: &[1; 16], aad: &[2; 24], sealed, out })
            .collect();
        assert_eq!(siv.open_batch(&mut lanes), Err(70));
        assert!(opened[..70].iter().all(|block| *block == plain));
        assert!(opened[70].iter().all(|&byte| byte == 0));
    }

    fn check_against_oracle(key: &[u8; 64], aad: &[u8], plains: &[Vec<u8>]) {
        let siv = Siv::new(key);
        let oracle = Aes256SivAead::new(key.into());
        let nonces: Vec<[u8; 16]> = (0..plains.len()).map(|i| [i as u8 + 1; 16]).collect();
        let mut sealed: Vec<Vec<u8>> = plains.iter().map(|plain| vec![0; plain.len() + 16]).collect();
        let mut lanes: Vec<_> = (sealed.iter_mut().zip(plains).zip(&nonces))
            .map(|((out, plain), nonce)| SealLane { nonce, aad, plain, out })
            .collect();
        siv.seal_batch(&mut lanes);
        for ((plain, sealed), nonce) in plains.iter().zip(&sealed).zip(&nonces) {
            assert_eq!(&oracle.encrypt(nonce.into(), Payload { msg: plain, aad }).unwrap(), sealed);
        }
        let mut opened: Vec<Vec<u8>> = plains.iter().map(|plain| vec![1; plain.len()]).collect();
        let mut lanes: Vec<_> = (opened.iter_mut().zip(&sealed).zip(&nonces))
            .map(|((out, sealed), nonce)| OpenLane { nonce, aad, sealed, out })
            .collect();
        assert_eq!(siv.open_batch(&mut lanes), Ok(()));
        assert_eq!(opened, plains);
    }
}
