//! Converts messages to and from proto3 JSON, using their descriptors. Source:
//! <https://protobuf.dev/programming-guides/json/>.
//!
//! This takes reflection (prost-reflect). The code that pbjson-build can generate instead has no conversion for
//! prost's `Timestamp` and `Duration`, and cannot write an enum value that it does not know.

use std::borrow::Cow;
use std::sync::LazyLock;

use prost::Name;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage,
    SerializeOptions,
};
use serde_json::Value;

use super::DESCRIPTOR;
use crate::model::unseen::in_json;
use crate::model::{TimeTextError, Timestamp};

/// JSON that could not be read as the message.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct JsonError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong there.
    pub reason: String,
}

static POOL: LazyLock<Option<DescriptorPool>> = LazyLock::new(|| DescriptorPool::decode(DESCRIPTOR).ok());

/// Writes a message as one line of JSON, with lowerCamelCase names and without default values. Invisible characters are
/// escaped.
pub fn to_json<M: Name>(message: &M) -> String {
    let mut line = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut line);
    let written =
        dynamic(message).map(|dynamic| dynamic.serialize_with_options(&mut serializer, &SerializeOptions::new()));
    debug_assert!(matches!(written, Some(Ok(()))), "a message of the contract has a JSON form");
    let line = String::from_utf8(line).unwrap_or_default();
    match in_json(&line) {
        Cow::Borrowed(_) => line,
        Cow::Owned(escaped) => escaped,
    }
}

/// Reads a message from JSON. Unknown fields are an error.
pub fn from_json<M: Name + Default>(json: &str) -> Result<M, JsonError> {
    let refused = |line, column, reason| JsonError { line, column, reason };
    let descriptor = descriptor::<M>().ok_or_else(|| refused(1, 1, "the message has no descriptor".to_owned()))?;
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let dynamic = DynamicMessage::deserialize_with_options(descriptor, &mut deserializer, &DeserializeOptions::new())
        .and_then(|dynamic| deserializer.end().map(|()| dynamic))
        .map_err(|error| refused(error.line(), error.column(), reason(&error)))?;
    let dynamic = if json.contains(SECOND_60) { leap_seconds(json, dynamic)? } else { dynamic };
    dynamic.transcode_to().map_err(|error| refused(1, 1, error.to_string()))
}

/// JSON without this text has no leap second.
const SECOND_60: &str = ":60";

/// Parses the message from JSON again, with each leap second moved to the end of its minute.
///
/// prost-types reads second 60 as second 59 of the same minute, so the order of two times can be reversed. By then the
/// original text is gone, which is why the few messages that contain such a text are parsed a second time.
fn leap_seconds(json: &str, dynamic: DynamicMessage) -> Result<DynamicMessage, JsonError> {
    let refused = |reason: String| JsonError { line: 1, column: 1, reason };
    let mut value = serde_json::from_str(json).map_err(|error| refused(reason(&error)))?;
    let descriptor = dynamic.descriptor();
    correct(&mut value, &descriptor).map_err(|(text, error)| {
        let at = json.find(&text).unwrap_or_default();
        let before = json.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = at - before.rfind('\n').map_or(0, |end| end + 1) + 1;
        JsonError { line, column, reason: format!("{text:?}: {error}") }
    })?;
    DynamicMessage::deserialize_with_options(descriptor, value, &DeserializeOptions::new())
        .map_err(|error| refused(reason(&error)))
}

/// Replaces leap seconds in the times of a message. On error, returns the invalid text with the reason.
fn correct(value: &mut Value, message: &MessageDescriptor) -> Result<(), (String, TimeTextError)> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| correct(item, message)),
        Value::String(text) if message.full_name() == prost_types::Timestamp::full_name() => {
            if text.contains(SECOND_60) {
                *text = text.parse::<Timestamp>().map_err(|error| (text.clone(), error))?.to_string();
            }
            Ok(())
        }
        Value::Object(fields) => fields.iter_mut().try_for_each(|(name, value)| {
            let field = message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name));
            match field.as_ref().map(FieldDescriptor::kind) {
                Some(Kind::Message(message)) if field.is_some_and(|field| !field.is_map()) => correct(value, &message),
                _ => Ok(()),
            }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// The reason without the position, which `JsonError` has in its own fields.
fn reason(error: &serde_json::Error) -> String {
    let text = in_plain_words(error);
    match text.rsplit_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

/// The message of a JSON error, without the terms of the parser's implementation.
pub(crate) fn in_plain_words(error: &serde_json::Error) -> String {
    const TERMS: [(&str, &str); 4] = [
        ("expected ident", "expected true, false or null"),
        ("invalid type: sequence", "this is a list"),
        ("expected a map", "expected an object"),
        ("EOF while parsing", "the text ends inside"),
    ];
    TERMS.iter().fold(error.to_string(), |text, (term, words)| text.replace(term, words))
}

fn descriptor<M: Name>() -> Option<MessageDescriptor> {
    POOL.as_ref()?.get_message_by_name(&M::full_name())
}

fn dynamic<M: Name>(message: &M) -> Option<DynamicMessage> {
    let mut dynamic = DynamicMessage::new(descriptor::<M>()?);
    dynamic.transcode_from(message).ok()?;
    debug_assert_eq!(dynamic.descriptor().full_name(), M::full_name());
    Some(dynamic)
}

#[cfg(test)]
mod tests {
    use super::super::pb;
    use super::*;

    #[test]
    fn a_message_goes_through_json_and_back() {
        let content = pb::Content {
            headline: "Bridge to close".into(),
            publish_time: Some(pb::ClaimedTime {
                time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 500_000 }),
                precision: pb::TimePrecision::Day.into(),
                ..pb::ClaimedTime::default()
            }),
            ..pb::Content::default()
        };
        let json = to_json(&content);
        assert_eq!(
            json,
            r#"{"headline":"Bridge to close","publishTime":{"time":"2023-11-14T22:13:20.000500Z","precision":"TIME_PRECISION_DAY"}}"#
        );
        assert_eq!(from_json::<pb::Content>(&json).unwrap(), content);
    }

    /// Reads a JSON line with this observe time, and returns the time as it was read.
    fn observed(time: &str) -> Result<String, JsonError> {
        let line = format!(
            r#"{{"record":{{"content":{{"headline":"at 2016-12-31T23:59:60Z","publishTime":{{"words":":60"}}}},"observeTime":"{time}"}}}}"#
        );
        let read: pb::ReplayRequest = from_json(&line)?;
        let Some(pb::replay_request::Request::Record(observation)) = read.request else {
            panic!("it is an observation")
        };
        assert_eq!(observation.content.unwrap().headline, "at 2016-12-31T23:59:60Z", "texts stay as they are");
        Ok(observation.observe_time.unwrap().to_string())
    }

    #[test]
    fn a_leap_second_keeps_its_order_and_is_in_the_last_minute_of_a_day_only() {
        for (time, expected) in [
            ("2016-12-31T23:59:59.5Z", "2016-12-31T23:59:59.500Z"),
            ("2016-12-31T23:59:60.2Z", "2016-12-31T23:59:59.999999Z"),
            ("2017-01-01T05:29:60+05:30", "2016-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(observed(time).unwrap().replace("500000", "500"), expected, "{time}");
        }
        let error = observed("2026-01-05T12:00:60Z").unwrap_err();
        assert!(error.reason.contains("second 60 exists in the UTC minute 23:59 only"), "{error}");
        assert!(error.column > 100, "{error}");
    }

    #[test]
    fn zones_in_brackets_and_offsets_of_a_day_are_rejected() {
        for time in ["2026-07-01T12:00:00Z[Europe/Berlin]", "2016-12-31T23:59:60Z[UTC]", "2026-07-01T12:00:00+24:00"] {
            assert!(observed(time).is_err(), "{time}");
        }
    }

    #[test]
    fn terminal_control_characters_are_escaped_and_read_back() {
        let content = pb::Content { headline: "A\u{9b}31m\u{7f}\u{202e}\u{e0041}".into(), ..pb::Content::default() };
        let json = to_json(&content);
        assert_eq!(json, r#"{"headline":"A\u009b31m\u007f\u202e\udb40\udc41"}"#);
        assert_eq!(from_json::<pb::Content>(&json).unwrap(), content);
    }

    #[test]
    fn an_error_has_its_line_and_column() {
        let error = from_json::<pb::Content>("{\n  \"headlin\": \"x\"\n}").unwrap_err();
        assert_eq!(error.line, 2);
        assert!(error.reason.contains("headlin"), "{error}");
        assert!(from_json::<pb::Content>("{} {}").is_err());
    }
}
