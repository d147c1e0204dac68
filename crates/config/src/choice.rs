//! Settings that are one of a few words.

/// An enum whose values are words in the file.
pub(crate) trait Choice: Copy + PartialEq + 'static {
    const ALL: &'static [(&'static str, Self)];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, choice)| *choice == self).expect("every choice has its word").0
    }
}

macro_rules! choice {
    ($(#[$about:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name { $($(#[$each])* $variant),+ }

        impl $name {
            /// The word that stands for it.
            pub fn word(self) -> &'static str {
                Choice::word(self)
            }
        }

        impl Choice for $name {
            const ALL: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),+];
        }
    };
}

choice! {
    /// How the passphrase of a backup becomes a key.
    Kdf {
        /// scrypt: costs memory, too.
        #[default]
        Scrypt = "scrypt",
        /// PBKDF2 with HMAC-SHA-256: where a rule book asks for it.
        Pbkdf2Sha256 = "pbkdf2-sha256",
    }
}

choice! {
    /// How an archive is compressed.
    Compression {
        /// Zstandard.
        #[default]
        Zstd = "zstd",
        /// Gzip.
        Gzip = "gzip",
        /// LZ4.
        Lz4 = "lz4",
        /// Not at all.
        None = "none",
    }
}

choice! {
    /// What a backup holds the bytes of.
    BackupType {
        /// Everything.
        #[default]
        Full = "full",
        /// What changed since the last backup.
        Incremental = "incremental",
        /// What changed since the last full backup.
        Differential = "differential",
    }
}

choice! {
    /// Which databases are captured, and not just copied.
    Databases {
        /// Those that are found, and those that are named as components.
        #[default]
        Auto = "auto",
        /// Only those that are named as components.
        Listed = "listed",
        /// None: their files are copied as they lie there.
        Off = "off",
    }
}

choice! {
    /// How thoroughly a captured database is checked.
    DatabaseCheck {
        /// `PRAGMA integrity_check`.
        #[default]
        Full = "full",
        /// `PRAGMA quick_check`, which does not compare indexes with their tables.
        Quick = "quick",
        /// Not at all.
        Off = "off",
    }
}

choice! {
    /// What follows when a hook fails.
    OnFailure {
        /// The operation is given up.
        #[default]
        Abort = "abort",
        /// The operation goes on, with a warning.
        Warn = "warn",
    }
}

choice! {
    /// What mounts a vault when the machine starts.
    BootKind {
        /// A unit of the system's systemd.
        #[default]
        Systemd = "systemd",
        /// A unit of the user's systemd.
        SystemdUser = "systemd-user",
        /// A line of /etc/fstab.
        Fstab = "fstab",
        /// A service directory of runit.
        Runit = "runit",
        /// Nothing: the operator sees to it.
        Manual = "manual",
    }
}
