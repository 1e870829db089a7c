//! Gives access to the properties of an item in any version of ninjs.

use serde_json::{Map, Value};

use super::super::markup;

/// A JSON object in ninjs: an item, an association, or a part of either.
#[derive(Clone, Copy)]
pub(super) struct NinjsObject<'v> {
    fields: &'v Map<String, Value>,
}

impl<'v> NinjsObject<'v> {
    pub(super) fn of(fields: &'v Map<String, Value>) -> Self {
        Self { fields }
    }

    /// The value of a property, found without regard to case. `null` counts as absent.
    pub(super) fn value(self, name: &str) -> Option<&'v Value> {
        let any_case = || self.fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        self.fields.get(name).or_else(any_case).filter(|value| !value.is_null())
    }

    /// The names of all properties whose value is not `null`.
    pub(super) fn names(self) -> impl Iterator<Item = &'v str> {
        self.fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name.as_str())
    }

    /// The text of the first of these properties that is not empty, on one line; empty if all are. Numbers count as
    /// text.
    pub(super) fn text(self, names: &[&str]) -> String {
        let texts = names.iter().filter_map(|name| {
            let value = self.value(name)?;
            value.as_str().map(line).or_else(|| value.as_number().map(ToString::to_string))
        });
        texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// The text of a property, unchanged; `None` if it is blank.
    pub(super) fn raw_text(self, name: &str) -> Option<&'v str> {
        self.value(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
    }

    /// The objects of the first of these properties that contains any: the elements of an array or, in version 1, the
    /// values of an object.
    pub(super) fn objects(self, names: &[&str]) -> Vec<NinjsObject<'v>> {
        let objects = names.iter().filter_map(|name| {
            let value = self.value(name)?;
            let named = || value.as_object().map(|named| named.values().filter_map(Value::as_object).collect());
            let items = value.as_array().map(|items| items.iter().filter_map(Value::as_object).collect());
            items.or_else(named).map(|objects: Vec<_>| objects.into_iter().map(NinjsObject::of).collect())
        });
        objects.into_iter().find(|objects: &Vec<_>| !objects.is_empty()).unwrap_or_default()
    }

    /// The type of the item, in lower case.
    pub(super) fn kind(self) -> String {
        self.text(&["type"]).to_ascii_lowercase()
    }

    /// The text properties of version 1 whose names begin with `prefix`, as pairs of the rest of the name and the text.
    pub(super) fn prefixed(self, prefix: &str) -> impl Iterator<Item = (&'v str, &'v str)> {
        self.fields.iter().filter_map(move |(name, value)| {
            let start = name.get(..prefix.len()).filter(|start| start.eq_ignore_ascii_case(prefix))?;
            Some((name.get(start.len()..)?, value.as_str()?))
        })
    }
}

/// Reduces a text to one line without markup.
pub(super) fn line(text: &str) -> String {
    if markup::is_markup(text) { markup::text(text) } else { markup::one_line(&markup::unescape(text)) }
}
