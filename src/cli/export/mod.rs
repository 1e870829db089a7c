//! `export`: exports articles: their whole history as JSON Lines ([`lines`]), their originals as a WACZ ([`wacz`]), or each
//! one as a document ([`documents`]).

mod destination;
mod documents;
mod lines;
mod summary;
mod wacz;

use std::future::Future;

use tokio_util::sync::CancellationToken;

use super::args::export::{ExportArgs, ExportFormat};
use super::args::globals::Globals;
use super::connect::Session;
use super::exit::{Exit, Failure, interrupted};
use super::list;
use super::output::Output;
use crate::capture::export::Selection;
use crate::wire::pb;

pub(super) async fn run(
    session: &Session,
    args: &ExportArgs,
    globals: &Globals,
    out: &mut Output,
) -> Result<(), Failure> {
    let format = args.format();
    check(args, format)?;
    match format.of_documents() {
        None if format == ExportFormat::Wacz => wacz::run(session, args, destination::wacz(args)?, globals, out).await,
        None => {
            let (file, encoding) = destination::lines(args, out)?;
            lines::run(session, args, file, encoding, globals, out).await
        }
        Some(format) => {
            let destination = destination::documents(args, out)?;
            documents::run(session, args, format, destination, globals, out).await
        }
    }
}

/// Rejects combinations of options that have no meaning.
fn check(args: &ExportArgs, format: ExportFormat) -> Result<(), Failure> {
    let usage = |message: &str| Err(Failure::new(Exit::Usage, message));
    let (is_lines, is_wacz) = (format == ExportFormat::Jsonl, format == ExportFormat::Wacz);
    match () {
        () if (is_lines || is_wacz) && args.revision.is_some() => usage(
            "--revision is for documents; JSON Lines and WACZ have the whole history, or with --newest what is in force",
        ),
        () if !is_lines && !is_wacz && args.newest => {
            usage("--newest is for JSON Lines and WACZ; documents always have what is in force")
        }
        () if is_wacz && args.originals => usage("--originals is for JSON Lines; a WACZ always has them"),
        () if !is_lines && args.originals => usage("--originals is for JSON Lines"),
        () if is_wacz && (args.gzip || args.zstd) => {
            usage("--gzip and --zstd are for JSON Lines; what is in a WACZ is compressed already")
        }
        () if !is_lines && (args.gzip || args.zstd) => usage("--gzip and --zstd are for JSON Lines"),
        () if args.revision.is_some() && args.articles.len() != 1 => {
            usage("--revision is for one article; name exactly one")
        }
        () => Ok(()),
    }
}

/// Selects the articles, with relative times and URLs resolved now.
async fn select(session: &Session, args: &ExportArgs) -> Result<Selection, Failure> {
    let mut filter: pb::ArticleFilter = list::filter(&args.filter, &args.ranges);
    for article in &args.articles {
        filter.articles.push(article.resolve(session, args.as_of.at(), args.as_of.known_at()).await?);
    }
    filter.articles.sort();
    filter.articles.dedup();
    Ok(Selection::new(session.client(), filter, args.as_of.at(), args.as_of.known_at()).await?)
}

/// Runs a preparation, or fails as interrupted if a signal comes first.
async fn unless_stopped<T, E>(
    stopping: &CancellationToken,
    preparing: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure>
where
    Failure: From<E>,
{
    tokio::select! {
        biased;
        () = stopping.cancelled() => Err(interrupted("this run wrote nothing")),
        done = preparing => Ok(done?),
    }
}
