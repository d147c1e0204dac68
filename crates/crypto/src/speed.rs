//! How fast the ciphers of this build are on this machine. The one place here that looks at a clock: the CPU time of the
//! thread, which other programs do not disturb.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::{Aead, Algorithm, Backend, OpenLane, SealLane, TAG_LEN};

/// What was measured, on one thread, in blocks of 4096 bytes with 24 bytes of associated data.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// The cipher.
    pub algorithm: Algorithm,
    /// Whose code.
    pub backend: Backend,
    /// Plaintext bytes sealed in a second of CPU time.
    pub seal: f64,
    /// Plaintext bytes opened in a second of CPU time.
    pub open: f64,
}

const BLOCK: usize = 4096;

/// Seals, then opens, blocks in batches of `batch` (1 to 256) for about `time` each.
pub fn measure(algorithm: Algorithm, backend: Backend, batch: usize, time: Duration) -> Speed {
    let batch = batch.clamp(1, 256);
    let aead = Aead::with_backend(backend, algorithm, &[0x42; 64][..algorithm.key_len()]).expect("cut to length");
    let nonce = &[7; 32][..algorithm.nonce_len()];
    let aad = &[3; 24];
    let mut plain = vec![0x5A; batch * BLOCK];
    let mut sealed = vec![0; batch * (BLOCK + TAG_LEN)];
    let seal = rate(plain.len(), time, || {
        let mut lanes: Vec<_> = (plain.chunks(BLOCK).zip(sealed.chunks_mut(BLOCK + TAG_LEN)))
            .map(|(plain, out)| SealLane { nonce, aad, plain, out })
            .collect();
        aead.seal_batch(&mut lanes);
    });
    let open = rate(plain.len(), time, || {
        let mut lanes: Vec<_> = (sealed.chunks(BLOCK + TAG_LEN).zip(plain.chunks_mut(BLOCK)))
            .map(|(sealed, out)| OpenLane { nonce, aad, sealed, out })
            .collect();
        aead.open_batch(&mut lanes).expect("sealed above");
    });
    Speed { algorithm, backend, seal, open }
}

/// How many units `work` does in a second of this thread's CPU time, if it does so many each time it is called: the best
/// of several rounds that take about `time` together.
pub fn rate(units: usize, time: Duration, mut work: impl FnMut()) -> f64 {
    const ROUNDS: u32 = 5;
    // Asking for CPU time is a system call, as long as a block takes.
    const BETWEEN_LOOKS: u32 = 64;
    work();
    let round = || {
        let start = cpu_time();
        let mut times = 0u32;
        loop {
            (0..BETWEEN_LOOKS).for_each(|_| work());
            times += BETWEEN_LOOKS;
            let elapsed = cpu_time() - start;
            if elapsed >= time / ROUNDS && !elapsed.is_zero() {
                return f64::from(times) * units as f64 / elapsed.as_secs_f64();
            }
        }
    };
    std::iter::repeat_with(round).take(ROUNDS as usize).fold(0.0, f64::max)
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("CPU time is not negative")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cipher_of_this_build_can_be_measured() {
        for algorithm in Algorithm::ALL {
            for &backend in Backend::all_for(algorithm) {
                let speed = measure(algorithm, backend, 16, Duration::from_millis(5));
                assert!(speed.seal > 0.0 && speed.open > 0.0);
            }
        }
    }
}
