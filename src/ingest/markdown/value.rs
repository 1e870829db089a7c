//! The values of front matter, the same for YAML and TOML.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value of front matter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum FrontValue {
    Null,
    /// A string, or a number, boolean or date as text.
    Text(String),
    List(Vec<FrontValue>),
    /// The entries in order. A key may occur more than once.
    Map(Vec<(String, FrontValue)>),
}

impl FrontValue {
    /// The text of this value, trimmed; `None` if it is empty or not a text.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The texts of a list, or the single text. A map counts as the text of its entry `name`.
    pub(super) fn texts(&self) -> Vec<String> {
        match self {
            Self::List(items) => items.iter().filter_map(Self::named).collect(),
            Self::Null | Self::Text(_) | Self::Map(_) => self.named().into_iter().collect(),
        }
    }

    fn named(&self) -> Option<String> {
        match self {
            Self::Map(entries) => entries.iter().find(|(key, _)| key == "name").and_then(|(_, value)| value.text()),
            Self::Null | Self::Text(_) | Self::List(_) => self.text(),
        }
    }
}

impl From<toml::Value> for FrontValue {
    fn from(value: toml::Value) -> Self {
        match value {
            toml::Value::String(text) => Self::Text(text),
            toml::Value::Integer(number) => Self::Text(number.to_string()),
            toml::Value::Float(number) => Self::Text(number.to_string()),
            toml::Value::Boolean(truth) => Self::Text(truth.to_string()),
            toml::Value::Datetime(time) => Self::Text(time.to_string()),
            toml::Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            toml::Value::Table(table) => {
                Self::Map(table.into_iter().map(|(key, value)| (key, Self::from(value))).collect())
            }
        }
    }
}

impl<'de> Deserialize<'de> for FrontValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = FrontValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<FrontValue, E> {
        Ok(FrontValue::Null)
    }

    fn visit_none<E>(self) -> Result<FrontValue, E> {
        Ok(FrontValue::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<FrontValue, D::Error> {
        FrontValue::deserialize(deserializer)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<FrontValue, E> {
        Ok(FrontValue::Text(truth.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<FrontValue, E> {
        Ok(FrontValue::Text(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<FrontValue, E> {
        Ok(FrontValue::Text(number.to_string()))
    }

    fn visit_i128<E>(self, number: i128) -> Result<FrontValue, E> {
        Ok(FrontValue::Text(number.to_string()))
    }

    fn visit_u128<E>(self, number: u128) -> Result<FrontValue, E> {
        Ok(FrontValue::Text(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<FrontValue, E> {
        Ok(FrontValue::Text(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<FrontValue, E> {
        Ok(FrontValue::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<FrontValue, E> {
        Ok(FrontValue::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<FrontValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(FrontValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<FrontValue, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<FrontValue, FrontValue>()? {
            map.push((key.text().unwrap_or_default(), value));
        }
        Ok(FrontValue::Map(map))
    }
}
