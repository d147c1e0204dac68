//! Contents: blocks of files, and the values that are sealed like a block (symlink targets, extended attributes).

use strongroom_crypto::{Aead, Algorithm, OpenLane, Random, SealLane, TAG_LEN};

use crate::{Corrupt, CorruptBlock, FileId, Geometry, base64::UrlSafe};

/// Seals and opens contents. Shared by threads without locks; the block calls do not allocate.
pub struct ContentCipher {
    aead: Aead,
    geometry: Geometry,
    code: UrlSafe,
    plaintext_symlinks: bool,
}

/// Blocks that go to the cipher together. AES-SIV gains by it up to this many.
const BATCH: usize = 64;
const PLAIN_BLOCK: usize = Geometry::PLAIN_BLOCK;
const MAX_NONCE: usize = 24;
const MAX_CIPHER_BLOCK: usize = PLAIN_BLOCK + MAX_NONCE + TAG_LEN;
/// Block number and file id.
pub(crate) type BlockAad = [u8; 24];
/// Values belong to no file: block number 0 alone.
const VALUE_AAD: [u8; 8] = [0; 8];

impl ContentCipher {
    pub(crate) fn new(aead: Aead, code: UrlSafe, plaintext_symlinks: bool) -> Self {
        Self { geometry: Geometry::new(aead.algorithm()), aead, code, plaintext_symlinks }
    }

    /// Where the blocks of a file lie.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// How contents are sealed.
    pub fn algorithm(&self) -> Algorithm {
        self.aead.algorithm()
    }

    /// Seals whole consecutive blocks from block `first` on (only the last may be short), each with a fresh nonce.
    /// Returns how many bytes of `out` it wrote.
    ///
    /// # Panics
    /// If `out` is shorter than [`Geometry::blocks_size`] of `plain`.
    pub fn seal_blocks(&self, id: &FileId, first: u64, plain: &[u8], random: &dyn Random, out: &mut [u8]) -> usize {
        let stored_len = plain.len() + plain.len().div_ceil(PLAIN_BLOCK) * self.overhead();
        let out = &mut out[..stored_len];
        let nonce_len = self.aead.nonce_len();
        let mut nonces = [0; BATCH * MAX_NONCE];
        let batches = plain.chunks(BATCH * PLAIN_BLOCK).zip(out.chunks_mut(BATCH * self.cipher_block()));
        for (first, (plain, out)) in (first..).step_by(BATCH).zip(batches) {
            let nonces = &mut nonces[..plain.len().div_ceil(PLAIN_BLOCK) * nonce_len];
            random.fill(nonces);
            for (stored, nonce) in out.chunks_mut(self.cipher_block()).zip(nonces.chunks(nonce_len)) {
                stored[..nonce_len].copy_from_slice(nonce);
            }
            match self.aead.interleaves() && plain.len() > PLAIN_BLOCK {
                true => self.seal_together(id, first, plain, out),
                false => self.seal_each(id, first, plain, out),
            }
        }
        stored_len
    }

    /// Seals blocks one by one, the nonces being in their places.
    fn seal_each(&self, id: &FileId, first: u64, plain: &[u8], out: &mut [u8]) {
        let blocks = plain.chunks(PLAIN_BLOCK).zip(out.chunks_mut(self.cipher_block()));
        for (block, (plain, stored)) in (first..).zip(blocks) {
            let (nonce, out) = stored.split_at_mut(self.aead.nonce_len());
            self.aead.seal(nonce, &block_aad(block, id), plain, out);
        }
    }

    /// Seals at most `BATCH` blocks side by side, the nonces being in their places.
    fn seal_together(&self, id: &FileId, first: u64, plain: &[u8], out: &mut [u8]) {
        let aads: [BlockAad; BATCH] = std::array::from_fn(|i| block_aad(first + i as u64, id));
        let mut lanes: [SealLane<'_>; BATCH] = std::array::from_fn(|_| SealLane::default());
        let blocks = plain.chunks(PLAIN_BLOCK).zip(out.chunks_mut(self.cipher_block())).zip(&aads);
        let count = blocks.len();
        for (lane, ((plain, stored), aad)) in lanes.iter_mut().zip(blocks) {
            let (nonce, out) = stored.split_at_mut(self.aead.nonce_len());
            *lane = SealLane { nonce, aad, plain, out };
        }
        self.aead.seal_batch(&mut lanes[..count]);
    }

    /// Opens consecutive blocks from block `first` on (only the last may be short). A full block of zeros is a hole and
    /// yields zeros. Returns how many bytes of `out` it wrote.
    ///
    /// On an error the blocks before the bad one have been opened into `out`.
    ///
    /// # Panics
    /// If `out` is shorter than the plaintext.
    pub fn open_blocks(&self, id: &FileId, first: u64, cipher: &[u8], out: &mut [u8]) -> Result<usize, CorruptBlock> {
        // A stub, too short to hold anything, is found bad when its turn comes; it takes no room.
        let last = cipher.len() % self.cipher_block();
        let plain_len = cipher.len() / self.cipher_block() * PLAIN_BLOCK + last.saturating_sub(self.overhead());
        let mut rest = &mut out[..plain_len];
        for (first, cipher) in (first..).step_by(BATCH).zip(cipher.chunks(BATCH * self.cipher_block())) {
            let out = take(&mut rest, BATCH * PLAIN_BLOCK);
            match self.aead.interleaves() && cipher.len() > self.cipher_block() {
                true => self.open_together(id, first, cipher, out)?,
                false => self.open_each(id, first, cipher, out)?,
            }
        }
        Ok(plain_len)
    }

    /// Opens blocks one by one.
    fn open_each(&self, id: &FileId, first: u64, cipher: &[u8], out: &mut [u8]) -> Result<(), CorruptBlock> {
        let mut rest = out;
        for (block, stored) in (first..).zip(cipher.chunks(self.cipher_block())) {
            let out = take(&mut rest, PLAIN_BLOCK);
            if self.is_hole(stored) {
                out.fill(0);
                continue;
            }
            let opened = self
                .split_nonce(stored)
                .and_then(|(nonce, sealed)| Ok(self.aead.open(nonce, &block_aad(block, id), sealed, out)?));
            opened.map_err(|why| CorruptBlock { block, why })?;
        }
        Ok(())
    }

    /// Opens at most `BATCH` blocks side by side.
    fn open_together(&self, id: &FileId, first: u64, cipher: &[u8], out: &mut [u8]) -> Result<(), CorruptBlock> {
        let aads: [BlockAad; BATCH] = std::array::from_fn(|i| block_aad(first + i as u64, id));
        let mut lanes: [OpenLane<'_>; BATCH] = std::array::from_fn(|_| OpenLane::default());
        let mut numbers = [0; BATCH];
        let mut count = 0;
        // The first block that cannot even be tried. Those before it are opened all the same.
        let mut unfit = Ok(());
        let mut rest = out;
        for ((block, stored), aad) in (first..).zip(cipher.chunks(self.cipher_block())).zip(&aads) {
            let out = take(&mut rest, PLAIN_BLOCK);
            if self.is_hole(stored) {
                out.fill(0);
                continue;
            }
            match self.split_nonce(stored) {
                Ok((nonce, sealed)) => {
                    lanes[count] = OpenLane { nonce, aad, sealed, out };
                    numbers[count] = block;
                    count += 1;
                }
                Err(why) => {
                    unfit = Err(CorruptBlock { block, why });
                    break;
                }
            }
        }
        match self.aead.open_batch(&mut lanes[..count]) {
            Ok(()) => unfit,
            Err(bad) => Err(CorruptBlock { block: numbers[bad], why: Corrupt::NotAuthentic }),
        }
    }

    /// What can be read of a block that failed to authenticate because a change of the file's size was interrupted
    /// there. Returns the plaintext's length, the plaintext being in `out`; `None` if nothing authenticates.
    ///
    /// * The file was grown: a valid short block is followed by zeros, up to a full block or to the end.
    /// * The file was shrunk, and this is its last block: a valid shorter block is followed by what was there before.
    ///
    /// Only authenticated bytes are ever returned, for this block of this file.
    ///
    /// # Panics
    /// If `out` is shorter than the plaintext of the stored length.
    pub fn open_interrupted(
        &self,
        id: &FileId,
        block: u64,
        cipher: &[u8],
        last_in_file: bool,
        out: &mut [u8],
    ) -> Option<usize> {
        // A tag ends in one zero byte once in 256 times, in eight of them once in 2^64.
        const ZEROS_OF_ITS_OWN: usize = 8;
        let nonzero = cipher.len() - cipher.iter().rev().take_while(|&&byte| byte == 0).count();
        let zeros_follow = nonzero..cipher.len().min(nonzero + ZEROS_OF_ITS_OWN + 1);
        let rest_follows = if last_in_file { 0..cipher.len() } else { 0..0 };
        let aad = block_aad(block, id);
        let opens = |len: &usize| self.open_as(&cipher[..*len], &aad, out);
        let len = zeros_follow.chain(rest_follows.rev()).filter(|&len| len > self.overhead()).find(opens)?;
        Some(len - self.overhead())
    }

    fn open_as(&self, cipher: &[u8], aad: &[u8], out: &mut [u8]) -> bool {
        match self.split_nonce(cipher) {
            Ok((nonce, sealed)) => self.aead.open(nonce, aad, sealed, &mut out[..sealed.len() - TAG_LEN]).is_ok(),
            Err(_) => false,
        }
    }

    /// Seals a value that belongs to no file: `nonce || sealed`. Empty stays empty.
    pub fn seal_value(&self, plain: &[u8], random: &dyn Random) -> Vec<u8> {
        let mut nonce = [0; MAX_NONCE];
        let nonce = &mut nonce[..self.nonce_len()];
        random.fill(nonce);
        self.seal_value_under(nonce, plain)
    }

    /// As [`ContentCipher::seal_value`], under a nonce that is given.
    pub(crate) fn seal_value_under(&self, nonce: &[u8], plain: &[u8]) -> Vec<u8> {
        if plain.is_empty() {
            return Vec::new();
        }
        let mut stored = vec![0; plain.len() + self.overhead()];
        let (place, out) = stored.split_at_mut(self.nonce_len());
        place.copy_from_slice(nonce);
        self.aead.seal(nonce, &VALUE_AAD, plain, out);
        stored
    }

    /// Opens what [`ContentCipher::seal_value`] sealed.
    pub fn open_value(&self, stored: &[u8]) -> Result<Vec<u8>, Corrupt> {
        if stored.is_empty() {
            return Ok(Vec::new());
        }
        let (nonce, sealed) = self.split_nonce(stored)?;
        let mut plain = vec![0; sealed.len() - TAG_LEN];
        self.aead.open(nonce, &VALUE_AAD, sealed, &mut plain)?;
        Ok(plain)
    }

    /// Opens the value of an extended attribute: like any value, or, as old versions stored it, in base64 on top.
    pub fn open_xattr_value(&self, stored: &[u8]) -> Result<Vec<u8>, Corrupt> {
        self.open_value(stored).or_else(|why| match self.code.decode(stored) {
            Some(decoded) => self.open_value(&decoded).map_err(|_| why),
            None => Err(why),
        })
    }

    pub(crate) fn code(&self) -> UrlSafe {
        self.code
    }

    pub(crate) fn stores_symlinks_plain(&self) -> bool {
        self.plaintext_symlinks
    }

    pub(crate) fn nonce_len(&self) -> usize {
        self.aead.nonce_len()
    }

    pub(crate) fn seal_lanes(&self, lanes: &mut [SealLane<'_>]) {
        self.aead.seal_batch(lanes);
    }

    pub(crate) fn overhead(&self) -> usize {
        self.aead.nonce_len() + TAG_LEN
    }

    fn cipher_block(&self) -> usize {
        PLAIN_BLOCK + self.overhead()
    }

    /// A full block of zeros: never written, or given back to the file system.
    fn is_hole(&self, stored: &[u8]) -> bool {
        stored.len() == self.cipher_block() && is_zero(stored)
    }

    /// Splits stored bytes into nonce and sealed data, which hold at least one byte besides the tag.
    fn split_nonce<'a>(&self, stored: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Corrupt> {
        if stored.len() <= self.overhead() {
            return Err(Corrupt::TooShort(stored.len() as u64));
        }
        match stored.split_at(self.aead.nonce_len()) {
            (nonce, _) if is_zero(nonce) => Err(Corrupt::ZeroNonce),
            split => Ok(split),
        }
    }
}

pub(crate) fn block_aad(block: u64, id: &FileId) -> BlockAad {
    let mut aad = [0; 24];
    aad[..8].copy_from_slice(&block.to_be_bytes());
    aad[8..].copy_from_slice(id.as_bytes());
    aad
}

/// Cuts off the first `len` bytes, or as many as there are.
fn take<'a>(rest: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    let all = std::mem::take(rest);
    let (first, others) = all.split_at_mut(len.min(all.len()));
    *rest = others;
    first
}

/// Whether all bytes are zero. The nonce of a block that is no hole ends this within its first bytes.
fn is_zero(bytes: &[u8]) -> bool {
    static ZEROS: [u8; MAX_CIPHER_BLOCK] = [0; MAX_CIPHER_BLOCK];
    let head = bytes.len().min(8);
    bytes[..head] == ZEROS[..head] && bytes == &ZEROS[..bytes.len()]
}
