//! What holds for every command: the configuration, and where it is silent the usual places.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

use strongroom_actions::{
    Context, Recording,
    audit::{Actor, AuditLog},
    backup::{
        Algorithm, ArchiveKind, BackupCreate, Component, ComponentKind, Compression, Crossing, Databases, Depth, Hook,
        Hooks, Kdf, Live, Retention, Sqlite,
    },
};
use strongroom_config::{self as config, BackupType, Config, ConfigError};
use strongroom_event::Observer;
use strongroom_secret::SecretRef;

use crate::{
    args::passphrase::{PassphraseArgs, VaultPassphraseArgs, usual_source},
    exit::{Exit, Failure},
    surroundings,
    text::next_command,
};

mod migrate;

/// Iterations of PBKDF2 where it is asked for: what OWASP recommends.
const PBKDF2_ITERATIONS: u32 = 600_000;
/// Binary logarithm of scrypt's cost: 64 MiB an attempt.
const SCRYPT_LOG_N: u8 = 16;

/// What holds for every command.
pub struct Settings {
    config: Config,
    files: Vec<PathBuf>,
}

impl Settings {
    /// Reads the configuration: the file that is `named` or that the environment names, else those in the usual places,
    /// of which each overrides those before; and over them all the environment.
    pub fn read(named: Option<&Path>) -> Result<Self, Failure> {
        if let Some(named) = named {
            next_command::given_config(named);
        }
        let home = surroundings::home();
        let mut files = Vec::new();
        match named.map(Path::to_owned).or_else(surroundings::named_config) {
            Some(path) => files.push((path.clone(), read(&path)?)),
            None => {
                for path in surroundings::usual_configs() {
                    if path.exists() {
                        files.push((path.clone(), read(&path)?));
                    }
                }
            }
        }
        let mut config = Config::layered(&files, home.as_deref())?;
        for (variable, _) in Config::variables() {
            if let Some(value) = surroundings::variable(&variable) {
                config.set_variable(&variable, &value, home.as_deref())?;
            }
        }
        Ok(Self { config, files: files.into_iter().map(|(path, _)| path).collect() })
    }

    /// The files that were read, the strongest last.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Every setting as it is in force.
    pub fn to_toml(&self) -> String {
        self.config.to_toml()
    }

    /// The audit log, if it is wanted and has a place.
    pub fn audit_log(&self) -> Option<AuditLog> {
        let audit = Some(&self.config.audit).filter(|audit| audit.enabled)?;
        let dir = audit.dir.clone().or_else(surroundings::usual_audit_dir)?;
        Some(AuditLog::new(dir, Actor::current()))
    }

    /// What verbs are done with.
    pub fn context(&self, observer: Arc<dyn Observer>) -> Context {
        let usual = Context::unaudited(observer, surroundings::now);
        let threads = self.config.backup.threads.map(|threads| threads.get() as usize);
        let recording = match (self.config.audit.enabled, self.config.audit.required) {
            (_, true) => Recording::Required,
            (true, false) => Recording::Wanted,
            (false, false) => Recording::Off,
        };
        Context { recording, audit: self.audit_log(), workers: threads.unwrap_or(usual.workers), ..usual }
    }

    /// What is backed up if nothing is named.
    pub fn source(&self) -> Option<PathBuf> {
        self.config.backup.source.clone()
    }

    /// Where archives are.
    pub fn place(&self, named: Option<&Path>) -> Option<PathBuf> {
        named.map(Path::to_owned).or_else(|| self.config.backup.output.clone()).or_else(surroundings::usual_place)
    }

    /// What archives are sealed with, where they are.
    pub fn usual_seal(&self) -> Kdf {
        match self.config.backup.kdf {
            config::Kdf::Scrypt => scrypt(),
            config::Kdf::Pbkdf2Sha256 => pbkdf2(),
        }
    }

    /// What to keep.
    pub fn retention(&self) -> Retention {
        self.config.backup.retention.clone()
    }

    /// Whether owners are restored by number.
    pub fn numeric_owner(&self) -> bool {
        self.config.backup.numeric_owner
    }

    /// Where the passphrase of archives comes from.
    pub fn passphrase(&self, args: &PassphraseArgs) -> SecretRef {
        args.explicit().or_else(|| self.config.backup.passphrase.clone()).unwrap_or_else(usual_source)
    }

    /// What trying a passphrase costs, for vaults that are made.
    pub fn scrypt_log_n(&self) -> Option<u8> {
        self.config.vault.scrypt_log_n
    }

    /// Where the passphrase of the vault comes from, if anything says.
    pub fn vault_passphrase(&self, args: &VaultPassphraseArgs) -> Option<SecretRef> {
        args.explicit().or_else(|| self.config.vault.passphrase.clone())
    }

    /// A backup of `source` as the configuration has it.
    pub fn backup(&self, source: PathBuf, place: PathBuf) -> BackupCreate {
        let backup = &self.config.backup;
        BackupCreate {
            source,
            place,
            name: backup.name.clone(),
            kind: kind(backup.backup_type),
            compression: self.compression(),
            seal: backup.encrypt.then(|| self.usual_seal()),
            components: backup.components.iter().map(component).collect(),
            include: backup.include.clone(),
            exclude: backup.exclude.clone(),
            label: backup.label.clone(),
            tags: Vec::new(),
            checksum: backup.checksum,
            verify: backup.verify,
            max_size: backup.max_size,
            live: self.live(),
            hooks: self.hooks(&self.config.hooks.pre, &self.config.hooks.post),
            retention: backup.automatic_cleanup.then(|| self.retention()),
        }
    }

    /// The commands around a restore.
    pub fn restore_hooks(&self) -> Hooks {
        self.hooks(&self.config.hooks.pre_restore, &self.config.hooks.post_restore)
    }

    fn live(&self) -> Live {
        let backup = &self.config.backup;
        Live {
            crossing: if backup.one_file_system { Crossing::Stay } else { Crossing::Cross },
            databases: match backup.databases {
                config::Databases::Auto => Databases::Found,
                config::Databases::Listed => Databases::Listed,
                config::Databases::Off => Databases::Off,
            },
            sqlite: Sqlite {
                patience: backup.database_wait,
                depth: match backup.database_check {
                    config::DatabaseCheck::Full => Depth::Full,
                    config::DatabaseCheck::Quick => Depth::Quick,
                    config::DatabaseCheck::Off => Depth::Off,
                },
            },
        }
    }

    fn compression(&self) -> Compression {
        let usual = Compression::of(match self.config.backup.compression {
            config::Compression::Zstd => Algorithm::Zstd,
            config::Compression::Gzip => Algorithm::Gzip,
            config::Compression::Lz4 => Algorithm::Lz4,
            config::Compression::None => Algorithm::None,
        });
        Compression { level: self.config.backup.compression_level.unwrap_or(usual.level), ..usual }
    }

    fn hooks(&self, pre: &[String], post: &[String]) -> Hooks {
        let hooks = &self.config.hooks;
        let hook = |argv: &[String]| {
            let argv: Vec<_> = argv.iter().map(OsString::from).collect();
            (!argv.is_empty()).then_some(Hook { argv, timeout: hooks.timeout })
        };
        Hooks { pre: hook(pre), post: hook(post), lenient: hooks.on_failure == config::OnFailure::Warn }
    }
}

/// scrypt at its usual cost.
pub fn scrypt() -> Kdf {
    Kdf::Scrypt { log_n: SCRYPT_LOG_N }
}

/// PBKDF2-SHA256 at its usual cost.
pub fn pbkdf2() -> Kdf {
    Kdf::Pbkdf2 { iterations: PBKDF2_ITERATIONS }
}

fn kind(kind: BackupType) -> ArchiveKind {
    match kind {
        BackupType::Full => ArchiveKind::Full,
        BackupType::Incremental => ArchiveKind::Incremental,
        BackupType::Differential => ArchiveKind::Differential,
    }
}

fn component(component: &config::Component) -> Component {
    Component {
        name: component.name.clone(),
        kind: match component.kind {
            config::ComponentKind::Sqlite => ComponentKind::Database,
            config::ComponentKind::Directory => ComponentKind::Directory,
            config::ComponentKind::Config => ComponentKind::Config,
        },
        path: component.path.clone().into(),
        sidecars: component.sidecar_paths(),
        optional: !component.default,
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::new(Exit::BAD_CONFIG, format_args!("cannot read the configuration {}: {error}", path.display()))
    })
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        // `config show` reads the same file, unless it is told of another.
        let hint = match error {
            ConfigError::UnknownKey { .. } => Some("See what can be set: strongroom --config /dev/null config show"),
            ConfigError::Syntax { .. } => {
                Some("It is written as TOML: [section], name = \"text\", name = 1, name = true.")
            }
            // What it can be is said.
            _ => None,
        };
        Failure { hint: hint.map(Into::into), ..Failure::new(Exit::BAD_CONFIG, error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint_for(text: &str) -> Option<String> {
        let error = Config::layered(&[("strongroom.toml".into(), text.to_owned())], None).err().unwrap();
        Failure::from(error).hint
    }

    #[test]
    fn a_mistake_in_a_configuration_is_met_with_advice_that_fits() {
        assert!(hint_for("[backup\n").unwrap().contains("TOML"));
        assert!(hint_for("[backup]\nkfd = 'scrypt'\n").unwrap().contains("config show"));
        assert_eq!(hint_for("[backup]\nkdf = 'md5'\n"), None);
    }
}
