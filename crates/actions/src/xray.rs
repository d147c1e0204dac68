//! Shows what a ciphertext file is made of, and the master key of a vault. The first needs no key and proves nothing: it
//! tells what stands there, damage included.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use strongroom_durable::PathError;
use strongroom_format::{Algorithm, Corrupt, FileHeader, Geometry};
use zeroize::Zeroizing;

use crate::{ActionError, Conf, ConfPlace, Unlock};

/// Length of the tag of every cipher.
const TAG: usize = 16;

/// A part of a ciphertext file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// There is nothing in it.
    Nothing,
    /// A header that ends too early, after so many bytes.
    TornHeader(usize),
    /// A header that is none.
    BadHeader([u8; FileHeader::LEN], Corrupt),
    /// The header, with the file's id.
    Header([u8; 16]),
    /// A block.
    Block {
        /// Its number in the file.
        number: u64,
        /// Where it begins.
        offset: u64,
        /// How long it is with all that belongs to it.
        len: usize,
        /// Its nonce.
        nonce: Vec<u8>,
        /// Its authentication tag.
        tag: [u8; TAG],
    },
    /// A block of so many bytes, too short to hold anything.
    TornBlock(usize),
}

/// Shows the parts of a ciphertext file, which is taken for one sealed by `algorithm`, one after the other.
pub fn xray(path: &Path, algorithm: Algorithm, show: &mut dyn FnMut(Part)) -> Result<(), ActionError> {
    let file = File::open(path).map_err(PathError::on("opening", path))?;
    parts(&file, algorithm, show).map_err(PathError::on("reading", path))?;
    Ok(())
}

fn parts(file: &File, algorithm: Algorithm, show: &mut dyn FnMut(Part)) -> io::Result<()> {
    let head = head(file)?;
    let is_sound = matches!(head, Part::Header(_));
    show(head);
    if !is_sound {
        return Ok(());
    }
    let geometry = Geometry::new(algorithm);
    let overhead = usize::try_from(geometry.overhead()).expect("an overhead is some bytes");
    let mut block = vec![0; overhead + Geometry::PLAIN_BLOCK];
    for number in 0.. {
        let offset = geometry.block_offset(number);
        match read_full(file, &mut block, offset)? {
            0 => break,
            len if len <= overhead => {
                show(Part::TornBlock(len));
                break;
            }
            len => show(part(number, offset, &block[..len], algorithm, overhead)),
        }
    }
    Ok(())
}

fn head(file: &File) -> io::Result<Part> {
    let mut header = [0; FileHeader::LEN];
    Ok(match read_full(file, &mut header, 0)? {
        0 => Part::Nothing,
        FileHeader::LEN => match FileHeader::decode(&header) {
            Ok(id) => Part::Header(*id.as_bytes()),
            Err(why) => Part::BadHeader(header, why),
        },
        len => Part::TornHeader(len),
    })
}

fn part(number: u64, offset: u64, block: &[u8], algorithm: Algorithm, overhead: usize) -> Part {
    let nonce_len = overhead - TAG;
    // AES-SIV puts its tag before the data.
    let tag_at = if algorithm == Algorithm::AesSiv { nonce_len } else { block.len() - TAG };
    let tag = block[tag_at..tag_at + TAG].try_into().expect("a slice of its length");
    Part::Block { number, offset, len: block.len(), nonce: block[..nonce_len].to_vec(), tag }
}

/// Reads until `out` is full or the file ends.
fn read_full(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut len = 0;
    while len < out.len() {
        match file.read_at(&mut out[len..], offset + len as u64) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// The master key that a configuration file holds, as 64 hexadecimal digits.
pub fn dump_master_key(path: &Path, unlock: Unlock<'_>) -> Result<Zeroizing<String>, ActionError> {
    // No vault has to be there: the file may have been kept apart.
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let conf = Conf::read_from(dir, &ConfPlace::At(PathBuf::from(path)))?;
    let groups = unlock.master_key(&conf)?.to_hex_groups();
    // With room for all of it, since a string that grows leaves pieces behind.
    let mut digits = Zeroizing::new(String::with_capacity(groups.len()));
    digits.extend(groups.chars().filter(|&char| char != '-'));
    Ok(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(bytes: &[u8], algorithm: Algorithm) -> Vec<Part> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mut seen = Vec::new();
        xray(file.path(), algorithm, &mut |part| seen.push(part)).unwrap();
        seen
    }

    fn header() -> Vec<u8> {
        [&[0, 2][..], &[7; 16]].concat()
    }

    #[test]
    fn a_file_is_shown_block_by_block() {
        let bytes = [header(), vec![1; 4128], vec![2; 16], vec![3; 1], vec![4; 16]].concat();
        let block = |number, offset, len, nonce, tag| Part::Block {
            number,
            offset,
            len,
            nonce: vec![nonce; 16],
            tag: [tag; 16],
        };
        assert_eq!(
            seen(&bytes, Algorithm::Aes256Gcm),
            [Part::Header([7; 16]), block(0, 18, 4128, 1, 1), block(1, 4146, 33, 2, 4)]
        );
    }

    #[test]
    fn the_tag_of_siv_stands_before_the_data() {
        let bytes = [header(), vec![1; 16], vec![2; 16], vec![3; 5]].concat();
        let Part::Block { tag, .. } = &seen(&bytes, Algorithm::AesSiv)[1] else { panic!("a block is next") };
        assert_eq!(*tag, [2; 16]);
    }

    #[test]
    fn what_is_torn_or_missing_is_shown_as_such() {
        assert_eq!(seen(b"", Algorithm::Aes256Gcm), [Part::Nothing]);
        assert_eq!(seen(&[0, 2, 7], Algorithm::Aes256Gcm), [Part::TornHeader(3)]);
        assert_eq!(seen(&[0; 18], Algorithm::Aes256Gcm), [Part::BadHeader([0; 18], Corrupt::ZeroHeader)]);
        let stub = [header(), vec![1; 40]].concat();
        assert_eq!(seen(&stub, Algorithm::XChaCha20Poly1305), [Part::Header([7; 16]), Part::TornBlock(40)]);
    }
}
