//! Exports JSON Lines, and prints the progress and a summary.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{select, unless_stopped};
use crate::capture::export::{
    EarlierExport, Encoding, ExportError, ExportState, LinesExport, LinesOptions, PartialFile, Selection,
};
use crate::cli::args::export::ExportArgs;
use crate::cli::args::globals::Globals;
use crate::cli::connect::Session;
use crate::cli::count;
use crate::cli::exit::{Failure, interrupted};
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::signals::Signals;
use crate::cli::status::size;

pub(super) async fn run(
    session: &Session,
    args: &ExportArgs,
    file: Option<PathBuf>,
    encoding: Encoding,
    globals: &Globals,
    out: &mut Output,
) -> Result<(), Failure> {
    let stopping = Signals::listen()?.token();
    let file = file.map(|path| {
        let file = PartialFile::new(path, encoding);
        if args.force { file.overwriting() } else { file }
    });
    let asked = asked(args, encoding);
    let earlier = file.as_ref().map_or(Ok(EarlierExport::Nothing), |file| file.find(&asked))?;
    let earlier = match earlier {
        EarlierExport::Complete(state) if !args.dry_run => {
            let Some(file) = file else { return Ok(()) };
            return summary(&state, Some(file.complete()?), out);
        }
        EarlierExport::Complete(state) | EarlierExport::Unfinished(state) => Some(state),
        EarlierExport::Nothing => None,
    };
    let selection = match &earlier {
        Some(state) => unless_stopped(&stopping, resume(session, state)).await?,
        None => unless_stopped(&stopping, select(session, args)).await?,
    };
    if args.dry_run {
        return unless_stopped(&stopping, print_plan(session, &selection, args, earlier.as_ref(), out)).await;
    }
    let state = earlier.unwrap_or_else(|| selection.begin_state(asked));
    let options = LinesOptions { newest: args.newest, originals: args.originals, encoding };
    let is_file = file.is_some();
    let export = LinesExport::begin(session.client(), &selection, options, file, state);
    let mut export = unless_stopped(&stopping, export).await?;
    let (mut progress, total) = (Progress::new(globals), export.total());
    progress.begin("exporting", if args.newest { "articles" } else { "changes" }, total);
    loop {
        let page = tokio::select! {
            biased;
            () = stopping.cancelled() => {
                out.bytes(&export.flush().await?)?;
                return Err(stopped(export.state(), is_file));
            }
            page = export.page() => page?,
        };
        let is_last = page.is_last;
        out.bytes(&export.write(page).await?)?;
        progress.set_bytes(export.state().done, total, export.state().line_bytes);
        if out.is_closed() {
            return Ok(());
        }
        if is_last {
            break;
        }
    }
    progress.end();
    let (state, target) = export.complete()?;
    summary(&state, target, out)
}

/// The selection of an unfinished export.
async fn resume(session: &Session, state: &ExportState) -> Result<Selection, Failure> {
    Selection::resume(session.client(), state).await.map_err(|error| {
        let is_other = matches!(&error, ExportError::Server(error) if error.reason == "HISTORY_DIVERGED");
        let failure = Failure::from(error);
        if !is_other {
            return failure;
        }
        failure
            .hint("the unfinished export is of another archive, or of this one before a restore: --force starts over")
    })
}

fn stopped(state: &ExportState, is_file: bool) -> Failure {
    let lines = count(state.lines, "line");
    match is_file {
        true => interrupted(&format!("{lines} written; the same command continues there")),
        false => interrupted(&format!("{lines} written")),
    }
}

/// A digest of the options, to distinguish this export from another one to the same file. Times enter it as typed: when
/// the command is run again, "2 days ago" means another time but the same export.
fn asked(args: &ExportArgs, encoding: Encoding) -> String {
    let (as_of, ranges) = (&args.as_of, &args.ranges);
    let times = [
        &as_of.at,
        &as_of.known_at,
        &ranges.published_from,
        &ranges.published_to,
        &ranges.observed_from,
        &ranges.observed_to,
    ];
    let times = times.map(|moment| moment.as_ref().map(|moment| &moment.words));
    let filter = args.filter.to_pb();
    let asked = format!("{filter:?} {times:?} {:?} {} {} {encoding:?}", args.articles, args.newest, args.originals);
    HEXLOWER.encode(&Sha256::digest(asked))
}

/// Prints what `--dry-run` would export.
pub(super) async fn print_plan(
    session: &Session,
    selection: &Selection,
    args: &ExportArgs,
    earlier: Option<&ExportState>,
    out: &mut Output,
) -> Result<(), Failure> {
    let articles = selection.count(session.client()).await?;
    let file = args.output.as_ref().map(|path| path.display().to_string());
    if out.json {
        return out.line(json!({
            "file": file,
            "articles": articles.to_string(),
            "nextSeq": selection.snapshot.next_seq.to_string(),
            "begunAt": earlier.map(|state| state.done.to_string()),
            "dryRun": true,
        }));
    }
    let what = if args.newest { "what is in force of" } else { "the history of" };
    let continuing = if earlier.is_some() { ", continuing the unfinished export" } else { "" };
    let file = file.unwrap_or_else(|| "standard output".to_owned());
    let (articles, position) = (count(articles, "article"), selection.snapshot.next_seq);
    out.line(format_args!("would export {what} {articles}, as known at position {position}, to {file}{continuing}"))
}

/// Prints the summary. If the export went to standard output, the summary goes to standard error.
fn summary(state: &ExportState, file: Option<PathBuf>, out: &mut Output) -> Result<(), Failure> {
    let Some(file) = file else {
        out.note(format_args!("dateline: exported {}", count(state.lines, "line")));
        return Ok(());
    };
    if out.json {
        return out.line(json!({
            "file": file.display().to_string(),
            "lines": state.lines.to_string(),
            "bytes": state.part_bytes.to_string(),
            "nextSeq": state.next_seq.to_string(),
            "logDigest": state.log_digest,
        }));
    }
    let (lines, bytes) = (count(state.lines, "line"), size(state.part_bytes));
    out.line(format_args!("exported {lines}, {bytes}: {}", file.display()))
}
