//! The operator's commands before and after a backup or a restore, and what they are told.

use std::path::Path;

use strongroom_workload::{Hook, WorkloadError, run};

use crate::{ActionError, Context};

/// The operator's commands around an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Before it.
    pub pre: Option<Hook>,
    /// After it, also if it failed.
    pub post: Option<Hook>,
    /// Whether the failure of one is no more than a warning.
    pub lenient: bool,
}

/// What hooks are told, in their environment. Never a secret.
#[derive(Clone, Default)]
pub(super) struct Told(Vec<(String, String)>);

impl Told {
    /// For the operation `backup` or `restore`.
    pub fn of(operation: &str) -> Self {
        Self::default().and("OPERATION", operation)
    }

    /// Adds `STRONGROOM_NAME`.
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.0.push((format!("STRONGROOM_{name}"), value.to_owned()));
        self
    }

    /// Adds a path.
    pub fn and_path(self, name: &str, path: &Path) -> Self {
        self.and(name, &path.to_string_lossy())
    }
}

/// How an operation ended, for the command after it.
pub(super) struct Ended {
    /// `ok`, `incomplete` or `failed`.
    pub outcome: &'static str,
    /// The archive, if there is one.
    pub archive: Option<std::path::PathBuf>,
}

/// Does `act` between the commands. The one after is run however it ended, also if the one before failed: what that has
/// begun to stop must be started again.
pub(super) fn around<T>(
    context: &Context,
    hooks: &Hooks,
    told: &Told,
    act: impl FnOnce() -> Result<T, ActionError>,
    ended: impl FnOnce(&T) -> Ended,
) -> Result<T, ActionError> {
    let before = call(context, hooks, hooks.pre.as_ref(), &told.clone().and("HOOK", "pre"));
    let result = before.map_err(ActionError::PreHook).and_then(|()| act());
    let told = told.clone().and("HOOK", "post");
    let told = match &result {
        Ok(done) => {
            let ended = ended(done);
            let told = told.and("OUTCOME", ended.outcome);
            ended.archive.iter().fold(told, |told, archive| told.and_path("ARCHIVE", archive))
        }
        Err(error) => told.and("OUTCOME", "failed").and("ERROR", &crate::perform::message(error)),
    };
    match (result, call(context, hooks, hooks.post.as_ref(), &told)) {
        (Ok(_), Err(error)) => Err(ActionError::PostHook(error)),
        (Err(failure), Err(error)) => {
            context.warn(error.to_string());
            Err(failure)
        }
        (result, Ok(())) => result,
    }
}

fn call(context: &Context, hooks: &Hooks, hook: Option<&Hook>, told: &Told) -> Result<(), WorkloadError> {
    match hook.map(|hook| run(hook, &told.0)) {
        Some(Err(error)) if hooks.lenient => {
            context.warn(error.to_string());
            Ok(())
        }
        Some(Err(error)) => Err(error),
        Some(Ok(_)) | None => Ok(()),
    }
}
