//! Messages as proto3 JSON, by their descriptors.
//! Source: <https://protobuf.dev/programming-guides/json/>.

use std::sync::LazyLock;

use prost::Name;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, ReflectMessage, SerializeOptions,
};

use super::DESCRIPTOR;

/// Why JSON was refused.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct JsonError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong.
    pub reason: String,
}

static POOL: LazyLock<Option<DescriptorPool>> = LazyLock::new(|| DescriptorPool::decode(DESCRIPTOR).ok());

/// A message as one line of JSON: lowerCamelCase names, default values left out.
pub fn to_json<M: Name>(message: &M) -> String {
    let mut line = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut line);
    let written =
        dynamic(message).map(|dynamic| dynamic.serialize_with_options(&mut serializer, &SerializeOptions::new()));
    debug_assert!(matches!(written, Some(Ok(()))), "a message of the contract has a JSON form");
    String::from_utf8(line).unwrap_or_default()
}

/// Reads a message from JSON. Unknown fields are refused.
pub fn from_json<M: Name + Default>(json: &str) -> Result<M, JsonError> {
    let refused = |line, column, reason| JsonError { line, column, reason };
    let descriptor = descriptor::<M>().ok_or_else(|| refused(1, 1, "the message has no descriptor".to_owned()))?;
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let dynamic = DynamicMessage::deserialize_with_options(descriptor, &mut deserializer, &DeserializeOptions::new())
        .and_then(|dynamic| deserializer.end().map(|()| dynamic))
        .map_err(|error| refused(error.line(), error.column(), reason(&error)))?;
    dynamic.transcode_to().map_err(|error| refused(1, 1, error.to_string()))
}

/// The reason alone: the place is told beside it.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
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

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let error = from_json::<pb::Content>("{\n  \"headlin\": \"x\"\n}").unwrap_err();
        assert_eq!(error.line, 2);
        assert!(error.reason.contains("headlin"), "{error}");
        assert!(from_json::<pb::Content>("{} {}").is_err());
    }
}
