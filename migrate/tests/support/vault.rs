//! A vault that is a directory of plaintext: `tree` in the cipher directory, `conf` with its passphrase beside it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use strongroom_crypto::{Key, Sha256};
use strongroom_durable::DirLock;
use strongroom_event::Silent;
use strongroom_migrate::{HostError, OpenVault, Plan, Staged, Trouble};
use strongroom_tree::{Content, Entry, Filter, LocalReplica, RelPath, Replica, Sink, Source, TreeError};

static SILENT: Silent = Silent;

/// What goes wrong in a replica.
pub type Interfere = Box<dyn Fn(&'static str) -> io::Result<()> + Send + Sync>;

pub struct Opened {
    pub replica: Wrapped,
    key: Key<32>,
    tree: PathBuf,
    _lock: DirLock,
}

pub fn failed(
    attempted: &str,
    trouble: Trouble,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> HostError {
    HostError { attempted: attempted.into(), trouble, source: source.into() }
}

pub fn tree_of(vault: &Path) -> PathBuf {
    vault.join("tree")
}

pub fn create(plan: &Plan, passphrase: &str) -> Result<(), HostError> {
    let made = fs::create_dir_all(tree_of(&plan.vault)).and_then(|()| {
        let conf = plan.vault.join("conf");
        if conf.exists() { Ok(()) } else { fs::write(conf, format!("{}\n{passphrase}", plan.id)) }
    });
    made.map_err(|error| failed("making the vault", Trouble::Other, error))
}

impl Opened {
    pub fn open(plan: &Plan, passphrase: &str, interfere: Interfere) -> Result<Self, HostError> {
        let other = |error: io::Error| failed("opening the vault", Trouble::Other, error);
        let conf = fs::read_to_string(plan.vault.join("conf")).map_err(other)?;
        if conf != format!("{}\n{passphrase}", plan.id) {
            return Err(failed("opening the vault", Trouble::WrongPassphrase, "the passphrase is wrong"));
        }
        let lock =
            DirLock::exclusive(&plan.vault).map_err(|error| failed("opening the vault", Trouble::Busy, error))?;
        let tree = tree_of(&plan.vault);
        let inner =
            LocalReplica::open(&tree, &SILENT).map_err(|error| failed("opening the vault", Trouble::Other, error))?;
        let key = Key::new(&Sha256::of(conf.as_bytes()));
        Ok(Self { replica: Wrapped { inner, interfere }, key, tree, _lock: lock })
    }
}

impl OpenVault for Opened {
    fn tree(&self) -> &dyn Replica {
        &self.replica
    }

    fn journal_key(&self) -> Key<32> {
        self.key.duplicate()
    }

    fn sync(&self) -> Result<(), HostError> {
        self.replica.sync().map_err(|error| failed("syncing the vault", Trouble::Other, error))
    }

    fn check(&self) -> Result<Vec<String>, HostError> {
        (self.replica.interfere)("check").map_err(|error| failed("checking the vault", Trouble::Damaged, error))?;
        Ok(Vec::new())
    }

    fn stage(&self, _: &Path) -> Result<Box<dyn Staged>, HostError> {
        (self.replica.interfere)("stage").map_err(|error| failed("mounting the vault", Trouble::Other, error))?;
        Ok(Box::new(Shown(self.tree.clone())))
    }
}

struct Shown(PathBuf);

impl Staged for Shown {
    fn path(&self) -> &Path {
        &self.0
    }

    fn end(self: Box<Self>) -> Result<(), HostError> {
        Ok(())
    }
}

/// A replica of which every change is asked about before.
pub struct Wrapped {
    inner: LocalReplica<'static>,
    pub interfere: Interfere,
}

impl Wrapped {
    fn ask(&self, what: &'static str, path: &RelPath) -> Result<(), TreeError> {
        (self.interfere)(what).map_err(TreeError::on("writing", path))
    }
}

impl Source for Wrapped {
    fn entries<'a>(&'a self, filter: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a> {
        self.inner.entries(filter)
    }

    fn open<'a>(&'a self, path: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError> {
        self.inner.open(path)
    }
}

impl Sink for Wrapped {
    fn put(&self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<(), TreeError> {
        self.ask("put", &entry.path)?;
        self.inner.put(entry, content)
    }

    fn seal(&self) -> Result<(), TreeError> {
        self.inner.seal()
    }
}

impl Replica for Wrapped {
    fn remove(&self, path: &RelPath) -> Result<(), TreeError> {
        self.ask("remove", path)?;
        self.inner.remove(path)
    }

    fn dress(&self, entry: &Entry) -> Result<(), TreeError> {
        self.ask("dress", &entry.path)?;
        self.inner.dress(entry)
    }

    fn sync(&self) -> Result<(), TreeError> {
        self.ask("sync", &RelPath::root())?;
        self.inner.sync()
    }
}
