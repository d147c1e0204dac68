//! Every parser survives arbitrary bytes: the bodies of the fuzz targets, on generated input.
#![allow(missing_docs)]

use proptest::prelude::*;
use strongroom_format::{Superblock, fuzz};

proptest! {
    #[test]
    fn arbitrary_bytes_are_survived(data in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz::superblock(&data);
        fuzz::file_header(&data);
        fuzz::stored_name(&data);
        fuzz::eme_name(&data);
        fuzz::values(&data);
    }

    #[test]
    fn arbitrary_names_of_the_right_alphabet_are_survived(text in "(user\\.gocryptfs\\.)?[A-Za-z0-9_-]{0,350}={0,3}") {
        fuzz::stored_name(text.as_bytes());
        fuzz::values(text.as_bytes());
    }

    #[test]
    fn arbitrary_json_of_the_right_shape_is_survived(
        n in "-?[0-9]{1,20}(\\.[0-9]|e[0-9]{1,3})?", r in any::<u64>(), p in any::<u64>(), key_len in 30u64..34,
        version in 0u64..4, flags in prop::collection::vec("HKDF|GCMIV128|DirIV|XChaCha20Poly1305|Raw64|FIDO2|x", 0..5),
        key in "[A-Za-z0-9+/]{0,90}={0,2}",
    ) {
        fuzz::superblock(format!(
            r#"{{"EncryptedKey":"{key}","ScryptObject":{{"Salt":"{}","N":{n},"R":{r},"P":{p},"KeyLen":{key_len}}},
            "Version":{version},"FeatureFlags":{flags:?}}}"#, "A".repeat(44)).as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn arbitrary_blocks_are_refused(mut data in prop::collection::vec(any::<u8>(), 0..20_000), zeros in 0usize..20_000) {
        fuzz::content_blocks(&data);
        let zeros = zeros.min(data.len());
        data[..zeros].fill(0);
        fuzz::content_blocks(&data);
    }
}

#[test]
fn holes_alone_are_accepted() {
    for blocks in 0..4 {
        fuzz::content_blocks(&vec![0; blocks * 4128]);
        fuzz::content_blocks(&vec![0; blocks * 4136]);
    }
}

#[test]
fn deep_nesting_is_refused_before_the_stack_ends() {
    let deep = "[".repeat(1_000_000);
    assert!(Superblock::parse(deep.as_bytes()).is_err());
    assert!(Superblock::parse(format!("{{\"x\":{deep}").as_bytes()).is_err());
}
