//! What the tests of the whole product share: the program under test and its real peer driven through one interface,
//! trees of files that know no mercy, an independent walker that compares them, and disks whose power can be cut.

mod capture;
mod image;
mod needs;
mod process;
mod program;
mod random;
mod sample;
mod scratch;

pub use capture::{Captured, capture, differences};
pub use image::{FileSystem, Image};
pub use needs::{Need, has};
pub use process::{output_of, run, wait_until};
pub use program::{
    Cipher, Format, Names, Program, Server, die_with_the_test, is_mountpoint, tool, unmount, without_terminal,
};
pub use random::Random;
pub use sample::{edit, grow, settle_times};
pub use scratch::{PASSPHRASE, Scratch};
