//! Full changes: a change with its content and original. All indexes are projected from full changes, so a log is
//! copied from one database to another by copying only these.

use super::content::{StoredContent, StoredOriginal};
use super::engine::Read;
use super::key::log::LogKey;
use super::{Batch, StoreError, record};
use crate::model::{ArticleName, Change, ExpungeOrder, LogDigest, Seq, TreeHash};

/// A change with its content and original, as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct FullChange {
    /// The change, decoded from `record`.
    pub change: Change,
    /// The change's protobuf bytes.
    pub record: Vec<u8>,
    /// The hash of the change's leaf.
    pub leaf: TreeHash,
    /// The content stored with the change; `None` if there is none, or if it was not read.
    pub content: Option<StoredContent>,
    /// The original stored with the change; `None` if there is none, or if it was not read.
    pub original: Option<StoredOriginal>,
}

impl FullChange {
    /// Reads the change at `seq`; `None` at or after the end of the log. If the change names a content or original that
    /// is missing, that is damage.
    pub fn read(from: &dyn Read, seq: Seq) -> Result<Option<Self>, StoreError> {
        let Some(mut full) = Self::read_record(from, seq)? else { return Ok(None) };
        match full.read_payload(from) {
            Ok(()) => Ok(Some(full)),
            // The text may have been destroyed after the record was read.
            Err(error) => match Self::read_record(from, seq)? {
                Some(stub) if stub.change.entry.expunged.is_some() => Ok(Some(stub)),
                Some(_) | None => Err(error),
            },
        }
    }

    /// Reads the change at `seq` without its content and original.
    pub fn read_record(from: &dyn Read, seq: Seq) -> Result<Option<Self>, StoreError> {
        let key = LogKey(seq).encode();
        let Some(value) = from.get(&key)? else { return Ok(None) };
        let (change, record, leaf) = record::decode_with_record(&key, &value)?;
        Ok(Some(Self { record: record.to_vec(), change, leaf, content: None, original: None }))
    }

    /// Reads the content and original that the change names. If only the original is damaged, this fails, but keeps the
    /// content.
    pub fn read_payload(&mut self, from: &dyn Read) -> Result<(), StoreError> {
        let Some(new_revision) = self.change.entry.revision_with_content() else { return Ok(()) };
        let seq = self.change.seq;
        let content = StoredContent::read(from, seq)?;
        self.content = Some(content.ok_or_else(|| StoreError::damaged_at(seq, "a content is missing"))?);
        self.original = new_revision.original.as_ref().map(|_| StoredOriginal::read(from, seq)).transpose()?;
        Ok(())
    }

    /// Destroys the text of the change, and with it its content and original: it becomes a stub, at the same position,
    /// with the same leaf. `name` replaces its article's name if that is to be destroyed, too.
    pub fn expunge(&mut self, order: &ExpungeOrder, name: Option<&ArticleName>) -> Result<(), StoreError> {
        let seq = self.change.seq;
        let record = record::to_stub(seq, &self.record, order, name)?;
        let stub = record::change_of(seq, &record)?;
        if stub.leaf() != self.leaf {
            return Err(StoreError::damaged_at(seq, "the stub of a change does not have its leaf"));
        }
        self.change = stub.change(self.change.log_digest);
        (self.record, self.content, self.original) = (record, None, None);
        Ok(())
    }

    /// The stored size of the content and the original, in bytes.
    pub fn payload_bytes(&self) -> usize {
        let content = self.content.as_ref().map_or(0, StoredContent::data_bytes);
        content + self.original.as_ref().map_or(0, |original| original.0.len())
    }

    /// Decodes the change at `seq` from `record`. `before` is the log digest before the change.
    pub(super) fn from_record(seq: Seq, before: LogDigest, record: Vec<u8>) -> Result<Self, StoreError> {
        let decoded = record::change_of(seq, &record)?;
        let leaf = decoded.leaf();
        Ok(Self { change: decoded.change(before.after(leaf)), record, leaf, content: None, original: None })
    }

    /// Adds the change, its content and its original to a batch, but no indexes.
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
