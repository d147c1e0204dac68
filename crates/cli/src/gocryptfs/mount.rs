//! `gocryptfs CIPHERDIR MOUNTPOINT`

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
    sync::Arc,
};

use strongroom_actions::{
    ActionError, ControlPlace, End, Exclude, Inherited, Mount, MountError, MountOptions, MountReverse, NamePattern,
    Session, UmaskGuard, harden, is_read_only,
};

use super::{
    background,
    exit::{Exit, Failure},
    flags::Flags,
    go,
    order::absolute,
    password,
    say::Say,
};

/// Mounts, and serves the mount until it ends.
pub fn run(flags: &Flags, say: &Arc<Say>) -> Result<(), Failure> {
    let inherited = Inherited::find();
    // Having been started as /proc/self/exe, it would be listed as "exe".
    let _ = rustix::thread::set_name(c"gocryptfs");
    let umask = UmaskGuard::new();
    harden();
    let session = mount(flags, say, &umask)?;
    if flags.allow_other || flags.owner.is_some() {
        let warning = "The option \"-allow_other\" is set. Make sure the file permissions protect your data from unwanted \
                       access.";
        say.info(&say.yellow(warning));
    }
    background::ready(flags, say, inherited);
    match session.wait() {
        Ok(End::Signal(_)) => Err(Failure::told(Exit::SIG_INT)),
        Ok(End::Idle) => {
            say.info(&format!("idleMonitor: filesystem idle; unmounting: {}", flags.mountpoint.display()));
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::new(Exit::OTHER, error)),
    }
}

fn mount(flags: &Flags, say: &Arc<Say>, umask: &UmaskGuard) -> Result<Session, Failure> {
    let options = options(flags, say)?;
    let control = flags.ctlsock.as_ref().map(|path| control(path.as_os_str(), umask));
    let unlock = password::unlock(flags, say).under(umask);
    let mounted = match flags.reverse {
        true => strongroom_actions::mount_reverse(&view(flags, options, control), unlock, say.clone()),
        false => strongroom_actions::mount(&volume(flags, options, control)?, unlock, say.clone()),
    };
    mounted.map(|(session, _)| session).map_err(failure)
}

fn volume(flags: &Flags, options: MountOptions, control: Option<ControlPlace>) -> Result<Mount, Failure> {
    Ok(Mount {
        conf: flags.conf_place(),
        control,
        bad_names: bad_names(flags)?,
        long_names: flags.longnames,
        in_company: true,
        lingers: false,
        ..Mount::new(flags.cipherdir.clone(), flags.mountpoint.clone(), options)
    })
}

fn view(flags: &Flags, options: MountOptions, control: Option<ControlPlace>) -> MountReverse {
    let exclude = Exclude {
        paths: flags.exclude.clone(),
        patterns: flags.exclude_wildcard.clone(),
        files: flags.exclude_from.clone(),
        forgiving: true,
    };
    MountReverse {
        // A view is not taken down for being idle, and its type tells what it is.
        options: MountOptions { subtype: "gocryptfs-reverse", idle: None, ..options },
        conf: flags.conf_place(),
        exclude,
        one_file_system: flags.one_file_system,
        control,
        lingers: false,
        ..MountReverse::new(flags.cipherdir.clone(), flags.mountpoint.clone(), MountOptions::default())
    }
}

fn options(flags: &Flags, say: &Say) -> Result<MountOptions, Failure> {
    Ok(MountOptions {
        read_only: reads_only(flags, say)?,
        allow_other: flags.allow_other || flags.owner.is_some(),
        acl: flags.acl,
        no_xattr: flags.noxattr,
        // Of two that contradict each other the safer one wins.
        dev: flags.dev && !flags.nodev,
        suid: flags.suid && !flags.nosuid,
        exec: !flags.noexec,
        idle: flags.idle(),
        fsname: Some(fsname(flags, say)),
        subtype: "gocryptfs",
        force_owner: flags.owner,
        context: flags.context.clone(),
        kernel_options: list(flags.ko.as_deref()),
        nonempty: flags.nonempty,
        shared_storage: flags.sharedstorage,
        // One thread answers in the order in which the kernel asks.
        threads: flags.serialize_reads.then_some(1),
        ..MountOptions::default()
    })
}

fn reads_only(flags: &Flags, say: &Say) -> Result<bool, Failure> {
    match (is_read_only(&flags.cipherdir), flags.rw && !flags.ro) {
        (true, true) => {
            let dir = flags.cipherdir.display();
            Err(Failure::new(Exit::USAGE, format!("-rw was given, but the file system of {dir} is read-only")))
        }
        (true, false) => {
            say.info("CIPHERDIR is on a read-only file system, mounting read-only.");
            Ok(true)
        }
        (false, _) => Ok(flags.ro),
    }
}

/// What `df` lists. In the options of a mount a comma is the end of one.
fn fsname(flags: &Flags, say: &Say) -> OsString {
    let wanted = flags.fsname.clone().unwrap_or_else(|| flags.cipherdir.clone().into_os_string());
    if !wanted.as_bytes().contains(&b',') {
        return wanted;
    }
    let shown: Vec<u8> = wanted.as_bytes().iter().map(|&byte| if byte == b',' { b'_' } else { byte }).collect();
    let shown = OsString::from_vec(shown);
    say.warn(&format!("Warning: {wanted:?} will be displayed as {shown:?} in \"df -T\""));
    shown
}

fn list(options: Option<&OsStr>) -> Vec<OsString> {
    let options = options.unwrap_or_default().as_bytes().split(|&byte| byte == b',');
    options.filter(|option| !option.is_empty()).map(|option| OsStr::from_bytes(option).to_owned()).collect()
}

fn bad_names(flags: &Flags) -> Result<Vec<NamePattern>, Failure> {
    let parsed = flags.badname.iter().map(|pattern| NamePattern::parse(&pattern.to_string_lossy()));
    parsed.collect::<Result<_, _>>().map_err(|error| Failure::new(Exit::USAGE, format!("-badname: {error}")))
}

/// Who may connect is as the umask says.
fn control(path: &OsStr, umask: &UmaskGuard) -> ControlPlace {
    ControlPlace { path: absolute(path), permissions: 0o777 & !umask.bits() }
}

fn failure(error: ActionError) -> Failure {
    match error {
        ActionError::Mount { source, .. } => mount_failure(&source),
        ActionError::Exclusions { path, source } => {
            let why = format!("open {}: {}", path.display(), go::reason(&source));
            let why = go::quote(why.as_bytes());
            Failure::new(Exit::EXCLUDE_ERROR, format!("Error reading exclusion patterns: {why}"))
        }
        ActionError::NotForViews(_) => {
            Failure::new(Exit::USAGE, "AES-SIV is required by reverse mode, but not enabled in the config file")
        }
        ActionError::ControlSocket { path, source } => {
            let why = go::reason(&source);
            Failure::new(Exit::CTL_SOCK, format!("ctlsock: listen unix {}: bind: {why}", path.display()))
        }
        error => error.into(),
    }
}

fn mount_failure(error: &MountError) -> Failure {
    let invalid = |why: String| Failure::new(Exit::MOUNT_POINT, format!("Invalid mountpoint: {why}"));
    let unsupported = |mountpoint: &Path, relation: &str, cipher_dir: &Path| {
        let [mountpoint, cipher_dir] = [mountpoint, cipher_dir].map(|path| go::quote(path.as_os_str().as_bytes()));
        let message = format!("Mountpoint {mountpoint} {relation} cipherdir {cipher_dir}, this is not supported");
        Failure::new(Exit::MOUNT_POINT, message)
    };
    match error {
        MountError::NoMountpoint(path) => invalid(format!("stat {}: no such file or directory", path.display())),
        MountError::NotADirectory(path) => invalid(format!("{} is not a directory", path.display())),
        MountError::NotEmpty(path) => invalid(format!("directory {} not empty", path.display())),
        MountError::IsCipherDir(path) => unsupported(path, "would shadow", path),
        MountError::ContainsCipherDir { mountpoint, cipher_dir } => unsupported(mountpoint, "would shadow", cipher_dir),
        MountError::InsideCipherDir { mountpoint, cipher_dir } => {
            unsupported(mountpoint, "is contained in", cipher_dir)
        }
        MountError::DeadMount(_) | MountError::Unreadable { .. } => invalid(error.to_string()),
        error => {
            let hint = error.hint().map(|hint| format!("\n{hint}")).unwrap_or_default();
            Failure::new(Exit::FUSE_NEW_SERVER, format!("fs.Mount failed: {error}{hint}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options_of(flags: &Flags) -> MountOptions {
        options(flags, &Say::plainly()).unwrap()
    }

    #[test]
    fn of_two_that_contradict_each_other_the_safer_one_wins() {
        let both =
            Flags { dev: true, nodev: true, suid: true, nosuid: true, exec: true, noexec: true, ..Flags::default() };
        let options = options_of(&both);
        assert!(!options.dev && !options.suid && !options.exec);
        let permissive = options_of(&Flags { dev: true, suid: true, exec: true, ..Flags::default() });
        assert!(permissive.dev && permissive.suid && permissive.exec);
        let neither = options_of(&Flags::default());
        assert!(!neither.dev && !neither.suid && neither.exec);
        assert!(options_of(&Flags { ro: true, rw: true, ..Flags::default() }).read_only);
    }

    #[test]
    fn an_owner_lets_others_in() {
        let options = options_of(&Flags { owner: Some((1, 2)), ..Flags::default() });
        assert!(options.allow_other && options.force_owner == Some((1, 2)));
    }

    #[test]
    fn options_for_the_kernel_are_passed_on_one_by_one() {
        let options = options_of(&Flags { ko: Some("noexec,,max_read=4096".into()), ..Flags::default() });
        assert_eq!(options.kernel_options, ["noexec", "max_read=4096"]);
    }

    #[test]
    fn a_comma_in_the_source_is_shown_as_something_else() {
        let options = options_of(&Flags { cipherdir: "/a,b".into(), ..Flags::default() });
        assert_eq!(options.fsname, Some("/a_b".into()));
    }

    #[test]
    fn what_is_wrong_with_the_mount_point_is_told_from_what_is_wrong_with_the_mount() {
        assert_eq!(mount_failure(&MountError::NotEmpty("/m".into())).exit, Exit::MOUNT_POINT);
        let forbidden = mount_failure(&MountError::AllowOtherForbidden);
        assert_eq!(forbidden.exit, Exit::FUSE_NEW_SERVER);
        assert!(forbidden.message.unwrap().contains("user_allow_other"));
    }
}
