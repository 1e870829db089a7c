//! One record of the write-ahead log, which is one commit.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0–3 | `dlw\x01` |
//! | 4–7 | length of the writes, in bytes |
//! | 8–15 | number: 1 for the first record of a database, then one more with each record |
//! | 16–19 | checksum of the record before it; 0 for the first |
//! | 20–23 | checksum: CRC-32C of the log's secret, bytes 0–19 and the writes |
//! | 24– | the writes; then zeros up to a multiple of 8 |
//!
//! A write is the length of its key and of its value, four bytes each, then both. A removal has the length 2³² − 1 and
//! no value. All numbers are big-endian.
//!
//! The secret is random, and is in a file next to the log. It keeps clients from writing bytes that look like a record
//! of this log: a text is part of a record, and recovery looks for whole records after a broken one.

use bytes::Bytes;

use crate::store::engine::Batch;

const MAGIC: [u8; 4] = *b"dlw\x01";
const HEADER_BYTES: usize = 24;
const REMOVAL: u32 = u32::MAX;

/// Records begin at multiples of this.
pub(super) const ALIGNMENT: usize = 8;

/// The secret of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Secret(pub(super) [u8; 16]);

/// A whole record that was read.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) number: u64,
    pub(super) previous: u32,
    pub(super) checksum: u32,
    /// The length of the record with its padding, in bytes.
    pub(super) bytes: usize,
    writes: Bytes,
}

/// A write that was read from the log: the key and the new value, or `None` for a removal.
pub(in crate::store::engine) type LoggedWrite = (Bytes, Option<Bytes>);

/// Encodes a commit, and returns it with its checksum. `None` if it has 4 GiB or more.
pub(super) fn encode(batch: &Batch, number: u64, previous: u32, secret: Secret) -> Option<(Vec<u8>, u32)> {
    let writes_bytes: usize =
        batch.writes.iter().map(|(key, value)| 8 + key.len() + value.as_ref().map_or(0, Vec::len)).sum();
    let mut bytes = Vec::with_capacity((HEADER_BYTES + writes_bytes).next_multiple_of(ALIGNMENT));
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&u32::try_from(writes_bytes).ok()?.to_be_bytes());
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&previous.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    for (key, value) in &batch.writes {
        let length = value.as_ref().map_or(Some(REMOVAL), |value| u32::try_from(value.len()).ok())?;
        bytes.extend_from_slice(&u32::try_from(key.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value.as_deref().unwrap_or_default());
    }
    let checksum = checksum(secret, bytes.get(..20)?, bytes.get(HEADER_BYTES..)?);
    bytes.get_mut(20..HEADER_BYTES)?.copy_from_slice(&checksum.to_be_bytes());
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    Some((bytes, checksum))
}

/// The whole record at `at`; `None` if there is none.
pub(super) fn decode(file: &Bytes, at: usize, secret: Secret) -> Option<Record> {
    let number = number_at(file, at)?;
    let header = file.get(at..at.checked_add(HEADER_BYTES)?)?;
    let field = |from: usize| Some(u32::from_be_bytes(header.get(from..from + 4)?.try_into().ok()?));
    let (length, previous, stated) = (field(4)?, field(16)?, field(20)?);
    let begin = at + HEADER_BYTES;
    let end = begin.checked_add(usize::try_from(length).ok()?)?;
    let writes = file.get(begin..end)?;
    if checksum(secret, header.get(..20)?, writes) != stated {
        return None;
    }
    let bytes = (end - at).next_multiple_of(ALIGNMENT);
    Some(Record { number, previous, checksum: stated, bytes, writes: file.slice(begin..end) })
}

/// The number of what looks like the beginning of a record at `at`, without reading all of it.
pub(super) fn number_at(file: &Bytes, at: usize) -> Option<u64> {
    let header = file.get(at..at.checked_add(16)?)?;
    let (magic, rest) = header.split_first_chunk::<4>()?;
    (*magic == MAGIC).then(|| u64::from_be_bytes(rest.split_at(4).1.try_into().unwrap_or_default()))
}

impl Record {
    /// The writes, in order of key. They share the memory of the file. `None` if they are malformed, which the checksum
    /// rules out.
    pub(super) fn writes(&self) -> Option<Vec<LoggedWrite>> {
        let (mut writes, mut at) = (Vec::new(), 0);
        while at < self.writes.len() {
            let field = |from: usize| Some(u32::from_be_bytes(self.writes.get(from..from + 4)?.try_into().ok()?));
            let (key_bytes, value_bytes) = (usize::try_from(field(at)?).ok()?, field(at + 4)?);
            let key_end = at.checked_add(8)?.checked_add(key_bytes)?;
            let key = self.part(at + 8, key_end)?;
            at = key_end;
            let value = if value_bytes == REMOVAL {
                None
            } else {
                let value_end = key_end.checked_add(usize::try_from(value_bytes).ok()?)?;
                at = value_end;
                Some(self.part(key_end, value_end)?)
            };
            writes.push((key, value));
        }
        Some(writes)
    }

    fn part(&self, begin: usize, end: usize) -> Option<Bytes> {
        (begin <= end && end <= self.writes.len()).then(|| self.writes.slice(begin..end))
    }
}

fn checksum(Secret(secret): Secret, header: &[u8], writes: &[u8]) -> u32 {
    let sum = crc32c::crc32c_append(crc32c::crc32c(&secret), header);
    crc32c::crc32c_append(sum, writes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

    use proptest::prelude::*;

    use super::*;

    const SECRET: Secret = Secret([7; 16]);

    fn batches() -> impl Strategy<Value = Batch> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..40);
        prop::collection::btree_map(bytes(), prop::option::of(bytes()), 0..6)
            .prop_map(|writes| Batch { writes, ..Batch::default() })
    }

    proptest! {
        #[test]
        fn a_record_round_trips(batch in batches(), number: u64, previous: u32) {
            let (bytes, checksum) = encode(&batch, number, previous, SECRET).unwrap();
            prop_assert_eq!(bytes.len() % ALIGNMENT, 0);
            let record = decode(&bytes.clone().into(), 0, SECRET).unwrap();
            prop_assert_eq!((record.number, record.previous, record.checksum), (number, previous, checksum));
            prop_assert_eq!(record.bytes, bytes.len());
            let writes = record.writes().unwrap().into_iter();
            let read = writes.map(|(key, value)| (key.to_vec(), value.map(|value| value.to_vec())));
            prop_assert_eq!(read.collect::<std::collections::BTreeMap<_, _>>(), batch.writes);
            prop_assert!(decode(&bytes.into(), 0, Secret([8; 16])).is_none());
        }

        #[test]
        fn a_changed_or_cut_record_is_not_whole(batch in batches(), at: prop::sample::Index, bit in 0_u8..8) {
            let (bytes, _) = encode(&batch, 5, 9, SECRET).unwrap();
            let length = HEADER_BYTES + usize::try_from(u32::from_be_bytes(bytes[4..8].try_into().unwrap())).unwrap();
            let at = at.index(length);
            let mut changed = bytes.clone();
            changed[at] ^= 1_u8 << bit;
            prop_assert!(decode(&changed.into(), 0, SECRET).is_none());
            prop_assert!(decode(&bytes[..at].to_vec().into(), 0, SECRET).is_none());
        }
    }
}
