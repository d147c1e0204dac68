//! `gocryptfs.conf`: what a volume is made of, and its master key, wrapped in the passphrase.

use serde::Serialize;
use strongroom_crypto::{Algorithm, Key, Random, TAG_LEN, scrypt};
use strongroom_secret::Passphrase;

use crate::{
    ContentCipher, Feature, Features, MasterKey, NameCipher, SuperblockError, XattrCipher,
    base64::{UrlSafe, encode_standard},
    derive,
    eme_name::EmeNames,
    json::{Json, Object},
};

/// A valid `gocryptfs.conf`.
#[derive(Clone)]
pub struct Superblock {
    creator: String,
    encrypted_key: Vec<u8>,
    scrypt: Scrypt,
    features: Features,
    /// Zero where the feature LongNameMax is absent.
    long_name_max: u8,
    fido2: Option<Fido2>,
}

/// What a new volume shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How contents are sealed.
    pub cipher: Algorithm,
    /// How names are stored.
    pub names: NameMode,
    /// From which encoded length names are hashed, 62 to 255; `None` is 255.
    pub long_name_max: Option<u8>,
    /// Binary logarithm of scrypt's cost, 10 to 22.
    pub scrypt_log_n: u8,
}

impl Default for Settings {
    fn default() -> Self {
        let scrypt_log_n = Self::DEFAULT_SCRYPT_LOG_N;
        Self { cipher: Algorithm::Aes256Gcm, names: NameMode::Encrypted, long_name_max: None, scrypt_log_n }
    }
}

impl Settings {
    /// What gocryptfs takes unless told otherwise: 64 MiB and some tenths of a second.
    pub const DEFAULT_SCRYPT_LOG_N: u8 = 16;
}

/// What a volume is, told by a person who has its master key, where no `gocryptfs.conf` is to be believed, or none is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explicit {
    /// How contents are sealed.
    pub cipher: Algorithm,
    /// How names are stored.
    pub names: NameMode,
    /// From which encoded length names are hashed; `None` is 255.
    pub long_name_max: Option<u8>,
    /// Whether sub-keys are derived by HKDF, as they are since v1.3.
    pub hkdf: bool,
    /// Whether base64 is written without padding. Names of attributes are, also where those of files are plain.
    pub raw64: bool,
}

impl Default for Explicit {
    fn default() -> Self {
        let Settings { cipher, names, long_name_max, .. } = Settings::default();
        Self { cipher, names, long_name_max, hkdf: true, raw64: true }
    }
}

/// How names are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameMode {
    /// Encrypted, with an IV for each directory.
    Encrypted,
    /// Encrypted, equal names looking equal everywhere.
    Deterministic,
    /// As they are; symlink targets too.
    Plaintext,
}

/// Everything that a volume's master key is good for.
pub struct Ciphers {
    /// Blocks, symlink targets, attribute values.
    pub content: ContentCipher,
    /// Names of entries.
    pub names: NameCipher,
    /// Names of extended attributes.
    pub xattrs: XattrCipher,
}

#[derive(Clone)]
struct Scrypt {
    salt: Vec<u8>,
    log_n: u8,
    r: u32,
    p: u32,
}

/// How a FIDO2 token is asked for the secret that takes the place of a passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fido2 {
    /// Which of the token's credentials.
    pub credential_id: Vec<u8>,
    /// What the token derives the secret from.
    pub hmac_salt: Vec<u8>,
    /// More options for the assertion (`-t` of fido2-assert), if the volume says so.
    pub assert_options: Option<Vec<String>>,
}

const VERSION: u64 = 2;
const KEY_LEN: usize = 32;
const SALT_LEN: usize = 32;
const MAX_SCRYPT_MEMORY: u64 = 4 << 30;
const MAX_SCRYPT_WORK: u64 = 64 << 30;
/// "Content block 0 of a file without an id."
const WRAP_AAD: [u8; 8] = [0; 8];

impl Superblock {
    /// Reads and checks a `gocryptfs.conf`.
    pub fn parse(json: &[u8]) -> Result<Self, SuperblockError> {
        let json = Json::parse(json)?;
        let object =
            Object::new(&json).ok_or(SuperblockError::Field { field: "gocryptfs.conf", expected: "a JSON object" })?;
        match object.number("Version", u16::MAX.into())?.unwrap_or(0) {
            VERSION => {}
            other => return Err(SuperblockError::Version(other)),
        }
        let parsed = Self {
            creator: object.string("Creator")?.unwrap_or_default().to_owned(),
            encrypted_key: object.bytes("EncryptedKey")?.unwrap_or_default(),
            scrypt: Scrypt::parse(object.object("ScryptObject")?)?,
            features: Features::parse(object.strings("FeatureFlags")?.unwrap_or_default())?,
            long_name_max: match object.number("LongNameMax", u8::MAX.into())? {
                Some(max) => u8::try_from(max).expect("bounded just now"),
                None => 0,
            },
            fido2: object.object("FIDO2")?.map(|fido2| Fido2::parse(&fido2)).transpose()?,
        };
        parsed.check()?;
        Ok(parsed)
    }

    /// The file's content: as gocryptfs would write it, tab-indented, with a newline at the end.
    pub fn to_json(&self) -> Vec<u8> {
        let file = Written {
            creator: &self.creator,
            encrypted_key: encode_standard(&self.encrypted_key),
            scrypt: WrittenScrypt {
                salt: encode_standard(&self.scrypt.salt),
                n: 1 << self.scrypt.log_n,
                r: self.scrypt.r,
                p: self.scrypt.p,
                key_len: KEY_LEN,
            },
            version: VERSION,
            features: self.features.iter().map(Feature::name).collect(),
            fido2: self.fido2.as_ref().map(|fido2| WrittenFido2 {
                credential_id: encode_standard(&fido2.credential_id),
                hmac_salt: encode_standard(&fido2.hmac_salt),
                assert_options: fido2.assert_options.as_deref(),
            }),
            long_name_max: self.long_name_max,
        };
        let mut json = Vec::new();
        let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        file.serialize(&mut serde_json::Serializer::with_formatter(&mut json, tabs))
            .expect("strings and numbers are written to memory");
        json.push(b'\n');
        json
    }

    /// A new volume's superblock, the master key wrapped in the passphrase. Takes scrypt's time and memory.
    pub fn create(
        settings: &Settings,
        pass: &Passphrase,
        master: &MasterKey,
        random: &dyn Random,
    ) -> Result<Self, SuperblockError> {
        Self::create_with(settings, None, pass, master, random)
    }

    /// A new volume's superblock, the master key wrapped in what a FIDO2 token says when it is asked so.
    pub fn create_with_token(
        settings: &Settings,
        token: Fido2,
        secret: &Passphrase,
        master: &MasterKey,
        random: &dyn Random,
    ) -> Result<Self, SuperblockError> {
        Self::create_with(settings, Some(token), secret, master, random)
    }

    fn create_with(
        settings: &Settings,
        fido2: Option<Fido2>,
        pass: &Passphrase,
        master: &MasterKey,
        random: &dyn Random,
    ) -> Result<Self, SuperblockError> {
        let features = settings.features()?;
        let mut created = Self {
            creator: concat!("strongroom ", env!("CARGO_PKG_VERSION")).to_owned(),
            encrypted_key: Vec::new(),
            scrypt: Scrypt { salt: Vec::new(), log_n: settings.scrypt_log_n, r: 8, p: 1 },
            features: if fido2.is_some() { features.with(Feature::Fido2) } else { features },
            long_name_max: settings.stored_long_name_max().unwrap_or(0),
            fido2,
        };
        created.scrypt.check_cost()?;
        created.wrap(master, pass, random)?;
        created.check()?;
        Ok(created)
    }

    /// What a person tells in place of a `gocryptfs.conf`. It holds no key, so nothing unlocks it: it is for whoever has
    /// the master key.
    pub fn explicit(told: &Explicit) -> Result<Self, SuperblockError> {
        Ok(Self {
            creator: String::new(),
            encrypted_key: Vec::new(),
            scrypt: Scrypt { salt: Vec::new(), log_n: Settings::DEFAULT_SCRYPT_LOG_N, r: 8, p: 1 },
            features: told.features()?,
            long_name_max: told.long_name_max.unwrap_or(0),
            fido2: None,
        })
    }

    /// Unwraps the master key. Takes scrypt's time and memory.
    pub fn unlock(&self, pass: &Passphrase) -> Result<MasterKey, SuperblockError> {
        match self.fido2() {
            Some(_) => Err(SuperblockError::Fido2),
            None => self.unwrap_key(pass),
        }
    }

    /// Unwraps the master key of a volume whose passphrase a FIDO2 token keeps, with what the token said.
    pub fn unlock_with_token(&self, secret: &Passphrase) -> Result<MasterKey, SuperblockError> {
        self.unwrap_key(secret)
    }

    fn unwrap_key(&self, pass: &Passphrase) -> Result<MasterKey, SuperblockError> {
        if self.encrypted_key.len() != wrapped_len(self.features) {
            return Err(SuperblockError::NoWrappedKey);
        }
        let wrapping = derive::wrapping(&self.scrypt.stretch(pass)?, self.features)?;
        let (nonce, sealed) = self.encrypted_key.split_at(wrap_nonce_len(self.features));
        if nonce.iter().all(|&byte| byte == 0) {
            return Err(SuperblockError::WrongPassphrase);
        }
        MasterKey::filled_by(|slot| wrapping.open(nonce, &WRAP_AAD, sealed, slot))
            .map_err(|_| SuperblockError::WrongPassphrase)
    }

    /// Wraps the master key in a new passphrase, with a new salt and the cost as it was. The caller vouches that this
    /// is the volume's master key: it comes from [`Superblock::unlock`], or from whoever kept the recovery key.
    pub fn rewrap(&mut self, master: &MasterKey, new: &Passphrase, random: &dyn Random) -> Result<(), SuperblockError> {
        match self.fido2() {
            Some(_) => Err(SuperblockError::Fido2),
            None => self.wrap(master, new, random),
        }
    }

    /// From now on, scrypt's cost is another: the next [`Superblock::rewrap`] takes it.
    pub fn set_scrypt_log_n(&mut self, log_n: u8) -> Result<(), SuperblockError> {
        let scrypt = Scrypt { log_n, ..self.scrypt.clone() };
        scrypt.check_cost()?;
        self.scrypt = scrypt;
        Ok(())
    }

    fn wrap(&mut self, master: &MasterKey, new: &Passphrase, random: &dyn Random) -> Result<(), SuperblockError> {
        let mut scrypt = Scrypt { salt: vec![0; SALT_LEN], ..self.scrypt };
        random.fill(&mut scrypt.salt);
        let wrapping = derive::wrapping(&scrypt.stretch(new)?, self.features)?;
        let mut encrypted_key = vec![0; wrapped_len(self.features)];
        let (nonce, sealed) = encrypted_key.split_at_mut(wrap_nonce_len(self.features));
        random.fill(nonce);
        wrapping.seal(nonce, &WRAP_AAD, master.expose(), sealed);
        (self.scrypt, self.encrypted_key) = (scrypt, encrypted_key);
        Ok(())
    }

    /// Derives what the master key is good for.
    pub fn ciphers(&self, master: &MasterKey) -> Result<Ciphers, SuperblockError> {
        let has = |feature| self.features.contains(feature);
        let code = if has(Feature::Raw64) { UrlSafe::Raw } else { UrlSafe::Padded };
        let content = derive::content(master, self.algorithm(), self.features)?;
        let eme_names = || EmeNames::new(derive::names(master, self.features), code);
        Ok(Ciphers {
            content: ContentCipher::new(content, code, has(Feature::PlaintextNames)),
            names: match has(Feature::PlaintextNames) {
                true => NameCipher::plaintext(),
                false => NameCipher::encrypting(eme_names(), has(Feature::DirIv), self.long_name_max()),
            },
            xattrs: XattrCipher::new(eme_names()),
        })
    }

    /// Which program made the volume, in its own words.
    pub fn creator(&self) -> &str {
        &self.creator
    }

    /// How a FIDO2 token is asked, if one keeps the passphrase.
    pub fn fido2(&self) -> Option<&Fido2> {
        self.fido2.as_ref().filter(|_| self.features.contains(Feature::Fido2))
    }

    /// The feature flags.
    pub fn features(&self) -> Features {
        self.features
    }

    /// How contents are sealed.
    pub fn algorithm(&self) -> Algorithm {
        match self.features {
            set if set.contains(Feature::XChaCha20Poly1305) => Algorithm::XChaCha20Poly1305,
            set if set.contains(Feature::AesSiv) => Algorithm::AesSiv,
            _ => Algorithm::Aes256Gcm,
        }
    }

    /// How names are stored.
    pub fn name_mode(&self) -> NameMode {
        match self.features {
            set if set.contains(Feature::PlaintextNames) => NameMode::Plaintext,
            set if set.contains(Feature::DirIv) => NameMode::Encrypted,
            _ => NameMode::Deterministic,
        }
    }

    /// Up to which encoded length a name is not hashed.
    pub fn long_name_max(&self) -> u8 {
        match self.long_name_max {
            0 => u8::MAX,
            max => max,
        }
    }

    /// Binary logarithm of scrypt's cost.
    pub fn scrypt_log_n(&self) -> u8 {
        self.scrypt.log_n
    }

    /// Scrypt's block size and parallelism.
    pub fn scrypt_r_p(&self) -> (u32, u32) {
        (self.scrypt.r, self.scrypt.p)
    }

    /// The length of scrypt's salt.
    pub fn scrypt_salt_len(&self) -> usize {
        self.scrypt.salt.len()
    }

    /// The length of the wrapped master key.
    pub fn encrypted_key_len(&self) -> usize {
        self.encrypted_key.len()
    }

    fn check(&self) -> Result<(), SuperblockError> {
        self.scrypt.check()?;
        self.features.check()?;
        if self.features.contains(Feature::LongNameMax) != (self.long_name_max != 0) {
            return Err(SuperblockError::Features("the flag LongNameMax and the field LongNameMax need each other"));
        }
        if self.features.contains(Feature::Fido2) && self.fido2.is_none() {
            return Err(SuperblockError::Features("the flag FIDO2 needs the field FIDO2"));
        }
        match (self.encrypted_key.len(), wrapped_len(self.features)) {
            (given, needed) if given != needed => Err(SuperblockError::EncryptedKey { given, needed }),
            _ => Ok(()),
        }
    }
}

impl Explicit {
    /// Not all of these sets could stand in a `gocryptfs.conf`; each of them says how to read the volume.
    fn features(&self) -> Result<Features, SuperblockError> {
        use Feature::*;
        if self.cipher == Algorithm::XChaCha20Poly1305 && !self.hkdf {
            return Err(SuperblockError::Settings("XChaCha20-Poly1305 needs HKDF"));
        }
        let when = |told: bool, feature| if told { Features::default().with(feature) } else { Features::default() };
        let contents = match self.cipher {
            Algorithm::XChaCha20Poly1305 => when(true, XChaCha20Poly1305),
            Algorithm::Aes256Gcm => when(true, GcmIv128),
            Algorithm::AesSiv => when(true, GcmIv128).with(AesSiv),
        };
        let names = match self.names {
            NameMode::Plaintext => when(true, PlaintextNames),
            NameMode::Deterministic => when(true, EmeNames).with(LongNames),
            NameMode::Encrypted => when(true, EmeNames).with(LongNames).with(DirIv),
        };
        let max = when(self.long_name_max.is_some_and(|max| max != 0), LongNameMax);
        Ok(contents.and(names).and(when(self.hkdf, Hkdf)).and(when(self.raw64, Raw64)).and(max))
    }
}

impl Settings {
    /// Whether a volume can be made so. Takes no time, unlike [`Superblock::create`].
    pub fn check(&self) -> Result<(), SuperblockError> {
        self.features()?;
        Scrypt { salt: Vec::new(), log_n: self.scrypt_log_n, r: 8, p: 1 }.check_cost()
    }

    fn features(&self) -> Result<Features, SuperblockError> {
        use Feature::*;
        let contents = match self.cipher {
            Algorithm::XChaCha20Poly1305 => Features::default().with(Hkdf).with(XChaCha20Poly1305),
            Algorithm::Aes256Gcm => Features::default().with(Hkdf).with(GcmIv128),
            Algorithm::AesSiv => Features::default().with(Hkdf).with(GcmIv128).with(AesSiv),
        };
        let encrypted = contents.with(EmeNames).with(LongNames).with(Raw64);
        let features = match self.names {
            NameMode::Plaintext => contents.with(PlaintextNames),
            NameMode::Deterministic => encrypted,
            NameMode::Encrypted => encrypted.with(DirIv),
        };
        match self.long_name_max {
            Some(_) if self.names == NameMode::Plaintext => {
                Err(SuperblockError::Settings("plaintext names are never hashed, so there is no length to set"))
            }
            Some(0..62) => {
                Err(SuperblockError::Settings("the length from which names are hashed is 62 to 255: a hash has 62"))
            }
            _ => Ok(self.stored_long_name_max().map_or(features, |_| features.with(LongNameMax))),
        }
    }

    /// The default is not written down, so that versions without the feature read the volume.
    fn stored_long_name_max(&self) -> Option<u8> {
        self.long_name_max.filter(|&max| max != u8::MAX)
    }
}

impl Scrypt {
    fn parse(object: Option<Object<'_>>) -> Result<Self, SuperblockError> {
        let object = object.ok_or(refused("N", 0, "there is no ScryptObject"))?;
        let number = |field| Ok::<_, SuperblockError>(object.number(field, u64::MAX)?.unwrap_or(0));
        let (n, r, p) = (number("N")?, number("R")?, number("P")?);
        let key_len = number("KeyLen")?;
        if key_len != KEY_LEN as u64 {
            return Err(refused("KeyLen", key_len, "the key it makes has 32 bytes"));
        }
        if !n.is_power_of_two() {
            return Err(refused("N", n, "the cost must be a power of two"));
        }
        let small = |field, value: u64| {
            u32::try_from(value).map_err(|_| refused(field, value, "the cost would be out of all proportion"))
        };
        Ok(Self {
            salt: object.bytes("Salt")?.unwrap_or_default(),
            log_n: u8::try_from(n.ilog2()).expect("a 64-bit number"),
            r: small("R", r)?,
            p: small("P", p)?,
        })
    }

    fn check(&self) -> Result<(), SuperblockError> {
        if self.salt.len() < SALT_LEN {
            return Err(refused("length of Salt", self.salt.len() as u64, "it needs 32 random bytes"));
        }
        self.check_cost()
    }

    /// At least what keeps a passphrase safe, at most what a machine can do: the file may come from a stranger.
    fn check_cost(&self) -> Result<(), SuperblockError> {
        let n = 1u64.checked_shl(self.log_n.into()).unwrap_or(u64::MAX);
        if n < 1 << 10 {
            return Err(refused("N", n, "less than 1024 is too weak"));
        }
        if self.r < 8 {
            return Err(refused("R", self.r.into(), "less than 8 is too weak"));
        }
        if self.p < 1 {
            return Err(refused("P", self.p.into(), "less than 1 is too weak"));
        }
        let memory = n.saturating_mul(self.r.into()).saturating_mul(128);
        if memory > MAX_SCRYPT_MEMORY {
            return Err(refused("N", n, "it would take more than 4 GiB of memory"));
        }
        if memory.saturating_mul(self.p.into()) > MAX_SCRYPT_WORK || self.p > 1 << 10 {
            return Err(refused("P", self.p.into(), "it would take minutes"));
        }
        Ok(())
    }

    fn stretch(&self, pass: &Passphrase) -> Result<Key<KEY_LEN>, SuperblockError> {
        let mut done = Ok(());
        let key = Key::filled_by(|slot| {
            done = scrypt(pass.expose(), &self.salt, self.log_n, self.r, self.p, slot);
        });
        done?;
        Ok(key)
    }
}

impl Fido2 {
    fn parse(object: &Object<'_>) -> Result<Self, SuperblockError> {
        Ok(Self {
            credential_id: object.bytes("CredentialID")?.unwrap_or_default(),
            hmac_salt: object.bytes("HMACSalt")?.unwrap_or_default(),
            assert_options: (object.strings("AssertOptions")?)
                .map(|options| options.into_iter().map(str::to_owned).collect()),
        })
    }
}

/// Before v1.3, nonces of the standard length.
fn wrap_nonce_len(features: Features) -> usize {
    if features.contains(Feature::Hkdf) { 16 } else { 12 }
}

fn wrapped_len(features: Features) -> usize {
    wrap_nonce_len(features) + KEY_LEN + TAG_LEN
}

fn refused(field: &'static str, value: u64, why: &'static str) -> SuperblockError {
    SuperblockError::Scrypt { field, value, why }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Written<'a> {
    creator: &'a str,
    encrypted_key: String,
    #[serde(rename = "ScryptObject")]
    scrypt: WrittenScrypt,
    version: u64,
    #[serde(rename = "FeatureFlags")]
    features: Vec<&'static str>,
    #[serde(rename = "FIDO2", skip_serializing_if = "Option::is_none")]
    fido2: Option<WrittenFido2<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    long_name_max: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WrittenScrypt {
    salt: String,
    n: u64,
    r: u32,
    p: u32,
    key_len: usize,
}

#[derive(Serialize)]
struct WrittenFido2<'a> {
    #[serde(rename = "CredentialID")]
    credential_id: String,
    #[serde(rename = "HMACSalt")]
    hmac_salt: String,
    #[serde(rename = "AssertOptions")]
    assert_options: Option<&'a [String]>,
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}
