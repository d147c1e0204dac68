//! Whatever is done to a tree between two archives, the newest of them gives it back as it is.

mod common;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
};

use common::{Desk, assert_same, settle};
use strongroom_backup::{ArchiveKind, VerifyRequest, verify};

/// Numbers that are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

struct Play {
    desk: Desk,
    dice: Dice,
    made: usize,
}

impl Play {
    /// Everything there is, directories (the source itself first) or the rest.
    fn existing(&self, directories: bool) -> Vec<PathBuf> {
        let mut found = if directories { vec![self.desk.source()] } else { Vec::new() };
        let mut open = vec![self.desk.source()];
        while let Some(dir) = open.pop() {
            for name in common::names(&dir) {
                let path = dir.join(name);
                let is_dir = path.symlink_metadata().unwrap().is_dir();
                if is_dir == directories {
                    found.push(path.clone());
                }
                if is_dir {
                    open.push(path);
                }
            }
        }
        found.sort();
        found
    }

    fn any(&mut self, directories: bool) -> Option<PathBuf> {
        let existing = self.existing(directories);
        (!existing.is_empty()).then(|| existing[self.dice.below(existing.len())].clone())
    }

    fn new_path(&mut self) -> PathBuf {
        self.made += 1;
        let names = ["a", "zz", "m.txt", "odd \n name", "\u{e4}", "b-longer-name"];
        let name = format!("{}{}", names[self.dice.below(names.len())], self.made);
        self.any(true).unwrap().join(name)
    }

    fn content(&mut self) -> Vec<u8> {
        let lens = [0, 1, 511, 512, 4096, 70_000, 300_000];
        let len = lens[self.dice.below(lens.len())];
        self.made += 1;
        common::noise(len, self.made as u64)
    }

    fn step(&mut self) {
        let new = self.new_path();
        let file = self.any(false);
        let content = self.content();
        match (self.dice.below(14), file) {
            (0..4, _) | (_, None) => fs::write(new, content).unwrap(),
            (4, _) => fs::create_dir(new).unwrap(),
            (5, _) => symlink("../anywhere", new).unwrap(),
            (6, Some(file)) => fs::hard_link(file, new).unwrap(),
            (7, Some(file)) => fs::remove_file(file).unwrap(),
            (8 | 9, Some(file)) => fs::rename(file, new).unwrap(),
            (10, Some(file)) if file.is_file() => fs::write(file, content).unwrap(),
            (11, Some(file)) if file.is_file() => {
                // The same length and the same time, and another content.
                let meta = fs::metadata(&file).unwrap();
                fs::write(&file, common::noise(meta.len() as usize, self.made as u64)).unwrap();
                fs::File::options().write(true).open(&file).unwrap().set_modified(meta.modified().unwrap()).unwrap();
            }
            (12, Some(file)) if file.is_file() => {
                fs::set_permissions(&file, fs::Permissions::from_mode(0o600 + self.dice.below(8) as u32)).unwrap();
            }
            (13, Some(_)) => {
                let dir = self.any(true).unwrap();
                if dir != self.desk.source() && !new.starts_with(&dir) {
                    fs::rename(dir, new).unwrap();
                }
            }
            (_, Some(file)) => {
                fs::remove_file(&file).unwrap();
                fs::create_dir(&file).unwrap();
            }
        }
    }
}

#[test]
fn whatever_is_done_between_archives_the_newest_gives_it_back() {
    play(0x5EED_0001);
}

#[test]
fn regression_a_file_that_was_overwritten_under_its_old_time_and_then_renamed_was_taken_for_the_old_one() {
    play(0x5EED_0005);
}

fn play(seed: u64) {
    let mut play = Play { desk: Desk::new(), dice: Dice(seed), made: 0 };
    let mut last = None;
    for round in 0..14 {
        for _ in 0..12 {
            play.step();
        }
        // Half of the rounds follow each other within the tick in which nothing can be told from times.
        if round % 5 == 4 {
            settle();
        }
        let kind = match round {
            0 => ArchiveKind::Full,
            _ if play.dice.below(4) == 0 => ArchiveKind::Differential,
            _ => ArchiveKind::Incremental,
        };
        let mut plan = play.desk.plan(kind);
        plan.seal = None;
        plan.checksum = round % 7 == 6;
        let created = play.desk.try_create(&plan).unwrap();
        assert_eq!(
            (created.metadata.kind, created.complete),
            (kind, true),
            "{:?} {:?}",
            created.fell_back,
            created.issues
        );
        play.desk.restore(&created.path);
        assert_same(&play.desk.source(), &play.desk.target());
        fs::remove_dir_all(play.desk.target()).unwrap();
        last = Some(created.path);
    }
    let request = VerifyRequest { archive: last.unwrap(), chain: true, deep: false, scratch: None };
    assert!(play.desk.world.with(|context| verify(&request, context)).unwrap().ok);
}
