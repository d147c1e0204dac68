//! The flags of gocryptfs, each with what it sets and what `-hh` says of it. They stand in the order of `-hh`, which is
//! that of their names.

use std::ffi::OsString;

use super::flags::Flags;

/// A flag.
pub struct Flag {
    /// Its name, without dashes.
    pub name: &'static str,
    /// What it takes, and where that goes.
    pub kind: Kind,
    /// What `-hh` says of it.
    pub usage: &'static str,
    /// What `-hh` calls the value, if not by its kind.
    pub noun: Option<&'static str>,
    /// What it is if it is not given, where that is something.
    pub default: Option<&'static str>,
}

/// What a flag takes, and where that goes.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Nothing, or a truth value.
    Switch(fn(&mut Flags, bool)),
    /// Anything; the last one counts.
    Text(fn(&mut Flags, OsString)),
    /// Anything, and that several times. The first time that one name of a list is used, what another has put in it goes.
    List(fn(&mut Flags, OsString, Earlier)),
    /// A number.
    Number(fn(&mut Flags, i64)),
    /// A small number.
    Byte(fn(&mut Flags, u8)),
    /// A time, in nanoseconds.
    Duration(fn(&mut Flags, i64)),
}

/// What is to become of the values that are in a list already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// They were given by the same name.
    Stay,
    /// They were given by another name, if at all.
    Go,
}

impl Kind {
    /// What `-hh` calls the value; nothing for a switch.
    pub fn noun(self) -> &'static str {
        match self {
            Kind::Switch(_) => "",
            Kind::Text(_) => "string",
            Kind::List(_) => "stringArray",
            Kind::Number(_) => "int",
            Kind::Byte(_) => "uint8",
            Kind::Duration(_) => "duration",
        }
    }
}

/// Finds a flag. There are no abbreviations.
pub fn find(name: &[u8]) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.name.as_bytes() == name)
}

/// All of them.
pub static FLAGS: &[Flag] = &[
    switch("acl", |f, on| f.acl = on, "Enforce ACLs"),
    switch("aessiv", |f, on| f.aessiv = on, "AES-SIV encryption"),
    switch(
        "allow_other",
        |f, on| f.allow_other = on,
        "Allow other users to access the filesystem. Only works if user_allow_other is set in /etc/fuse.conf.",
    ),
    list("badname", |f, v, e| add(&mut f.badname, v, e), "Glob pattern invalid file names that should be shown"),
    text("config", |f, v| f.config = given(v), "Use specified config file instead of CIPHERDIR/gocryptfs.conf"),
    text("context", |f, v| f.context = given(v), "Set SELinux context (see mount(8) for details)"),
    text("cpuprofile", ignore, "Write cpu profile to specified file"),
    text("ctlsock", |f, v| f.ctlsock = given(v), "Create control socket at specified path"),
    switch("d", |f, on| f.debug = on, ""),
    switch("debug", |f, on| f.debug = on, "Enable debug output"),
    // Not one of gocryptfs's: where mount.fuse3 mounts before it gives its privileges away, it is told so that permissions
    // are checked, and passes it on.
    switch("default_permissions", |_, _| (), "Ignored for mount.fuse3 with drop_privileges"),
    switch("deterministic-names", |f, on| f.deterministic_names = on, "Disable diriv file name randomisation"),
    switch("dev", |f, on| f.dev = on, "Allow device files"),
    switch("devrandom", |_, _| (), "Obsolete, ignored for compatibility"),
    list("e", |f, v, e| add(&mut f.exclude, v, e), "Alias for -exclude"),
    list("ew", |f, v, e| add(&mut f.exclude_wildcard, v, e), "Alias for -exclude-wildcard"),
    list("exclude", |f, v, e| add(&mut f.exclude, v, e), "Exclude relative path from reverse view"),
    list(
        "exclude-from",
        |f, v, e| add(&mut f.exclude_from, v, e),
        "File from which to read exclusion patterns (with -exclude-wildcard syntax)",
    ),
    list(
        "exclude-wildcard",
        |f, v, e| add(&mut f.exclude_wildcard, v, e),
        "Exclude path from reverse view, supporting wildcards",
    ),
    switch("exec", |f, on| f.exec = on, "Allow executables"),
    list("extpass", |f, v, e| add(&mut f.extpass, v, e), "Use external program for the password prompt"),
    switch("f", |f, on| f.fg = on, ""),
    switch("fg", |f, on| f.fg = on, "Stay in the foreground"),
    text("fido2", |f, v| f.fido2 = given(v), "Protect the masterkey using a FIDO2 token instead of a password"),
    Flag {
        noun: Some("fido2-assert -t"),
        ..list(
            "fido2-assert-option",
            |f, v, e| add(&mut f.fido2_assert_option, v, e),
            "Options to be passed with fido2-assert -t",
        )
    },
    text("force_owner", |f, v| f.force_owner = given(v), "uid:gid pair to coerce ownership"),
    switch("forcedecode", |_, _| (), "Obsolete, ignored for compatibility"),
    switch("fsck", |f, on| f.fsck = on, "Run a filesystem check on CIPHERDIR"),
    text("fsname", |f, v| f.fsname = given(v), "Override the filesystem name"),
    switch("fusedebug", |f, on| f.fusedebug = on, "Enable fuse library debug output"),
    switch("hh", |f, on| f.long_help = on, "Show this long help text"),
    on_by_default("hkdf", |f, on| f.hkdf = on, "Use HKDF as an additional key derivation step"),
    duration("i", |f, v| f.idle_nanoseconds = v, "Alias for -idle"),
    duration(
        "idle",
        |f, v| f.idle_nanoseconds = v,
        "Auto-unmount after specified idle duration (ignored in reverse mode). Durations are specified like \"500s\" or \
         \"2h45m\". 0 means stay mounted indefinitely.",
    ),
    switch("info", |f, on| f.info = on, "Display information about CIPHERDIR"),
    switch("init", |f, on| f.init = on, "Initialize encrypted directory"),
    switch("kernel_cache", |f, on| f.kernel_cache = on, "Enable the FUSE kernel_cache option"),
    text("ko", |f, v| f.ko = given(v), "Pass additional options directly to the kernel, comma-separated list"),
    Flag {
        default: Some("255"),
        ..flag("longnamemax", Kind::Byte(|f, v| f.longnamemax = v), "Hash encrypted names that are longer than this")
    },
    on_by_default("longnames", |f, on| f.longnames = on, "Store names longer than 175 bytes in extra files"),
    text("masterkey", |f, v| f.masterkey = given(v), "Mount with explicit master key"),
    text("memprofile", ignore, "Write memory profile to specified file"),
    switch("nodev", |f, on| f.nodev = on, "Deny device files"),
    switch("noexec", |f, on| f.noexec = on, "Deny executables"),
    switch("nofail", |_, _| (), "Ignored for /etc/fstab compatibility"),
    switch("nonempty", |f, on| f.nonempty = on, "Allow mounting over non-empty directories"),
    switch("noprealloc", |f, on| f.noprealloc = on, "Disable preallocation before writing"),
    switch("nosuid", |f, on| f.nosuid = on, "Deny suid binaries"),
    switch("nosyslog", |f, on| f.nosyslog = on, "Do not redirect output to syslog when running in the background"),
    flag(
        "notifypid",
        Kind::Number(|f, v| f.notifypid = v),
        "Send USR1 to the specified process after successful mount - used internally for daemonization",
    ),
    switch("noxattr", |f, on| f.noxattr = on, "Disable extended attribute operations"),
    text(
        "o",
        ignore,
        "For compatibility with mount(1), options can be also passed as a comma-separated list to -o on the end.",
    ),
    switch("one-file-system", |f, on| f.one_file_system = on, "Don't cross filesystem boundaries"),
    Flag {
        default: Some("\"auto\""),
        ..text("openssl", |f, v| f.openssl = Some(v), "Use OpenSSL instead of built-in Go crypto")
    },
    list("passfile", |f, v, e| add(&mut f.passfile, v, e), "Read password from file"),
    switch("passwd", |f, on| f.passwd = on, "Change password"),
    switch("plaintextnames", |f, on| f.plaintextnames = on, "Do not encrypt file names"),
    switch("q", |f, on| f.quiet = on, ""),
    switch("quiet", |f, on| f.quiet = on, "Quiet - silence informational messages"),
    on_by_default("raw64", |f, on| f.raw64 = on, "Use unpadded base64 for file names"),
    switch("reverse", |f, on| f.reverse = on, "Reverse mode"),
    switch("ro", |f, on| f.ro = on, "Mount the filesystem read-only"),
    switch("rw", |f, on| f.rw = on, "Mount the filesystem read-write"),
    Flag {
        default: Some("16"),
        ..flag(
            "scryptn",
            Kind::Number(|f, v| f.scryptn = Some(v)),
            "scrypt cost parameter logN. Possible values: 10-28. A lower value speeds up mounting and reduces its memory \
                needs, but makes the password susceptible to brute-force attacks",
        )
    },
    switch("serialize_reads", |f, on| f.serialize_reads = on, "Try to serialize read operations"),
    switch("sharedstorage", |f, on| f.sharedstorage = on, "Make concurrent access to a shared CIPHERDIR safer"),
    switch("speed", |f, on| f.speed = on, "Run crypto speed test"),
    switch("suid", |f, on| f.suid = on, "Allow suid binaries"),
    text("trace", ignore, "Write execution trace to file"),
    switch("version", |f, on| f.version = on, "Print version and exit"),
    switch("wpanic", |f, on| f.wpanic = on, "When encountering a warning, panic and exit immediately"),
    switch("xchacha", |f, on| f.xchacha = on, "Use XChaCha20-Poly1305 file content encryption"),
    switch("zerokey", |f, on| f.zerokey = on, "Use all-zero dummy master key"),
];

const fn flag(name: &'static str, kind: Kind, usage: &'static str) -> Flag {
    Flag { name, kind, usage, noun: None, default: None }
}

const fn switch(name: &'static str, set: fn(&mut Flags, bool), usage: &'static str) -> Flag {
    flag(name, Kind::Switch(set), usage)
}

const fn on_by_default(name: &'static str, set: fn(&mut Flags, bool), usage: &'static str) -> Flag {
    Flag { default: Some("true"), ..switch(name, set, usage) }
}

const fn text(name: &'static str, set: fn(&mut Flags, OsString), usage: &'static str) -> Flag {
    flag(name, Kind::Text(set), usage)
}

const fn list(name: &'static str, add: fn(&mut Flags, OsString, Earlier), usage: &'static str) -> Flag {
    flag(name, Kind::List(add), usage)
}

const fn duration(name: &'static str, set: fn(&mut Flags, i64), usage: &'static str) -> Flag {
    flag(name, Kind::Duration(set), usage)
}

/// An empty value is as good as none.
fn given<T: From<OsString>>(value: OsString) -> Option<T> {
    (!value.is_empty()).then(|| value.into())
}

fn ignore(_: &mut Flags, _: OsString) {}

fn add<T: From<OsString>>(list: &mut Vec<T>, value: OsString, earlier: Earlier) {
    if earlier == Earlier::Go {
        list.clear();
    }
    list.push(value.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_in_the_order_of_their_names() {
        assert!(FLAGS.is_sorted_by(|one, other| one.name < other.name));
    }
}
