//! AES-256-GCM and XChaCha20-Poly1305 by aws-lc: a safe wrapper of its `EVP_AEAD` interface. The only unsafe code of
//! this crate.
//!
//! That AES-256-GCM takes nonces of 16 bytes here (J0 = GHASH(nonce)) is behaviour of aws-lc, not a promise of its
//! manual: the version is pinned, and the known answers are tests.

use std::{mem::MaybeUninit, ptr};

use aws_lc_sys::{
    EVP_AEAD_CTX, EVP_AEAD_CTX_cleanup, EVP_AEAD_CTX_init, EVP_AEAD_CTX_open, EVP_AEAD_CTX_seal, EVP_aead_aes_256_gcm,
    EVP_aead_xchacha20_poly1305,
};
use strongroom_secret::Locked;

use crate::{Algorithm, NotAuthentic, TAG_LEN};

/// A key schedule, which `EVP_AEAD_CTX` holds inline for both algorithms; hence on locked pages.
pub struct Context(Locked<Initialised>);

/// An `EVP_AEAD_CTX` after a successful `EVP_AEAD_CTX_init`, at the address where that took place.
struct Initialised(EVP_AEAD_CTX);

// SAFETY: after EVP_AEAD_CTX_init the context belongs to no thread; sealing and opening take it as a const pointer.
unsafe impl Send for Initialised {}
// SAFETY: aead.h: "An EVP_AEAD_CTX may be used concurrently by multiple threads" once initialised, it being const then.
unsafe impl Sync for Initialised {}

impl Context {
    /// # Panics
    /// If asked for AES-SIV, which is not done here.
    pub fn new(algorithm: Algorithm, key: &[u8; 32]) -> Self {
        // SAFETY: both functions return a pointer to a constant table.
        let aead = unsafe {
            match algorithm {
                Algorithm::Aes256Gcm => EVP_aead_aes_256_gcm(),
                Algorithm::XChaCha20Poly1305 => EVP_aead_xchacha20_poly1305(),
                Algorithm::AesSiv => unreachable!("AES-SIV is in siv.rs"),
            }
        };
        Self(Locked::new_with(|slot: &mut MaybeUninit<Initialised>| {
            // SAFETY: Initialised is an EVP_AEAD_CTX and nothing else, the slot is writable and aligned for it, and
            // the key is as long as said. On success the context is initialised, and the slot never moves.
            unsafe {
                let context = slot.as_mut_ptr().cast::<EVP_AEAD_CTX>();
                let done = EVP_AEAD_CTX_init(context, aead, key.as_ptr(), key.len(), TAG_LEN, ptr::null_mut());
                assert_eq!(done, 1, "aws-lc takes 32 key bytes and a tag of 16 for {algorithm}");
                slot.assume_init_mut()
            }
        }))
    }

    pub fn seal(&self, nonce: &[u8], aad: &[u8], plain: &[u8], out: &mut [u8]) {
        let mut written = 0;
        // SAFETY: the context is initialised; every pointer comes with the length of its slice; `out` does not
        // overlap the others, being borrowed mutably.
        let done = unsafe {
            EVP_AEAD_CTX_seal(
                &raw const self.0.0,
                out.as_mut_ptr(),
                &raw mut written,
                out.len(),
                nonce.as_ptr(),
                nonce.len(),
                plain.as_ptr(),
                plain.len(),
                aad.as_ptr(),
                aad.len(),
            )
        };
        assert!(done == 1 && written == out.len(), "aws-lc seals any message that has room for its tag");
    }

    pub fn open(&self, nonce: &[u8], aad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<(), NotAuthentic> {
        let mut written = 0;
        // SAFETY: as in seal.
        let done = unsafe {
            EVP_AEAD_CTX_open(
                &raw const self.0.0,
                out.as_mut_ptr(),
                &raw mut written,
                out.len(),
                nonce.as_ptr(),
                nonce.len(),
                sealed.as_ptr(),
                sealed.len(),
                aad.as_ptr(),
                aad.len(),
            )
        };
        if done != 1 || written != out.len() {
            // aws-lc does so too; but nobody shall have to look that up.
            out.fill(0);
            return Err(NotAuthentic);
        }
        Ok(())
    }
}

impl Drop for Initialised {
    fn drop(&mut self) {
        // SAFETY: initialised once, cleaned up once.
        unsafe { EVP_AEAD_CTX_cleanup(&raw mut self.0) };
    }
}
