//! Hashing what files hold.

use std::io;

use strongroom_crypto::Sha256;
use strongroom_tree::{Content, RelPath, Source};

const PIECE: usize = 256 << 10;
static ZEROS: [u8; PIECE] = [0; PIECE];

/// SHA-256 of `len` bytes, holes as zeros without reading them.
pub(crate) fn hash(content: &mut dyn Content, len: u64) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE.min(usize::try_from(len).unwrap_or(PIECE))];
    let mut at = 0;
    while at < len {
        // Asking where the data is costs more than reading the zeros of a small hole.
        let is_small = len <= PIECE as u64;
        let run = if is_small { Some(0..len) } else { content.data_from(at)?.filter(|run| run.start < len) }
            .unwrap_or(len..len);
        zeros(&mut hash, run.start.saturating_sub(at));
        at = at.max(run.start);
        let end = run.end.min(len);
        while at < end {
            let most = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            let read = content.read_at(at, &mut piece[..most])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            hash.update(&piece[..read]);
            at += read as u64;
        }
    }
    Ok(hash.finish())
}

fn zeros(hash: &mut Sha256, mut count: u64) {
    while count > 0 {
        let most = usize::try_from(count).unwrap_or(PIECE).min(PIECE);
        hash.update(&ZEROS[..most]);
        count -= most as u64;
    }
}

/// SHA-256 of a file of `len` bytes; `None` if it was written to meanwhile, or has another length.
pub(crate) fn hash_of_still(source: &dyn Source, path: &RelPath, len: u64) -> io::Result<Option<[u8; 32]>> {
    let mut content = source.open(path).map_err(|error| error.source)?;
    let before = content.look()?;
    if before.len != len {
        return Ok(None);
    }
    let hash = hash(&mut *content, len)?;
    Ok((content.look()? == before).then_some(hash))
}
