//! HMAC-SHA-256 (RFC 2104).

use hmac::{Hmac, KeyInit, Mac};

use crate::NotAuthentic;

/// Length of its output.
pub const MAC_LEN: usize = 32;

/// HMAC-SHA-256 of a message.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; MAC_LEN] {
    keyed(key, message).finalize().into_bytes().into()
}

/// Whether `mac` is that of the message, found out in the same time whichever bytes of it differ.
pub fn check_hmac_sha256(key: &[u8], message: &[u8], mac: &[u8; MAC_LEN]) -> Result<(), NotAuthentic> {
    keyed(key, message).verify_slice(mac).map_err(|_| NotAuthentic)
}

fn keyed(key: &[u8], message: &[u8]) -> Hmac<sha2::Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length").chain_update(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn it_gives_the_answers_of_rfc_4231() {
        let cases: [(&[u8], &[u8], &str); 4] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, message, expected) in cases {
            assert_eq!(hex(&hmac_sha256(key, message)), expected);
        }
    }

    #[test]
    fn any_flipped_bit_is_refused() {
        let mac = hmac_sha256(b"key", b"message");
        assert_eq!(check_hmac_sha256(b"key", b"message", &mac), Ok(()));
        for bit in 0..8 * MAC_LEN {
            let mut flipped = mac;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(check_hmac_sha256(b"key", b"message", &flipped), Err(NotAuthentic));
        }
    }
}
