//! `backup --scrub`: destroys in the files of a backup what was destroyed in the archive since.

use std::path::{Path, PathBuf};

use super::input::register;
use crate::backup::{self, BackupError, Scrubbed, find};
use crate::cli::args::backup::BackupArgs;
use crate::cli::args::globals::Globals;
use crate::cli::count;
use crate::cli::exit::{Exit, Failure, interrupted};
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::signals::Signals;
use crate::model::ExpungeRegister;

/// Scrubs a backup with the registers that `--register` names; needs no archive.
pub(in crate::cli) async fn run(globals: &Globals, args: &BackupArgs, out: &mut Output) -> Result<(), Failure> {
    let [folder] = args.places.as_slice() else {
        return Err(Failure::new(Exit::Usage, "one directory is scrubbed at a time"));
    };
    let files = find(std::slice::from_ref(folder))?;
    let archive_id = files.first().map_or([0; 16], |file| file.header.archive_id);
    scrub(globals, folder, register(&args.register, &archive_id)?, out).await
}

/// Scrubs a backup with the registers in its files and this one.
pub(super) async fn scrub(
    globals: &Globals,
    folder: &Path,
    register: ExpungeRegister,
    out: &mut Output,
) -> Result<(), Failure> {
    let total_bytes: u64 = find(&[folder.to_path_buf()])?.iter().map(size_of).sum();
    let stopping = Signals::listen()?.token();
    let mut progress = Progress::new(globals);
    progress.begin("scrubbing", "bytes", total_bytes);
    let path: PathBuf = folder.to_path_buf();
    let scrubbing = tokio::task::spawn_blocking(move || {
        let scrubbed = backup::scrub(&path, &register, &mut |bytes| {
            progress.set(bytes.min(total_bytes), total_bytes);
            !stopping.is_cancelled()
        });
        progress.end();
        scrubbed
    });
    let scrubbed = scrubbing.await.map_err(|error| Failure::new(Exit::Failed, format!("scrubbing failed: {error}")))?;
    let scrubbed = scrubbed.map_err(|error| {
        let has_gap = error.gap_before().is_some();
        let failure = Failure::from(error);
        if has_gap {
            failure.hint("add the missing files, or delete those that cannot be restored from")
        } else {
            failure
        }
    })?;
    let Some(Scrubbed { files, rewritten, expunged }) = scrubbed else {
        return Err(interrupted("the backup is as it was"));
    };
    if out.json {
        return out.line(serde_json::json!({
            "files": files.to_string(),
            "rewrittenFiles": rewritten.to_string(),
            "expungedChanges": expunged.to_string(),
        }));
    }
    if rewritten == 0 {
        return out.line(format_args!("nothing to scrub: no destroyed text in {}", count(files, "file")));
    }
    out.line(format_args!(
        "scrubbed {} of {}: destroyed the text of {}",
        rewritten,
        count(files, "file"),
        count(expunged, "change")
    ))
}

/// Says that files in a folder have text that was destroyed since, if there are any.
pub(super) fn note_destroyed_text(folder: &Path, out: &mut Output) -> Result<(), BackupError> {
    let files = backup::with_destroyed_text(&find(&[folder.to_path_buf()])?);
    if files > 0 {
        let (files, have) = (count(files, "file"), if files == 1 { "has" } else { "have" });
        out.note(format_args!(
            "dateline: {files} in {0} still {have} text that was destroyed since: `dateline backup --scrub {0}` rewrites \
             them; a restore leaves it out in any case",
            folder.display()
        ));
    }
    Ok(())
}

fn size_of(file: &backup::BackupFile) -> u64 {
    file.path.metadata().map_or(0, |metadata| metadata.len())
}
