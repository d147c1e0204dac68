//! Everything that gocryptfs's command line can say, as it was said. What of it makes no sense together is found in the
//! order in which gocryptfs finds it, in `order.rs`.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use strongroom_actions::{Algorithm, ConfPlace, Explicit, NameMode};

use super::exit::{Exit, Failure};

/// What the command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flags {
    // Actions. None of them is a mount.
    pub help: bool,
    pub long_help: bool,
    pub version: bool,
    pub speed: bool,
    pub init: bool,
    pub passwd: bool,
    pub info: bool,
    pub fsck: bool,

    // What a new volume is to be; and what one is that is opened by its master key, without a configuration.
    pub aessiv: bool,
    pub xchacha: bool,
    pub plaintextnames: bool,
    pub deterministic_names: bool,
    pub longnamemax: u8,
    pub raw64: bool,
    pub hkdf: bool,
    /// As it was given; with `-passwd`, what is not given stays as it is.
    pub scryptn: Option<i64>,

    // How it is mounted.
    pub reverse: bool,
    pub allow_other: bool,
    /// As it was said; `order.rs` makes `owner` of it.
    pub force_owner: Option<OsString>,
    /// `-force_owner`, understood.
    pub owner: Option<(u32, u32)>,
    pub acl: bool,
    pub dev: bool,
    pub nodev: bool,
    pub suid: bool,
    pub nosuid: bool,
    pub exec: bool,
    pub noexec: bool,
    pub rw: bool,
    pub ro: bool,
    /// Mount options for the kernel, as they were said: a list with commas.
    pub ko: Option<OsString>,
    pub fsname: Option<OsString>,
    pub context: Option<OsString>,
    pub nonempty: bool,
    pub kernel_cache: bool,
    pub noprealloc: bool,
    pub noxattr: bool,
    pub serialize_reads: bool,
    pub sharedstorage: bool,
    pub longnames: bool,
    /// In nanoseconds, as Go counts; what is negative is refused later.
    pub idle_nanoseconds: i64,
    pub ctlsock: Option<PathBuf>,
    pub badname: Vec<OsString>,
    pub exclude: Vec<OsString>,
    pub exclude_wildcard: Vec<OsString>,
    pub exclude_from: Vec<PathBuf>,
    pub one_file_system: bool,
    pub fg: bool,
    pub nosyslog: bool,
    pub notifypid: i64,

    // Where keys come from.
    pub config: Option<PathBuf>,
    pub passfile: Vec<PathBuf>,
    pub extpass: Vec<OsString>,
    pub masterkey: Option<OsString>,
    pub zerokey: bool,
    pub fido2: Option<OsString>,
    pub fido2_assert_option: Vec<OsString>,

    /// `auto`, or a truth value; neither makes a difference.
    pub openssl: Option<OsString>,

    // How this run speaks.
    pub quiet: bool,
    pub debug: bool,
    pub fusedebug: bool,
    pub wpanic: bool,

    /// Whether there is any flag at all.
    pub any_given: bool,
    /// What stands between the flags.
    pub positional: Vec<OsString>,
    /// The first of them, absolute.
    pub cipherdir: PathBuf,
    /// The second, absolute, where there is one.
    pub mountpoint: PathBuf,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            help: false,
            long_help: false,
            version: false,
            speed: false,
            init: false,
            passwd: false,
            info: false,
            fsck: false,
            aessiv: false,
            xchacha: false,
            plaintextnames: false,
            deterministic_names: false,
            longnamemax: u8::MAX,
            raw64: true,
            hkdf: true,
            scryptn: None,
            reverse: false,
            allow_other: false,
            force_owner: None,
            owner: None,
            acl: false,
            dev: false,
            nodev: false,
            suid: false,
            nosuid: false,
            exec: false,
            noexec: false,
            rw: false,
            ro: false,
            ko: None,
            fsname: None,
            context: None,
            nonempty: false,
            kernel_cache: false,
            noprealloc: false,
            noxattr: false,
            serialize_reads: false,
            sharedstorage: false,
            longnames: true,
            idle_nanoseconds: 0,
            ctlsock: None,
            badname: Vec::new(),
            exclude: Vec::new(),
            exclude_wildcard: Vec::new(),
            exclude_from: Vec::new(),
            one_file_system: false,
            fg: false,
            nosyslog: false,
            notifypid: 0,
            config: None,
            passfile: Vec::new(),
            extpass: Vec::new(),
            masterkey: None,
            zerokey: false,
            fido2: None,
            fido2_assert_option: Vec::new(),
            openssl: None,
            quiet: false,
            debug: false,
            fusedebug: false,
            wpanic: false,
            any_given: false,
            positional: Vec::new(),
            cipherdir: PathBuf::new(),
            mountpoint: PathBuf::new(),
        }
    }
}

impl Flags {
    /// Where the configuration is: nowhere, if the master key is given and what else is to be known is told by flags.
    pub fn conf_place(&self) -> ConfPlace {
        if self.is_without_conf() {
            return ConfPlace::Told(self.explicit());
        }
        self.conf_file()
    }

    /// The file of the configuration, also where the master key is given.
    pub fn conf_file(&self) -> ConfPlace {
        match &self.config {
            Some(path) => ConfPlace::At(path.clone()),
            None if self.reverse => ConfPlace::InPlainDir,
            None => ConfPlace::InDir,
        }
    }

    /// Whether the master key is given, so that no configuration is read.
    pub fn is_without_conf(&self) -> bool {
        self.masterkey.is_some() || self.zerokey
    }

    /// What the flags say of a volume that is opened by its master key.
    pub fn explicit(&self) -> Explicit {
        Explicit {
            cipher: self.cipher(),
            names: self.names(),
            long_name_max: Some(self.longnamemax).filter(|&max| !matches!(max, 0 | u8::MAX)),
            hkdf: self.hkdf,
            raw64: self.raw64,
        }
    }

    /// How contents are sealed. A reverse view is always sealed by AES-SIV.
    pub fn cipher(&self) -> Algorithm {
        match self {
            Flags { xchacha: true, .. } => Algorithm::XChaCha20Poly1305,
            Flags { aessiv: true, .. } | Flags { reverse: true, .. } => Algorithm::AesSiv,
            _ => Algorithm::Aes256Gcm,
        }
    }

    /// How names are stored.
    pub fn names(&self) -> NameMode {
        match self {
            Flags { plaintextnames: true, .. } => NameMode::Plaintext,
            Flags { deterministic_names: true, .. } => NameMode::Deterministic,
            _ => NameMode::Encrypted,
        }
    }

    /// Binary logarithm of scrypt's cost; the usual one if `None`.
    pub fn scrypt_log_n(&self) -> Result<Option<u8>, Failure> {
        match self.scryptn {
            None | Some(..=0) => Ok(None),
            Some(log_n) => match u8::try_from(log_n) {
                Ok(log_n) => Ok(Some(log_n)),
                Err(_) => Err(Failure::new(Exit::WRITE_CONF, format!("scrypt parameter N: 2^{log_n} is too much"))),
            },
        }
    }

    /// After how long without use it is unmounted; never, if `None`.
    pub fn idle(&self) -> Option<Duration> {
        u64::try_from(self.idle_nanoseconds).ok().filter(|&idle| idle > 0).map(Duration::from_nanos)
    }
}
