//! Walks through the tables of a TOML file: values by key, each refused with its place if it is not what it should be.

use std::{
    ops::{Range, RangeInclusive},
    time::Duration,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    keys::{self, Keys},
    problem::{Trouble, nearest, shown},
    units,
};

/// What is wrong so far, each with its bytes in the file.
#[derive(Debug, Default)]
pub(super) struct Notes {
    list: Vec<(Range<usize>, Trouble)>,
}

impl Notes {
    pub(super) fn add(&mut self, span: Range<usize>, trouble: Trouble) {
        self.list.push((span, trouble));
    }

    /// How many there are: a reader that leaves it as it was has read everything.
    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    /// In the order of the file.
    pub(super) fn in_order(mut self) -> Vec<(Range<usize>, Trouble)> {
        self.list.sort_by_key(|(span, _)| (span.start, span.end));
        self.list
    }
}

/// A value of the file with its place.
pub(super) type Node<'a> = &'a Spanned<DeValue<'a>>;

/// A table of the file, with the keys that it may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    table: &'a DeTable<'a>,
    start: usize,
    end: usize,
    keys: &'static Keys,
}

impl<'a> Section<'a> {
    /// The file itself.
    pub(super) fn top(notes: &mut Notes, table: &'a DeTable<'a>, keys: &'static Keys) -> Self {
        let section = Self { table, start: 0, end: 0, keys };
        section.refuse_unknown(notes);
        section
    }

    /// A value that must be a table; its unknown keys are refused.
    pub(super) fn of(notes: &mut Notes, what: &str, node: Node<'a>, keys: &'static Keys) -> Option<Self> {
        let Some(table) = node.get_ref().as_table() else {
            let list: Vec<_> = keys.keys.iter().map(|key| format!("`{key}`")).collect();
            let trouble = Trouble::new(format!("{what} is {}, not a table", sort(node)))
                .allowed(format!("a table with {}", list.join(", ")));
            notes.add(node.span(), trouble);
            return None;
        };
        let section = Self { table, start: node.span().start, end: node.span().end, keys };
        section.refuse_unknown(notes);
        Some(section)
    }

    fn refuse_unknown(&self, notes: &mut Notes) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if self.keys.keys.contains(&name) {
                continue;
            }
            let trouble = Trouble::new(format!("unknown key `{}` in {}", shown(name), self.keys.name))
                .allowed(self.keys.keys.join(", "));
            let trouble = match (nearest(name, self.keys.keys.iter().copied()), keys::home(name)) {
                (Some(near), _) => trouble.hint(format!("did you mean `{near}`?")),
                (None, Some(home)) => trouble.hint(format!("it belongs in {home}")),
                (None, None) => trouble,
            };
            notes.add(key.span(), trouble);
        }
    }

    /// Where its header stands.
    pub(super) fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Where a key's value stands, or the header if the key is not there.
    pub(super) fn place(&self, key: &str) -> Range<usize> {
        self.node(key).map_or_else(|| self.span(), Spanned::span)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.node(key).is_some()
    }

    /// The keys that are there and may be.
    pub(super) fn present(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.keys.keys.iter().copied().filter(|key| self.has(key))
    }

    pub(super) fn node(&self, key: &str) -> Option<Node<'a>> {
        debug_assert!(self.keys.keys.contains(&key), "`{key}` is not listed for {}", self.keys.name);
        self.table.get(key)
    }

    /// Says that a key must be there.
    pub(super) fn missing(&self, notes: &mut Notes, key: &str, hint: impl Into<String>) {
        notes.add(self.span(), Trouble::new(format!("`{key}` is missing in {}", self.keys.name)).hint(hint));
    }

    pub(super) fn text(&self, notes: &mut Notes, key: &str) -> Option<&'a str> {
        text(notes, key, self.node(key)?)
    }

    /// A text that is read by a function.
    pub(super) fn read<T>(
        &self,
        notes: &mut Notes,
        key: &str,
        form: &str,
        read: impl Fn(&str) -> Result<T, Trouble>,
    ) -> Option<T> {
        parsed(notes, key, self.node(key)?, form, read)
    }

    /// A time within limits.
    pub(super) fn time(
        &self,
        notes: &mut Notes,
        key: &str,
        limits: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.read(notes, key, units::TIME_FORM, |text| {
            let time = units::time(text)?;
            if limits.contains(&time) {
                return Ok(time);
            }
            let (least, most) = (units::shown(*limits.start()), units::shown(*limits.end()));
            Err(Trouble::new(format!("{text:?} is out of range")).allowed(format!("{least} to {most}")))
        })
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&self, notes: &mut Notes, key: &str, words: &[(&str, T)]) -> Option<T> {
        word(notes, key, self.node(key)?, words)
    }

    pub(super) fn switch(&self, notes: &mut Notes, key: &str) -> Option<bool> {
        let node = self.node(key)?;
        let value = node.get_ref().as_bool();
        if value.is_none() {
            refuse(notes, key, node, "true or false, without quotes");
        }
        value
    }

    /// A whole number within limits.
    pub(super) fn whole(&self, notes: &mut Notes, key: &str, limits: RangeInclusive<i64>) -> Option<i64> {
        let node = self.node(key)?;
        let allowed = format!("a whole number from {} to {}", limits.start(), limits.end());
        let number = node.get_ref().as_integer().map(|n| i64::from_str_radix(n.as_str(), n.radix()));
        match number {
            Some(Ok(number)) if limits.contains(&number) => Some(number),
            Some(_) => {
                let what = format!("`{key}` is out of range");
                notes.add(node.span(), Trouble::new(what).allowed(allowed));
                None
            }
            None => {
                refuse(notes, key, node, &allowed);
                None
            }
        }
    }

    /// The elements of a list; none if the key is not there.
    pub(super) fn list(&self, notes: &mut Notes, key: &str, of: &str) -> Vec<Node<'a>> {
        let Some(node) = self.node(key) else { return Vec::new() };
        match node.get_ref().as_array() {
            Some(list) => list.iter().collect(),
            None => {
                refuse(notes, key, node, &format!("a list of {of}"));
                Vec::new()
            }
        }
    }

    /// The table under a key.
    pub(super) fn section(&self, notes: &mut Notes, key: &str, keys: &'static Keys) -> Option<Section<'a>> {
        Section::of(notes, &format!("`{key}`"), self.node(key)?, keys)
    }
}

/// What a value must be if it is text.
pub(super) fn text<'a>(notes: &mut Notes, key: &str, node: Node<'a>) -> Option<&'a str> {
    let text = node.get_ref().as_str();
    if text.is_none() {
        refuse(notes, key, node, "text in quotes");
    }
    text
}

/// What a value must be if it is a text of a certain form.
pub(super) fn parsed<T>(
    notes: &mut Notes,
    key: &str,
    node: Node<'_>,
    form: &str,
    read: impl Fn(&str) -> Result<T, Trouble>,
) -> Option<T> {
    let Some(text) = node.get_ref().as_str() else {
        refuse(notes, key, node, form);
        return None;
    };
    match read(text) {
        Ok(value) => Some(value),
        Err(trouble) => {
            notes.add(node.span(), trouble.of(key));
            None
        }
    }
}

/// What a value must be if it is one of some words.
pub(super) fn word<T: Copy>(notes: &mut Notes, key: &str, node: Node<'_>, words: &[(&str, T)]) -> Option<T> {
    let names = || words.iter().map(|(name, _)| *name);
    let allowed = names().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    parsed(notes, key, node, &allowed, |text| {
        words.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
            Trouble::new(format!("there is no \"{}\"", shown(text)))
                .allowed(allowed.clone())
                .meant(text, names())
        })
    })
}

fn refuse(notes: &mut Notes, key: &str, node: Node<'_>, allowed: &str) {
    let trouble = Trouble::new(format!("`{key}` is {}", sort(node))).allowed(allowed);
    notes.add(node.span(), trouble);
}

/// What sort of value it is.
pub(super) fn sort(node: Node<'_>) -> &'static str {
    match node.get_ref() {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a number without a unit or quotes",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
