//! `backup`: backs up an archive that is in use to a directory, or checks a backup.
//!
//! A directory without a backup gets a full one. Each later run saves what is new since the last file; if there are no
//! new changes, it saves the positions of durable subscriptions. A directory whose files have a gap, so that nothing
//! could be restored from them, gets a full backup again. Each file is checked while it is written ([`receive`]), and
//! gets its final name when it is complete and durable. With `--scrub`, earlier files then lose the text that was
//! destroyed since.

mod check;
pub(super) mod input;
mod pieces;
mod receive;
mod scrub;

use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;

pub(super) use self::check::check;
use self::receive::Received;
pub(super) use self::scrub::run as scrub;
use super::args::backup::BackupArgs;
use super::args::globals::Globals;
use super::connect::Session;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::progress::Progress;
use super::signals::Signals;
use super::status::size;
use super::times::span;
use crate::backup::{BackupError, BackupFile, IncomingBackup, LogHeader};
use crate::cli::count;
use crate::model::{ExpungeRegister, Seq};
use crate::wire::pb;

/// The destination of a backup.
enum Target {
    Folder(PathBuf),
    Stdout,
}

pub(super) async fn run(
    session: &Session,
    args: &BackupArgs,
    globals: &Globals,
    out: &mut Output,
) -> Result<(), Failure> {
    let target = target(args, out)?;
    back_up(session, &target, args, globals, out).await?;
    match &target {
        Target::Folder(folder) if args.scrub => scrub::scrub(globals, folder, ExpungeRegister::default(), out).await,
        Target::Folder(folder) => Ok(scrub::note_destroyed_text(folder, out)?),
        Target::Stdout => Ok(()),
    }
}

async fn back_up(
    session: &Session,
    target: &Target,
    args: &BackupArgs,
    globals: &Globals,
    out: &mut Output,
) -> Result<(), Failure> {
    let latest = match (target, args.since) {
        (Target::Folder(folder), None) if !args.full => latest(session, folder, out).await?,
        (Target::Folder(folder), Some(since)) => {
            check_since(folder, Seq(since))?;
            None
        }
        (Target::Folder(_) | Target::Stdout, _) => None,
    };
    let since = match (&latest, args.since) {
        (Some(latest), _) => Some(snapshot_at_end(&latest.header)),
        (None, Some(next_seq)) => Some(pb::Snapshot { next_seq, ..pb::Snapshot::default() }),
        (None, None) => None,
    };
    let continues = since.is_some();
    let stopping = Signals::listen()?.token();
    let stream = session.admin().stream_backup(pb::StreamBackupRequest { since }).await;
    let mut stream = match (stream, &latest) {
        (Ok(stream), _) => stream.into_inner(),
        (Err(status), Some(latest)) => return Err(not_continued(session, status.into(), latest).await),
        (Err(status), None) => return Err(with_start_hint(status.into())),
    };
    let begin = receive::begin(&mut stream).await?;
    let (first, end) = (position(begin.begin.as_ref()), position(begin.end.as_ref()));
    // Even without new changes, durable subscriptions may have moved. The stream is then received, and compared with
    // the latest file.
    if continues && latest.is_none() && first == end {
        return nothing_new(end, out);
    }
    let mut progress = Progress::new(globals);
    progress.begin("backing up", "changes", end - first);
    let receiving = receive::Receiving { stream, stopping, range: (first, end), progress };
    match target {
        Target::Folder(folder) => {
            let incoming = IncomingBackup::begin(folder)?;
            let Received { result, bytes, elapsed } = receiving.into_folder(incoming, latest).await?;
            match result {
                Some(file) => summary(&file, bytes, elapsed, out),
                None => nothing_new(end, out),
            }
        }
        Target::Stdout => {
            let Received { result: header, bytes, elapsed } = receiving.into_stdout().await?;
            out.note(format_args!("dateline: {}", sentence(&header, bytes, elapsed)));
            Ok(())
        }
    }
}

fn target(args: &BackupArgs, out: &Output) -> Result<Target, Failure> {
    let usage = |message: &str| Failure::new(Exit::Usage, message);
    match args.places.as_slice() {
        [place] if place == Path::new("-") => {
            if args.scrub {
                return Err(usage("--scrub rewrites files in a directory; name one"));
            }
            if out.json {
                return Err(usage("standard output cannot carry both the backup and JSON; leave out --json"));
            }
            if out.is_terminal() {
                return Err(usage("a backup cannot be written to a terminal; redirect it to a file or a command"));
            }
            Ok(Target::Stdout)
        }
        [folder] if folder.is_file() => Err(usage(&format!("{} is a file; name a directory", folder.display()))
            .hint("`dateline backup --check FILE` checks a file of a backup")),
        [folder] => Ok(Target::Folder(folder.clone())),
        _ => Err(usage("a backup goes to one directory")),
    }
}

/// The file that the new one continues; `None` if a full backup is due. A file that continued a chain with a gap would
/// look like a backup, but could not be restored.
async fn latest(session: &Session, folder: &Path, out: &Output) -> Result<Option<BackupFile>, Failure> {
    let gap = match IncomingBackup::latest(folder) {
        Ok(latest) => return Ok(latest),
        Err(error) => error,
    };
    let Some(file) = gap.gap_before() else { return Err(gap.into()) };
    let file = BackupFile::open(file)?;
    let status = session.admin().get_status(pb::GetStatusRequest {}).await?.into_inner();
    if status.archive_id != file.header.archive_id {
        return Err(of_another_archive(&file, &status.archive_id));
    }
    out.note(format_args!(
        "dateline: warning: the backup in {} could not be restored: {gap}. This run makes a full backup",
        folder.display()
    ));
    Ok(None)
}

/// Rejects a `--since` that would leave a gap after the changes that the directory already has.
fn check_since(folder: &Path, since: Seq) -> Result<(), Failure> {
    let latest = match IncomingBackup::latest(folder) {
        Ok(latest) => latest,
        Err(gap) if gap.gap_before().is_some() => {
            return Err(Failure::from(gap).hint("make a full backup there with --full"));
        }
        Err(error) => return Err(error.into()),
    };
    let (message, hint) = match latest.map(|latest| latest.header.end.next_seq) {
        Some(end) if since > end => (
            format!("the backup in {} ends at position {end}, below {since}", folder.display()),
            "leave out --since to continue at its end",
        ),
        None if since > Seq::ZERO => (
            format!("no backup in {} reaches position {since}", folder.display()),
            "leave out --since to make a full backup there, or write the changes to standard output with `-`",
        ),
        Some(_) | None => return Ok(()),
    };
    Err(Failure::new(Exit::Usage, message).hint(hint))
}

/// The end of a backup file, as a request needs it.
fn snapshot_at_end(header: &LogHeader) -> pb::Snapshot {
    let end = header.end;
    pb::Snapshot { next_seq: end.next_seq.0, archive_time: None, log_digest: end.log_digest.0.to_vec() }
}

fn position(snapshot: Option<&pb::Snapshot>) -> u64 {
    snapshot.map_or(0, |snapshot| snapshot.next_seq)
}

/// The failure of an incremental backup whose latest file this log does not continue.
async fn not_continued(session: &Session, failure: Failure, latest: &BackupFile) -> Failure {
    if failure.reason() != "HISTORY_DIVERGED" {
        return failure;
    }
    let status = match session.admin().get_status(pb::GetStatusRequest {}).await {
        Ok(status) => status.into_inner(),
        Err(status) => return status.into(),
    };
    let (file, header) = (latest.path.display(), &latest.header);
    if status.archive_id != header.archive_id {
        return of_another_archive(latest, &status.archive_id);
    }
    let message = format!(
        "{file} cannot be continued: it ends at position {}, and the archive has other changes below that, since it was \
         restored to an earlier state",
        header.end.next_seq
    );
    Failure::new(Exit::Conflict, message).hint("make a full backup with --full, or use another directory")
}

fn of_another_archive(file: &BackupFile, archive_id: &[u8]) -> Failure {
    let ids = (HEXLOWER.encode(&file.header.archive_id), HEXLOWER.encode(archive_id));
    let file = file.path.display();
    let message = format!("{file} is a backup of another archive, {}; this one is {}", ids.0, ids.1);
    Failure::new(Exit::Conflict, message).hint("use a separate directory for each archive")
}

/// Adds a hint to the failure of a `--since` that is beyond the end of the log.
fn with_start_hint(mut failure: Failure) -> Failure {
    if failure.reason() == "START_IN_FUTURE" {
        failure.hint = Some("`dateline status` shows how many changes there are".to_owned());
    }
    failure
}

fn nothing_new(end: u64, out: &mut Output) -> Result<(), Failure> {
    if out.json {
        return out.line(serde_json::json!({ "changes": "0", "nextSeq": end.to_string() }));
    }
    if out.is_terminal() {
        out.line(format_args!("nothing new: the backup ends at position {end}, as the archive does"))?;
    }
    Ok(())
}

fn summary(file: &BackupFile, bytes: u64, elapsed: Duration, out: &mut Output) -> Result<(), Failure> {
    let header = &file.header;
    if out.json {
        return out.line(serde_json::json!({
            "file": file.path.display().to_string(),
            "archiveId": HEXLOWER.encode(&header.archive_id),
            "firstSeq": header.first_seq.0.to_string(),
            "nextSeq": header.end.next_seq.0.to_string(),
            "changes": header.changes().to_string(),
            "bytes": bytes.to_string(),
        }));
    }
    out.line(format_args!("{}: {}", sentence(header, bytes, elapsed), file.path.display()))
}

/// Describes a backup, such as `backed up 3 changes from position 0 on, 12.3 MiB in 4 seconds`.
fn sentence(header: &LogHeader, bytes: u64, elapsed: Duration) -> String {
    if header.changes() == 0 && header.end.next_seq > Seq::ZERO {
        let size = size(bytes);
        return format!("backed up durable subscriptions at position {}, {size}", header.first_seq);
    }
    let changes = count(header.changes(), "change");
    format!("backed up {changes} from position {} on, {}{}", header.first_seq, size(bytes), took(elapsed))
}

/// Formats ` in 4 seconds`; empty for less than one second.
pub(super) fn took(elapsed: Duration) -> String {
    match i64::try_from(elapsed.as_secs()) {
        Ok(0) | Err(_) => String::new(),
        Ok(seconds) => format!(" in {}", span(seconds)),
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let exit = match &error {
            BackupError::File(_) if error.is_damage() => Exit::Damaged,
            // Each file may be undamaged, but together they are not a backup.
            BackupError::Gap { .. } | BackupError::Diverged { .. } => Exit::Damaged,
            BackupError::File(_) | BackupError::Unreadable { .. } => Exit::Unreachable,
            BackupError::Unwritable { .. } => Exit::Failed,
            BackupError::NoFiles(_) | BackupError::OtherArchive { .. } | BackupError::Beyond { .. } => Exit::Usage,
            BackupError::InUse(_) => Exit::Conflict,
        };
        Self::new(exit, error)
    }
}
