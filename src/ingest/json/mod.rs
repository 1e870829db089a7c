//! Parses JSON from other systems, for the formats that are based on it. Valid JSON is used as it is. Other JSON is
//! repaired if only one reading is possible, and otherwise rejected with the position of the first mistake.
//!
//! serde_json limits the depth, and this module the number of values.

mod repair;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::IngestError;

/// The maximum number of values. A long article has a few hundred.
const VALUES_MAX: usize = 500_000;

/// Parses JSON, and repairs it if that is necessary and possible.
pub(super) fn parse(text: &str) -> Result<Value, IngestError> {
    let repaired = || parse_strictly(&repair::repair(text)).ok();
    parse_strictly(text).or_else(|mistake| repaired().ok_or(mistake))
}

fn parse_strictly(text: &str) -> Result<Value, IngestError> {
    // Each value but the first follows one of these. Those within strings are counted as well, which matters little at
    // this limit.
    let values = text.bytes().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{')).count();
    if values > VALUES_MAX {
        let reason = format!("it has up to {values} values; the limit is {VALUES_MAX}");
        return Err(IngestError::NoArticle { reason });
    }
    serde_json::from_str(text).map_err(|error| IngestError::JsonSyntax {
        line: error.line(),
        column: error.column(),
        reason: reason(&error),
    })
}

/// The reason without the position, for which [`IngestError::JsonSyntax`] has separate fields.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or_else(|| text.clone(), |(reason, _)| reason.to_owned())
}

/// The field names, in order and as far as they can be read, of the object in the text or, if the text is an array, of
/// the array's first element.
pub(super) fn field_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // Reading ends at the first mistake; the names before it remain.
    let _ = FieldNames(&mut names).deserialize(&mut deserializer);
    names
}

struct FieldNames<'n>(&'n mut Vec<String>);

impl<'de> DeserializeSeed<'de> for FieldNames<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldNames<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        const NAMES_MAX: usize = 1_000;
        while let Some(name) = fields.next_key::<String>()? {
            if self.0.len() < NAMES_MAX {
                self.0.push(name);
            }
            fields.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        items.next_element_seed(self)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_are_read_up_to_the_first_mistake() {
        for (text, names) in [
            (r#"{"a": [{"x": 1}], "b": 2}"#, "a b"),
            (r#"[{"a": 1}, {"b": 2}]"#, "a"),
            (r#"{"a": 1, "b": 2,}"#, "a b"),
            (r#"{"a": 1 "b": 2}"#, "a"),
            ("[Update] Ferry returns", ""),
            ("[]", ""),
            ("", ""),
        ] {
            assert_eq!(field_names(text).join(" "), names, "{text:?}");
        }
        assert_eq!(field_names(&"[".repeat(100_000)), [""; 0]);
    }

    #[test]
    fn a_mistake_is_reported_with_its_position() {
        let error = parse("{\n  \"a\": b\n}").unwrap_err();
        assert_eq!(error.to_string(), "line 2, column 8: expected value");
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(matches!(parse(&format!("[{}0]", "0,".repeat(VALUES_MAX))), Err(IngestError::NoArticle { .. })));
    }
}
