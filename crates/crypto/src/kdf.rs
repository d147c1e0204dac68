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

/// HKDF (RFC 5869) with SHA-256 and a salt.
///
/// # Panics
/// If more than 255 * 32 bytes are asked for.
pub fn hkdf_sha256_salted(ikm: &[u8], salt: &[u8], info: &[u8], out: &mut [u8]) {
    hkdf::Hkdf::<sha2::Sha256>::new(Some(salt), ikm).expand(info, out).expect("at most 255 hashes are asked for");
}

/// PBKDF2 (RFC 8018) with HMAC-SHA-256. The caller bounds the iterations from both sides.
///
/// # Panics
/// If there are no iterations.
pub fn pbkdf2_sha256(pass: &[u8], salt: &[u8], iterations: u32, out: &mut [u8]) {
    assert!(iterations > 0, "PBKDF2 is defined from one iteration");
    pbkdf2::pbkdf2_hmac::<sha2::Sha256>(pass, salt, iterations, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn hkdf_gives_the_answers_of_rfc_5869() {
        let mut out = [0; 42];
        let salt: Vec<u8> = (0..13).collect();
        let info: Vec<u8> = (0xf0..0xfa).collect();
        hkdf_sha256_salted(&[0x0b; 22], &salt, &info, &mut out);
        let first = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
        assert_eq!(hex(&out), first);
        let third = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8";
        hkdf_sha256(&[0x0b; 22], b"", &mut out);
        assert_eq!(hex(&out), third);
        hkdf_sha256_salted(&[0x0b; 22], b"", b"", &mut out);
        assert_eq!(hex(&out), third);
    }

    #[test]
    fn pbkdf2_gives_the_answers_of_rfc_7914() {
        let mut out = [0; 64];
        pbkdf2_sha256(b"passwd", b"salt", 1, &mut out);
        let first = "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc\
                     49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783";
        assert_eq!(hex(&out), first);
        pbkdf2_sha256(b"Password", b"NaCl", 80_000, &mut out);
        let second = "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56\
                      a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d";
        assert_eq!(hex(&out), second);
    }

    #[test]
    fn pbkdf2_gives_the_answers_of_rfc_6070_for_sha_256() {
        let mut out = [0; 32];
        for (iterations, expected) in [
            (1, "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b"),
            (2, "ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43"),
            (4096, "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a"),
        ] {
            pbkdf2_sha256(b"password", b"salt", iterations, &mut out);
            assert_eq!(hex(&out), expected);
        }
        let mut out = [0; 16];
        pbkdf2_sha256(b"pass\0word", b"sa\0lt", 4096, &mut out);
        assert_eq!(hex(&out), "89b69d0516f829893c696226650a8687");
    }

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
