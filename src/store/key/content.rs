//! `seq`, chunk → the content, or the original, that is stored with the change at `seq`.
//!
//! Contents and originals are divided into chunks of at most [`CHUNK_BYTES`], because the engine would store larger
//! values outside its log.

use super::{Fields, Kind};
use crate::model::Seq;

/// The maximum size of a chunk of a content or original, in bytes.
pub const CHUNK_BYTES: usize = 60 * 1024;

/// The key of one chunk of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentKey {
    /// The position of the change.
    pub seq: Seq,
    /// The chunk's number, from 0.
    pub chunk: u16,
}

/// The key of one chunk of an original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OriginalKey {
    /// The position of the change.
    pub seq: Seq,
    /// The chunk's number, from 0.
    pub chunk: u16,
}

impl ContentKey {
    /// Encodes the key. Encodings sort like the keys.
    pub fn encode(self) -> Vec<u8> {
        encode(Kind::Content, self.seq, self.chunk)
    }

    /// Decodes a key; `None` if it is not the key of a content's chunk.
    pub fn decode(key: &[u8]) -> Option<Self> {
        decode(Kind::Content, key).map(|(seq, chunk)| Self { seq, chunk })
    }
}

impl OriginalKey {
    /// Encodes the key. Encodings sort like the keys.
    pub fn encode(self) -> Vec<u8> {
        encode(Kind::Original, self.seq, self.chunk)
    }

    /// Decodes a key; `None` if it is not the key of an original's chunk.
    pub fn decode(key: &[u8]) -> Option<Self> {
        decode(Kind::Original, key).map(|(seq, chunk)| Self { seq, chunk })
    }
}

fn encode(kind: Kind, seq: Seq, chunk: u16) -> Vec<u8> {
    let mut key = vec![kind as u8];
    key.extend(seq.0.to_be_bytes());
    key.extend(chunk.to_be_bytes());
    key
}

fn decode(kind: Kind, key: &[u8]) -> Option<(Seq, u16)> {
    let mut fields = Fields(key);
    fields.kind(kind)?;
    let seq = Seq(fields.u64()?);
    let chunk = u16::from_be_bytes(fields.array()?);
    fields.end((seq, chunk))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips_and_sorts(a: (u64, u16), b: (u64, u16)) {
            let (a, b) = (ContentKey { seq: Seq(a.0), chunk: a.1 }, ContentKey { seq: Seq(b.0), chunk: b.1 });
            prop_assert_eq!(ContentKey::decode(&a.encode()), Some(a));
            prop_assert_eq!(a.cmp(&b), a.encode().cmp(&b.encode()));
            prop_assert_eq!(OriginalKey::decode(&a.encode()), None);
        }
    }
}
