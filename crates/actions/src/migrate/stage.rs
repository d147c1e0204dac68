//! The vault as programs will see it, mounted read-only where nobody but us can look, by a process that shares nothing with
//! the copier but the disk.
//!
//! It is a process of its own for a reason: one that is killed while it reads from a mount which it serves itself never
//! ends, since the reading waits for an answer that nobody is left to give, and no signal interrupts that wait.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::{fs::DirBuilderExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use strongroom_durable::PathError;
use strongroom_event::Observer;
use strongroom_migrate::{HostError, Staged};
use strongroom_mount::{Adapter, MountError, MountOptions, Mountpoint, Session, UmountError, harden, mounts};
use strongroom_vault::VaultOptions;

use super::{failure::failed, secret::Keyring};
use crate::{ActionError, Conf, RecoveryKey};

/// What the serving process says when the mount answers.
const READY: &str = "ready";

/// A private mount, and the process that serves it. It unmounts and ends when its standard input does, however this process
/// comes to its end.
pub(super) struct Stage {
    at: PathBuf,
    server: Child,
    leash: Option<ChildStdin>,
}

/// Has `program` mount the vault in `dir` at `at`, from its configuration on the disk.
pub(super) fn mount(program: &Path, dir: &Path, at: &Path, keyring: &Keyring) -> Result<Stage, ActionError> {
    clear(at)?;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(at);
    made.map_err(PathError::on("making the directory", at))?;
    let key = RecoveryKey::of(keyring.unlock(&Conf::read(dir)?)?);
    let mut command = Command::new(program);
    command.arg("stage").arg("--").arg(dir).arg(at).env_remove("NOTIFY_SOCKET").current_dir("/");
    // Of a process group of its own: ^C at the terminal is not meant for it.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = command.spawn().map_err(PathError::on("running", program))?;
    let mut leash = server.stdin.take();
    let answer = server.stdout.take();
    let mut stage = Stage { at: at.to_owned(), server, leash: None };
    if let Some(leash) = &mut leash {
        // A program that has ended before it read says why.
        let _ = key.show(|text| writeln!(leash, "{text}"));
    }
    stage.leash = leash;
    let mut said = String::new();
    let read = answer.map_or(Ok(0), |answer| BufReader::new(answer).read_line(&mut said));
    read.map_err(PathError::on("listening to what serves", at))?;
    match said.trim_end() {
        READY => Ok(stage),
        why => Err(PathError::on("mounting for ourselves", at)(io::Error::other(why.to_owned())).into()),
    }
}

/// Serves the vault in `dir` at `at`, as the process that [`mount`] starts: says on `answer` that it does, or why not, and
/// ends when `leash` does. It is given the master key, and reads all else from the disk.
pub fn serve(
    dir: &Path,
    at: &Path,
    key: &RecoveryKey,
    leash: &mut dyn Read,
    answer: &mut dyn Write,
    observer: Arc<dyn Observer>,
) -> Result<(), ActionError> {
    harden();
    let session = match session(dir, at, key, observer) {
        Ok(session) => session,
        Err(error) => {
            let _ = writeln!(answer, "{}", error.to_string().replace('\n', " "));
            return Err(error);
        }
    };
    // If nobody listens any more, the leash has ended too.
    let _ = writeln!(answer, "{READY}").and_then(|()| answer.flush());
    let _ = io::copy(leash, &mut io::sink());
    take_down(&session, at)?;
    session.wait().map(drop).map_err(|source| ActionError::Mount { path: at.to_owned(), source })
}

fn session(dir: &Path, at: &Path, key: &RecoveryKey, observer: Arc<dyn Observer>) -> Result<Session, ActionError> {
    let conf = Conf::read(dir)?;
    let options = VaultOptions { read_only: true, acl: true, ..VaultOptions::default() };
    let vault = Arc::new(conf.open_with(key.master(), options, observer.clone())?);
    let refused = |source: MountError| ActionError::Mount { path: dir.to_owned(), source };
    let mountpoint = Mountpoint::check(at, dir, false).map_err(refused)?;
    let options = as_stored();
    let adapter = Arc::new(Adapter::new(vault, &options));
    Session::mount(adapter, &mountpoint, dir, &options, observer).map_err(refused)
}

/// How long whoever reads from it may take to let go. A process that was killed in a read of a large file needs a moment.
const PATIENCE: Duration = Duration::from_secs(10);

fn take_down(session: &Session, at: &Path) -> Result<(), ActionError> {
    let unmounter = session.unmounter();
    let since = Instant::now();
    loop {
        match unmounter.unmount() {
            Ok(()) | Err(UmountError::NotMounted(_)) => return Ok(()),
            Err(UmountError::Busy { .. }) if since.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(_) => return Ok(mounts::umount(at, true).map(drop)?),
        }
    }
}

/// Everything that is stored is shown: file capabilities need `suid`. Only root may have that, and nobody runs anything
/// here.
fn as_stored() -> MountOptions {
    let is_root = rustix::process::geteuid().is_root();
    MountOptions { read_only: true, acl: true, suid: is_root, dev: is_root, exec: false, ..MountOptions::default() }
}

/// Takes down what a run that was killed has left mounted at `at`. A mount that is none of ours is left alone.
pub(super) fn clear(at: &Path) -> Result<(), ActionError> {
    if at.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    // One may lie over another.
    while let Some(entry) = mounts::find(at)?.filter(mounts::MountEntry::is_vault) {
        mounts::umount(&entry.mountpoint, true)?;
    }
    Ok(())
}

impl Stage {
    fn let_go(&mut self) -> io::Result<()> {
        drop(self.leash.take());
        let status = self.server.wait()?;
        match status.success() {
            true => Ok(()),
            false => Err(io::Error::other(format!("what served it ended with {status}"))),
        }
    }
}

impl Staged for Stage {
    fn path(&self) -> &Path {
        &self.at
    }

    fn end(mut self: Box<Self>) -> Result<(), HostError> {
        let ended = self.let_go().map_err(PathError::on("unmounting", &self.at));
        ended.map_err(|error| failed(format!("unmounting {}", self.at.display()), ActionError::from(error)))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Nothing to be done if it fails: the next stage clears the place.
        let _ = self.let_go();
        // For tidiness only: the next stage makes them again.
        let _ = fs::remove_dir(&self.at);
        let _ = self.at.parent().map(fs::remove_dir);
    }
}
