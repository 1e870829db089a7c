//! Exports JSON Lines: the requests that reproduce the articles, one per line.
//!
//! Pages come from the archive ([`History`], [`Newest`]) and are written in chunks. In a file, each chunk is a
//! checkpoint. Memory use is bounded by a page and a chunk, however long the archive is.

use std::path::PathBuf;
use std::time::Duration;

use data_encoding::HEXLOWER;
use futures_util::future::Either;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::Place;
use super::encoding::Encoding;
use super::history::History;
use super::newest::Newest;
use super::page::Page;
use super::partial_file::{Found, Part, State};
use super::selection::Selection;
use super::unless_stopped;
use crate::cli::args::export::ExportArgs;
use crate::cli::args::globals::Globals;
use crate::cli::connect::Session;
use crate::cli::count;
use crate::cli::exit::{Exit, Failure, interrupted};
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::signals::Signals;
use crate::cli::status::size;
use crate::model::Timestamp;
use crate::wire::json::to_json;

/// Size and age at which a chunk is written, whichever comes first.
const CHUNK_BYTES: usize = 8 << 20;
const CHUNK_EVERY: Duration = Duration::from_secs(5);

pub(super) async fn run(
    session: &Session,
    args: &ExportArgs,
    place: Place,
    globals: &Globals,
    out: &mut Output,
) -> Result<(), Failure> {
    let stopping = Signals::listen()?.token();
    let (part, encoding) = match place {
        Place::Stdout(encoding) => (None, encoding),
        Place::File(path, encoding) => (Some(Part::of(path, encoding, args.force)), encoding),
        Place::Folder(folder) => {
            return Err(Failure::new(Exit::Usage, format!("{} is a directory", folder.display())));
        }
    };
    let asked = asked(args, encoding);
    let found = part.as_ref().map_or(Ok(Found::Nothing), |part| part.find(&asked))?;
    let begun = match found {
        Found::Complete(state) if !args.dry_run => {
            let Some(part) = part else { return Ok(()) };
            return summary(&state, Some(part.complete()?), out);
        }
        Found::Complete(state) | Found::Begun(state) => Some(state),
        Found::Nothing => None,
    };
    let selection = unless_stopped(&stopping, Selection::of(session, args, begun.as_ref())).await;
    let selection = selection.map_err(|failure| match (failure.reason(), &begun) {
        ("HISTORY_DIVERGED", Some(_)) => failure
            .hint("the unfinished export is of another archive, or of this one before a restore: --force starts over"),
        _ => failure,
    })?;
    if args.dry_run {
        return unless_stopped(&stopping, tell(session, &selection, args, begun.as_ref(), out)).await;
    }
    let state = begun.unwrap_or_else(|| State {
        asked,
        next_seq: selection.cut.next_seq,
        log_digest: HEXLOWER.encode(&selection.cut.log_digest),
        filter: to_json(&selection.filter),
        at_micros: selection.at.map(Timestamp::micros),
        ..State::default()
    });
    let mut progress = Progress::new(globals);
    let (mut source, total, unit) = if args.newest {
        let total = unless_stopped(&stopping, selection.count(session)).await?;
        (Either::Right(Newest::new(session, &selection, args.originals, &state)), total, "articles")
    } else {
        let history = unless_stopped(&stopping, History::new(session, &selection, args.originals, &state)).await?;
        (Either::Left(history), selection.cut.next_seq, "changes")
    };
    progress.begin("exporting", unit, total);
    let mut writing = Writing::begin(part, encoding, state, out).await?;
    loop {
        let page = async {
            match &mut source {
                Either::Left(history) => history.page().await,
                Either::Right(newest) => newest.page().await,
            }
        };
        let page = tokio::select! {
            biased;
            () = stopping.cancelled() => return writing.interrupt().await,
            page = page => page?,
        };
        let is_last = page.is_last;
        writing.take(page).await?;
        progress.set_bytes(writing.state.done, total, writing.state.line_bytes);
        if writing.out.is_closed() {
            return Ok(());
        }
        if is_last {
            break;
        }
    }
    progress.end();
    writing.finish().await
}

/// A digest of the options, to distinguish this export from another one to the same file. It covers times as given:
/// when the command is run again, "2 days ago" means another time but the same export.
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
async fn tell(
    session: &Session,
    selection: &Selection,
    args: &ExportArgs,
    begun: Option<&State>,
    out: &mut Output,
) -> Result<(), Failure> {
    let articles = selection.count(session).await?;
    let file = args.output.as_ref().map(|path| path.display().to_string());
    if out.json {
        return out.line(json!({
            "file": file,
            "articles": articles.to_string(),
            "nextSeq": selection.cut.next_seq.to_string(),
            "begunAt": begun.map(|state| state.done.to_string()),
            "dryRun": true,
        }));
    }
    let what = if args.newest { "what is in force of" } else { "the history of" };
    let goes_on = if begun.is_some() { ", continuing the unfinished export" } else { "" };
    let file = file.unwrap_or_else(|| "standard output".to_owned());
    let (articles, cut) = (count(articles, "article"), selection.cut.next_seq);
    out.line(format_args!("would export {what} {articles}, as known at position {cut}, to {file}{goes_on}"))
}

/// An export that is being written, to a file or to standard output.
struct Writing<'o> {
    part: Option<Part>,
    encoding: Encoding,
    state: State,
    /// Lines that are not written yet.
    chunk: Vec<u8>,
    written: Instant,
    out: &'o mut Output,
}

impl<'o> Writing<'o> {
    async fn begin(
        mut part: Option<Part>,
        encoding: Encoding,
        mut state: State,
        out: &'o mut Output,
    ) -> Result<Self, Failure> {
        if let Some(part) = &mut part {
            part.open(state.part_bytes)?;
            // From here on, the state file shows that the part is ours.
            part.checkpoint(Vec::new(), &mut state).await?;
        }
        Ok(Self { part, encoding, state, chunk: Vec::new(), written: Instant::now(), out })
    }

    async fn take(&mut self, page: Page) -> Result<(), Failure> {
        self.state.lines += page.count;
        self.state.line_bytes += page.lines.len() as u64;
        (self.state.page_token, self.state.done) = (page.token, page.done);
        self.state.is_complete = page.is_last;
        self.chunk.extend_from_slice(&page.lines);
        let is_due = match &self.part {
            Some(_) => self.chunk.len() >= CHUNK_BYTES || self.written.elapsed() >= CHUNK_EVERY,
            // A reader of plain lines gets each page at once.
            None => self.encoding == Encoding::Plain || self.chunk.len() >= CHUNK_BYTES,
        };
        if is_due || page.is_last { self.write().await } else { Ok(()) }
    }

    async fn write(&mut self) -> Result<(), Failure> {
        let chunk = std::mem::take(&mut self.chunk);
        self.written = Instant::now();
        match &mut self.part {
            Some(part) => part.checkpoint(chunk, &mut self.state).await,
            None if chunk.is_empty() && (self.state.lines > 0 || !self.state.is_complete) => Ok(()),
            None => {
                let encoded = self.encoding.encode(chunk).await;
                let encoded =
                    encoded.map_err(|error| Failure::new(Exit::Failed, format!("compression failed: {error}")))?;
                self.out.bytes(&encoded)
            }
        }
    }

    async fn interrupt(mut self) -> Result<(), Failure> {
        self.write().await?;
        let lines = count(self.state.lines, "line");
        Err(match self.part {
            Some(_) => interrupted(&format!("{lines} written; the same command continues there")),
            None => interrupted(&format!("{lines} written")),
        })
    }

    async fn finish(self) -> Result<(), Failure> {
        let file = self.part.map(Part::complete).transpose()?;
        summary(&self.state, file, self.out)
    }
}

/// Prints the summary. If the export went to standard output, the summary goes to standard error.
fn summary(state: &State, file: Option<PathBuf>, out: &mut Output) -> Result<(), Failure> {
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
