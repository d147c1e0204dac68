//! The container: frames in order, the index, the footer; sealed or plain. It knows nothing of files.

mod reader;
mod rekey;
mod writer;

pub use reader::{Container, FrameScratch, Peek, peek};
pub use writer::{ContainerWriter, Finished};

/// Where a frame is: `packed_len` bytes of the container hold `tar_len` bytes of the tar stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where in the container it begins.
    pub offset: u64,
    /// How long it is there.
    pub packed_len: u64,
    /// Where in the tar stream it begins.
    pub tar_offset: u64,
    /// How long it is there.
    pub tar_len: u64,
}
