//! gocryptfs.conf: what is read, what is refused and why, what is written.
#![allow(missing_docs)]

mod common;

use common::{Counted, conf};
use strongroom_format::{
    Algorithm, Explicit, Feature, Fido2, MasterKey, NameMode, Settings, Superblock, SuperblockError,
};
use strongroom_secret::Passphrase;

const CHEAP: Settings =
    Settings { cipher: Algorithm::Aes256Gcm, names: NameMode::Encrypted, long_name_max: None, scrypt_log_n: 10 };
const GCM: &[&str] = &["HKDF", "GCMIV128", "DirIV", "EMENames", "LongNames", "Raw64"];

fn pass(text: &str) -> Passphrase {
    Passphrase::new(text.into())
}

fn create(settings: &Settings) -> Result<Superblock, SuperblockError> {
    Superblock::create(settings, &pass("secret"), &MasterKey::from_bytes(&[1; 32]), &Counted::default())
}

fn flags(settings: &Settings) -> String {
    create(settings).unwrap().features().iter().map(Feature::name).collect::<Vec<_>>().join(" ")
}

fn refusal(conf: &str) -> String {
    Superblock::parse(conf.as_bytes()).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn the_passphrase_unlocks_and_another_does_not() {
    let superblock = Superblock::parse(&create(&CHEAP).unwrap().to_json()).unwrap();
    assert_eq!(
        *superblock.unlock(&pass("secret")).unwrap().to_hex_groups(),
        *MasterKey::from_bytes(&[1; 32]).to_hex_groups()
    );
    for wrong in ["", "Secret", "secret ", "secre"] {
        assert!(matches!(superblock.unlock(&pass(wrong)), Err(SuperblockError::WrongPassphrase)));
    }
}

#[test]
fn a_new_passphrase_takes_the_place_of_the_old_one() {
    let random = Counted::default();
    let mut superblock = Superblock::create(&CHEAP, &pass("old"), &MasterKey::generate(&random), &random).unwrap();
    let before = superblock.to_json();
    let master = superblock.unlock(&pass("old")).unwrap();
    superblock.rewrap(&master, &pass("new"), &random).unwrap();
    assert!(matches!(superblock.unlock(&pass("old")), Err(SuperblockError::WrongPassphrase)));
    assert_eq!(superblock.unlock(&pass("new")).unwrap().to_hex_groups(), master.to_hex_groups());
    assert_eq!(superblock.scrypt_log_n(), 10);
    let lines = |json: &[u8]| String::from_utf8(json.to_vec()).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    let changed: Vec<_> =
        lines(&before).into_iter().zip(lines(&superblock.to_json())).filter(|(a, b)| a != b).collect();
    assert_eq!(changed.len(), 2, "salt and key change, and nothing else: {changed:?}");
}

#[test]
fn a_flipped_bit_in_the_wrapped_key_is_refused() {
    let json = String::from_utf8(create(&CHEAP).unwrap().to_json()).unwrap();
    let at = json.find("EncryptedKey").unwrap() + 20;
    for offset in [0, 10, 40, 70] {
        let mut bytes = json.clone().into_bytes();
        bytes[at + offset] = if bytes[at + offset] == b'A' { b'B' } else { b'A' };
        let superblock = Superblock::parse(&bytes).unwrap();
        assert!(matches!(superblock.unlock(&pass("secret")), Err(SuperblockError::WrongPassphrase)));
    }
}

#[test]
fn flags_are_written_in_the_order_of_gocryptfs() {
    use Algorithm::*;
    use NameMode::*;
    let with = |cipher, names, long_name_max| flags(&Settings { cipher, names, long_name_max, ..CHEAP });
    assert_eq!(with(Aes256Gcm, Encrypted, None), "HKDF GCMIV128 DirIV EMENames LongNames Raw64");
    assert_eq!(with(AesSiv, Encrypted, None), "HKDF GCMIV128 DirIV EMENames LongNames Raw64 AESSIV");
    assert_eq!(with(XChaCha20Poly1305, Encrypted, None), "HKDF XChaCha20Poly1305 DirIV EMENames LongNames Raw64");
    assert_eq!(with(Aes256Gcm, Deterministic, None), "HKDF GCMIV128 EMENames LongNames Raw64");
    assert_eq!(with(Aes256Gcm, Plaintext, None), "HKDF GCMIV128 PlaintextNames");
    assert_eq!(with(AesSiv, Plaintext, None), "HKDF GCMIV128 PlaintextNames AESSIV");
    assert_eq!(with(Aes256Gcm, Encrypted, Some(100)), "HKDF GCMIV128 DirIV LongNameMax EMENames LongNames Raw64");
    assert_eq!(with(Aes256Gcm, Encrypted, Some(255)), "HKDF GCMIV128 DirIV EMENames LongNames Raw64");
}

#[test]
fn the_file_is_written_as_gocryptfs_writes_it() {
    let settings = Settings { long_name_max: Some(100), ..CHEAP };
    let written = String::from_utf8(create(&settings).unwrap().to_json()).unwrap();
    let value = |field: &str| written.split(&format!("\"{field}\": \"")).nth(1).unwrap().split('"').next().unwrap();
    let expected = format!(
        "{{\n\t\"Creator\": \"strongroom {}\",\n\t\"EncryptedKey\": \"{}\",\n\t\"ScryptObject\": {{\n\
         \t\t\"Salt\": \"{}\",\n\t\t\"N\": 1024,\n\t\t\"R\": 8,\n\t\t\"P\": 1,\n\t\t\"KeyLen\": 32\n\t}},\n\
         \t\"Version\": 2,\n\t\"FeatureFlags\": [\n\t\t\"HKDF\",\n\t\t\"GCMIV128\",\n\t\t\"DirIV\",\n\
         \t\t\"LongNameMax\",\n\t\t\"EMENames\",\n\t\t\"LongNames\",\n\t\t\"Raw64\"\n\t],\n\t\"LongNameMax\": 100\n}}\n",
        env!("CARGO_PKG_VERSION"),
        value("EncryptedKey"),
        value("Salt"),
    );
    assert_eq!(written, expected);
    assert_eq!(value("EncryptedKey").len(), 88);
    assert_eq!(value("Salt").len(), 44);
}

#[test]
fn settings_that_make_no_volume_are_refused() {
    use NameMode::*;
    for (settings, reason) in [
        (Settings { long_name_max: Some(61), ..CHEAP }, "62 to 255"),
        (Settings { long_name_max: Some(0), ..CHEAP }, "62 to 255"),
        (Settings { long_name_max: Some(100), names: Plaintext, ..CHEAP }, "plaintext names are never hashed"),
        (Settings { scrypt_log_n: 9, ..CHEAP }, "too weak"),
        (Settings { scrypt_log_n: 0, ..CHEAP }, "too weak"),
        (Settings { scrypt_log_n: 23, ..CHEAP }, "more than 4 GiB"),
        (Settings { scrypt_log_n: 255, ..CHEAP }, "more than 4 GiB"),
    ] {
        let error = create(&settings).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn the_reader_is_as_lenient_as_that_of_gocryptfs() {
    let lenient = conf(GCM, 0)
        .replace("\"EncryptedKey\"", "\"unknown\":{\"a\":[1,2.5,-3,null,true]},\"encryptedKEY\"")
        .replace("\"Creator\":\"a test\",", "")
        .replace("\"HKDF\"", "\"HKDF\",\"HKDF\"")
        .replace("\"N\":1024", "\"n\":7,\"N\":1024")
        .replace("\"LongNameMax\":0", "\"LongNameMax\":null");
    let read = Superblock::parse(format!("\n {lenient}\t\r\n ").as_bytes()).unwrap();
    assert_eq!(read.creator(), "");
    assert_eq!(read.scrypt_log_n(), 10);
    assert_eq!(read.features(), Superblock::parse(conf(GCM, 0).as_bytes()).unwrap().features());
    let broken_up = conf(GCM, 0).replacen("AQEB", "AQ\\r\\nEB", 3);
    assert_eq!(
        Superblock::parse(broken_up.as_bytes()).unwrap().to_json(),
        Superblock::parse(conf(GCM, 0).as_bytes()).unwrap().to_json()
    );
}

#[test]
fn of_repeated_fields_the_last_wins_and_all_must_be_of_the_right_kind() {
    let twice = conf(GCM, 0).replace("\"Version\":2", "\"Version\":1,\"version\":2");
    assert!(Superblock::parse(twice.as_bytes()).is_ok());
    let twice = conf(GCM, 0).replace("\"Version\":2", "\"Version\":2,\"VERSION\":3");
    assert!(refusal(&twice).contains("version 3"));
    let twice = conf(GCM, 0).replace("\"Version\":2", "\"Version\":\"x\",\"Version\":2");
    assert!(refusal(&twice).contains("Version"));
    let merged =
        conf(GCM, 0).replace("\"N\":1024,", "").replace("\"Version\":2", "\"scryptobject\":{\"N\":2048},\"Version\":2");
    assert_eq!(Superblock::parse(merged.as_bytes()).unwrap().scrypt_log_n(), 11);
}

#[test]
fn what_is_no_json_object_is_refused() {
    let valid = conf(GCM, 0);
    for bad in [
        "",
        " ",
        "{",
        "[]",
        "1",
        "null",
        "\"x\"",
        &valid[1..],
        &valid[..valid.len() - 1],
        &format!("{valid}x"),
        &format!("{valid}{{}}"),
    ] {
        let error = Superblock::parse(bad.as_bytes()).map(|_| ()).unwrap_err();
        assert!(matches!(error, SuperblockError::Json(_) | SuperblockError::Field { .. }), "{bad}: {error}");
    }
}

#[test]
fn every_rule_of_the_fields_is_enforced() {
    for (from, to, reason) in [
        ("\"Version\":2", "\"Version\":1", "version 1"),
        ("\"Version\":2", "\"Version\":3", "version 3"),
        ("\"Version\":2,", "", "version 0"),
        ("\"Version\":2", "\"Version\":-2", "Version"),
        ("\"Version\":2", "\"Version\":2.0", "Version"),
        ("\"Version\":2", "\"Version\":65538", "Version"),
        ("\"N\":1024", "\"N\":512", "less than 1024"),
        ("\"N\":1024", "\"N\":0", "power of two"),
        ("\"N\":1024", "\"N\":1025", "power of two"),
        ("\"N\":1024", "\"N\":8388608", "more than 4 GiB"),
        ("\"N\":1024", "\"N\":9223372036854775808", "more than 4 GiB"),
        ("\"N\":1024", "\"N\":1e10", "N is not"),
        ("\"R\":8", "\"R\":7", "R=7"),
        ("\"R\":8", "\"R\":4294967295", "more than 4 GiB"),
        ("\"R\":8", "\"R\":4294967296", "out of all proportion"),
        ("\"P\":1", "\"P\":0", "P=0"),
        ("\"P\":1", "\"P\":100000", "minutes"),
        ("\"KeyLen\":32", "\"KeyLen\":31", "KeyLen=31"),
        ("\"KeyLen\":32", "\"KeyLen\":64", "KeyLen=64"),
        ("AgICAgIC", "", "Salt"),
        ("AgICAgIC", "AgICAgI_", "Salt is not"),
        ("AQEBAQEB", "AQEBAQEBAQEB", "has 67 bytes, not 64"),
        ("\"EncryptedKey\":\"AQ", "\"EncryptedKey\":\"-Q", "EncryptedKey is not"),
        ("AQ==\"", "AQ\"", "EncryptedKey is not"),
        ("\"EncryptedKey\"", "\"x\"", "has 0 bytes, not 64"),
        ("\"LongNameMax\":0", "\"LongNameMax\":100", "need each other"),
        ("\"LongNameMax\":0", "\"LongNameMax\":256", "LongNameMax is not"),
        ("\"FeatureFlags\":[", "\"FeatureFlags\":[1,", "FeatureFlags is not"),
        ("\"FeatureFlags\":[", "\"FeatureFlags\":[\"Future\",", "\"Future\", which is not known"),
        ("\"FeatureFlags\":[", "\"FeatureFlags\":[\"hkdf\",", "\"hkdf\", which is not known"),
        ("\"FeatureFlags\":[", "\"FeatureFlags\":[\"FIDO2\",", "FIDO2"),
        ("\"FeatureFlags\":[", "\"x\":[", "AES needs GCMIV128"),
        ("\"ScryptObject\"", "\"x\"", "ScryptObject"),
        ("\"Creator\":\"a test\"", "\"Creator\":7", "Creator is not"),
    ] {
        let conf = conf(GCM, 0);
        let changed = conf.replacen(from, to, 1);
        assert_ne!(changed, conf, "{from} is not in {conf}");
        let refused = refusal(&changed);
        assert!(refused.contains(reason), "{to}: {refused}");
    }
}

#[test]
fn every_rule_between_flags_is_enforced() {
    for (flags, rule) in [
        (&["HKDF"][..], "AES needs GCMIV128"),
        (&["HKDF", "AESSIV"], "AES needs GCMIV128"),
        (&["HKDF", "XChaCha20Poly1305", "GCMIV128"], "XChaCha20Poly1305 excludes GCMIV128"),
        (&["HKDF", "XChaCha20Poly1305", "AESSIV"], "XChaCha20Poly1305 excludes AESSIV"),
        (&["XChaCha20Poly1305"], "XChaCha20Poly1305 needs HKDF"),
        (&["HKDF", "GCMIV128", "PlaintextNames", "EMENames"], "PlaintextNames excludes EMENames"),
        (&["HKDF", "GCMIV128", "PlaintextNames", "DirIV"], "PlaintextNames excludes DirIV"),
        (&["HKDF", "GCMIV128", "PlaintextNames", "LongNames"], "PlaintextNames excludes LongNames"),
        (&["HKDF", "GCMIV128", "PlaintextNames", "Raw64"], "PlaintextNames excludes Raw64"),
        (&["HKDF", "GCMIV128", "PlaintextNames", "LongNameMax"], "PlaintextNames excludes LongNameMax"),
        (&["HKDF", "GCMIV128", "LongNameMax"], "need each other"),
    ] {
        let refused = refusal(&conf(flags, 0));
        assert!(refused.contains(rule), "{flags:?}: {refused}");
    }
    for flags in
        [&["GCMIV128"][..], &["GCMIV128", "DirIV"], &["HKDF", "GCMIV128", "DirIV"], &["HKDF", "XChaCha20Poly1305"]]
    {
        assert!(Superblock::parse(conf(flags, 0).as_bytes()).is_ok(), "{flags:?}");
    }
}

#[test]
fn names_are_encrypted_whether_emenames_is_listed_or_not() {
    let superblock = Superblock::parse(conf(&["HKDF", "GCMIV128", "DirIV", "Raw64"], 0).as_bytes()).unwrap();
    let names = superblock.ciphers(&MasterKey::from_bytes(&[1; 32])).unwrap().names;
    assert!(!names.is_plaintext());
    assert_eq!(superblock.name_mode(), NameMode::Encrypted);
}

#[test]
fn a_volume_with_a_fido2_token_is_read_and_kept_but_not_unlocked_by_passphrase() {
    let flags: Vec<_> = GCM.iter().copied().chain(["FIDO2"]).collect();
    let fido2 =
        "\"FIDO2\":{\"CredentialID\":\"AQID\",\"HMACSalt\":\"BAUG\",\"AssertOptions\":[\"pin=true\"]},\"Version\"";
    let mut superblock = Superblock::parse(conf(&flags, 0).replace("\"Version\"", fido2).as_bytes()).unwrap();
    let written = String::from_utf8(superblock.to_json()).unwrap();
    for kept in ["\"CredentialID\": \"AQID\"", "\"HMACSalt\": \"BAUG\"", "\"pin=true\"", "\"FIDO2\"\n"] {
        assert!(written.contains(kept), "{kept} is not in {written}");
    }
    assert!(matches!(superblock.unlock(&pass("x")), Err(SuperblockError::Fido2)));
    let master = MasterKey::from_bytes(&[1; 32]);
    assert!(matches!(superblock.rewrap(&master, &pass("x"), &Counted::default()), Err(SuperblockError::Fido2)));
    assert!(superblock.ciphers(&master).is_ok());
}

#[test]
fn a_creator_that_is_no_utf8_does_not_matter() {
    let mut bytes = conf(GCM, 0).into_bytes();
    let at = bytes.windows(6).position(|window| window == b"a test").unwrap();
    bytes[at] = 0xFF;
    assert_eq!(Superblock::parse(&bytes).unwrap().creator(), "\u{FFFD} test");
}

#[test]
fn a_volume_of_a_token_opens_with_what_the_token_says_and_says_how_to_ask_it() {
    let token =
        Fido2 { credential_id: vec![1, 2], hmac_salt: vec![3; 32], assert_options: Some(vec!["pin=false".into()]) };
    let (master, random) = (MasterKey::from_bytes(&[7; 32]), Counted::default());

    let made = Superblock::create_with_token(&CHEAP, token.clone(), &pass("secret"), &master, &random).unwrap();
    let read = Superblock::parse(&made.to_json()).unwrap();
    assert_eq!(read.fido2(), Some(&token));
    assert!(matches!(read.unlock(&pass("secret")), Err(SuperblockError::Fido2)));
    assert!(matches!(read.unlock_with_token(&pass("other")), Err(SuperblockError::WrongPassphrase)));
    assert_eq!(read.unlock_with_token(&pass("secret")).unwrap().to_hex_groups(), master.to_hex_groups());
}

#[test]
fn what_is_told_in_place_of_a_configuration_opens_with_the_master_key_alone() {
    let told = Superblock::explicit(&Explicit::default()).unwrap();
    assert!(matches!(told.unlock(&pass("x")), Err(SuperblockError::NoWrappedKey)));
    let master = MasterKey::from_bytes(&[7; 32]);
    let made = Superblock::create(&CHEAP, &pass("x"), &master, &Counted::default()).unwrap();
    assert_eq!(told.features(), made.features());
    // Names of attributes are unpadded unless told otherwise, also where those of files are plain.
    let plain = Explicit { names: NameMode::Plaintext, ..Explicit::default() };
    assert!(Superblock::explicit(&plain).unwrap().features().contains(Feature::Raw64));
    let impossible = Explicit { cipher: Algorithm::XChaCha20Poly1305, hkdf: false, ..Explicit::default() };
    assert!(matches!(Superblock::explicit(&impossible), Err(SuperblockError::Settings(_))));
}

#[test]
fn the_cost_changes_with_the_next_passphrase_and_only_within_bounds() {
    let master = MasterKey::from_bytes(&[7; 32]);
    let mut superblock = Superblock::create(&CHEAP, &pass("x"), &master, &Counted::default()).unwrap();
    assert!(superblock.set_scrypt_log_n(9).is_err() && superblock.set_scrypt_log_n(23).is_err());
    superblock.set_scrypt_log_n(11).unwrap();
    superblock.rewrap(&master, &pass("new"), &Counted::default()).unwrap();
    let read = Superblock::parse(&superblock.to_json()).unwrap();
    assert_eq!(read.scrypt_log_n(), 11);
    assert!(read.unlock(&pass("new")).is_ok());
}
