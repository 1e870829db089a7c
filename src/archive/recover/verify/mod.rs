//! Verification: reads everything that is stored and checks it against the log.
//!
//! | pass | reads | checks |
//! | --- | --- | --- |
//! | [`log`] | every change | that it continues the one before it, and that the stored stats of sources match |
//! | [`articles`] | each article's contents, originals and index entries | that they match its changes in the log |
//! | [`entries`] | every entry of the database, in order of keys | that something in the log accounts for it |
//!
//! The last pass finds what the others cannot: entries that nothing refers to.
//!
//! Invariants:
//! - Verification writes nothing, and bypasses all caches.
//! - A finding is reported, and reading continues after it. One damaged page does not hide the rest.
//! - Writers may continue in the meantime. What they add is distinguished from damage by its position.

mod articles;
mod compare;
mod entries;
mod log;
mod offline;
pub(crate) mod payload;
mod rebuild;
mod report;
mod stats;

use std::ops::ControlFlow;
use std::sync::Arc;

pub(crate) use crate::archive::recover::verify::offline::verify_engine;
pub use crate::archive::recover::verify::offline::{verify_copy, verify_directory};
pub use crate::archive::recover::verify::rebuild::RebuildError;
pub use crate::archive::recover::verify::rebuild::rebuild_directory;
pub use crate::archive::recover::verify::report::Listener;
use crate::archive::recover::verify::report::{Stopped, VerificationReport};
use crate::archive::{Archive, ArchiveError};
use crate::model::Seq;
pub use crate::model::verification::{Event, Summary};
use crate::store::engine::Read;

/// Verifies the archive `id`, whose log ends at `end` or later. `None` if the listener requested a stop.
pub(crate) fn verify(read: &dyn Read, id: Option<&[u8; 16]>, end: Seq, listener: &mut Listener<'_>) -> Option<Summary> {
    let mut report = VerificationReport::new(listener);
    match read_all(read, id, end, &mut report) {
        Ok(()) => Some(report.summary),
        Err(Stopped) => None,
    }
}

fn read_all(
    read: &dyn Read,
    id: Option<&[u8; 16]>,
    end: Seq,
    report: &mut VerificationReport<'_>,
) -> Result<(), Stopped> {
    let mut log = log::read_log(read, id, end, report)?;
    articles::read_articles(read, &mut log, report)?;
    entries::read_entries(read, &log, report)
}

/// For the layers above.
#[doc(hidden)]
impl Archive {
    /// Verifies the archive while it is in use, and reports progress and findings to `listener`. Runs on a blocking
    /// thread; if [`crate::archive::VERIFICATIONS_MAX`] are running already, it waits for one to end. Returns `None` if
    /// the listener requested a stop. Dropping the future does not stop it, so the listener must do that when its
    /// caller is gone.
    pub async fn verify(
        &self,
        mut listener: impl FnMut(Event) -> ControlFlow<()> + Send + 'static,
    ) -> Result<Option<Summary>, ArchiveError> {
        let (engine, id, end) = (Arc::clone(&self.shared.engine), self.info.id, self.tail().next_seq);
        let verifying = move || Ok(verify(engine.as_ref(), Some(&id), end, &mut listener));
        self.pools.verifications.run(verifying).await
    }
}
