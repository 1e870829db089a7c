//! Encodes protobuf messages field by field, without building generated messages first, and reads their fields where
//! they are.
//!
//! It serves the messages that are written by the million: contents, and changes of the feed. Building the generated
//! message would allocate some twenty strings and drop them at once. Fields with default values are omitted, as prost
//! does. Source: <https://protobuf.dev/programming-guides/encoding/>.

use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

use crate::model::Timestamp;

/// The longest varint of a 64-bit length.
const VARINT_BYTES_MAX: usize = 10;

/// Appends the fields of one message to a buffer.
#[derive(Debug)]
pub(crate) struct MessageWriter<'a>(pub(crate) &'a mut Vec<u8>);

impl MessageWriter<'_> {
    /// Writes an unsigned integer, unless it is 0.
    pub(crate) fn number(&mut self, field: u32, value: u64) {
        if value != 0 {
            encode_key(field, WireType::Varint, self.0);
            encode_varint(value, self.0);
        }
    }

    /// Writes a value of an enumeration, unless it is 0.
    pub(crate) fn choice(&mut self, field: u32, value: impl Into<i32>) {
        self.signed(field, value.into().into());
    }

    /// Writes a repeated enumeration, packed, unless it is empty.
    pub(crate) fn choices(&mut self, field: u32, values: &[i32]) {
        if !values.is_empty() {
            self.message(field, |writer| {
                for value in values {
                    encode_varint(i64::from(*value).cast_unsigned(), writer.0);
                }
            });
        }
    }

    /// Writes a signed integer (`int32` or `int64`), unless it is 0.
    pub(crate) fn signed(&mut self, field: u32, value: i64) {
        self.number(field, value.cast_unsigned());
    }

    /// Writes a boolean, unless it is false.
    pub(crate) fn flag(&mut self, field: u32, value: bool) {
        self.number(field, u64::from(value));
    }

    /// Writes a string, unless it is empty.
    pub(crate) fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// Writes bytes, unless they are empty.
    pub(crate) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            encode_key(field, WireType::LengthDelimited, self.0);
            encode_varint(bytes.len() as u64, self.0);
            self.0.extend_from_slice(bytes);
        }
    }

    /// Writes the concatenation of `parts` as one string, even if it is empty.
    pub(crate) fn joined(&mut self, field: u32, parts: &[&str]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        encode_key(field, WireType::LengthDelimited, self.0);
        encode_varint(length as u64, self.0);
        parts.iter().for_each(|part| self.0.extend_from_slice(part.as_bytes()));
    }

    /// Writes a repeated string. Empty elements are written too.
    pub(crate) fn texts(&mut self, field: u32, texts: &[String]) {
        for text in texts {
            encode_key(field, WireType::LengthDelimited, self.0);
            encode_varint(text.len() as u64, self.0);
            self.0.extend_from_slice(text.as_bytes());
        }
    }

    /// Writes an instant as a nested `google.protobuf.Timestamp`, even if it is the start of 1970.
    pub(crate) fn timestamp(&mut self, field: u32, time: Timestamp) {
        let (seconds, nanos) = time.seconds_and_nanos();
        self.message(field, |writer| {
            writer.signed(1, seconds);
            writer.signed(2, nanos.into());
        });
    }

    /// Writes a nested message, even if it has no fields.
    pub(crate) fn message(&mut self, field: u32, write: impl FnOnce(&mut MessageWriter<'_>)) {
        encode_key(field, WireType::LengthDelimited, self.0);
        // The length precedes the message but is known only afterwards. Most often it takes one byte, so one is
        // reserved.
        let place = self.0.len();
        self.0.push(0);
        write(&mut MessageWriter(self.0));
        let length = self.0.len() - place - 1;
        match u8::try_from(length) {
            Ok(byte) if byte < 0x80 => {
                if let Some(place) = self.0.get_mut(place) {
                    *place = byte;
                }
            }
            Ok(_) | Err(_) => {
                let mut prefix = Vec::with_capacity(VARINT_BYTES_MAX);
                encode_varint(length as u64, &mut prefix);
                self.0.splice(place..=place, prefix);
            }
        }
    }

    /// Writes the fields of a generated message as fields of this one.
    pub(crate) fn fields(&mut self, message: &impl Message) {
        message.encode_raw(self.0);
    }

    /// Writes a generated message if there is one.
    pub(crate) fn generated(&mut self, field: u32, message: Option<&impl Message>) {
        if let Some(message) = message {
            encode_key(field, WireType::LengthDelimited, self.0);
            encode_varint(message.encoded_len() as u64, self.0);
            message.encode_raw(self.0);
        }
    }
}

/// The value of a field, where it is in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldValue<'a> {
    /// An integer, a boolean or a value of an enumeration.
    Number(u64),
    /// A string, bytes or a nested message.
    Bytes(&'a [u8]),
}

impl<'a> FieldValue<'a> {
    /// The bytes of a string, bytes or a message; `None` for anything else.
    pub(crate) fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Number(_) => None,
        }
    }
}

/// The fields of a message in their order, each with its number; `None` for what is malformed or of another wire type,
/// after which nothing follows.
pub(crate) fn fields(mut message: &[u8]) -> impl Iterator<Item = Option<(u32, FieldValue<'_>)>> {
    std::iter::from_fn(move || {
        if message.is_empty() {
            return None;
        }
        let field = next_field(&mut message);
        if field.is_none() {
            message = &[];
        }
        Some(field)
    })
}

fn next_field<'a>(message: &mut &'a [u8]) -> Option<(u32, FieldValue<'a>)> {
    let (field, wire_type) = decode_key(message).ok()?;
    let number = decode_varint(message).ok()?;
    match wire_type {
        WireType::Varint => Some((field, FieldValue::Number(number))),
        WireType::LengthDelimited => {
            let (bytes, rest) = message.split_at_checked(usize::try_from(number).ok()?)?;
            *message = rest;
            Some((field, FieldValue::Bytes(bytes)))
        }
        WireType::SixtyFourBit | WireType::StartGroup | WireType::EndGroup | WireType::ThirtyTwoBit => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{pb, timestamp_to_pb};

    proptest! {
        #[test]
        fn written_fields_decode_as_the_generated_message(
            seq: u64, reason in ".{0,300}", is_newest: bool, micros in -9_000_000_000_i64..9_000_000_000,
            urls in prop::collection::vec(".{0,90}", 0..3), digest in prop::collection::vec(any::<u8>(), 0..40),
            parts in prop::collection::vec(any::<i32>(), 0..20),
        ) {
            let time = Timestamp::from_micros(micros).unwrap();
            let mut bytes = Vec::new();
            let mut writer = MessageWriter(&mut bytes);
            writer.number(1, seq);
            writer.choice(2, pb::ChangeKind::Sighted);
            writer.joined(3, &["a", &seq.to_string()]);
            writer.timestamp(4, time);
            writer.message(6, |writer| {
                writer.bytes(6, &digest);
                writer.message(7, |writer| writer.texts(3, &urls));
                writer.choices(13, &parts);
            });
            writer.flag(7, is_newest);
            writer.text(10, &reason);
            writer.generated(12, Some(&pb::ChangeDiff { base_revision_number: 1, ..pb::ChangeDiff::default() }));
            let content = pb::Content { bylines: urls, ..pb::Content::default() };
            let expected = pb::Change {
                seq,
                kind: 3,
                article: format!("a{seq}"),
                observe_time: Some(timestamp_to_pb(time)),
                revision: Some(pb::Revision {
                    content_digest: digest,
                    content: Some(content),
                    changed_parts: parts,
                    ..pb::Revision::default()
                }),
                is_newest,
                reason,
                diff: Some(pb::ChangeDiff { base_revision_number: 1, ..pb::ChangeDiff::default() }),
                ..pb::Change::default()
            };
            prop_assert_eq!(pb::Change::decode(bytes.as_slice()).unwrap(), expected);
        }
    }
}
