//! Showing settings as a strongroom.toml.

use std::collections::BTreeMap;

use strongroom_secret::SecretRef;

use crate::{
    Config, ConfigError, Origin,
    section::{Named, Visitor},
    value::{Value, quoted},
};

/// All settings in effect, and where each was set.
pub(crate) fn toml(config: &Config) -> String {
    let writer = written(config);
    let mut tables = String::new();
    for (table, lines) in writer.tables {
        if !tables.is_empty() {
            tables.push('\n');
        }
        tables += &format!("{table}\n");
        for line in lines {
            let remark = remark(config, &line);
            tables += format!("{:<48}{remark}", line.text).trim_end();
            tables.push('\n');
        }
    }
    tables
}

/// The whole keys of all settings but those of tables with names.
pub(crate) fn keys(config: &Config) -> Vec<String> {
    written(config).tables.into_iter().flat_map(|(_, lines)| lines).map(|line| line.key).collect()
}

fn remark(config: &Config, line: &Line) -> String {
    match config.origins.get(&line.key) {
        // Where a table with a name was set is said in its heading.
        _ if line.is_in_named => String::new(),
        Some(origin) if line.is_set => format!(" # {}", one_line(&origin.to_string())),
        _ if line.is_set => " # default".to_owned(),
        _ => " # not set".to_owned(),
    }
}

fn written(config: &Config) -> Writer<'_> {
    let mut writer = Writer { prefix: String::new(), is_in_named: false, tables: Vec::new(), origins: &config.origins };
    // Reading changes what it visits, so the same walk is done over a copy.
    config.clone().settings(&mut writer).expect("only reading can fail");
    writer
}

struct Line {
    text: String,
    key: String,
    is_set: bool,
    is_in_named: bool,
}

struct Writer<'a> {
    prefix: String,
    is_in_named: bool,
    /// Each table's heading, and what stands in it.
    tables: Vec<(String, Vec<Line>)>,
    origins: &'a BTreeMap<String, Origin>,
}

impl Writer<'_> {
    fn line(&mut self, key: &str, value: Option<String>) {
        let is_set = value.is_some();
        let text = value.map_or_else(|| format!("# {key} ="), |value| format!("{key} = {value}"));
        let key = format!("{}{key}", self.prefix);
        if let Some((_, lines)) = self.tables.last_mut() {
            lines.push(Line { text, key, is_set, is_in_named: self.is_in_named });
        }
    }
}

impl Visitor for Writer<'_> {
    fn setting<T: Value>(&mut self, key: &'static str, value: &mut T) -> Result<(), ConfigError> {
        self.line(key, value.show());
        Ok(())
    }

    fn optional<T: Value>(&mut self, key: &'static str, value: &mut Option<T>) -> Result<(), ConfigError> {
        self.line(key, value.as_ref().and_then(Value::show));
        Ok(())
    }

    fn passphrase(&mut self, source: &mut Option<SecretRef>) -> Result<(), ConfigError> {
        let (mut file, mut command, mut credential) = (None, None, None);
        match source {
            Some(SecretRef::File(path)) => file = path.show(),
            Some(SecretRef::Command(line)) => command = Some(quoted(line)),
            Some(SecretRef::Credential(name)) => credential = Some(quoted(name)),
            Some(SecretRef::Stdin | SecretRef::Prompt) | None => {}
        }
        self.line("passphrase_file", file);
        self.line("passphrase_command", command);
        self.line("passphrase_credential", credential);
        Ok(())
    }

    fn section(
        &mut self,
        key: &'static str,
        settings: impl FnOnce(&mut Self) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let outer = self.prefix.clone();
        self.tables.push((format!("[{outer}{key}]"), Vec::new()));
        self.prefix = format!("{outer}{key}.");
        settings(self)?;
        self.prefix = outer;
        Ok(())
    }

    fn tables<T: Named>(&mut self, tables: &mut Vec<T>) -> Result<(), ConfigError> {
        let outer = self.prefix.clone();
        self.is_in_named = true;
        for table in tables {
            let key = format!("{outer}{}.{}", T::KEY, table.name());
            let origin =
                self.origins.get(&key).map_or(String::new(), |origin| format!(" # {}", one_line(&origin.to_string())));
            self.tables.push((format!("[[{outer}{}]]{origin}", T::KEY), Vec::new()));
            self.prefix = format!("{key}.");
            table.settings(self)?;
        }
        self.is_in_named = false;
        self.prefix = outer;
        Ok(())
    }
}

/// A path may hold what would end a remark, and go on as a setting.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
