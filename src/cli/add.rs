//! `add`: archives documents.

use std::path::Path;

use super::args::AddArgs;
use super::article::{of_revision, short};
use super::connect::Session;
use super::document::{Prepared, prepare};
use super::exit::{Exit, Failure};
use super::output::{Output, say};
use super::{style, words};
use crate::ingest::times::describe_date;
use crate::wire::pb;
use crate::wire::pb::import_revisions_response::Result as ImportResult;

/// How many files ended how.
#[derive(Default)]
struct Tally {
    created: usize,
    revised: usize,
    unchanged: usize,
    failures: Vec<Failure>,
}

/// Goes through all files, also after one that failed.
pub(super) async fn run(session: &Session, args: &AddArgs, out: &mut Output) -> Result<(), Failure> {
    check(args)?;
    let mut tally = Tally::default();
    let several = args.files.len() > 1;
    for (index, file) in args.files.iter().enumerate() {
        match add(session, file, args, out).await {
            Ok(pb::PublishOutcome::Created) => tally.created += 1,
            Ok(pb::PublishOutcome::Revised) => tally.revised += 1,
            Ok(pb::PublishOutcome::Unchanged | pb::PublishOutcome::Unspecified) => tally.unchanged += 1,
            Err(failure) => {
                let failure = Failure { message: format!("{}: {}", file.display(), failure.message), ..failure };
                if out.json {
                    out.message(&error_line(index, &failure))?;
                }
                // The last thing that a command says is why it failed; of several failures that is a number.
                if several {
                    say(format_args!("dateline: {}", style::safe(&failure.message)));
                }
                tally.failures.push(failure);
            }
        }
    }
    finish(tally, args.files.len(), out)
}

fn check(args: &AddArgs) -> Result<(), Failure> {
    if args.files.len() > 1 && args.write.request_id.is_some() {
        return Err(Failure::new(Exit::Usage, "--request-id is for one FILE, since it stands for one request"));
    }
    if args.files.iter().filter(|file| file.as_path() == Path::new("-")).count() > 1 {
        return Err(Failure::new(Exit::Usage, "standard input can be read only once"));
    }
    Ok(())
}

fn finish(mut tally: Tally, files: usize, out: &Output) -> Result<(), Failure> {
    if files > 1 {
        let Tally { created, revised, unchanged, failures } = &tally;
        let failed = failures.len();
        out.note(format_args!(
            "{files} files: {created} created, {revised} revised, {unchanged} unchanged, {failed} failed"
        ));
    }
    match (files, tally.failures.pop()) {
        (_, None) => Ok(()),
        (1, Some(failure)) => Err(failure),
        (_, Some(last)) if tally.failures.is_empty() => Err(Failure { message: "one file failed".to_owned(), ..last }),
        (_, Some(_)) => Err(Failure::new(Exit::Failed, format!("{} files failed", tally.failures.len() + 1))),
    }
}

async fn add(session: &Session, file: &Path, args: &AddArgs, out: &mut Output) -> Result<pb::PublishOutcome, Failure> {
    let Prepared { request, guesses, page_date } = prepare(file, args)?;
    let dated = page_date.filter(|_| request.observe_time.is_none());
    let published = session.archive().publish_revision(request).await;
    let quiet = published.as_ref().is_ok_and(|answer| answer.get_ref().outcome() == pb::PublishOutcome::Unchanged);
    if !quiet {
        tell_guesses(file, &guesses, out);
    }
    let published = published?.into_inner();
    for warning in &published.warnings {
        out.note(format_args!("{}: {}", file.display(), style::safe_line(&warning.message)));
    }
    if let Some(date) = dated.filter(|_| !quiet) {
        out.note(format_args!(
            "{}: the page is dated {}, and taken as seen now; to have it as seen then: --observed-at {date}",
            file.display(),
            describe_date(date)
        ));
    }
    if out.json {
        out.message(&published)?;
    } else {
        print(&published, args.write.dry_run, out)?;
    }
    Ok(published.outcome())
}

fn tell_guesses(file: &Path, guesses: &[String], out: &Output) {
    if guesses.is_empty() {
        return;
    }
    out.note(format_args!("{}: guessed", file.display()));
    for guess in guesses {
        out.note(format_args!("  {}", style::safe_line(guess)));
    }
}

/// A line on what was done; nothing for what was there already, unless a person is looking on.
fn print(published: &pb::PublishRevisionResponse, dry_run: bool, out: &mut Output) -> Result<(), Failure> {
    let (verb, style) = match (published.outcome(), dry_run) {
        (pb::PublishOutcome::Created, false) => ("created", style::GOOD),
        (pb::PublishOutcome::Created, true) => ("would create", style::GOOD),
        (pb::PublishOutcome::Revised, false) => ("revised", style::CHANGED),
        (pb::PublishOutcome::Revised, true) => ("would revise", style::CHANGED),
        (pb::PublishOutcome::Unchanged | pb::PublishOutcome::Unspecified, _) => ("unchanged", style::FAINT),
    };
    if verb == "unchanged" && !out.is_terminal() {
        return Ok(());
    }
    let revision = published.revision.clone().unwrap_or_default();
    let painter = out.painter();
    let name = painter.paint(style::NAME, &short(of_revision(&revision.name)));
    let delta = revision.word_delta.filter(|_| verb != "unchanged").map(|delta| format!("  {}", words(delta)));
    let replayed = if published.replayed { "  (this request was done before)" } else { "" };
    let verb = painter.paint(style, verb);
    out.line(format_args!("{verb}  {name}  revision {}{}{replayed}", revision.number, delta.unwrap_or_default()))
}

/// A failure among the lines of `--json`: `offset` is the file's index.
fn error_line(index: usize, failure: &Failure) -> pb::ImportRevisionsResponse {
    let error = pb::ItemError {
        code: failure.server.as_ref().map_or(tonic::Code::InvalidArgument, |server| server.code).into(),
        reason: failure.reason().to_owned(),
        message: failure.message.clone(),
        metadata: failure.server.as_ref().map(|server| server.metadata.clone()).unwrap_or_default(),
    };
    pb::ImportRevisionsResponse { offset: index as u64, result: Some(ImportResult::Error(error)) }
}
