//! How far an import came, remembered so that the same command goes on there.
//!
//! What was archived since the last time that this was written is only looked at again: an observation that is there already
//! changes nothing. So it is written now and then, and not with every item.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::item::Done;
use super::tally::Tally;
use crate::cli::memory::Memory;
use crate::wire::pb;

const KEPT_EVERY: Duration = Duration::from_millis(250);

/// What is remembered of one collection. It is forgotten when the collection is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    /// What it is, for people.
    pub(super) collection: String,
    /// What it was like; if it is another now, nothing is known of it.
    pub(super) state: String,
    /// How many items are done, and how many of them failed.
    pub(super) items: u64,
    pub(super) failed: u64,
    /// How far that is into it.
    pub(super) measure: u64,
    /// How far the archive was then. One that was restored since may not have what was imported.
    pub(super) next_seq: u64,
    pub(super) log_digest: Vec<u8>,
}

/// Remembers how far an import is.
pub(super) struct Keeping {
    /// None where nothing is to be remembered.
    memory: Option<Memory<Kept>>,
    written: Instant,
    /// Why it could not be written, the first time.
    failure: Option<String>,
}

impl Keeping {
    /// Goes on with what is remembered, as far as it is of this state of the collection.
    pub(super) fn new(memory: Option<Memory<Kept>>, collection: &str, state: &str) -> Self {
        let memory = memory.map(|mut memory| {
            if memory.value.state != state {
                memory.value = Kept::default();
            }
            (memory.value.collection, memory.value.state) = (collection.to_owned(), state.to_owned());
            memory
        });
        Self { memory, written: Instant::now(), failure: None }
    }

    /// How far an earlier import came, and how much failed of it.
    pub(super) fn before(&self) -> (Done, u64) {
        let kept = self.memory.as_ref().map(|memory| &memory.value);
        kept.map(|kept| (Done { items: kept.items, measure: kept.measure }, kept.failed)).unwrap_or_default()
    }

    /// The point of the archive that what is remembered is of; none where nothing is remembered.
    pub(super) fn known_at(&self) -> Option<pb::AsOf> {
        let kept = self.memory.as_ref().map(|memory| &memory.value).filter(|kept| !kept.log_digest.is_empty())?;
        let known_at = Some(pb::as_of::KnownAt::NextSeq(kept.next_seq));
        Some(pb::AsOf { known_at, log_digest: kept.log_digest.clone(), ..pb::AsOf::default() })
    }

    /// What is remembered is of another archive than the one that is there.
    pub(super) fn begin_anew(&mut self) {
        if let Some(memory) = &mut self.memory {
            let Kept { collection, state, .. } = std::mem::take(&mut memory.value);
            (memory.value.collection, memory.value.state) = (collection, state);
        }
    }

    /// The import came so far.
    pub(super) fn reached(&mut self, tally: &Tally<'_>) {
        if self.written.elapsed() >= KEPT_EVERY {
            self.keep(tally);
        }
    }

    /// Remembers how far the import is. What cannot be written is told, once: the import itself loses nothing by it.
    pub(super) fn keep(&mut self, tally: &Tally<'_>) {
        let Some(memory) = &mut self.memory else { return };
        let Done { items, measure } = tally.done();
        (memory.value.items, memory.value.measure, memory.value.failed) = (items, measure, tally.failed());
        if let Some(snapshot) = tally.snapshot() {
            (memory.value.next_seq, memory.value.log_digest) = (snapshot.next_seq, snapshot.log_digest.to_vec());
        }
        self.written = Instant::now();
        if let Err(error) = memory.keep()
            && self.failure.is_none()
        {
            let failure = format!("how far the import is can't be remembered: {error}");
            tally.note(&failure);
            self.failure = Some(failure);
        }
    }

    /// The collection is done.
    pub(super) fn forget(self, tally: &Tally<'_>) {
        if let Some(Err(error)) = self.memory.map(Memory::forget) {
            tally.note(format_args!("what is remembered of the import can't be removed: {error}"));
        }
    }
}
