//! Saves the progress of an import, so that the next import of the same collection continues there.
//!
//! Progress is saved at intervals, not with every item. After a crash, the items since the last save are imported
//! again, which changes nothing: the archive recognises observations that it already has.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::item::Done;
use super::tracker::Tracker;
use crate::capture::state_file::StateFile;
use crate::wire::pb;

const SAVE_EVERY: Duration = Duration::from_millis(250);

/// The progress of one collection. It is removed when the collection is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SavedProgress {
    /// The name of the collection, for people who read the file.
    pub(super) collection: String,
    /// The state of the collection. If it has changed, the progress does not apply.
    pub(super) state: String,
    /// How many items are done, and how many of them failed.
    pub(super) items: u64,
    pub(super) failed: u64,
    /// How far these items reach, in bytes of the file or commits of the repository.
    pub(super) measure: u64,
    /// The snapshot of the archive at that point. An archive that was restored since may lack what was imported.
    pub(super) next_seq: u64,
    pub(super) log_digest: Vec<u8>,
}

/// Saves the progress of one import.
pub(super) struct Checkpoint {
    /// `None` if progress is not saved.
    state_file: Option<StateFile<SavedProgress>>,
    /// When the progress was last saved.
    saved: Instant,
    /// Why saving failed, the first time.
    failure: Option<String>,
}

impl Checkpoint {
    /// Continues from saved progress if it is for this state of the collection.
    pub(super) fn new(state_file: Option<StateFile<SavedProgress>>, collection: &str, state: &str) -> Self {
        let state_file = state_file.map(|mut state_file| {
            if state_file.value.state != state {
                state_file.value = SavedProgress::default();
            }
            (state_file.value.collection, state_file.value.state) = (collection.to_owned(), state.to_owned());
            state_file
        });
        Self { state_file, saved: Instant::now(), failure: None }
    }

    /// The progress that the import continues from, and how many of those items failed.
    pub(super) fn before(&self) -> (Done, u64) {
        let kept = self.state_file.as_ref().map(|state_file| &state_file.value);
        kept.map(|kept| (Done { items: kept.items, measure: kept.measure }, kept.failed)).unwrap_or_default()
    }

    /// The point of the archive to which the saved progress belongs; `None` without saved progress.
    pub(super) fn known_at(&self) -> Option<pb::AsOf> {
        let kept =
            self.state_file.as_ref().map(|state_file| &state_file.value).filter(|kept| !kept.log_digest.is_empty())?;
        let known_at = Some(pb::as_of::KnownAt::NextSeq(kept.next_seq));
        Some(pb::AsOf { known_at, log_digest: kept.log_digest.clone(), ..pb::AsOf::default() })
    }

    /// Discards the saved progress, which belongs to another archive or to changes that this one has lost.
    pub(super) fn restart(&mut self) {
        if let Some(state_file) = &mut self.state_file {
            let SavedProgress { collection, state, .. } = std::mem::take(&mut state_file.value);
            (state_file.value.collection, state_file.value.state) = (collection, state);
        }
    }

    /// Saves the progress if enough time has passed since the last save.
    pub(super) fn reached(&mut self, tracker: &mut Tracker<'_>) {
        if self.saved.elapsed() >= SAVE_EVERY {
            self.save(tracker);
        }
    }

    /// Saves the progress. A failure is reported once, and does not affect the import itself.
    pub(super) fn save(&mut self, tracker: &mut Tracker<'_>) {
        let Some(state_file) = &mut self.state_file else { return };
        let Done { items, measure } = tracker.done();
        (state_file.value.items, state_file.value.measure, state_file.value.failed) =
            (items, measure, tracker.failed());
        if let Some(snapshot) = tracker.snapshot() {
            (state_file.value.next_seq, state_file.value.log_digest) =
                (snapshot.next_seq, snapshot.log_digest.to_vec());
        }
        self.saved = Instant::now();
        if let Err(error) = state_file.save()
            && self.failure.is_none()
        {
            let failure = format!("the progress of the import cannot be saved: {error}");
            tracker.note(failure.clone());
            self.failure = Some(failure);
        }
    }

    /// Removes the saved progress of a collection that is done.
    pub(super) fn remove(self, tracker: &mut Tracker<'_>) {
        if let Some(Err(error)) = self.state_file.map(StateFile::remove) {
            tracker.note(format!("the saved progress of the import cannot be removed: {error}"));
        }
    }
}
