//! The committer: the thread that hands sealed commits to the engine, one at a time, and reports each result.
//!
//! A large commit is written in parts ([`parts`]): chunks of contents and originals first, then the log records and the
//! indexes. Nothing of the commit is readable before its last part, so readers see one commit. If a commit fails or is
//! interrupted before its last part, its chunks are orphans after the end of the log. They are removed before other
//! changes get their positions, because a reader of a shorter original would otherwise continue into the chunks of a
//! longer one.
//!
//! The committer does not know what a commit contains or who waits for it. It reports only to the writer thread, by
//! message.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use crate::archive::write::messages::WriterMessage;
use crate::store::{Batch, Engine, EngineError, parts};

/// The state of the committer thread.
pub(crate) struct Committer {
    engine: Arc<dyn Engine>,
    /// The keys of the chunks that an unfinished commit left after the end of the log.
    orphan_chunks: Vec<Vec<u8>>,
}

impl Committer {
    /// Creates a committer that removes `orphan_chunks` before it writes any other chunks.
    pub(crate) fn new(engine: Arc<dyn Engine>, orphan_chunks: Vec<Vec<u8>>) -> Self {
        Self { engine, orphan_chunks }
    }

    /// Commits each batch that arrives, until the sender of batches or the receiver of results is gone.
    pub(crate) fn run(mut self, batches: &Receiver<Arc<Batch>>, messages: &SyncSender<WriterMessage>) {
        while let Ok(batch) = batches.recv() {
            let result = self.commit(&batch);
            if messages.send(WriterMessage::Committed(result)).is_err() {
                return;
            }
        }
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), EngineError> {
        if batch.maintenance {
            // A maintenance write has no change, and therefore no chunk that could collide with an orphan chunk.
            return self.engine.commit(batch);
        }
        self.remove_orphan_chunks()?;
        let Some((first_parts, last)) = parts::divided(batch) else { return self.engine.commit(batch) };
        for part in first_parts {
            self.orphan_chunks.extend(part.writes.keys().cloned());
            self.engine.commit(&part)?;
        }
        self.engine.commit(&last)?;
        self.orphan_chunks.clear();
        Ok(())
    }

    fn remove_orphan_chunks(&mut self) -> Result<(), EngineError> {
        parts::removals(&self.orphan_chunks).try_for_each(|removal| self.engine.commit(&removal))?;
        self.orphan_chunks.clear();
        Ok(())
    }
}
