//! JSON as Go reads it into a struct: names of fields in any case, unknown ones skipped, the last of several wins,
//! `null` means absent. So that whatever gocryptfs accepts is read here as it is read there.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::{SuperblockError, base64::decode_standard};

/// Any JSON value, objects in the order and with the repetitions of the text.
pub enum Json {
    Null,
    Unsigned(u64),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
    /// Booleans, negative numbers and fractions, which no field of ours takes.
    Other,
}

impl Json {
    /// Reads one value and nothing after it. Bytes that are not UTF-8 are replaced, as in Go.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&String::from_utf8_lossy(text))
    }
}

/// A JSON object whose fields are picked by name.
pub struct Object<'a>(Vec<&'a (String, Json)>);

impl<'a> Object<'a> {
    /// The value as an object; `None` if it is something else.
    pub fn new(json: &'a Json) -> Option<Self> {
        match json {
            Json::Object(fields) => Some(Self(fields.iter().collect())),
            _ => None,
        }
    }

    /// The last value of the field that is not `null`; every one of them must be of the right kind.
    fn field<T>(
        &self,
        field: &'static str,
        expected: &'static str,
        read: impl Fn(&'a Json) -> Option<T>,
    ) -> Result<Option<T>, SuperblockError> {
        (self.0.iter())
            .filter(|(name, value)| name.eq_ignore_ascii_case(field) && !matches!(value, Json::Null))
            .try_fold(None, |_, (_, value)| read(value).ok_or(SuperblockError::Field { field, expected }).map(Some))
    }

    pub fn string(&self, field: &'static str) -> Result<Option<&'a str>, SuperblockError> {
        self.field(field, "a string", Json::as_str)
    }

    /// An unsigned number, at most `max`.
    pub fn number(&self, field: &'static str, max: u64) -> Result<Option<u64>, SuperblockError> {
        self.field(field, "a whole number within its range", |value| match value {
            Json::Unsigned(number) if *number <= max => Some(*number),
            _ => None,
        })
    }

    pub fn bytes(&self, field: &'static str) -> Result<Option<Vec<u8>>, SuperblockError> {
        self.field(field, "padded standard base64", |value| value.as_str().and_then(decode_standard))
    }

    pub fn strings(&self, field: &'static str) -> Result<Option<Vec<&'a str>>, SuperblockError> {
        self.field(field, "a list of strings", |value| match value {
            Json::Array(values) => values.iter().map(Json::as_str).collect(),
            _ => None,
        })
    }

    /// An object. Several of the same name are read into one another, like everything else.
    pub fn object(&self, field: &'static str) -> Result<Option<Self>, SuperblockError> {
        let mut merged: Option<Self> = None;
        self.field(field, "an object", |value| Self::new(value).map(|_| ()))?;
        for (_, value) in self.0.iter().filter(|(name, _)| name.eq_ignore_ascii_case(field)) {
            if let Some(object) = Self::new(value) {
                merged.get_or_insert(Self(Vec::new())).0.extend(object.0);
            }
        }
        Ok(merged)
    }
}

impl Json {
    fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Unsigned(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Object(fields))
    }
}
