//! How fast blocks are sealed and opened on this machine: `cargo run --release -p strongroom-format --example speed`.
//!
//! The first table is the bare ciphers; the second is what the vault calls, nonces and hole checks included.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use strongroom_crypto::{Algorithm, Backend, OsRandom, measure, rate};
use strongroom_format::{FileId, MasterKey, NameMode, Settings, Superblock};
use strongroom_secret::Passphrase;

const TIME: Duration = Duration::from_millis(300);

fn main() {
    println!("{:<22} {:<12} {:>6} {:>10} {:>10}", "cipher", "code", "batch", "seal GB/s", "open GB/s");
    for algorithm in Algorithm::ALL {
        for &backend in Backend::all_for(algorithm) {
            for batch in [1, 4, 8, 16, 32, 64, 256] {
                let speed = measure(algorithm, backend, batch, TIME);
                let (algorithm, backend) = (algorithm.to_string(), backend.to_string());
                println!(
                    "{algorithm:<22} {backend:<12} {batch:>6} {:>10.2} {:>10.2}",
                    speed.seal / 1e9,
                    speed.open / 1e9
                );
            }
        }
    }
    println!();
    println!("{:<22} {:>6} {:>10} {:>10} {:>10}", "blocks", "batch", "seal GB/s", "open GB/s", "holes GB/s");
    for cipher in Algorithm::ALL {
        for batch in [1, 16, 32, 256] {
            blocks(cipher, batch);
        }
    }
    names();
}

fn blocks(cipher: Algorithm, batch: usize) {
    let ciphers = volume(cipher, NameMode::Encrypted);
    let content = ciphers.content;
    let id = FileId::generate(&OsRandom);
    let mut plain = vec![0x5A; batch * 4096];
    let mut stored = vec![0; batch * content.geometry().cipher_block() as usize];
    let len = plain.len();
    let seal = rate(len, TIME, || assert!(content.seal_blocks(&id, 0, &plain, &OsRandom, &mut stored) > 0));
    let open = rate(len, TIME, || assert!(content.open_blocks(&id, 0, &stored, &mut plain).is_ok()));
    stored.fill(0);
    let holes = rate(len, TIME, || assert!(content.open_blocks(&id, 0, &stored, &mut plain).is_ok()));
    println!("{:<22} {batch:>6} {:>10.2} {:>10.2} {:>10.2}", cipher.to_string(), seal / 1e9, open / 1e9, holes / 1e9);
}

fn names() {
    println!();
    println!("{:<22} {:>12} {:>12}", "name of n bytes", "encrypt ns", "decrypt ns");
    let names = volume(Algorithm::Aes256Gcm, NameMode::Deterministic).names;
    for len in [1, 12, 15, 31, 63, 127, 175, 255] {
        let iv = strongroom_format::DirIv::generate(&OsRandom);
        let name = vec![b'n'; len];
        let stored = names.encrypt(&iv, &name).expect("a valid name");
        let encoded = stored.name_file().map_or(stored.disk().to_vec(), |(_, encoded)| encoded.to_vec());
        let encrypt = rate(100, TIME, || (0..100).for_each(|_| assert!(names.encrypt(&iv, &name).is_ok())));
        let decrypt = rate(100, TIME, || (0..100).for_each(|_| assert!(names.decrypt(&iv, &encoded).is_ok())));
        println!("{len:<22} {:>12.0} {:>12.0}", 1e9 / encrypt, 1e9 / decrypt);
    }
}

fn volume(cipher: Algorithm, names: NameMode) -> strongroom_format::Ciphers {
    let master = MasterKey::generate(&OsRandom);
    let settings = Settings { cipher, names, scrypt_log_n: 10, ..Settings::default() };
    let superblock = Superblock::create(&settings, &Passphrase::new(b"x".to_vec()), &master, &OsRandom);
    superblock.and_then(|superblock| superblock.ciphers(&master)).expect("valid settings")
}
