//! Values as Python prints them: labgrid-client shows resources in no other way (`pprint` of a dictionary).

use serde_json::{Map, Value};

/// Deeper than labgrid's own, which are three deep; what is deeper is not of labgrid.
const DEEPEST: usize = 16;

/// Why a text is no such value: what was wanted, and where, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} is missing at byte {at}")]
pub struct LiteralError {
    /// What should stand there.
    pub wanted: &'static str,
    /// Where.
    pub at: usize,
}

/// Reads a literal of Python (The Python Language Reference, section 2.4 and 6.2): dictionaries with strings as keys,
/// lists and tuples (both as arrays), strings, numbers, `True`, `False` and `None`. Strings that follow each other are
/// one, as `pprint` breaks long ones.
///
/// # Errors
/// It is none of these, or something follows it.
pub fn read(text: &str) -> Result<Value, LiteralError> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.blank();
    if reader.at < text.len() { reader.fail("the end") } else { Ok(value) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn fail<T>(&self, wanted: &'static str) -> Result<T, LiteralError> {
        Err(LiteralError { wanted, at: self.at })
    }

    fn blank(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, word: &str) -> bool {
        self.blank();
        let there = self.rest().starts_with(word);
        if there {
            self.at += word.len();
        }
        there
    }

    fn value(&mut self, depth: usize) -> Result<Value, LiteralError> {
        if depth > DEEPEST {
            return self.fail("a value that is less deep");
        }
        self.blank();
        match self.rest().chars().next() {
            Some('{') => self.dictionary(depth),
            Some('[') => self.list("[", "]", depth),
            Some('(') => self.list("(", ")", depth),
            Some('\'' | '"') => self.strings(),
            Some('0'..='9' | '-' | '+' | '.') => self.number(),
            _ if self.take("True") => Ok(Value::Bool(true)),
            _ if self.take("False") => Ok(Value::Bool(false)),
            _ if self.take("None") => Ok(Value::Null),
            _ => self.fail("a value"),
        }
    }

    fn dictionary(&mut self, depth: usize) -> Result<Value, LiteralError> {
        let mut map = Map::new();
        self.take("{");
        while !self.take("}") {
            let Value::String(key) = self.strings()? else { return self.fail("a name") };
            if !self.take(":") {
                return self.fail("a colon");
            }
            map.insert(key, self.value(depth + 1)?);
            if !self.take(",") && !self.rest().starts_with('}') {
                return self.fail("a comma or }");
            }
        }
        Ok(Value::Object(map))
    }

    fn list(&mut self, open: &str, close: &'static str, depth: usize) -> Result<Value, LiteralError> {
        let mut values = Vec::new();
        let mut commas = 0;
        self.take(open);
        while !self.take(close) {
            values.push(self.value(depth + 1)?);
            if self.take(",") {
                commas += 1;
            } else if !self.rest().starts_with(close) {
                return self.fail("a comma or the end of the list");
            }
        }
        // A value in brackets is no tuple.
        match values.pop() {
            Some(only) if close == ")" && values.is_empty() && commas == 0 => Ok(only),
            last => {
                values.extend(last);
                Ok(Value::Array(values))
            }
        }
    }

    fn strings(&mut self) -> Result<Value, LiteralError> {
        let mut text = String::new();
        self.blank();
        if !self.rest().starts_with(['\'', '"']) {
            return self.fail("a string");
        }
        loop {
            self.blank();
            let Some(quote) = self.rest().chars().next().filter(|c| matches!(c, '\'' | '"')) else { break };
            self.at += 1;
            self.string(quote, &mut text)?;
        }
        Ok(Value::String(text))
    }

    fn string(&mut self, quote: char, text: &mut String) -> Result<(), LiteralError> {
        loop {
            let Some(c) = self.rest().chars().next() else { return self.fail("the end of a string") };
            self.at += c.len_utf8();
            match c {
                '\\' => text.push(self.escape()?),
                _ if c == quote => return Ok(()),
                _ => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, LiteralError> {
        let Some(c) = self.rest().chars().next() else { return self.fail("an escape") };
        self.at += c.len_utf8();
        match c {
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            '\\' | '\'' | '"' => Ok(c),
            'x' => self.code(2),
            'u' => self.code(4),
            'U' => self.code(8),
            _ => self.fail("an escape that Python prints"),
        }
    }

    fn code(&mut self, digits: usize) -> Result<char, LiteralError> {
        let found = self.rest().get(..digits).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = found.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let Some(c) = code.and_then(char::from_u32) else { return self.fail("the code of a character") };
        self.at += digits;
        Ok(c)
    }

    fn number(&mut self) -> Result<Value, LiteralError> {
        let rest = self.rest();
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E' | '_'));
        let word = &rest[..end.unwrap_or(rest.len())];
        let number = match word.parse::<i64>() {
            Ok(whole) => Some(Value::from(whole)),
            Err(_) => word.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::Number),
        };
        let length = word.len();
        let Some(number) = number else { return self.fail("a number") };
        self.at += length;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resource_as_labgrid_client_shows_it() {
        let text = "{'acquired': 'bench',\n   'avail': True,\n   'cls': 'NetworkSerialPort',\n   'params': {'extra': \
                    {'proxy': 'a.example',\n                        'proxy_required': False},\n              'host': \
                    \"the 'host'\",\n              'port': 4001,\n              'speed': None}}";
        let wanted = json!({
            "acquired": "bench", "avail": true, "cls": "NetworkSerialPort",
            "params": {"extra": {"proxy": "a.example", "proxy_required": false}, "host": "the 'host'", "port": 4001, "speed": null},
        });
        assert_eq!(read(text), Ok(wanted));
    }

    #[test]
    fn long_strings_are_broken_into_several_in_brackets() {
        assert_eq!(
            read("{'a': ('one '\n       'two'), 'b': ('x',)}"),
            Ok(json!({"a": "one two", "b": ["x"]}))
        );
    }

    #[test]
    fn an_error_tells_where() {
        assert_eq!(read("{'a' 1}"), Err(LiteralError { wanted: "a colon", at: 5 }));
        assert_eq!(read("[1] 2"), Err(LiteralError { wanted: "the end", at: 4 }));
        assert!(read(&"[".repeat(100_000)).is_err());
    }

    /// As Python's `repr` writes.
    fn repr(value: &Value) -> String {
        match value {
            Value::Null => "None".into(),
            Value::Bool(true) => "True".into(),
            Value::Bool(false) => "False".into(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => quoted(text),
            Value::Array(values) => format!("[{}]", values.iter().map(repr).collect::<Vec<_>>().join(", ")),
            Value::Object(map) => {
                let pairs = map.iter().map(|(key, value)| format!("{}: {}", quoted(key), repr(value)));
                format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn quoted(text: &str) -> String {
        let escaped = text.chars().map(|c| match c {
            '\'' | '\\' => format!("\\{c}"),
            '\n' => "\\n".into(),
            c if c.is_control() => format!("\\U{:08x}", u32::from(c)),
            c => c.to_string(),
        });
        format!("'{}'", escaped.collect::<String>())
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".*", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_python_writes_is_read(value in values()) {
            prop_assert_eq!(read(&repr(&value)), Ok(value));
        }

        #[test]
        fn no_text_panics(text in ".*", ) {
            let _ = read(&text);
        }

        #[test]
        fn no_text_of_its_signs_panics(text in r#"[\[\](){}:,'"\\xU0-9a-fTruNone .é-]{0,40}"#) {
            let _ = read(&text);
        }
    }
}
