//! Bytes in JSON: a string where they are UTF-8, and `{"base64": "..."}` where they are not.

use std::{borrow::Cow, fmt};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, Visitor},
    ser::SerializeMap,
};

/// Any bytes, as JSON has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes<'a>(pub Cow<'a, [u8]>);

impl<'a> From<&'a [u8]> for Bytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(Cow::Borrowed(bytes))
    }
}

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("base64", &BASE64_STANDARD.encode(&self.0))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Bytes<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyBytes)
    }
}

struct AnyBytes;

impl<'de> Visitor<'de> for AnyBytes {
    type Value = Bytes<'static>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, or an object with a string `base64`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Bytes(Cow::Owned(text.as_bytes().to_vec())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(Bytes(Cow::Owned(text.into_bytes())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some((key, text)) = map.next_entry::<String, String>()? else {
            return Err(A::Error::missing_field("base64"));
        };
        if key != "base64" {
            return Err(A::Error::unknown_field(&key, &["base64"]));
        }
        if map.next_key::<String>()?.is_some() {
            return Err(A::Error::custom("something stands beside `base64`"));
        }
        BASE64_STANDARD.decode(text).map(|bytes| Bytes(Cow::Owned(bytes))).map_err(A::Error::custom)
    }
}

/// Any bytes, always as base64: what is rarely text.
pub struct Base64<'a>(pub Cow<'a, [u8]>);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&base64::display::Base64Display::new(&self.0, &BASE64_STANDARD))
    }
}

impl<'de> Deserialize<'de> for Base64<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        BASE64_STANDARD.decode(text.as_bytes()).map(|bytes| Self(Cow::Owned(bytes))).map_err(D::Error::custom)
    }
}

/// Paths, refused unless they stay within a tree.
pub mod path {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use strongroom_tree::RelPath;

    use super::Bytes;

    /// Writes the path.
    pub fn serialize<S: Serializer>(path: &RelPath, serializer: S) -> Result<S::Ok, S::Error> {
        Bytes::from(path.as_bytes()).serialize(serializer)
    }

    /// Reads a path.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RelPath, D::Error> {
        RelPath::parse(&Bytes::deserialize(deserializer)?.0).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_readable_and_other_bytes_come_back_too() {
        for (bytes, json) in [(&b"a\"\n"[..], r#""a\"\n""#), (b"\xff\x00", r#"{"base64":"/wA="}"#), (b"", r#""""#)] {
            assert_eq!(serde_json::to_string(&Bytes::from(bytes)).unwrap(), json);
            assert_eq!(&*serde_json::from_str::<Bytes<'_>>(json).unwrap().0, bytes);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for bad in ["1", "null", "[]", "{}", r#"{"base64":"*"}"#, r#"{"base64":"","x":"1"}"#, r#"{"hex":"00"}"#] {
            assert!(serde_json::from_str::<Bytes<'_>>(bad).is_err(), "{bad}");
        }
    }
}
