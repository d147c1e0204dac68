//! What holds for every command: the configuration, where it is silent the usual places.

use std::{path::PathBuf, sync::Arc};

use strongroom_actions::{
    Context,
    audit::{Actor, AuditLog},
};
use strongroom_event::Observer;

use crate::surroundings;

/// What holds for every command.
pub struct Settings {
    audit_dir: Option<PathBuf>,
    audit_required: bool,
}

impl Settings {
    /// Reads the configuration.
    pub fn read(_named: Option<&std::path::Path>) -> Self {
        Self { audit_dir: surroundings::usual_audit_dir(), audit_required: false }
    }

    /// The audit log, if it has a place.
    pub fn audit_log(&self) -> Option<AuditLog> {
        self.audit_dir.clone().map(|dir| AuditLog::new(dir, Actor::current()))
    }

    /// What verbs are done with.
    pub fn context(&self, observer: Arc<dyn Observer>) -> Context {
        Context { observer, clock: surroundings::now, audit: self.audit_log(), audit_required: self.audit_required }
    }
}
