//! Restores an archive from the log files of a backup, into a new directory.
//!
//! The result is the archive that was backed up, as it was at the chosen position: the same id, and the same log below
//! that position.
//!
//! ```text
//! lost archive      0 ──────────────────── 120 ─────────── 190
//! backup            0 ──────────────────── 120
//! restored archive  0 ──────────────────── 120 ═══ different changes ═══▶
//!
//! token of 80       valid
//! token of 150      rejected: the log digest at 150 is different
//! ```
//!
//! Invariants:
//! - Snapshots and tokens from below the position stay valid. Those from above it are rejected, however far the
//!   restored archive grows, because the log digest differs.
//! - Durable subscriptions get epochs above all that the lost archive can have assigned, so a consumer of the lost
//!   archive is never mistaken for the current one. Every subscription is on hold: a consumer can attach only if it
//!   shows that it received nothing that is lost, or after the subscription is moved with a seek.
//! - The archive is built in `NAME.restoring`, next to its final directory, and gets its final name only once all of it
//!   is durable. An interrupted restore does not take the name, and the next restore removes what it left.
//!
//! Finding and reading the files of a backup is the job of [`crate::backup`].

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use crate::archive::expunge::register_file::RegisterFile;
use crate::archive::open::{Options, new_log_epoch};
use crate::archive::recover::replay::{LogReplay, UnloggedState};
use crate::backup::{BackupError, BackupState, Changes};
use crate::model::{Seq, Snapshot, SubscriptionId, Timestamp};
use crate::store::engine::OpenError;
use crate::store::engine::directory::Directory;
use crate::store::engine::lock::Holder;
use crate::store::engine::sled::SledEngine;
use crate::store::engine::watermark::{DurableState, Watermark};
use crate::store::format::{FORMAT_VERSION, FormatError};
use crate::store::logfile::LogHeader;
use crate::store::subscription::SubscriptionRecord;
use crate::store::{EngineError, StoreError};

/// Why an archive was not restored. Nothing remains that could be mistaken for an archive.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup cannot be read, or is incomplete.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A change in the backup is damaged, or does not follow from the ones before it.
    #[error("the backup is damaged{}: {detail}; use another copy of it, or restore to an earlier position", at(*.seq))]
    Damaged {
        /// The position of the damaged change, if it is known.
        seq: Option<Seq>,
        /// What is wrong with it.
        detail: String,
    },
    /// The new archive's directory or database could not be opened, written or renamed.
    #[error(transparent)]
    Directory(#[from] OpenError),
    /// The destination is a file, or a directory that is not empty.
    #[error("{} exists and is not an empty directory; name a directory that is empty or does not exist", .0.display())]
    Taken(PathBuf),
    /// The finished archive could not take the destination's place.
    #[error("{} cannot become an archive: {reason}; name a directory that is empty or does not exist", .path.display())]
    Unfit {
        /// The path of the destination.
        path: PathBuf,
        /// What prevents it, such as a symbolic link or a mount point.
        reason: String,
    },
    /// The operating system returned no random bytes for the epochs of durable subscriptions.
    #[error("the operating system returned no random bytes: {0}")]
    Randomness(String),
    /// The engine could not write the new database.
    #[error("the archive could not be written: {0}")]
    Write(EngineError),
}

/// The minimum by which a restored epoch exceeds the one in the backup: more than the number of epochs that the lost
/// archive can have assigned since then.
const EPOCH_MARGIN: u64 = 1 << 32;
/// The range of the random number that is added to the margin, so that two restores of one backup assign different
/// epochs.
const EPOCH_RANDOM_RANGE: u64 = 1 << 48;

/// The result of a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The durable tail of the restored archive.
    pub end: Snapshot,
    /// The durable subscriptions whose position was after `end` and was set back to it, each with its former position.
    pub set_back: Vec<(SubscriptionId, Seq)>,
    /// The number of durable subscriptions, including those set back. All of them are on hold.
    pub held: usize,
}

/// Restores the archive `archive_id` from the changes of a backup, into `path`, which must be an empty directory or not
/// exist. `progress` is called after each change. Returns `None` if `progress` requested a stop; then nothing remains.
pub fn restore_directory(
    changes: Changes,
    archive_id: [u8; 16],
    path: &Path,
    options: &Options,
    holder: Holder,
    progress: &mut RestoreProgress<'_>,
) -> Result<Option<Restored>, RestoreError> {
    // A directory cannot be renamed to a path that ends in `/.`. Collecting the components drops that ending.
    let path: &Path = &path.components().collect::<PathBuf>();
    check_free(path)?;
    let staging = staging_path(path)?;
    let directory = Arc::new(Directory::begin(&staging, holder)?);
    let can_be_named = check_name(&directory, path);
    let mut restored = can_be_named.and_then(|()| fill(&directory, changes, archive_id, options, progress));
    if let Ok(Some(_)) = &restored {
        let finished = directory.finish(path).map_err(OpenError::io("move the restored archive to", path));
        restored = finished.map_err(RestoreError::from).and(restored);
    }
    if !matches!(restored, Ok(Some(_))) {
        directory.discard().map_err(OpenError::io("remove", &staging))?;
    }
    restored
}

/// Receives the position below which all changes have been read, and the number of bytes of the backup read so far.
/// Returns whether to continue.
pub type RestoreProgress<'a> = dyn FnMut(Seq, u64) -> ControlFlow<()> + 'a;

/// Builds the database and closes it. Returns `None` if `progress` requested a stop.
fn fill(
    directory: &Arc<Directory>,
    mut changes: Changes,
    archive_id: [u8; 16],
    options: &Options,
    progress: &mut RestoreProgress<'_>,
) -> Result<Option<Restored>, RestoreError> {
    let engine = SledEngine::open(Arc::clone(directory), options.engine())?;
    let mut log_replay = LogReplay::new(&engine, archive_id)?;
    while let Some(change) = changes.next_change()? {
        log_replay.push(change)?;
        let (next_seq, bytes) = changes.progress();
        if progress(next_seq, bytes).is_break() {
            return Ok(None);
        }
    }
    let register = changes.register();
    let BackupState { commits, end: backup_end } = changes.finish()?;
    let end = log_replay.snapshot();
    let (mut subscriptions, set_back) = lower_positions(backup_end.subscriptions, end.next_seq);
    for record in subscriptions.values_mut() {
        record.epoch = unused_epoch(record.epoch)?;
        // The consumer may have received changes after this backup was made.
        record.restored = true;
    }
    let held = subscriptions.len();
    // The commit count continues, so that a later backup can be distinguished from this one even if both end at the
    // same position.
    // What was signed after this backup was made is lost. The restored log must not sign under the same name, since it
    // may continue in another way.
    let log_epoch = new_log_epoch().map_err(|error| RestoreError::Randomness(error.to_string()))?;
    let closed_time = backup_end.closed_time;
    log_replay.finish(&UnloggedState {
        closed_time,
        commits,
        log_epoch: Some(log_epoch),
        destruction_pending: None,
        // Those of the lost log have another origin.
        checkpoints: Vec::new(),
        subscriptions,
    })?;
    drop(engine);
    let path = directory.path();
    // The log may not have all of it, but a later restore must.
    let header = LogHeader {
        format_version: FORMAT_VERSION,
        archive_id,
        first_seq: end.next_seq,
        first_log_digest: end.log_digest,
        end,
        create_time: Timestamp::from_micros(0).unwrap_or(Timestamp::MIN),
        writer: concat!("dateline ", env!("CARGO_PKG_VERSION")).to_owned(),
        commits,
        register,
    };
    let saved = RegisterFile::of(Arc::clone(directory)).save(|| Ok(header));
    saved.map_err(|error| RestoreError::Write(EngineError::Failed(error.to_string())))?;
    let mut watermark = Watermark::open_in(path)?;
    let recorded = watermark.record(DurableState { next_seq: end.next_seq.0, log_digest: end.log_digest.0, commits });
    recorded.and_then(|()| watermark.sync()).map_err(OpenError::io("write the watermark of", path))?;
    Ok(Some(Restored { end, set_back, held }))
}

type SubscriptionRecords = BTreeMap<SubscriptionId, SubscriptionRecord>;

/// Lowers the positions of subscriptions to at most `end`, and drops parked changes from there on. Also returns the
/// subscriptions that were lowered, with their former positions.
fn lower_positions(
    subscriptions: Vec<(SubscriptionId, SubscriptionRecord)>,
    end: Seq,
) -> (SubscriptionRecords, Vec<(SubscriptionId, Seq)>) {
    let mut set_back = Vec::new();
    let lowered = subscriptions.into_iter().map(|(id, record)| {
        if record.next_seq > end {
            set_back.push((id.clone(), record.next_seq));
        }
        (id, record.within(end))
    });
    (lowered.collect(), set_back)
}

/// Returns an epoch above all that were ever assigned. `backed_up` is the epoch in the backup; the lost archive may
/// have assigned higher ones since.
fn unused_epoch(backed_up: u64) -> Result<u64, RestoreError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| RestoreError::Randomness(error.to_string()))?;
    let increase = EPOCH_MARGIN + u64::from_be_bytes(random) % EPOCH_RANDOM_RANGE;
    // Even tens of thousands of restores, each from a backup of the one before, do not reach the limit of `u64`.
    Ok(backed_up.saturating_add(increase))
}

/// Checks that `path` does not exist or is an empty directory.
fn check_free(path: &Path) -> Result<(), RestoreError> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata.map_err(OpenError::io("inspect", path))?,
    };
    if metadata.is_symlink() {
        return Err(unfit(path, "it is a symbolic link"));
    }
    let is_empty = metadata.is_dir() && fs::read_dir(path).map_err(OpenError::io("list", path))?.next().is_none();
    if is_empty { Ok(()) } else { Err(RestoreError::Taken(path.to_path_buf())) }
}

/// Checks that the finished archive can be renamed to `path`, so that a long restore does not fail at its last step.
fn check_name(directory: &Directory, path: &Path) -> Result<(), RestoreError> {
    directory.try_name(path).map_err(|error| {
        if error.kind() == io::ErrorKind::ResourceBusy {
            unfit(path, "it is a mount point, and the archive has to replace the directory")
        } else {
            unfit(path, &format!("it cannot be replaced ({error})"))
        }
    })
}

fn unfit(path: &Path, reason: &str) -> RestoreError {
    RestoreError::Unfit { path: path.to_path_buf(), reason: reason.to_owned() }
}

/// The directory in which the archive is built until it gets its final name. It has the same parent as `path`, so that
/// renaming is atomic.
fn staging_path(path: &Path) -> Result<PathBuf, RestoreError> {
    let Some(name) = path.file_name() else { return Err(unfit(path, "it does not end in the name of a directory")) };
    let mut name = name.to_os_string();
    name.push(".restoring");
    Ok(path.with_file_name(name))
}

fn at(seq: Option<Seq>) -> String {
    seq.map(|seq| format!(" at change {seq}")).unwrap_or_default()
}

impl From<StoreError> for RestoreError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { seq, detail } => Self::Damaged { seq, detail },
            StoreError::Engine(error) => Self::Write(error),
        }
    }
}

impl From<FormatError> for RestoreError {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::Store(error) => error.into(),
            FormatError::Version { .. } => Self::Damaged { seq: None, detail: error.to_string() },
        }
    }
}
