//! `compact`: rewrites the archive's database into a smaller one.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant as Clock;

use indicatif::HumanBytes;
use tokio_util::sync::CancellationToken;

use super::args::globals::Globals;
use super::backup::took;
use super::count;
use super::exit::{Exit, Failure, interrupted};
use super::output::Output;
use super::progress::Progress;
use super::signals::Signals;
use super::waiting::{LockedBy, Waiting, locked_by};
use super::{connect, folders};
use crate::archive::recover::compact::{
    CompactError, CompactMode, CompactPhase, CompactProgress, Compacted, compact_directory,
};

pub(super) async fn run(globals: &Globals, out: &mut Output) -> Result<(), Failure> {
    if connect::server_url(globals)?.is_some() {
        return Err(served());
    }
    let path = folders::archive_directory(globals.archive.as_deref(), None)?;
    let stopping = Signals::listen()?.token();
    let began = Clock::now();
    let mut progress = Progress::new(globals);
    let (mode, waiting) = (CompactMode::Compress, Waiting::new(globals));
    let compacted = compact_when_free(&path, mode, waiting, &stopping, &mut progress).await?;
    progress.end();
    let Some(Compacted { bytes_before, bytes_after, contents, originals }) = compacted else {
        return Err(interrupted("the archive is unchanged"));
    };
    if out.json {
        return out.line(serde_json::json!({
            "directory": path.display().to_string(),
            "bytesBefore": bytes_before.to_string(),
            "bytesAfter": bytes_after.to_string(),
            "contents": contents.to_string(),
            "originals": originals.to_string(),
        }));
    }
    out.line(format_args!(
        "compacted {} and {}{}: {} before, {} now",
        count(contents, "content"),
        count(originals, "original"),
        took(began.elapsed()),
        HumanBytes(bytes_before),
        HumanBytes(bytes_after),
    ))
}

/// Takes text that was destroyed out of the files of an archive, after this process has closed it.
pub(super) async fn remove_destroyed_text(globals: &Globals, path: &Path, out: &mut Output) -> Result<(), Failure> {
    let stopping = Signals::listen()?.token();
    let mut progress = Progress::new(globals);
    let (mode, waiting) = (CompactMode::Copy, Waiting::new(globals));
    let done = compact_when_free(path, mode, waiting, &stopping, &mut progress).await;
    progress.end();
    let failure = match done {
        Ok(Some(_)) if out.json => return Ok(()),
        Ok(Some(_)) => return out.line("The files of the archive do not have it any more."),
        Ok(None) => interrupted("the text is destroyed, but the files of the archive still have it"),
        Err(failure) => Failure::new(
            failure.exit,
            format!("the text is destroyed, but the files of the archive still have it: {}", failure.message),
        ),
    };
    Err(failure.hint("`dateline compact` takes it out of them"))
}

/// The failure of a compaction while a server holds the archive. The server would keep using the database that is
/// replaced.
fn served() -> Failure {
    Failure::new(Exit::Conflict, "the archive cannot be compacted while a server holds it").hint("stop it first")
}

/// Compacts the archive once no command holds it. `None` if a signal asked the command to stop.
async fn compact_when_free(
    path: &Path,
    mode: CompactMode,
    mut waiting: Waiting,
    stopping: &CancellationToken,
    progress: &mut Progress,
) -> Result<Option<Compacted>, Failure> {
    loop {
        let error = match compact(path.to_path_buf(), mode, stopping.clone(), progress).await? {
            Err(CompactError::Open(error)) => error,
            compacted => return Ok(compacted?),
        };
        match locked_by(path, &error).await {
            LockedBy::Server => return Err(served()),
            LockedBy::Command | LockedBy::SharingCommand if waiting.pause(&error).await => {}
            LockedBy::Command | LockedBy::SharingCommand | LockedBy::NoProcess => {
                return Err(connect::open_failure(error));
            }
        }
    }
}

/// Compacts the archive on a thread of its own, and shows the progress that it reports.
async fn compact(
    path: PathBuf,
    mode: CompactMode,
    stopping: CancellationToken,
    progress: &mut Progress,
) -> Result<Result<Option<Compacted>, CompactError>, Failure> {
    let (options, holder) = (connect::options()?, connect::holder("compact"));
    // Only the latest progress is of interest, so the thread never waits for it to be shown.
    let (report, mut reported) = tokio::sync::watch::channel(None);
    let compacting = tokio::task::spawn_blocking(move || {
        compact_directory(&path, mode, &options, holder, &mut |progress| {
            report.send_replace(Some(progress));
            if stopping.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    });
    let mut phase = None;
    while reported.changed().await.is_ok() {
        let Some(CompactProgress { phase: current, done, total }) = *reported.borrow_and_update() else { continue };
        if phase.replace(current) != Some(current) {
            let (what, unit) = match current {
                CompactPhase::Compressing => ("compressing", "articles"),
                CompactPhase::Writing => ("writing", "entries"),
            };
            progress.begin(what, unit, total);
        }
        progress.set(done, total);
    }
    compacting.await.map_err(|error| Failure::new(Exit::Failed, format!("compacting failed: {error}")))
}

impl From<CompactError> for Failure {
    fn from(error: CompactError) -> Self {
        match error {
            CompactError::Open(error) => connect::open_failure(error),
            CompactError::NoSpace { path, needed_bytes, free_bytes } => {
                let message = format!(
                    "compacting {} needs {} of free space for the new database, and {} are free: {} are missing",
                    path.display(),
                    HumanBytes(needed_bytes),
                    HumanBytes(free_bytes),
                    HumanBytes(needed_bytes.saturating_sub(free_bytes)),
                );
                Self::new(Exit::Failed, message).hint("free some space; nothing was changed")
            }
            CompactError::Damaged(_) => Self::new(Exit::Damaged, error)
                .hint("`dateline verify` shows all damage; `dateline restore` restores a backup"),
            CompactError::Write(_) => Self::new(Exit::Failed, error),
        }
    }
}
