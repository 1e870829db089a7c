//! A change with all that it brought: what the record is made of, and what the indexes are derived from. So it is what
//! is carried from one database to another.

use super::content::{StoredContent, StoredOriginal};
use super::engine::Read;
use super::key::log::LogKey;
use super::{Batch, StoreError, record};
use crate::model::{Change, LogDigest, Seq};

/// A change, its content and its original, as they are stored.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeChange {
    /// The change.
    pub change: Change,
    /// The bytes of it that the running digest covers.
    pub record: Vec<u8>,
    /// The content that it brought.
    pub content: Option<StoredContent>,
    /// The original that it brought.
    pub original: Option<StoredOriginal>,
}

impl WholeChange {
    /// Reads the change at `seq`; `None` at or beyond the end of the log. A content or original that the change says
    /// that it brought, and that is not there, is damage.
    pub fn read(from: &dyn Read, seq: Seq) -> Result<Option<Self>, StoreError> {
        let Some(mut whole) = Self::read_record(from, seq)? else { return Ok(None) };
        whole.read_brought(from)?;
        Ok(Some(whole))
    }

    /// Reads the change at `seq` alone, without what it brought.
    pub fn read_record(from: &dyn Read, seq: Seq) -> Result<Option<Self>, StoreError> {
        let key = LogKey(seq).encode();
        let Some(value) = from.get(&key)? else { return Ok(None) };
        let (change, record) = record::decode_with_record(&key, &value)?;
        Ok(Some(Self { record: record.to_vec(), change, content: None, original: None }))
    }

    /// Reads what the change says that it brought. What was read before something is found to be damaged stays.
    pub fn read_brought(&mut self, from: &dyn Read) -> Result<(), StoreError> {
        let Some(made) = &self.change.entry.made else { return Ok(()) };
        let seq = self.change.seq;
        let content = StoredContent::read(from, seq)?;
        self.content = Some(content.ok_or_else(|| StoreError::damaged_at(seq, "a content is missing"))?);
        self.original = made.original.as_ref().map(|_| StoredOriginal::read(from, seq)).transpose()?;
        Ok(())
    }

    /// Bytes of the content and the original as they are stored.
    pub fn brought_bytes(&self) -> usize {
        let content = self.content.as_ref().map_or(0, StoredContent::data_bytes);
        content + self.original.as_ref().map_or(0, |original| original.0.len())
    }

    /// Reads a change at `seq` from `record`, which follows a log whose running digest is `before`.
    pub(super) fn from_record(seq: Seq, before: LogDigest, record: Vec<u8>) -> Result<Self, StoreError> {
        let change = record::change_of(seq, before.after(seq, &record), &record)?;
        Ok(Self { change, record, content: None, original: None })
    }

    /// Adds the change, its content and its original to a batch. The indexes are not among them.
    pub fn write(&self, batch: &mut Batch) {
        let (key, value) = record::to_entry(self.change.seq, self.change.log_digest, &self.record);
        batch.writes.insert(key, Some(value));
        if let Some(content) = &self.content {
            content.write(batch);
        }
        if let Some(original) = &self.original {
            original.write(self.change.seq, batch);
        }
    }
}
