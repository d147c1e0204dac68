//! Who makes backups, and by what command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use strongroom_tests::{run, tool};

/// Something that makes backups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// The program under test: compressed, encrypted and authenticated, with an index, every file hashed.
    Strongroom,
    /// `tar | zstd -3 -T2`: compressed, and nothing else.
    TarZstd,
    /// `tar | zstd -3 -T2 | openssl enc`: encrypted too, authenticated not.
    TarZstdOpenssl,
    /// restic.
    Restic,
    /// borg with zstd,3.
    Borg,
}

/// What is asked of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// A first backup.
    Create,
    /// A first backup, read back and verified.
    CreateVerified,
    /// Reading a backup and finding it whole.
    Verify,
    /// Restoring all of it.
    Restore,
    /// Restoring one small file.
    OneFile,
    /// Telling what is in it.
    Info,
    /// A second backup when nothing has changed.
    Again,
}

impl Work {
    pub const ALL: [Work; 7] =
        [Work::Create, Work::Verify, Work::Restore, Work::OneFile, Work::Info, Work::Again, Work::CreateVerified];

    pub fn name(self) -> &'static str {
        match self {
            Work::Create => "first backup",
            Work::CreateVerified => "first backup, verified by reading it back",
            Work::Verify => "verify",
            Work::Restore => "restore",
            Work::OneFile => "restore one file",
            Work::Info => "list the contents",
            Work::Again => "second backup, nothing changed",
        }
    }
}

/// Where the work happens.
pub struct Job {
    pub store: PathBuf,
    pub tree: PathBuf,
    pub target: PathBuf,
    pub key: PathBuf,
}

impl Peer {
    pub const ALL: [Peer; 5] = [Peer::Strongroom, Peer::TarZstd, Peer::TarZstdOpenssl, Peer::Restic, Peer::Borg];

    pub fn name(self) -> &'static str {
        match self {
            Peer::Strongroom => "strongroom",
            Peer::TarZstd => "tar-zstd",
            Peer::TarZstdOpenssl => "tar-zstd-openssl",
            Peer::Restic => "restic",
            Peer::Borg => "borg",
        }
    }

    pub fn parse(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|peer| peer.name() == name).ok_or_else(|| format!("{name}: no such peer"))
    }

    pub fn is_installed(self) -> bool {
        let programs: &[&str] = match self {
            Peer::Strongroom => &[],
            Peer::TarZstd => &["tar", "zstd"],
            Peer::TarZstdOpenssl => &["tar", "zstd", "openssl"],
            Peer::Restic => &["restic"],
            Peer::Borg => &["borg"],
        };
        programs.iter().all(|program| tool(program).is_some())
    }

    /// Makes what has to be there before the first backup.
    pub fn prepare(self, job: &Job) {
        match self {
            Peer::Restic => drop(run(self.restic(job).arg("init"))),
            Peer::Borg => drop(run(self.borg(job).args(["init", "--encryption=repokey"]).arg(job.store.join("repo")))),
            _ => {}
        }
    }

    /// tar and borg restore into a directory that exists.
    pub fn before_restore(self, target: &Path) {
        if self != Peer::Strongroom {
            fs::create_dir_all(target).expect("the target can be made");
        }
    }

    /// The command that does `work`; `None` if the peer has no such thing, or does it anyhow.
    pub fn command(self, work: Work, job: &Job) -> Option<Command> {
        match self {
            Peer::Strongroom => self.ours(work, job),
            Peer::TarZstd => self.pipe(work, job, None),
            Peer::TarZstdOpenssl => self.pipe(work, job, Some("openssl enc -aes-256-ctr -pbkdf2 -pass file:\"$KEY\"")),
            Peer::Restic => self.restic_work(work, job),
            Peer::Borg => self.borg_work(work, job),
        }
    }

    /// Where a restored tree stands.
    pub fn restored_root(self, job: &Job) -> PathBuf {
        match self {
            Peer::Restic => job.target.join(job.tree.strip_prefix("/").expect("the tree's path is absolute")),
            _ => job.target.clone(),
        }
    }

    pub fn assert_one_file(self, job: &Job) {
        let found = self.restored_root(job).join("one-file.txt");
        let (wanted, found) = (fs::read(job.tree.join("one-file.txt")), fs::read(found));
        assert_eq!(wanted.expect("it is in the tree"), found.expect("it was restored"), "{self:?}");
    }

    fn ours(self, work: Work, job: &Job) -> Option<Command> {
        let own = std::env::current_exe().expect("a running program has a path").with_file_name("strongroom");
        let mut command = Command::new(own);
        command.env("XDG_STATE_HOME", job.store.join("state")).stdout(Stdio::null());
        command.arg("backup");
        let place = job.store.join(if work == Work::CreateVerified { "verified" } else { "place" });
        let create = |command: &mut Command, kind: &str| {
            fs::create_dir_all(&place).expect("a place can be made");
            command.args(["create", "--type", kind]).arg(&job.tree).arg("--output").arg(&place);
        };
        match work {
            Work::Create => create(&mut command, "full"),
            Work::CreateVerified => create(&mut command, "full"),
            Work::Again => create(&mut command, "incremental"),
            Work::Verify => drop(command.arg("verify").arg(only_file(&place))),
            Work::Restore => drop(command.args(["restore", "--target"]).arg(&job.target).arg(only_file(&place))),
            Work::OneFile => drop(
                command.args(["restore", "--path", "one-file.txt", "--target"]).arg(&job.target).arg(only_file(&place)),
            ),
            Work::Info => drop(command.arg("info").arg(only_file(&place))),
        }
        if matches!(work, Work::Create | Work::Again) {
            command.arg("--no-verify");
        }
        command.arg("--passphrase-file").arg(&job.key);
        Some(command)
    }

    /// `cipher` is the command that seals, and with `-d` opens.
    fn pipe(self, work: Work, job: &Job, cipher: Option<&str>) -> Option<Command> {
        let seal = cipher.map_or(String::new(), |cipher| format!("| {cipher}"));
        let read = match cipher {
            Some(cipher) => format!("{cipher} -d < \"$STORE/archive\" | zstd -q"),
            None => "< \"$STORE/archive\" zstd -q".to_owned(),
        };
        let script = match work {
            Work::Create => format!("tar -C \"$TREE\" -cf - . | zstd -q -3 -T2 {seal} > \"$STORE/archive\""),
            Work::Verify => format!("{read} -t"),
            Work::Restore => format!("{read} -d | tar -C \"$TARGET\" -xf -"),
            Work::OneFile => format!("{read} -d | tar -C \"$TARGET\" -xf - ./one-file.txt"),
            Work::Info => format!("{read} -d | tar -tf - > /dev/null"),
            Work::CreateVerified | Work::Again => return None,
        };
        let mut command = Command::new("bash");
        command.args(["-o", "pipefail", "-c", &script]);
        command.env("TREE", &job.tree).env("STORE", &job.store).env("TARGET", &job.target).env("KEY", &job.key);
        Some(command)
    }

    fn restic(self, job: &Job) -> Command {
        let mut command = Command::new("restic");
        command.env("RESTIC_REPOSITORY", job.store.join("repo")).env("RESTIC_PASSWORD_FILE", &job.key);
        command.env("RESTIC_CACHE_DIR", job.store.join("cache")).stdout(Stdio::null());
        command
    }

    fn restic_work(self, work: Work, job: &Job) -> Option<Command> {
        let mut command = self.restic(job);
        match work {
            Work::Create | Work::Again => command.args(["backup", "--quiet"]).arg(&job.tree),
            Work::Verify => command.args(["check", "--read-data"]),
            Work::Restore => command.args(["restore", "latest", "--target"]).arg(&job.target),
            Work::OneFile => {
                let wanted = job.tree.join("one-file.txt");
                command.args(["restore", "latest", "--target"]).arg(&job.target).arg("--include").arg(wanted)
            }
            Work::Info => command.args(["ls", "latest"]),
            Work::CreateVerified => return None,
        };
        Some(command)
    }

    fn borg(self, job: &Job) -> Command {
        let mut command = Command::new("borg");
        let home = job.store.join("home");
        fs::create_dir_all(&home).expect("a home for borg can be made");
        command.env("BORG_PASSCOMMAND", format!("cat {}", job.key.display())).env("BORG_BASE_DIR", home);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn borg_work(self, work: Work, job: &Job) -> Option<Command> {
        let mut command = self.borg(job);
        let archive = |name: &str| format!("{}::{name}", job.store.join("repo").display());
        match work {
            Work::Create => command
                .args(["create", "--compression", "zstd,3"])
                .arg(archive("first"))
                .arg(".")
                .current_dir(&job.tree),
            Work::Again => command
                .args(["create", "--compression", "zstd,3"])
                .arg(archive("again"))
                .arg(".")
                .current_dir(&job.tree),
            Work::Verify => command.args(["check", "--verify-data"]).arg(job.store.join("repo")),
            Work::Restore => command.arg("extract").arg(archive("first")).current_dir(&job.target),
            Work::OneFile => command.arg("extract").arg(archive("first")).arg("one-file.txt").current_dir(&job.target),
            Work::Info => command.arg("list").arg(archive("first")),
            Work::CreateVerified => return None,
        };
        Some(command)
    }
}

/// The one archive in `place`.
fn only_file(place: &Path) -> PathBuf {
    let archives = fs::read_dir(place).expect("there is a backup").flatten().map(|entry| entry.path());
    let mut archives: Vec<_> = archives.filter(|path| path.extension().is_some_and(|end| end == "enc")).collect();
    archives.sort();
    archives.into_iter().next().expect("there is an archive")
}
