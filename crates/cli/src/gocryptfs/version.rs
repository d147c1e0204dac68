//! `gocryptfs -version`

use super::say::{self, Say};

/// The version of gocryptfs whose command line this is. Programs look for the first number with dots in what `-version`
/// says, and leave features out where it is too small.
const COMPATIBLE: &str = "2.6.1";

/// One line in gocryptfs's form, `gocryptfs VERSION TAGS; go-fuse VERSION; BUILD OS/ARCHITECTURE`, that tells whose it is.
pub fn line() -> String {
    let own = env!("CARGO_PKG_VERSION");
    format!("gocryptfs {COMPATIBLE} strongroom; go-fuse none; strongroom {own} {}", platform())
}

/// The same for the companion, which uses no FUSE.
pub fn xray_line() -> String {
    let own = env!("CARGO_PKG_VERSION");
    format!("gocryptfs-xray {COMPATIBLE} strongroom; strongroom {own} {}", platform())
}

fn platform() -> String {
    let os = std::env::consts::OS;
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    format!("{os}/{architecture}")
}

/// Prints it.
pub fn print() {
    say::out(&line());
}

/// Prints it, after what helps to find a mistake.
pub fn tell(say: &Say) {
    say.debug("openssl=false");
    say.debug("on-disk format 2");
    print();
}
