//! The commit thread: it hands to the engine what the writer has put together, one commit after the other.
//!
//! A large commit goes in parts ([`parts`]): chunks of contents and originals first, and the log's records, with all that
//! follows from them, last. Only that last part makes anything of it readable, so that to all others it is one commit.
//! Chunks of a commit that did not get so far are removed before another change can get their position: a shorter original
//! would be read on into what is left of a longer one.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use crate::archive::write::writer::WriterMessage;
use crate::store::{Batch, Engine, EngineError, parts};

/// What hands commits to the engine.
pub(crate) struct Committer {
    engine: Arc<dyn Engine>,
    /// The keys of chunks beyond the end of the log, of a commit that was not finished.
    orphan_chunks: Vec<Vec<u8>>,
}

impl Committer {
    /// One that has these chunks to remove before it writes others.
    pub(crate) fn new(engine: Arc<dyn Engine>, orphan_chunks: Vec<Vec<u8>>) -> Self {
        Self { engine, orphan_chunks }
    }

    /// Commits what comes, until there is nobody who sends or listens.
    pub(crate) fn run(mut self, batches: &Receiver<Arc<Batch>>, events: &SyncSender<WriterMessage>) {
        while let Ok(batch) = batches.recv() {
            let result = self.commit(&batch);
            if events.send(WriterMessage::Committed(result)).is_err() {
                return;
            }
        }
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), EngineError> {
        if batch.maintenance {
            // It brings no change, and so no chunk.
            return self.engine.commit(batch);
        }
        self.remove_left_over()?;
        let Some((first, last)) = parts::divided(batch) else { return self.engine.commit(batch) };
        for part in first {
            self.orphan_chunks.extend(part.writes.keys().cloned());
            self.engine.commit(&part)?;
        }
        self.engine.commit(&last)?;
        self.orphan_chunks.clear();
        Ok(())
    }

    fn remove_left_over(&mut self) -> Result<(), EngineError> {
        parts::removals(&self.orphan_chunks).try_for_each(|removal| self.engine.commit(&removal))?;
        self.orphan_chunks.clear();
        Ok(())
    }
}
