//! The committer: the thread that hands sealed commits to the engine, one at a time, and reports each result.
//!
//! It does not know what a commit contains or who waits for it. It reports only to the writer thread, by message.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Instant;

use crate::archive::stats::CommitHistograms;
use crate::archive::write::messages::WriterMessage;
use crate::store::{Batch, Engine};

/// Commits each batch that arrives, until the sender of batches or the receiver of results is gone.
pub(crate) fn run(
    engine: &dyn Engine,
    batches: &Receiver<Arc<Batch>>,
    messages: &SyncSender<WriterMessage>,
    histograms: &CommitHistograms,
) {
    while let Ok(batch) = batches.recv() {
        let begun = Instant::now();
        let done = engine.commit(&batch);
        histograms.observe_sync(begun.elapsed());
        if messages.send(WriterMessage::Committed(done)).is_err() {
            return;
        }
    }
}
