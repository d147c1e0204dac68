//! The machine, as long as a program runs on it: a [`Host`] that counts what is asked of it, and kills whoever asks at the
//! call that was chosen.

use std::{
    collections::BTreeMap,
    fs, io,
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use jiff::Timestamp;
use strongroom_event::{Event, Observer};
use strongroom_migrate::{
    Archived, Archiver, Host, HostError, Identity, Mounter, OpenVault, Plan, Standing, Trouble, Vaults,
};
use strongroom_workload::{Evidence, Healthcheck, Service, Snapshot, Symptom, Unhealthy, WorkloadError};

use super::{
    fleet::{Fleet, Hand},
    vault::{self, Opened, failed, tree_of},
    world::World,
};

/// What a program is unwound with that was killed.
pub struct Killed;

/// What goes wrong once, at the call of that name, after so many that go well.
struct Fault {
    at: &'static str,
    kind: io::ErrorKind,
    before: usize,
}

/// A host for one run. What it makes outlives nothing but it.
pub struct Machine(Arc<Inner>);

/// What else happens at the call of that name; it is told how many there were.
type Happening = (&'static str, Box<dyn FnMut(usize) + Send>);

pub struct Inner {
    fleet: Fleet,
    prepared: PathBuf,
    calls: AtomicUsize,
    kill_at: Option<usize>,
    is_dead: AtomicBool,
    thread: ThreadId,
    pub stop: AtomicBool,
    faults: Mutex<Vec<Fault>>,
    pub passphrase: Mutex<String>,
    pub is_unhealthy: AtomicBool,
    /// Whether it says of a mount that it came about, and it did not.
    pub mounts_nothing: AtomicBool,
    pub events: Arc<Mutex<Vec<Event>>>,
    pub boot_id: Mutex<String>,
    happenings: Mutex<Vec<Happening>>,
    times: Mutex<BTreeMap<&'static str, usize>>,
}

impl Deref for Machine {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Machine {
    pub fn new(world: &World) -> Self {
        Self::made(world, None)
    }

    /// Whoever runs on it is killed at its call number `call`.
    pub fn killing_at(world: &World, call: usize) -> Self {
        Self::made(world, Some(call))
    }

    /// What a happening can use.
    pub fn handle(&self) -> Arc<Inner> {
        self.0.clone()
    }

    /// Has something else happen at each call of that name.
    pub fn on(&self, what: &'static str, happen: impl FnMut(usize) + Send + 'static) {
        self.happenings.lock().unwrap().push((what, Box::new(happen)));
    }

    fn made(world: &World, kill_at: Option<usize>) -> Self {
        Self(Arc::new(Inner {
            fleet: world.fleet.clone(),
            prepared: world.prepared(),
            calls: AtomicUsize::new(0),
            kill_at,
            is_dead: AtomicBool::new(false),
            thread: thread::current().id(),
            stop: AtomicBool::new(false),
            faults: Mutex::default(),
            passphrase: Mutex::new("right".into()),
            is_unhealthy: AtomicBool::new(false),
            mounts_nothing: AtomicBool::new(false),
            events: Arc::default(),
            boot_id: Mutex::new("one start".into()),
            happenings: Mutex::default(),
            times: Mutex::default(),
        }))
    }
}

impl Inner {
    /// How many calls there were.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Whether whoever ran on it was killed.
    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::SeqCst)
    }

    /// The call of that name fails once, after so many that go well.
    pub fn fail_after(&self, at: &'static str, kind: io::ErrorKind, before: usize) {
        self.faults.lock().unwrap().push(Fault { at, kind, before });
    }

    /// Whoever runs on it is killed at its next call.
    pub fn kill_next(&self) {
        self.is_dead.store(true, Ordering::SeqCst);
    }

    /// How many calls of that name there were.
    pub fn times(&self, what: &str) -> usize {
        self.times.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    pub fn warned_of(&self, word: &str) -> bool {
        let events = self.events.lock().unwrap();
        events.iter().any(|event| match event {
            Event::Warning(text) | Event::Waiting { why: text } => text.contains(word),
            _ => false,
        })
    }

    fn tick(&self, what: &'static str) {
        if self.is_dead() {
            self.unwind();
            return;
        }
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if self.kill_at == Some(call) {
            self.is_dead.store(true, Ordering::SeqCst);
            self.unwind();
        }
        let times = {
            let mut times = self.times.lock().unwrap();
            let times = times.entry(what).or_default();
            *times += 1;
            *times
        };
        let mut happenings = self.happenings.lock().unwrap();
        happenings.iter_mut().filter(|(at, _)| *at == what).for_each(|(_, happen)| happen(times));
    }

    /// Only the thread that called is unwound; the others meet failures until it is.
    fn unwind(&self) {
        if thread::current().id() == self.thread && !thread::panicking() {
            resume_unwind(Box::new(Killed));
        }
    }

    fn interfere(&self, what: &'static str) -> io::Result<()> {
        self.tick(what);
        if self.is_dead() {
            return Err(io::Error::other("killed"));
        }
        let mut faults = self.faults.lock().unwrap();
        let Some(at) = faults.iter().position(|fault| fault.at == what) else { return Ok(()) };
        match faults[at].before.checked_sub(1) {
            Some(before) => {
                faults[at].before = before;
                Ok(())
            }
            None => Err(faults.remove(at).kind.into()),
        }
    }

    fn act(&self, what: &'static str) -> Result<(), HostError> {
        self.interfere(what).map_err(|error| {
            let is_full = error.kind() == io::ErrorKind::StorageFull;
            failed(what, if is_full { Trouble::NoRoom } else { Trouble::Other }, error)
        })
    }
}

/// Runs `program` until it is killed, or ends.
pub fn run_until_killed<T>(program: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(program)) {
        Ok(ended) => Some(ended),
        Err(payload) if payload.is::<Killed>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

struct Watching(Arc<Inner>);

impl Host for Machine {
    fn vaults(&self) -> &dyn Vaults {
        self
    }

    fn mounter(&self) -> &dyn Mounter {
        self
    }

    fn archiver(&self) -> &dyn Archiver {
        self
    }

    fn services(&self, plan: &Plan) -> Result<Vec<Box<dyn Service>>, WorkloadError> {
        let hand = |spec: &strongroom_workload::ServiceSpec| {
            let inner = self.0.clone();
            let tick = Box::new(move |what: &'static str| inner.tick(what));
            Box::new(Hand { fleet: self.fleet.clone(), spec: spec.clone(), tick }) as Box<dyn Service>
        };
        Ok(plan.services.iter().map(hand).collect())
    }

    fn await_health(
        &self,
        _: &[Healthcheck],
        services: &[Box<dyn Service>],
        expected: &[Snapshot],
        on_mount: Option<u64>,
        within: Duration,
    ) -> Result<Vec<Evidence>, Unhealthy> {
        self.tick("health");
        let ran = expected.iter().filter(|was| was.was_running);
        let down =
            ran.filter(|was| !services.iter().any(|one| *one.spec() == was.spec && one.state().unwrap().is_active));
        let mut failing: Vec<_> = down.map(|was| symptom(&was.spec.to_string())).collect();
        // Without services it is asked before anything is done.
        if (on_mount.is_some() || services.is_empty()) && self.is_unhealthy.load(Ordering::SeqCst) {
            failing.push(symptom("tcp:localhost:80"));
        }
        match failing.is_empty() {
            true => Ok(Vec::new()),
            false => Err(Unhealthy { failing, healthy: Vec::new(), after: within, interrupted: false }),
        }
    }

    fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(Watching(self.0.clone()))
    }

    fn now(&self) -> Timestamp {
        self.tick("now");
        // As if the data had been made a while ago: what is as new as the round that copies it is always read again.
        Timestamp::now() + Duration::from_secs(10)
    }

    fn boot_id(&self) -> String {
        self.boot_id.lock().unwrap().clone()
    }

    fn stop(&self) -> &AtomicBool {
        &self.stop
    }

    fn wait(&self, _: Duration) {
        self.tick("wait");
    }

    fn workers(&self) -> usize {
        2
    }
}

fn symptom(subject: &str) -> Symptom {
    Symptom { subject: subject.into(), seen: "no".into(), tries: 1 }
}

impl Observer for Watching {
    fn observe(&self, event: &Event) {
        self.0.events.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(event.clone());
        if matches!(event, Event::Phase { .. } | Event::Waiting { .. }) {
            self.0.tick("event");
        }
    }
}

impl Vaults for Machine {
    fn create(&self, plan: &Plan) -> Result<(), HostError> {
        self.act("create")?;
        vault::create(plan, &self.passphrase.lock().unwrap())?;
        self.tick("created");
        Ok(())
    }

    fn open(&self, plan: &Plan) -> Result<Box<dyn OpenVault>, HostError> {
        self.act("open")?;
        let inner = self.0.clone();
        let interfere = Box::new(move |what: &'static str| inner.interfere(what));
        Ok(Box::new(Opened::open(plan, &self.passphrase.lock().unwrap(), interfere)?))
    }

    fn discard(&self, plan: &Plan) -> Result<(), HostError> {
        self.act("discard")?;
        match fs::remove_dir_all(&plan.vault) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("discarding", Trouble::Other, error)),
            _ => Ok(()),
        }
    }
}

impl Mounter for Machine {
    fn prepare(&self, _: &Plan) -> Result<(), HostError> {
        self.act("prepare")?;
        fs::write(&self.prepared, b"x").unwrap();
        self.tick("prepared");
        Ok(())
    }

    fn mount(&self, plan: &Plan) -> Result<(), HostError> {
        self.act("mount")?;
        if self.standing(plan)? != Standing::Absent || self.mounts_nothing.load(Ordering::SeqCst) {
            return Ok(());
        }
        // A real mount opens the vault, which nobody else may have open then.
        let lock = strongroom_durable::DirLock::exclusive(&plan.vault);
        drop(lock.map_err(|error| failed("mounting", Trouble::Busy, error))?);
        rustix::mount::mount_bind(tree_of(&plan.vault), &plan.data)
            .map_err(|error| failed("mounting", Trouble::Other, error))?;
        self.tick("mounted");
        Ok(())
    }

    fn umount(&self, plan: &Plan) -> Result<(), HostError> {
        self.act("umount")?;
        if self.standing(plan)? != Standing::Absent {
            rustix::mount::unmount(&plan.data, rustix::mount::UnmountFlags::empty())
                .map_err(|error| failed("unmounting", Trouble::Other, error))?;
        }
        self.tick("unmounted");
        Ok(())
    }

    fn standing(&self, plan: &Plan) -> Result<Standing, HostError> {
        let at = |path: &Path| Identity::of(path).ok();
        let (here, tree) = (at(&plan.data), at(&tree_of(&plan.vault)));
        Ok(match (here, tree) {
            (Some(here), Some(tree)) if here == tree => Standing::Ours(here.dev),
            _ => Standing::Absent,
        })
    }

    fn withdraw(&self, _: &Plan) -> Result<(), HostError> {
        self.act("withdraw")?;
        let _ = fs::remove_file(&self.prepared);
        self.tick("withdrawn");
        Ok(())
    }
}

impl Archiver for Machine {
    fn archive(&self, _: &Plan, _: &Path, place: &Path) -> Result<Archived, HostError> {
        self.act("archive")?;
        let path = place.join("archive");
        fs::write(&path, b"sealed").unwrap();
        self.tick("archived");
        Ok(Archived { path, sha256: "00".into() })
    }

    fn restore(&self, _: &Plan, _: &Path, target: &Path) -> Result<(), HostError> {
        self.act("restore")?;
        fs::write(target.join("restored"), b"from the archive").unwrap();
        self.tick("restored");
        Ok(())
    }
}
