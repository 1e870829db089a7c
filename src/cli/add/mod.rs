//! `add`: archives documents from files, standard input and the web.

mod document;

use std::path::Path;

use futures_util::stream::{self, StreamExt};
use url::Url;

use super::args::AddArgs;
use super::args::globals::Globals;
use super::args::web::{is_address, web_address};
use super::connect::Session;
use super::exit::{Exit, Failure, interrupted};
use super::output::Output;
use super::report::Report;
use super::signals::Signals;
use super::{count, times};
use crate::capture::pages::{PageOverrides, Pages};
use crate::capture::{CaptureError, Captured, Recorded};
use crate::ingest::times::describe_date;
use crate::model::url_key::without_credentials;

pub(super) use document::standard_input;
use document::{Prepared, prepare};

/// Archives all documents, even after one has failed: first the files in order, then the URLs, several at once.
pub(super) async fn run(session: &Session, args: &AddArgs, globals: &Globals, out: &mut Output) -> Result<(), Failure> {
    let addresses = args.documents.iter().filter(|text| is_address(text));
    let addresses: Vec<Url> = addresses.map(|text| address(text)).collect::<Result<_, _>>()?;
    let files: Vec<&Path> = args.documents.iter().filter(|text| !is_address(text)).map(Path::new).collect();
    check(args, &files, &addresses)?;
    let unit = if files.is_empty() { "pages" } else { "documents" };
    let mut report = Report::new(globals, unit, args.write.dry_run, out);
    report.expect(args.documents.len() as u64);
    for file in files {
        let done = add_file(session, file, args).await;
        report.take(&display_name(file), done)?;
    }
    let skipped = add_addresses(session, addresses, args, &mut report).await?;
    match report.finish() {
        Ok(()) if skipped > 0 => Err(interrupted(&format!(
            "{skipped} of {} left; pass them again to archive them",
            count(args.documents.len() as u64, "document")
        ))),
        done => done,
    }
}

/// The name of a document for people.
fn display_name(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

fn address(text: &str) -> Result<Url, Failure> {
    let invalid = |error| Failure::new(Exit::Usage, format!("{}: {error}", without_credentials(text)));
    web_address(text).map_err(invalid)
}

fn check(args: &AddArgs, files: &[&Path], addresses: &[Url]) -> Result<(), Failure> {
    let usage = |message: &str| Err(Failure::new(Exit::Usage, message));
    let is_unsupported_url = |file: &&&Path| file.to_string_lossy().contains("://") && !file.exists();
    if let Some(address) = files.iter().find(is_unsupported_url) {
        let address = address.to_string_lossy();
        let address = without_credentials(&address);
        return usage(&format!("{address}: expected a URL that begins with http:// or https://"));
    }
    if files.iter().any(|file| file.as_os_str().is_empty()) {
        return usage("an empty name is not a file");
    }
    if args.documents.len() > 1 && args.write.request_id.is_some() {
        return usage("--request-id identifies one request; give it with one document only");
    }
    if files.iter().filter(|file| **file == Path::new("-")).count() > 1 {
        return usage("standard input can be read only once");
    }
    if !addresses.is_empty() && args.observed_at.is_some() {
        return usage("--observed-at is for files; a URL is observed when it is fetched");
    }
    Ok(())
}

/// Archives the pages at these URLs. Returns how many were skipped because a signal asked the command to stop.
async fn add_addresses(
    session: &Session,
    addresses: Vec<Url>,
    args: &AddArgs,
    report: &mut Report<'_>,
) -> Result<usize, Failure> {
    if addresses.is_empty() {
        return Ok(0);
    }
    let pages = Pages::new(session.client(), args.fetch.fetcher(), overrides(args), times::clock());
    let stopping = Signals::listen()?.token();
    let archived = stream::iter(addresses).map(|address| {
        let (pages, stopping) = (&pages, &stopping);
        async move {
            let done = if stopping.is_cancelled() { None } else { Some(pages.archive(&address, None).await) };
            (address, done)
        }
    });
    let mut archived = archived.buffer_unordered(args.fetch.jobs.get());
    let mut skipped = 0;
    while let Some((address, done)) = archived.next().await {
        match done {
            Some(done) => report.take(&without_credentials(address.as_str()), done.map_err(failure_of))?,
            None => skipped += 1,
        }
    }
    Ok(skipped)
}

/// The failure of a page. The request was built from the command line, so invalid fields are named by their options.
fn failure_of(error: CaptureError) -> Failure {
    if let CaptureError::Server(error) = error {
        return Failure::of_call(*error);
    }
    error.into()
}

fn overrides(args: &AddArgs) -> PageOverrides {
    PageOverrides {
        source: args.source.clone(),
        article: args.article.clone(),
        labels: args.label.clone(),
        language: args.language.clone(),
        urls: args.url.clone(),
        keep_original: args.originals.of_pages(),
        gone_after: args.fetch.gone_after,
        precondition: document::precondition(args),
        request_id: args.write.request_id.clone().unwrap_or_default(),
        dry_run: args.write.dry_run,
    }
}

async fn add_file(session: &Session, file: &Path, args: &AddArgs) -> Result<Captured, Failure> {
    let Prepared { request, guesses, page_date } = prepare(file, args)?;
    let dated = page_date.filter(|_| request.observe_time.is_none());
    let response = session.archive().record_observation(request).await?.into_inner();
    let note = dated.map(|date| {
        let day = describe_date(date);
        format!("the page is dated {day}, but recorded as seen now; --observed-at {date} records it as seen then")
    });
    Ok(Captured { recorded: Recorded::Observation(Box::new(response)), guesses, notes: note.into_iter().collect() })
}
