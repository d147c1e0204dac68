//! What a migration is going to do, before it does anything.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::Serialize;
use strongroom_erase::{Verdict, judge};
use strongroom_migrate::{
    BackupChoice, Counts, Direction, Fuse, Host, MigrateError, Plan, Survey, SurveyRequest, find, survey,
};
use strongroom_workload::{Service, ServiceSpec, WorkloadError};

use super::{World, mounter};
use crate::{ActionError, Context};

/// What a migration is going to do.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// What was decided.
    pub plan: Plan,
    /// What there is to be moved, what speaks against it, and the room that it takes.
    pub survey: Survey,
    /// The services, as they are now.
    pub services: Vec<ServiceNow>,
    /// How far erasing the originals would reach, where that can be told.
    pub erasing: Option<Verdict>,
    /// Files that are written or added to, so that the data come back at boot.
    #[serde(serialize_with = "crate::words::paths")]
    pub boot_files: Vec<PathBuf>,
    /// How long it may take: a guess, from what is usual.
    pub seconds: u64,
    /// How long the services may be down, likewise.
    pub downtime_seconds: u64,
}

/// A service, as it is now.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceNow {
    /// Which.
    pub spec: ServiceSpec,
    /// Whether it runs, and so will be stopped and started again.
    pub is_active: bool,
    /// Whether it can be started from here.
    pub is_startable: bool,
    /// The words of whoever manages it.
    pub detail: String,
    #[serde(skip)]
    pids: Vec<u32>,
}

/// Entries that are copied, and later compared, in a second, where disks are slow.
const ENTRIES_A_SECOND: u64 = 2_500;
/// Bytes, likewise.
const BYTES_A_SECOND: u64 = 100 << 20;
/// Entries of which nothing but the metadata is compared, while services are down.
const LOOKS_A_SECOND: u64 = 40_000;
/// What stopping, mounting and starting take at least, in seconds.
const LEAST_DOWNTIME: u64 = 2;
/// By how much a sealed block is longer than its content.
const OVERHEAD: u64 = 32;

impl Preview {
    /// Looks at everything, and changes nothing.
    pub(super) fn new(plan: Plan, host: &dyn Host, world: &World, context: &Context) -> Result<Self, ActionError> {
        mounter::check(&plan, world)?;
        let services = host.services(&plan)?;
        let services = services.iter().map(|service| now(&**service)).collect::<Result<Vec<_>, _>>()?;
        let mut survey = surveyed(&plan, &services, world, context)?;
        if survey.refusals.is_empty() {
            survey.refusals.extend(plan.refuse_unwell(host)?);
        }
        let erasing = match (plan.direction, judge(&plan.data)) {
            // What is removed then is ciphertext.
            (Direction::Decrypt, _) => None,
            (Direction::Encrypt, Ok(verdict)) => Some(verdict),
            (Direction::Encrypt, Err(error)) => {
                context.warn(format!("how far erasing would reach is not known: {error}"));
                None
            }
        };
        let entries = entries(&survey);
        let once = entries / ENTRIES_A_SECOND + content(&survey.counts) / BYTES_A_SECOND;
        // Copied, read back, decrypted once more; and the backup is written and read.
        let times = if matches!(plan.backup, BackupChoice::To(_)) { 5 } else { 3 };
        Ok(Self {
            seconds: times * once + LEAST_DOWNTIME,
            downtime_seconds: LEAST_DOWNTIME + 2 * entries / LOOKS_A_SECOND,
            boot_files: mounter::files(&plan, world),
            plan,
            survey,
            services,
            erasing,
        })
    }
}

/// Bytes that are read and written: not those of holes.
fn content(counts: &Counts) -> u64 {
    counts.bytes.min(counts.allocated)
}

/// Everything that has a name.
fn entries(survey: &Survey) -> u64 {
    let counts = &survey.counts;
    counts.files + counts.directories + counts.symlinks + counts.links + counts.fifos + counts.devices
}

fn now(service: &dyn Service) -> Result<ServiceNow, WorkloadError> {
    let now = service.state()?;
    Ok(ServiceNow {
        spec: service.spec().clone(),
        is_active: now.is_active,
        is_startable: service.is_startable(),
        detail: now.detail,
        pids: now.pids,
    })
}

/// What was looked at when the plan was shown, as it is now.
pub(super) fn survey_again(
    plan: &Plan,
    host: &dyn Host,
    world: &World,
    context: &Context,
) -> Result<Survey, MigrateError> {
    let services = host.services(plan)?;
    let services = services.iter().map(|service| now(&**service)).collect::<Result<Vec<_>, _>>()?;
    surveyed(plan, &services, world, context)
}

fn surveyed(plan: &Plan, services: &[ServiceNow], world: &World, context: &Context) -> Result<Survey, MigrateError> {
    let pids: Vec<u32> = services.iter().flat_map(|service| service.pids.iter().copied()).collect();
    let open: Vec<PathBuf> = find(&world.state_dir, None)?
        .into_iter()
        .filter(|found| !found.is_over() && found.plan.data != plan.data)
        .map(|found| found.plan.data)
        .collect();
    let request = SurveyRequest {
        direction: plan.direction,
        data: &plan.data,
        vault: &plan.vault,
        aside: &plan.aside,
        stage: &plan.stage,
        state_dir: &world.state_dir,
        backup: match &plan.backup {
            BackupChoice::To(place) => Some(place),
            BackupChoice::Declined => None,
        },
        home: world.home.as_deref(),
        program: Some(&world.program),
        open: &open,
        accepted: &plan.accepted,
        service_pids: &pids,
        serves_others: pids.iter().any(|&pid| is_of_others(pid)),
        mounts_suid: plan.mount_options.iter().any(|option| option == "suid"),
        fuse: Fuse { has_fusermount: has_fusermount(), ..Fuse::default() },
        overhead: OVERHEAD,
        growth: 0,
        workers: context.workers,
        stop: &context.stop,
    };
    survey(&request, &*context.observer)
}

/// Whether a process belongs to somebody else than whoever will mount. One that is gone belongs to nobody.
fn is_of_others(pid: u32) -> bool {
    let own = rustix::process::geteuid().as_raw();
    fs::metadata(format!("/proc/{pid}")).is_ok_and(|found| found.uid() != own)
}

fn has_fusermount() -> bool {
    ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin"].iter().any(|dir| Path::new(dir).join("fusermount3").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_take_no_time() {
        let counts = |bytes, allocated| content(&Counts { bytes, allocated, ..Counts::default() });
        assert_eq!(counts(1 << 40, 8192), 8192);
        // What is rounded up to blocks is not copied.
        assert_eq!(counts(100, 4096), 100);
    }
}
