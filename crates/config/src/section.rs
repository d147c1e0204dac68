//! How a section names its settings: once, to whoever visits.

use crate::{Component, ConfigError, value::Value};
use strongroom_secret::SecretRef;

/// Goes through all settings, to read or to show them.
pub(crate) trait Visitor: Sized {
    /// A setting that always has a value.
    fn setting<T: Value>(&mut self, key: &'static str, value: &mut T) -> Result<(), ConfigError>;

    /// A setting that may be left unset.
    fn optional<T: Value>(&mut self, key: &'static str, value: &mut Option<T>) -> Result<(), ConfigError>;

    /// `passphrase_file`, `passphrase_command`, `passphrase_credential`: one of them, or none.
    fn passphrase(&mut self, source: &mut Option<SecretRef>) -> Result<(), ConfigError>;

    /// A table within this one.
    fn section(
        &mut self,
        key: &'static str,
        settings: impl FnOnce(&mut Self) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError>;

    /// The tables `[[…component]]`.
    fn components(&mut self, components: &mut Vec<Component>) -> Result<(), ConfigError>;

    /// A setting that is kept as another type than it is written as.
    fn as_other<T, V: Value>(
        &mut self,
        key: &'static str,
        value: &mut Option<T>,
        to: impl FnOnce(T) -> V,
        from: impl FnOnce(V) -> T,
    ) -> Result<(), ConfigError> {
        let mut written = value.take().map(to);
        let outcome = self.optional(key, &mut written);
        *value = written.map(from);
        outcome
    }
}
