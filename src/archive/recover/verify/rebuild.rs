//! Rebuilds all indexes of an archive from its log and its contents.
//!
//! The indexes are built in a new database next to the old one. Once the new one is complete, it takes the place of the
//! old one. So it does not matter how badly the old indexes are damaged, and an interrupted rebuild changes nothing.
//! The log must be intact, because everything follows from it. A damaged content or original is carried over as it is,
//! and reported.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::archive::open::{check_watermark, new_log_epoch, read_closed_time, read_commits, read_log_epoch};
use crate::archive::recover::replay::{LogReplay, UnloggedState};
use crate::archive::recover::verify::report::{Listener, Stopped, VerificationReport};
use crate::archive::{OpenArchiveError, Options};
use crate::model::verification::{Finding, Phase, Summary, Table};
use crate::model::{Seq, Snapshot, SubscriptionId};
use crate::store::checkpoint::CheckpointRecord;
use crate::store::engine::directory::Directory;
use crate::store::engine::lock::Holder;
use crate::store::engine::sled::SledEngine;
use crate::store::engine::watermark::Watermark;
use crate::store::engine::{Direction, Read};
use crate::store::format::{self, FormatError};
use crate::store::full_change::FullChange;
use crate::store::key::parked::ParkedKey;
use crate::store::subscription::SubscriptionRecord;
use crate::store::{Engine, EngineError, StoreError, Tables};

/// Why the indexes were not rebuilt. The archive is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The archive could not be opened, or the new database could not be put in the place of the old one.
    #[error(transparent)]
    Open(#[from] OpenArchiveError),
    /// The log itself is damaged.
    #[error("the indexes cannot be rebuilt because the log itself is damaged: {reason}; restore a backup")]
    Log {
        /// The position of the damaged change, if it is known.
        seq: Option<Seq>,
        /// What is wrong with it.
        reason: String,
    },
    /// The new database could not be written.
    #[error("the new database could not be written: {0}")]
    Write(String),
}

/// Rebuilds the indexes of the archive in `path`, and reports progress and damaged contents to `listener`. `None` if
/// the listener requested a stop; the archive is then unchanged.
///
/// This needs as much free disk space as the archive occupies. The old database is moved to the archive's quarantine
/// folder.
pub fn rebuild_directory(
    path: &Path,
    options: &Options,
    holder: Holder,
    listener: &mut Listener<'_>,
) -> Result<Option<Summary>, RebuildError> {
    let directory = Arc::new(Directory::open(path, holder).map_err(OpenArchiveError::from)?);
    let watermark = Watermark::open_in(path).map_err(OpenArchiveError::from)?;
    let new = SledEngine::create_replacement(&directory, options.engine()).map_err(OpenArchiveError::from)?;
    let mut outcome = None;
    let opened = SledEngine::open_checked(directory, options.engine(), |old| {
        let mut report = VerificationReport::new(listener);
        let rebuilt = rebuild(old, &new, &watermark, &mut report);
        outcome = Some(rebuilt.map(|()| report.summary));
        // Whatever the result, the old database must stay as it was found.
        Err("it was opened only to be read".to_owned())
    });
    let rebuilt = match (outcome, opened) {
        (Some(rebuilt), _) => rebuilt,
        (None, opened) => {
            new.discard().map_err(OpenArchiveError::from)?;
            return opened.map(|_| None).map_err(|error| OpenArchiveError::from(error).into());
        }
    };
    match rebuilt {
        Ok(summary) => {
            new.replace_database().map_err(OpenArchiveError::from)?;
            Ok(Some(summary))
        }
        Err(failure) => {
            new.discard().map_err(OpenArchiveError::from)?;
            failure.into_result(path)
        }
    }
}

enum RebuildFailure {
    Stopped,
    Format(FormatError),
    Log(StoreError),
    Write(StoreError),
}

impl RebuildFailure {
    fn into_result(self, path: &Path) -> Result<Option<Summary>, RebuildError> {
        match self {
            Self::Stopped => Ok(None),
            Self::Format(source) => Err(OpenArchiveError::Format { path: path.to_path_buf(), source }.into()),
            Self::Log(StoreError::Damaged { seq, detail }) => Err(RebuildError::Log { seq, reason: detail }),
            Self::Log(error) => Err(RebuildError::Log { seq: None, reason: error.to_string() }),
            Self::Write(error) => Err(RebuildError::Write(error.to_string())),
        }
    }
}

impl From<Stopped> for RebuildFailure {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

fn rebuild(
    old: &dyn Read,
    new: &dyn Engine,
    watermark: &Watermark,
    report: &mut VerificationReport<'_>,
) -> Result<(), RebuildFailure> {
    let tables = Tables::new(old);
    let damaged = |detail| RebuildFailure::Log(StoreError::Damaged { seq: None, detail });
    check_watermark(watermark, &tables).map_err(damaged)?;
    let id = format::read(old).map_err(RebuildFailure::Format)?;
    let id = id.ok_or_else(|| damaged("the database is empty".to_owned()))?;
    let end = tables.last_change().map_err(RebuildFailure::Log)?.map_or(Seq::ZERO, |last| last.seq.next());
    let mut log_replay = LogReplay::new(new, id).map_err(RebuildFailure::Format)?;
    report.begin(Phase::Log, end.0)?;
    for seq in (0..end.0).map(Seq) {
        let missing = || StoreError::damaged_at(seq, "a change of the log is missing");
        let full = FullChange::read_record(old, seq).and_then(|record| record.ok_or_else(missing));
        let mut full = full.map_err(RebuildFailure::Log)?;
        let unreadable = full.read_payload(old).err();
        let damage = log_replay.push_with_damage(&full).map_err(|error| match error {
            StoreError::Damaged { .. } => RebuildFailure::Log(error),
            StoreError::Engine(_) => RebuildFailure::Write(error),
        })?;
        report.summary.contents += u64::from(full.content.is_some());
        if let Some(error) = unreadable.or(damage) {
            report.add_error(Table::Content, Some(seq), Some(&full.change.entry.name), error)?;
        }
        report.summary.changes += 1;
        report.advance()?;
    }
    report.end()?;
    let unlogged = read_unlogged(&tables, log_replay.snapshot(), watermark, report)?;
    log_replay.finish(&unlogged).map(drop).map_err(RebuildFailure::Write)
}

/// Reads the state that cannot be derived from the log. If a part of it is damaged, reports that and uses the best
/// estimate.
fn read_unlogged(
    tables: &Tables<'_>,
    end: Snapshot,
    watermark: &Watermark,
    report: &mut VerificationReport<'_>,
) -> Result<UnloggedState, RebuildFailure> {
    let closed_time = match read_closed_time(tables) {
        Ok(closed_time) => closed_time,
        Err(error) => {
            report.add_error(Table::Meta, None, None, error)?;
            end.archive_time
        }
    };
    let commits = match read_commits(tables) {
        Ok(commits) => commits,
        Err(error) => {
            report.add_error(Table::Meta, None, None, error)?;
            watermark.read().map_or(0, |state| state.commits)
        }
    };
    let log_epoch = match read_log_epoch(tables) {
        Ok(log_epoch) => log_epoch,
        Err(error) => {
            report.add_error(Table::Meta, None, None, error)?;
            let failed = |error: getrandom::Error| EngineError::Failed(error.to_string());
            Some(new_log_epoch().map_err(|error| RebuildFailure::Write(failed(error).into()))?)
        }
    };
    let destruction_pending = match tables.destruction_pending() {
        Ok(pending) => pending,
        Err(error) => {
            report.add_error(Table::Meta, None, None, error)?;
            end.archive_time
        }
    };
    let checkpoints = read_checkpoints(tables, end.next_seq, report)?;
    let subscriptions = read_subscriptions(tables, end.next_seq, report)?;
    Ok(UnloggedState { closed_time, commits, log_epoch, destruction_pending, checkpoints, subscriptions })
}

fn read_checkpoints(
    tables: &Tables<'_>,
    end: Seq,
    report: &mut VerificationReport<'_>,
) -> Result<Vec<CheckpointRecord>, RebuildFailure> {
    let mut checkpoints = Vec::new();
    for checkpoint in tables.checkpoints(0, Direction::Forward) {
        match checkpoint {
            Ok(checkpoint) if checkpoint.size > end.0 => break,
            Ok(checkpoint) => checkpoints.push(checkpoint),
            Err(error) => report.add_error(Table::Tree, None, None, error)?,
        }
    }
    Ok(checkpoints)
}

fn read_subscriptions(
    tables: &Tables<'_>,
    end: Seq,
    report: &mut VerificationReport<'_>,
) -> Result<BTreeMap<SubscriptionId, SubscriptionRecord>, RebuildFailure> {
    let mut subscriptions = BTreeMap::new();
    for entry in tables.subscriptions() {
        match entry {
            Ok((id, record)) => {
                // If the position is after the end of the log, the consumer has received changes that are lost.
                let restored = record.restored || record.next_seq > end;
                subscriptions.insert(id, SubscriptionRecord { restored, ..record }.within(end));
            }
            Err(error) => {
                let detail = error.to_string();
                report.add(Finding { table: Table::Subscription, seq: None, article: None, detail })?;
            }
        }
    }
    read_parked(tables, end, &mut subscriptions, report)?;
    Ok(subscriptions)
}

/// Adds the parked changes below `end` to their subscriptions. Those of a subscription that cannot be read are left out.
fn read_parked(
    tables: &Tables<'_>,
    end: Seq,
    subscriptions: &mut BTreeMap<SubscriptionId, SubscriptionRecord>,
    report: &mut VerificationReport<'_>,
) -> Result<(), RebuildFailure> {
    for entry in tables.parked_changes() {
        match entry {
            Ok((ParkedKey { subscription, seq }, parked)) => {
                if let Some(record) = subscriptions.get_mut(&subscription).filter(|_| seq < end) {
                    Arc::make_mut(&mut record.parked).insert(seq, parked);
                }
            }
            Err(error) => {
                let detail = error.to_string();
                report.add(Finding { table: Table::Subscription, seq: None, article: None, detail })?;
            }
        }
    }
    Ok(())
}
