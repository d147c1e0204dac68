//! The feature flags of a volume, and the rules between them.

use crate::SuperblockError;

/// One feature flag, in the order in which gocryptfs writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Feature {
    /// Sub-keys are derived by HKDF.
    Hkdf = 1 << 0,
    /// Contents are sealed with XChaCha20-Poly1305.
    XChaCha20Poly1305 = 1 << 1,
    /// Contents are sealed with nonces of 128 bits.
    GcmIv128 = 1 << 2,
    /// Names and symlink targets are stored as they are.
    PlaintextNames = 1 << 3,
    /// Every directory has an IV of its own.
    DirIv = 1 << 4,
    /// The field LongNameMax says from which length names are hashed.
    LongNameMax = 1 << 5,
    /// Names are encrypted with EME. (They are, whether listed or not.)
    EmeNames = 1 << 6,
    /// Long names are hashed. (They are, whether listed or not.)
    LongNames = 1 << 7,
    /// Names are written in base64 without padding.
    Raw64 = 1 << 8,
    /// Contents are sealed with AES-SIV.
    AesSiv = 1 << 9,
    /// The passphrase is kept by a FIDO2 token.
    Fido2 = 1 << 10,
}

impl Feature {
    /// All flags, in the order in which they are written.
    pub const ALL: [Self; 11] = [
        Self::Hkdf,
        Self::XChaCha20Poly1305,
        Self::GcmIv128,
        Self::PlaintextNames,
        Self::DirIv,
        Self::LongNameMax,
        Self::EmeNames,
        Self::LongNames,
        Self::Raw64,
        Self::AesSiv,
        Self::Fido2,
    ];

    /// The flag as it stands in gocryptfs.conf.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hkdf => "HKDF",
            Self::XChaCha20Poly1305 => "XChaCha20Poly1305",
            Self::GcmIv128 => "GCMIV128",
            Self::PlaintextNames => "PlaintextNames",
            Self::DirIv => "DirIV",
            Self::LongNameMax => "LongNameMax",
            Self::EmeNames => "EMENames",
            Self::LongNames => "LongNames",
            Self::Raw64 => "Raw64",
            Self::AesSiv => "AESSIV",
            Self::Fido2 => "FIDO2",
        }
    }
}

/// A set of features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u16);

impl Features {
    /// This set and one feature more.
    #[must_use]
    pub const fn with(self, feature: Feature) -> Self {
        Self(self.0 | feature as u16)
    }

    /// What is in either set.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the feature is in the set.
    pub const fn contains(self, feature: Feature) -> bool {
        self.0 & feature as u16 != 0
    }

    /// The features, in the order in which they are written.
    pub fn iter(self) -> impl Iterator<Item = Feature> {
        Feature::ALL.into_iter().filter(move |&feature| self.contains(feature))
    }

    /// Reads the list of gocryptfs.conf. Flags may be repeated.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, SuperblockError> {
        names.into_iter().try_fold(Self::default(), |set, name| {
            match Feature::ALL.into_iter().find(|feature| feature.name() == name) {
                Some(feature) => Ok(set.with(feature)),
                None => Err(SuperblockError::UnknownFeature(name.to_owned())),
            }
        })
    }

    /// The rules between flags. Whether LongNameMax and FIDO2 agree with the fields of that name is seen elsewhere.
    pub fn check(self) -> Result<(), SuperblockError> {
        use Feature::*;
        let has = |feature| self.contains(feature);
        let plain = has(PlaintextNames);
        let rules = [
            (has(XChaCha20Poly1305) && has(GcmIv128), "XChaCha20Poly1305 excludes GCMIV128"),
            (has(XChaCha20Poly1305) && has(AesSiv), "XChaCha20Poly1305 excludes AESSIV"),
            (has(XChaCha20Poly1305) && !has(Hkdf), "XChaCha20Poly1305 needs HKDF"),
            (!has(XChaCha20Poly1305) && !has(GcmIv128), "AES needs GCMIV128"),
            (plain && has(EmeNames), "PlaintextNames excludes EMENames"),
            (plain && has(DirIv), "PlaintextNames excludes DirIV"),
            (plain && has(LongNames), "PlaintextNames excludes LongNames"),
            (plain && has(Raw64), "PlaintextNames excludes Raw64"),
            (plain && has(LongNameMax), "PlaintextNames excludes LongNameMax"),
        ];
        match rules.into_iter().find(|(broken, _)| *broken) {
            Some((_, rule)) => Err(SuperblockError::Features(rule)),
            None => Ok(()),
        }
    }
}
