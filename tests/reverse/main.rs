//! The encrypted view of a plaintext directory, beside that of the real gocryptfs over the same directory.

mod changes;
mod copies;
mod patterns;
mod same;

use std::path::{Path, PathBuf};

use strongroom_tests::{Cipher, Format, Names, Need, Program, Scratch, Server, has};

/// What nearly all of these tests need.
fn can_run() -> bool {
    has(&[Need::Fuse, Need::Root, Need::Gocryptfs, Need::Program("setfacl")])
}

/// Views are sealed by AES-SIV in any case.
const fn format(names: Names, long_name_max: Option<u8>) -> Format {
    Format { cipher: Cipher::AesSiv, names, long_name_max }
}

const PLAINTEXT_NAMES: Format = format(Names::Plaintext, None);

/// A plaintext directory, of which both programs show a view.
struct Stage {
    scratch: Scratch,
    plain: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let scratch = Scratch::new();
        Self { plain: scratch.dir("plain"), scratch }
    }

    /// With `fill`ed plaintext and a configuration.
    fn filled(format: &Format, fill: impl FnOnce(&Path)) -> Self {
        let stage = Self::new();
        fill(&stage.plain);
        Program::Gocryptfs.init_reverse(&stage.scratch, &stage.plain, format);
        stage
    }

    fn ours(&self, options: &[&str]) -> Server {
        Program::Strongroom.mount_reverse(&self.scratch, &self.plain, &self.scratch.dir("ours"), options)
    }

    fn theirs(&self, options: &[&str]) -> Server {
        Program::Gocryptfs.mount_reverse(&self.scratch, &self.plain, &self.scratch.dir("theirs"), options)
    }

    /// The vault in `cipher_dir`, mounted by the real gocryptfs.
    fn decrypted(&self, cipher_dir: &Path) -> Server {
        let options = ["-ro", "-acl"];
        Program::Gocryptfs.mount(&self.scratch, cipher_dir, &self.scratch.dir("decrypted"), &options)
    }
}

/// Leaves files one name: what is in one with several depends on which of them was opened first.
fn one_name_each(plain: &Path) {
    std::fs::remove_file(plain.join("links/second")).unwrap();
    std::fs::remove_dir_all(plain.join("links/other")).unwrap();
}

fn listed(differences: &[String]) -> String {
    let shown: Vec<_> = differences.iter().take(8).map(|line| line.chars().take(700).collect::<String>()).collect();
    format!("{}\n({} in all)", shown.join("\n"), differences.len())
}
