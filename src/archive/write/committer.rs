//! The committer: the thread that hands sealed commits to the engine, one at a time, and reports each result.
//!
//! It does not know what a commit contains or who waits for it. It reports only to the writer thread, by message.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use crate::archive::write::messages::WriterMessage;
use crate::store::{Batch, Engine};

/// Commits each batch that arrives, until the sender of batches or the receiver of results is gone.
pub(crate) fn run(engine: &dyn Engine, batches: &Receiver<Arc<Batch>>, messages: &SyncSender<WriterMessage>) {
    while let Ok(batch) = batches.recv() {
        if messages.send(WriterMessage::Committed(engine.commit(&batch))).is_err() {
            return;
        }
    }
}
