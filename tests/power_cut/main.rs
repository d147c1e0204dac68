//! The power is cut under a mounted vault. What was synced is there afterwards; what was not does no harm.
//!
//! The cut is the file system's own: told to shut down without flushing its journal, it forgets all that no sync had
//! brought to the disk, as ext4 and XFS do on a real machine.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use strongroom_tests::{FileSystem, Format, Image, Need, Program, Random, Scratch, Server, has};

const NEEDS: &[Need] = &[Need::Fuse, Need::Root, Need::Images];

/// The same claims on each file system.
macro_rules! on_each_file_system {
    ($($claim:ident,)*) => {
        mod ext4 {
            use super::*;
            $(#[test] fn $claim() { super::$claim(FileSystem::Ext4); })*
        }
        mod xfs {
            use super::*;
            $(#[test] fn $claim() { super::$claim(FileSystem::Xfs); })*
        }
    };
}

on_each_file_system! {
    a_synced_file_in_a_synced_new_folder_survives,
    a_synced_long_name_survives,
    a_synced_tree_of_new_folders_survives,
    a_file_replaced_by_rename_is_whole,
    an_unsynced_empty_folder_heals,
    a_synced_overwrite_survives_and_the_rest_is_untouched,
    synced_symlinks_and_hard_links_survive,
    a_sync_of_the_whole_machine_saves_everything_that_was_closed,
    many_cuts_in_a_row_do_no_harm,
}

fn a_synced_file_in_a_synced_new_folder_survives(file_system: FileSystem) {
    survives(
        file_system,
        |root| {
            fs::create_dir(root.join("folder"))?;
            write_and_sync(&root.join("folder/file"), &content(10_000))?;
            sync(&root.join("folder"))?;
            sync(root)
        },
        |root| {
            assert!(fs::read(root.join("folder/file")).unwrap() == content(10_000));
        },
    );
}

fn a_synced_long_name_survives(file_system: FileSystem) {
    let (folder, file) = ("f".repeat(230), "n".repeat(255));
    survives(
        file_system,
        |root| {
            fs::create_dir(root.join(&folder))?;
            write_and_sync(&root.join(&folder).join(&file), &content(5000))?;
            sync(&root.join(&folder))?;
            sync(root)
        },
        |root| {
            assert_eq!(names(root), [folder.as_str()]);
            assert_eq!(names(&root.join(&folder)), [file.as_str()]);
            assert!(fs::read(root.join(&folder).join(&file)).unwrap() == content(5000));
        },
    );
}

fn a_synced_tree_of_new_folders_survives(file_system: FileSystem) {
    survives(
        file_system,
        |root| {
            let mut folder = root.to_owned();
            for depth in 0..6 {
                let parent = folder.clone();
                folder.push(format!("{depth}{}", "d".repeat(depth * 40)));
                fs::create_dir(&folder)?;
                write_and_sync(&folder.join("file"), &content(depth * 3000))?;
                sync(&folder)?;
                sync(&parent)?;
            }
            Ok(())
        },
        |root| {
            let mut folder = root.to_owned();
            for depth in 0..6 {
                folder.push(format!("{depth}{}", "d".repeat(depth * 40)));
                assert!(fs::read(folder.join("file")).unwrap() == content(depth * 3000));
            }
        },
    );
}

fn a_file_replaced_by_rename_is_whole(file_system: FileSystem) {
    let long = "t".repeat(200);
    survives(
        file_system,
        |root| {
            for name in ["short", &long] {
                write_and_sync(&root.join(name), b"old")?;
                write_and_sync(&root.join(format!("{name}.new")), &content(9000))?;
                fs::rename(root.join(format!("{name}.new")), root.join(name))?;
            }
            sync(root)
        },
        |root| {
            assert_eq!(names(root), ["short", &long]);
            assert!(fs::read(root.join("short")).unwrap() == content(9000));
            assert!(fs::read(root.join(&long)).unwrap() == content(9000));
        },
    );
}

/// The folder's entry reaches the disk with the next commit of the journal, the content of its vector file does not.
fn an_unsynced_empty_folder_heals(file_system: FileSystem) {
    survives(
        file_system,
        |root| {
            for number in 0..20 {
                fs::create_dir(root.join(format!("unsynced-{number}")))?;
            }
            write_and_sync(&root.join("synced"), &content(100))
        },
        |root| {
            assert!(fs::read(root.join("synced")).unwrap() == content(100));
            for folder in names(root).iter().filter(|name| name.starts_with("unsynced")) {
                assert_eq!(names(&root.join(folder)).len(), 0);
                fs::write(root.join(folder).join("file"), "usable again").unwrap();
                assert_eq!(fs::read(root.join(folder).join("file")).unwrap(), b"usable again");
            }
        },
    );
}

fn a_synced_overwrite_survives_and_the_rest_is_untouched(file_system: FileSystem) {
    use std::os::unix::fs::FileExt;
    survives(
        file_system,
        |root| {
            write_and_sync(&root.join("file"), &content(100_000))?;
            sync(root)?;
            let file = File::options().write(true).open(root.join("file"))?;
            file.write_all_at(&[7; 5000], 30_000)?;
            file.sync_data()?;
            file.set_len(90_001)?;
            file.sync_all()
        },
        |root| {
            let mut expected = content(100_000);
            expected.truncate(90_001);
            expected[30_000..35_000].fill(7);
            assert!(fs::read(root.join("file")).unwrap() == expected);
        },
    );
}

fn synced_symlinks_and_hard_links_survive(file_system: FileSystem) {
    let long = "l".repeat(240);
    survives(
        file_system,
        |root| {
            fs::create_dir(root.join("folder"))?;
            write_and_sync(&root.join("file"), &content(5000))?;
            fs::hard_link(root.join("file"), root.join("folder").join(&long))?;
            std::os::unix::fs::symlink("../file", root.join("folder/link"))?;
            sync(&root.join("folder"))?;
            sync(root)
        },
        |root| {
            assert!(fs::read(root.join("folder").join(&long)).unwrap() == content(5000));
            assert!(fs::read(root.join("folder/link")).unwrap() == content(5000));
        },
    );
}

fn a_sync_of_the_whole_machine_saves_everything_that_was_closed(file_system: FileSystem) {
    survives(
        file_system,
        |root| {
            for number in 0..30 {
                let folder = root.join(format!("{number}{}", "f".repeat(number * 8)));
                fs::create_dir(&folder)?;
                fs::write(folder.join("file"), content(number * 500))?;
            }
            rustix::fs::sync(); // The kernel has no way to tell a FUSE server of syncfs(2), only of fsync(2).
            Ok(())
        },
        |root| {
            for number in 0..30 {
                let folder = root.join(format!("{number}{}", "f".repeat(number * 8)));
                assert!(fs::read(folder.join("file")).unwrap() == content(number * 500));
            }
        },
    );
}

/// Work without any sync, cut at will: nothing of it needs to be there, but the vault stays usable and the anchor whole.
fn many_cuts_in_a_row_do_no_harm(file_system: FileSystem) {
    if !has(NEEDS) {
        return;
    }
    let mut disk = Disk::create(file_system, Program::Strongroom);
    let server = disk.mount();
    fs::create_dir(server.path("anchor")).unwrap();
    write_and_sync(&server.path("anchor/file"), &content(50_000)).unwrap();
    sync(&server.path("anchor")).unwrap();
    sync(server.root()).unwrap();
    disk.cut_power(server);
    for round in 0..4 {
        let server = disk.mount();
        assert!(fs::read(server.path("anchor/file")).unwrap() == content(50_000));
        scribble(server.root(), round);
        disk.cut_power(server);
    }
    let server = disk.mount();
    assert!(fs::read(server.path("anchor/file")).unwrap() == content(50_000));
    fs::write(server.path("anchor/another"), "usable").unwrap();
    server.unmount();
}

/// Makes, renames and removes without a sync; ends with one that makes the journal commit a part of it.
fn scribble(root: &Path, round: u64) {
    let mut random = Random::seeded(round);
    for number in 0..40 {
        let folder = root.join(format!("{round}-{number}-{}", "x".repeat(*random.pick(&[0, 100, 220]))));
        fs::create_dir(&folder).unwrap();
        let file = folder.join("y".repeat(1 + random.below(250) as usize));
        fs::write(&file, content(random.below(20_000) as usize)).unwrap();
        match random.below(3) {
            0 => fs::rename(&file, folder.join("renamed")).unwrap(),
            1 => fs::remove_dir_all(&folder).unwrap(),
            _ => {}
        }
    }
    write_and_sync(&root.join(format!("last-{round}")), b"x").unwrap();
}

/// Does `work` through a mount, cuts the power, and after the restart lets `claim` look through another mount. Then all of
/// the vault must be sound.
fn survives(file_system: FileSystem, work: impl Fn(&Path) -> io::Result<()>, claim: impl Fn(&Path)) {
    if !has(NEEDS) {
        return;
    }
    let mut disk = Disk::create(file_system, Program::Strongroom);
    let server = disk.mount();
    work(server.root()).unwrap();
    disk.cut_power(server);
    let server = disk.mount();
    claim(server.root());
    server.unmount();
    Program::Strongroom.finds_nothing_wrong(&disk.scratch, &disk.cipher_dir);
}

/// What gocryptfs loses by the same work, for comparison: `cargo nextest run --run-ignored only gocryptfs_loses`.
#[test]
#[ignore = "shows what another program does, not what ours does"]
fn gocryptfs_loses_a_synced_folder() {
    if !has(NEEDS) || !has(&[Need::Gocryptfs]) {
        return;
    }
    let mut disk = Disk::create(FileSystem::Ext4, Program::Gocryptfs);
    let server = disk.mount();
    fs::create_dir(server.path("folder")).unwrap();
    write_and_sync(&server.path("folder/file"), &content(10_000)).unwrap();
    sync(&server.path("folder")).unwrap();
    sync(server.root()).unwrap();
    disk.cut_power(server);
    let server = disk.mount();
    assert!(fs::read(server.path("folder/file")).is_err());
}

/// A vault on a disk whose power can be cut.
struct Disk {
    image: Image,
    program: Program,
    cipher_dir: PathBuf,
    mountpoint: PathBuf,
    scratch: Scratch,
}

impl Disk {
    fn create(file_system: FileSystem, program: Program) -> Self {
        let scratch = Scratch::new();
        let mut image = Image::create(&scratch, file_system, Image::smallest(file_system));
        let cipher_dir = image.root().join("cipher");
        fs::create_dir(&cipher_dir).unwrap();
        program.init(&scratch, &cipher_dir, &Format::default());
        image.restart(); // The vault itself is old by the time of the test.
        Self { image, program, cipher_dir, mountpoint: scratch.dir("mount"), scratch }
    }

    fn mount(&self) -> Server {
        self.program.mount(&self.scratch, &self.cipher_dir, &self.mountpoint, &[])
    }

    /// Ends the server as the power's end does, then starts the machine anew.
    fn cut_power(&mut self, mut server: Server) {
        self.image.cut_power();
        server.kill();
        drop(server);
        self.image.restart();
    }
}

fn write_and_sync(file: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(file)?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn content(len: usize) -> Vec<u8> {
    Random::seeded(len as u64).bytes(len)
}

fn names(folder: &Path) -> Vec<String> {
    let listing = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = listing.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
