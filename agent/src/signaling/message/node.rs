//! A value in a message, with its place: path for the field's name, offset for the line.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Refusal, code, lenient::Text, refusal::quote};

/// One JSON value somewhere in a message. Parsed one level at a time, when asked.
#[derive(Clone)]
pub(super) struct Node<'a> {
    text: &'a Text,
    raw: &'a str,
    path: String,
}

/// The members of an object. Keys that nobody asks for are left alone.
pub(super) type Members<'a> = BTreeMap<String, Node<'a>>;

impl<'a> Node<'a> {
    /// The whole message.
    pub(super) fn root(text: &'a Text) -> Result<Self, Refusal> {
        let raw: &RawValue = serde_json::from_str(text.json()).map_err(|e| text.syntax(&e))?;
        Ok(Self { text, raw: raw.get(), path: String::new() })
    }

    /// "`connect.stun.port` (line 3)".
    pub(super) fn name(&self) -> String {
        if self.path.is_empty() {
            format!("the message (line {})", self.line())
        } else {
            format!("`{}` (line {})", self.path, self.line())
        }
    }

    /// Line of the original on which the value starts, from 1.
    pub(super) fn line(&self) -> usize {
        // `raw` is a slice of the text, so the difference of the addresses is its offset.
        self.text.line_at(self.raw.as_ptr().addr().saturating_sub(self.text.json().as_ptr().addr()))
    }

    /// A refusal that names this value: `what` follows the name.
    pub(super) fn refuse(&self, code: &'static str, what: impl fmt::Display) -> Refusal {
        Refusal::new(code, format!("{} {what}", self.name()))
    }

    /// JSON's `null`.
    pub(super) fn is_null(&self) -> bool {
        self.raw == "null"
    }

    /// Starts with a quote.
    pub(super) fn is_string(&self) -> bool {
        self.raw.starts_with('"')
    }

    /// Starts with a brace.
    pub(super) fn is_object(&self) -> bool {
        self.raw.starts_with('{')
    }

    /// Starts with a bracket.
    pub(super) fn is_array(&self) -> bool {
        self.raw.starts_with('[')
    }

    /// The members; a key that comes twice is refused, since readers differ in which one counts.
    pub(super) fn object(&self) -> Result<Members<'a>, Refusal> {
        if !self.is_object() {
            return Err(self.refuse(code::MALFORMED, format!("is {}; send an object", self.sort())));
        }
        let Entries(entries) = serde_json::from_str(self.raw).map_err(|e| self.unreadable(&e))?;
        let mut members = Members::new();
        for (key, raw) in entries {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            let node = Self { text: self.text, raw: raw.get(), path };
            if members.contains_key(&key) {
                let message =
                    format!("line {}: the key {} comes twice; send it once", node.line(), quote(&key));
                return Err(Refusal::new(code::MALFORMED, message));
            }
            members.insert(key, node);
        }
        Ok(members)
    }

    /// The elements of an array.
    pub(super) fn array(&self) -> Result<Vec<Self>, Refusal> {
        if !self.is_array() {
            return Err(self.refuse(code::MALFORMED, format!("is {}; send an array", self.sort())));
        }
        let raws: Vec<&RawValue> = serde_json::from_str(self.raw).map_err(|e| self.unreadable(&e))?;
        let element = |(i, raw): (usize, &'a RawValue)| Self {
            text: self.text,
            raw: raw.get(),
            path: format!("{}[{i}]", self.path),
        };
        Ok(raws.into_iter().enumerate().map(element).collect())
    }

    /// A string.
    pub(super) fn string(&self) -> Result<String, Refusal> {
        if !self.is_string() {
            return Err(self.refuse(code::MALFORMED, format!("is {}; send a string", self.sort())));
        }
        serde_json::from_str(self.raw).map_err(|e| self.unreadable(&e))
    }

    /// A string, or a number taken as its digits.
    pub(super) fn string_or_number(&self) -> Result<String, Refusal> {
        if self.raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            return Ok(self.raw.to_owned());
        }
        self.string()
    }

    /// A number from 0 to 65535, or a string with one.
    pub(super) fn u16(&self) -> Result<u16, Refusal> {
        let text = self.string_or_number()?;
        text.trim().parse().map_err(|_| {
            self.refuse(code::MALFORMED, format!("is {}; send a number from 0 to 65535", quote(&text)))
        })
    }

    /// A UDP port.
    pub(super) fn port(&self) -> Result<u16, Refusal> {
        match self.u16()? {
            0 => Err(self.refuse(code::MALFORMED, "is 0; send the server's UDP port, from 1 to 65535")),
            port => Ok(port),
        }
    }

    /// An IP address or a host name.
    pub(super) fn host(&self) -> Result<String, Refusal> {
        let host = self.string()?;
        let host = host.trim();
        if is_host(host) {
            return Ok(host.to_owned());
        }
        let what = format!("is {}; send an IP address or a host name", quote(host));
        Err(self.refuse(code::MALFORMED, what))
    }

    fn unreadable(&self, error: &serde_json::Error) -> Refusal {
        let said = error.to_string();
        let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(what, _)| what);
        self.refuse(code::MALFORMED, format!("cannot be read: {said}"))
    }

    /// What the value is, in words.
    fn sort(&self) -> &'static str {
        match self.raw.as_bytes().first() {
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b'"') => "a string",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            _ => "a number",
        }
    }
}

/// True for an IP address or what can be a host name (RFC 1123 section 2.1, with underscores as seen in the field).
pub(super) fn is_host(host: &str) -> bool {
    let name = (1..=253).contains(&host.len())
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    name || host.parse::<IpAddr>().is_ok()
}

struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}
