//! A repair puts right what can be, loses nothing on the way, wherever it is cut off, and touches nothing else.

use std::collections::BTreeMap;

use strongroom_crypto::OsRandom;
use strongroom_event::Silent;
use strongroom_format::DirIv;
use strongroom_testkit::{Fixture, Journal, SimBacking, SimDir};
use strongroom_vault::backing::{Sys, Target};
use strongroom_vault::{
    Advice, Aside, Backing, CheckOptions, Creation, Kind, NodeId, OpenMode, Plan, Problem, ProblemKind, Remedy,
    RenameMode, Repairs, Report, VaultOptions, check, repair,
};

const NEW: Creation = Creation { permissions: 0o700, umask: 0, owner: None };
const LONG: [u8; 200] = [b'n'; 200];
const OTHER_LONG: [u8; 200] = [b'o'; 200];

/// A vault on a simulated disk, and what was done to it.
struct Damaged {
    fixture: &'static Fixture,
    disk: SimBacking,
}

impl Damaged {
    /// /file, /dir/{inner, LONG, sub/}, /empty, /other/{a, b}, /lost/{a, LONG}, /gone/OTHER_LONG
    fn sound(mode: usize, journal: Journal) -> Self {
        let fixture = Fixture::mode(mode);
        let disk = SimBacking::new(journal);
        fixture.format(&disk);
        let vault = fixture.open(disk.clone(), VaultOptions::default()).vault;
        let write = |parent, name: &[u8], content: &[u8]| {
            let file = vault.create(parent, name, &NEW).unwrap().node;
            vault.write(file, 0, content).unwrap();
        };
        let make_dir = |parent, name: &[u8]| vault.make_dir(parent, name, &NEW).unwrap().node;
        write(NodeId::ROOT, b"file", &[7; 9000]);
        let dir = make_dir(NodeId::ROOT, b"dir");
        write(dir, b"inner", b"inner content");
        write(dir, &LONG, b"long content");
        make_dir(dir, b"sub");
        make_dir(NodeId::ROOT, b"empty");
        for (name, content) in [(b"other", b"other content".as_slice()), (b"lost.", b"lost content")] {
            let dir = make_dir(NodeId::ROOT, name);
            write(dir, b"a", content);
            write(dir, &LONG, &[content, b", long"].concat());
        }
        let gone = make_dir(NodeId::ROOT, b"gone");
        write(gone, &OTHER_LONG, b"gone");
        write(gone, b"stays", b"stays");
        vault.sync_all().unwrap();
        drop(vault);
        Damaged { fixture, disk }
    }

    /// All that a repair can put right, and some that it cannot.
    fn thoroughly(mode: usize, journal: Journal) -> Self {
        let damaged = Self::sound(mode, journal);
        let Damaged { disk, .. } = &damaged;
        let root = disk.root().unwrap();
        disk.write_small(&root, b"gocryptfs.conf.0123456789abcdef.tmp", b"{}", false).unwrap();
        disk.write_small(&root, b"gocryptfs.conf.bak", b"{\"kept\"}", false).unwrap();
        disk.write_small(&root, b".stfolder", b"of another program", false).unwrap();
        // A long name without its object, and a name that is none.
        let (gone, object) = damaged.object(&[b"gone", &OTHER_LONG]);
        disk.unlink(&gone, &object).unwrap();
        let (dir, inner) = damaged.object(&[b"dir", b"inner"]);
        disk.rename(&dir, &inner, &dir, b"!!!!", RenameMode::Replace).unwrap();
        // A stub.
        let (gone, stays) = damaged.object(&[b"gone", b"stays"]);
        disk.set_len(&disk.open(&gone, &stays, OpenMode::ReadWrite).unwrap(), 18).unwrap();
        // A bad block.
        let (root, file) = damaged.object(&[b"file"]);
        disk.write_at(&disk.open(&root, &file, OpenMode::ReadWrite).unwrap(), 100, b"!").unwrap();
        if damaged.fixture.uses_dir_iv() {
            damaged.lose_ivs();
        }
        disk.sync_all().unwrap();
        damaged
    }

    fn lose_ivs(&self) {
        let disk = &self.disk;
        let iv = |way: &[&[u8]]| self.dir(way);
        disk.unlink(&iv(&[b"empty"]), b"gocryptfs.diriv").unwrap();
        let sub = self.dir(&[b"dir", b"sub"]);
        disk.write_small(&sub, b"gocryptfs.diriv", b"too short", true).unwrap();
        disk.unlink(&iv(&[b"other"]), b"gocryptfs.diriv").unwrap();
        // gocryptfs was about to remove it, and was killed.
        let (root, lost) = (disk.root().unwrap(), self.dir(&[b"lost."]));
        disk.rename(&lost, b"gocryptfs.diriv", &root, b"gocryptfs.diriv.rmdir.123", RenameMode::Replace).unwrap();
        disk.write_small(&lost, b"gocryptfs.diriv", &[], false).unwrap();
        disk.write_small(&root, b"gocryptfs.diriv.rmdir.4", &[4; 16], false).unwrap();
    }

    fn dir(&self, way: &[&[u8]]) -> SimDir {
        let names = self.fixture.ciphers().names;
        way.iter().fold(self.disk.root().unwrap(), |dir, name| {
            let iv = self.iv(&dir).unwrap();
            self.disk.open_dir(&dir, names.encrypt(&iv, name).unwrap().disk()).unwrap()
        })
    }

    fn iv(&self, dir: &SimDir) -> Sys<DirIv> {
        match self.fixture.uses_dir_iv() {
            true => Ok(DirIv::parse(&self.disk.read_small(dir, b"gocryptfs.diriv", 16)?).unwrap()),
            false => Ok(DirIv::ZERO),
        }
    }

    /// The directory on disk and the name on disk of something.
    fn object(&self, way: &[&[u8]]) -> (SimDir, Vec<u8>) {
        let (name, parents) = way.split_last().unwrap();
        let dir = self.dir(parents);
        let stored = self.fixture.ciphers().names.encrypt(&self.iv(&dir).unwrap(), name).unwrap();
        (dir, stored.into_disk())
    }

    fn check(&self) -> Report {
        let options = CheckOptions { threads: 1, ..CheckOptions::default() };
        check(&self.disk, &self.fixture.ciphers(), options, &Silent).unwrap()
    }

    fn plan(&self) -> Plan {
        Plan::of(&self.check(), &self.disk, &self.fixture.ciphers()).unwrap()
    }

    fn carry_out(&self, plan: &Plan) -> Result<Repairs, strongroom_vault::VaultError> {
        let aside = Aside::within(&self.disk)?;
        repair(&self.disk, &self.fixture.ciphers(), plan, &aside, &OsRandom, &mut |_| {})
    }

    fn repaired(&self) -> Repairs {
        let done = self.carry_out(&self.plan()).unwrap();
        for step in &done.repaired {
            assert!(step.failure.is_none(), "{step:?}");
        }
        done
    }

    /// The content of every file on the disk that has one, by path.
    fn files(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let files = self.disk.paths().into_iter().filter(|(_, kind)| *kind == Kind::File);
        files.map(|(path, _)| (path.clone(), self.content(&path))).filter(|(_, content)| !content.is_empty()).collect()
    }

    fn content(&self, path: &[u8]) -> Vec<u8> {
        let mut parts: Vec<_> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
        let name = parts.pop().unwrap();
        let dir = parts.iter().fold(self.disk.root().unwrap(), |dir, part| self.disk.open_dir(&dir, part).unwrap());
        self.disk.read_small(&dir, name, 100_000).unwrap()
    }

    fn on(&self, disk: SimBacking) -> Self {
        Damaged { fixture: self.fixture, disk }
    }
}

/// Nothing that was there is gone, wherever it is now.
#[track_caller]
fn assert_nothing_lost(before: &BTreeMap<Vec<u8>, Vec<u8>>, after: &BTreeMap<Vec<u8>, Vec<u8>>, what: &str) {
    let mut there: Vec<_> = after.values().collect();
    for (path, content) in before {
        let at = there.iter().position(|found| *found == content);
        let at = at.unwrap_or_else(|| panic!("{what}: the content of {} is gone", String::from_utf8_lossy(path)));
        there.swap_remove(at);
    }
}

fn kinds(problems: &[Problem]) -> Vec<ProblemKind> {
    let mut kinds: Vec<_> = problems.iter().map(|problem| problem.kind).collect();
    kinds.sort();
    kinds
}

/// What stays when all is repaired that can be: the bad block, the other program's file, the copy of the configuration, and
/// with IVs the directory whose IV is nowhere.
fn what_stays(fixture: &Fixture) -> Vec<ProblemKind> {
    let stays = [ProblemKind::DirIv, ProblemKind::Name, ProblemKind::Block, ProblemKind::Leftover];
    stays.into_iter().filter(|kind| fixture.uses_dir_iv() || *kind != ProblemKind::DirIv).collect()
}

#[test]
fn what_can_be_repaired_is_and_the_rest_stays_as_it_is() {
    for mode in [0, 1, 3, 6] {
        let damaged = Damaged::thoroughly(mode, Journal::Posix);
        let before = damaged.files();
        let done = damaged.repaired();
        assert_eq!(kinds(&damaged.check().problems), what_stays(damaged.fixture), "mode {mode}");
        assert_nothing_lost(&before, &damaged.files(), "repaired");
        assert_eq!(done.number, Some(1));
        // Done once more, there is nothing left to do.
        assert_eq!(damaged.plan().repairs, []);
    }
}

#[test]
fn what_is_left_is_told_with_what_may_help() {
    let damaged = Damaged::thoroughly(0, Journal::Posix);
    let mut advice: Vec<_> = damaged.plan().left.iter().map(|left| (left.problem.kind, left.advice)).collect();
    advice.sort();
    let wanted = [
        (ProblemKind::DirIv, Advice::FindDirIv),
        (ProblemKind::Name, Advice::NotOurs),
        (ProblemKind::Block, Advice::Restore),
    ];
    assert_eq!(advice, wanted);
}

#[test]
fn an_iv_that_gocryptfs_moved_away_comes_back_and_the_names_with_it() {
    let damaged = Damaged::thoroughly(0, Journal::Posix);
    let back: Vec<_> =
        damaged.plan().repairs.into_iter().filter(|repair| matches!(repair.remedy, Remedy::DirIvBack { .. })).collect();
    assert_eq!((back.len(), back[0].path.as_slice()), (1, b"/lost.".as_slice()));
    damaged.repaired();
    let mounted = damaged.fixture.open(damaged.disk.clone(), VaultOptions::default());
    let lost = mounted.vault.lookup(NodeId::ROOT, b"lost.").unwrap().node;
    let file = mounted.vault.lookup(lost, &LONG).unwrap().node;
    let mut content = [0; 100];
    let len = mounted.vault.read(file, 0, &mut content).unwrap();
    assert_eq!(&content[..len], b"lost content, long");
}

#[test]
fn a_directory_that_was_empty_can_be_used_again() {
    let damaged = Damaged::thoroughly(0, Journal::Posix);
    damaged.repaired();
    let mounted = damaged.fixture.open(damaged.disk.clone(), VaultOptions::default());
    for name in [b"empty".as_slice(), b"dir"] {
        let dir = mounted.vault.lookup(NodeId::ROOT, name).unwrap().node;
        mounted.vault.create(dir, b"new", &NEW).unwrap();
    }
    assert_eq!(mounted.take_damage(), Vec::<String>::new());
}

#[test]
fn what_was_set_aside_has_its_path_there_and_is_undone_by_moving_it_back() {
    let damaged = Damaged::thoroughly(0, Journal::Posix);
    let before = damaged.files();
    let aside: Vec<_> = damaged.plan().repairs.into_iter().filter(|r| r.remedy == Remedy::SetAside).collect();
    assert_eq!(aside.len(), 4); // an orphan, a name that is none, two leftovers
    damaged.repaired();
    let after = damaged.files();
    for repair in aside {
        let there = [b"/gocryptfs.longname.set-aside.name/1/".as_slice(), &repair.disk_path].concat();
        assert_eq!(after.get(&there), before.get(&[b"/", repair.disk_path.as_slice()].concat()));
    }
}

#[test]
fn no_plaintext_name_is_written_down_beside_what_was_set_aside() {
    let damaged = Damaged::thoroughly(0, Journal::Posix);
    damaged.repaired();
    let list = String::from_utf8(damaged.content(b"gocryptfs.longname.set-aside.name/1.txt")).unwrap();
    assert!(list.contains("/!!!!: set aside\n"), "{list}");
    let lines = list.split_once("\n\n").unwrap().1;
    for name in ["inner", "lost.", "stays", "nnnn"] {
        assert!(!lines.contains(name), "{name}: {list}");
    }
}

#[test]
fn a_stub_is_copied_and_emptied_and_keeps_its_time() {
    let damaged = Damaged::thoroughly(0, Journal::Posix);
    let (dir, name) = damaged.object(&[b"gone", b"stays"]);
    let stat = |damaged: &Damaged| damaged.disk.stat(Target::Entry(&dir, &name)).unwrap();
    let before = stat(&damaged);
    damaged.repaired();
    let after = stat(&damaged);
    assert_eq!((before.size, after.size, after.ino, after.mtime), (18, 0, before.ino, before.mtime));
}

#[test]
fn what_is_set_aside_again_under_the_same_path_gets_a_number_of_its_own() {
    let damaged = Damaged::sound(0, Journal::Posix);
    let root = damaged.disk.root().unwrap();
    for (number, content) in [b"first", b"other"].into_iter().enumerate() {
        damaged.disk.write_small(&root, b"gocryptfs.diriv.rmdir.1", content, false).unwrap();
        assert_eq!(damaged.repaired().number, Some(number as u32 + 1));
    }
    let files = damaged.files();
    assert_eq!(files[b"/gocryptfs.longname.set-aside.name/1/gocryptfs.diriv.rmdir.1".as_slice()], b"first");
    assert_eq!(files[b"/gocryptfs.longname.set-aside.name/2/gocryptfs.diriv.rmdir.1".as_slice()], b"other");
}

#[test]
fn names_are_not_set_aside_where_the_iv_may_be_to_blame() {
    let damaged = Damaged::sound(0, Journal::Posix);
    let other = damaged.dir(&[b"other"]);
    damaged.disk.write_small(&other, b"gocryptfs.diriv", &[9; 16], true).unwrap();
    let found = damaged.check();
    assert!(found.problems.iter().all(|problem| problem.kind == ProblemKind::ForeignIv), "{:?}", found.problems);
    let plan = damaged.plan();
    assert_eq!(plan.repairs, []);
    assert!(plan.left.iter().all(|left| left.advice == Advice::FindDirIv) && plan.left.len() == 2);
}

#[test]
fn a_sound_vault_gets_no_directory_for_what_is_set_aside() {
    let damaged = Damaged::sound(0, Journal::Posix);
    let before = damaged.disk.paths();
    assert_eq!(damaged.repaired().number, None);
    assert_eq!(damaged.disk.paths(), before);
}

#[test]
fn a_repair_that_is_killed_at_any_call_has_lost_nothing_and_a_second_one_finishes() {
    for mode in [0, 1] {
        let damaged = Damaged::thoroughly(mode, Journal::Ext4Like);
        let before = damaged.files();
        let plan = damaged.plan();
        for calls in 0.. {
            let what = format!("mode {mode}, killed after {calls} calls");
            let victim = damaged.on(damaged.disk.fork());
            victim.disk.kill_after(calls);
            let _ = victim.carry_out(&plan);
            if !victim.disk.is_killed() {
                assert!(calls > 30, "the kills went through the whole repair");
                break;
            }
            let left = damaged.on(victim.disk.fork());
            assert_nothing_lost(&before, &left.files(), &what);
            left.repaired();
            assert_nothing_lost(&before, &left.files(), &what);
            assert_eq!(kinds(&left.check().problems), what_stays(left.fixture), "{what}");
        }
    }
}

#[test]
fn a_power_cut_at_any_call_of_a_repair_has_lost_nothing_and_a_second_one_finishes() {
    for journal in [Journal::Posix, Journal::Ext4Like, Journal::TreeLog] {
        let damaged = Damaged::thoroughly(0, journal);
        let before = damaged.files();
        let plan = damaged.plan();
        let mut states = 0;
        for calls in 0.. {
            let victim = damaged.on(damaged.disk.fork());
            victim.disk.kill_after(calls);
            let _ = victim.carry_out(&plan);
            for state in victim.disk.crash_states(8) {
                let what = format!("{journal:?}, cut after {calls} calls, {}", state.what);
                let left = damaged.on(state.disk);
                assert_nothing_lost(&before, &left.files(), &what);
                left.repaired();
                assert_nothing_lost(&before, &left.files(), &what);
                assert_eq!(kinds(&left.check().problems), what_stays(left.fixture), "{what}");
                states += 1;
            }
            if !victim.disk.is_killed() {
                break;
            }
        }
        assert!(states > 100, "{states} states");
    }
}

#[test]
fn a_repair_that_is_done_survives_a_power_cut_also_if_it_finished_one_that_was_killed() {
    const NEVER: u64 = 1 << 40;
    let damaged = Damaged::thoroughly(0, Journal::Posix);
    let before = damaged.files();
    let plan = damaged.plan();
    for calls in 0.. {
        let victim = damaged.on(damaged.disk.fork());
        victim.disk.kill_after(calls);
        let _ = victim.carry_out(&plan);
        let was_killed = victim.disk.is_killed();
        // The machine goes on, and has written nothing to the disk that nobody synced.
        victim.disk.kill_after(NEVER);
        // Where nothing was left to do, nothing more is promised.
        let states = if victim.repaired().number.is_some() { victim.disk.crash_states(8) } else { Vec::new() };
        for state in states {
            let what = format!("killed after {calls} calls, repaired, cut: {}", state.what);
            let left = damaged.on(state.disk);
            assert_nothing_lost(&before, &left.files(), &what);
            assert_eq!(kinds(&left.check().problems), what_stays(left.fixture), "{what}");
        }
        if !was_killed {
            break;
        }
    }
}

#[test]
fn a_name_that_is_none_is_set_aside_and_not_the_other_of_its_file() {
    for (good, bad) in [(b"file", b"dir"), (b"zzzz", b"aaa")] {
        let damaged = Damaged::sound(0, Journal::Posix);
        let (root, file) = damaged.object(&[b"file"]);
        // Another name in the directory that is walked later, or earlier; and the first one becomes junk, or the second.
        let (dir, link) = damaged.object(&[b"dir", good.as_slice()]);
        damaged.disk.link(Target::Entry(&root, &file), &dir, &link).unwrap();
        damaged.disk.rename(&root, &file, &root, bad, RenameMode::Replace).unwrap();
        let plan = damaged.plan();
        let paths: Vec<_> = plan.repairs.iter().map(|repair| repair.disk_path.clone()).collect();
        assert_eq!(paths, [bad.to_vec()]);
        damaged.repaired();
        assert!(damaged.disk.stat(Target::Entry(&dir, &link)).is_ok_and(|stat| stat.links == 2), "aside and here");
        assert_eq!(damaged.check().problems, []);
    }
}

#[test]
fn what_a_user_called_like_our_leftovers_is_the_users() {
    let plain = (0..).map(Fixture::mode).find(|fixture| fixture.ciphers().names.is_plaintext()).unwrap();
    let disk = SimBacking::new(Journal::Posix);
    plain.format(&disk);
    let vault = plain.open(disk.clone(), VaultOptions::default()).vault;
    for name in [b"gocryptfs.conf.tmp".as_slice(), b"gocryptfs.conf.bak", b"gocryptfs.diriv.rmdir.5"] {
        let file = vault.create(NodeId::ROOT, name, &NEW).unwrap().node;
        vault.write(file, 0, b"precious").unwrap();
    }
    vault.sync_all().unwrap();
    drop(vault);
    let damaged = Damaged { fixture: plain, disk };
    assert_eq!((damaged.check().problems, damaged.check().files), (Vec::new(), 3));
}

#[test]
fn a_stub_that_has_another_name_is_left_for_that_may_be_outside() {
    let damaged = Damaged::sound(0, Journal::Posix);
    let (gone, stays) = damaged.object(&[b"gone", b"stays"]);
    damaged.disk.set_len(&damaged.disk.open(&gone, &stays, OpenMode::ReadWrite).unwrap(), 18).unwrap();
    let (root, link) = damaged.object(&[b"link"]);
    damaged.disk.link(Target::Entry(&gone, &stays), &root, &link).unwrap();
    assert_eq!(kinds(&damaged.check().problems), [ProblemKind::Stub]);
    assert_eq!(damaged.plan().repairs, []);
}
