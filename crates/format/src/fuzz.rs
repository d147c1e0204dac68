//! The bodies of the fuzz targets: each takes any bytes, and must neither panic nor accept what was not sealed. The
//! targets in `fuzz/` call them, and so do the property tests.

use std::sync::LazyLock;

use crate::{
    Algorithm, Ciphers, ContentCipher, Corrupt, DirIv, Feature, Features, FileHeader, FileId, Geometry, MasterKey,
    NameCipher, Superblock, XattrCipher, base64::UrlSafe, derive, eme_name::EmeNames,
};

static VOLUMES: LazyLock<Vec<Ciphers>> = LazyLock::new(|| {
    let master = MasterKey::from_bytes(&[0x42; 32]);
    let features = Features::default().with(Feature::Hkdf);
    let names = |code| EmeNames::new(derive::names(&master, features), code);
    let volume = |algorithm, code, plain| Ciphers {
        content: ContentCipher::new(derive::content(&master, algorithm, features).expect("cut to length"), code, plain),
        names: if plain { NameCipher::plaintext() } else { NameCipher::encrypting(names(code), true, 255) },
        xattrs: XattrCipher::new(names(code)),
    };
    vec![
        volume(Algorithm::Aes256Gcm, UrlSafe::Raw, false),
        volume(Algorithm::AesSiv, UrlSafe::Padded, false),
        volume(Algorithm::XChaCha20Poly1305, UrlSafe::Padded, true),
    ]
});

/// What is read from any text can be written and read again.
pub fn superblock(data: &[u8]) {
    if let Ok(read) = Superblock::parse(data) {
        let written = read.to_json();
        let again = Superblock::parse(&written).expect("what was written can be read");
        assert_eq!(again.to_json(), written);
    }
}

/// A header that is read is written as it was.
pub fn file_header(data: &[u8]) {
    if let Some((header, _)) = data.split_first_chunk::<{ FileHeader::LEN }>()
        && let Ok(id) = FileHeader::decode(header)
    {
        assert_eq!(&FileHeader::encode(&id), header);
    }
    let _ = DirIv::parse(data);
}

/// A stored name that is read encrypts to what was stored: no name has two forms on disk.
pub fn stored_name(data: &[u8]) {
    for volume in VOLUMES.iter() {
        volume.names.classify(data, true);
        if let Ok(name) = volume.names.decrypt(&DirIv::ZERO, data) {
            let stored = volume.names.encrypt(&DirIv::ZERO, &name).expect("a name that was read can be stored");
            let encoded = stored.name_file().map_or(stored.disk().to_vec(), |(_, encoded)| encoded.to_vec());
            assert_eq!(encoded, data);
        }
        if let Some(Ok(name)) = volume.xattrs.decrypt_name(data) {
            assert_eq!(volume.xattrs.encrypt_name(&name).expect("a name that was read can be stored"), data);
        }
    }
}

/// Any plain name that is taken comes back.
pub fn eme_name(data: &[u8]) {
    for volume in VOLUMES.iter() {
        if let Ok(stored) = volume.names.encrypt(&DirIv::ZERO, data) {
            let encoded = stored.name_file().map_or(stored.disk().to_vec(), |(_, encoded)| encoded.to_vec());
            assert_eq!(volume.names.decrypt(&DirIv::ZERO, &encoded).as_deref(), Ok(data));
        }
        if let Ok(disk) = volume.xattrs.encrypt_name(data)
            && !XattrCipher::passes_through(data)
        {
            assert_eq!(volume.xattrs.decrypt_name(&disk), Some(Ok(data.to_vec())));
        }
    }
}

/// Blocks that nobody sealed are refused, but for holes.
pub fn content_blocks(data: &[u8]) {
    let id = file_id();
    for volume in VOLUMES.iter() {
        let cipher_block = volume.content.geometry().cipher_block() as usize;
        let mut out = vec![0xA5; data.len().div_ceil(cipher_block) * Geometry::PLAIN_BLOCK];
        let opened = volume.content.open_blocks(&id, 7, data, &mut out);
        let all_holes = data.len().is_multiple_of(cipher_block) && data.iter().all(|&byte| byte == 0);
        assert_eq!(opened.is_ok(), all_holes);
        if let Err(corrupt) = opened {
            let block = &data[(corrupt.block - 7) as usize * cipher_block..];
            let block = &block[..block.len().min(cipher_block)];
            assert_eq!(volume.content.open_interrupted(&id, corrupt.block, block, true, &mut out), None);
        }
    }
}

/// Values and targets that nobody sealed are refused, but for empty ones.
pub fn values(data: &[u8]) {
    for volume in VOLUMES.iter() {
        assert_eq!(volume.content.open_value(data).is_ok(), data.is_empty());
        assert_eq!(volume.content.open_xattr_value(data).is_ok(), data.is_empty());
        match volume.content.open_symlink(data) {
            Ok(target) => assert!(volume.names.is_plaintext() && target == data || data.is_empty()),
            Err(why) => assert!(matches!(
                why,
                Corrupt::NotBase64 | Corrupt::NotAuthentic | Corrupt::TooShort(_) | Corrupt::ZeroNonce
            )),
        }
    }
}

fn file_id() -> FileId {
    let mut header = [3; FileHeader::LEN];
    header[..2].copy_from_slice(&FileHeader::VERSION.to_be_bytes());
    FileHeader::decode(&header).expect("version 2 and an id")
}
