//! A mixed tree: many small sources, headers and texts, some libraries, and one file that no compressor makes smaller.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use strongroom_tests::run;

/// What was made.
pub struct Made {
    pub files: u64,
    pub bytes: u64,
}

/// Grows a tree of about `wanted` bytes below `root` from what lies on this machine.
pub fn grow(root: &Path, wanted: u64) -> Made {
    let mut bytes = noise(&root.join("noise.bin"), wanted / 16);
    for (number, origin) in origins().into_iter().enumerate() {
        if bytes < wanted {
            bytes += copy_some(&origin, &root.join(format!("part-{number}")), wanted - bytes);
        }
    }
    fs::write(root.join("one-file.txt"), "the file that is wanted back\n".repeat(100)).expect("a file can be written");
    let files = run(Command::new("find").arg(root).args(["-type", "f"])).stdout.iter().filter(|b| **b == b'\n').count();
    Made { files: files as u64, bytes }
}

fn origins() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"), PathBuf::from);
    let origins = [home.join("registry/src"), "/usr/include".into(), "/usr/share".into(), "/usr/lib".into()];
    origins.into_iter().filter(|origin| origin.is_dir()).collect()
}

/// Copies folders of `origin`, in the order of their names, until there are about `wanted` bytes.
fn copy_some(origin: &Path, to: &Path, wanted: u64) -> u64 {
    let (mut copied, mut left) = (0, vec![origin.to_owned()]);
    while let Some(folder) = left.pop() {
        if copied >= wanted {
            break;
        }
        let mut entries: Vec<_> = fs::read_dir(&folder).map(|list| list.flatten().collect()).unwrap_or_default();
        entries.sort_by_key(fs::DirEntry::file_name);
        let below = to.join(folder.strip_prefix(origin).expect("it is below the origin"));
        fs::create_dir_all(&below).expect("a folder can be made");
        for entry in entries {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                left.push(entry.path());
            } else if kind.is_file() && copied < wanted {
                copied += fs::copy(entry.path(), below.join(entry.file_name())).unwrap_or_default();
            }
        }
    }
    copied
}

fn noise(path: &Path, len: u64) -> u64 {
    let mut random = fs::File::open("/dev/urandom").expect("/dev/urandom").take(len);
    let mut file = fs::File::create(path).expect("a file can be made");
    let written = std::io::copy(&mut random, &mut file).expect("noise can be written");
    file.flush().expect("noise can be written");
    written
}
