//! `verify`: reads everything that is stored and checks it against the log; `--rebuild` rebuilds the indexes.
//!
//! A server that holds the archive does this itself. An archive that no process holds is read here without being opened
//! for anything else, so that even an archive that does not open can be verified.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::args::globals::Globals;
use super::args::verify::VerifyArgs;
use super::connect::{self, Held, Session};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::progress::Progress;
use super::style;
use crate::archive::recover::verify::rebuild_directory;
use crate::archive::recover::verify::verify_directory;
use crate::archive::recover::verify::{Listener, RebuildError};
use crate::archive::{Holder, Options};
use crate::model::verification::Summary;
use crate::wire::pb;
use crate::wire::pb::verify_response::Event;
use crate::wire::verification::{event_to_pb, summary_to_pb};

/// Steps waiting to be shown; reading pauses while there are more.
const STEPS_WAITING_MAX: usize = 64;

pub(super) async fn run(globals: &Globals, args: &VerifyArgs, out: &mut Output) -> Result<(), Failure> {
    let mut report =
        Report { out, progress: Progress::new(globals), rebuild: args.rebuild, phase: None, summary: None };
    match connect::server_url(globals) {
        Some(_) if args.rebuild => return Err(served()),
        Some(url) => report.ask(&Session::remote(&url).await?).await?,
        None => {
            let path = connect::archive_directory(globals.archive.as_deref(), None)?;
            report.read_offline(&path, connect::patience(globals)).await?;
        }
    }
    report.finish()
}

/// The failure of a rebuild while a server holds the archive: that server would keep using the database that was
/// replaced.
fn served() -> Failure {
    Failure::new(Exit::Conflict, "the indexes can't be rebuilt while a server holds the archive").hint("stop it first")
}

struct Report<'a> {
    out: &'a mut Output,
    progress: Progress,
    rebuild: bool,
    phase: Option<i32>,
    summary: Option<pb::VerifySummary>,
}

/// What the blocking thread sends: progress and findings, then the result.
enum Step {
    Event(Event),
    Done(Result<Option<Summary>, RebuildError>),
}

impl Report<'_> {
    /// Has the server verify the archive.
    async fn ask(&mut self, session: &Session) -> Result<(), Failure> {
        let mut told = session.admin().verify(pb::VerifyRequest {}).await?.into_inner();
        while let Some(message) = told.message().await? {
            if let Some(event) = message.event {
                self.take(event)?;
            }
        }
        Ok(())
    }

    /// Verifies the archive here once no command holds it, or has the server that holds it do so.
    async fn read_offline(&mut self, path: &Path, patience: Instant) -> Result<(), Failure> {
        loop {
            let error = match self.read_once(path.to_path_buf()).await? {
                Ok(()) => return Ok(()),
                Err(RebuildError::Open(error)) => error,
                Err(error @ RebuildError::Log { .. }) => return Err(Failure::new(Exit::Damaged, error)),
                Err(error @ RebuildError::Write(_)) => return Err(Failure::new(Exit::Failed, error)),
            };
            let refusal = match connect::held(&error) {
                Held::Server(_) if self.rebuild => return Err(served()),
                Held::Server(address) => match Session::of_holder(path, &address).await {
                    Ok(session) => return self.ask(&session).await,
                    Err(refusal) => refusal,
                },
                Held::Command => None,
                Held::Nobody => return Err(connect::closed(error)),
            };
            if Instant::now() >= patience {
                return Err(refusal.unwrap_or_else(|| connect::closed(error)));
            }
            connect::look_again().await;
        }
    }

    async fn read_once(&mut self, path: PathBuf) -> Result<Result<(), RebuildError>, Failure> {
        let (sender, mut steps) = mpsc::channel(STEPS_WAITING_MAX);
        let (command, read) = if self.rebuild {
            ("verify --rebuild", rebuild_directory as Reading)
        } else {
            ("verify", verify as Reading)
        };
        let (options, holder) = (connect::options()?, connect::holder(command));
        tokio::task::spawn_blocking(move || {
            let told = sender.clone();
            let mut listener = move |event| {
                let is_told = told.blocking_send(Step::Event(event_to_pb(event))).is_ok();
                if is_told { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            let done = read(&path, &options, holder, &mut listener);
            // The receiver is gone if the command has ended.
            drop(sender.blocking_send(Step::Done(done)));
        });
        while let Some(step) = steps.recv().await {
            match step {
                Step::Event(event) => self.take(event)?,
                Step::Done(Ok(summary)) => {
                    self.summary = summary.map(summary_to_pb);
                    return Ok(Ok(()));
                }
                Step::Done(Err(error)) => return Ok(Err(error)),
            }
        }
        Err(Failure::new(Exit::Failed, "reading the archive ended unexpectedly"))
    }

    fn take(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Progress(progress) => {
                if self.phase != Some(progress.phase) {
                    self.phase = Some(progress.phase);
                    let (what, unit) = words_of(progress.phase(), self.rebuild);
                    self.progress.begin(what, unit, progress.total);
                }
                self.progress.set(progress.done, progress.total);
                Ok(())
            }
            Event::Finding(finding) => {
                let Self { out, progress, .. } = self;
                progress.beside(|| if out.json { out.message(&finding) } else { out.line(line(&finding, out)) })
            }
            Event::Summary(summary) => {
                self.summary = Some(summary);
                Ok(())
            }
        }
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.progress.end();
        let cut_short = || Failure::new(Exit::Unreachable, "the server ended the verification early");
        let summary = self.summary.ok_or_else(cut_short)?;
        if self.out.json {
            self.out.message(&summary)?;
        } else {
            self.out.line(read_and_found(&summary, self.rebuild))?;
        }
        if self.rebuild {
            self.out.note("the old database was moved to `quarantine` in the archive's directory, and may be deleted");
        }
        match summary.findings {
            0 => Ok(()),
            1 => Err(damaged("verification found 1 error", self.rebuild)),
            findings => Err(damaged(&format!("verification found {findings} errors"), self.rebuild)),
        }
    }
}

type Reading = fn(&Path, &Options, Holder, &mut Listener<'_>) -> Result<Option<Summary>, RebuildError>;

fn verify(
    path: &Path,
    options: &Options,
    holder: Holder,
    listener: &mut Listener<'_>,
) -> Result<Option<Summary>, RebuildError> {
    Ok(verify_directory(path, options, holder, listener)?)
}

fn words_of(phase: pb::VerifyPhase, rebuild: bool) -> (&'static str, &'static str) {
    match phase {
        _ if rebuild => ("rebuilding", "changes"),
        pb::VerifyPhase::Unspecified | pb::VerifyPhase::Log => ("reading the log", "changes"),
        pb::VerifyPhase::Articles => ("reading the articles", "changes"),
        pb::VerifyPhase::Entries => ("reading all entries", "entries"),
    }
}

/// Formats a finding, such as `change 17, gazette/ferry: a content cannot be decompressed`.
fn line(finding: &pb::VerifyFinding, out: &Output) -> String {
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
        pb::VerifyTable::Unspecified => "database",
    }
}

fn read_and_found(summary: &pb::VerifySummary, rebuild: bool) -> String {
    let pb::VerifySummary { changes, articles, contents, originals, entries, findings } = summary;
    let read = if rebuild {
        format!("rebuilt all indexes from {changes} changes and {contents} contents")
    } else {
        format!(
            "read {changes} changes, {articles} articles, {contents} contents, {originals} originals, {entries} entries"
        )
    };
    match findings {
        0 if rebuild => read,
        0 => format!("{read}: no errors found"),
        1 => format!("{read}: 1 finding"),
        findings => format!("{read}: {findings} findings"),
    }
}

fn damaged(message: &str, rebuild: bool) -> Failure {
    let hint = if rebuild {
        "lost text can be recovered only from a backup: `dateline restore`"
    } else {
        "`dateline verify --rebuild` rebuilds indexes; a damaged log or text needs a backup: `dateline restore`"
    };
    Failure::new(Exit::Damaged, message).hint(hint)
}
