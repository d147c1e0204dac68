//! The world ends between any two system calls of a swap, and the tree is the old one or the new one.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs, io,
    rc::Rc,
};

use super::*;

/// A tree whose old version is `a` = old, `b` = old, `gone`; whose new one is `a`, `b` = new, `c`.
fn moves() -> Vec<Move> {
    let wanted = |staged: &str, target: &str, how| Move { staged: staged.into(), target: target.into(), how };
    vec![
        wanted("stage/1", "a", How::Exchange),
        wanted("stage/2", "dir/b", How::Exchange),
        wanted("stage/3", "dir/c", How::PlaceNew),
        wanted("stage/4", "gone", How::SetAside),
    ]
}

const OLD: [(&str, u64); 6] =
    [("a", 10), ("dir/b", 11), ("gone", 12), ("stage/1", 20), ("stage/2", 21), ("stage/3", 22)];
const NEW: [(&str, u64); 6] =
    [("a", 20), ("dir/b", 21), ("dir/c", 22), ("stage/1", 10), ("stage/2", 11), ("stage/4", 12)];

/// A disk in memory: names that reached it, changes that did not yet, and a journal.
#[derive(Default)]
struct World {
    on_disk: BTreeMap<PathBuf, u64>,
    /// Renames since the last sync, oldest first: what became of the two names.
    unsynced: Vec<[(PathBuf, Option<u64>); 2]>,
    journal: Option<Vec<Vec<u8>>>,
    /// Calls until the end; none changes anything after it.
    left: usize,
    calls: usize,
    /// The file system has no exchange.
    is_plain: bool,
}

type Shared = Rc<RefCell<World>>;

impl World {
    fn new() -> Shared {
        Self::of(false)
    }

    fn of(is_plain: bool) -> Shared {
        let on_disk = OLD.iter().map(|(path, ino)| (PathBuf::from(path), *ino)).collect();
        Rc::new(RefCell::new(World { on_disk, left: usize::MAX, is_plain, ..World::default() }))
    }

    fn call(&mut self) -> Result<(), SwapError> {
        self.calls += 1;
        let ended = || PathError::on("calling", Path::new("the world"))(io::Error::other("it has ended"));
        self.left = self.left.checked_sub(1).ok_or_else(ended)?;
        Ok(())
    }

    /// What programs see.
    fn seen(&self) -> BTreeMap<PathBuf, u64> {
        let mut seen = self.on_disk.clone();
        self.unsynced.iter().for_each(|change| apply(&mut seen, change));
        seen
    }

    fn change(&mut self, change: [(PathBuf, Option<u64>); 2]) {
        self.unsynced.push(change);
    }

    /// The power goes: of the renames that were not synced, only those in `kept` (bits) had reached the disk.
    fn cut(&mut self, kept: usize) {
        for (index, change) in std::mem::take(&mut self.unsynced).iter().enumerate() {
            if kept >> index & 1 == 1 {
                apply(&mut self.on_disk, change);
            }
        }
    }
}

fn apply(names: &mut BTreeMap<PathBuf, u64>, change: &[(PathBuf, Option<u64>); 2]) {
    for (path, ino) in change {
        match ino {
            Some(ino) => names.insert(path.clone(), *ino),
            None => names.remove(path),
        };
    }
}

struct SimNames(Shared);

impl Names for SimNames {
    fn root(&self) -> Result<u64, SwapError> {
        Ok(2)
    }

    fn look(&self, path: &Path) -> Result<Option<u64>, SwapError> {
        let mut world = self.0.borrow_mut();
        world.call()?;
        Ok(world.seen().get(path).copied())
    }

    fn exchange(&mut self, first: &Path, second: &Path) -> Result<(), SwapError> {
        let mut world = self.0.borrow_mut();
        world.call()?;
        if world.is_plain {
            return Err(ExchangeError::Unsupported { path: first.into() }.into());
        }
        let seen = world.seen();
        world.change([(first.into(), Some(seen[second])), (second.into(), Some(seen[first]))]);
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Result<(), SwapError> {
        let mut world = self.0.borrow_mut();
        world.call()?;
        let seen = world.seen();
        assert!(!seen.contains_key(to), "nothing is renamed over");
        world.change([(to.into(), Some(seen[from])), (from.into(), None)]);
        Ok(())
    }

    fn sync_parent(&mut self, path: &Path) -> Result<(), SwapError> {
        let mut world = self.0.borrow_mut();
        world.call()?;
        let touches =
            |change: &[(PathBuf, Option<u64>); 2]| change.iter().any(|(name, _)| name.parent() == path.parent());
        let (synced, unsynced) = std::mem::take(&mut world.unsynced).into_iter().partition(touches);
        world.unsynced = unsynced;
        let synced: Vec<_> = synced;
        synced.iter().for_each(|change| apply(&mut world.on_disk, change));
        Ok(())
    }
}

struct SimLog(Shared);

impl SimLog {
    fn call(&self) -> Result<(), JournalError> {
        self.0.borrow_mut().call().map_err(|error| match error {
            SwapError::Path(error) => error.into(),
            other => panic!("{other}"),
        })
    }
}

impl Log for SimLog {
    fn append(&mut self, record: &[u8]) -> Result<(), JournalError> {
        self.call()?;
        self.0.borrow_mut().journal.get_or_insert_default().push(record.to_vec());
        Ok(())
    }

    fn remove(&mut self) -> Result<(), JournalError> {
        self.call()?;
        self.0.borrow_mut().journal = None;
        Ok(())
    }
}

/// Plans, performs and commits in a world that may end on the way.
fn swap(world: &Shared) -> Result<(), SwapError> {
    let names = SimNames(world.clone());
    let plan = bind(&names, moves())?;
    let mut moving = Moving::begin(names, SimLog(world.clone()), plan)?;
    moving.perform()?;
    moving.commit()
}

/// As [`Swap::recover`], which tests below run on a real disk.
fn recover(world: &Shared) -> Result<(), SwapError> {
    let Some(records) = world.borrow().journal.clone() else { return Ok(()) };
    let Some(Record::Planned(plan)) = Record::decode(&records[0]) else { panic!("the first record is the plan") };
    let stage = if records.len() == 1 { Stage::Planned } else { Stage::Committed };
    let mut moving = Moving { names: SimNames(world.clone()), log: SimLog(world.clone()), plan, stage };
    if stage == Stage::Planned {
        return moving.roll_back();
    }
    moving.roll_forward()?;
    moving.settle()
}

/// What programs see is wholly old or wholly new, and new if the swap was committed.
fn claim_whole(world: &Shared, was_committed: bool, when: &str) {
    let whole = |state: [(&str, u64); 6]| state.iter().map(|(path, ino)| (PathBuf::from(path), *ino)).collect();
    let wanted: BTreeMap<PathBuf, u64> = if was_committed { whole(NEW) } else { whole(OLD) };
    let mut world = world.borrow_mut();
    assert_eq!(world.seen(), wanted, "{when}");
    assert_eq!(world.journal, None, "{when}");
    world.cut(0);
    assert_eq!(world.on_disk, wanted, "{when}, and after another power cut");
}

fn calls_in_all(is_plain: bool) -> usize {
    let world = World::of(is_plain);
    swap(&world).unwrap();
    world.borrow().calls
}

fn ended_after(calls: usize, is_plain: bool) -> Shared {
    let world = World::of(is_plain);
    world.borrow_mut().left = calls;
    swap(&world).unwrap_err();
    world.borrow_mut().left = usize::MAX;
    world
}

/// After each call, with an exchange and without.
fn ends() -> impl Iterator<Item = (usize, bool)> {
    [false, true].into_iter().flat_map(|is_plain| (0..calls_in_all(is_plain)).map(move |calls| (calls, is_plain)))
}

fn is_committed(world: &Shared) -> bool {
    world.borrow().journal.as_ref().is_some_and(|records| records.len() == 2)
}

#[test]
fn a_process_killed_after_any_call_leaves_the_old_tree() {
    for (calls, is_plain) in ends() {
        let world = ended_after(calls, is_plain);
        recover(&world).unwrap();
        claim_whole(&world, false, &format!("killed after {calls} calls, plain: {is_plain}"));
    }
}

#[test]
fn a_power_cut_after_any_call_leaves_the_old_tree_whichever_renames_reached_the_disk() {
    for (calls, is_plain) in ends() {
        for kept in 0..1 << ended_after(calls, is_plain).borrow().unsynced.len() {
            let world = ended_after(calls, is_plain);
            world.borrow_mut().cut(kept);
            recover(&world).unwrap();
            claim_whole(&world, false, &format!("cut after {calls} calls, kept {kept:b}, plain: {is_plain}"));
        }
    }
}

#[test]
fn a_recovery_that_is_cut_off_is_recovered_from() {
    let mut seen = BTreeSet::new();
    for (calls, is_plain) in ends() {
        for again in 0.. {
            let world = ended_after(calls, is_plain);
            world.borrow_mut().left = again;
            if recover(&world).is_ok() {
                break;
            }
            for kept in 0..1 << world.borrow().unsynced.len().min(6) {
                let world = ended_after(calls, is_plain);
                world.borrow_mut().left = again;
                let _ = recover(&world);
                world.borrow_mut().left = usize::MAX;
                world.borrow_mut().cut(kept);
                recover(&world).unwrap();
                claim_whole(&world, false, &format!("killed after {calls} and {again} calls, kept {kept:b}"));
                seen.insert((calls, again, kept));
            }
        }
    }
    assert!(seen.len() > 100, "only {} ends were tried", seen.len());
}

#[test]
fn without_an_exchange_the_new_tree_comes_about_all_the_same() {
    let world = World::of(true);
    swap(&world).unwrap();
    world.borrow_mut().journal = None;
    claim_whole(&world, true, "swapped by renames");
}

#[test]
fn once_committed_every_end_leaves_the_new_tree() {
    for again in 0.. {
        let world = World::new();
        swap(&world).unwrap();
        assert!(is_committed(&world));
        world.borrow_mut().cut(0);
        world.borrow_mut().left = again;
        let is_done = recover(&world).is_ok();
        world.borrow_mut().left = usize::MAX;
        recover(&world).unwrap();
        claim_whole(&world, true, &format!("killed after {again} calls of recovery"));
        if is_done {
            break;
        }
    }
}

#[test]
fn what_was_settled_survives_a_power_cut_without_any_recovery() {
    let world = World::new();
    let names = SimNames(world.clone());
    let plan = bind(&names, moves()).unwrap();
    let mut moving = Moving::begin(names, SimLog(world.clone()), plan).unwrap();
    moving.perform().unwrap();
    moving.commit().unwrap();
    moving.settle().unwrap();
    world.borrow_mut().cut(0);
    claim_whole(&world, true, "settled");
}

#[test]
fn a_swap_goes_through_its_stages_in_order() {
    let world = World::new();
    let names = SimNames(world.clone());
    let plan = bind(&names, moves()).unwrap();
    let mut moving = Moving::begin(names, SimLog(world.clone()), plan).unwrap();
    let is_out_of_order = |result| matches!(result, Err(SwapError::OutOfOrder { .. }));
    assert!(is_out_of_order(moving.commit()) && is_out_of_order(moving.settle()));
    moving.perform().unwrap();
    assert!(is_out_of_order(moving.perform()) && is_out_of_order(moving.settle()));
    moving.commit().unwrap();
    assert!(is_out_of_order(moving.roll_back()));
    claim_whole_but_for_journal(&world);
}

fn claim_whole_but_for_journal(world: &Shared) {
    world.borrow_mut().journal = None;
    claim_whole(world, true, "committed");
}

#[test]
fn a_move_that_fails_takes_back_those_before_it() {
    struct Failing(SimNames);
    impl Names for Failing {
        fn root(&self) -> Result<u64, SwapError> {
            self.0.root()
        }
        fn look(&self, path: &Path) -> Result<Option<u64>, SwapError> {
            self.0.look(path)
        }
        fn exchange(&mut self, first: &Path, second: &Path) -> Result<(), SwapError> {
            self.0.exchange(first, second)
        }
        fn rename(&mut self, from: &Path, to: &Path) -> Result<(), SwapError> {
            match to.ends_with("stage/4") {
                true => Err(PathError::on("moving", from)(io::Error::from(io::ErrorKind::PermissionDenied)).into()),
                false => self.0.rename(from, to),
            }
        }
        fn sync_parent(&mut self, path: &Path) -> Result<(), SwapError> {
            self.0.sync_parent(path)
        }
    }
    let world = World::new();
    let names = Failing(SimNames(world.clone()));
    let plan = bind(&names, moves()).unwrap();
    let error = Moving::begin(names, SimLog(world.clone()), plan).unwrap().perform().unwrap_err();
    assert!(matches!(error, SwapError::Path(error) if error.attempted == "moving"));
    claim_whole(&world, false, "after the failure");
}

#[test]
fn what_somebody_changed_is_left_alone_and_the_rest_taken_back() {
    let world = ended_after(calls_in_all(false) - 1, false);
    world.borrow_mut().cut(0);
    world.borrow_mut().on_disk.insert("dir/b".into(), 99);
    let error = recover(&world).unwrap_err();
    assert!(matches!(error, SwapError::Changed { path } if path == Path::new("dir/b")));
    let seen = world.borrow().seen();
    assert_eq!((seen[Path::new("a")], seen[Path::new("dir/b")], seen[Path::new("gone")]), (10, 99, 12));
    assert!(world.borrow().journal.is_some(), "a person has to look at it");
}

#[test]
fn paths_that_climb_or_lie_within_each_other_are_refused() {
    let wanted = |staged: &str, target: &str| Move { staged: staged.into(), target: target.into(), how: How::Exchange };
    let refused = |moves: Vec<Move>| bind(&SimNames(World::new()), moves).unwrap_err();
    for bad in ["../x", "/x", "", "a/../../x"] {
        assert!(matches!(refused(vec![wanted("stage/1", bad)]), SwapError::NotBelow { .. }), "{bad}");
    }
    for (first, second) in [("a", "a/b"), ("a", "a"), ("dir", "dir/b")] {
        let nested = refused(vec![wanted("stage/1", first), wanted("stage/2", second)]);
        assert!(matches!(nested, SwapError::Nested { .. }), "{first} {second}");
    }
}

/// The old tree on a real disk; each file says who it is.
fn real() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, number) in OLD {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, number.to_string()).unwrap();
    }
    dir
}

fn is_now(dir: &Path, state: [(&str, u64); 6]) {
    for (path, number) in state {
        assert_eq!(fs::read_to_string(dir.join(path)).unwrap(), number.to_string(), "{path}");
    }
    let count =
        |dir: &Path| fs::read_dir(dir).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file()).count();
    assert_eq!(count(dir) + count(&dir.join("dir")) + count(&dir.join("stage")), state.len());
}

#[test]
fn on_a_real_disk_what_was_committed_is_recovered_as_new_and_settled() {
    let (dir, beside) = (real(), tempfile::tempdir().unwrap());
    let journal = beside.path().join("journal");
    let mut swap = Swap::plan(dir.path(), &journal, moves()).unwrap();
    is_now(dir.path(), OLD);
    swap.perform().unwrap();
    swap.commit().unwrap();
    drop(swap);
    let Recovered::Committed(committed) = Swap::recover(dir.path(), &journal).unwrap() else { panic!("committed") };
    is_now(dir.path(), NEW);
    assert_eq!(committed.moves().count(), 4);
    committed.settle().unwrap();
    assert!(matches!(Swap::recover(dir.path(), &journal).unwrap(), Recovered::Nothing));
}

#[test]
fn on_a_real_disk_what_was_not_committed_is_recovered_as_old() {
    let (dir, beside) = (real(), tempfile::tempdir().unwrap());
    let journal = beside.path().join("journal");
    Swap::plan(dir.path(), &journal, moves()).unwrap().perform().unwrap();
    is_now(dir.path(), NEW);
    assert!(matches!(Swap::recover(dir.path(), &journal).unwrap(), Recovered::RolledBack));
    is_now(dir.path(), OLD);
    assert!(!journal.exists());
}

/// The real names and the real journal, until the process ends.
struct Ending<T>(T, Shared);

impl Names for Ending<RealNames> {
    fn root(&self) -> Result<u64, SwapError> {
        self.0.root()
    }

    fn look(&self, path: &Path) -> Result<Option<u64>, SwapError> {
        self.1.borrow_mut().call()?;
        self.0.look(path)
    }

    fn exchange(&mut self, first: &Path, second: &Path) -> Result<(), SwapError> {
        self.1.borrow_mut().call()?;
        self.0.exchange(first, second)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Result<(), SwapError> {
        self.1.borrow_mut().call()?;
        self.0.rename(from, to)
    }

    fn sync_parent(&mut self, path: &Path) -> Result<(), SwapError> {
        self.1.borrow_mut().call()?;
        self.0.sync_parent(path)
    }
}

impl Log for Ending<Journal> {
    fn append(&mut self, record: &[u8]) -> Result<(), JournalError> {
        SimLog(self.1.clone()).call()?;
        Log::append(&mut self.0, record)
    }

    fn remove(&mut self) -> Result<(), JournalError> {
        SimLog(self.1.clone()).call()?;
        Log::remove(&mut self.0)
    }
}

#[test]
fn on_a_real_disk_a_process_that_ends_after_any_call_leaves_the_old_tree_or_the_new() {
    for calls in 0.. {
        let (dir, beside) = (real(), tempfile::tempdir().unwrap());
        let journal = beside.path().join("journal");
        let world = World::new();
        world.borrow_mut().left = calls;
        let swap = || -> Result<(), SwapError> {
            let names = Ending(RealNames::open(dir.path())?, world.clone());
            let plan = bind(&names, moves())?;
            let log = Ending(Journal::create(&journal)?, world.clone());
            let mut moving = Moving::begin(names, log, plan)?;
            moving.perform()?;
            moving.commit()
        };
        let is_done = swap().is_ok();
        match Swap::recover(dir.path(), &journal).unwrap() {
            Recovered::Committed(committed) => {
                assert!(is_done, "committed after {calls} calls");
                is_now(dir.path(), NEW);
                committed.settle().unwrap();
                break;
            }
            _ => is_now(dir.path(), OLD),
        }
        assert!(!is_done && !journal.exists(), "after {calls} calls");
    }
}

#[test]
fn the_old_may_be_gone_when_a_committed_swap_is_recovered() {
    let (dir, beside) = (real(), tempfile::tempdir().unwrap());
    let journal = beside.path().join("journal");
    let mut swap = Swap::plan(dir.path(), &journal, moves()).unwrap();
    swap.perform().unwrap();
    swap.commit().unwrap();
    drop(swap);
    fs::remove_dir_all(dir.path().join("stage")).unwrap();
    let Recovered::Committed(committed) = Swap::recover(dir.path(), &journal).unwrap() else { panic!("committed") };
    committed.settle().unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "20");
}

#[test]
fn a_journal_about_another_directory_is_refused() {
    let (dir, other, beside) = (real(), real(), tempfile::tempdir().unwrap());
    let journal = beside.path().join("journal");
    Swap::plan(dir.path(), &journal, moves()).unwrap().perform().unwrap();
    assert!(matches!(Swap::recover(other.path(), &journal), Err(SwapError::AnotherRoot { .. })));
    is_now(other.path(), OLD);
}

#[test]
fn a_link_on_the_way_is_not_followed() {
    let (dir, outside, beside) = (real(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("b"), b"theirs").unwrap();
    fs::rename(dir.path().join("dir"), dir.path().join("dir-before")).unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("dir")).unwrap();
    let refused = Swap::plan(dir.path(), &beside.path().join("journal"), moves()).err().unwrap();
    assert!(matches!(refused, SwapError::Path(_)), "{refused}");
    assert_eq!(fs::read(outside.path().join("b")).unwrap(), b"theirs");
}

#[test]
fn what_is_missing_or_in_the_way_is_found_before_anything_moves() {
    let (dir, beside) = (real(), tempfile::tempdir().unwrap());
    let journal = beside.path().join("journal");
    fs::write(dir.path().join("dir/c"), b"in the way").unwrap();
    let refused = Swap::plan(dir.path(), &journal, moves()).err().unwrap();
    assert!(matches!(refused, SwapError::NotReady { path } if path == Path::new("dir/c")));
    assert!(!journal.exists());
}
