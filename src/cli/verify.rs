//! `verify`: reads everything again and holds it against the log; `--rebuild` makes the indexes anew.
//!
//! A server that has the archive does it itself. An archive that nobody has is read here without being opened for
//! anything else, so that one which would not open can be verified too.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::args::Globals;
use super::connect::{self, Held, Session};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::progress::Progress;
use super::style;
use crate::archive::verify::{Listener, RebuildError, rebuild_directory, verify_directory};
use crate::archive::{Holder, Options};
use crate::model::verification::Summary;
use crate::wire::pb;
use crate::wire::pb::verify_response::Event;
use crate::wire::verification::{event_to_pb, summary_to_pb};

/// Steps that wait to be shown; the reading waits when there are more.
const STEPS_WAITING_MAX: usize = 64;

/// The arguments of `verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Make all indexes anew from the log and the contents; no server may have the archive
    #[arg(long)]
    pub(super) rebuild: bool,
}

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

/// The server that has the archive would go on with a database that is not in place any more.
fn served() -> Failure {
    Failure::new(Exit::Conflict, "the indexes can't be rebuilt while a server has the archive").hint("stop it first")
}

struct Report<'a> {
    out: &'a mut Output,
    progress: Progress,
    rebuild: bool,
    phase: Option<i32>,
    summary: Option<pb::VerifySummary>,
}

/// What is told on the way from a blocking thread, and how that ended.
enum Step {
    Event(Event),
    Done(Result<Option<Summary>, RebuildError>),
}

impl Report<'_> {
    /// Lets a server do it.
    async fn ask(&mut self, session: &Session) -> Result<(), Failure> {
        let mut told = session.admin().verify(pb::VerifyRequest {}).await?.into_inner();
        while let Some(message) = told.message().await? {
            if let Some(event) = message.event {
                self.take(event)?;
            }
        }
        Ok(())
    }

    /// Does it here once nobody has the archive, or lets the server do it that has it.
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
            // The command may have ended meanwhile.
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
        Err(Failure::new(Exit::Failed, "reading the archive ended early"))
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
        let cut_short = || Failure::new(Exit::Unreachable, "the verification ended early");
        let summary = self.summary.ok_or_else(cut_short)?;
        if self.out.json {
            self.out.message(&summary)?;
        } else {
            self.out.line(read_and_found(&summary, self.rebuild))?;
        }
        if self.rebuild {
            self.out.note("the database from before is in the archive's folder `quarantine`, and may be deleted");
        }
        match summary.findings {
            0 => Ok(()),
            1 => Err(damaged("1 thing is not as it was written", self.rebuild)),
            findings => Err(damaged(&format!("{findings} things are not as they were written"), self.rebuild)),
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

/// `change 17, gazette/ferry: a content cannot be decompressed`.
fn line(finding: &pb::VerifyFinding, out: &Output) -> String {
    let place = match finding.seq {
        Some(seq) => format!("change {seq}"),
        None => format!("in the {}", table_of(finding.table())),
    };
    let painter = out.painter();
    let article = match finding.article.as_str() {
        "" => String::new(),
        article => format!(", {}", painter.paint(style::NAME, &super::article::short(article))),
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
        pb::VerifyTable::Source => "figures of sources",
        pb::VerifyTable::Url => "index of URLs",
        pb::VerifyTable::Meta => "archive's own facts",
        pb::VerifyTable::Subscription => "subscriptions",
        pb::VerifyTable::Unspecified => "database",
    }
}

fn read_and_found(summary: &pb::VerifySummary, rebuild: bool) -> String {
    let pb::VerifySummary { changes, articles, contents, originals, entries, findings } = summary;
    let read = if rebuild {
        format!("made all indexes anew from {changes} changes and {contents} contents")
    } else {
        format!(
            "read {changes} changes, {articles} articles, {contents} contents, {originals} originals, {entries} entries"
        )
    };
    match findings {
        0 if rebuild => read,
        0 => format!("{read}: all as written"),
        1 => format!("{read}: 1 finding"),
        findings => format!("{read}: {findings} findings"),
    }
}

fn damaged(message: &str, rebuild: bool) -> Failure {
    let hint = if rebuild {
        "what was lost of a text can only come from a backup: `dateline restore`"
    } else {
        "`dateline verify --rebuild` makes indexes anew; a damaged log or text needs a backup: `dateline restore`"
    };
    Failure::new(Exit::Damaged, message).hint(hint)
}
