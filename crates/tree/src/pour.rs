//! The content of a file on its way into another.

use std::{cell::RefCell, io, ops::Range};

use crate::Content;

/// Bytes written at once.
const PIECE: usize = 1 << 20;

/// Hands the first `len` bytes of `content` to `write` in pieces, leaving out its holes. Says whether it ends with a hole,
/// so that the copy has to be made `len` bytes long.
pub fn pour(
    content: &mut dyn Content,
    len: u64,
    mut write: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<bool> {
    let mut written = 0;
    while written < len {
        let Some(run) = content.data_from(written)? else { break };
        pour_run(content, run.start.min(len)..run.end.min(len), &mut write)?;
        written = run.end;
    }
    // It ends with a hole, if it is as long as it is said to be.
    if written < len && content.look()?.len < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(written < len)
}

fn pour_run(
    content: &mut dyn Content,
    run: Range<u64>,
    write: &mut impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    // Taken and not borrowed, lest a content that is made of others finds it in use.
    let mut buffer = BUFFER.take();
    let mut at = run.start;
    while at < run.end {
        let piece = PIECE.min(usize::try_from(run.end - at).unwrap_or(PIECE));
        if buffer.len() < piece {
            buffer.resize(piece, 0);
        }
        let piece = &mut buffer[..piece];
        if content.read_at(at, piece)? < piece.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write(at, piece)?;
        at += piece.len() as u64;
    }
    BUFFER.set(buffer);
    Ok(())
}
