//! The layers of a configuration, each over the one before: defaults, file, `P2PCAM_*` variables, flags.

use std::{
    collections::HashMap,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue},
};

use super::{
    Config, ConfigError, Place, Problem,
    problem::nearest,
    rules,
    schema::{self, Key, Kind},
    value::{self, At},
};

/// Read when no other file is named and it exists.
pub const DEFAULT_PATH: &str = "/etc/p2pcam/agent.toml";

/// Largest configuration file in bytes: a hundred times the commented default, and no way to fill the memory.
const MAX_FILE: u64 = 1 << 20;

/// What variables that override a key start with; `P2PCAM_VIDEO_WIDTH` is `video.width`.
const PREFIX: &str = "P2PCAM_";

/// How variables with the prefix begin that are not keys: the path of the file itself, and what the project's scripts
/// and tests take. No section is called so.
const NOT_KEYS: [&str; 7] = [
    "P2PCAM_CONFIG",
    "P2PCAM_BOARD",
    "P2PCAM_CACHE",
    "P2PCAM_DEBIAN_MIRROR",
    "P2PCAM_DRIFT_SECONDS",
    "P2PCAM_FOOTAGE",
    "P2PCAM_MPP_",
];

/// A configuration and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The effective values.
    pub config: Config,
    /// The file that was read; `None`: there was none.
    pub path: Option<PathBuf>,
    /// Keys that a variable or flag has set, in the order they were applied.
    pub overrides: Vec<Override>,
}

/// A key that a variable or flag has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// `section.key`.
    pub key: String,
    /// The variable or flag.
    pub place: Place,
}

/// A key set by a command-line flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `section.key`.
    pub key: &'static str,
    /// Read like a variable's value: lists are comma-separated.
    pub value: String,
    /// The flag, as in `--video`, for messages.
    pub flag: &'static str,
}

/// Loads the file at `path` (default: [`DEFAULT_PATH`] if it exists) and applies the `P2PCAM_*` variables of `env`.
///
/// # Errors
///
/// The file cannot be read, or all that is wrong in file and variables, each with its place and advice.
pub fn load(path: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Loaded, ConfigError> {
    load_with(path, env, &[])
}

/// [`load`], with command-line flags over all else.
///
/// # Errors
///
/// As for [`load`].
pub fn load_with(
    path: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    flags: &[Setting],
) -> Result<Loaded, ConfigError> {
    let mut layers = Layers::default();
    let path = match path {
        Some(path) => Some((path, read(path)?)),
        None => match read(Path::new(DEFAULT_PATH)) {
            Err(ConfigError::Read { error, .. }) if error.kind() == ErrorKind::NotFound => None,
            text => Some((Path::new(DEFAULT_PATH), text?)),
        },
    };
    if let Some((path, text)) = &path {
        layers.file(path, text);
    }
    layers.variables(env);
    for flag in flags {
        layers.set(flag.key, &flag.value, Place::Flag(flag.flag));
    }
    let path = path.map(|(path, _)| path.to_owned());
    let overrides = std::mem::take(&mut layers.overrides);
    Ok(Loaded { config: layers.finish()?, path, overrides })
}

/// Reads the text of a configuration file; `path` is for messages only.
///
/// # Errors
///
/// All that is wrong, each with line, column and advice.
pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
    let mut layers = Layers::default();
    layers.file(path, text);
    layers.finish()
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |error| ConfigError::Read { path: path.to_owned(), error };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE {
        return Err(failed(std::io::Error::new(ErrorKind::InvalidData, "it is larger than 1 MiB")));
    }
    Ok(text)
}

#[derive(Default)]
struct Layers {
    merged: Table,
    places: HashMap<String, Place>,
    overrides: Vec<Override>,
    problems: Vec<Problem>,
}

impl Layers {
    fn file(&mut self, path: &Path, text: &str) {
        let place = |offset: usize| {
            let (line, column) = position(text, offset);
            Place::File { path: path.to_owned(), line, column }
        };
        let parsed = DeTable::parse(text).and_then(|spans| Ok((spans, text.parse::<Table>()?)));
        let (spans, table) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                return self.problems.push(Problem {
                    place: place(offset),
                    what: format!("not TOML: {}", error.message()),
                    advice: "see docs/configuration.md for the form of the file".into(),
                });
            }
        };
        let span = spans.span();
        let spans = Spanned::new(span, DeValue::Table(spans.into_inner()));
        let root = Kind::Table(schema::sections().to_vec());
        let places = &mut self.places;
        let table = Value::Table(table);
        value::check(
            "",
            &root,
            &table,
            At::File(&spans, &place),
            &mut |key, place| {
                places.insert(key.to_owned(), place);
            },
            &mut self.problems,
        );
        if let Value::Table(table) = table {
            self.merged = table;
        }
    }

    fn variables(&mut self, env: impl Iterator<Item = (String, String)>) {
        let not_key = |name: &str| NOT_KEYS.iter().any(|begin| name.starts_with(begin));
        let mut ours: Vec<_> = env.filter(|(name, _)| name.starts_with(PREFIX) && !not_key(name)).collect();
        // The environment has no order; messages should.
        ours.sort();
        for (name, text) in ours {
            match schema::paths().find(|(path, _)| variable(path) == name) {
                Some((path, _)) => self.set(&path, &text, Place::Variable(name)),
                None => {
                    let known: Vec<_> = schema::paths().map(|(path, _)| variable(&path)).collect();
                    let advice = match nearest(&name, known.iter().map(String::as_str)) {
                        Some(known) => format!("did you mean {known}?"),
                        None => "names are P2PCAM_SECTION_KEY, as in P2PCAM_VIDEO_WIDTH: unset it".into(),
                    };
                    let what = "it stands for no key of agent.toml".into();
                    self.problems.push(Problem { place: Place::Variable(name), what, advice });
                }
            }
        }
    }

    fn set(&mut self, path: &str, text: &str, place: Place) {
        let Some((_, key)) = schema::paths().find(|(known, _)| known == path) else {
            debug_assert!(false, "{place} sets {path}, which is no key");
            return;
        };
        let value = match value::read(&key.kind, text) {
            Ok(value) => value,
            Err(advice) => {
                let what = format!("`{path}` is {text:?}");
                return self.problems.push(Problem { place, what, advice });
            }
        };
        value::check(path, &key.kind, &value, At::One(&place), &mut |_, _| {}, &mut self.problems);
        if let Some((section, name)) = path.split_once('.') {
            let section = self.merged.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = section {
                section.insert(name.into(), value);
            }
        }
        self.overrides.push(Override { key: path.into(), place: place.clone() });
        self.places.insert(path.into(), place);
    }

    fn finish(mut self) -> Result<Config, ConfigError> {
        if !self.problems.is_empty() {
            return Err(ConfigError::Invalid(self.problems));
        }
        leave_out_empty(&mut self.merged, schema::sections());
        let config = Config::deserialize(Value::Table(self.merged)).map_err(|error| {
            ConfigError::Invalid(vec![Problem {
                place: Place::Default,
                what: error.message().to_owned(),
                advice: "see docs/configuration.md for what each key takes".into(),
            }])
        })?;
        let problems =
            rules::together(&config, |key| self.places.get(key).cloned().unwrap_or(Place::Default));
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(problems)) }
    }
}

/// An optional key that is empty counts as left out: a variable cannot be taken out of a unit file's environment
/// as easily as it is emptied.
fn leave_out_empty(table: &mut Table, keys: &[Key]) {
    table.retain(|name, value| {
        let Some(key) = keys.iter().find(|key| key.name == name) else { return true };
        match (&key.kind, &mut *value) {
            (Kind::Table(keys), Value::Table(inner)) => leave_out_empty(inner, keys),
            (Kind::List(element), Value::Array(values)) => {
                if let Kind::Table(keys) = element.as_ref() {
                    for inner in values.iter_mut().filter_map(Value::as_table_mut) {
                        leave_out_empty(inner, keys);
                    }
                }
            }
            _ => {}
        }
        !(key.optional && value.as_str() == Some(""))
    });
}

/// `video.width` is `P2PCAM_VIDEO_WIDTH`.
pub(super) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "_").to_uppercase())
}

/// Line and column (in characters) of a byte offset, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
