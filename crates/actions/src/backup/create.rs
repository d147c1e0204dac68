//! `backup create`: finds out what the source is, and makes an archive of it.

use std::{
    cell::RefCell,
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use serde::Serialize;
use strongroom_backup::{
    ArchiveKind, Cleanup, CleanupRequest, Component, Compression, Create, Created, Kdf, Keys, Live, Origin, Retention,
    Selection, create as make,
};
use strongroom_durable::PathError;
use strongroom_secret::{Passphrase, SecretError};
use strongroom_tree::Filter;
use strongroom_vault::{VaultOptions, VaultTree};

use super::{
    cleanup,
    hooks::{Ended, Hooks, Told, around},
    secrets::{Remembered, Secrets, copy, with_world},
    source::{Surveyed, is_ciphertext, keys_for, keys_of_mounted},
};
use crate::{
    ActionError, Conf, Context, OpenVault, open_vault,
    perform::{Account, perform},
};

/// What to back up, where to, and how.
#[derive(Clone, Debug)]
pub struct BackupCreate {
    /// A directory, the mount point of a vault, or the cipher directory of one that is not mounted.
    pub source: PathBuf,
    /// The directory for archives; made if it is missing.
    pub place: PathBuf,
    /// What the archives are called; the last name of the source if not given.
    pub name: Option<String>,
    /// Full, or against a base.
    pub kind: ArchiveKind,
    /// How it is compressed.
    pub compression: Compression,
    /// How it is sealed; `None` for an archive that everybody can read.
    pub seal: Option<Kdf>,
    /// Parts of the source that have names of their own.
    pub components: Vec<Component>,
    /// Only these: names of components, or patterns of paths.
    pub include: Vec<String>,
    /// Not these: names of components, or patterns of paths.
    pub exclude: Vec<String>,
    /// A word about it.
    pub label: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Reads every file instead of believing stamps.
    pub checksum: bool,
    /// Reads the archive back before it gets its name.
    pub verify: bool,
    /// Fails when the archive becomes larger than this.
    pub max_size: Option<u64>,
    /// How a directory is read that is in use.
    pub live: Live,
    /// The operator's commands around it.
    pub hooks: Hooks,
    /// What to keep: what it does not keep is deleted after the archive was made.
    pub retention: Option<Retention>,
}

impl BackupCreate {
    /// What the archives are called.
    pub fn archive_name(&self) -> String {
        let of_source = || {
            let source = self.source.canonicalize().unwrap_or_else(|_| self.source.clone());
            source.file_name().map_or_else(|| "root".into(), |name| name.to_string_lossy().into_owned())
        };
        strongroom_archive::sanitise(&self.name.clone().unwrap_or_else(of_source))
    }
}

/// What became of it.
#[derive(Debug, Serialize)]
pub struct BackupMade {
    /// The archive.
    #[serde(flatten)]
    pub created: Created,
    /// What was deleted then, if that was wanted.
    pub cleanup: Option<Cleanup>,
}

/// Makes an archive, and then deletes what need not be kept if that is wanted. Audited as `backup.create`, and the rest as
/// `backup.cleanup`.
pub fn create(context: &Context, request: &BackupCreate, secrets: &Secrets<'_>) -> Result<BackupMade, ActionError> {
    let created = perform(context, "backup.create", &request.source, |account| {
        let remembered = Remembered::new(secrets.archive);
        make_archive(context, request, secrets, &remembered, account)
    })?;
    let cleanup = request.retention.clone().and_then(|policy| clean_up_after(context, policy, &created));
    Ok(BackupMade { created, cleanup })
}

/// The archive is made, whatever comes of this.
fn clean_up_after(context: &Context, policy: Retention, created: &Created) -> Option<Cleanup> {
    let place = created.path.parent()?.to_owned();
    let name = Some(created.metadata.name.clone());
    match cleanup(context, &CleanupRequest { place, policy, name, dry_run: false }) {
        Ok(cleanup) => Some(cleanup),
        Err(error) => {
            context.warn(format!("older backups could not be cleaned up: {error}"));
            None
        }
    }
}

/// As [`create`], within another verb that is audited.
pub(super) fn make_archive(
    context: &Context,
    request: &BackupCreate,
    secrets: &Secrets<'_>,
    remembered: &Remembered<'_>,
    account: &mut Account,
) -> Result<Created, ActionError> {
    let (selection, filter) = chosen(request)?;
    let source = Surveyed::of(&request.source)?;
    let place = prepare_place(&request.place)?;
    if place == source.path() {
        return Err(ActionError::IntoSource(place));
    }
    let sealing = || request.seal.is_some().then(|| remembered.new_one()).transpose();
    let (opened, keys) = match &source {
        Surveyed::Plain(_) => (None, None),
        Surveyed::Mounted { conf, .. } => (None, keys_of_mounted(conf, &sealing, secrets.vault, context)?),
        Surveyed::Vault(conf) => {
            let (opened, keys) = open_with_keys(context, conf, &sealing, secrets)?;
            (Some(opened), Some(keys))
        }
    };
    let tree = opened.as_ref().map(|opened| VaultTree::new(opened.vault.clone()));
    let origin = match &tree {
        Some(tree) => {
            Origin::Tree { source: tree, path: source.path().to_owned(), kind: source.kind(), is_quiet: true }
        }
        None => Origin::Directory(source.path().to_owned()),
    };
    let create = Create {
        name: request.archive_name(),
        origin,
        place,
        kind: request.kind,
        compression: request.compression,
        seal: request.seal,
        components: request.components.clone(),
        selection,
        filter,
        label: request.label.clone(),
        tags: request.tags.clone(),
        checksum: request.checksum,
        verify: request.verify,
        keys,
        max_size: request.max_size,
        live: request.live.clone(),
    };
    if request.hooks.pre.is_some() {
        // What the hook stops is not to wait for somebody's answer.
        sealing()?;
    }
    let told = Told::of("backup").and_path("SOURCE", source.path()).and_path("PLACE", &create.place);
    let act = || Ok(with_world(context, &|wanted| remembered.give(wanted), |world| make(&create, world))?);
    let created = around(context, &request.hooks, &told, act, ended)?;
    give_account(account, &created, request.seal.is_some());
    Ok(created)
}

/// Takes and opens a vault that is not mounted. Its passphrase is asked for unless that of the archive opens it.
fn open_with_keys(
    context: &Context,
    conf: &Conf,
    sealing: &dyn Fn() -> Result<Option<Passphrase>, SecretError>,
    secrets: &Secrets<'_>,
) -> Result<(OpenVault, Keys), ActionError> {
    let given = RefCell::new((None, None));
    let passphrase = || {
        let sealing = sealing()?;
        let opens = sealing.as_ref().filter(|sealing| conf.superblock().unlock(sealing).is_ok()).map(copy);
        let own = match (opens, secrets.vault) {
            (Some(opens), _) => opens,
            (None, Some(vault)) => vault()?,
            (None, None) => (secrets.vault_prompt)()?,
        };
        *given.borrow_mut() = (sealing, Some(copy(&own)));
        Ok(own)
    };
    let options = VaultOptions { read_only: true, ..VaultOptions::default() };
    let opened = open_vault(conf.dir(), options, passphrase, context.observer.clone())?;
    let (sealing, own) = given.take();
    let own = own.expect("the vault was opened with it");
    let keys = keys_for(conf, sealing.as_ref(), Some(&|| Ok(copy(&own))), context)?;
    Ok((opened, keys))
}

/// Components and patterns, told apart: what is the name of a component means that component.
fn chosen(request: &BackupCreate) -> Result<(Selection, Filter), ActionError> {
    let is_component = |word: &&String| {
        ["files", "databases", "config"].contains(&word.as_str())
            || request.components.iter().any(|component| component.name == **word)
    };
    let (include, included): (Vec<_>, Vec<_>) = request.include.iter().partition(is_component);
    let (exclude, excluded): (Vec<_>, Vec<_>) = request.exclude.iter().partition(is_component);
    if let (Some(component), Some(pattern)) = (include.first(), included.first()) {
        let (component, pattern) = ((*component).clone(), (*pattern).clone());
        return Err(ActionError::MixedInclude { component, pattern });
    }
    let owned = |words: Vec<&String>| words.into_iter().cloned().collect();
    let selection = Selection { include: owned(include), exclude: owned(exclude) };
    Ok((selection, Filter::everything().include(included)?.exclude(excluded)?))
}

/// Makes the directory for archives if it is missing, and its symbolic links straight. Ciphertext is no place for them.
pub(crate) fn prepare_place(place: &Path) -> Result<PathBuf, ActionError> {
    let existing = place.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    if is_ciphertext(existing) {
        return Err(ActionError::PlaceInCiphertext(place.to_owned()));
    }
    if !place.exists() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(place);
        made.map_err(PathError::on("creating the directory", place))?;
    }
    Ok(place.canonicalize().map_err(PathError::on("looking at", place))?)
}

fn ended(created: &Created) -> Ended {
    let outcome = if created.complete { "ok" } else { "incomplete" };
    Ended { outcome, archive: Some(created.path.clone()) }
}

fn give_account(account: &mut Account, created: &Created, sealed: bool) {
    account.note_path("archive", &created.path);
    account.note("id", created.metadata.id.to_string());
    account.note("bytes", created.bytes);
    account.note("sha256", created.file_sha256.clone());
    account.note("sealed", sealed);
    account.note("issues", created.issues.len());
    if !created.complete {
        account.left_something_out();
    }
}

#[cfg(test)]
mod tests {
    use strongroom_backup::ComponentKind;
    use strongroom_tree::RelPath;

    use super::*;

    fn request(include: &[&str], exclude: &[&str]) -> BackupCreate {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let orders = Component {
            name: "orders".into(),
            kind: ComponentKind::Database,
            path: "orders.db".into(),
            sidecars: Vec::new(),
            optional: false,
        };
        BackupCreate {
            source: "/srv/da ta".into(),
            place: "/backup".into(),
            name: None,
            kind: ArchiveKind::Full,
            compression: Compression::default(),
            seal: None,
            components: vec![orders],
            include: owned(include),
            exclude: owned(exclude),
            label: None,
            tags: Vec::new(),
            checksum: false,
            verify: true,
            max_size: None,
            live: Live::default(),
            hooks: Hooks::default(),
            retention: None,
        }
    }

    #[test]
    fn the_name_of_a_component_means_it_and_everything_else_is_a_pattern() {
        let (selection, filter) = chosen(&request(&["*.txt"], &["orders", "tmp/"])).unwrap();
        assert_eq!((selection.include, selection.exclude), (Vec::new(), vec!["orders".to_owned()]));
        let passes = |path: &str| filter.passes_path(&RelPath::parse(path.as_bytes()).unwrap(), false);
        assert!(passes("a/b.txt") && !passes("a/b.pdf") && !passes("tmp/b.txt"));
    }

    #[test]
    fn a_pattern_that_means_nothing_is_refused() {
        assert!(matches!(chosen(&request(&[], &["["])), Err(ActionError::Pattern(_))));
    }

    #[test]
    fn only_this_component_and_only_these_paths_are_not_said_at_once() {
        assert!(matches!(chosen(&request(&["orders", "*.txt"], &[])), Err(ActionError::MixedInclude { .. })));
    }

    #[test]
    fn archives_are_called_as_the_source_unless_told() {
        assert_eq!(BackupCreate { name: Some("shop".into()), ..request(&[], &[]) }.archive_name(), "shop");
        let of_source = request(&[], &[]).archive_name();
        assert!(of_source.starts_with("da") && !of_source.contains('/'), "{of_source}");
        assert_eq!(BackupCreate { source: "/".into(), ..request(&[], &[]) }.archive_name(), "root");
    }
}
