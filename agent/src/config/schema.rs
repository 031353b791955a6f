//! The keys of `agent.toml` and their types, read off the structs themselves.
//!
//! A serde deserializer that holds no data walks through [`Config`]: each struct asks it for its fields, each
//! field for a value of its type, and it writes down what was asked.

use std::sync::OnceLock;

use serde::{
    Deserialize,
    de::{
        self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
        value::{Error, StrDeserializer},
    },
    forward_to_deserialize_any,
};

use super::Config;

/// What a key takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `"..."`
    Text,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Bool,
    /// A whole number from the first to the second, both included.
    Integer(i64, i64),
    /// `[ ... ]`
    List(Box<Kind>),
    /// A section, or each table of a list of tables.
    Table(Vec<Key>),
    /// A table whose keys are no words of ours but names, all of one kind.
    Names(Box<Kind>),
}

/// A key and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// As written in the file.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether leaving it out means something else than its default value.
    pub optional: bool,
}

/// The sections of `agent.toml`, each a [`Kind::Table`].
pub fn sections() -> &'static [Key] {
    static SECTIONS: OnceLock<Vec<Key>> = OnceLock::new();
    SECTIONS.get_or_init(|| match kind_of::<Config>() {
        Kind::Table(keys) => keys,
        other => unreachable!("the configuration is a struct, not {other:?}"),
    })
}

/// All keys as `section.key`, in the order of the structs.
pub fn paths() -> impl Iterator<Item = (String, &'static Key)> {
    sections().iter().flat_map(|section| match &section.kind {
        Kind::Table(keys) => keys.iter().map(|key| (format!("{}.{}", section.name, key.name), key)).collect(),
        _ => Vec::new(),
    })
}

fn kind_of<T: for<'de> Deserialize<'de>>() -> Kind {
    let mut noted = Noted::default();
    if let Err(error) = T::deserialize(Probe(&mut noted)) {
        // A key whose type refuses an empty value cannot be described; the test below finds it.
        debug_assert!(false, "a configuration type cannot be probed: {error}");
    }
    noted.kind.unwrap_or(Kind::Table(Vec::new()))
}

#[derive(Default)]
struct Noted {
    kind: Option<Kind>,
    optional: bool,
}

/// The deserializer without data.
struct Probe<'a>(&'a mut Noted);

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            // TOML's integers are 64-bit and signed.
            let max = i64::try_from(<$type>::MAX).unwrap_or(i64::MAX);
            self.0.kind = Some(Kind::Integer(i64::try_from(<$type>::MIN).unwrap_or(i64::MIN), max));
            visitor.$visit(0)
        }
    )*};
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    integers! {
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("not a type that agent.toml has"))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.kind = Some(Kind::Bool);
        visitor.visit_bool(false)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.kind = Some(Kind::Text);
        visitor.visit_str("")
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.optional = true;
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut element = Noted::default();
        let value = visitor.visit_seq(One(Some(&mut element)))?;
        self.0.kind = element.kind.map(|kind| Kind::List(Box::new(kind)));
        Ok(value)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut keys = Vec::new();
        let value = visitor.visit_map(Fields { left: &["name"], keys: &mut keys })?;
        self.0.kind = keys.pop().map(|key| Kind::Names(Box::new(key.kind)));
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut keys = Vec::new();
        let value = visitor.visit_map(Fields { left: fields, keys: &mut keys })?;
        self.0.kind = Some(Kind::Table(keys));
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.kind = Some(Kind::Word(variants));
        let first: StrDeserializer<'_, Error> = variants.first().copied().unwrap_or("").into_deserializer();
        visitor.visit_enum(first)
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// Offers each field of a struct once.
struct Fields<'a> {
    left: &'static [&'static str],
    keys: &'a mut Vec<Key>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        match self.left.first() {
            Some(name) => {
                let name: StrDeserializer<'_, Error> = (*name).into_deserializer();
                seed.deserialize(name).map(Some)
            }
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((name, left)) = self.left.split_first() else {
            return Err(de::Error::custom("value asked for before its key"));
        };
        self.left = left;
        let mut noted = Noted::default();
        let value = seed.deserialize(Probe(&mut noted))?;
        let kind = noted.kind.ok_or_else(|| de::Error::custom(format!("`{name}` has no type")))?;
        self.keys.push(Key { name, kind, optional: noted.optional });
        Ok(value)
    }
}

/// A list of one element.
struct One<'a>(Option<&'a mut Noted>);

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.take().map(|noted| seed.deserialize(Probe(noted))).transpose()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn kind(path: &str) -> (Kind, bool) {
        let (_, key) = paths().find(|(p, _)| p == path).unwrap();
        (key.kind.clone(), key.optional)
    }

    #[test]
    fn each_type_of_key_is_recognised() {
        assert_eq!(kind("video.width"), (Kind::Integer(0, u32::MAX.into()), false));
        assert_eq!(kind("ice.port"), (Kind::Integer(0, u16::MAX.into()), false));
        assert_eq!(kind("ice.loopback"), (Kind::Bool, false));
        let number = Kind::Integer(i64::MIN, i64::MAX);
        assert_eq!(kind("video.controls"), (Kind::Names(Box::new(number)), false));
        assert_eq!(kind("ice.policy"), (Kind::Word(&["all", "relay", "host"]), false));
        assert_eq!(kind("device.state_dir"), (Kind::Text, true));
        assert_eq!(kind("hub.stun"), (Kind::List(Box::new(Kind::Text)), false));
        let (Kind::List(server), _) = kind("ice.servers") else { panic!("a list") };
        let Kind::Table(keys) = *server else { panic!("of tables") };
        assert_eq!(keys.iter().map(|key| key.name).collect::<Vec<_>>(), ["urls", "username", "credential"]);
    }

    #[test]
    fn no_key_of_the_default_configuration_is_missing() {
        let defaults = toml::Table::try_from(Config::default()).unwrap();
        let known: Vec<_> = paths().map(|(path, _)| path).collect();
        for (section, keys) in &defaults {
            for key in keys.as_table().unwrap().keys() {
                assert!(known.contains(&format!("{section}.{key}")), "{section}.{key}");
            }
        }
    }
}
