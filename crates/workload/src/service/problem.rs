//! What can be wrong with a service, and what to do about it.

use std::{error::Error, time::Duration};

use super::ServiceSpec;
use crate::WorkloadError;

/// What was wrong with a service. Its words end with what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The configuration has no commands of that name.
    #[error("there is no [[service]] of that name; define it with `start`, `stop` and `status` in the configuration")]
    NotDefined,
    /// Its manager cannot be asked.
    #[error("{manager} does not answer: {source}. {remedy}")]
    Unreachable {
        /// Who, and where.
        manager: String,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
        /// What to do.
        remedy: &'static str,
    },
    /// Its manager knows no such service.
    #[error("{manager} knows no such service; {remedy}")]
    Unknown {
        /// Who.
        manager: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Its manager did not do, or say, what it was asked.
    #[error("{attempted}: {source}")]
    Refused {
        /// A gerund, as in "stopping it".
        attempted: &'static str,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// It cannot be stopped and had again as it was.
    #[error("{0}")]
    Unsuitable(&'static str),
    /// It was told to stop, and did not in time. It was not killed.
    #[error(
        "it was told to stop, and still ran after {:.1} s{}; stop it yourself, or allow it more time",
        waited.as_secs_f32(), processes(pids)
    )]
    StillRuns {
        /// How long was waited.
        waited: Duration,
        /// What still runs, as far as that is known.
        pids: Vec<u32>,
    },
    /// Its manager killed it, because that is what it was configured to do.
    #[error("{manager} killed it, because it had not stopped within {limit}; {remedy}")]
    Killed {
        /// Who.
        manager: &'static str,
        /// Within what, as its manager calls it.
        limit: String,
        /// What to do.
        remedy: &'static str,
    },
    /// It came back after it had been stopped.
    #[error("it was stopped and came back{}; find what starts it, and stop that first", processes(pids))]
    CameBack {
        /// Its processes.
        pids: Vec<u32>,
    },
    /// It was told to start, and failed.
    #[error("it does not start: {detail}; {remedy}")]
    Failed {
        /// What its manager says.
        detail: String,
        /// Where to read more.
        remedy: String,
    },
    /// It was told to start, and was not up in time.
    #[error("it was told to start, and was not up after {} s: {detail}", waited.as_secs_f32())]
    NotUp {
        /// How long was waited.
        waited: Duration,
        /// What its manager says.
        detail: String,
    },
    /// It ran, and nobody here knows how to start it.
    #[error("it was stopped by a signal, and cannot be started again from here; start it yourself")]
    NotStartable,
}

impl Problem {
    /// For `map_err`.
    pub(crate) fn refused<E: Into<Box<dyn Error + Send + Sync>>>(attempted: &'static str) -> impl FnOnce(E) -> Problem {
        move |error| Problem::Refused { attempted, source: error.into() }
    }

    /// As the error of that service.
    pub(crate) fn of(self, spec: &ServiceSpec) -> WorkloadError {
        WorkloadError::Service { service: spec.to_string(), problem: self }
    }
}

fn processes(pids: &[u32]) -> String {
    match pids {
        [] => String::new(),
        [one] => format!(" (process {one})"),
        several => format!(" (processes {})", several.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")),
    }
}
