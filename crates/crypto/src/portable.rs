//! AES-256-GCM and XChaCha20-Poly1305 by RustCrypto: where aws-lc cannot be built, and as the second opinion in tests.

use aes_gcm::{
    AeadInOut, AesGcm, KeyInit,
    aes::{
        Aes256,
        cipher::{
            consts::{U12, U16},
            inout::InOutBuf,
        },
    },
};
use chacha20poly1305::XChaCha20Poly1305;
use strongroom_secret::Locked;

use crate::{NotAuthentic, TAG_LEN};

/// AES-256-GCM, once for each length of nonce.
pub struct Gcm {
    long: Locked<AesGcm<Aes256, U16>>,
    short: Locked<AesGcm<Aes256, U12>>,
}

impl Gcm {
    pub fn new(key: &[u8; 32]) -> Self {
        Self { long: Locked::new(AesGcm::new(key.into())), short: Locked::new(AesGcm::new(key.into())) }
    }

    pub fn seal(&self, nonce: &[u8], aad: &[u8], plain: &[u8], out: &mut [u8]) {
        match nonce.len() {
            12 => seal(&*self.short, nonce, aad, plain, out),
            _ => seal(&*self.long, nonce, aad, plain, out),
        }
    }

    pub fn open(&self, nonce: &[u8], aad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<(), NotAuthentic> {
        match nonce.len() {
            12 => open(&*self.short, nonce, aad, sealed, out),
            _ => open(&*self.long, nonce, aad, sealed, out),
        }
    }
}

/// XChaCha20-Poly1305.
pub struct XChaCha(Locked<XChaCha20Poly1305>);

impl XChaCha {
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Locked::new(XChaCha20Poly1305::new(key.into())))
    }

    pub fn seal(&self, nonce: &[u8], aad: &[u8], plain: &[u8], out: &mut [u8]) {
        seal(&*self.0, nonce, aad, plain, out);
    }

    pub fn open(&self, nonce: &[u8], aad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<(), NotAuthentic> {
        open(&*self.0, nonce, aad, sealed, out)
    }
}

fn seal<A: AeadInOut>(aead: &A, nonce: &[u8], aad: &[u8], plain: &[u8], out: &mut [u8]) {
    let (ciphertext, tag) = out.split_at_mut(plain.len());
    let both = InOutBuf::new(plain, ciphertext).expect("split at the length of the plaintext");
    let nonce = nonce.try_into().expect("the length of the nonce was checked");
    let made = aead.encrypt_inout_detached(nonce, aad, both).expect("messages are far shorter than the limit");
    tag.copy_from_slice(&made);
}

fn open<A: AeadInOut>(aead: &A, nonce: &[u8], aad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<(), NotAuthentic> {
    let (ciphertext, tag) = sealed.split_at(sealed.len() - TAG_LEN);
    let both = InOutBuf::new(ciphertext, &mut *out).expect("the lengths were checked");
    let nonce = nonce.try_into().expect("the length of the nonce was checked");
    let tag = tag.try_into().expect("split off as long as a tag");
    let opened = aead.decrypt_inout_detached(nonce, aad, both, tag);
    opened.map_err(|_| {
        out.fill(0);
        NotAuthentic
    })
}
