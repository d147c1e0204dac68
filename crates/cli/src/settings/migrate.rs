//! A migration as the command line and the configuration have it.

use std::path::{Path, PathBuf};

use strongroom_actions::migrate::{
    Accepted, BackupChoice, BootKind, BootSecret, Commands, Direction, Erasure, HealthSpec, Request, ServiceSpec,
    World, parse_accepted,
};
use strongroom_config as config;
use strongroom_secret::SecretRef;

use super::Settings;
use crate::{
    args::{
        migrate::{BootArgs, DecryptArgs, EncryptArgs, EraseArgs, HowArgs, ScrubWord},
        passphrase::{PassphraseArgs, usual_source},
    },
    exit::{Exit, Failure},
    surroundings,
    text::next_command,
};

impl Settings {
    /// What this machine is to a migration.
    pub fn world(&self, state_dir: Option<&Path>) -> Result<World, Failure> {
        if let Some(state_dir) = state_dir {
            next_command::given_state_dir(state_dir);
        }
        let named = state_dir.map(Path::to_owned).or_else(|| self.config.migrate.state_dir.clone());
        let state_dir = named.or_else(surroundings::usual_state_dir).ok_or_else(|| {
            Failure::new(Exit::USAGE, "nothing says where migrations keep what they know")
                .hint("Give it: --state-dir DIR.")
        })?;
        let absolute = std::path::absolute(&state_dir).unwrap_or(state_dir);
        Ok(World {
            runtime_dir: surroundings::runtime_dir(&absolute),
            state_dir: absolute,
            surroundings: surroundings::services(),
            home: surroundings::home(),
            user_units: surroundings::user_units(),
            program: surroundings::program(),
            config: self.files().last().cloned(),
            scrypt_log_n: self.config.vault.scrypt_log_n,
        })
    }

    /// Where the passphrase of the vault comes from.
    pub fn passphrase_of_vault(&self, args: &PassphraseArgs) -> SecretRef {
        args.explicit().or_else(|| self.config.vault.passphrase.clone()).unwrap_or_else(usual_source)
    }

    /// A migration into a vault.
    pub fn encryption(&self, args: &EncryptArgs) -> Result<Request, Failure> {
        let boot = &self.config.migrate.boot;
        let passphrase = self.passphrase_of_vault(&args.passphrase);
        let kind = args.boot.boot.map(BootKind::from).or(boot.kind.map(boot_kind));
        let vault = args.vault.clone().or_else(|| self.config.migrate.vault.clone());
        let request = self.request(Direction::Encrypt, args.dir.clone(), vault, &args.how)?;
        Ok(Request {
            mount_options: (!args.boot.mount_options.is_empty()).then(|| args.boot.mount_options.clone()),
            recovery_key_file: args.recovery_key_file.clone().or_else(|| self.config.migrate.recovery_key_file.clone()),
            boot: kind,
            boot_secret: self.boot_secret(&args.boot, passphrase)?,
            ..request
        })
    }

    /// A migration out of a vault.
    pub fn decryption(&self, args: &DecryptArgs) -> Result<Request, Failure> {
        let vault = args.vault.clone().or_else(|| self.config.migrate.vault.clone());
        self.request(Direction::Decrypt, args.dir.clone(), vault, &args.how)
    }

    fn request(
        &self,
        direction: Direction,
        dir: PathBuf,
        vault: Option<PathBuf>,
        how: &HowArgs,
    ) -> Result<Request, Failure> {
        let migrate = &self.config.migrate;
        let accepted: Result<Vec<_>, _> = migrate.accept.iter().map(|word| parse_accepted(word)).collect();
        let accepted = accepted.map_err(|why| Failure::new(Exit::BAD_CONFIG, format_args!("migrate.accept: {why}")))?;
        let dropped = how.drop_xattr.iter().cloned().map(Accepted::DropXattr);
        Ok(Request {
            direction,
            dir,
            vault,
            services: self.services(how)?,
            commands: self.config.services.iter().filter(|service| service.spec.is_none()).map(commands).collect(),
            health: self.health(how)?,
            health_commands: self
                .config
                .health
                .iter()
                .filter(|health| health.spec.is_none())
                .map(|health| (health.name.clone(), health.command.clone()))
                .collect(),
            service_timeout: how.service_timeout.unwrap_or(migrate.service_timeout),
            health_timeout: how.health_timeout.unwrap_or(migrate.health_timeout),
            recovery_key_file: None,
            backup: self.backup_choice(how)?,
            max_downtime: how.max_downtime.or(migrate.max_downtime),
            postpone_file: how.postpone_file.clone().or_else(|| migrate.postpone_file.clone()),
            soak: how.soak.unwrap_or(migrate.soak),
            finalize: how.finalize || migrate.finalize,
            mount_options: None,
            boot: None,
            boot_secret: BootSecret::Asked,
            accepted: accepted.into_iter().chain(how.accept.iter().cloned()).chain(dropped).collect(),
            erasure: self.erasure(&how.erase)?,
        })
    }

    fn services(&self, how: &HowArgs) -> Result<Vec<ServiceSpec>, Failure> {
        if !how.services.is_empty() {
            return Ok(how.services.clone());
        }
        let spec = |service: &config::Service| match &service.spec {
            Some(spec) => spec.parse().map_err(|error| in_config("service", &service.name, error)),
            None => Ok(ServiceSpec::Command(service.name.clone())),
        };
        self.config.services.iter().map(spec).collect()
    }

    fn health(&self, how: &HowArgs) -> Result<Vec<HealthSpec>, Failure> {
        if !how.health.is_empty() {
            return Ok(how.health.clone());
        }
        let spec = |health: &config::Health| match &health.spec {
            Some(spec) => spec.parse().map_err(|error| in_config("health", &health.name, error)),
            None => Ok(HealthSpec::Exec(health.name.clone())),
        };
        self.config.health.iter().map(spec).collect()
    }

    fn backup_choice(&self, how: &HowArgs) -> Result<BackupChoice, Failure> {
        let migrate = &self.config.migrate;
        let is_declined = how.no_backup || (!migrate.backup && how.backup_to.is_none());
        if is_declined {
            return Ok(BackupChoice::Declined);
        }
        let place = how.backup_to.clone().or_else(|| migrate.backup_to.clone()).or_else(|| self.place(None));
        place.map(BackupChoice::To).ok_or_else(|| {
            Failure::new(Exit::USAGE, "nothing says where the backup is to be kept")
                .hint("Give it: --backup-to DIR; or do without: --no-backup.")
        })
    }

    fn erasure(&self, erase: &EraseArgs) -> Result<Erasure, Failure> {
        let migrate = &self.config.migrate;
        let known = |word: &&String| !["free", "journal", "all"].contains(&word.as_str());
        if let Some(unknown) = migrate.scrub.iter().find(known) {
            return Err(Failure::new(
                Exit::BAD_CONFIG,
                format_args!("migrate.scrub: {unknown:?} is neither \"free\" nor \"journal\""),
            ));
        }
        let scrubs = |word: &str, one: ScrubWord| {
            let is_named = |named: &String| named == word || named == "all";
            migrate.scrub.iter().any(is_named) || erase.scrub.iter().any(|&it| it == one || it == ScrubWord::All)
        };
        Ok(Erasure {
            passes: erase.erase_passes.unwrap_or(migrate.erase_passes.get()),
            prove: erase.prove || migrate.prove,
            scrub_free: scrubs("free", ScrubWord::Free),
            scrub_journal: scrubs("journal", ScrubWord::Journal),
        })
    }

    /// Where the passphrase comes from when the machine starts: where it comes from now, if that is there then too.
    fn boot_secret(&self, args: &BootArgs, now: SecretRef) -> Result<BootSecret, Failure> {
        let said = args.passphrase().or_else(|| self.config.migrate.boot.passphrase.clone());
        Ok(match said.unwrap_or(now) {
            SecretRef::File(path) => BootSecret::File(absolute(&path)?),
            SecretRef::Command(command) => BootSecret::Command(command),
            SecretRef::Credential(name) if name.contains('/') => BootSecret::Credential(name.into()),
            SecretRef::Credential(name) => BootSecret::Credential(Path::new(SEALED_CREDENTIALS).join(name)),
            SecretRef::Stdin | SecretRef::Prompt => BootSecret::Asked,
        })
    }
}

/// Where systemd looks for credentials that are sealed.
const SEALED_CREDENTIALS: &str = "/etc/credstore.encrypted";

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::new(Exit::FAILURE, format_args!("{}: {error}", path.display())))
}

fn in_config(kind: &str, name: &str, error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::BAD_CONFIG, format_args!("[[{kind}]] {name}: {error}"))
}

fn commands(service: &config::Service) -> Commands {
    Commands {
        name: service.name.clone(),
        start: service.start.clone(),
        stop: service.stop.clone(),
        status: service.status.clone(),
    }
}

fn boot_kind(kind: config::BootKind) -> BootKind {
    match kind {
        config::BootKind::Systemd => BootKind::Systemd,
        config::BootKind::SystemdUser => BootKind::SystemdUser,
        config::BootKind::Fstab => BootKind::Fstab,
        config::BootKind::Runit => BootKind::Runit,
        config::BootKind::Manual => BootKind::Manual,
    }
}
