//! `verify`: reads everything that is stored and checks it against the log; `--rebuild` rebuilds the indexes.
//!
//! A server that holds the archive does this itself. An archive that no process holds is read here without being opened
//! for anything else, so that even an archive that does not open can be verified.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::args::globals::Globals;
use super::args::verify::VerifyArgs;
use super::connect::{self, Copying, Session};
use super::exit::{Exit, Failure, interrupted};
use super::folders;
use super::output::Output;
use super::progress::Progress;
use super::waiting::{LockedBy, Waiting, locked_by};
use super::{count, style};
use crate::archive::recover::verify::{Listener, RebuildError, rebuild_directory, verify_copy, verify_directory};
use crate::archive::{OpenArchiveError, Options};
use crate::model::verification::Summary;
use crate::wire::pb;
use crate::wire::pb::verify_response::Event;
use crate::wire::verification::{event_to_pb, summary_to_pb};

/// Messages waiting to be shown; reading pauses while there are more.
const MESSAGES_WAITING_MAX: usize = 64;

pub(super) async fn run(globals: &Globals, args: &VerifyArgs, out: &mut Output) -> Result<(), Failure> {
    let mode = if args.rebuild { Mode::Rebuild } else { Mode::Check };
    let mut verification = Verification { out, progress: Progress::new(globals), mode, phase: None, summary: None };
    match connect::server_url(globals)? {
        Some(_) if args.rebuild => return Err(served()),
        Some(url) => verification.on_server(&Session::remote(&url, globals).await?).await?,
        None => {
            let path = folders::archive_directory(globals.archive.as_deref(), None)?;
            let copying = globals.read_only.then(|| Copying::new(globals)).transpose()?;
            verification.offline(&path, copying.as_ref(), Waiting::new(globals)).await?;
        }
    }
    verification.finish()
}

/// The failure of a rebuild while a server holds the archive. The server would keep using the database that the rebuild
/// replaces.
fn served() -> Failure {
    Failure::new(Exit::Conflict, "the indexes cannot be rebuilt while a server holds the archive").hint("stop it first")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Only check what is stored.
    Check,
    /// Rebuild all indexes first.
    Rebuild,
}

struct Verification<'a> {
    out: &'a mut Output,
    progress: Progress,
    mode: Mode,
    phase: Option<i32>,
    summary: Option<pb::VerifySummary>,
}

/// What the blocking thread sends: progress and findings, then the result.
enum Message {
    Event(Event),
    Done(Result<Option<Summary>, RebuildError>),
}

/// Why an archive was not verified by this process.
enum NotVerified {
    /// It could not be opened; another process may hold it.
    Open(OpenArchiveError),
    /// Any other reason.
    Failed(Failure),
}

impl Verification<'_> {
    /// Asks the server to verify the archive, and reports what it finds.
    async fn on_server(&mut self, session: &Session) -> Result<(), Failure> {
        let mut messages = session.admin().verify(pb::VerifyRequest {}).await?.into_inner();
        while let Some(message) = messages.message().await? {
            if let Some(event) = message.event {
                self.take(event)?;
            }
        }
        Ok(())
    }

    /// Verifies the archive here once no command holds it, or a private copy of it. If another process holds and serves
    /// it, asks that one to verify it.
    async fn offline(&mut self, path: &Path, copying: Option<&Copying>, mut waiting: Waiting) -> Result<(), Failure> {
        loop {
            let error = match self.attempt(path.to_path_buf(), copying.cloned()).await {
                Ok(()) => return Ok(()),
                Err(NotVerified::Open(error)) => error,
                Err(NotVerified::Failed(failure)) => return Err(failure),
            };
            let unusable_server = match locked_by(path, &error).await {
                LockedBy::Server if self.mode == Mode::Rebuild => return Err(served()),
                LockedBy::SharingCommand if self.mode == Mode::Rebuild => None,
                LockedBy::Server | LockedBy::SharingCommand => match Session::connect_to_holder(path).await {
                    Ok(session) => return self.on_server(&session).await,
                    Err(unusable_server) => unusable_server,
                },
                LockedBy::Command => None,
                LockedBy::NoProcess => return Err(connect::open_failure(error)),
            };
            if !waiting.pause(&error).await {
                return Err(unusable_server.unwrap_or_else(|| connect::open_failure(error)));
            }
        }
    }

    /// Verifies the archive here, if no other process holds it.
    async fn attempt(&mut self, path: PathBuf, copying: Option<Copying>) -> Result<(), NotVerified> {
        let (sender, messages) = mpsc::channel(MESSAGES_WAITING_MAX);
        let (options, mode) = (connect::options()?, self.mode);
        let stopping = copying.as_ref().map_or_else(CancellationToken::new, |copying| copying.stopping.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let events = sender.clone();
            let mut listener = move |event| {
                let is_received = events.blocking_send(Message::Event(event_to_pb(event))).is_ok();
                if is_received { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            let result = read(&path, copying.as_ref(), &options, mode, &mut listener);
            // The receiver is gone if the command has ended.
            drop(sender.blocking_send(Message::Done(result)));
        });
        let received = tokio::select! {
            received = self.receive(messages) => received,
            () = stopping.cancelled() => Err(interrupted("nothing was changed").into()),
        };
        if stopping.is_cancelled() {
            // The thread notices that nothing receives what it finds. It removes the copy before it ends.
            drop(reading.await);
        }
        received
    }

    async fn receive(&mut self, mut messages: mpsc::Receiver<Message>) -> Result<(), NotVerified> {
        while let Some(message) = messages.recv().await {
            match message {
                Message::Event(event) => self.take(event)?,
                Message::Done(Ok(summary)) => {
                    self.summary = summary.map(summary_to_pb);
                    return Ok(());
                }
                Message::Done(Err(error)) => return Err(error.into()),
            }
        }
        Err(Failure::new(Exit::Failed, "reading the archive ended unexpectedly").into())
    }

    fn take(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Progress(progress) => {
                if self.phase != Some(progress.phase) {
                    self.phase = Some(progress.phase);
                    let (what, unit) = phase_and_unit(progress.phase(), self.mode);
                    self.progress.begin(what, unit, progress.total);
                }
                self.progress.set(progress.done, progress.total);
                Ok(())
            }
            Event::Finding(finding) => {
                let Self { out, progress, .. } = self;
                progress.beside(|| if out.json { out.message(&finding) } else { out.line(finding_line(&finding, out)) })
            }
            Event::Summary(summary) => {
                self.summary = Some(summary);
                Ok(())
            }
        }
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.progress.end();
        let ended_early = || Failure::new(Exit::Unreachable, "the server ended the verification early");
        let summary = self.summary.ok_or_else(ended_early)?;
        if self.out.json {
            self.out.message(&summary)?;
        } else {
            self.out.line(summary_line(&summary, self.mode))?;
        }
        if self.mode == Mode::Rebuild {
            self.out.note("the old database was moved to `quarantine` in the archive's directory, and may be deleted");
        }
        match summary.findings {
            0 => Ok(()),
            findings => Err(damaged(&format!("verification found {}", count(findings, "error")), self.mode)),
        }
    }
}

impl From<Failure> for NotVerified {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<RebuildError> for NotVerified {
    fn from(error: RebuildError) -> Self {
        match error {
            RebuildError::Open(error) => Self::Open(error),
            RebuildError::Log { .. } => Self::Failed(Failure::new(Exit::Damaged, error)),
            RebuildError::Write(_) => Self::Failed(Failure::new(Exit::Failed, error)),
        }
    }
}

/// Verifies the archive in `path`, or a private copy of it, or rebuilds its indexes.
fn read(
    path: &Path,
    copying: Option<&Copying>,
    options: &Options,
    mode: Mode,
    listener: &mut Listener<'_>,
) -> Result<Option<Summary>, RebuildError> {
    match (mode, copying) {
        (Mode::Rebuild, _) => rebuild_directory(path, options, connect::holder("verify --rebuild"), listener),
        (Mode::Check, None) => Ok(verify_directory(path, options, connect::holder("verify"), listener)?),
        (Mode::Check, Some(copying)) => {
            Ok(verify_copy(copying.copy(path, &connect::holder("verify"))?, path, options, listener)?)
        }
    }
}

fn phase_and_unit(phase: pb::VerifyPhase, mode: Mode) -> (&'static str, &'static str) {
    match phase {
        _ if mode == Mode::Rebuild => ("rebuilding", "changes"),
        pb::VerifyPhase::Unspecified | pb::VerifyPhase::Log => ("reading the log", "changes"),
        pb::VerifyPhase::Articles => ("reading the articles", "changes"),
        pb::VerifyPhase::Entries => ("reading all entries", "entries"),
    }
}

/// Formats a finding, such as `change 17, gazette/ferry: a content cannot be decompressed`.
fn finding_line(finding: &pb::VerifyFinding, out: &Output) -> String {
    let place = match finding.seq {
        Some(seq) => format!("change {seq}"),
        None => format!("in the {}", table_of(finding.table())),
    };
    let painter = out.painter();
    let article = match finding.article.as_str() {
        "" => String::new(),
        article => format!(", {}", painter.paint(style::NAME, &super::short_name::short(article))),
    };
    format!("{}{article}: {}", painter.paint(style::BAD, &place), style::safe_line(&finding.detail))
}

fn table_of(table: pb::VerifyTable) -> &'static str {
    match table {
        pb::VerifyTable::Log => "log",
        pb::VerifyTable::Content => "contents",
        pb::VerifyTable::Original => "originals",
        pb::VerifyTable::Article => "index of articles",
        pb::VerifyTable::Name => "index of names",
        pb::VerifyTable::Source => "statistics of sources",
        pb::VerifyTable::Url => "index of URLs",
        pb::VerifyTable::Meta => "archive's metadata",
        pb::VerifyTable::Subscription => "subscriptions",
        pb::VerifyTable::Tree => "tree over the log",
        pb::VerifyTable::Unspecified => "database",
    }
}

fn summary_line(summary: &pb::VerifySummary, mode: Mode) -> String {
    let pb::VerifySummary { changes, articles, contents, originals, entries, findings } = summary;
    let read = if mode == Mode::Rebuild {
        format!("rebuilt all indexes from {} and {}", count(*changes, "change"), count(*contents, "content"))
    } else {
        format!(
            "read {}, {}, {}, {}, {}",
            count(*changes, "change"),
            count(*articles, "article"),
            count(*contents, "content"),
            count(*originals, "original"),
            count(*entries, "entry")
        )
    };
    match findings {
        0 if mode == Mode::Rebuild => read,
        0 => format!("{read}: no errors found"),
        findings => format!("{read}: {} found", count(*findings, "error")),
    }
}

fn damaged(message: &str, mode: Mode) -> Failure {
    let hint = if mode == Mode::Rebuild {
        "lost text can be recovered only from a backup: `dateline restore`"
    } else {
        "`dateline verify --rebuild` rebuilds indexes; a damaged log or text needs a backup: `dateline restore`"
    };
    Failure::new(Exit::Damaged, message).hint(hint)
}
