//! Reading a file into settings.

use std::{collections::BTreeSet, ops::Range, path::Path};

use strongroom_secret::SecretRef;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    Config, ConfigError, Origin, Place,
    section::{Named, Visitor},
    value::{Paths, Value, quoted},
};

/// Overrides `config` with what the file says.
pub(crate) fn file(config: &mut Config, text: &str, path: &Path, home: Option<&Path>) -> Result<(), ConfigError> {
    let paths = Paths { dir: path.parent().unwrap_or(Path::new("")), home };
    document(config, &Document { text, path, paths }, Origin::File)
}

/// Overrides one setting with what an environment variable says.
pub(crate) fn variable(
    config: &mut Config,
    name: &str,
    key: &str,
    value: &str,
    home: Option<&Path>,
) -> Result<(), ConfigError> {
    let path = Path::new(name);
    let paths = Paths { dir: Path::new(""), home };
    let origin = |_| Origin::Variable(name.to_owned());
    let as_text = format!("{key} = {}", quoted(value));
    // A lone word is a text; what looks like TOML (a number, a list, `true`) may be a text all the same.
    let as_toml = format!("{key} = {value}");
    let mut trial = config.clone();
    // More than one line could be more than one setting.
    if !value.contains('\n') && document(&mut trial, &Document { text: &as_toml, path, paths }, origin).is_ok() {
        *config = trial;
        return Ok(());
    }
    document(config, &Document { text: &as_text, path, paths }, origin)
}

struct Document<'a> {
    text: &'a str,
    path: &'a Path,
    paths: Paths<'a>,
}

impl Document<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        Place::of(self.path.to_owned(), self.text, span)
    }
}

fn document(config: &mut Config, document: &Document<'_>, origin: impl Fn(Place) -> Origin) -> Result<(), ConfigError> {
    let root = DeTable::parse(document.text).map_err(|error| ConfigError::Syntax {
        place: document.place(error.span().unwrap_or(0..0)),
        message: error.message().replace('\n', ", "),
    })?;
    let mut reader = Reader::new(document, String::new(), root.get_ref());
    config.settings(&mut reader)?;
    reader.refuse_unknown()?;
    config.origins.extend(reader.set.into_iter().map(|(key, place)| (key, origin(place))));
    Ok(())
}

/// Reads the settings of one table.
struct Reader<'a> {
    document: &'a Document<'a>,
    /// The whole key of the table with a dot after it; nothing for the root.
    prefix: String,
    table: &'a DeTable<'a>,
    known: BTreeSet<&'static str>,
    /// Every setting that was found, by its whole key, and where.
    set: Vec<(String, Place)>,
}

impl<'a> Reader<'a> {
    fn new(document: &'a Document<'a>, prefix: String, table: &'a DeTable<'a>) -> Self {
        Self { document, prefix, table, known: BTreeSet::new(), set: Vec::new() }
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn find(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.insert(key);
        self.table.get(key)
    }

    fn read<T: Value>(&mut self, key: &'static str) -> Result<Option<T>, ConfigError> {
        let Some(found) = self.find(key) else { return Ok(None) };
        let value = T::read(found.get_ref(), &self.document.paths).ok_or_else(|| {
            let (culprit, expected) = T::culprit(found, &self.document.paths);
            self.wrong(key, culprit, expected)
        })?;
        self.set.push((self.key(key), self.document.place(found.span())));
        Ok(Some(value))
    }

    fn wrong(&self, key: &str, found: &Spanned<DeValue<'_>>, expected: String) -> ConfigError {
        let (place, key) = (self.document.place(found.span()), self.key(key));
        ConfigError::WrongValue { place, key, expected, found: described(found.get_ref()) }
    }

    fn table_at(&self, key: &str, found: &'a Spanned<DeValue<'a>>) -> Result<&'a DeTable<'a>, ConfigError> {
        found.get_ref().as_table().ok_or_else(|| self.wrong(key, found, format!("a table, `[{}]`", self.key(key))))
    }

    /// To be called when all settings were visited.
    fn refuse_unknown(&self) -> Result<(), ConfigError> {
        let Some(stray) = self.table.keys().find(|key| !self.known.contains(key.get_ref().as_ref())) else {
            return Ok(());
        };
        let meant = nearest(stray.get_ref(), &self.known).map(|meant| self.key(meant));
        let (place, key) = (self.document.place(stray.span()), self.key(stray.get_ref()));
        Err(ConfigError::UnknownKey { place, key, meant })
    }

    fn named<T: Named>(&mut self, table: &'a DeTable<'a>, begin: Place) -> Result<T, ConfigError> {
        let mut reader = Reader::new(self.document, self.key(T::KEY) + ".", table);
        let mut read = T::default();
        read.settings(&mut reader)?;
        reader.refuse_unknown()?;
        match read.lacks() {
            Some(key) => Err(ConfigError::Missing { place: begin, table: self.key(T::KEY), key }),
            None => {
                self.set.push((self.key(&format!("{}.{}", T::KEY, read.name())), begin));
                Ok(read)
            }
        }
    }
}

impl Visitor for Reader<'_> {
    fn setting<T: Value>(&mut self, key: &'static str, value: &mut T) -> Result<(), ConfigError> {
        if let Some(read) = self.read(key)? {
            *value = read;
        }
        Ok(())
    }

    fn optional<T: Value>(&mut self, key: &'static str, value: &mut Option<T>) -> Result<(), ConfigError> {
        if let Some(read) = self.read(key)? {
            *value = Some(read);
        }
        Ok(())
    }

    fn passphrase(&mut self, source: &mut Option<SecretRef>) -> Result<(), ConfigError> {
        if let Some(found) = self.find("passphrase") {
            let (place, key) = (self.document.place(found.span()), self.key("passphrase"));
            return Err(ConfigError::PassphraseInFile { place, key });
        }
        let before = self.set.len();
        let file = self.read("passphrase_file")?.map(SecretRef::File);
        let command = self.read("passphrase_command")?.map(SecretRef::Command);
        let credential = self.read("passphrase_credential")?.map(SecretRef::Credential);
        if let [(other, _), .., (key, place)] = &self.set[before..] {
            let (place, key, other) = (place.clone(), key.clone(), other.clone());
            return Err(ConfigError::Conflict { place, key, other });
        }
        if let Some(read) = file.or(command).or(credential) {
            *source = Some(read);
        }
        Ok(())
    }

    fn section(
        &mut self,
        key: &'static str,
        settings: impl FnOnce(&mut Self) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let Some(found) = self.find(key) else { return Ok(()) };
        let table = self.table_at(key, found)?;
        let mut reader = Reader::new(self.document, self.key(key) + ".", table);
        settings(&mut reader)?;
        reader.refuse_unknown()?;
        self.set.append(&mut reader.set);
        Ok(())
    }

    fn tables<T: Named>(&mut self, tables: &mut Vec<T>) -> Result<(), ConfigError> {
        let Some(found) = self.find(T::KEY) else { return Ok(()) };
        let expected = || format!("a list of tables, `[[{}]]`", self.key(T::KEY));
        let list = found.get_ref().as_array().ok_or_else(|| self.wrong(T::KEY, found, expected()))?;
        let mut names = BTreeSet::new();
        for each in list.iter() {
            let table = each.get_ref().as_table().ok_or_else(|| self.wrong(T::KEY, each, expected_table()))?;
            let place = self.document.place(each.span());
            let read: T = self.named(table, place.clone())?;
            if !names.insert(read.name().to_owned()) {
                return Err(ConfigError::SameName { place, kind: T::KEY, name: read.name().to_owned() });
            }
            tables.retain(|other| other.name() != read.name());
            tables.push(read);
        }
        Ok(())
    }
}

fn expected_table() -> String {
    "a table".to_owned()
}

/// A value as an error names it: short, and on one line.
fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => {
            let mut shown: String = text.chars().take(40).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            format!("{shown:?}")
        }
        DeValue::Integer(number) => format!("the number {}", number.as_str()),
        DeValue::Float(number) => format!("the number {}", number.as_str()),
        DeValue::Boolean(claim) => format!("`{claim}`"),
        DeValue::Datetime(date) => format!("the date {date}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// The known key that differs least, if it differs little.
fn nearest<'k>(stray: &str, known: &BTreeSet<&'k str>) -> Option<&'k str> {
    let distances = known.iter().filter(|key| **key != "passphrase").map(|key| (distance(stray, key), *key));
    distances.min().filter(|(distance, key)| *distance <= 1 + key.len() / 4).map(|(_, key)| key)
}

/// How many letters have to be inserted, left out, replaced or swapped with their neighbour to get from one to the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().take(64).collect(), to.chars().collect());
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    rows[0] = (0..=to.len()).collect();
    for i in 1..=from.len() {
        rows[i][0] = i;
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[from.len()][to.len()]
}
