//! `export`: exports articles, either their whole history as JSON Lines ([`lines`]) or each one as a document
//! ([`documents`]).
//!
//! All reads of an export use one snapshot, which is fixed when it begins and stored next to its output. An export that
//! was interrupted therefore ends with the same result as one that was not.

mod beneath;
mod destination;
mod documents;
mod encoding;
mod fingerprint;
mod folder;
mod history;
mod item;
mod lines;
mod manifest;
mod newest;
mod page;
mod partial_file;
mod selection;
mod summary;

use std::future::Future;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use self::destination::Place;
pub(super) use self::item::{at_cut, item};
use super::args::export::ExportArgs;
use super::args::globals::Globals;
use super::connect::Session;
use super::exit::{Exit, Failure, interrupted};
use super::output::Output;

pub(super) async fn run(
    session: &Session,
    args: &ExportArgs,
    globals: &Globals,
    out: &mut Output,
) -> Result<(), Failure> {
    check(args)?;
    let place = Place::of(args, out)?;
    match args.format.of_documents() {
        None => lines::run(session, args, place, globals, out).await,
        Some(format) => documents::run(session, args, format, place, globals, out).await,
    }
}

/// Rejects combinations of options that have no meaning.
fn check(args: &ExportArgs) -> Result<(), Failure> {
    let usage = |message: &str| Err(Failure::new(Exit::Usage, message));
    let is_lines = args.format.of_documents().is_none();
    match () {
        () if is_lines && args.revision.is_some() => {
            usage("--revision is for documents; JSON Lines have the whole history, or with --newest what is in force")
        }
        () if !is_lines && args.newest => usage("--newest is for JSON Lines; documents always have what is in force"),
        () if !is_lines && args.originals => usage("--originals is for JSON Lines"),
        () if !is_lines && (args.gzip || args.zstd) => usage("--gzip and --zstd are for JSON Lines"),
        () if args.revision.is_some() && args.articles.len() != 1 => {
            usage("--revision is for one article; name exactly one")
        }
        () => Ok(()),
    }
}

/// Runs a preparation, or fails as interrupted if a signal comes first.
async fn unless_stopped<T>(
    stopping: &CancellationToken,
    preparing: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        () = stopping.cancelled() => Err(interrupted("this run wrote nothing")),
        done = preparing => done,
    }
}

/// The failure of writing `path`.
fn unwritable(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| {
        let failure = Failure::new(Exit::Failed, format!("{} can't be written: {error}", path.display()));
        let failure = failure.kind("UNWRITABLE");
        if error.kind() != std::io::ErrorKind::StorageFull {
            return failure;
        }
        failure.hint("free some space, and run the same command again")
    }
}

/// The failure of reading `path`.
fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure::new(Exit::Failed, format!("{} can't be read: {error}", path.display())).kind("UNREADABLE")
}
