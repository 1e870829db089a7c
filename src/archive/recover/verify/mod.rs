//! Verifying: everything is read again, and held against what the log says.
//!
//! First the log, each change against the one before it ([`log`]). Then each article: its contents against their
//! digests, its originals, and its entries in the indexes against those that follow from its changes ([`articles`]). Then
//! all entries of the database, each for a reason to be there ([`entries`]). Whatever is found is told, and reading goes
//! on behind it.
//!
//! It reads what is stored, past all caches, and writes nothing. Writers may go on meanwhile: what they add is told from
//! damage by its position.

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

pub use crate::archive::recover::verify::offline::verify_directory;
pub(crate) use crate::archive::recover::verify::offline::verify_engine;
pub use crate::archive::recover::verify::rebuild::RebuildError;
pub use crate::archive::recover::verify::rebuild::rebuild_directory;
pub use crate::archive::recover::verify::report::{FINDINGS_TOLD_MAX, Listener};
use crate::archive::recover::verify::report::{Report, Stopped};
use crate::archive::{Archive, ArchiveError};
use crate::model::Seq;
pub use crate::model::verification::{Event, Finding, Phase, Progress, Summary, Table};
use crate::store::engine::Read;

/// Verifies the archive `id`, whose log ends at `end` or later. `None` where the listener asked for an end.
pub(crate) fn verify(read: &dyn Read, id: Option<&[u8; 16]>, end: Seq, listener: &mut Listener<'_>) -> Option<Summary> {
    let mut report = Report::new(listener);
    match read_all(read, id, end, &mut report) {
        Ok(()) => Some(report.summary),
        Err(Stopped) => None,
    }
}

fn read_all(read: &dyn Read, id: Option<&[u8; 16]>, end: Seq, report: &mut Report<'_>) -> Result<(), Stopped> {
    let mut known = log::read_log(read, id, end, report)?;
    articles::read_articles(read, &mut known, report)?;
    entries::read_entries(read, &known, report)
}

impl Archive {
    /// Reads everything again, and tells `listener` how far it is and what it finds; on a blocking thread, of which
    /// [`crate::archive::VERIFICATIONS_MAX`] are kept for this: where all are taken it waits for one. `None` where the listener
    /// asked for an end, which it does also when its caller is gone.
    pub async fn verify(
        &self,
        mut listener: impl FnMut(Event) -> ControlFlow<()> + Send + 'static,
    ) -> Result<Option<Summary>, ArchiveError> {
        let (engine, id, end) = (Arc::clone(&self.shared.engine), self.info.id, self.tail().next_seq);
        let verifying = move || Ok(verify(engine.as_ref(), Some(&id), end, &mut listener));
        self.pools.verifications.run(verifying).await
    }
}
