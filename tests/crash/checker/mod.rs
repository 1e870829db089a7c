//! Holds all that was acknowledged against what the archive has.
//!
//! First everything stored is verified while nobody has the archive open: contents, digests and every index against the
//! log. Then the archive is opened, and its log read through the feed: it must be without a gap ([`log`]) and have each
//! acknowledged change ([`promises`]), with the content and original that were asked for ([`contents`]). What is newest
//! of each article must be what a plain reading of the log says ([`newest`]).
//!
//! What is found is told as words; all of it, since a second fault often explains the first.

mod contents;
mod log;
mod newest;
mod promises;
mod replays;
mod tests;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use dateline::archive::Archive;
use dateline::archive::verify::{Event, Summary, verify_directory};
use dateline::clock::SystemClock;
use dateline::store::engine::directory::{Directory, Inspection};

pub(crate) use self::log::TORN;
pub(crate) use self::promises::LOST;
use crate::acknowledged::Acknowledged;
use crate::holding;

/// What the fault begins with that an archive does not open.
pub(crate) const COULD_NOT_OPEN: &str = "could not open";

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Changes of the log.
    pub(crate) changes: usize,
    /// Of them acknowledged ones.
    pub(crate) acknowledged: usize,
    /// How many kinds of change the log has.
    pub(crate) kinds: usize,
    /// Acknowledged contents that were compared.
    pub(crate) contents: usize,
    /// Acknowledged requests that were repeated.
    pub(crate) replays: usize,
}

/// Whose contents are compared. That takes the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Of all acknowledgements.
    All,
    /// Of so many at the end.
    Newest(usize),
}

/// Checks the archive in `directory`. Each error is a fault.
pub(crate) fn check(directory: &Path, acknowledged: &[Acknowledged]) -> Result<Checked, Vec<String>> {
    check_contents(directory, acknowledged, Contents::All)
}

/// As [`check`], for the contents of some acknowledgements only.
pub(crate) fn check_contents(
    directory: &Path,
    acknowledged: &[Acknowledged],
    contents: Contents,
) -> Result<Checked, Vec<String>> {
    let mut faults = Faults::default();
    verify(directory, &mut faults);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let checked = runtime.block_on(async {
        match holding::open(directory, Arc::new(SystemClock)) {
            Ok(archive) => {
                let checked = check_open(&archive, acknowledged, contents, &mut faults).await;
                archive.close().await;
                checked
            }
            Err(error) => {
                faults.find(format!("{COULD_NOT_OPEN} {}: {error}", directory.display()));
                Checked::default()
            }
        }
    });
    if faults.0.is_empty() { Ok(checked) } else { Err(faults.0) }
}

async fn check_open(
    archive: &Archive,
    acknowledged: &[Acknowledged],
    contents: Contents,
    faults: &mut Faults,
) -> Checked {
    let changes = log::read(archive, faults).await;
    log::check(archive, &changes, faults);
    newest::check(archive, &changes, faults).await;
    let kept = promises::check(archive, &changes, acknowledged, faults).await;
    let compared = match contents {
        Contents::All => &kept[..],
        Contents::Newest(count) => &kept[kept.len().saturating_sub(count)..],
    };
    let with_content = contents::check(archive, compared, faults).await;
    let replays = replays::check(archive, &kept, faults).await;
    let kinds: BTreeSet<_> = changes.iter().map(|change| change.entry.kind as u8).collect();
    Checked { changes: changes.len(), acknowledged: kept.len(), kinds: kinds.len(), contents: with_content, replays }
}

/// Verifies what is stored. A child that was killed at once has made nothing yet.
fn verify(directory: &Path, faults: &mut Faults) {
    if !matches!(Directory::inspect(directory), Ok(Inspection::Archive { .. })) {
        return;
    }
    let mut found = Vec::new();
    let mut listener = |event| {
        if let Event::Finding(finding) = event {
            found.push(format!("verifying found {finding:?}"));
        }
        ControlFlow::Continue(())
    };
    match verify_directory(directory, &holding::options(), holding::holder(), &mut listener) {
        Ok(Some(Summary { findings: 0, .. })) => {}
        Ok(_) => faults.0.append(&mut found),
        Err(error) => faults.find(format!("{COULD_NOT_OPEN} {} to verify it: {error}", directory.display())),
    }
}

/// What is wrong.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<String>);

impl Faults {
    fn find(&mut self, fault: String) {
        self.0.push(fault);
    }

    /// Finds the fault that `told` says, unless the thing `is_well`.
    fn expect(&mut self, is_well: bool, told: impl FnOnce() -> String) {
        if !is_well {
            self.find(told());
        }
    }
}
