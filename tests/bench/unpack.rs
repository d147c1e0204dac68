//! A real source tree, unpacked from an archive, read once, and removed.

use std::path::{Path, PathBuf};
use std::process::Command;

use strongroom_tests::run as insist;

use crate::arguments::Arguments;
use crate::measure::{Amount, Records};
use crate::stage::Stage;

pub fn run(stage: &mut Stage, arguments: &Arguments, records: &mut Records) {
    let archive = stage.aside("tree.tar");
    let files = Amount::Operations(pack(&archive, arguments.files));
    stage.measure(records, "unpack a source tree", files, |root| {
        insist(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(root));
    });
    stage.cool();
    stage.measure(records, "search a source tree, cold", files, |root| {
        insist(Command::new("sh").args(["-c", r#"grep -r "no such line" "$1" || true"#, "sh"]).arg(root));
    });
    stage.measure(records, "remove a source tree", files, |root| {
        insist(Command::new("sh").args(["-c", r#"rm -rf "$1"/*"#, "sh"]).arg(root));
    });
}

/// Packs sources of the Cargo registry until there are about `wanted` files, and returns how many there are.
fn pack(archive: &Path, wanted: usize) -> usize {
    let mut folders: Vec<_> =
        registry().read_dir().map(|listing| listing.flatten().map(|entry| entry.path()).collect()).unwrap_or_default();
    folders.sort();
    let (mut chosen, mut files) = (Vec::new(), 0);
    for folder in folders {
        if files >= wanted {
            break;
        }
        let listing = insist(Command::new("find").arg(&folder));
        files += listing.stdout.iter().filter(|byte| **byte == b'\n').count();
        chosen.push(folder);
    }
    assert!(files > 0, "the Cargo registry holds sources to unpack");
    insist(
        Command::new("tar")
            .args(["-C", "/", "-cf"])
            .arg(archive)
            .args(chosen.iter().map(|path| path.strip_prefix("/").expect("absolute"))),
    );
    files
}

fn registry() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"), PathBuf::from);
    let mut indices: Vec<_> =
        home.join("registry/src").read_dir().expect("a Cargo registry").flatten().map(|entry| entry.path()).collect();
    indices.sort();
    indices.pop().expect("the Cargo registry has an index")
}
