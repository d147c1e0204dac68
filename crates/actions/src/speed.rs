//! What this machine's ciphers do.

use std::time::{Duration, Instant};

use serde::Serialize;
use strongroom_crypto::{Algorithm, Backend, measure, scrypt};
use strongroom_event::{Event, Observer};

use crate::words;

/// What this machine's ciphers do, on one thread.
#[derive(Clone, Debug, Serialize)]
pub struct Speed {
    /// The processor, in its own words.
    pub processor: Option<String>,
    /// How many threads it runs at once.
    pub threads: usize,
    /// The ciphers, each in the implementations that this build has.
    pub ciphers: Vec<CipherSpeed>,
    /// Milliseconds that unlocking a vault of the usual cost takes (scrypt, log N 16).
    pub unlock_milliseconds: f64,
}

/// One cipher in one implementation.
#[derive(Clone, Debug, Serialize)]
pub struct CipherSpeed {
    /// The cipher.
    pub cipher: &'static str,
    /// Whose code.
    pub implementation: String,
    /// Whether vaults use this implementation.
    pub is_used: bool,
    /// Bytes encrypted in a second, in blocks of 4 KiB.
    pub encrypt: f64,
    /// Bytes decrypted in a second.
    pub decrypt: f64,
}

/// Blocks in a request of 1 MiB would be 256; the cache is kinder to fewer.
const BATCH: usize = 32;

/// Measures every cipher for about `time`.
pub fn speed(time: Duration, observer: &dyn Observer) -> Speed {
    let all: Vec<_> = Algorithm::ALL
        .into_iter()
        .flat_map(|algorithm| Backend::all_for(algorithm).iter().map(move |&backend| (algorithm, backend)))
        .collect();
    observer.observe(&Event::Phase { name: "measuring", total: Some(all.len() as u64 + 1) });
    let ciphers = all
        .into_iter()
        .map(|(algorithm, backend)| {
            let measured = measure(algorithm, backend, BATCH, time / 2);
            observer.observe(&Event::Progress(1));
            CipherSpeed {
                cipher: words::cipher(algorithm),
                implementation: backend.to_string(),
                is_used: backend == Backend::all_for(algorithm)[0],
                encrypt: measured.seal,
                decrypt: measured.open,
            }
        })
        .collect();
    let unlock_milliseconds = time_to_unlock();
    observer.observe(&Event::Progress(1));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Speed { processor: processor(), threads, ciphers, unlock_milliseconds }
}

fn time_to_unlock() -> f64 {
    let start = Instant::now();
    let mut key = [0; 32];
    scrypt(b"passphrase", &[0; 32], 16, 8, 1, &mut key).expect("the usual cost is a possible one");
    start.elapsed().as_secs_f64() * 1000.0
}

fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
