//! Mounts the encrypted view of a plaintext directory. What makes its configuration is [`crate::init()`], like any vault's.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
};
use strongroom_event::{Event, Observer};
use strongroom_format::Algorithm;
use strongroom_mount::{MountError, MountOptions, Mountpoint, ReverseAdapter, Session};
use strongroom_reverse::{Exclusions, View, ViewError, ViewOptions};
use strongroom_tree::BadPattern;

use crate::{
    ActionError, Conf, ConfPlace, ControlPlace, ControlSocket, Mount, Mounted, PathTranslator, Unlock, mount::serve,
    open::cipher_dir,
};

/// What to show encrypted, where, and how.
#[derive(Clone, Debug)]
pub struct MountReverse {
    /// The plaintext directory.
    pub dir: PathBuf,
    /// Where it is to be seen encrypted. Or `/dev/fd/N`, as for [`crate::Mount`].
    pub mountpoint: PathBuf,
    /// How. It is read-only in any case.
    pub options: MountOptions,
    /// Where the configuration is. One that is in the plaintext directory is shown in the view.
    pub conf: ConfPlace,
    /// What is left out.
    pub exclude: Exclude,
    /// Directories on other file systems are shown without what is in them.
    pub one_file_system: bool,
    /// Where other programs can ask what a path is called on the other side.
    pub control: Option<ControlPlace>,
    /// After a signal it goes on until its last user is gone.
    pub lingers: bool,
}

/// What is left out of a view, as it was asked for. Of all that match, the last one decides, in this order.
#[derive(Clone, Debug, Default)]
pub struct Exclude {
    /// Paths from the root. Characters that mean something in patterns mean it here too, as with gocryptfs.
    pub paths: Vec<OsString>,
    /// Patterns like those of .gitignore.
    pub patterns: Vec<OsString>,
    /// Files with such patterns, one a line.
    pub files: Vec<PathBuf>,
    /// Patterns that mean nothing are passed over with a warning. Otherwise they are refused.
    pub forgiving: bool,
}

impl MountReverse {
    /// As a view is mounted unless something else is wanted.
    pub fn new(dir: PathBuf, mountpoint: PathBuf, options: MountOptions) -> Self {
        Self {
            dir,
            mountpoint,
            options: MountOptions { subtype: "strongroom-reverse", ..options },
            conf: ConfPlace::InPlainDir,
            exclude: Exclude::default(),
            one_file_system: false,
            control: None,
            lingers: true,
        }
    }

    /// What came of it, as seen from another process than the one that serves the mount.
    pub fn outcome(&self) -> Mounted {
        Mount::new(self.dir.clone(), self.mountpoint.clone(), self.options.clone()).outcome()
    }
}

impl Exclude {
    fn read(&self, observer: &dyn Observer) -> Result<Exclusions, ActionError> {
        let mut lines: Vec<Vec<u8>> = Vec::new();
        lines.extend(self.paths.iter().map(|path| [b"/", path.as_bytes()].concat()));
        lines.extend(self.patterns.iter().map(|pattern| pattern.clone().into_vec()));
        for file in &self.files {
            let unreadable = |source| ActionError::Exclusions { path: file.clone(), source };
            let text = std::fs::read(file).map_err(unreadable)?;
            lines.extend(text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec));
        }
        let exclusions = Exclusions::parse(lines);
        for ignored in exclusions.ignored() {
            if !self.forgiving {
                let (pattern, why) = (ignored.pattern.clone(), ignored.why.clone());
                return Err(BadPattern { pattern, why }.into());
            }
            observer.observe(&Event::Warning(format!("{ignored}; it excludes nothing")));
        }
        Ok(exclusions)
    }
}

/// Mounts the encrypted view of a plaintext directory; the session serves it until it is unmounted. Everything that can be
/// checked without a secret is checked before it is asked for.
pub fn mount_reverse(
    request: &MountReverse,
    unlock: Unlock<'_>,
    observer: Arc<dyn Observer>,
) -> Result<(Session, Mounted), ActionError> {
    let dir = cipher_dir(&request.dir)?;
    let refused = |source: MountError| ActionError::Mount { path: dir.clone(), source };
    let mountpoint = Mountpoint::check(&request.mountpoint, &dir, request.options.nonempty).map_err(refused)?;
    let exclude = request.exclude.read(&*observer)?;
    let control = request.control.as_ref().map(ControlSocket::bind).transpose()?;
    let conf = Conf::read_from(&dir, &request.conf)?;
    let view_options = ViewOptions {
        exclude,
        one_file_system: request.one_file_system,
        conf: (request.conf == ConfPlace::InPlainDir).then(|| conf.path().to_owned()),
    };
    let view = Arc::new(open_view(&conf, unlock, view_options, observer.clone())?);
    let options = MountOptions { read_only: true, ..request.options.clone() };
    let adapter = Arc::new(ReverseAdapter::new(view.clone(), &options));
    let mut session = serve(adapter, &mountpoint, &dir, &options, request.lingers, observer).map_err(refused)?;
    if let Some(control) = control {
        session.hold(control.serve(view)?);
    }
    Ok((session, Mounted { cipher_dir: dir.clone(), mountpoint: mountpoint.path().to_owned(), read_only: true }))
}

fn open_view(
    conf: &Conf,
    unlock: Unlock<'_>,
    options: ViewOptions,
    observer: Arc<dyn Observer>,
) -> Result<View, ActionError> {
    if conf.superblock().algorithm() != Algorithm::AesSiv {
        return Err(ActionError::NotForViews(conf.path().to_owned()));
    }
    let unusable = |source: ViewError| ActionError::View { path: conf.dir().to_owned(), source };
    let root = open_root(conf.dir()).map_err(|errno| unusable(errno.into()))?;
    let ciphers = conf.ciphers(&unlock.master_key(conf)?)?;
    View::new(root, ciphers, options, observer).map_err(unusable)
}

fn open_root(dir: &Path) -> Result<rustix::fd::OwnedFd, Errno> {
    openat(CWD, dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

impl PathTranslator for View {
    fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, Errno> {
        self.encrypt_path(plain).map_err(to_errno)
    }

    fn decrypt(&self, cipher: &[u8]) -> Result<Vec<u8>, Errno> {
        self.decrypt_path(cipher).map_err(to_errno)
    }
}

fn to_errno(error: ViewError) -> Errno {
    Errno::from_raw_os_error(strongroom_mount::Errno::from(error).0)
}
