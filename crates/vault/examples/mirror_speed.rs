//! How fast a directory is mirrored into a vault: `mirror_speed SOURCE EMPTY-CIPHER-DIR WORKERS`.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::sync::{Arc, atomic::AtomicBool};
use std::time::{Duration, Instant};

use strongroom_crypto::{Key, OsRandom};
use strongroom_event::Silent;
use strongroom_testkit::Fixture;
use strongroom_tree::{Comparison, Filter, LocalTree, Manifest, Mirroring, Timestamp, compare_where, mirror};
use strongroom_vault::{RealBacking, Vault, VaultOptions, VaultTree};

fn main() {
    let [source, cipher, workers] = [1, 2, 3].map(|at| std::env::args().nth(at).expect("three arguments"));
    let (fixture, cipher) = (Fixture::usual(), Path::new(&cipher));
    fixture.format(&RealBacking::open(cipher).expect("the cipher directory"));
    let backing = RealBacking::open(cipher).expect("the cipher directory");
    let vault = Vault::new(backing, fixture.ciphers(), VaultOptions::default(), Arc::new(Silent), Arc::new(OsRandom));
    let vault = VaultTree::new(Arc::new(vault.expect("a vault")));
    let source = LocalTree::open(Path::new(&source)).expect("the source");
    let log = cipher.with_extension("manifest");
    let _ = std::fs::remove_file(&log);
    let mut manifest = Manifest::create(&log, &Key::new(&[0; 32])).expect("a manifest");
    let how = Mirroring {
        workers: workers.parse().expect("a number"),
        round_started: Timestamp { seconds: 9_000_000_000, nanoseconds: 0 },
        tick: Duration::ZERO,
        always_dirty: &|_| false,
        batch_entries: 4096,
        batch_bytes: 256 << 20,
        stop: &AtomicBool::new(false),
    };
    for round in 0..2 {
        let start = Instant::now();
        let done = mirror(&source, &Filter::everything(), &vault, &mut manifest, &how, &Silent).expect("a mirror");
        let time = start.elapsed().as_secs_f64();
        let rate = done.bytes as f64 / time / 1e6;
        println!("round {round}: {time:.2} s, {} copied, {} unchanged, {rate:.0} MB/s", done.copied, done.unchanged);
    }
    let start = Instant::now();
    let plainly = Comparison { plainly: true, workers: how.workers, ..Comparison::default() };
    let found = compare_where(&source, &vault, &Filter::everything(), &plainly, &|_| true, &Silent);
    let time = start.elapsed().as_secs_f64();
    println!("compared: {time:.2} s, {} read, {} differences", found.read, found.differences.len());
    let start = Instant::now();
    println!("settled {} in {:.2} s", manifest.settle(found.still).expect("settling"), start.elapsed().as_secs_f64());
}
