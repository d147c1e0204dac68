//! Keys from passphrases, keys from keys.

use crate::CryptoError;

/// scrypt (RFC 7914) with N = 2^`log_n`. It takes `128 * r * 2^log_n` bytes of memory; the caller bounds that.
pub fn scrypt(pass: &[u8], salt: &[u8], log_n: u8, r: u32, p: u32, out: &mut [u8]) -> Result<(), CryptoError> {
    let undefined = CryptoError::ScryptParameters { log_n, r, p };
    // The crate multiplies r by p before it checks either.
    if log_n == 0 || r.checked_mul(p).is_none() || out.is_empty() {
        return Err(undefined);
    }
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| undefined)?;
    scrypt::scrypt(pass, salt, &params, out).map_err(|_| undefined)
}

/// HKDF (RFC 5869) with SHA-256 and no salt.
///
/// # Panics
/// If more than 255 * 32 bytes are asked for.
pub fn hkdf_sha256(ikm: &[u8], info: &[u8], out: &mut [u8]) {
    hkdf::Hkdf::<sha2::Sha256>::new(None, ikm).expand(info, out).expect("at most 255 hashes are asked for");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrypt_gives_the_answer_of_rfc_7914() {
        let mut out = [0; 64];
        scrypt(b"password", b"NaCl", 10, 8, 16, &mut out).unwrap();
        let expected = "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622\
                        eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640";
        assert_eq!(out.map(|byte| format!("{byte:02x}")).concat(), expected);
    }

    #[test]
    fn scrypt_refuses_what_is_not_defined() {
        let mut out = [0; 32];
        for (log_n, r, p) in [(0, 8, 1), (200, 8, 1), (10, 0, 1), (10, 8, 0), (10, u32::MAX, 2), (10, 1 << 16, 1 << 16)]
        {
            assert_eq!(scrypt(b"x", b"y", log_n, r, p, &mut out), Err(CryptoError::ScryptParameters { log_n, r, p }));
        }
    }
}
