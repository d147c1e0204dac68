//! Volumes go back and forth between the program under test and the real gocryptfs, in every mode both have: what one
//! writes the other reads, byte for byte and with all its metadata; what one edits the other finds sound.

mod passphrases;

use std::path::{Path, PathBuf};

use strongroom_tests::{
    Cipher, Format, Names, Need, Program, Random, Scratch, capture, differences, edit, grow, has, settle_times,
};

/// One test for each direction of a mode, named for it.
macro_rules! back_and_forth {
    ($($mode:ident: $format:expr,)*) => {$(
        mod $mode {
            use super::*;

            #[test]
            fn gocryptfs_reads_and_edits_what_we_wrote() {
                trees_stay_equal(&$format, Program::Strongroom, Program::Gocryptfs);
            }

            #[test]
            fn we_read_and_edit_what_gocryptfs_wrote() {
                trees_stay_equal(&$format, Program::Gocryptfs, Program::Strongroom);
            }
        }
    )*};
}

back_and_forth! {
    aes_gcm: mode(Cipher::AesGcm, Names::Encrypted),
    aes_gcm_deterministic_names: mode(Cipher::AesGcm, Names::Deterministic),
    aes_gcm_plaintext_names: mode(Cipher::AesGcm, Names::Plaintext),
    aes_siv: mode(Cipher::AesSiv, Names::Encrypted),
    aes_siv_deterministic_names: mode(Cipher::AesSiv, Names::Deterministic),
    aes_siv_plaintext_names: mode(Cipher::AesSiv, Names::Plaintext),
    xchacha: mode(Cipher::XChaCha, Names::Encrypted),
    xchacha_deterministic_names: mode(Cipher::XChaCha, Names::Deterministic),
    xchacha_plaintext_names: mode(Cipher::XChaCha, Names::Plaintext),
    short_long_names: Format { long_name_max: Some(62), ..Format::default() },
    middling_long_names: Format { long_name_max: Some(173), ..mode(Cipher::AesSiv, Names::Deterministic) },
}

fn mode(cipher: Cipher, names: Names) -> Format {
    Format { cipher, names, long_name_max: None }
}

/// `writer` makes a volume and a tree in it, `editor` edits it in place; a plain directory that went through the same
/// tells the truth all along.
fn trees_stay_equal(format: &Format, writer: Program, editor: Program) {
    if !has(&[Need::Fuse, Need::Root, Need::Gocryptfs, Need::Program("setfacl")]) {
        return;
    }
    let volume = Volume::create(format, writer);
    volume.change(writer, &|root| grow(root, format, &mut Random::seeded(1)));
    volume.shows_the_truth(writer);
    volume.shows_the_truth(editor);
    volume.change(editor, &|root| edit(root, &mut Random::seeded(2)));
    volume.shows_the_truth(editor);
    volume.shows_the_truth(writer);
    volume.change(writer, &|root| edit_more(root, &mut Random::seeded(3)));
    volume.shows_the_truth(editor);
    volume.is_sound();
}

/// A second round by the program that wrote the volume: it must take up what the other left.
fn edit_more(root: &Path, random: &mut Random) {
    for name in ["4096", "sparse-later", "0"] {
        let file = root.join("names").join(name);
        std::fs::write(&file, random.bytes(9000)).unwrap();
        std::fs::rename(&file, root.join("odd").join(format!("{name}-{}", "y".repeat(220)))).unwrap();
    }
    settle_times(root);
}

struct Volume {
    scratch: Scratch,
    cipher_dir: PathBuf,
    mountpoint: PathBuf,
    truth: PathBuf,
}

impl Volume {
    fn create(format: &Format, writer: Program) -> Self {
        let scratch = Scratch::new();
        let volume = Self {
            cipher_dir: scratch.dir("cipher"),
            mountpoint: scratch.dir("mount"),
            truth: scratch.dir("truth"),
            scratch,
        };
        writer.init(&volume.scratch, &volume.cipher_dir, format);
        volume
    }

    /// Does the same to the volume, through `program`, and to the plain directory.
    fn change(&self, program: Program, change: &dyn Fn(&Path)) {
        let server = self.mount(program);
        change(server.root());
        change(&self.truth);
        let found = differences(&capture(&self.truth), &capture(server.root()));
        assert!(found.is_empty(), "{program:?} shows another tree than was just made:\n{}", listed(&found));
        server.unmount();
    }

    fn shows_the_truth(&self, program: Program) {
        let server = self.mount(program);
        let truth = capture(&self.truth);
        assert!(truth.len() > 300, "there is something to compare");
        let found = differences(&truth, &capture(server.root()));
        assert!(found.is_empty(), "{program:?} shows a tree that differs:\n{}", listed(&found));
        server.unmount();
    }

    fn mount(&self, program: Program) -> strongroom_tests::Server {
        let options: &[&str] = match program {
            Program::Strongroom => &["--acl"],
            Program::Gocryptfs => &["-acl"],
        };
        program.mount(&self.scratch, &self.cipher_dir, &self.mountpoint, options)
    }

    fn is_sound(&self) {
        Program::Gocryptfs.finds_nothing_wrong(&self.scratch, &self.cipher_dir);
        Program::Strongroom.finds_nothing_wrong(&self.scratch, &self.cipher_dir);
    }
}

fn listed(differences: &[String]) -> String {
    let shown: Vec<_> = differences.iter().take(8).map(|line| line.chars().take(700).collect::<String>()).collect();
    format!("{}\n({} in all)", shown.join("\n"), differences.len())
}
