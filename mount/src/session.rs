//! A mount from its beginning to its end.
//!
//! How it ends: by umount(8) or fusermount3; by `--idle`; or by SIGTERM, SIGINT or SIGHUP. On a signal what programs wrote
//! is flushed and the mount taken down; if it is in use it is taken out of sight, and ends with its last user. A second
//! signal does not wait for them: the connection is cut, and they get errors. Where the kernel offers no way to cut it
//! (/sys/fs/fuse/connections is not mounted), [`Session::wait`] returns all the same, and the end of the process does it.
//! Whoever wants no mount that outlives the signal has [`Session::end_on`].

use std::any::Any;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use strongroom_event::{Event, Observer};

use crate::device::{self, How, Unmounting};
use crate::error::{MountError, UmountError};
use crate::guarded::{Activity, Guarded};
use crate::idle::IdleClock;
use crate::mountpoint::Mountpoint;
use crate::mounts;
use crate::operations::{NodeId, Operations};
use crate::options::MountOptions;
use crate::transport;

/// How long the last things may take when a mount that was unmounted by somebody is told to end.
const GRACE: Duration = Duration::from_secs(5);

/// A mounted file system that this process serves. Unmounts when dropped.
pub struct Session {
    unmounter: Unmounter,
    ended: Receiver<Ended>,
    activity: Activity,
    observer: Arc<dyn Observer>,
    signals: Option<Handle>,
    /// Told when the mount has ended, by being dropped.
    idle_watch: Option<Sender<()>>,
    /// Kept until the end, such as the lock on the cipher directory.
    held: Vec<Box<dyn Any + Send>>,
    /// The kernel has let go of the mount. What is found at its mount point from now on is another one, even if it has the
    /// same device number, which the kernel gives away again at once.
    is_over: bool,
}

/// What [`Session::wait`] waits for.
enum Ended {
    /// The kernel let go of the mount, or reading from it failed.
    Served(io::Result<()>),
    /// Waiting for that was given up.
    GivenUp,
}

/// How a mount ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was unmounted from outside.
    Unmounted,
    /// It was idle for as long as allowed.
    Idle,
    /// A signal asked for it.
    Signal(i32),
}

impl Session {
    /// Mounts, and returns when the mount answers. `source` is what mount(8) lists unless the options name it, which is
    /// to be the absolute path of the cipher directory.
    pub fn mount<O: Operations>(
        operations: Arc<O>,
        mountpoint: &Mountpoint,
        source: &Path,
        options: &MountOptions,
        observer: Arc<dyn Observer>,
    ) -> Result<Session, MountError> {
        answers(&*operations, mountpoint)?;
        let source = options.fsname.as_deref().unwrap_or(source.as_os_str());
        let device = device::mount(mountpoint, source, options)?;
        let activity = Activity::default();
        let mut settings = operations.settings();
        // What the kernel keeps to write later can only be asked for where it is known where the mount is.
        settings.writeback &= mountpoint.is_known();
        let guarded = Guarded::new(operations, activity.clone(), observer.clone());
        let server = transport::fuser::serve(device, guarded, settings, options.threads()).map_err(|error| {
            // The mount that the handshake failed on is of no use to anybody.
            let _ = device::unmount(mountpoint.path(), How::Lazily);
            MountError::Handshake(error)
        })?;
        let (sender, ended) = channel();
        let unmounter = Unmounter::new(mountpoint.path(), sender.clone());
        report_end(server, sender)?;
        let mut session = Session {
            unmounter,
            ended,
            activity,
            observer,
            signals: None,
            idle_watch: None,
            held: Vec::new(),
            is_over: false,
        };
        if let Some(limit) = options.idle {
            session.watch_idleness(limit)?;
        }
        Ok(session)
    }

    /// Keeps something until the mount has ended, such as the lock on the cipher directory.
    pub fn hold(&mut self, guard: impl Any + Send) {
        self.held.push(Box::new(guard));
    }

    /// What takes the mount down, from any thread.
    pub fn unmounter(&self) -> Unmounter {
        self.unmounter.clone()
    }

    /// Takes the mount down when a signal was caught, as this file's beginning says.
    pub fn unmount_on(&mut self, termination: Termination) -> Result<(), MountError> {
        self.obey(termination, Farewell::LastUser)
    }

    /// Takes the mount down when a signal was caught, and does not wait for who uses it: they get errors when this process
    /// ends, which it is to do when [`Session::wait`] returns.
    pub fn end_on(&mut self, termination: Termination) -> Result<(), MountError> {
        self.obey(termination, Farewell::AtOnce)
    }

    fn obey(&mut self, termination: Termination, farewell: Farewell) -> Result<(), MountError> {
        let mut signals = termination.0;
        self.signals = Some(signals.handle());
        let (unmounter, observer) = (self.unmounter(), self.observer.clone());
        let obey = move || {
            for (count, signal) in signals.forever().enumerate() {
                match count {
                    0 => unmounter.end_by_signal(signal, farewell, &*observer),
                    _ => unmounter.cut(),
                }
            }
        };
        thread::Builder::new().name("signals".into()).spawn(obey).map(drop).map_err(MountError::Serving)
    }

    /// Waits until the mount has ended: unmounted, and its last user gone.
    pub fn wait(mut self) -> Result<End, MountError> {
        let ended = self.ended.recv();
        self.is_over = matches!(ended, Ok(Ended::Served(_)));
        self.stop_watching();
        if let Ok(Ended::Served(Err(error))) = ended {
            return Err(MountError::Serving(error));
        }
        Ok(self.unmounter.end())
    }

    fn watch_idleness(&mut self, limit: Duration) -> Result<(), MountError> {
        let (stop, stopped) = channel();
        let (unmounter, activity) = (self.unmounter(), self.activity.clone());
        let watch = move || unmount_when_idle(limit, &unmounter, &activity, &stopped);
        thread::Builder::new().name("idle".into()).spawn(watch).map_err(MountError::Serving)?;
        self.idle_watch = Some(stop);
        Ok(())
    }

    fn stop_watching(&mut self) {
        self.idle_watch = None;
        if let Some(signals) = self.signals.take() {
            signals.close();
        }
    }
}

/// How long a mount that is to end by a signal goes on for those who use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    /// Until the last one is gone.
    LastUser,
    /// Not at all.
    AtOnce,
}

/// SIGTERM, SIGINT and SIGHUP, caught instead of ending the process.
pub struct Termination(Signals);

impl Termination {
    /// Catches them from now on. To be done before mounting, lest a signal in between leave a dead mount; and after
    /// questions at the terminal, which these signals are to end.
    pub fn catch() -> Result<Termination, MountError> {
        Signals::new([SIGTERM, SIGINT, SIGHUP]).map(Termination).map_err(MountError::Serving)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop_watching();
        if self.is_over {
            return;
        }
        if self.unmounter.unmount().or_else(|_| self.unmounter.unmount_lazily()).is_ok() {
            let _ = self.ended.recv();
        }
    }
}

/// Asks for the root as the kernel will; once it has shaken hands, the kernel finds somebody to ask. Not by a look at the mount
/// point: a process that waits for its own answer and is killed meanwhile can never end, as it keeps the connection open.
fn answers(operations: &impl Operations, mountpoint: &Mountpoint) -> Result<(), MountError> {
    operations.attr(NodeId::ROOT).map(drop).map_err(|errno| MountError::DoesNotAnswer {
        path: mountpoint.path().to_path_buf(),
        source: io::Error::from_raw_os_error(errno.0),
    })
}

/// Tells when the server has ended, so that one can wait for that or for something else.
fn report_end(server: JoinHandle<io::Result<()>>, ended: Sender<Ended>) -> Result<(), MountError> {
    let report = move || {
        let served = server.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")));
        // Nobody may be waiting any more.
        let _ = ended.send(Ended::Served(served));
    };
    thread::Builder::new().name("end".into()).spawn(report).map(drop).map_err(MountError::Serving)
}

fn unmount_when_idle(limit: Duration, unmounter: &Unmounter, activity: &Activity, stopped: &Receiver<()>) {
    let mut clock = IdleClock::new(limit, activity.count(), Instant::now());
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(clock.step()) {
        if !clock.is_due(activity.count(), Instant::now()) {
            continue;
        }
        match unmounter.end_when_idle() {
            Ok(()) => return,
            // In use, by something open if not by requests. The attempt itself made requests, which are not use.
            Err(_) => clock.restart(activity.count(), Instant::now()),
        }
    }
}

/// Takes a mount down, from any thread. Cloning it gives another handle on the same mount.
#[derive(Clone)]
pub struct Unmounter {
    mountpoint: Arc<Path>,
    device: Option<(u32, u32)>,
    end: Arc<Mutex<End>>,
    give_up: Sender<Ended>,
}

impl Unmounter {
    fn new(mountpoint: &Path, give_up: Sender<Ended>) -> Unmounter {
        Unmounter {
            mountpoint: mountpoint.into(),
            device: mounts::device_at(mountpoint),
            end: Arc::new(Mutex::new(End::Unmounted)),
            give_up,
        }
    }

    /// Unmounts, unless somebody uses it.
    pub fn unmount(&self) -> Result<(), UmountError> {
        self.take_down(How::IfUnused)
    }

    /// Takes the mount out of sight; it ends with its last user.
    pub fn unmount_lazily(&self) -> Result<(), UmountError> {
        self.take_down(How::Lazily)
    }

    fn take_down(&self, how: How) -> Result<(), UmountError> {
        let path = self.mountpoint.to_path_buf();
        if self.device.is_none() || mounts::device_at(&path) != self.device {
            // Gone already, or something else was mounted over it that is not ours to take down.
            return Err(UmountError::NotMounted(path));
        }
        device::unmount(&path, how).map_err(|failure| match failure {
            Unmounting::Busy => UmountError::Busy { path, holders: Vec::new() },
            Unmounting::NotMounted => UmountError::NotMounted(path),
            Unmounting::Refused(message) => UmountError::Refused { path, message },
        })
    }

    fn end(&self) -> End {
        *self.end.lock()
    }

    /// The reason is noted before, as the one who waits may be faster than this thread.
    fn end_for(&self, reason: End, attempt: impl FnOnce() -> Result<(), UmountError>) -> Result<(), UmountError> {
        let before = std::mem::replace(&mut *self.end.lock(), reason);
        attempt().inspect_err(|_| *self.end.lock() = before)
    }

    fn end_when_idle(&self) -> Result<(), UmountError> {
        self.end_for(End::Idle, || self.unmount())
    }

    fn end_by_signal(&self, signal: i32, farewell: Farewell, observer: &dyn Observer) {
        let unmounted = self.end_for(End::Signal(signal), || self.unmount());
        let is_over = unmounted.is_ok();
        let was_mounted = !matches!(unmounted, Err(UmountError::NotMounted(_))) || self.device.is_none();
        let ended = match unmounted {
            Err(UmountError::Busy { .. }) => {
                observer.observe(&Event::Warning(self.in_use(farewell)));
                flush(&self.mountpoint);
                self.end_for(End::Signal(signal), || self.unmount_lazily())
            }
            done => done,
        };
        match ended {
            Ok(()) | Err(UmountError::NotMounted(_)) => {}
            Err(error) => observer.observe(&Event::Warning(error.to_string())),
        }
        if farewell == Farewell::AtOnce && !is_over {
            match was_mounted {
                true => self.leave(signal),
                false => self.leave_after_grace(signal),
            }
        }
    }

    /// Somebody else unmounted it. If that was just now, the last things are being done; if not, it goes on out of sight, for
    /// users that are not waited for.
    fn leave_after_grace(&self, signal: i32) {
        let unmounter = self.clone();
        let leave = move || {
            thread::sleep(GRACE);
            unmounter.leave(signal);
        };
        if thread::Builder::new().name("grace".into()).spawn(leave).is_err() {
            self.leave(signal);
        }
    }

    fn in_use(&self, farewell: Farewell) -> String {
        let busy =
            UmountError::Busy { path: self.mountpoint.to_path_buf(), holders: mounts::holders(&self.mountpoint) };
        match farewell {
            Farewell::LastUser => format!("{busy}; it ends with its last user"),
            Farewell::AtOnce => format!("{busy}; there will be errors"),
        }
    }

    /// Ends without the mount having ended.
    fn leave(&self, signal: i32) {
        if self.device.is_some() && mounts::device_at(&self.mountpoint) == self.device {
            flush(&self.mountpoint); // it could not be unmounted, so it can still be reached
        }
        *self.end.lock() = End::Signal(signal);
        let _ = self.give_up.send(Ended::GivenUp);
    }

    /// Breaks the connection, whoever uses the mount.
    fn cut(&self) {
        let aborted = self.device.map(|(_, connection)| mounts::abort(connection));
        if !matches!(aborted, Some(Ok(()))) {
            let _ = self.give_up.send(Ended::GivenUp);
        }
    }
}

/// Has the kernel hand over what programs wrote. Best effort: what cannot be written was reported to its writer's fsync. By
/// another process, since this one must not wait for answers of its own, lest it be killed meanwhile and never end.
fn flush(mountpoint: &Path) {
    let _ = Command::new("sync").arg("-f").arg(mountpoint).stdin(Stdio::null()).output();
}
