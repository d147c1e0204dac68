//! How a section names its settings: once, to whoever visits.

use strongroom_secret::SecretRef;

use crate::{ConfigError, value::Value};

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

    /// Tables of which there may be several, `[[…]]`, each with a name of its own.
    fn tables<T: Named>(&mut self, tables: &mut Vec<T>) -> Result<(), ConfigError>;

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

/// A table of which there may be several, and which is known by its name.
pub(crate) trait Named: Clone + Default {
    /// What such a table is called, within the table that it stands in.
    const KEY: &'static str;

    /// Its name; empty if it has none.
    fn name(&self) -> &str;

    /// A setting that it cannot do without and does not have.
    fn lacks(&self) -> Option<&'static str>;

    /// Goes through its settings.
    fn settings(&mut self, visitor: &mut impl Visitor) -> Result<(), ConfigError>;
}
