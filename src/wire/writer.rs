//! Writes messages straight from the model, without making a generated message first.
//!
//! That is for the one message that is written by the million: a change of the feed. Made as [`super::pb::Change`] it
//! takes some twenty strings that are thrown away at once. Fields with their default are left out, as prost does.
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::model::Timestamp;

/// The longest that a length of 64 bits is as a varint.
const VARINT_BYTES_MAX: usize = 10;

/// Writes the fields of a message.
#[derive(Debug)]
pub struct Writer<'a>(pub &'a mut Vec<u8>);

impl Writer<'_> {
    /// A number.
    pub fn number(&mut self, field: u32, value: u64) {
        if value != 0 {
            encode_key(field, WireType::Varint, self.0);
            encode_varint(value, self.0);
        }
    }

    /// A value of an enumeration.
    pub fn choice(&mut self, field: u32, value: impl Into<i32>) {
        self.signed(field, value.into().into());
    }

    /// A signed number.
    pub fn signed(&mut self, field: u32, value: i64) {
        self.number(field, value.cast_unsigned());
    }

    /// A truth value.
    pub fn flag(&mut self, field: u32, value: bool) {
        self.number(field, u64::from(value));
    }

    /// A text.
    pub fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// Bytes.
    pub fn bytes(&mut self, field: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            encode_key(field, WireType::LengthDelimited, self.0);
            encode_varint(bytes.len() as u64, self.0);
            self.0.extend_from_slice(bytes);
        }
    }

    /// A text that is made of parts, and is not empty.
    pub fn joined(&mut self, field: u32, parts: &[&str]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        encode_key(field, WireType::LengthDelimited, self.0);
        encode_varint(length as u64, self.0);
        parts.iter().for_each(|part| self.0.extend_from_slice(part.as_bytes()));
    }

    /// Texts, each of which is written, empty or not.
    pub fn texts(&mut self, field: u32, texts: &[String]) {
        for text in texts {
            encode_key(field, WireType::LengthDelimited, self.0);
            encode_varint(text.len() as u64, self.0);
            self.0.extend_from_slice(text.as_bytes());
        }
    }

    /// A `google.protobuf.Timestamp`.
    pub fn timestamp(&mut self, field: u32, time: Timestamp) {
        let (seconds, nanos) = time.seconds_and_nanos();
        self.message(field, |writer| {
            writer.signed(1, seconds);
            writer.signed(2, nanos.into());
        });
    }

    /// A message that is there, whatever it holds.
    pub fn message(&mut self, field: u32, write: impl FnOnce(&mut Writer<'_>)) {
        encode_key(field, WireType::LengthDelimited, self.0);
        // The length stands before what it is of, and is known only after. Mostly it is one byte.
        let place = self.0.len();
        self.0.push(0);
        write(&mut Writer(self.0));
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

    /// A generated message, where there is one.
    pub fn generated(&mut self, field: u32, message: Option<&impl Message>) {
        if let Some(message) = message {
            encode_key(field, WireType::LengthDelimited, self.0);
            encode_varint(message.encoded_len() as u64, self.0);
            message.encode_raw(self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{pb, timestamp_to_pb};
    use super::*;

    proptest! {
        #[test]
        fn what_is_written_reads_as_the_message(
            seq: u64, reason in ".{0,300}", is_newest: bool, micros in -9_000_000_000_i64..9_000_000_000,
            urls in prop::collection::vec(".{0,90}", 0..3), digest in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let time = Timestamp::from_micros(micros).unwrap();
            let mut bytes = Vec::new();
            let mut writer = Writer(&mut bytes);
            writer.number(1, seq);
            writer.choice(2, pb::ChangeKind::Sighted);
            writer.joined(3, &["a", &seq.to_string()]);
            writer.timestamp(4, time);
            writer.message(6, |writer| {
                writer.bytes(6, &digest);
                writer.message(7, |writer| writer.texts(11, &urls));
            });
            writer.flag(7, is_newest);
            writer.text(10, &reason);
            writer.generated(12, Some(&pb::ChangeDiff { base_revision_number: 1, ..pb::ChangeDiff::default() }));
            let content = pb::Content { labels: urls, ..pb::Content::default() };
            let expected = pb::Change {
                seq,
                kind: 3,
                article: format!("a{seq}"),
                observe_time: Some(timestamp_to_pb(time)),
                revision: Some(pb::Revision { content_digest: digest, content: Some(content), ..pb::Revision::default() }),
                is_newest,
                reason,
                diff: Some(pb::ChangeDiff { base_revision_number: 1, ..pb::ChangeDiff::default() }),
                ..pb::Change::default()
            };
            prop_assert_eq!(pb::Change::decode(bytes.as_slice()).unwrap(), expected);
        }
    }
}
