//! Keeps the checkpoints that were signed, and finds them again. Who signs them, and with what, is not known here.

use std::sync::Arc;

use crate::archive::Archive;
use crate::archive::error::ArchiveError;
pub use crate::store::checkpoint::CheckpointRecord;
use crate::store::engine::Direction;
use crate::store::{StoreError, Tables};

/// Which checkpoint to find, of those that the condition holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointChoice {
    /// The one of the largest tree.
    Newest,
    /// The one of the smallest tree that has at least this many changes.
    FirstOf(u64),
}

/// For the layers above.
#[doc(hidden)]
impl Archive {
    /// Keeps a checkpoint of a tree that is durable, in place of an earlier one of the same size. Others of its day may
    /// be removed: `write/checkpoints.rs` says which. It is durable when this returns.
    pub async fn keep_checkpoint(&self, checkpoint: CheckpointRecord) -> Result<(), ArchiveError> {
        self.queue.keep_checkpoint(checkpoint).await
    }

    /// Finds a kept checkpoint for which `condition` holds. Damaged ones are skipped; a verification reports them.
    pub async fn find_checkpoint(
        &self,
        choice: CheckpointChoice,
        condition: impl Fn(&CheckpointRecord) -> bool + Send + 'static,
    ) -> Result<Option<CheckpointRecord>, ArchiveError> {
        let engine = Arc::clone(&self.shared.engine);
        let (from, direction) = match choice {
            CheckpointChoice::Newest => (0, Direction::Reverse),
            CheckpointChoice::FirstOf(size) => (size, Direction::Forward),
        };
        let find = move || {
            for checkpoint in Tables::new(engine.as_ref()).checkpoints(from, direction) {
                match checkpoint {
                    Ok(checkpoint) if condition(&checkpoint) => return Ok(Some(checkpoint)),
                    Ok(_) | Err(StoreError::Damaged { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(None)
        };
        self.pools.reads.run(find).await
    }
}
