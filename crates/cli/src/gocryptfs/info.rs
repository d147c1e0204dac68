//! `gocryptfs -info`: what the configuration says. Needs no password.

use strongroom_actions::{ActionError, Algorithm, Conf};

use super::{
    exit::{Exit, Failure, conf_trouble},
    flags::Flags,
    say,
};

/// Prints it.
pub fn run(flags: &Flags) -> Result<(), Failure> {
    // Whatever is wrong with it has the same code here, and is told where the rest would be.
    let failed = |error: ActionError| match conf_trouble(&error) {
        Some((_, warning, why)) => {
            say::out(&format!("Loading config file failed: {why}"));
            Failure { warning, ..Failure::told(Exit::LOAD_CONF) }
        }
        None => error.into(),
    };
    let conf = Conf::read_from(&flags.cipherdir, &flags.conf_file()).map_err(failed)?;
    let superblock = conf.superblock();
    let features: Vec<_> = superblock.features().iter().map(|feature| feature.name()).collect();
    let (r, p) = superblock.scrypt_r_p();
    let (salt, n) = (superblock.scrypt_salt_len(), 1u64 << superblock.scrypt_log_n());
    let lines = [
        ("Creator:", superblock.creator().to_owned()),
        ("FeatureFlags:", features.join(" ")),
        ("EncryptedKey:", format!("{}B", superblock.encrypted_key_len())),
        ("ScryptObject:", format!("Salt={salt}B N={n} R={r} P={p} KeyLen=32")),
        ("contentEncryption:", cipher(superblock.algorithm()).to_owned()),
    ];
    lines.iter().for_each(|(label, value)| say::out(&format!("{label:<18} {value}")));
    Ok(())
}

fn cipher(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Aes256Gcm => "AES-GCM-256",
        Algorithm::AesSiv => "AES-SIV-512",
        Algorithm::XChaCha20Poly1305 => "XChaCha20-Poly1305",
    }
}
