//! The 512-byte header block of ustar.

/// Everything in a tar stream begins at a multiple of this.
pub const BLOCK: usize = 512;

/// What a tar stream ends with: two blocks of zeros.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// `len` rounded up to whole blocks.
pub const fn padded(len: u64) -> u64 {
    len.next_multiple_of(BLOCK as u64)
}

/// How many zeros follow `len` bytes of data.
pub const fn padding(len: u64) -> usize {
    (padded(len) - len) as usize
}

/// Where a field of the header block stands.
#[derive(Clone, Copy)]
pub struct Field {
    /// Its first byte.
    pub at: usize,
    /// Its length.
    pub len: usize,
}

const fn field(at: usize, len: usize) -> Field {
    Field { at, len }
}

pub const NAME: Field = field(0, 100);
pub const MODE: Field = field(100, 8);
pub const UID: Field = field(108, 8);
pub const GID: Field = field(116, 8);
pub const SIZE: Field = field(124, 12);
pub const MTIME: Field = field(136, 12);
pub const CHECKSUM: Field = field(148, 8);
pub const TYPE: usize = 156;
pub const LINK: Field = field(157, 100);
pub const MAGIC: Field = field(257, 8);
pub const USER: Field = field(265, 32);
pub const GROUP: Field = field(297, 32);
pub const DEV_MAJOR: Field = field(329, 8);
pub const DEV_MINOR: Field = field(337, 8);
pub const PREFIX: Field = field(345, 155);

/// `ustar`, NUL, `00`: what POSIX asks for. GNU's own is another.
pub const USTAR: &[u8; 8] = b"ustar\x0000";

impl Field {
    /// The largest number that it can hold in octal.
    pub const fn max(self) -> u64 {
        (1 << (3 * (self.len - 1))) - 1
    }

    /// The bytes up to the first NUL.
    pub fn text(self, block: &[u8; BLOCK]) -> &[u8] {
        let bytes = &block[self.at..self.at + self.len];
        bytes.split(|&byte| byte == 0).next().unwrap_or_default()
    }

    /// Puts text in it, which fits.
    pub fn put_text(self, block: &mut [u8; BLOCK], text: &[u8]) {
        block[self.at..self.at + text.len()].copy_from_slice(text);
    }

    /// Puts a number in it, which is at most [`Field::max`].
    pub fn put_octal(self, block: &mut [u8; BLOCK], mut value: u64) {
        for place in block[self.at..self.at + self.len - 1].iter_mut().rev() {
            *place = b'0' + (value & 7) as u8;
            value >>= 3;
        }
    }

    /// The number in it: octal with spaces or NULs around, or GNU's big-endian binary with the top bit set. `None` for
    /// anything else, and for binary numbers that are negative or longer than 63 bits.
    pub fn number(self, block: &[u8; BLOCK]) -> Option<u64> {
        let bytes = &block[self.at..self.at + self.len];
        if bytes[0] == 0x80 {
            let (high, low) = bytes.split_at(bytes.len() - 8);
            let value = i64::from_be_bytes(low.try_into().ok()?);
            // Fields of 8 bytes have their mark within the number.
            let value = if high.is_empty() { value & (i64::MAX >> 7) } else { value };
            return (high.iter().skip(1).all(|&byte| byte == 0) && value >= 0).then_some(value as u64);
        }
        let digits = bytes.trim_ascii_start();
        let end = digits.iter().position(|byte| !(b'0'..=b'7').contains(byte)).unwrap_or(digits.len());
        let (digits, rest) = digits.split_at(end);
        if !rest.iter().all(|&byte| byte == 0 || byte == b' ') {
            return None;
        }
        digits.iter().try_fold(0u64, |value, digit| value.checked_mul(8)?.checked_add(u64::from(digit - b'0')))
    }
}

/// The sum of all bytes, those of the checksum counted as spaces.
pub fn checksum(block: &[u8; BLOCK]) -> u64 {
    let own = CHECKSUM.at..CHECKSUM.at + CHECKSUM.len;
    block.iter().enumerate().map(|(at, &byte)| u64::from(if own.contains(&at) { b' ' } else { byte })).sum()
}

/// Puts the checksum where it belongs: the last thing to do.
pub fn seal(block: &mut [u8; BLOCK]) {
    let sum = checksum(block);
    Field { len: CHECKSUM.len - 1, ..CHECKSUM }.put_octal(block, sum);
    block[CHECKSUM.at + 7] = b' ';
}
