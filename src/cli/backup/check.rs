//! `backup --check`: reads a backup and checks all of it, without an archive.

use std::path::PathBuf;

use super::input::{find, is_interruption};
use crate::backup::{self, BackupChain, BackupError, BackupFile, Checked};
use crate::cli::args::backup::BackupArgs;
use crate::cli::args::globals::Globals;
use crate::cli::count;
use crate::cli::exit::{Exit, Failure, interrupted};
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::signals::Signals;
use crate::cli::status::size;

pub(in crate::cli) async fn check(globals: &Globals, args: &BackupArgs, out: &mut Output) -> Result<(), Failure> {
    let stopping = Signals::listen()?.token();
    let files = find(&args.places, &stopping).await?;
    let file_count = files.len() as u64;
    let total = files.iter().map(|file| file.header.changes()).sum();
    let distinct = distinct_changes(&files);
    let mut progress = Progress::new(globals);
    progress.begin("checking", "changes", total);
    let checking = tokio::task::spawn_blocking(move || {
        let (groups, incomplete) = groups(files)?;
        let mut total_checked = Checked::default();
        for group in groups {
            let before = total_checked;
            let checked = backup::check(&group, |checked| {
                progress.set_bytes(before.changes + checked.changes, total, before.bytes + checked.bytes);
                !stopping.is_cancelled()
            });
            match checked {
                Ok(Some(checked)) => total_checked = sum(before, checked),
                Ok(None) => return Ok(None),
                Err(error) if is_interruption(&error, &stopping) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok::<_, BackupError>(Some((total_checked, incomplete)))
    });
    let checked = checking.await.map_err(|error| Failure::new(Exit::Failed, format!("checking failed: {error}")))??;
    let Some((checked, incomplete)) = checked else { return Err(interrupted("the backup was not checked completely")) };
    // A user who names a directory wants to know whether an archive can be restored from it.
    if let Some(error) = &incomplete
        && args.places.iter().any(|place| place.is_dir())
    {
        let message = format!("this backup cannot be restored: {error}");
        let hint = format!(
            "what is there is undamaged ({}); the next `dateline backup` into that directory makes a full one",
            count(file_count, "file")
        );
        return Err(Failure::new(Exit::Damaged, message).hint(hint));
    }
    print_summary(file_count, &checked, distinct, out)?;
    if let Some(error) = incomplete {
        out.note(format_args!("dateline: an archive cannot be restored from this alone: {error}"));
    }
    Ok(())
}

/// Groups the files that are checked together: first those that form a chain, in order, then each remaining file by
/// itself. If there is no chain, each file by itself, in the order of their names, and the reason why they are not a
/// backup.
fn groups(files: Vec<BackupFile>) -> Result<(Vec<Vec<BackupFile>>, Option<BackupError>), BackupError> {
    let each_alone = |files: Vec<BackupFile>| files.into_iter().map(|file| vec![file]);
    match BackupChain::from_files(files.clone()) {
        Ok(chain) => {
            let needed: Vec<PathBuf> = chain.files.iter().map(|file| file.path.clone()).collect();
            let others = files.into_iter().filter(|file| !needed.contains(&file.path)).collect();
            Ok((std::iter::once(chain.files).chain(each_alone(others)).collect(), None))
        }
        Err(error @ BackupError::OtherArchive { .. }) => Err(error),
        Err(error) => Ok((each_alone(files).collect(), Some(error))),
    }
}

/// The number of changes in the files, with each one counted once, however many files it is in.
fn distinct_changes(files: &[BackupFile]) -> u64 {
    let range = |file: &BackupFile| (file.header.first_seq.0, file.header.end.next_seq.0);
    let mut ranges: Vec<_> = files.iter().map(range).collect();
    ranges.sort_unstable();
    let (mut count, mut counted_below) = (0, 0);
    for (first, end) in ranges {
        count += end.saturating_sub(first.max(counted_below));
        counted_below = counted_below.max(end);
    }
    count
}

fn sum(a: Checked, b: Checked) -> Checked {
    Checked {
        changes: a.changes + b.changes,
        contents: a.contents + b.contents,
        originals: a.originals + b.originals,
        unchecked_contents: a.unchecked_contents + b.unchecked_contents,
        bytes: a.bytes + b.bytes,
    }
}

fn print_summary(files: u64, checked: &Checked, distinct: u64, out: &mut Output) -> Result<(), Failure> {
    let Checked { changes, contents, originals, unchecked_contents, bytes } = *checked;
    if out.json {
        return out.line(serde_json::json!({
            "files": files.to_string(),
            "changes": changes.to_string(),
            "distinctChanges": distinct.to_string(),
            "contents": contents.to_string(),
            "originals": originals.to_string(),
            "uncheckedContents": unchecked_contents.to_string(),
            "bytes": bytes.to_string(),
        }));
    }
    let overlap =
        if distinct < changes { format!(" ({distinct} distinct, since files overlap)") } else { String::new() };
    out.line(format_args!(
        "no errors found: {}, {}{overlap}, {}, {}, {}",
        count(files, "file"),
        count(changes, "change"),
        count(contents, "content"),
        count(originals, "original"),
        size(bytes)
    ))?;
    if unchecked_contents > 0 {
        let contents = count(unchecked_contents, "content");
        out.note(format_args!(
            "dateline: {contents} could not be checked, since the contents they build on are in none of these files"
        ));
    }
    Ok(())
}
