//! What mount(2), or fusermount3 in its place, is told: flags, and words that the file system type understands.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use rustix::mount::MountFlags;

use crate::options::{MountOptions, escape};

/// What mount(2) is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Instructions {
    /// What mount(8) lists as the source.
    pub source: OsString,
    /// What mount(8) lists as the type.
    pub kind: OsString,
    pub flags: MountFlags,
    /// Words for the type, without the descriptor of /dev/fuse.
    words: Vec<OsString>,
}

impl Instructions {
    /// What is to be told to mount `source` as `options` want it. The options for the kernel come last, and so prevail.
    pub fn new(source: &OsStr, options: &MountOptions) -> Instructions {
        let mut told = Instructions {
            source: source.to_owned(),
            kind: kind(OsStr::new(options.subtype)),
            flags: flags(options),
            words: Vec::new(),
        };
        // Only root can mount directly, and without allow_other only root gets in, whom no permission bits stop: the
        // kernel need not fetch a directory's attributes to check them after every change in it.
        if options.allow_other {
            told.words.extend(["default_permissions".into(), "allow_other".into()]);
        }
        told.words.extend(context(options));
        options.kernel_options.iter().for_each(|option| told.add(option));
        told
    }

    /// The words, the descriptor first.
    pub fn data(&self, words_first: &str) -> OsString {
        let mut data = OsString::from(words_first);
        for word in &self.words {
            data.push(",");
            data.push(word);
        }
        data
    }

    fn add(&mut self, option: &OsStr) {
        let bytes = option.as_bytes();
        if let Some(source) = bytes.strip_prefix(b"fsname=") {
            self.source = OsStr::from_bytes(source).to_owned();
        } else if let Some(subtype) = bytes.strip_prefix(b"subtype=") {
            self.kind = kind(OsStr::from_bytes(subtype));
        } else if let Some((flag, set)) = option.to_str().and_then(flag) {
            self.flags.set(flag, set);
        } else if !option.is_empty() && !self.words.iter().any(|word| word == option) {
            self.words.push(option.to_owned());
        }
    }
}

/// The `-o` list for fusermount3, which knows the words that are flags for the kernel.
pub(crate) fn for_helper(source: &OsStr, options: &MountOptions) -> OsString {
    let mut list = OsString::from("default_permissions,subtype=");
    list.push(options.subtype);
    list.push(",fsname=");
    list.push(escape(source));
    let words = [
        (options.allow_other, "allow_other", ""),
        (options.read_only, "ro", "rw"),
        (options.dev, "dev", "nodev"),
        (options.suid, "suid", "nosuid"),
        (options.exec, "exec", "noexec"),
    ];
    let words = words.map(|(set, yes, no)| if set { yes } else { no }).map(OsString::from);
    let context = context(options).map(|context| escape(&context));
    for word in words.into_iter().chain(context).chain(options.kernel_options.iter().map(|option| escape(option))) {
        if !word.is_empty() {
            list.push(",");
            list.push(word);
        }
    }
    list
}

fn kind(subtype: &OsStr) -> OsString {
    let mut kind = OsString::from("fuse.");
    kind.push(subtype);
    kind
}

/// The security context, in quotation marks: categories are listed in it with commas.
fn context(options: &MountOptions) -> Option<OsString> {
    options.context.as_ref().map(|context| {
        let mut word = OsString::from("context=\"");
        word.push(context);
        word.push("\"");
        word
    })
}

fn flags(options: &MountOptions) -> MountFlags {
    let mut flags = MountFlags::empty();
    flags.set(MountFlags::RDONLY, options.read_only);
    flags.set(MountFlags::NODEV, !options.dev);
    flags.set(MountFlags::NOSUID, !options.suid);
    flags.set(MountFlags::NOEXEC, !options.exec);
    flags
}

/// The words of mount(8) that are flags of mount(2), and whether they set or clear it.
fn flag(word: &str) -> Option<(MountFlags, bool)> {
    Some(match word {
        "ro" => (MountFlags::RDONLY, true),
        "rw" => (MountFlags::RDONLY, false),
        "nosuid" => (MountFlags::NOSUID, true),
        "suid" => (MountFlags::NOSUID, false),
        "nodev" => (MountFlags::NODEV, true),
        "dev" => (MountFlags::NODEV, false),
        "noexec" => (MountFlags::NOEXEC, true),
        "exec" => (MountFlags::NOEXEC, false),
        "sync" => (MountFlags::SYNCHRONOUS, true),
        "async" => (MountFlags::SYNCHRONOUS, false),
        "dirsync" => (MountFlags::DIRSYNC, true),
        "noatime" => (MountFlags::NOATIME, true),
        "atime" => (MountFlags::NOATIME, false),
        "nodiratime" => (MountFlags::NODIRATIME, true),
        "diratime" => (MountFlags::NODIRATIME, false),
        "relatime" => (MountFlags::RELATIME, true),
        "norelatime" => (MountFlags::RELATIME, false),
        "strictatime" => (MountFlags::STRICTATIME, true),
        "nostrictatime" => (MountFlags::STRICTATIME, false),
        "lazytime" => (MountFlags::LAZYTIME, true),
        "nolazytime" => (MountFlags::LAZYTIME, false),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(kernel_options: &[&str]) -> MountOptions {
        let kernel_options = kernel_options.iter().map(OsString::from).collect();
        MountOptions { kernel_options, ..MountOptions::default() }
    }

    fn told(options: &MountOptions) -> Instructions {
        Instructions::new(OsStr::new("/cipher"), options)
    }

    #[test]
    fn the_kernel_is_told_type_and_source() {
        let told = told(&MountOptions { subtype: "gocryptfs", ..MountOptions::default() });
        assert_eq!((told.kind.to_str(), told.source.to_str()), (Some("fuse.gocryptfs"), Some("/cipher")));
        assert_eq!(told.flags, MountFlags::NODEV | MountFlags::NOSUID);
        assert_eq!(told.data("fd=3"), "fd=3");
    }

    #[test]
    fn others_are_let_in_with_their_permissions_checked() {
        let told = told(&MountOptions { allow_other: true, ..MountOptions::default() });
        assert_eq!(told.data("fd=3"), "fd=3,default_permissions,allow_other");
    }

    #[test]
    fn options_for_the_kernel_prevail() {
        let told = told(&with(&["suid", "ro", "noatime", "max_read=4096", "fsname=x", "subtype=y", "allow_other"]));
        assert_eq!(told.flags, MountFlags::NODEV | MountFlags::RDONLY | MountFlags::NOATIME);
        assert_eq!((told.kind.to_str(), told.source.to_str()), (Some("fuse.y"), Some("x")));
        assert_eq!(told.data("fd=3"), "fd=3,max_read=4096,allow_other");
    }

    #[test]
    fn a_context_may_list_categories() {
        let options = MountOptions { context: Some("u:r:t:s0:c1,c2".into()), ..MountOptions::default() };
        assert_eq!(told(&options).data("fd=3"), "fd=3,context=\"u:r:t:s0:c1,c2\"");
        let list = for_helper(OsStr::new("/c"), &options);
        assert!(list.to_str().unwrap().ends_with(",context=\"u:r:t:s0:c1\\,c2\""), "{list:?}");
    }

    #[test]
    fn the_helper_is_told_what_the_kernel_would_be() {
        let options = MountOptions { read_only: true, exec: false, ..with(&["noatime"]) };
        let list = for_helper(OsStr::new("/a,b"), &options);
        assert_eq!(list, r"default_permissions,subtype=strongroom,fsname=/a\,b,ro,nodev,nosuid,noexec,noatime");
    }
}
