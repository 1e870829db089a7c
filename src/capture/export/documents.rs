//! Exports documents: that of one article, or those of many articles to a file each.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use futures_util::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::folder::{Folder, check_parent};
use super::item::item;
use super::manifest::{self, Document, FileStatus, Manifest};
use super::selection::Selection;
use super::{ExportError, FileConflict};
use crate::capture::replace::replace;
use crate::client::Client;
use crate::export::{Format, Item};
use crate::model::{ArticleName, RevisionNumber};
use crate::wire::pb;

/// Articles that are read and written as one group.
const GROUP_MAX: usize = 50;
/// Files written concurrently; each write waits for the disk.
const CONCURRENT_WRITES: usize = 8;

/// Reads the document of the one selected article; of the revision in force if no number is given.
pub async fn document(
    client: &Client,
    selection: &Selection,
    format: Format,
    number: Option<RevisionNumber>,
) -> Result<String, ExportError> {
    let listed = client.archive.clone().list_articles(selection.list(pb::ArticleView::Basic)).await?.into_inner();
    let mut article = listed.articles.into_iter().next().ok_or(ExportError::NotSelected)?;
    selection.leave_foreign_urls(client, &mut article).await?;
    let in_force = article.revision.as_ref().map_or(0, |revision| revision.number);
    let number = number.map_or(in_force, RevisionNumber::get);
    let revision = selection.revision(client, &article.name, number).await?;
    Ok(format.write(&item(&article, revision, selection.at)?))
}

/// Reads what a document of a revision is written from.
pub(super) async fn item_of(
    client: &Client,
    selection: &Selection,
    article: &str,
    number: u32,
) -> Result<Item, ExportError> {
    let request = pb::GetArticleRequest {
        name: article.to_owned(),
        as_of: selection.as_of(),
        view: pb::ArticleView::Basic.into(),
        ..pb::GetArticleRequest::default()
    };
    let mut article = client.archive.clone().get_article(request).await?.into_inner().article.unwrap_or_default();
    selection.leave_foreign_urls(client, &mut article).await?;
    let revision = selection.revision(client, &article.name, number).await?;
    item(&article, revision, selection.at)
}

/// Writes a document to a file, and replaces an existing one. Its directory must exist. Durable when it returns.
pub fn write_document(path: &Path, document: &str) -> Result<(), ExportError> {
    replace(path, document.as_bytes()).map_err(ExportError::writing(path))
}

/// How documents are written to a directory.
#[derive(Clone, Copy, Debug)]
pub struct DocumentsOptions {
    /// The format of the documents.
    pub format: Format,
    /// Whether files that are not from an export are overwritten.
    pub overwrite: bool,
    /// Whether nothing is written.
    pub dry_run: bool,
}

/// What happened to one document.
#[derive(Debug)]
pub enum DocumentEvent<'a> {
    /// It was written, or would be.
    Written {
        /// The resource name of the article.
        article: &'a str,
        /// The path within the directory.
        file: &'a str,
        /// The size in bytes; 0 if nothing is written.
        bytes: usize,
    },
    /// It is up to date.
    Unchanged,
    /// It could not be written.
    Failed {
        /// The resource name of the article.
        article: &'a str,
        /// Why.
        error: ExportError,
    },
}

/// Receives the events of an export. [`ControlFlow::Break`] ends it before the next group of articles.
pub(super) type Report<'a> = dyn FnMut(DocumentEvent<'_>) -> ControlFlow<()> + Send + 'a;

/// An export of many documents to one directory.
pub struct DocumentsExport<'a> {
    client: &'a Client,
    selection: &'a Selection,
    options: DocumentsOptions,
    folder: Arc<Folder>,
    manifest: Manifest,
    /// One file in each subdirectory that was written to, by the name of the subdirectory, so that it can be synced.
    written: BTreeMap<String, String>,
}

/// An article whose document is to be written to `file`.
struct Outdated {
    article: pb::Article,
    file: String,
    /// The digest of what the document is written from.
    input_digest: String,
}

impl<'a> DocumentsExport<'a> {
    /// Opens the directory, and creates it unless nothing is to be written. The one that contains it must exist.
    pub fn open(
        client: &'a Client,
        selection: &'a Selection,
        options: DocumentsOptions,
        folder: &Path,
    ) -> Result<Self, ExportError> {
        check_parent(folder)?;
        if !options.dry_run {
            create_folder(folder).map_err(ExportError::writing(folder))?;
        }
        let folder = Arc::new(Folder::open(folder).map_err(ExportError::reading(folder))?);
        let manifest = Manifest::of(Arc::clone(&folder)).map_err(ExportError::reading(&folder.path(manifest::NAME)))?;
        Ok(Self { client, selection, options, folder, manifest, written: BTreeMap::new() })
    }

    /// The directory.
    pub fn folder(&self) -> PathBuf {
        self.folder.path("")
    }

    /// Writes every document that is missing or out of date, until `stopping` is cancelled. Documents that cannot be
    /// written are reported as [`DocumentEvent::Failed`]. What was written is durable when this returns.
    ///
    /// To stop it, cancel `stopping`. If the caller stops waiting instead, the last documents may not be durable.
    pub async fn run(&mut self, stopping: &CancellationToken, report: &mut Report<'_>) -> Result<(), ExportError> {
        let result = self.write_all(stopping, report).await;
        let synced = self.written.values().try_for_each(|file| self.folder.sync(file));
        synced.map_err(ExportError::writing(&self.folder.path("")))?;
        result
    }

    async fn write_all(&mut self, stopping: &CancellationToken, report: &mut Report<'_>) -> Result<(), ExportError> {
        let mut request = self.selection.list(pb::ArticleView::Basic);
        loop {
            let mut archive = self.client.archive.clone();
            let page = tokio::select! {
                biased;
                () = stopping.cancelled() => return Ok(()),
                page = archive.list_articles(request.clone()) => page?.into_inner(),
            };
            if self.write_page(page.articles, stopping, report).await?.is_break() || page.next_page_token.is_empty() {
                return Ok(());
            }
            request.page_token = page.next_page_token;
        }
    }

    async fn write_page(
        &mut self,
        articles: Vec<pb::Article>,
        stopping: &CancellationToken,
        report: &mut Report<'_>,
    ) -> Result<ControlFlow<()>, ExportError> {
        let mut outdated = Vec::new();
        for article in articles {
            if stopping.is_cancelled() {
                return Ok(ControlFlow::Break(()));
            }
            let name = article.name.clone();
            let reported = match self.check(article) {
                Ok(Some(article)) => {
                    outdated.push(article);
                    ControlFlow::Continue(())
                }
                Ok(None) => report(DocumentEvent::Unchanged),
                Err(error) => report(DocumentEvent::Failed { article: &name, error }),
            };
            if reported.is_break() {
                return Ok(reported);
            }
        }
        let mut outdated = outdated.into_iter();
        loop {
            let group: Vec<Outdated> = outdated.by_ref().take(GROUP_MAX).collect();
            if group.is_empty() {
                return Ok(ControlFlow::Continue(()));
            }
            if stopping.is_cancelled() || self.write_group(group, report).await?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }

    /// The article, if its document needs to be written.
    fn check(&mut self, article: pb::Article) -> Result<Option<Outdated>, ExportError> {
        let name = ArticleName::parse(&article.name)
            .map_err(|error| ExportError::Invalid { article: article.name.clone(), problem: error.to_string() })?;
        let format = self.options.format;
        let (file, input_digest) = (self.manifest.path_of(&name, format), manifest::input_digest(&article, format));
        let path = self.folder.path(&file);
        match self.manifest.status(&file, &input_digest).map_err(ExportError::reading(&path))? {
            FileStatus::Complete => Ok(None),
            FileStatus::Foreign if !self.options.overwrite => Err(FileConflict::Foreign(path).into()),
            FileStatus::Free | FileStatus::Foreign => Ok(Some(Outdated { article, file, input_digest })),
        }
    }

    /// Reads a group of articles and writes their documents.
    async fn write_group(
        &mut self,
        group: Vec<Outdated>,
        report: &mut Report<'_>,
    ) -> Result<ControlFlow<()>, ExportError> {
        if self.options.dry_run {
            return Ok(group.iter().try_for_each(|Outdated { article, file, .. }| {
                report(DocumentEvent::Written { article: &article.name, file, bytes: 0 })
            }));
        }
        let mut reported = ControlFlow::Continue(());
        let (mut names, mut documents) = (Vec::new(), Vec::new());
        let (articles, at) = (self.read(&group).await?, self.selection.at);
        for (outdated, article) in group.into_iter().zip(articles) {
            match article.and_then(|(article, revision)| item(&article, revision, at)) {
                Ok(item) => {
                    names.push(outdated.article.name);
                    let text = self.options.format.write(&item);
                    documents.push(Document { file: outdated.file, input_digest: outdated.input_digest, text });
                }
                Err(error) => {
                    let event = DocumentEvent::Failed { article: &outdated.article.name, error };
                    reported = both(reported, report(event));
                }
            }
        }
        let path = self.manifest.path();
        self.manifest.record(&documents).map_err(ExportError::writing(&path))?;
        self.written.entry(String::new()).or_insert_with(|| manifest::NAME.to_owned());
        let writes = stream::iter(names.into_iter().zip(documents)).map(|(name, document)| {
            let folder = Arc::clone(&self.folder);
            tokio::task::spawn_blocking(move || {
                let Document { file, text, .. } = document;
                let written = folder.replace(&file, text.as_bytes());
                let written = written.map_err(ExportError::writing(&folder.path(&file)));
                (name, file, written.map(|()| text.len()))
            })
        });
        let mut writes = writes.buffer_unordered(CONCURRENT_WRITES);
        while let Some(written) = writes.next().await {
            let (name, file, written) = written?;
            let event = match written {
                Ok(bytes) => {
                    let (source, _) = file.rsplit_once('/').unwrap_or_default();
                    self.written.entry(source.to_owned()).or_insert_with(|| file.clone());
                    DocumentEvent::Written { article: &name, file: &file, bytes }
                }
                Err(error) => DocumentEvent::Failed { article: &name, error },
            };
            reported = both(reported, report(event));
        }
        Ok(reported)
    }

    /// Reads the revision in force of each article, or why that failed.
    async fn read(
        &self,
        group: &[Outdated],
    ) -> Result<Vec<Result<(pb::Article, pb::Revision), ExportError>>, ExportError> {
        let reads = group.iter().map(|outdated| async {
            let number = outdated.article.revision.as_ref().map_or(0, |revision| revision.number);
            let revision = self.selection.revision(self.client, &outdated.article.name, number).await?;
            let mut article = outdated.article.clone();
            self.selection.leave_foreign_urls(self.client, &mut article).await?;
            Ok((article, revision))
        });
        let mut reads: Vec<Result<_, ExportError>> = stream::iter(reads).buffered(CONCURRENT_WRITES).collect().await;
        // An unreachable server fails all reads, and is reported once.
        if let Some(failed) = reads.iter().position(|read| read.as_ref().err().is_some_and(is_unreachable))
            && let Err(error) = reads.swap_remove(failed)
        {
            return Err(error);
        }
        Ok(reads)
    }
}

/// Creates a directory unless it exists.
fn create_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(_) if path.is_dir() => Ok(()),
        created => created,
    }
}

/// Whether an error says that the archive cannot be reached, so that other reads fail as well.
fn is_unreachable(error: &ExportError) -> bool {
    let ExportError::Server(error) = error else { return false };
    error.is_of_transport() || matches!(error.code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled)
}

/// Breaks if either of the two does.
fn both(first: ControlFlow<()>, second: ControlFlow<()>) -> ControlFlow<()> {
    if first.is_break() { first } else { second }
}
