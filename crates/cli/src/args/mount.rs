//! Options of `mount`, as long options and as `-o` lists.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, ValueHint};
use strongroom_actions::{MountOptions, parse_duration};
use strongroom_secret::SecretRef;

use super::{
    passphrase::PassphraseArgs,
    reverse::{Reverse, ReverseArgs},
};
use crate::exit::{Exit, Failure};

/// Mount a vault
///
/// Returns when the mount answers, and leaves a process in the background that serves it. While it is mounted, a vault
/// belongs to that process; what it finds damaged goes to the system log, with the plaintext path.
#[derive(Args)]
#[command(after_long_help = "\
Options for -o, as in /etc/fstab: ro, rw, allow_other, acl, noxattr, dev, suid, exec (and nodev, nosuid, noexec), idle=TIME,
fsname=NAME, nonempty, shared_storage, direct_io, threads=N, force_owner=UID:GID (all is shown as belonging to them, and
others are let in), context=CONTEXT (of SELinux), passphrase_file=FILE, passphrase_command=COMMAND,
passphrase_credential=NAME; and reverse, exclude=PATH, exclude_wildcard=PATTERN, exclude_from=FILE, one_file_system. A
comma in a value is written \\, as is a backslash \\\\.

  /srv/vault  /srv/plain  fuse.strongroom  allow_other,passphrase_file=/etc/vault.key,_netdev  0  0")]
pub struct MountArgs {
    /// The vault
    #[arg(value_name = "CIPHERDIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Where it is to be seen in plaintext: an empty directory
    #[arg(value_name = "MOUNTPOINT", value_hint = ValueHint::DirPath)]
    pub mountpoint: PathBuf,
    /// Allow no changes
    #[arg(long)]
    read_only: bool,
    /// Let other users in; file modes decide what they may do
    #[arg(long)]
    allow_other: bool,
    /// Show and enforce POSIX ACLs
    #[arg(long)]
    acl: bool,
    /// Serve no extended attributes
    #[arg(long)]
    no_xattr: bool,
    /// Let device nodes work
    #[arg(long)]
    dev: bool,
    /// Let setuid, setgid and file capabilities work
    #[arg(long)]
    suid: bool,
    /// Let programs be run (the default)
    #[arg(long, conflicts_with = "noexec")]
    exec: bool,
    /// Let no programs be run
    #[arg(long)]
    noexec: bool,
    /// Unmount when nobody used the mount for so long, such as 10m or 1h30m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    idle: Option<Duration>,
    /// What mount(8) lists as the source (default: CIPHERDIR)
    #[arg(long, value_name = "NAME")]
    fsname: Option<OsString>,
    /// Mount over files that are in the way
    #[arg(long)]
    nonempty: bool,
    /// Others may change CIPHERDIR meanwhile, or mount it too: cache nothing
    #[arg(long)]
    shared_storage: bool,
    /// Let the kernel cache no file content
    #[arg(long)]
    direct_io: bool,
    /// Answer at this socket what a path is called on the other side, as gocryptfs does; only its owner may ask
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub control_socket: Option<PathBuf>,
    /// Options as in /etc/fstab; see below
    #[arg(short = 'o', value_name = "LIST")]
    lists: Vec<OsString>,
    /// Stay in the foreground, and log to standard error
    #[arg(long, short = 'f')]
    pub foreground: bool,
    /// Serve with so many threads
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    #[command(flatten)]
    reverse: ReverseArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// What all of that comes to.
#[derive(Debug, PartialEq, Eq)]
pub struct Settled {
    /// How to mount.
    pub options: MountOptions,
    /// Where the passphrase comes from.
    pub source: SecretRef,
    /// What is wanted of a view, if one is.
    pub reverse: Option<Reverse>,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "a duration is wanted, such as 10m, 90s or 1h30m".to_owned())
}

impl MountArgs {
    /// What is to be done. Long options go before `-o` lists.
    pub fn settle(&self) -> Result<Settled, Failure> {
        let mut options = MountOptions::default();
        let mut secrets = ListedSecret::default();
        let mut reverse = Reverse::default();
        for list in &self.lists {
            let applied =
                options.apply(list, &mut |name, value| secrets.takes(name, value) || reverse.takes(name, value));
            applied.map_err(|error| usage(format!("cannot use the mount options {list:?}: {error}")))?;
        }
        self.add_long_options(&mut options);
        reverse.add(&self.reverse);
        if reverse.is_needed() && !reverse.is_wanted {
            return Err(usage("what is left out can only be said of an encrypted view: --reverse"));
        }
        let source = match (self.passphrase.explicit(), secrets.found.as_slice()) {
            (Some(source), []) => source,
            (None, []) => self.passphrase.source(),
            (None, [source]) => source.clone(),
            _ => return Err(usage("the passphrase can come from one place only, but several are named")),
        };
        Ok(Settled { options, source, reverse: Some(reverse).filter(|reverse| reverse.is_wanted) })
    }

    fn add_long_options(&self, options: &mut MountOptions) {
        options.read_only |= self.read_only;
        options.allow_other |= self.allow_other;
        options.acl |= self.acl;
        options.no_xattr |= self.no_xattr;
        options.dev |= self.dev;
        options.suid |= self.suid;
        options.exec = (options.exec || self.exec) && !self.noexec;
        options.nonempty |= self.nonempty;
        options.shared_storage |= self.shared_storage;
        options.direct_io |= self.direct_io;
        if let Some(idle) = self.idle {
            options.idle = Some(idle).filter(|idle| !idle.is_zero());
        }
        if let Some(fsname) = &self.fsname {
            options.fsname = Some(fsname.clone());
        }
        if let Some(threads) = self.threads {
            options.threads = Some(threads.into());
        }
    }
}

fn usage(message: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::USAGE, message).hint("See: strongroom help mount")
}

/// The options of an `-o` list that say where the passphrase is.
#[derive(Default)]
struct ListedSecret {
    found: Vec<SecretRef>,
}

impl ListedSecret {
    fn takes(&mut self, name: &str, value: Option<&OsStr>) -> bool {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return false };
        self.found.push(match name {
            "passphrase_file" => SecretRef::File(value.into()),
            "passphrase_command" => SecretRef::Command(value.to_string_lossy().into_owned()),
            "passphrase_credential" => SecretRef::Credential(value.to_string_lossy().into_owned()),
            _ => return false,
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn settled(arguments: &[&str]) -> Result<Settled, Failure> {
        let line = ["strongroom", "mount", "/c", "/m"].iter().chain(arguments);
        match Cli::try_parse_from(line).unwrap().command {
            Command::Mount(mount) => mount.settle(),
            _ => unreachable!("mount was asked for"),
        }
    }

    #[test]
    fn long_options_and_lists_mean_the_same() {
        let long = settled(&[
            "--read-only",
            "--allow-other",
            "--acl",
            "--no-xattr",
            "--dev",
            "--suid",
            "--noexec",
            "--idle",
            "10m",
            "--fsname",
            "x",
            "--nonempty",
            "--shared-storage",
            "--direct-io",
            "--threads",
            "3",
            "--passphrase-file",
            "/k",
        ]);
        let list =
            "ro,allow_other,acl,noxattr,dev,suid,noexec,idle=10m,fsname=x,nonempty,shared_storage,direct_io,threads=3";
        let listed = settled(&["-o", list, "-o", "passphrase_file=/k"]);
        assert_eq!(long.unwrap(), listed.unwrap());
    }

    #[test]
    fn a_view_is_asked_for_either_way() {
        let long = settled(&["--reverse", "--exclude", "a", "--exclude-wildcard", "*.o", "--exclude-wildcard", "!b.o"]);
        let listed = settled(&["-o", "reverse,exclude=a,exclude_wildcard=*.o", "-o", "exclude_wildcard=!b.o"]);
        let long = long.unwrap();
        assert_eq!(long.reverse.as_ref().unwrap().patterns, ["*.o", "!b.o"]);
        assert_eq!(long, listed.unwrap());
        assert_eq!(settled(&[]).unwrap().reverse, None);
        assert_eq!(settled(&["-o", "exclude=a"]).unwrap_err().exit, Exit::USAGE);
    }

    #[test]
    fn what_mount_8_passes_on_is_understood() {
        let Settled { options, .. } = settled(&["-o", "rw,nosuid,nodev,relatime,user=root,x-systemd.automount"])
            .unwrap_or_else(|e| panic!("{}", e.message));
        assert_eq!(options, MountOptions::default());
    }

    #[test]
    fn an_unknown_option_is_a_usage_error_that_names_it() {
        let failure = settled(&["-o", "ro,alow_other"]).unwrap_err();
        assert_eq!(failure.exit, Exit::USAGE);
        assert!(failure.message.contains("alow_other"), "{}", failure.message);
    }

    #[test]
    fn two_places_for_the_passphrase_are_refused() {
        for two in [
            ["-o", "passphrase_file=/a,passphrase_command=b"].as_slice(),
            &["-o", "passphrase_file=/a", "--passphrase-stdin"],
        ] {
            assert_eq!(settled(two).unwrap_err().exit, Exit::USAGE);
        }
    }

    #[test]
    fn a_comma_in_a_listed_command_is_escaped() {
        let Settled { source, .. } = settled(&["-o", r"passphrase_command=pass a\,b"]).unwrap();
        assert_eq!(source, SecretRef::Command("pass a,b".into()));
    }
}
