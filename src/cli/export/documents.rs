//! Exports documents: one article to standard output or a file, or each of many articles to its own file.

use std::ops::ControlFlow;
use std::path::Path;

use serde_json::json;

use super::destination::Documents;
use super::summary::Summary;
use super::{select, unless_stopped};
use crate::capture::export::{
    DocumentEvent, DocumentsExport, DocumentsOptions, ExportError, FileConflict, Selection, check_parent, document,
    write_document,
};
use crate::cli::args::export::ExportArgs;
use crate::cli::args::globals::Globals;
use crate::cli::connect::Session;
use crate::cli::count;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::short_name::short;
use crate::cli::signals::Signals;
use crate::export::Format;

pub(super) async fn run(
    session: &Session,
    args: &ExportArgs,
    format: Format,
    destination: Documents,
    globals: &Globals,
    out: &mut Output,
) -> Result<(), Failure> {
    let selection = select(session, args).await?;
    let read_document = async || document(session.client(), &selection, format, args.revision).await;
    match destination {
        Documents::Folder(folder) => to_folder(session, args, format, &selection, &folder, globals, out).await,
        Documents::Stdout if args.articles.len() == 1 => {
            let document = read_document().await?;
            if args.dry_run {
                if out.json {
                    return out.line(json!({ "file": null, "bytes": document.len().to_string(), "dryRun": true }));
                }
                return out.line(format_args!("would write {} bytes to standard output", document.len()));
            }
            out.document(document.as_bytes())
        }
        Documents::Stdout => {
            let articles = selection.count(session.client()).await?;
            if out.json {
                return out.line(json!({ "folder": null, "articles": articles.to_string(), "dryRun": true }));
            }
            let articles = count(articles, "article");
            out.line(format_args!("would write documents of {articles}; name a directory for them with --output"))
        }
        Documents::File(path) => to_file(&path, &read_document().await?, args, out),
    }
}

fn to_file(path: &Path, document: &str, args: &ExportArgs, out: &mut Output) -> Result<(), Failure> {
    if path.exists() && !args.force {
        let failure = Failure::from(ExportError::from(FileConflict::Exists(path.to_owned())));
        return Err(failure.hint("give --force to overwrite it"));
    }
    check_parent(path)?;
    let verb = if args.dry_run { "would write" } else { "wrote" };
    if !args.dry_run {
        write_document(path, document)?;
    }
    if out.json {
        return out.line(json!({
            "file": path.display().to_string(),
            "bytes": document.len().to_string(),
            "dryRun": args.dry_run,
        }));
    }
    out.line(format_args!("{verb} {}", path.display()))
}

/// Exports many documents to one directory.
async fn to_folder(
    session: &Session,
    args: &ExportArgs,
    format: Format,
    selection: &Selection,
    folder: &Path,
    globals: &Globals,
    out: &mut Output,
) -> Result<(), Failure> {
    let stopping = Signals::listen()?.token();
    let options = DocumentsOptions { format, overwrite: args.force, dry_run: args.dry_run };
    let mut export = DocumentsExport::open(session.client(), selection, options, folder)?;
    let total = unless_stopped(&stopping, selection.count(session.client())).await?;
    let mut summary = Summary::begin(globals, total, args.dry_run, out);
    let mut shown = Ok(());
    let mut report = |event: DocumentEvent<'_>| {
        let printed = match event {
            DocumentEvent::Written { article, file, bytes } => summary.written(&short(article), file, bytes),
            DocumentEvent::Unchanged => {
                summary.unchanged();
                Ok(())
            }
            DocumentEvent::Failed { article, error } => summary.failed(&short(article), error.into()),
        };
        // Files are written even if nobody reads the output. A dry run has no result other than its output.
        let is_pointless = printed.is_err() || args.dry_run && summary.is_closed();
        if shown.is_ok() {
            shown = printed;
        }
        if is_pointless { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let done = export.run(&stopping, &mut report).await;
    done.map_err(failure_of)?;
    shown?;
    summary.finish(&export.folder(), stopping.is_cancelled())
}

fn failure_of(error: ExportError) -> Failure {
    let failure = Failure::from(error);
    match failure.exit {
        Exit::Unreachable => failure.hint("run the same command again to continue"),
        Exit::Failed | Exit::Usage | Exit::NotFound | Exit::Conflict | Exit::Damaged | Exit::NotAllowed => failure,
    }
}
