//! Exports documents: one article to standard output or a file, or each of many articles to its own file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::beneath::Folder;
use super::manifest::{Manifest, NAME, Standing};
use super::selection::Selection;
use super::summary::Summary;
use super::{Place, item, manifest, unless_stopped, unreadable, unwritable};
use crate::cli::args::export::ExportArgs;
use crate::cli::args::globals::Globals;
use crate::cli::connect::Session;
use crate::cli::count;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::replace::replace;
use crate::cli::short_name::short;
use crate::cli::signals::Signals;
use crate::export::Format;
use crate::model::ArticleName;
use crate::wire::pb;

/// Articles that are read and written as one group.
const AT_ONCE: usize = 50;
/// Files written concurrently; each write waits for the disk.
const WRITES_AT_ONCE: usize = 8;

pub(super) async fn run(
    session: &Session,
    args: &ExportArgs,
    format: Format,
    place: Place,
    globals: &Globals,
    out: &mut Output,
) -> Result<(), Failure> {
    let selection = Selection::of(session, args, None).await?;
    match place {
        Place::Folder(folder) => Many::run(session, args, format, &selection, &folder, globals, out).await,
        Place::Stdout(_) if args.articles.len() == 1 => {
            let document = one(session, args, format, &selection).await?;
            if args.dry_run {
                if out.json {
                    return out.line(json!({ "file": null, "bytes": document.len().to_string(), "dryRun": true }));
                }
                return out.line(format_args!("would write {} bytes to standard output", document.len()));
            }
            out.document(document.as_bytes())
        }
        Place::Stdout(_) => {
            let articles = selection.count(session).await?;
            if out.json {
                return out.line(json!({ "folder": null, "articles": articles.to_string(), "dryRun": true }));
            }
            let articles = count(articles, "article");
            out.line(format_args!("would write documents of {articles}; name a directory for them with --output"))
        }
        Place::File(path, _) => to_file(&path, &one(session, args, format, &selection).await?, args, out),
    }
}

/// Writes the document of the one selected article.
async fn one(session: &Session, args: &ExportArgs, format: Format, selection: &Selection) -> Result<String, Failure> {
    let listed = session.archive().list_articles(selection.list(pb::ArticleView::Basic)).await?.into_inner();
    let unfit = || Failure::new(Exit::NotFound, "the article does not match the other options").kind("NOT_CHOSEN");
    let article = listed.articles.into_iter().next().ok_or_else(unfit)?;
    let in_force = article.revision.as_ref().map_or(0, |revision| revision.number);
    let number = args.revision.map_or(in_force, |number| number.get());
    let revision = selection.revision(session, &article.name, number).await?;
    Ok(format.write(&item(&article, revision, number == in_force)?))
}

fn to_file(path: &Path, document: &str, args: &ExportArgs, out: &mut Output) -> Result<(), Failure> {
    if path.exists() && !args.force {
        let message = format!("{} exists", path.display());
        return Err(Failure::new(Exit::Conflict, message).kind("EXISTS").hint("give --force to overwrite it"));
    }
    let verb = if args.dry_run { "would write" } else { "wrote" };
    if !args.dry_run {
        replace(path, document.as_bytes()).map_err(unwritable(path))?;
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

/// An export of many documents to one directory.
struct Many<'a> {
    session: &'a Session,
    selection: &'a Selection,
    format: Format,
    folder: Arc<Folder>,
    force: bool,
    dry_run: bool,
    manifest: Manifest,
    /// One file in each subdirectory that was written to, by the name of the subdirectory, for syncing it.
    written: BTreeMap<String, String>,
}

/// An article whose document is to be written, to `file`; `of` is the digest of what it is written from.
struct Wanted {
    article: pb::Article,
    file: String,
    of: String,
}

impl<'a> Many<'a> {
    async fn run(
        session: &'a Session,
        args: &ExportArgs,
        format: Format,
        selection: &'a Selection,
        folder: &'a Path,
        globals: &Globals,
        out: &mut Output,
    ) -> Result<(), Failure> {
        let stopping = Signals::listen()?.token();
        if !args.dry_run {
            std::fs::create_dir_all(folder).map_err(unwritable(folder))?;
        }
        let within = Arc::new(Folder::open(folder).map_err(unreadable(folder))?);
        let manifest = Manifest::of(Arc::clone(&within)).map_err(unreadable(&within.path(NAME)))?;
        let (force, dry_run) = (args.force, args.dry_run);
        let (folder, written) = (Arc::clone(&within), BTreeMap::new());
        let mut many = Many { session, selection, format, folder, force, dry_run, manifest, written };
        let total = unless_stopped(&stopping, selection.count(session)).await?;
        let mut summary = Summary::begin(globals, total, args.dry_run, out);
        let done = many.all(&stopping, &mut summary).await;
        let synced = many.written.values().try_for_each(|file| within.sync(file));
        synced.map_err(unwritable(&within.path("")))?;
        done?;
        summary.finish(&within.path(""), stopping.is_cancelled())
    }

    async fn all(&mut self, stopping: &CancellationToken, summary: &mut Summary<'_>) -> Result<(), Failure> {
        let mut request = self.selection.list(pb::ArticleView::Basic);
        loop {
            let mut archive = self.session.archive();
            let page = tokio::select! {
                biased;
                () = stopping.cancelled() => return Ok(()),
                page = archive.list_articles(request.clone()) => page?.into_inner(),
            };
            let mut wanted = Vec::new();
            for article in page.articles {
                if stopping.is_cancelled() {
                    return Ok(());
                }
                let name = article.name.clone();
                match self.judge(article) {
                    Ok(Some(one)) => wanted.push(one),
                    Ok(None) => summary.unchanged(),
                    Err(failure) => summary.failed(&short(&name), failure)?,
                }
            }
            let mut wanted = wanted.into_iter();
            loop {
                let some: Vec<Wanted> = wanted.by_ref().take(AT_ONCE).collect();
                if some.is_empty() {
                    break;
                }
                // Files are written even if no one reads the output; in a dry run, the output is all there is.
                if stopping.is_cancelled() || self.dry_run && summary.is_closed() {
                    return Ok(());
                }
                self.write(some, summary).await?;
            }
            if page.next_page_token.is_empty() {
                return Ok(());
            }
            request.page_token = page.next_page_token;
        }
    }

    /// The article, if its document needs to be written.
    fn judge(&mut self, article: pb::Article) -> Result<Option<Wanted>, Failure> {
        let name = ArticleName::parse(&article.name);
        let name = name.map_err(|error| Failure::new(Exit::Failed, error).kind("NAME_INVALID"))?;
        let (file, of) = (self.manifest.path_of(&name, self.format), manifest::of(&article, self.format));
        let path = self.folder.path(&file);
        match self.manifest.standing(&file, &of).map_err(unreadable(&path))? {
            Standing::Complete => Ok(None),
            Standing::Foreign if !self.force => {
                let message =
                    format!("{} is not from an export, or was changed since; --force overwrites it", path.display());
                Err(Failure::new(Exit::Conflict, message).kind("EXISTS"))
            }
            Standing::Free | Standing::Foreign => Ok(Some(Wanted { article, file, of })),
        }
    }

    /// Reads a group of articles and writes their documents.
    async fn write(&mut self, wanted: Vec<Wanted>, summary: &mut Summary<'_>) -> Result<(), Failure> {
        if self.dry_run {
            return wanted.iter().try_for_each(|one| summary.written(&short(&one.article.name), &one.file, 0));
        }
        let mut documents = Vec::new();
        let articles = self.read(&wanted).await?;
        for (one, article) in wanted.into_iter().zip(articles) {
            let name = short(&one.article.name);
            match article.and_then(|(article, revision)| item(&article, revision, true)) {
                Ok(item) => documents.push((name, (one.file, one.of, self.format.write(&item)))),
                Err(failure) => summary.failed(&name, failure)?,
            }
        }
        let told: Vec<_> = documents.iter().map(|(_, document)| document.clone()).collect();
        let path = self.manifest.path();
        self.manifest.tell(&told).map_err(unwritable(&path))?;
        self.written.entry(String::new()).or_insert_with(|| NAME.to_owned());
        let folder = Arc::clone(&self.folder);
        let writes = stream::iter(documents).map(|(name, (file, _, document))| {
            let folder = Arc::clone(&folder);
            tokio::task::spawn_blocking(move || {
                let written = folder.place(&file, document.as_bytes()).map_err(unwritable(&folder.path(&file)));
                (name, file, written.map(|()| document.len()))
            })
        });
        let mut writes = writes.buffer_unordered(WRITES_AT_ONCE);
        while let Some(written) = writes.next().await {
            let ended = |error| Failure::new(Exit::Failed, format!("writing failed: {error}"));
            let (name, file, written) = written.map_err(ended)?;
            match written {
                Ok(bytes) => {
                    let (source, _) = file.rsplit_once('/').unwrap_or_default();
                    self.written.entry(source.to_owned()).or_insert_with(|| file.clone());
                    summary.written(&name, &file, bytes)?;
                }
                Err(failure) => summary.failed(&name, failure)?,
            }
        }
        Ok(())
    }

    /// Reads the revision in force of each article, or why that failed.
    async fn read(&self, wanted: &[Wanted]) -> Result<Vec<Result<(pb::Article, pb::Revision), Failure>>, Failure> {
        let reads = wanted.iter().map(|one| async {
            let number = one.article.revision.as_ref().map_or(0, |revision| revision.number);
            let revision = self.selection.revision(self.session, &one.article.name, number).await?;
            Ok((one.article.clone(), revision))
        });
        let reads: Vec<Result<_, Failure>> = stream::iter(reads).buffered(WRITES_AT_ONCE).collect().await;
        // An unreachable server fails all reads, and is reported once.
        match reads.iter().find_map(|read| read.as_ref().err().filter(|failure| failure.exit == Exit::Unreachable)) {
            Some(failure) => Err(failure.clone().hint("run the same command again to continue")),
            None => Ok(reads),
        }
    }
}
