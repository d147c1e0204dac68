//! `gocryptfs -speed`

use std::time::Duration;

use strongroom_actions::CipherSpeed;
use strongroom_event::Silent;

use super::{say, version};

/// How long each cipher is measured.
const MEASURED: Duration = Duration::from_millis(400);

/// Measures the ciphers, and prints what they do in megabytes a second, encrypting blocks of 4 KiB.
pub fn run() {
    version::print();
    let speed = strongroom_actions::speed(MEASURED, &Silent);
    let processor = speed.processor.as_deref().unwrap_or("unknown");
    let help = if has_aes() { "with AES acceleration" } else { "no AES acceleration" };
    say::out(&format!("cpu: {processor}; {help}"));
    speed.ciphers.iter().for_each(|cipher| say::out(&line(cipher)));
}

fn line(cipher: &CipherSpeed) -> String {
    let name = format!("{}-{}", name(cipher.cipher), cipher.implementation);
    let megabytes = cipher.encrypt / 1e6;
    let chosen = if cipher.is_used { "\t(selected in auto mode)" } else { "" };
    format!("{name:<26}\t{megabytes:7.2} MB/s{chosen}")
}

/// The names that gocryptfs has for them.
fn name(cipher: &str) -> &str {
    match cipher {
        "aes-gcm" => "AES-GCM-256",
        "aes-siv" => "AES-SIV-512",
        "xchacha20-poly1305" => "XChaCha20-Poly1305",
        other => other,
    }
}

fn has_aes() -> bool {
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let lines = flags.lines().filter(|line| line.starts_with("flags") || line.starts_with("Features"));
    lines.flat_map(str::split_whitespace).any(|flag| flag == "aes")
}
