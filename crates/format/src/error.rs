//! What can be wrong with bytes of the format.

use strongroom_crypto::{CryptoError, NotAuthentic};

/// Why stored data cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    /// Too short to be sealed data.
    #[error("{0} bytes are too few to hold a nonce, a tag and data")]
    TooShort(u64),
    /// The nonce is all zero, which no writer makes: a torn write, or a hole where none can be.
    #[error("the nonce is all zero")]
    ZeroNonce,
    /// Made with another key, at another place, or changed since.
    #[error("the data do not authenticate")]
    NotAuthentic,
    /// Not base64 of the volume's kind.
    #[error("not valid base64")]
    NotBase64,
    /// A header of zeros only.
    #[error("the file header is all zero")]
    ZeroHeader,
    /// A header of another version.
    #[error("the file header has version {0}, not 2")]
    HeaderVersion(u16),
    /// A header without a file id.
    #[error("the file id is all zero")]
    ZeroFileId,
    /// A directory IV of the wrong length.
    #[error("the directory IV has {0} bytes, not 16")]
    DirIvLength(usize),
    /// A directory IV of zeros only.
    #[error("the directory IV is all zero")]
    ZeroDirIv,
}

impl From<NotAuthentic> for Corrupt {
    fn from(_: NotAuthentic) -> Self {
        Self::NotAuthentic
    }
}

/// The first bad block of those that were to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("block {block}: {why}")]
pub struct CorruptBlock {
    /// Its number in the file.
    pub block: u64,
    /// What is wrong with it.
    pub why: Corrupt,
}

/// Why a name cannot be stored, or a stored one not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Longer than 255 bytes.
    #[error("the name is longer than 255 bytes")]
    TooLong,
    /// Empty, `.`, `..`, or with a `/` or a NUL in it.
    #[error("the name is empty, `.`, `..`, or holds a `/` or NUL")]
    Invalid,
    /// Not base64 of the volume's kind.
    #[error("the stored name is not valid base64")]
    NotBase64,
    /// Not a whole number of cipher blocks.
    #[error("the stored name is not 1 to 16 blocks of 16 bytes")]
    Length,
    /// It decrypts to garbage: another directory's IV, another key, or changed.
    #[error("the stored name does not decrypt with this directory's IV")]
    Padding,
    /// An encrypted attribute name that stands for one which is never encrypted.
    #[error("the stored name stands for an attribute that is not stored encrypted")]
    PassedThrough,
}

/// Why `gocryptfs.conf` cannot be read, made or unlocked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuperblockError {
    /// Not one JSON object.
    #[error("gocryptfs.conf is not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A field holds what it cannot hold.
    #[error("gocryptfs.conf: the field {field} is not {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// Another version of the format.
    #[error("gocryptfs.conf has version {0}; only version 2 is known")]
    Version(u64),
    /// A feature this program does not know, hence cannot honour.
    #[error("gocryptfs.conf lists the feature flag {0:?}, which is not known")]
    UnknownFeature(String),
    /// Features that exclude or need each other.
    #[error("gocryptfs.conf has features that do not go together: {0}")]
    Features(&'static str),
    /// Scrypt parameters that are too weak, too costly, or undefined.
    #[error("gocryptfs.conf: scrypt with {field}={value} is refused: {why}")]
    Scrypt {
        /// The parameter.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The wrapped master key has the wrong length.
    #[error("gocryptfs.conf: the encrypted master key has {given} bytes, not {needed}")]
    EncryptedKey {
        /// Its length.
        given: usize,
        /// What it should be.
        needed: usize,
    },
    /// Settings that cannot make a volume.
    #[error("a volume cannot be made so: {0}")]
    Settings(&'static str),
    /// The passphrase does not unwrap the master key.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// What was told in place of `gocryptfs.conf` holds no key.
    #[error("there is no wrapped master key to unlock; the volume opens with the master key itself")]
    NoWrappedKey,
    /// The passphrase is kept by a FIDO2 token.
    #[error("the passphrase of this volume is kept by a FIDO2 token, which is not supported; the master key opens it")]
    Fido2,
    /// Not a master key written in hexadecimal.
    #[error("a recovery key is 64 hexadecimal digits, in groups or not; this has {0}")]
    RecoveryKey(&'static str),
    /// A primitive refused its arguments.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}
