//! The commit thread: it hands to the engine what the writer has put together, one commit after the other.
//!
//! A large commit goes in parts ([`parts`]): chunks of contents and originals first, and the log's records, with all that
//! follows from them, last. Only that last part makes anything of it readable, so that to all others it is one commit.
//! Chunks of a commit that did not get so far are removed before another change can get their position: a shorter original
//! would be read on into what is left of a longer one.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use super::writer::Event;
use crate::store::{Batch, Engine, EngineError, parts};

/// What hands commits to the engine.
pub(super) struct Committer {
    engine: Arc<dyn Engine>,
    /// The keys of chunks beyond the end of the log, of a commit that was not finished.
    left_over: Vec<Vec<u8>>,
}

impl Committer {
    /// One that has these chunks to remove before it writes others.
    pub(super) fn new(engine: Arc<dyn Engine>, left_over: Vec<Vec<u8>>) -> Self {
        Self { engine, left_over }
    }

    /// Commits what comes, until there is nobody who sends or listens.
    pub(super) fn run(mut self, batches: &Receiver<Arc<Batch>>, events: &SyncSender<Event>) {
        while let Ok(batch) = batches.recv() {
            let result = self.commit(&batch);
            if events.send(Event::Committed(result)).is_err() {
                return;
            }
        }
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), EngineError> {
        if batch.upkeep {
            // It brings no change, and so no chunk.
            return self.engine.commit(batch);
        }
        self.remove_left_over()?;
        let Some((first, last)) = parts::divided(batch) else { return self.engine.commit(batch) };
        for part in first {
            self.left_over.extend(part.writes.keys().cloned());
            self.engine.commit(&part)?;
        }
        self.engine.commit(&last)?;
        self.left_over.clear();
        Ok(())
    }

    fn remove_left_over(&mut self) -> Result<(), EngineError> {
        parts::removals(&self.left_over).try_for_each(|removal| self.engine.commit(&removal))?;
        self.left_over.clear();
        Ok(())
    }
}
