//! How fast the vault is without a kernel above it. `cargo run --release -p strongroom-vault --example throughput -- DIR`
//! makes a vault in a new directory below DIR (default `/dev/shm`) and removes it again.
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Instant;

use strongroom_crypto::OsRandom;
use strongroom_event::Silent;
use strongroom_format::{Algorithm, MasterKey, NameMode, Settings, Superblock};
use strongroom_vault::{Creation, NodeId, RealBacking, SetAttr, Vault, VaultOptions};

const NEW: Creation = Creation { permissions: 0o644, umask: 0, owner: None };

fn timed(what: &str, per: &str, count: usize, act: impl FnOnce()) {
    let start = Instant::now();
    act();
    let seconds = start.elapsed().as_secs_f64();
    println!("{what:<28}{:>12.0} {per}/s {:>9.2} us", count as f64 / seconds, seconds * 1e6 / count as f64);
}

fn main() {
    let at = std::env::args().nth(1).unwrap_or_else(|| "/dev/shm".into());
    let master = MasterKey::generate(&OsRandom);
    let settings =
        Settings { cipher: Algorithm::Aes256Gcm, names: NameMode::Encrypted, long_name_max: None, scrypt_log_n: 10 };
    let passphrase = strongroom_secret::Passphrase::new(b"speed".to_vec());
    let superblock = Superblock::create(&settings, &passphrase, &master, &OsRandom).expect("scrypt works");
    let dir = tempfile::tempdir_in(at).expect("DIR can be written to");
    let open = || {
        let ciphers = superblock.ciphers(&master).expect("the superblock is our own");
        let backing = RealBacking::open(dir.path()).expect("the directory is there");
        Vault::new(backing, ciphers, VaultOptions::default(), Arc::new(Silent), Arc::new(OsRandom)).expect("it opens")
    };
    let vault = open();
    let big = vault.create(NodeId::ROOT, b"big", &NEW).expect("create").node;
    let mib = vec![7u8; 1 << 20];
    for round in 0..3 {
        vault.set_attr(big, &SetAttr { size: Some(0), ..SetAttr::default() }).expect("truncate");
        timed(&format!("write 1 MiB ({round})"), "MiB", 256, || {
            for i in 0..256 {
                vault.write(big, i << 20, &mib).expect("write");
            }
        });
    }
    timed("overwrite 1 MiB", "MiB", 256, || {
        for i in 0..256 {
            vault.write(big, i << 20, &mib).expect("write");
        }
    });
    let mut out = vec![0; 1 << 20];
    timed("read 1 MiB", "MiB", 256, || {
        for i in 0..256 {
            vault.read(big, i << 20, &mut out).expect("read");
        }
    });
    timed("read 128 KiB", "MiB", 256, || {
        for i in 0..2048 {
            vault.read(big, i << 17, &mut out[..1 << 17]).expect("read");
        }
    });
    let scatter = |i: u64| (i * 40_503 % 65_536) * 4096;
    timed("read 4 KiB at random", "op", 100_000, || {
        for i in 0..100_000 {
            vault.read(big, scatter(i), &mut out[..4096]).expect("read");
        }
    });
    timed("write 4 KiB at random", "op", 100_000, || {
        for i in 0..100_000 {
            vault.write(big, scatter(i), &mib[..4096]).expect("write");
        }
    });
    timed("write 100 B at random", "op", 100_000, || {
        for i in 0..100_000 {
            vault.write(big, scatter(i) + 50, &mib[..100]).expect("write");
        }
    });
    let dirs: Vec<NodeId> =
        (0..8).map(|d| vault.make_dir(NodeId::ROOT, format!("dir{d}").as_bytes(), &NEW).expect("mkdir").node).collect();
    let name = |i: usize| format!("some-file-{i:06}.txt").into_bytes();
    timed("create + write 4 KiB", "file", 8000, || {
        for i in 0..8000 {
            let file = vault.create(dirs[i % 8], &name(i), &NEW).expect("create").node;
            vault.write(file, 0, &mib[..4096]).expect("write");
        }
    });
    drop(vault);
    let vault = open();
    let dirs: Vec<NodeId> =
        (0..8).map(|d| vault.lookup(NodeId::ROOT, format!("dir{d}").as_bytes()).expect("lookup").node).collect();
    timed("list with attributes", "file", 8000, || {
        for dir in &dirs {
            let listing = vault.open_dir(*dir).expect("open");
            for entry in listing.entries() {
                vault.entry_attr(*dir, entry).expect("attr");
            }
        }
    });
    let mut nodes = Vec::new();
    timed("lookup", "file", 8000, || {
        nodes = (0..8000).map(|i| vault.lookup(dirs[i % 8], &name(i)).expect("lookup").node).collect();
    });
    timed("read 4 KiB of each (cold)", "file", 8000, || {
        for node in &nodes {
            vault.read(*node, 0, &mut out[..4096]).expect("read");
        }
    });
    timed("append 100 B to each", "file", 8000, || {
        for node in &nodes {
            vault.write(*node, 4096, &mib[..100]).expect("write");
        }
    });
    timed("unlink", "file", 8000, || {
        for i in 0..8000 {
            vault.unlink(dirs[i % 8], &name(i)).expect("unlink");
            vault.forget(nodes[i], 2);
        }
    });
    timed("mkdir", "dir", 2000, || {
        for i in 0..2000 {
            vault.make_dir(dirs[0], &name(i), &NEW).expect("mkdir");
        }
    });
    timed("rmdir", "dir", 2000, || {
        for i in 0..2000 {
            vault.remove_dir(dirs[0], &name(i)).expect("rmdir");
        }
    });
    durability(&vault, dirs[1], dir.path());
}

/// What it costs that a synced file can be found after a power cut: beside the bare file system, below DIR.
fn durability(vault: &Vault, parent: NodeId, cipher_dir: &std::path::Path) {
    const COUNT: usize = 200;
    let bare = tempfile::tempdir_in(cipher_dir.parent().expect("it is below DIR")).expect("DIR can be written to");
    let block = [7; 4096];
    let write_synced = |path: std::path::PathBuf| {
        let file = std::fs::File::create(path).expect("create");
        std::os::unix::fs::FileExt::write_all_at(&file, &block, 0).expect("write");
        file.sync_all().expect("fsync");
    };
    let vault_synced = |dir: NodeId, name: &[u8]| {
        let file = vault.create(dir, name, &NEW).expect("create").node;
        vault.write(file, 0, &block).expect("write");
        vault.sync(file, false).expect("fsync");
    };
    timed("bare: synced file", "file", COUNT, || {
        (0..COUNT).for_each(|i| write_synced(bare.path().join(format!("f{i}"))));
    });
    timed("vault: synced file", "file", COUNT, || {
        (0..COUNT).for_each(|i| vault_synced(parent, format!("s{i}").as_bytes()));
    });
    timed("bare: in a new directory", "file", COUNT, || {
        for i in 0..COUNT {
            let dir = bare.path().join(format!("d{i}"));
            std::fs::create_dir(&dir).expect("mkdir");
            write_synced(dir.join("f"));
        }
    });
    timed("vault: in a new directory", "file", COUNT, || {
        for i in 0..COUNT {
            let dir = vault.make_dir(parent, format!("n{i}").as_bytes(), &NEW).expect("mkdir").node;
            vault_synced(dir, b"f");
        }
    });
    timed("vault: with a long name", "file", COUNT, || {
        (0..COUNT).for_each(|i| vault_synced(parent, format!("{i:0>200}").as_bytes()));
    });
}
