//! Verifies an archive that no process has open, including one that refuses to open.
//!
//! Opening a damaged database may overwrite data that could still be read. So the engine copies that data first, and
//! restores it if verification finds anything: verifying leaves a damaged archive as it was.

use std::path::Path;
use std::sync::Arc;

use crate::archive::open::check_watermark;
use crate::archive::recover::verify::report::{Listener, Stopped, VerificationReport};
use crate::archive::{OpenArchiveError, Options};
use crate::model::Seq;
use crate::model::verification::{Finding, Summary, Table};
use crate::store::engine::directory::Directory;
use crate::store::engine::lock::Holder;
use crate::store::engine::sled::SledEngine;
use crate::store::engine::watermark::Watermark;
use crate::store::format::{self, FormatError};
use crate::store::{StoreError, Tables};

/// Verifies the archive in `path`, and reports progress and findings to `listener`. `None` if the listener requested a
/// stop. Fails with [`OpenArchiveError`] if the engine cannot read the database at all.
pub fn verify_directory(
    path: &Path,
    options: &Options,
    holder: Holder,
    listener: &mut Listener<'_>,
) -> Result<Option<Summary>, OpenArchiveError> {
    verify_locked(Directory::open(path, holder)?, options, listener)
}

/// As [`verify_directory`], but verifies `copy`, a private copy ([`Directory::copy_of`]) of the archive in `path`.
pub fn verify_copy(
    copy: Directory,
    path: &Path,
    options: &Options,
    listener: &mut Listener<'_>,
) -> Result<Option<Summary>, OpenArchiveError> {
    let place = copy.path().to_path_buf();
    verify_locked(copy, options, listener).map_err(|error| error.about(&place, path))
}

fn verify_locked(
    directory: Directory,
    options: &Options,
    listener: &mut Listener<'_>,
) -> Result<Option<Summary>, OpenArchiveError> {
    let path = directory.path().to_path_buf();
    let watermark = Watermark::open_in(&path)?;
    let mut outcome = None;
    let opened = SledEngine::open_checked(Arc::new(directory), options.engine(), |engine| {
        let verified = verify_engine(engine, &watermark, listener);
        let is_intact = matches!(verified, Ok(Some(Summary { findings: 0, .. })));
        outcome = Some(verified);
        if is_intact { Ok(()) } else { Err("it was opened only to be verified".to_owned()) }
    });
    match (outcome, opened) {
        (Some(verified), _) => verified.map_err(|source| OpenArchiveError::Format { path, source }),
        (None, Err(error)) => Err(error.into()),
        // An engine cannot open without having been verified.
        (None, Ok(_)) => Ok(None),
    }
}

/// Verifies the data in an engine, and checks that nothing is missing that was durable according to the watermark.
pub(crate) fn verify_engine(
    engine: &SledEngine,
    watermark: &Watermark,
    listener: &mut Listener<'_>,
) -> Result<Option<Summary>, FormatError> {
    let id = match format::read(engine) {
        Err(error @ FormatError::Version { .. }) => return Err(error),
        Err(FormatError::Store(error)) => Err(error),
        Ok(id) => Ok(id),
    };
    let mut report = VerificationReport::new(listener);
    Ok(match read(engine, id, watermark, &mut report) {
        Ok(()) => Some(report.summary),
        Err(Stopped) => None,
    })
}

fn read(
    engine: &SledEngine,
    id: Result<Option<[u8; 16]>, StoreError>,
    watermark: &Watermark,
    report: &mut VerificationReport<'_>,
) -> Result<(), Stopped> {
    let finding = |table, detail| Finding { table, seq: None, article: None, detail };
    let id = match id {
        Ok(id) => id,
        Err(error) => {
            report.add(finding(Table::Meta, error.to_string()))?;
            None
        }
    };
    let tables = Tables::new(engine);
    if let Err(reason) = check_watermark(watermark, &tables) {
        report.add(finding(Table::Log, reason))?;
    }
    let end = match tables.last_change() {
        Ok(last) => last.map_or(Seq::ZERO, |last| last.seq.next()),
        Err(StoreError::Damaged { seq: Some(seq), .. }) => seq.next(),
        Err(_) => Seq(watermark.read().map_or(0, |state| state.next_seq)),
    };
    crate::archive::recover::verify::read_all(engine, id.as_ref(), end, report)?;
    // A recovery warning alone is not a finding: a crash that lost nothing acknowledged causes one, too.
    match engine.recovery_warning() {
        Some(recovery_warning) if report.summary.findings > 0 => {
            report.add(finding(Table::Unknown, recovery_warning.to_owned()))
        }
        Some(_) | None => Ok(()),
    }
}
