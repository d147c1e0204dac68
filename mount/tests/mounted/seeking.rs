//! Holes, while the kernel holds back what was written.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use strongroom_mount::MountOptions;

use crate::place::{Mounted, can_mount};

fn file(mounted: &Mounted) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).open(mounted.path("sparse")).unwrap()
}

#[test]
fn data_that_the_kernel_has_not_handed_over_is_not_taken_for_a_hole() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    let file = file(&mounted);
    file.write_at(&[1; 4096], 1 << 20).unwrap();
    assert_eq!(seek(&file, SeekFrom::Data(1 << 20)), Ok(1 << 20));
    file.write_at(&[1; 4096], 0).unwrap();
    assert_eq!(seek(&file, SeekFrom::Data(0)), Ok(0));
    assert_eq!(seek(&file, SeekFrom::Hole(1 << 20)), Ok((1 << 20) + 4096));
}

#[test]
fn a_hole_is_found() {
    if !can_mount() {
        return;
    }
    for options in [MountOptions::default(), MountOptions { direct_io: true, ..MountOptions::default() }] {
        let mounted = Mounted::with(&options);
        let file = file(&mounted);
        file.write_at(&[1; 4096], 0).unwrap();
        file.write_at(&[1; 4096], 1 << 20).unwrap();
        let hole = seek(&file, SeekFrom::Hole(0)).unwrap();
        assert!((4096..1 << 20).contains(&hole), "{hole}");
        let data = seek(&file, SeekFrom::Data(hole)).unwrap();
        assert!((hole + 1..=1 << 20).contains(&data), "{data}");
        assert_eq!(seek(&file, SeekFrom::Data(2 << 20)), Err(Errno::NXIO));
    }
}

#[test]
fn many_may_seek_at_once() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::with(&MountOptions { threads: Some(2), ..MountOptions::default() });
    std::thread::scope(|scope| {
        for n in 0..8 {
            let path = mounted.path(format!("file{n}"));
            scope.spawn(move || {
                let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap();
                for block in 0..50u64 {
                    file.write_at(&[1; 4096], block << 16).unwrap();
                    assert_eq!(seek(&file, SeekFrom::Data(block << 16)), Ok(block << 16));
                }
            });
        }
    });
}
