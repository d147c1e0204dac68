//! How a vault is to be mounted, and the `-o` lists of mount(8) and fstab that say so.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

/// How a vault is to be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountOptions {
    /// Nothing can be changed through the mount.
    pub read_only: bool,
    /// Other users may enter; file modes decide, as the kernel checks them in any case. As root, files then belong to
    /// whoever makes them.
    pub allow_other: bool,
    /// POSIX ACLs are shown and enforced.
    pub acl: bool,
    /// Extended attributes do not exist here, which saves the kernel asking for `security.capability`.
    pub no_xattr: bool,
    /// Device nodes work.
    pub dev: bool,
    /// Setuid, setgid and file capabilities work.
    pub suid: bool,
    /// Programs can be run.
    pub exec: bool,
    /// Unmounts when nobody used the mount for so long.
    pub idle: Option<Duration>,
    /// What mount(8) lists as the source; the cipher directory if `None`.
    pub fsname: Option<OsString>,
    /// What mount(8) lists as the type, after `fuse.`.
    pub subtype: &'static str,
    /// Everything is shown as belonging to this user and group; to be of use, with `allow_other`.
    pub force_owner: Option<(u32, u32)>,
    /// The security context (SELinux) of all that is in it.
    pub context: Option<OsString>,
    /// Options for the kernel as mount(8) knows them, which prevail over all others.
    pub kernel_options: Vec<OsString>,
    /// The mount point need not be empty.
    pub nonempty: bool,
    /// The cipher directory may change behind the mount's back, so nothing is cached.
    pub shared_storage: bool,
    /// File content is not cached by the kernel.
    pub direct_io: bool,
    /// Threads that answer the kernel; chosen by the machine if `None`.
    pub threads: Option<usize>,
}

impl Default for MountOptions {
    fn default() -> Self {
        MountOptions {
            read_only: false,
            allow_other: false,
            acl: false,
            no_xattr: false,
            dev: false,
            suid: false,
            exec: true,
            idle: None,
            fsname: None,
            subtype: "strongroom",
            force_owner: None,
            context: None,
            kernel_options: Vec::new(),
            nonempty: false,
            shared_storage: false,
            direct_io: false,
            threads: None,
        }
    }
}

/// How many threads answer the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Threads {
    /// All of them.
    pub total: usize,
    /// Those that wait for requests when there are few.
    pub waiting: usize,
}

/// Why an `-o` list was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OptionError {
    /// No option of this name is known.
    #[error("unknown mount option \"{0}\"")]
    Unknown(String),
    /// The option needs a value.
    #[error("the mount option \"{0}\" needs a value: {0}=...")]
    NeedsValue(String),
    /// The option takes no value.
    #[error("the mount option \"{0}\" takes no value")]
    TakesNoValue(String),
    /// The value makes no sense.
    #[error("\"{value}\" is not a value for the mount option \"{option}\": {why}")]
    BadValue {
        /// The option.
        option: String,
        /// What it was given.
        value: String,
        /// What it wants.
        why: &'static str,
    },
}

/// Options of mount(8), its helpers and systemd that mean nothing to a file system.
const MEANINGLESS: &[&str] = &[
    "defaults",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "owner",
    "group",
    "_netdev",
    "nofail",
    "async",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "lazytime",
    "nolazytime",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "silent",
    "loud",
    "default_permissions",
    "comment",
];

impl MountOptions {
    /// Applies an `-o` list; where it contradicts itself, the last word counts. Options that are not about mounting (say,
    /// where the passphrase is) are offered to `other`, which answers whether it took them.
    pub fn apply(
        &mut self,
        list: &OsStr,
        other: &mut dyn FnMut(&str, Option<&OsStr>) -> bool,
    ) -> Result<(), OptionError> {
        for option in split(list.as_bytes()) {
            let (name, value) = match option.iter().position(|&byte| byte == b'=') {
                Some(at) => (&option[..at], Some(OsStr::from_bytes(&option[at + 1..]))),
                None => (&option[..], None),
            };
            let name = String::from_utf8_lossy(name);
            if !self.apply_one(&name, value)? && !other(&name, value) {
                return Err(OptionError::Unknown(name.into_owned()));
            }
        }
        Ok(())
    }

    /// Applies one option, or says that there is none of this name.
    fn apply_one(&mut self, name: &str, value: Option<&OsStr>) -> Result<bool, OptionError> {
        let flag: Option<(&mut bool, bool)> = match name {
            "ro" => Some((&mut self.read_only, true)),
            "rw" => Some((&mut self.read_only, false)),
            "allow_other" => Some((&mut self.allow_other, true)),
            "acl" => Some((&mut self.acl, true)),
            "noacl" => Some((&mut self.acl, false)),
            "no_xattr" | "noxattr" => Some((&mut self.no_xattr, true)),
            "dev" => Some((&mut self.dev, true)),
            "nodev" => Some((&mut self.dev, false)),
            "suid" => Some((&mut self.suid, true)),
            "nosuid" => Some((&mut self.suid, false)),
            "exec" => Some((&mut self.exec, true)),
            "noexec" => Some((&mut self.exec, false)),
            "nonempty" => Some((&mut self.nonempty, true)),
            "shared_storage" | "sharedstorage" => Some((&mut self.shared_storage, true)),
            "direct_io" => Some((&mut self.direct_io, true)),
            _ => None,
        };
        if let Some((flag, set)) = flag {
            if value.is_some() {
                return Err(OptionError::TakesNoValue(name.to_owned()));
            }
            *flag = set;
            return Ok(true);
        }
        let value_of = || value.filter(|value| !value.is_empty()).ok_or(OptionError::NeedsValue(name.to_owned()));
        match name {
            "idle" => self.idle = parse_idle(name, value_of()?)?,
            "fsname" => self.fsname = Some(value_of()?.to_owned()),
            "context" => self.context = Some(value_of()?.to_owned()),
            "force_owner" => {
                self.force_owner = Some(parse_owner(name, value_of()?)?);
                self.allow_other = true;
            }
            "threads" => self.threads = Some(parse_threads(name, value_of()?)?),
            "" => {}
            _ => return Ok(MEANINGLESS.contains(&name) || name.starts_with("x-") || name.starts_with("X-")),
        }
        Ok(true)
    }

    /// The threads that answer the kernel. As many wait for it as there are processors, within 2 and 8; the others step in
    /// while those wait for the disk. Each has buffers of up to 2 MiB.
    pub(crate) fn threads(&self) -> Threads {
        let processors = std::thread::available_parallelism().map_or(2, |n| n.get());
        let total = self.threads.unwrap_or((2 * processors).clamp(8, 16)).max(1);
        Threads { total, waiting: processors.clamp(2, 8).min(total) }
    }

    /// Whether the kernel may cache, as nobody else changes the ciphertext.
    pub(crate) fn is_alone(&self) -> bool {
        !self.shared_storage
    }
}

/// Splits at commas; `\` takes the next byte as it is.
fn split(list: &[u8]) -> Vec<Vec<u8>> {
    let mut options = vec![Vec::new()];
    let mut bytes = list.iter().copied();
    while let Some(byte) = bytes.next() {
        let current = options.last_mut().expect("there is always one");
        match byte {
            b',' => options.push(Vec::new()),
            b'\\' => current.push(bytes.next().unwrap_or(b'\\')),
            _ => current.push(byte),
        }
    }
    options
}

/// Escapes what [`split`] and fusermount3 would take for the end of a value.
pub(crate) fn escape(value: &OsStr) -> OsString {
    let mut escaped = Vec::with_capacity(value.len());
    for &byte in value.as_bytes() {
        if matches!(byte, b',' | b'\\') {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    OsString::from_vec(escaped)
}

fn parse_idle(option: &str, value: &OsStr) -> Result<Option<Duration>, OptionError> {
    let why = "a duration is wanted, such as 10m, 90s or 1h30m (0 for never)";
    let duration = value.to_str().and_then(parse_duration).ok_or_else(|| bad(option, value, why))?;
    Ok(Some(duration).filter(|duration| !duration.is_zero()))
}

fn parse_owner(option: &str, value: &OsStr) -> Result<(u32, u32), OptionError> {
    let owner = value.to_str().and_then(|value| value.split_once(':'));
    let owner = owner.and_then(|(user, group)| Some((user.parse().ok()?, group.parse().ok()?)));
    owner.ok_or_else(|| bad(option, value, "a user and a group are wanted, by number: UID:GID"))
}

fn parse_threads(option: &str, value: &OsStr) -> Result<usize, OptionError> {
    let threads = value.to_str().and_then(|value| value.parse().ok());
    threads.filter(|threads| (1..=256).contains(threads)).ok_or_else(|| bad(option, value, "1 to 256 are possible"))
}

fn bad(option: &str, value: &OsStr, why: &'static str) -> OptionError {
    OptionError::BadValue { option: option.to_owned(), value: value.to_string_lossy().into_owned(), why }
}

/// Parses `90`, `90s`, `10m`, `1h30m`, `2d` or `500ms`. A number without a unit is in seconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u32 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = match &rest[..letters] {
            "ms" => Duration::from_millis(1),
            "" | "s" => Duration::from_secs(1),
            "m" | "min" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            "d" => Duration::from_secs(86_400),
            _ => return None,
        };
        rest = &rest[letters..];
        total = total.checked_add(unit.checked_mul(number)?)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(list: &str) -> Result<MountOptions, OptionError> {
        let mut options = MountOptions::default();
        options.apply(OsStr::new(list), &mut |_, _| false).map(|()| options)
    }

    #[test]
    fn nothing_dangerous_is_on_by_default() {
        let options = MountOptions::default();
        assert!(!options.dev && !options.suid && !options.allow_other && options.exec);
    }

    #[test]
    fn an_fstab_line_is_understood() {
        let list = "rw,nosuid,dev,noexec,allow_other,idle=10m,fsname=a b,_netdev,nofail,x-systemd.automount,user=joe";
        let expected = MountOptions {
            dev: true,
            exec: false,
            allow_other: true,
            idle: Some(Duration::from_secs(600)),
            fsname: Some("a b".into()),
            ..MountOptions::default()
        };
        assert_eq!(applied(list), Ok(expected));
    }

    #[test]
    fn an_owner_and_a_context_are_taken_over() {
        let options = applied(r"force_owner=1000:100,context=u:r:t:s0:c1\,c2").unwrap();
        assert_eq!((options.force_owner, options.allow_other), (Some((1000, 100)), true));
        assert_eq!(options.context, Some("u:r:t:s0:c1,c2".into()));
    }

    #[test]
    fn an_unknown_option_is_named() {
        assert_eq!(applied("ro,allow_ohter"), Err(OptionError::Unknown("allow_ohter".into())));
    }

    #[test]
    fn the_last_word_counts() {
        assert!(!applied("ro,dev,rw,nodev").unwrap().read_only);
        assert!(applied("rw,ro").unwrap().read_only);
    }

    #[test]
    fn an_escaped_comma_is_part_of_the_value() {
        assert_eq!(applied(r"fsname=a\,b\\c,ro").unwrap().fsname, Some(r"a,b\c".into()));
        let escaped = escape(OsStr::new(r"a,b\c"));
        assert_eq!(split(escaped.as_bytes()), [br"a,b\c"]);
    }

    #[test]
    fn values_are_wanted_where_they_belong_and_refused_elsewhere() {
        assert_eq!(applied("idle"), Err(OptionError::NeedsValue("idle".into())));
        assert_eq!(applied("fsname="), Err(OptionError::NeedsValue("fsname".into())));
        assert_eq!(applied("ro=1"), Err(OptionError::TakesNoValue("ro".into())));
        assert!(matches!(applied("idle=soon"), Err(OptionError::BadValue { .. })));
        assert!(matches!(applied("threads=0"), Err(OptionError::BadValue { .. })));
        assert!(matches!(applied("force_owner=joe"), Err(OptionError::BadValue { .. })));
    }

    #[test]
    fn options_about_something_else_are_offered_to_the_caller() {
        let mut taken = Vec::new();
        let mut other = |name: &str, value: Option<&OsStr>| {
            taken.push((name.to_owned(), value.map(OsStr::to_owned)));
            true
        };
        MountOptions::default().apply(OsStr::new("ro,passphrase_file=/etc/key"), &mut other).unwrap();
        assert_eq!(taken, [("passphrase_file".to_owned(), Some("/etc/key".into()))]);
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(parse_duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse_duration("90"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        for wrong in ["", "m", "10x", "-5s", "1.5h", "99999999999s"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_idle_time_of_nothing_means_never() {
        assert_eq!(applied("idle=0").unwrap().idle, None);
    }
}
