//! `export`: takes articles out: their whole history as JSON Lines ([`lines`]), or each as a document ([`documents`]).
//!
//! All that is read is as of one cut, which is fixed when an export begins and kept with what it has written, so that one
//! that was interrupted goes on and ends as if it had not been.

mod beneath;
mod choice;
mod documents;
mod encoding;
mod folder;
mod history;
mod item;
mod lines;
mod manifest;
mod newest;
mod part;
mod place;
mod tally;

use std::future::Future;
use std::path::Path;

use tokio_util::sync::CancellationToken;

pub(super) use self::item::{at_cut, item};
use self::place::Place;
use super::args::Globals;
use super::connect::Session;
use super::exit::{Exit, Failure, interrupted};
use super::export_args::ExportArgs;
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

/// Refuses options that have no meaning together.
fn check(args: &ExportArgs) -> Result<(), Failure> {
    let usage = |message: &str| Err(Failure::new(Exit::Usage, message));
    let is_lines = args.format.of_documents().is_none();
    match () {
        () if is_lines && args.revision.is_some() => {
            usage("--revision is for a document; JSON Lines have the history, or with --newest what is in force")
        }
        () if !is_lines && args.newest => usage("--newest is for JSON Lines; a document says what is in force anyway"),
        () if !is_lines && args.originals => usage("--originals is for JSON Lines"),
        () if !is_lines && (args.gzip || args.zstd) => usage("--gzip and --zstd are for JSON Lines"),
        () if args.revision.is_some() && args.articles.len() != 1 => {
            usage("--revision is of one article; name that alone")
        }
        () => Ok(()),
    }
}

/// Prepares, unless an end is asked for before that is done.
async fn unless_stopped<T>(
    stopping: &CancellationToken,
    preparing: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        () = stopping.cancelled() => Err(interrupted("this time, nothing was written")),
        done = preparing => done,
    }
}

/// Why something can't be written.
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

/// Why something can't be read.
fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure::new(Exit::Failed, format!("{} can't be read: {error}", path.display())).kind("UNREADABLE")
}
