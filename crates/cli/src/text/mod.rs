//! Results in sentences.

mod amount;
mod audit;
mod backup;
mod catalog;
mod check;
mod config;
mod migrate;
pub mod next_command;
mod restore;

pub use amount::{amount, count, duration, local};
pub use audit::{audit_list, audit_summary, audit_verified};
pub use backup::*;
pub use catalog::*;
pub use check::*;
pub use config::*;
pub use migrate::*;
pub use restore::*;

use strongroom_actions::{Created, How, InUse, Info, Mounted, PassphraseChanged, Speed, Unmounted};

use crate::face::Style;

/// A vault was made; this is the only time its recovery key is seen.
pub fn created(created: &Created, reverse: bool, recovery_key: &str, style: Style) -> String {
    let dir = created.cipher_dir.display();
    let key = style.bold(recovery_key);
    let (cipher, names) = (cipher(created.cipher), names(created.names));
    let (made, options) = match reverse {
        true => ("Made the configuration for an encrypted view of", "--reverse "),
        false => ("Made a vault in", ""),
    };
    format!(
        "{made} {dir}: contents are sealed with {cipher}, names are {names}.

Its recovery key, shown this once:

    {key}

Whoever has it can open the vault without the passphrase, and without one of the two nobody can. Write it down and keep
it apart from this machine.

Next: strongroom mount {options}{dir} MOUNTPOINT
"
    )
}

fn cipher(word: &str) -> &str {
    match word {
        "aes-gcm" => "AES-256-GCM",
        "aes-siv" => "AES-SIV",
        "xchacha20-poly1305" => "XChaCha20-Poly1305",
        other => other,
    }
}

fn names(word: &str) -> &str {
    match word {
        "encrypted" => "encrypted",
        "deterministic" => "encrypted, equal names alike",
        "plaintext" => "not encrypted",
        other => other,
    }
}

/// A vault is mounted.
pub fn mounted(mounted: &Mounted, in_foreground: bool) -> String {
    let (dir, mountpoint) = (mounted.cipher_dir.display(), mounted.mountpoint.display());
    let how = if mounted.read_only { ", read-only" } else { "" };
    let end = match in_foreground {
        true => "Press Ctrl-C to unmount it.".to_owned(),
        false => format!("To unmount it: strongroom umount {mountpoint}"),
    };
    format!("Mounted {dir} at {mountpoint}{how}. {end}\n")
}

/// A mount was ended.
pub fn unmounted(unmounted: &Unmounted) -> String {
    let mountpoint = unmounted.mountpoint.display();
    match unmounted.how {
        How::Ended => format!("Unmounted {mountpoint}. All that was written is on the disk.\n"),
        How::Lingering => format!("Unmounted {mountpoint}. Programs still use it; it ends with the last of them.\n"),
        How::Cleared => {
            format!("Cleared {mountpoint}. Its process had been killed; what it had not written yet is lost.\n")
        }
    }
}

/// A passphrase was changed.
pub fn passphrase_changed(changed: &PassphraseChanged) -> String {
    format!(
        "Changed the passphrase of {}. The recovery key is the same as before.\nOld copies of gocryptfs.conf still open with the old passphrase; delete them if it is known to others.\n",
        changed.cipher_dir.display()
    )
}

/// What a vault is made of.
pub fn info(info: &Info) -> String {
    let scrypt = &info.scrypt;
    let stretched = format!(
        "scrypt with N = 2^{}, r = {}, p = {}; {} of memory an attempt",
        scrypt.log_n,
        scrypt.r,
        scrypt.p,
        amount(scrypt.memory)
    );
    let names = match info.long_name_max {
        255 => names(info.names).to_owned(),
        max => format!("{}; hashed if longer than {max} when encrypted", names(info.names)),
    };
    let lines = [
        ("Vault", info.cipher_dir.display().to_string()),
        ("Made by", info.creator.clone()),
        ("Contents", cipher(info.cipher).to_owned()),
        ("Names", names),
        ("Passphrase", stretched),
        ("Features", info.feature_flags.join(" ")),
        ("In use", info.in_use.as_ref().map_or_else(|| "no".to_owned(), in_use)),
    ];
    lines.iter().map(|(label, value)| format!("{label:<11} {value}\n")).collect()
}

fn in_use(in_use: &InUse) -> String {
    let by = in_use.pid.map_or_else(|| "yes".to_owned(), |pid| format!("by process {pid}"));
    let mounts = in_use.mounts.iter().map(|mount| match mount.is_dead {
        true => format!("; left mounted at {} by a process that is gone", mount.mountpoint.display()),
        false => format!("; mounted at {}", mount.mountpoint.display()),
    });
    by + &mounts.collect::<String>()
}

/// What this machine's ciphers do.
pub fn speed(speed: &Speed) -> String {
    let mut text = String::new();
    if let Some(processor) = &speed.processor {
        text.push_str(&format!("{processor}, {}\n\n", count(speed.threads as u64, "thread")));
    }
    text.push_str(&format!("{:<20} {:<12} {:>12} {:>12}\n", "cipher", "made by", "encrypt", "decrypt"));
    for cipher in &speed.ciphers {
        let rate = |bytes_a_second: f64| format!("{:.0} MB/s", bytes_a_second / 1e6);
        text.push_str(&format!(
            "{:<20} {:<12} {:>12} {:>12}{}\n",
            self::cipher(cipher.cipher),
            cipher.implementation,
            rate(cipher.encrypt),
            rate(cipher.decrypt),
            if cipher.is_used { "  in use" } else { "" },
        ));
    }
    text.push_str(&format!(
        "\nOn one thread, in blocks of 4 KiB. Trying a passphrase takes {:.0} ms.\n",
        speed.unlock_milliseconds
    ));
    text
}
