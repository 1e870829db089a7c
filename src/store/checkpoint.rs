//! Storage of the checkpoints that were signed. A checkpoint is kept as the text that others have: its signatures cannot
//! be made again from the log.

use super::engine::Direction;
use super::key::Fields;
use super::key::checkpoint::CheckpointKey;
use super::seal::{seal, unseal};
use super::{Batch, StoreError, Tables};
use crate::model::{Timestamp, TreeHash};

/// A checkpoint as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointRecord {
    /// The number of changes in its tree.
    pub size: u64,
    /// The root of its tree.
    pub root: TreeHash,
    /// When it was signed.
    pub sign_time: Timestamp,
    /// How many witnesses have cosigned it.
    pub cosignature_count: u32,
    /// The signed note with all its signatures, at most 64 KiB.
    pub note: String,
}

impl Batch {
    /// Writes a checkpoint, in place of the one of the same size.
    pub fn put_checkpoint(&mut self, checkpoint: &CheckpointRecord) {
        let key = CheckpointKey(checkpoint.size).encode();
        let mut payload = checkpoint.root.0.to_vec();
        payload.extend(checkpoint.sign_time.micros().to_be_bytes());
        payload.extend(checkpoint.cosignature_count.to_be_bytes());
        payload.extend(checkpoint.note.as_bytes());
        let value = seal(&key, payload);
        self.writes.insert(key, Some(value));
    }
}

impl<'a> Tables<'a> {
    /// The checkpoints of trees of `from` changes or more, in order of size or against it.
    pub fn checkpoints(
        &self,
        from: u64,
        direction: Direction,
    ) -> impl Iterator<Item = Result<CheckpointRecord, StoreError>> + use<'a> {
        self.source().scan(CheckpointKey::since(from), direction).map(|entry| {
            let (key, value) = entry?;
            decode(&key, &value)
        })
    }
}

/// Decodes the checkpoint stored under `key`.
pub fn decode(key: &[u8], value: &[u8]) -> Result<CheckpointRecord, StoreError> {
    let payload = unseal(key, value)?;
    read(key, payload).ok_or_else(|| StoreError::damaged(key, "a checkpoint cannot be read"))
}

fn read(key: &[u8], payload: &[u8]) -> Option<CheckpointRecord> {
    let CheckpointKey(size) = CheckpointKey::decode(key)?;
    let mut fields = Fields(payload);
    let root = TreeHash(fields.array()?);
    let sign_time = Timestamp::from_micros(i64::from_be_bytes(fields.array()?))?;
    let cosignature_count = fields.u32()?;
    let note = String::from_utf8(fields.0.to_vec()).ok()?;
    Some(CheckpointRecord { size, root, sign_time, cosignature_count, note })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_read_as_it_was_written() {
        let checkpoint = CheckpointRecord {
            size: 300,
            root: TreeHash::of_leaf(b"a leaf"),
            sign_time: Timestamp::from_micros(-7).unwrap(),
            cosignature_count: 2,
            note: "example.org\n300\n".to_owned(),
        };
        let mut batch = Batch::default();
        batch.put_checkpoint(&checkpoint);
        let (key, value) = batch.writes.pop_first().unwrap();
        assert_eq!(decode(&key, value.as_deref().unwrap()).unwrap(), checkpoint);
        let cut = seal(&key, vec![0; 43]);
        assert!(decode(&key, &cut).is_err());
    }
}
