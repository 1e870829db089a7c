//! `import`: archives whole collections, one after the other.

mod summary;

use std::path::{Path, PathBuf};

use self::summary::Summary;
use super::args::globals::Globals;
use super::args::import::ImportArgs;
use super::connect::Session;
use super::count;
use super::exit::{Exit, Failure, interrupted};
use super::folders::state_dir;
use super::output::Output;
use super::signals::Signals;
use crate::capture::CaptureError;
use crate::capture::import::{CollectionSource, ImportEnd, ImportOptions, Importer, Overrides, RepositoryOptions};

/// The pattern of files in a repository without `--glob`.
const DEFAULT_GLOB: &str = "**/*.md";

/// Imports the collections one after the other, even after one that failed in part.
pub(super) async fn run(
    session: &Session,
    args: &ImportArgs,
    globals: &Globals,
    out: &mut Output,
) -> Result<(), Failure> {
    let stopping = Signals::listen()?.token();
    let state_dir = match args.dry_run {
        true => None,
        false => Some(state_dir(session, args.state_dir.as_deref(), "import").await?),
    };
    let options = options(args);
    let importer =
        Importer { client: session.client(), options: &options, state_dir: state_dir.as_ref(), stopping: &stopping };
    let collections = collections(args)?;
    let total = collections.len() as u64;
    let mut collections = collections.into_iter();
    let mut failed = Vec::new();
    while let Some(collection) = collections.next() {
        let ended = import(&importer, &collection, globals, out).await;
        let remaining = collections.len() as u64;
        match ended {
            Ok(()) => {}
            Err(failure) if remaining == 0 && failed.is_empty() => return Err(failure),
            // The other collections would fail the same way.
            Err(failure) if is_transient(&failure) => return Err(failure),
            Err(failure) => {
                super::tell(&failure);
                failed.push(failure.exit);
            }
        }
        if remaining > 0 && stopping.is_cancelled() {
            let remaining = count(remaining, "file");
            return Err(interrupted(&format!("{remaining} not imported; run the same command again")));
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        [exit, ..] => {
            let message = format!("{} of {} had errors, which are reported above", failed.len(), count(total, "file"));
            Err(Failure::new(*exit, message))
        }
    }
}

/// Imports one collection, and prints what happens.
async fn import(
    importer: &Importer<'_>,
    collection: &CollectionSource,
    globals: &Globals,
    out: &mut Output,
) -> Result<(), Failure> {
    let mut summary = Summary::new(globals, out);
    let ended = importer.import(collection, &mut |event| summary.take(event)).await;
    if let Some(failure) = summary.output_failure() {
        summary.finish().ok();
        return Err(failure);
    }
    match ended {
        Ok(ImportEnd::Complete) => summary.finish(),
        Ok(ImportEnd::Stopped { done, is_saved }) => {
            let what_next = if is_saved { "the same command continues there" } else { "nothing is archived twice" };
            summary.finish().ok();
            Err(interrupted(&format!("{} done; {what_next}", count(done.items, "item"))))
        }
        Err(error) => {
            if summary.has_begun() {
                summary.finish().ok();
            }
            Err(failure_of(error))
        }
    }
}

/// Whether a failure is temporary and concerns the archive, not the collection.
fn is_transient(failure: &Failure) -> bool {
    failure.exit == Exit::Unreachable || failure.server.as_ref().is_some_and(|error| error.is_passing())
}

fn failure_of(error: CaptureError) -> Failure {
    let is_rejected_for_now = matches!(&error, CaptureError::Server(error) if error.is_passing());
    let failure = Failure::from(error);
    match is_rejected_for_now {
        true => failure.hint("run the same command again later: it continues where it stopped"),
        false => failure,
    }
}

fn options(args: &ImportArgs) -> ImportOptions {
    let repository = &args.repository;
    let glob = if repository.glob.is_empty() { vec![DEFAULT_GLOB.to_owned()] } else { repository.glob.clone() };
    ImportOptions {
        format: args.format.map(Into::into),
        repository: RepositoryOptions {
            glob,
            branch: repository.branch.clone(),
            every_commit: repository.every_commit,
            base_url: repository.base_url.clone(),
            allow_shallow: repository.allow_shallow,
        },
        overrides: Overrides {
            source: args.source.clone(),
            labels: args.label.clone(),
            keep_original: args.originals.choice(),
        },
        dry_run: args.dry_run,
    }
}

fn collections(args: &ImportArgs) -> Result<Vec<CollectionSource>, Failure> {
    if let Some(folder) = &args.git {
        return Ok(vec![CollectionSource::Repository(folder.clone())]);
    }
    let is_standard_input = |file: &&PathBuf| file.as_path() == Path::new("-");
    if args.files.iter().filter(is_standard_input).count() > 1 {
        return Err(Failure::new(Exit::Usage, "standard input can be read only once"));
    }
    Ok(args.files.iter().cloned().map(CollectionSource::File).collect())
}
