//! `[migrate]`, and the programs that use what is migrated.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use strongroom_secret::SecretRef;

use crate::{
    BootKind, ConfigError,
    section::{Named, Visitor},
    value::Name,
};

/// `[migrate]`: moving a directory of plaintext into a vault, and back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrate {
    /// The cipher directory; `DIR.vault` beside the data if not set.
    pub vault: Option<PathBuf>,
    /// Where the state of migrations is.
    pub state_dir: Option<PathBuf>,
    /// Whether the plaintext is backed up first.
    pub backup: bool,
    /// Where to.
    pub backup_to: Option<PathBuf>,
    /// Where the recovery key is written if nobody can be shown it.
    pub recovery_key_file: Option<PathBuf>,
    /// How long the services may be down.
    pub max_downtime: Option<Duration>,
    /// The services are not stopped as long as this file exists.
    pub postpone_file: Option<PathBuf>,
    /// How long each service may take to stop, and to start.
    pub service_timeout: Duration,
    /// How long until the services must be healthy.
    pub health_timeout: Duration,
    /// How long the originals are kept, at least.
    pub soak: Duration,
    /// Whether the originals are erased in the same run.
    pub finalize: bool,
    /// How often the originals are overwritten.
    pub erase_passes: NonZeroU32,
    /// Whether the device is scanned for planted markers afterwards.
    pub prove: bool,
    /// What is overwritten besides the originals: `free`, `journal`.
    pub scrub: Vec<String>,
    /// What is accepted, by name.
    pub accept: Vec<String>,
    /// `[migrate.boot]`
    pub boot: Boot,
}

/// `[migrate.boot]`: what mounts the vault when the machine starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// What it is; chosen by the machine if not set.
    pub kind: Option<BootKind>,
    /// Where the passphrase comes from then.
    pub passphrase: Option<SecretRef>,
}

/// `[[service]]`: a program that uses the data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// What `command:NAME` calls it.
    pub name: String,
    /// Who manages it, such as `systemd:UNIT`; the commands below if not set.
    pub spec: Option<String>,
    /// Starts it, and returns.
    pub start: Vec<String>,
    /// Stops it, and returns when it has stopped.
    pub stop: Vec<String>,
    /// Ends with 0 if it runs, with 3 if it does not.
    pub status: Vec<String>,
}

/// `[[health]]`: something that must be so for the services to count as healthy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// What `exec:NAME` calls it.
    pub name: String,
    /// What it is, such as `tcp:HOST:PORT`; the command below if not set.
    pub spec: Option<String>,
    /// Ends with 0 if all is well.
    pub command: Vec<String>,
}

impl Default for Migrate {
    fn default() -> Self {
        Self {
            vault: None,
            state_dir: None,
            backup: true,
            backup_to: None,
            recovery_key_file: None,
            max_downtime: None,
            postpone_file: None,
            service_timeout: Duration::from_secs(90),
            health_timeout: Duration::from_secs(60),
            soak: Duration::ZERO,
            finalize: false,
            erase_passes: NonZeroU32::MIN,
            prove: false,
            scrub: Vec::new(),
            accept: Vec::new(),
            boot: Boot::default(),
        }
    }
}

impl Migrate {
    pub(crate) fn settings(&mut self, visitor: &mut impl Visitor) -> Result<(), ConfigError> {
        visitor.optional("vault", &mut self.vault)?;
        visitor.optional("state_dir", &mut self.state_dir)?;
        visitor.setting("backup", &mut self.backup)?;
        visitor.optional("backup_to", &mut self.backup_to)?;
        visitor.optional("recovery_key_file", &mut self.recovery_key_file)?;
        visitor.optional("max_downtime", &mut self.max_downtime)?;
        visitor.optional("postpone_file", &mut self.postpone_file)?;
        visitor.setting("service_timeout", &mut self.service_timeout)?;
        visitor.setting("health_timeout", &mut self.health_timeout)?;
        visitor.setting("soak", &mut self.soak)?;
        visitor.setting("finalize", &mut self.finalize)?;
        visitor.setting("erase_passes", &mut self.erase_passes)?;
        visitor.setting("prove", &mut self.prove)?;
        visitor.setting("scrub", &mut self.scrub)?;
        visitor.setting("accept", &mut self.accept)?;
        visitor.section("boot", |visitor| {
            visitor.optional("kind", &mut self.boot.kind)?;
            visitor.passphrase(&mut self.boot.passphrase)
        })
    }
}

impl Named for Service {
    const KEY: &'static str = "service";

    fn name(&self) -> &str {
        &self.name
    }

    fn lacks(&self) -> Option<&'static str> {
        let commands = [("start", &self.start), ("stop", &self.stop), ("status", &self.status)];
        match (self.name.is_empty(), &self.spec) {
            (true, _) => Some("name"),
            (false, Some(_)) => None,
            (false, None) => commands.into_iter().find(|(_, command)| command.is_empty()).map(|(key, _)| key),
        }
    }

    fn settings(&mut self, visitor: &mut impl Visitor) -> Result<(), ConfigError> {
        name(&mut self.name, visitor)?;
        visitor.optional("spec", &mut self.spec)?;
        visitor.setting("start", &mut self.start)?;
        visitor.setting("stop", &mut self.stop)?;
        visitor.setting("status", &mut self.status)
    }
}

impl Named for Health {
    const KEY: &'static str = "health";

    fn name(&self) -> &str {
        &self.name
    }

    fn lacks(&self) -> Option<&'static str> {
        match (self.name.is_empty(), self.spec.is_none() && self.command.is_empty()) {
            (true, _) => Some("name"),
            (false, true) => Some("command"),
            (false, false) => None,
        }
    }

    fn settings(&mut self, visitor: &mut impl Visitor) -> Result<(), ConfigError> {
        name(&mut self.name, visitor)?;
        visitor.optional("spec", &mut self.spec)?;
        visitor.setting("command", &mut self.command)
    }
}

fn name(name: &mut String, visitor: &mut impl Visitor) -> Result<(), ConfigError> {
    let mut written = Some(std::mem::take(name)).filter(|name| !name.is_empty());
    visitor.as_other("name", &mut written, Name, |name| name.0)?;
    *name = written.unwrap_or_default();
    Ok(())
}
