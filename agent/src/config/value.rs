//! Values against the schema: what a key takes, and how a variable or flag is read as that.

use toml::{Spanned, Value, de::DeValue};

use super::{
    Place, Problem,
    problem::{did_you_mean, nearest},
    rules,
    schema::{self, Key, Kind},
};

/// Where a value and the values inside it stand.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    /// In a file: positions of everything inside, and how to turn a byte offset into a place.
    File(&'a Spanned<DeValue<'a>>, &'a dyn Fn(usize) -> Place),
    /// In a variable or flag.
    One(&'a Place),
}

impl<'a> At<'a> {
    pub(super) fn place(self) -> Place {
        match self {
            Self::File(value, place) => place(value.span().start),
            Self::One(place) => place.clone(),
        }
    }

    fn element(self, index: usize) -> Self {
        match self {
            Self::File(value, place) => match value.get_ref().as_array().and_then(|list| list.get(index)) {
                Some(element) => Self::File(element, place),
                None => self,
            },
            Self::One(_) => self,
        }
    }

    /// The place of a key in a table, and its value.
    fn entry(self, name: &str) -> (Place, Self) {
        match self {
            Self::File(table, place) => {
                match table.get_ref().as_table().and_then(|t| t.get_key_value(name)) {
                    Some((key, value)) => (place(key.span().start), Self::File(value, place)),
                    None => (self.place(), self),
                }
            }
            Self::One(place) => (place.clone(), self),
        }
    }
}

/// Checks `value` at `path` (`section.key`) against what it may be; each problem is pushed, and the place of each
/// `section.key` is handed to `seen`.
pub(super) fn check(
    path: &str,
    kind: &Kind,
    value: &Value,
    at: At<'_>,
    seen: &mut dyn FnMut(&str, Place),
    problems: &mut Vec<Problem>,
) {
    let mut refuse = |advice: String| {
        problems.push(Problem { place: at.place(), what: format!("`{path}` is {}", shown(value)), advice });
    };
    match (kind, value) {
        (Kind::Text, Value::String(text)) => {
            if let Err(advice) = rules::text(path, text) {
                refuse(advice);
            }
        }
        (Kind::Word(words), Value::String(word)) => {
            if !words.contains(&word.as_str()) {
                refuse(did_you_mean(word, words));
            }
        }
        (Kind::Bool, Value::Boolean(_)) => {}
        (Kind::Integer(min, max), Value::Integer(number)) => {
            let range = rules::range(path);
            let (min, max) = range.as_ref().map_or((*min, *max), |range| (range.min, range.max));
            let even = range.as_ref().is_some_and(|range| range.even);
            let unit = range.as_ref().map_or(String::new(), |range| format!(" {}", range.unit));
            if !(min..=max).contains(number) {
                refuse(format!("allowed is {min} to {max}{unit}"));
            } else if even && number % 2 != 0 {
                refuse(format!("give an even number, {} or {}", number - 1, number + 1));
            }
        }
        (Kind::List(element), Value::Array(values)) => {
            for (index, value) in values.iter().enumerate() {
                check(path, element, value, at.element(index), seen, problems);
            }
        }
        (Kind::Table(keys), Value::Table(table)) => {
            for (name, value) in table {
                let (key_place, value_at) = at.entry(name);
                let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match keys.iter().find(|key| key.name == name) {
                    Some(key) => {
                        seen(&inner, value_at.place());
                        check(&inner, &key.kind, value, value_at, seen, problems);
                    }
                    None => problems.push(unknown(path, keys, name, value, key_place)),
                }
            }
        }
        (Kind::Names(element), Value::Table(table)) => {
            for (name, value) in table {
                check(&format!("{path}.{name}"), element, value, at.entry(name).1, seen, problems);
            }
        }
        _ => refuse(format!("give {}", wanted(kind))),
    }
}

fn unknown(path: &str, keys: &[Key], name: &str, value: &Value, place: Place) -> Problem {
    let names: Vec<_> = keys.iter().map(|key| key.name).collect();
    let home = schema::paths()
        .find(|(_, key)| key.name == name)
        .and_then(|(path, _)| path.split_once('.').map(|(section, _)| section.to_owned()));
    if path.is_empty() && value.is_table() {
        let advice = match nearest(name, names.iter().copied()) {
            Some(section) => format!("did you mean [{section}]?"),
            None => format!("there is [{}]", names.join("], [")),
        };
        return Problem { place, what: format!("unknown section [{name}]"), advice };
    }
    let what = match path {
        "" => format!("unknown key `{name}` outside of any section"),
        _ => format!("unknown key `{name}` in [{path}]"),
    };
    let advice = match (nearest(name, names.iter().copied()), home) {
        (Some(key), _) => format!("did you mean `{key}`?"),
        (None, Some(section)) => format!("it belongs in [{section}]"),
        (None, None) if path.is_empty() => format!("put it in one of [{}]", names.join("], [")),
        (None, None) => did_you_mean(name, &names),
    };
    Problem { place, what, advice }
}

/// What a value of this kind looks like.
fn wanted(kind: &Kind) -> String {
    match kind {
        Kind::Text => "text in quotes".into(),
        Kind::Word(words) => format!("one of \"{}\"", words.join("\", \"")),
        Kind::Bool => "true or false, without quotes".into(),
        Kind::Integer(..) => "a whole number, without quotes".into(),
        Kind::List(element) => match element.as_ref() {
            Kind::Table(_) => "a list of tables, each under its own [[section.key]]".into(),
            _ => "a list, as in [\"one\", \"two\"]".into(),
        },
        Kind::Names(element) => format!("a table, each value {}", wanted(element)),
        Kind::Table(_) => "a section: a line with its name in [brackets], its keys below".into(),
    }
}

/// A value in a message: cut short, since a file may hold anything.
fn shown(value: &Value) -> String {
    const MAX_SHOWN: usize = 60;
    match value {
        Value::Table(_) => "a table".into(),
        Value::Array(_) => "a list".into(),
        value => {
            let text = value.to_string();
            match text.char_indices().nth(MAX_SHOWN) {
                Some((cut, _)) => format!("{}...", &text[..cut]),
                None => text,
            }
        }
    }
}

/// Reads the text of a variable or flag as a value of this kind.
///
/// Lists of texts are comma-separated (`a,b`) or TOML (`["a", "b"]`); lists of tables are TOML. The error is the
/// advice.
pub(super) fn read(kind: &Kind, text: &str) -> Result<Value, String> {
    let text_or_toml = |otherwise: &dyn Fn() -> Result<Value, String>| {
        if text.trim_start().starts_with(['[', '{']) {
            // `text` is one value: a line break could otherwise start another key.
            let table: toml::Table = format!("value = {text}")
                .parse()
                .map_err(|error: toml::de::Error| format!("not TOML: {}", error.message()))?;
            table
                .into_iter()
                .find(|(key, _)| key == "value")
                .map(|(_, value)| value)
                .ok_or_else(|| "not TOML".to_owned())
        } else {
            otherwise()
        }
    };
    match kind {
        Kind::Text | Kind::Word(_) => Ok(Value::String(text.into())),
        Kind::Bool => match text.trim() {
            "true" | "1" => Ok(Value::Boolean(true)),
            "false" | "0" => Ok(Value::Boolean(false)),
            _ => Err("give true or false".into()),
        },
        Kind::Integer(..) => {
            text.trim().parse().map(Value::Integer).map_err(|_| "give a whole number".to_owned())
        }
        Kind::List(element) if **element == Kind::Text => text_or_toml(&|| {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Ok(Value::Array(parts.map(|part| Value::String(part.into())).collect()))
        }),
        Kind::Names(_) => text_or_toml(&|| Err("give a TOML table, as in { brightness = 128 }".into())),
        Kind::List(_) | Kind::Table(_) => {
            text_or_toml(&|| Err("give a TOML list, as in [{ urls = [\"stun:stun.example.net\"] }]".into()))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn texts() -> Kind {
        Kind::List(Box::new(Kind::Text))
    }

    #[test]
    fn a_list_is_read_with_commas_or_as_toml() {
        let two: Value = Value::Array(vec!["a".into(), "b".into()]);
        assert_eq!(read(&texts(), "a, b").unwrap(), two);
        assert_eq!(read(&texts(), r#"["a", "b"]"#).unwrap(), two);
        assert_eq!(read(&texts(), "").unwrap(), Value::Array(Vec::new()));
        assert!(read(&texts(), r#"["a", "#).unwrap_err().starts_with("not TOML"));
    }

    #[test]
    fn a_table_of_names_is_read_as_toml() {
        let names = Kind::Names(Box::new(Kind::Integer(0, 9)));
        assert_eq!(read(&names, "{ gain = 3 }").unwrap().get("gain"), Some(&Value::Integer(3)));
        assert!(read(&names, "gain=3").unwrap_err().contains("{ brightness = 128 }"));
    }

    #[test]
    fn numbers_and_switches_are_read_or_refused() {
        assert_eq!(read(&Kind::Integer(0, 9), " 5 ").unwrap(), Value::Integer(5));
        assert_eq!(read(&Kind::Integer(0, 9), "five").unwrap_err(), "give a whole number");
        assert_eq!(read(&Kind::Bool, "1").unwrap(), Value::Boolean(true));
        assert_eq!(read(&Kind::Bool, "maybe").unwrap_err(), "give true or false");
    }

    #[test]
    fn a_long_value_is_cut_in_messages_at_a_character() {
        let text = shown(&Value::String("ü".repeat(500)));
        assert!(text.ends_with("...") && text.chars().count() < 70, "{text}");
    }
}
