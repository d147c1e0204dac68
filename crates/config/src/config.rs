//! Every setting, with its default.

use std::{
    collections::BTreeMap,
    fmt,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use strongroom_schedule::Retention;
use strongroom_secret::SecretRef;

use crate::{
    BackupType, Component, Compression, ConfigError, DatabaseCheck, Databases, Health, Kdf, Migrate, OnFailure, Place,
    Service, read,
    section::Visitor,
    show,
    value::{Cost, Days, Level, Name, Size},
};

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `[backup]`
    pub backup: Backup,
    /// `[hooks]`
    pub hooks: Hooks,
    /// `[audit]`
    pub audit: Audit,
    /// `[vault]`
    pub vault: Vault,
    /// `[migrate]`
    pub migrate: Migrate,
    /// `[[service]]`: the programs that use what is migrated.
    pub services: Vec<Service>,
    /// `[[health]]`: what must be so for them to count as healthy.
    pub health: Vec<Health>,
    /// Where each setting was set, by its whole key, such as `backup.retention.keep_daily`; those that are not in here have
    /// their defaults. A component is in here as `backup.component.NAME`, and so are services and health checks.
    pub origins: BTreeMap<String, Origin>,
}

/// Where a setting was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a file.
    File(Place),
    /// By an environment variable.
    Variable(String),
}

/// `[backup]`: what is backed up, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// What is backed up: a directory, a mounted vault or a cipher directory.
    pub source: Option<PathBuf>,
    /// The name that archives begin with; the last part of the source if not set.
    pub name: Option<String>,
    /// Where archives go.
    pub output: Option<PathBuf>,
    /// Whether archives are sealed.
    pub encrypt: bool,
    /// How the passphrase becomes a key.
    pub kdf: Kdf,
    /// How archives are compressed.
    pub compression: Compression,
    /// 1 (fast) to 9 (small); each algorithm has its own default.
    pub compression_level: Option<u8>,
    /// What an archive holds the bytes of.
    pub backup_type: BackupType,
    /// If not empty, only these: names of components, or patterns of paths as in .gitignore.
    pub include: Vec<String>,
    /// None of these: names of components, or patterns of paths as in .gitignore.
    pub exclude: Vec<String>,
    /// A remark that goes into each archive.
    pub label: Option<String>,
    /// Whether an archive is read back after it was made.
    pub verify: bool,
    /// Whether all content is compared with the base, and not just that of files that seem to have changed.
    pub checksum: bool,
    /// Threads that read, hash and compress; as many as there are processors if not set.
    pub threads: Option<NonZeroU32>,
    /// The most bytes that an archive may have.
    pub max_size: Option<u64>,
    /// Whether other file systems that are mounted within the source are left out.
    pub one_file_system: bool,
    /// Which databases are captured and not just copied.
    pub databases: Databases,
    /// How thoroughly a captured database is checked.
    pub database_check: DatabaseCheck,
    /// How long to wait for a database that somebody holds locked.
    pub database_wait: Duration,
    /// Whether owners are restored by number, whatever their names.
    pub numeric_owner: bool,
    /// Where the passphrase of archives comes from.
    pub passphrase: Option<SecretRef>,
    /// `[backup.retention]`: which archives stay.
    pub retention: Retention,
    /// Whether each successful backup is followed by a cleanup.
    pub automatic_cleanup: bool,
    /// `[[backup.component]]`: named parts of the source.
    pub components: Vec<Component>,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            source: None,
            name: None,
            output: None,
            encrypt: true,
            kdf: Kdf::default(),
            compression: Compression::default(),
            compression_level: None,
            backup_type: BackupType::default(),
            include: Vec::new(),
            exclude: Vec::new(),
            label: None,
            verify: true,
            checksum: false,
            threads: None,
            max_size: None,
            one_file_system: false,
            databases: Databases::default(),
            database_check: DatabaseCheck::default(),
            database_wait: Duration::from_secs(30),
            numeric_owner: false,
            passphrase: None,
            retention: Retention::default(),
            automatic_cleanup: false,
            components: Vec::new(),
        }
    }
}

/// `[hooks]`: commands that are run before and after. Each is a program and its arguments; no shell reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hooks {
    /// Before a backup.
    pub pre: Vec<String>,
    /// After a backup, also one that failed.
    pub post: Vec<String>,
    /// Before data is replaced by a restore.
    pub pre_restore: Vec<String>,
    /// After a restore, also one that failed.
    pub post_restore: Vec<String>,
    /// How long each may take.
    pub timeout: Duration,
    /// What follows when one fails.
    pub on_failure: OnFailure,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            pre: Vec::new(),
            post: Vec::new(),
            pre_restore: Vec::new(),
            post_restore: Vec::new(),
            timeout: Duration::from_secs(300),
            on_failure: OnFailure::default(),
        }
    }
}

/// `[audit]`: the record of what was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Whether there is one.
    pub enabled: bool,
    /// Where it is.
    pub dir: Option<PathBuf>,
    /// Whether nothing is done that cannot be recorded.
    pub required: bool,
}

impl Default for Audit {
    fn default() -> Self {
        Self { enabled: true, dir: None, required: false }
    }
}

/// `[vault]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vault {
    /// Where the passphrase of vaults comes from.
    pub passphrase: Option<SecretRef>,
    /// Binary logarithm of what trying a passphrase costs, for vaults that are made; 16 if not set.
    pub scrypt_log_n: Option<u8>,
}

impl Config {
    /// Reads one file's text. `path` is what errors name, and relative paths in it are relative to its directory; `~` is
    /// refused.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Self::layered(&[(path.to_owned(), text.to_owned())], None)
    }

    /// Reads several files, each of which overrides, setting by setting, those before it; a table with a name
    /// overrides the one of that name. A leading `~/` stands for `home`.
    pub fn layered(files: &[(PathBuf, String)], home: Option<&Path>) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        for (path, text) in files {
            read::file(&mut config, text, path, home)?;
        }
        Ok(config)
    }

    /// Overrides a setting with the value of an environment variable, if `name` is one of [`Config::variables`]; says
    /// whether it is. The value is TOML (`true`, `["a", "b"]`), or taken as it stands where that is a text.
    pub fn set_variable(&mut self, name: &str, value: &str, home: Option<&Path>) -> Result<bool, ConfigError> {
        match Self::variables().into_iter().find(|(variable, _)| variable == name) {
            Some((_, key)) => read::variable(self, name, &key, value, home).map(|()| true),
            None => Ok(false),
        }
    }

    /// The environment variable of each setting, and the setting's whole key: `STRONGROOM_BACKUP_OUTPUT`, `backup.output`.
    pub fn variables() -> Vec<(String, String)> {
        let named = |key: String| (format!("STRONGROOM_{}", key.to_uppercase().replace('.', "_")), key);
        Self::keys().into_iter().map(named).collect()
    }

    /// The whole keys of all settings but those of tables with names, in the order of the documentation.
    pub fn keys() -> Vec<String> {
        show::keys(&Self::default())
    }

    /// All settings in effect as a strongroom.toml, each with a remark saying where it was set. Read again, it gives the
    /// same settings.
    pub fn to_toml(&self) -> String {
        show::toml(self)
    }

    pub(crate) fn settings(&mut self, visitor: &mut impl Visitor) -> Result<(), ConfigError> {
        visitor.section("backup", |visitor| self.backup.settings(visitor))?;
        visitor.section("hooks", |visitor| self.hooks.settings(visitor))?;
        visitor.section("audit", |visitor| self.audit.settings(visitor))?;
        visitor.section("vault", |visitor| {
            visitor.passphrase(&mut self.vault.passphrase)?;
            visitor.as_other("scrypt_log_n", &mut self.vault.scrypt_log_n, Cost, |cost| cost.0)
        })?;
        visitor.section("migrate", |visitor| self.migrate.settings(visitor))?;
        visitor.tables(&mut self.services)?;
        visitor.tables(&mut self.health)
    }
}

impl Backup {
    fn settings(&mut self, visitor: &mut impl Visitor) -> Result<(), ConfigError> {
        visitor.optional("source", &mut self.source)?;
        visitor.as_other("name", &mut self.name, Name, |name| name.0)?;
        visitor.optional("output", &mut self.output)?;
        visitor.setting("encrypt", &mut self.encrypt)?;
        visitor.setting("kdf", &mut self.kdf)?;
        visitor.passphrase(&mut self.passphrase)?;
        visitor.setting("compression", &mut self.compression)?;
        visitor.as_other("compression_level", &mut self.compression_level, Level, |level| level.0)?;
        visitor.setting("type", &mut self.backup_type)?;
        visitor.setting("include", &mut self.include)?;
        visitor.setting("exclude", &mut self.exclude)?;
        visitor.optional("label", &mut self.label)?;
        visitor.setting("verify", &mut self.verify)?;
        visitor.setting("checksum", &mut self.checksum)?;
        visitor.optional("threads", &mut self.threads)?;
        visitor.as_other("max_size", &mut self.max_size, Size, |size| size.0)?;
        visitor.setting("one_file_system", &mut self.one_file_system)?;
        visitor.setting("databases", &mut self.databases)?;
        visitor.setting("database_check", &mut self.database_check)?;
        visitor.setting("database_wait", &mut self.database_wait)?;
        visitor.setting("numeric_owner", &mut self.numeric_owner)?;
        visitor.section("retention", |visitor| {
            retention(&mut self.retention, visitor)?;
            visitor.setting("automatic", &mut self.automatic_cleanup)
        })?;
        visitor.tables(&mut self.components)
    }
}

fn retention(retention: &mut Retention, visitor: &mut impl Visitor) -> Result<(), ConfigError> {
    visitor.optional("keep", &mut retention.last)?;
    visitor.optional("keep_daily", &mut retention.daily)?;
    visitor.optional("keep_weekly", &mut retention.weekly)?;
    visitor.optional("keep_monthly", &mut retention.monthly)?;
    visitor.optional("keep_yearly", &mut retention.yearly)?;
    visitor.as_other("max_age", &mut retention.max_age, Days, |days| days.0)?;
    visitor.optional("keep_at_least", &mut retention.min_count)
}

impl Hooks {
    fn settings(&mut self, visitor: &mut impl Visitor) -> Result<(), ConfigError> {
        visitor.setting("pre", &mut self.pre)?;
        visitor.setting("post", &mut self.post)?;
        visitor.setting("pre_restore", &mut self.pre_restore)?;
        visitor.setting("post_restore", &mut self.post_restore)?;
        visitor.setting("timeout", &mut self.timeout)?;
        visitor.setting("on_failure", &mut self.on_failure)
    }
}

impl Audit {
    fn settings(&mut self, visitor: &mut impl Visitor) -> Result<(), ConfigError> {
        visitor.setting("enabled", &mut self.enabled)?;
        visitor.optional("dir", &mut self.dir)?;
        visitor.setting("required", &mut self.required)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(place) => write!(f, "{}:{}", place.path.display(), place.line),
            Origin::Variable(name) => write!(f, "{name}"),
        }
    }
}
