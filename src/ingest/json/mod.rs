//! JSON as others write it, for the formats that are made of it. What is read strictly stays as it is; what isn't is
//! mended where there is only one way to do so, and else refused with the place of the first mistake.
//!
//! Its depth is bounded by serde_json, the number of its values here.

mod mend;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::IngestError;

/// The most values that are read. A long article has some hundreds.
const VALUES_MAX: usize = 500_000;

/// Reads JSON.
pub(super) fn parse(text: &str) -> Result<Value, IngestError> {
    let mended = || parse_strictly(&mend::mend(text)).ok();
    parse_strictly(text).or_else(|mistake| mended().ok_or(mistake))
}

fn parse_strictly(text: &str) -> Result<Value, IngestError> {
    // Each value but the first follows one of these. Those within texts count too, and are few.
    let values = text.bytes().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{')).count();
    if values > VALUES_MAX {
        let reason = format!("it has up to {values} values; at most {VALUES_MAX} are read");
        return Err(IngestError::NoArticle { reason });
    }
    serde_json::from_str(text).map_err(|error| IngestError::JsonSyntax {
        line: error.line(),
        column: error.column(),
        reason: reason(&error),
    })
}

/// The reason alone: the place is told beside it.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or_else(|| text.clone(), |(reason, _)| reason.to_owned())
}

/// The names of the fields of the object that the text is, or of the first object of the array that it is, as far as
/// they can be read.
pub(super) fn field_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // What follows a mistake is not looked at.
    let _ = Names(&mut names).deserialize(&mut deserializer);
    names
}

struct Names<'n>(&'n mut Vec<String>);

impl<'de> DeserializeSeed<'de> for Names<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Names<'_> {
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
    fn the_names_of_fields_are_read_as_far_as_they_go() {
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
    fn a_mistake_is_told_with_its_place() {
        let error = parse("{\n  \"a\": b\n}").unwrap_err();
        assert_eq!(error.to_string(), "line 2, column 8: expected value");
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(matches!(parse(&format!("[{}0]", "0,".repeat(VALUES_MAX))), Err(IngestError::NoArticle { .. })));
    }
}
