//! Reads property values as text. A property may be a text, an object with a name, a reference to such an object, or a
//! list of any of these.

use serde_json::Value;

use super::super::markup;
use super::graph::{Graph, Node};

/// Maximum depth to which values are followed.
const DEPTH_MAX: usize = 6;

/// Maximum number of values read of one property. Without a limit, a few nodes that refer to each other could expand to
/// a huge number.
const VALUES_MAX: usize = 10_000;

impl Graph<'_> {
    /// The first text of a value, on one line and without markup.
    pub(super) fn text(&self, value: &Value) -> Option<String> {
        self.texts(value).into_iter().next()
    }

    /// All texts of a value, each on one line and without markup. Empty ones are left out.
    pub(super) fn texts(&self, value: &Value) -> Vec<String> {
        let mut texts = Vec::new();
        self.collect(value, 0, &mut { VALUES_MAX }, &mut |text| texts.push(line(text)));
        texts.retain(|text| !text.is_empty());
        texts
    }

    /// The first of a value's texts that is not blank, as written.
    pub(super) fn raw_text(&self, value: &Value) -> Option<String> {
        let mut found = None;
        self.collect(value, 0, &mut { VALUES_MAX }, &mut |text| {
            if found.is_none() && !text.trim().is_empty() {
                found = Some(text.to_owned());
            }
        });
        found
    }

    /// Passes each text of a value to `found`. `values_left` is the number of values that may still be read.
    fn collect(&self, value: &Value, depth: usize, values_left: &mut usize, found: &mut dyn FnMut(&str)) {
        if depth > DEPTH_MAX || *values_left == 0 {
            return;
        }
        *values_left -= 1;
        match value {
            Value::String(text) => found(text),
            Value::Number(number) => found(&number.to_string()),
            Value::Array(items) => items.iter().for_each(|item| self.collect(item, depth + 1, values_left, found)),
            Value::Object(node) => {
                let node = self.described(node);
                let name = ["@value", "name", "alternateName"].iter().find_map(|key| node.get(*key));
                match name.filter(|value| !value.is_null()) {
                    Some(value) => self.collect(value, depth + 1, values_left, found),
                    None => found(&person(node).unwrap_or_default()),
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }
}

/// The name of a person that is stated as given name and family name.
fn person(node: &Node) -> Option<String> {
    let part = |key: &str| node.get(key).and_then(Value::as_str);
    match (part("givenName"), part("familyName")) {
        (Some(given), Some(family)) => Some(format!("{given} {family}")),
        (given, family) => given.or(family).map(str::to_owned),
    }
}

/// Removes markup from a text and joins its lines.
pub(super) fn line(text: &str) -> String {
    if markup::is_markup(text) { markup::text(text) } else { markup::one_line(&markup::unescape(text)) }
}
