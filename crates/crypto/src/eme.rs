//! EME (Halevi and Rogaway, "A Parallelizable Enciphering Mode") with AES-256: a permutation of a whole name, every bit
//! of which depends on every other.
//!
//! The notation is that of the paper. All doublings take byte 0 as the least significant, unlike RFC 5297.

use aes::{
    Aes256, Block,
    cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use strongroom_secret::Locked;

use crate::Key;

/// A key made ready for encrypting names. Shared by threads without locks.
pub struct Eme(Locked<Schedule>);

struct Schedule {
    aes: Aes256,
    /// L_1 = 2 AES(0), from which the others follow by doubling.
    l: u128,
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.l = 0;
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Encrypt,
    Decrypt,
}

impl Eme {
    /// The most blocks of 16 bytes that EME is defined for.
    pub const MAX_BLOCKS: usize = 128;

    /// Makes a key ready.
    pub fn new(key: &Key<32>) -> Self {
        let aes = Aes256::new(key.expose().into());
        let mut zero = Block::default();
        aes.encrypt_block(&mut zero);
        Self(Locked::new(Schedule { aes, l: double(u128::from_le_bytes(zero.into())) }))
    }

    /// Encrypts in place.
    ///
    /// # Panics
    /// If the text is not 1 to 128 whole blocks of 16 bytes.
    pub fn encrypt(&self, tweak: &[u8; 16], text: &mut [u8]) {
        self.transform(tweak, text, Direction::Encrypt);
    }

    /// Decrypts in place.
    ///
    /// # Panics
    /// If the text is not 1 to 128 whole blocks of 16 bytes.
    pub fn decrypt(&self, tweak: &[u8; 16], text: &mut [u8]) {
        self.transform(tweak, text, Direction::Decrypt);
    }

    fn transform(&self, tweak: &[u8; 16], text: &mut [u8], direction: Direction) {
        let (blocks, rest) = Block::slice_as_chunks_mut(text);
        assert!(rest.is_empty() && (1..=Self::MAX_BLOCKS).contains(&blocks.len()), "EME takes 1 to 128 whole blocks");
        // PPP_j = AES(P_j xor L_j)
        self.add_l(blocks);
        self.aes(blocks, direction);
        // MP = T xor the sum of all PPP; MC = AES(MP); M = MP xor MC
        let t = u128::from_le_bytes(*tweak);
        let mp = blocks.iter().fold(t, |sum, ppp| sum ^ value(ppp));
        let mut mc = [Block::from(mp.to_le_bytes())];
        self.aes(&mut mc, direction);
        let mc = value(&mc[0]);
        // CCC_j = PPP_j xor 2^(j-1) M for j > 1; CCC_1 = MC xor T xor the sum of those
        let mut m = mp ^ mc;
        let mut first = mc ^ t;
        let (head, tail) = blocks.split_first_mut().expect("at least one block");
        for block in tail {
            m = double(m);
            let ccc = value(block) ^ m;
            first ^= ccc;
            *block = ccc.to_le_bytes().into();
        }
        *head = first.to_le_bytes().into();
        // C_j = AES(CCC_j) xor L_j
        self.aes(blocks, direction);
        self.add_l(blocks);
    }

    /// Adds L_1, L_2 = 2 L_1, ... to the blocks.
    fn add_l(&self, blocks: &mut [Block]) {
        let mut l = self.0.l;
        for block in blocks {
            *block = (value(block) ^ l).to_le_bytes().into();
            l = double(l);
        }
    }

    fn aes(&self, blocks: &mut [Block], direction: Direction) {
        match direction {
            Direction::Encrypt => self.0.aes.encrypt_blocks(blocks),
            Direction::Decrypt => self.0.aes.decrypt_blocks(blocks),
        }
    }
}

fn value(block: &Block) -> u128 {
    u128::from_le_bytes((*block).into())
}

/// Doubling in GF(2^128), byte 0 being the least significant.
fn double(x: u128) -> u128 {
    // Without a branch: what is doubled follows from the key.
    (x << 1) ^ ((x >> 127) * 0x87)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_encrypted_decrypts(
            key in prop::array::uniform32(any::<u8>()),
            tweak in prop::array::uniform16(any::<u8>()),
            blocks in prop::collection::vec(prop::array::uniform16(any::<u8>()), 1..=128),
        ) {
            let eme = Eme::new(&Key::new(&key));
            let plain = blocks.concat();
            let mut text = plain.clone();
            eme.encrypt(&tweak, &mut text);
            prop_assert_ne!(&text, &plain);
            eme.decrypt(&tweak, &mut text);
            prop_assert_eq!(text, plain);
        }

        #[test]
        fn it_encrypts_as_the_paper_has_it(
            key in prop::array::uniform32(any::<u8>()),
            tweak in prop::array::uniform16(any::<u8>()),
            blocks in prop::collection::vec(prop::array::uniform16(any::<u8>()), 1..=20),
        ) {
            let mut text = blocks.concat();
            Eme::new(&Key::new(&key)).encrypt(&tweak, &mut text);
            prop_assert_eq!(text, written_out(&key, &tweak, &blocks));
        }
    }

    #[test]
    fn one_changed_bit_changes_every_block() {
        let eme = Eme::new(&Key::new(&[1; 32]));
        let mut one = [0u8; 64];
        let mut other = one;
        other[63] ^= 0x80;
        eme.encrypt(&[2; 16], &mut one);
        eme.encrypt(&[2; 16], &mut other);
        for (one, other) in one.chunks(16).zip(other.chunks(16)) {
            assert_ne!(one, other);
        }
    }

    /// The same once more, block by block and byte by byte.
    fn written_out(key: &[u8; 32], tweak: &[u8; 16], p: &[[u8; 16]]) -> Vec<u8> {
        let aes = |block: [u8; 16]| {
            let mut block = Block::from(block);
            Aes256::new(key.into()).encrypt_block(&mut block);
            <[u8; 16]>::from(block)
        };
        let xor = |a: [u8; 16], b: [u8; 16]| std::array::from_fn::<u8, 16, _>(|i| a[i] ^ b[i]);
        let twice = |x: [u8; 16]| {
            let mut out = [0u8; 16];
            for i in 0..16 {
                out[i] = x[i] << 1 | if i > 0 { x[i - 1] >> 7 } else { 0 };
            }
            out[0] ^= if x[15] & 0x80 != 0 { 0x87 } else { 0 };
            out
        };
        let mut l = vec![twice(aes([0; 16]))];
        while l.len() < p.len() {
            l.push(twice(*l.last().unwrap()));
        }
        let ppp: Vec<_> = p.iter().zip(&l).map(|(p, l)| aes(xor(*p, *l))).collect();
        let mp = ppp.iter().fold(*tweak, |sum, ppp| xor(sum, *ppp));
        let mc = aes(mp);
        let mut m = xor(mp, mc);
        let mut ccc = vec![xor(mc, *tweak)];
        for ppp in &ppp[1..] {
            m = twice(m);
            ccc.push(xor(*ppp, m));
            ccc[0] = xor(ccc[0], *ccc.last().unwrap());
        }
        ccc.iter().zip(&l).flat_map(|(ccc, l)| xor(aes(*ccc), *l)).collect()
    }
}
