//! BLAKE3, over as many lanes as the processor has; for content of which there is much and that never leaves this machine.

/// A hash being computed. Fast when it is given 16 KiB and more at once.
#[derive(Clone, Default)]
pub struct Blake3(::blake3::Hasher);

impl Blake3 {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The hash of bytes that are all there.
    pub fn of(bytes: &[u8]) -> [u8; 32] {
        ::blake3::hash(bytes).into()
    }

    /// Takes more bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all bytes taken in.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: [u8; 32]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The first two of the vectors that come with the specification: input bytes count up from 0, modulo 251.
    #[test]
    fn the_published_vectors_come_out() {
        assert_eq!(hex(Blake3::of(b"")), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
        assert_eq!(hex(Blake3::of(&[0])), "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213");
    }

    #[test]
    fn the_pieces_in_which_it_comes_do_not_matter() {
        let bytes: Vec<u8> = (0..70_000_u32).map(|i| i as u8).collect();
        let mut hash = Blake3::new();
        bytes.chunks(777).for_each(|piece| hash.update(piece));
        assert_eq!(hash.finish(), Blake3::of(&bytes));
    }
}
