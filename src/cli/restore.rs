//! `restore`: restores an archive from a backup, into a new directory.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use tokio_util::sync::CancellationToken;

use super::args::backup::RestoreArgs;
use super::args::globals::Globals;
use super::backup::input::{find, is_interruption, register};
use super::backup::took;
use super::connect;
use super::count;
use super::exit::{Exit, Failure, interrupted};
use super::folders::archive_directory;
use super::output::Output;
use super::progress::Progress;
use super::signals::Signals;
use crate::archive::recover::restore::{RestoreError, Restored, restore_directory};
use crate::archive::{OpenError, Options};
use crate::backup::{BackupChain, Changes, Until};
use crate::model::{Seq, Timestamp};

pub(super) async fn run(globals: &Globals, args: &RestoreArgs, out: &mut Output) -> Result<(), Failure> {
    if globals.server.is_some() {
        return Err(Failure::new(Exit::Usage, "an archive is restored into a directory, not through a server")
            .hint("name a new directory with --archive DIR; `dateline serve` then serves it"));
    }
    let path = archive_directory(globals.archive.as_deref(), None)?;
    let stopping = Signals::listen()?.token();
    let mut chain = BackupChain::from_files(find(&args.from, &stopping).await?)?;
    chain.register.merge(register(&args.register, &chain.archive_id())?);
    let until = args.to.unwrap_or(Until::End);
    let total = match (until, chain.end()) {
        (Until::Seq(seq), _) => seq.0,
        (Until::End | Until::ArchiveTime(_), end) => end.map_or(0, |end| end.next_seq.0),
    };
    let archive_id = chain.archive_id();
    let changes = Changes::new(chain, until)?;
    let mut progress = Progress::new(globals);
    progress.begin("restoring", "changes", total);
    let began = Instant::now();
    let job = Job { changes, archive_id, path: path.clone(), options: connect::options()?, progress, total };
    let restoring = tokio::task::spawn_blocking(move || job.run(&stopping));
    let restored = restoring.await;
    match restored.map_err(|error| Failure::new(Exit::Failed, format!("restoring failed: {error}")))?? {
        Some(restored) => print_summary(&restored, &archive_id, &path, began.elapsed(), out),
        None => Err(interrupted("the incomplete archive was removed")),
    }
}

/// A restore, as the thread that carries it out needs it.
struct Job {
    changes: Changes,
    archive_id: [u8; 16],
    path: PathBuf,
    options: Options,
    progress: Progress,
    /// The position at which the restored archive ends, or a later one if `--to` is a time.
    total: u64,
}

impl Job {
    /// Restores the archive. `None` if a signal asked the command to stop; the incomplete archive was then removed.
    fn run(mut self, stopping: &CancellationToken) -> Result<Option<Restored>, Failure> {
        match self.changes.begins_after_point() {
            Ok(None) => {}
            Ok(Some(first)) => return Err(would_be_empty(first)),
            Err(error) if is_interruption(&error, stopping) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let Self { changes, archive_id, path, options, mut progress, total } = self;
        let progress = &mut |next_seq: Seq, bytes| {
            progress.set_bytes(next_seq.0, total, bytes);
            if stopping.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match restore_directory(changes, archive_id, &path, &options, connect::holder("restore"), progress) {
            Err(RestoreError::Backup(error)) if is_interruption(&error, stopping) => Ok(None),
            restored => Ok(restored?),
        }
    }
}

/// The failure of a restore up to a point before the first change. The result would look like a new archive, and a
/// mistyped time would not be noticed.
fn would_be_empty(first: Timestamp) -> Failure {
    let message = format!("--to is before the first change of the backup, which was archived at {first}");
    Failure::new(Exit::Usage, message).hint("give that time or a later one, or the position after a change")
}

fn print_summary(
    restored: &Restored,
    archive_id: &[u8; 16],
    path: &Path,
    elapsed: Duration,
    out: &mut Output,
) -> Result<(), Failure> {
    let (end, set_back) = (restored.end, &restored.set_back);
    if out.json {
        let set_back = set_back.iter().map(|(id, from)| {
            serde_json::json!({ "name": id.to_string(), "from": from.to_string(), "to": end.next_seq.to_string() })
        });
        return out.line(serde_json::json!({
            "directory": path.display().to_string(),
            "archiveId": HEXLOWER.encode(archive_id),
            "nextSeq": end.next_seq.to_string(),
            "archiveTime": end.archive_time.map(|time| time.to_string()),
            "setBack": set_back.collect::<Vec<_>>(),
            "heldSubscriptions": restored.held.to_string(),
        }));
    }
    let last = end.archive_time.map(|time| format!(", the last at {}", out.time(time))).unwrap_or_default();
    let changes = count(end.next_seq.0, "change");
    out.line(format_args!("restored {changes}{}{last}: {}", took(elapsed), path.display()))?;
    for (id, from) in set_back {
        out.line(format_args!("set back {} from {from} to {}", id.as_str(), end.next_seq))?;
    }
    if restored.held > 0 {
        out.note(format_args!(
            "dateline: {} {} held until moved, since consumers may have received changes that are now lost: see \
             `dateline subscriptions seek`",
            count(restored.held as u64, "durable subscription"),
            if restored.held == 1 { "is" } else { "are" }
        ));
    }
    Ok(())
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        let exit = match error {
            RestoreError::Backup(error) => return error.into(),
            RestoreError::Damaged { .. } => Exit::Damaged,
            RestoreError::Taken(_) | RestoreError::Unfit { .. } => Exit::Usage,
            RestoreError::Directory(ref error) => exit_of_directory(error),
            RestoreError::Write(_) | RestoreError::Randomness(_) => Exit::Failed,
        };
        Self::new(exit, error)
    }
}

fn exit_of_directory(error: &OpenError) -> Exit {
    match error {
        // Something else is in the directory where the archive is to be created.
        OpenError::Foreign { .. } | OpenError::Exists { .. } | OpenError::UnknownLayout { .. } => Exit::Usage,
        OpenError::InUse { .. } => Exit::Unreachable,
        OpenError::Missing { .. }
        | OpenError::Changing { .. }
        | OpenError::NoSpaceForCopy { .. }
        | OpenError::Incompatible { .. }
        | OpenError::Damaged { .. }
        | OpenError::Io { .. } => Exit::Failed,
    }
}
