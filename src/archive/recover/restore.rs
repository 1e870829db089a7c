//! Restoring: an archive made anew, in a new directory, from the files of a backup.
//!
//! It is the archive that was backed up, as it was at the point that is restored: the same id and the same history below
//! that point, so that what was handed out before it stays valid, and what was handed out beyond it is refused, however
//! far the restored archive grows. Leases on durable subscriptions go on above all that were ever given, so that none of
//! the lost archive is good any more, however many the restored one gives. It is put together in a directory beside its own, in `NAME.restoring`, and gets its name
//! when all of it is durable. What is cut short before leaves the name free, and is removed by the next one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive::open::Options;
use crate::archive::recover::replay::{Apart, Refill};
use crate::backup::{BackupError, Beside, Changes};
use crate::model::{Seq, Snapshot, SubscriptionId};
use crate::store::engine::OpenError;
use crate::store::engine::directory::Directory;
use crate::store::engine::lock::Holder;
use crate::store::engine::sled::SledEngine;
use crate::store::engine::watermark::{Mark, Watermark};
use crate::store::format::FormatError;
use crate::store::subscription::SubscriptionRecord;
use crate::store::{EngineError, StoreError};

/// Why an archive was not restored. Nothing is left that could be taken for one.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup can't be read, or is not whole.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// What the backup holds is not what was archived.
    #[error("the backup is damaged{}: {detail}; take another copy of it, or restore to a position before that", at(*.seq))]
    Damaged {
        /// The change, where it is known.
        seq: Option<Seq>,
        /// What was found.
        detail: String,
    },
    /// The directory can't become an archive.
    #[error(transparent)]
    Directory(#[from] OpenError),
    /// The place is taken.
    #[error("{} is not empty; restore into a directory that does not exist, or is empty", .0.display())]
    Taken(PathBuf),
    /// No directory can be given this name.
    #[error("{} can't become an archive: {reason}; name a directory that does not exist, or is empty", .path.display())]
    Unfit {
        /// The name.
        path: PathBuf,
        /// What keeps it from being given.
        reason: String,
    },
    /// The system gave no random bytes for the epochs of durable subscriptions.
    #[error("the system gives no random bytes: {0}")]
    Randomness(String),
    /// What was restored could not be written.
    #[error("the archive could not be written: {0}")]
    Write(EngineError),
}

/// How far above the epoch that a backup knows a restored archive begins at least: more than the lost one can have given.
const LEASES_LOST: u64 = 1 << 32;
/// How much of a epoch is left to chance, so that two restores of one backup give different ones.
const LEASES_BY_CHANCE: u64 = 1 << 48;

/// An archive that was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Where its log ends.
    pub end: Snapshot,
    /// The durable subscriptions that were beyond that, and were set back to it; each with where it was.
    pub set_back: Vec<(SubscriptionId, Seq)>,
    /// How many durable subscriptions there are, those that were set back too. Each is held until it is moved, or its
    /// consumer shows that it was sent nothing that is lost.
    pub held: usize,
}

/// Restores the changes of a backup of the archive of this id into `path`, which must not exist, or be an empty directory.
/// `progress` is told how far the files were read, in changes and bytes. `None` where it asked for an end.
pub fn restore_directory(
    changes: Changes,
    archive_id: [u8; 16],
    path: &Path,
    (options, holder): (&Options, Holder),
    progress: &mut Progress<'_>,
) -> Result<Option<Restored>, RestoreError> {
    // A path that ends in a dot leads to a directory, and is no name for one.
    let path: &Path = &path.components().collect::<PathBuf>();
    must_be_free(path)?;
    let staging = beside(path)?;
    let directory = Arc::new(Directory::begin(&staging, holder)?);
    let named = must_take_name(&directory, path);
    let mut restored = named.and_then(|()| fill(&directory, changes, archive_id, options, progress));
    if let Ok(Some(_)) = &restored {
        let finished = directory.finish(path);
        let finished = finished.map_err(OpenError::io("make an archive of what was restored, in", path));
        restored = finished.map_err(RestoreError::from).and(restored);
    }
    if !matches!(restored, Ok(Some(_))) {
        directory.discard().map_err(OpenError::io("remove", &staging))?;
    }
    restored
}

/// Told how far the files were read, in changes and bytes; answers whether to go on.
pub type Progress<'a> = dyn FnMut(Seq, u64) -> ControlFlow<()> + 'a;

/// Puts the database together, and closes it. `None` where it was to end before.
fn fill(
    directory: &Arc<Directory>,
    mut changes: Changes,
    archive_id: [u8; 16],
    options: &Options,
    progress: &mut Progress<'_>,
) -> Result<Option<Restored>, RestoreError> {
    let engine = SledEngine::open(Arc::clone(directory), options.engine())?;
    let mut refill = Refill::new(&engine, archive_id)?;
    while let Some(change) = changes.next_change()? {
        refill.push(&change)?;
        let (next_seq, bytes) = changes.progress();
        if progress(next_seq, bytes).is_break() {
            return Ok(None);
        }
    }
    let Beside { commits, end: beside } = changes.finish()?;
    let end = refill.snapshot();
    let (mut subscriptions, set_back) = lowered(beside.subscriptions, end.next_seq);
    for record in subscriptions.values_mut() {
        record.epoch = epoch_never_given(record.epoch)?;
        // Whatever the backup knows of a consumer, it may have gone on since then.
        record.restored = true;
    }
    let held = subscriptions.len();
    // Commits are counted on, so that a later backup is told from this one where both end at one position.
    refill.finish(&Apart { closed_time: beside.closed_time, commits, subscriptions })?;
    drop(engine);
    let path = directory.path();
    let mut watermark = Watermark::open_in(path)?;
    let recorded = watermark.record(Mark { next_seq: end.next_seq.0, log_digest: end.log_digest.0, commits });
    recorded.and_then(|()| watermark.sync()).map_err(OpenError::io("write the watermark of", path))?;
    Ok(Some(Restored { end, set_back, held }))
}

type Subscriptions = BTreeMap<SubscriptionId, SubscriptionRecord>;

/// Subscriptions at or below `end`, and which of them were beyond it.
fn lowered(
    subscriptions: Vec<(SubscriptionId, SubscriptionRecord)>,
    end: Seq,
) -> (Subscriptions, Vec<(SubscriptionId, Seq)>) {
    let mut set_back = Vec::new();
    let lowered = subscriptions.into_iter().map(|(id, record)| {
        if record.next_seq > end {
            set_back.push((id.clone(), record.next_seq));
        }
        (id, SubscriptionRecord { next_seq: record.next_seq.min(end), ..record })
    });
    (lowered.collect(), set_back)
}

/// A epoch above all that were ever given, given one that was: the archive that was lost may have given others since.
fn epoch_never_given(known: u64) -> Result<u64, RestoreError> {
    let mut chance = [0; 8];
    getrandom::fill(&mut chance).map_err(|error| RestoreError::Randomness(error.to_string()))?;
    let above = LEASES_LOST + u64::from_be_bytes(chance) % LEASES_BY_CHANCE;
    // Tens of thousands of restores, one after the other, stay below the highest number.
    Ok(known.saturating_add(above))
}

fn must_be_free(path: &Path) -> Result<(), RestoreError> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata.map_err(OpenError::io("look at", path))?,
    };
    if metadata.is_symlink() {
        return Err(unfit(path, "it is a symbolic link"));
    }
    let is_empty = metadata.is_dir() && fs::read_dir(path).map_err(OpenError::io("look into", path))?.next().is_none();
    if is_empty { Ok(()) } else { Err(RestoreError::Taken(path.to_path_buf())) }
}

/// Finds out before anything is read what would keep the archive from getting its name when all is done.
fn must_take_name(directory: &Directory, path: &Path) -> Result<(), RestoreError> {
    directory.try_name(path).map_err(|error| {
        if error.kind() == io::ErrorKind::ResourceBusy {
            unfit(path, "it is a mount point, and an archive is put in the place of a directory")
        } else {
            unfit(path, &format!("nothing can be put in its place ({error})"))
        }
    })
}

fn unfit(path: &Path, reason: &str) -> RestoreError {
    RestoreError::Unfit { path: path.to_path_buf(), reason: reason.to_owned() }
}

/// Where an archive is put together until it gets its name: in the same folder, so that the name can be changed at once.
fn beside(path: &Path) -> Result<PathBuf, RestoreError> {
    let Some(name) = path.file_name() else { return Err(unfit(path, "it has no name of its own")) };
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
