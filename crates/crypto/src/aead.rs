//! Authenticated encryption: three algorithms behind one type.

use std::fmt;

use crate::{CryptoError, NotAuthentic, portable, siv::Siv};

/// Every algorithm here adds as much to a message.
pub const TAG_LEN: usize = 16;

/// How contents are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// AES-256 in Galois/counter mode, with nonces of 128 bits (12 bytes are taken too, for old volumes' keys).
    Aes256Gcm,
    /// AES-SIV (RFC 5297) with a key of 512 bits and a nonce of 128 bits as the last associated datum.
    AesSiv,
    /// XChaCha20-Poly1305, with nonces of 192 bits.
    XChaCha20Poly1305,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Aes256Gcm, Self::AesSiv, Self::XChaCha20Poly1305];

    /// Length of the key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes256Gcm | Self::XChaCha20Poly1305 => 32,
            Self::AesSiv => 64,
        }
    }

    /// Length of the nonces that contents are sealed with.
    pub const fn nonce_len(self) -> usize {
        match self {
            Self::Aes256Gcm | Self::AesSiv => 16,
            Self::XChaCha20Poly1305 => 24,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aes256Gcm => "AES-256-GCM",
            Self::AesSiv => "AES-SIV-512",
            Self::XChaCha20Poly1305 => "XChaCha20-Poly1305",
        })
    }
}

/// Whose code does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// aws-lc through aws-lc-sys.
    #[cfg(feature = "aws-lc")]
    AwsLc,
    /// The RustCrypto crates.
    RustCrypto,
    /// This crate, over RustCrypto's `aes`.
    Own,
}

impl Backend {
    /// What can do this algorithm in this build, the one that [`Aead::new`] takes first.
    pub fn all_for(algorithm: Algorithm) -> &'static [Self] {
        match algorithm {
            Algorithm::AesSiv => &[Self::Own],
            #[cfg(feature = "aws-lc")]
            _ => &[Self::AwsLc, Self::RustCrypto],
            #[cfg(not(feature = "aws-lc"))]
            _ => &[Self::RustCrypto],
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(feature = "aws-lc")]
            Self::AwsLc => "aws-lc",
            Self::RustCrypto => "RustCrypto",
            Self::Own => "interleaved",
        })
    }
}

/// A key made ready for sealing and opening. Shared by threads without locks.
///
/// A sealed message is `ciphertext || tag`, with AES-SIV `tag || ciphertext`: in both cases what gocryptfs stores
/// after the nonce.
pub struct Aead {
    algorithm: Algorithm,
    sealer: Sealer,
}

enum Sealer {
    #[cfg(feature = "aws-lc")]
    AwsLc(crate::aws_lc::Context),
    Gcm(portable::Gcm),
    XChaCha(portable::XChaCha),
    Siv(Siv),
}

/// One message of a batch to be sealed.
#[derive(Default)]
pub struct SealLane<'a> {
    /// Never used twice with the same key.
    pub nonce: &'a [u8],
    /// Associated data.
    pub aad: &'a [u8],
    /// The message.
    pub plain: &'a [u8],
    /// Where the sealed message goes: `plain.len() + TAG_LEN` bytes.
    pub out: &'a mut [u8],
}

/// One message of a batch to be opened.
#[derive(Default)]
pub struct OpenLane<'a> {
    /// The nonce it was sealed with.
    pub nonce: &'a [u8],
    /// Associated data.
    pub aad: &'a [u8],
    /// The sealed message, at least `TAG_LEN` bytes.
    pub sealed: &'a [u8],
    /// Where the message goes: `sealed.len() - TAG_LEN` bytes. Zeroed if it does not authenticate.
    pub out: &'a mut [u8],
}

impl Aead {
    /// Makes a key ready, with the fastest code of this build.
    pub fn new(algorithm: Algorithm, key: &[u8]) -> Result<Self, CryptoError> {
        Self::with_backend(Backend::all_for(algorithm)[0], algorithm, key)
    }

    /// Makes a key ready with the code of one's choice.
    pub fn with_backend(backend: Backend, algorithm: Algorithm, key: &[u8]) -> Result<Self, CryptoError> {
        let wrong = CryptoError::KeyLength { algorithm, needed: algorithm.key_len(), given: key.len() };
        let sealer = match (algorithm, backend) {
            (Algorithm::AesSiv, _) => Sealer::Siv(Siv::new(key.try_into().map_err(|_| wrong)?)),
            #[cfg(feature = "aws-lc")]
            (_, Backend::AwsLc) => {
                Sealer::AwsLc(crate::aws_lc::Context::new(algorithm, key.try_into().map_err(|_| wrong)?))
            }
            (Algorithm::Aes256Gcm, _) => Sealer::Gcm(portable::Gcm::new(key.try_into().map_err(|_| wrong)?)),
            (Algorithm::XChaCha20Poly1305, _) => {
                Sealer::XChaCha(portable::XChaCha::new(key.try_into().map_err(|_| wrong)?))
            }
        };
        Ok(Self { algorithm, sealer })
    }

    /// Which algorithm this is.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Length of the nonces that contents are sealed with.
    pub fn nonce_len(&self) -> usize {
        self.algorithm.nonce_len()
    }

    /// Whether batches are faster than their messages one by one.
    pub fn interleaves(&self) -> bool {
        matches!(self.sealer, Sealer::Siv(_))
    }

    /// Seals one message.
    ///
    /// # Panics
    /// If the lengths of nonce or `out` are not what the algorithm takes.
    pub fn seal(&self, nonce: &[u8], aad: &[u8], plain: &[u8], out: &mut [u8]) {
        self.seal_batch(&mut [SealLane { nonce, aad, plain, out }]);
    }

    /// Opens one message; zeroes `out` if it does not authenticate.
    ///
    /// # Panics
    /// If the lengths of nonce or `out` are not what the algorithm takes.
    pub fn open(&self, nonce: &[u8], aad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<(), NotAuthentic> {
        self.open_batch(&mut [OpenLane { nonce, aad, sealed, out }]).map_err(|_| NotAuthentic)
    }

    /// Seals messages of equal shape (lengths of nonce, associated data and, but for the last, of the message).
    /// The more there are, the faster is AES-SIV; to the others it makes no difference.
    pub fn seal_batch(&self, lanes: &mut [SealLane<'_>]) {
        for lane in lanes.iter() {
            self.check_nonce(lane.nonce);
            assert_eq!(lane.out.len(), lane.plain.len() + TAG_LEN, "room for a sealed message is its length and a tag");
        }
        match &self.sealer {
            #[cfg(feature = "aws-lc")]
            Sealer::AwsLc(context) => lanes.iter_mut().for_each(|l| context.seal(l.nonce, l.aad, l.plain, l.out)),
            Sealer::Gcm(gcm) => lanes.iter_mut().for_each(|l| gcm.seal(l.nonce, l.aad, l.plain, l.out)),
            Sealer::XChaCha(xchacha) => lanes.iter_mut().for_each(|l| xchacha.seal(l.nonce, l.aad, l.plain, l.out)),
            Sealer::Siv(siv) => siv.seal_batch(lanes),
        }
    }

    /// Opens messages. On failure says which was the first that does not authenticate; those before it are opened,
    /// its own `out` is zeroed, and what the later ones hold is not to be used.
    pub fn open_batch(&self, lanes: &mut [OpenLane<'_>]) -> Result<(), usize> {
        for lane in lanes.iter() {
            self.check_nonce(lane.nonce);
            assert_eq!(lane.sealed.len(), lane.out.len() + TAG_LEN, "a sealed message is a message and a tag");
        }
        match &self.sealer {
            #[cfg(feature = "aws-lc")]
            Sealer::AwsLc(context) => each(lanes, |l| context.open(l.nonce, l.aad, l.sealed, l.out)),
            Sealer::Gcm(gcm) => each(lanes, |l| gcm.open(l.nonce, l.aad, l.sealed, l.out)),
            Sealer::XChaCha(xchacha) => each(lanes, |l| xchacha.open(l.nonce, l.aad, l.sealed, l.out)),
            Sealer::Siv(siv) => siv.open_batch(lanes),
        }
    }

    fn check_nonce(&self, nonce: &[u8]) {
        let fits = match self.algorithm {
            Algorithm::Aes256Gcm => matches!(nonce.len(), 12 | 16),
            Algorithm::AesSiv | Algorithm::XChaCha20Poly1305 => nonce.len() == self.nonce_len(),
        };
        assert!(fits, "{} does not take a nonce of {} bytes", self.algorithm, nonce.len());
    }
}

fn each<'a>(
    lanes: &mut [OpenLane<'a>],
    open: impl Fn(&mut OpenLane<'a>) -> Result<(), NotAuthentic>,
) -> Result<(), usize> {
    match lanes.iter_mut().position(|lane| open(lane).is_err()) {
        Some(first_bad) => Err(first_bad),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_back_ends_seal_the_same_bytes_and_open_them(
            key in prop::array::uniform32(any::<u8>()),
            nonce in prop::array::uniform24(any::<u8>()),
            aad in prop::collection::vec(any::<u8>(), 0..40),
            plain in prop::collection::vec(any::<u8>(), 0..5000),
        ) {
            for algorithm in Algorithm::ALL {
                let nonce = &nonce[..algorithm.nonce_len()];
                let sealed: Vec<_> = back_ends(algorithm, &key).map(|aead| seal(&aead, nonce, &aad, &plain)).collect();
                prop_assert!(sealed.iter().all(|other| *other == sealed[0]));
                for aead in back_ends(algorithm, &key) {
                    let mut opened = vec![0; plain.len()];
                    prop_assert_eq!(aead.open(nonce, &aad, &sealed[0], &mut opened), Ok(()));
                    prop_assert_eq!(&opened, &plain);
                }
            }
        }

        #[test]
        fn any_flipped_bit_is_refused_and_leaves_zeros(
            key in prop::array::uniform32(any::<u8>()),
            len in 0usize..200,
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            for algorithm in Algorithm::ALL {
                for aead in back_ends(algorithm, &key) {
                    let nonce = vec![9; algorithm.nonce_len()];
                    let aad = [8; 24];
                    let sealed = seal(&aead, &nonce, &aad, &vec![7; len]);
                    // One message of nonce, associated data and sealed bytes, any bit of which counts.
                    let mut all = [&nonce[..], &aad, &sealed].concat();
                    let at = at.index(all.len());
                    all[at] ^= 1 << bit;
                    let (nonce, rest) = all.split_at(nonce.len());
                    let (aad, sealed) = rest.split_at(aad.len());
                    let mut opened = vec![1; len];
                    prop_assert_eq!(aead.open(nonce, aad, sealed, &mut opened), Err(NotAuthentic));
                    prop_assert!(opened.iter().all(|&byte| byte == 0));
                }
            }
        }
    }

    #[test]
    fn gcm_takes_nonces_of_twelve_bytes_too() {
        let sealed: Vec<_> =
            back_ends(Algorithm::Aes256Gcm, &[1; 32]).map(|aead| seal(&aead, &[2; 12], b"", b"key")).collect();
        assert!(sealed.iter().all(|other| *other == sealed[0]));
        assert_ne!(sealed[0], seal(&Aead::new(Algorithm::Aes256Gcm, &[1; 32]).unwrap(), &[2; 16], b"", b"key"));
    }

    #[test]
    fn a_key_of_the_wrong_length_is_refused() {
        for algorithm in Algorithm::ALL {
            for len in [0, 16, 31, 33, 63, 65] {
                let refused = Aead::new(algorithm, &vec![0; len]).map(|_| ()).unwrap_err();
                assert_eq!(refused, CryptoError::KeyLength { algorithm, needed: algorithm.key_len(), given: len });
            }
        }
    }

    #[test]
    fn the_first_bad_message_is_named_by_every_back_end() {
        for algorithm in Algorithm::ALL {
            for aead in back_ends(algorithm, &[3; 32]) {
                let nonce = &vec![4; algorithm.nonce_len()];
                let mut sealed = vec![seal(&aead, nonce, b"a", b"text"); 5];
                sealed[3][7] ^= 1;
                sealed[4][0] ^= 1;
                let mut opened = [[0; 4]; 5];
                let mut lanes: Vec<_> = (opened.iter_mut().zip(&sealed))
                    .map(|(out, sealed)| OpenLane { nonce, aad: b"a", sealed, out })
                    .collect();
                assert_eq!(aead.open_batch(&mut lanes), Err(3));
                assert_eq!(&opened[..4], [*b"text", *b"text", *b"text", [0; 4]]);
            }
        }
    }

    #[test]
    #[should_panic(expected = "does not take a nonce of 12 bytes")]
    fn a_nonce_of_the_wrong_length_is_a_mistake_of_the_caller() {
        seal(&Aead::new(Algorithm::AesSiv, &[0; 64]).unwrap(), &[0; 12], b"", b"");
    }

    #[test]
    fn threads_share_a_key() {
        for algorithm in Algorithm::ALL {
            let aead = Aead::new(algorithm, &vec![5; algorithm.key_len()]).unwrap();
            let nonce = vec![6; algorithm.nonce_len()];
            let expected = seal(&aead, &nonce, b"", &[7; 4096]);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| (0..200).for_each(|_| assert!(seal(&aead, &nonce, b"", &[7; 4096]) == expected)));
                }
            });
        }
    }

    fn back_ends(algorithm: Algorithm, key: &[u8; 32]) -> impl Iterator<Item = Aead> {
        let key = [*key, *key].concat();
        let backends = Backend::all_for(algorithm).iter();
        backends.map(move |&back_end| Aead::with_backend(back_end, algorithm, &key[..algorithm.key_len()]).unwrap())
    }

    fn seal(aead: &Aead, nonce: &[u8], aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut out = vec![0xCC; plain.len() + TAG_LEN];
        aead.seal(nonce, aad, plain, &mut out);
        out
    }
}
