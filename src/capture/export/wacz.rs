//! Exports a WACZ: the originals of the selected articles as web archives have them, to open in any reader of these.
//!
//! The captures come from the change feed, in log order, or with [`WaczOptions::newest`] from the list of articles. Memory
//! is bounded by a page of these and one original. The records are made by [`crate::export::wacz`].
//!
//! A ZIP file is complete only with its directory at the end, so an interrupted export is not continued but repeated.

use std::fs::File;
use std::io::{self, BufWriter, IntoInnerError};
use std::path::{Path, PathBuf};

use super::ExportError;
use super::changes::Changes;
use super::documents::item_of;
use super::item::urls_at;
use super::partial_file::PartialFile;
use super::selection::Selection;
use crate::capture::{article_of_revision, originals};
use crate::client::{Client, as_of_snapshot};
use crate::export::Format;
pub use crate::export::wacz::Contents;
use crate::export::wacz::{Observation, Origin, Page, PageSource, Seen, SeenOriginal, Writer};
use crate::model::Timestamp;
use crate::wire::pb::replay_request::Request;
use crate::wire::{instant, pb};

/// Changes or articles per page.
const PAGE_SIZE: i32 = 100;

/// What a WACZ has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaczOptions {
    /// Whether only what is in force is exported, instead of the whole history.
    pub newest: bool,
}

/// Creates a temporary file, without a name, next to the target.
type NewFile = Box<dyn Fn() -> io::Result<File> + Send>;

/// An export of a WACZ to a file. Unless it is [completed](Self::complete), nothing of it is left.
pub struct WaczExport<'a> {
    client: &'a Client,
    selection: &'a Selection,
    source: Source<'a>,
    total: u64,
    done: u64,
    path: PathBuf,
    /// `None` once it is complete.
    file: Option<PartialFile>,
    /// `None` once it is complete.
    writer: Option<Writer<BufWriter<File>, NewFile>>,
}

enum Source<'a> {
    History(Box<Changes<'a>>),
    Newest(Box<pb::ListArticlesRequest>),
}

/// A complete export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaczDone {
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it contains.
    pub contents: Contents,
}

impl<'a> WaczExport<'a> {
    /// Begins an export. If the caller stops waiting before this returns, no file has been touched.
    pub async fn begin(
        client: &'a Client,
        selection: &'a Selection,
        options: WaczOptions,
        mut file: PartialFile,
    ) -> Result<Self, ExportError> {
        let (source, total) = if options.newest {
            let mut request = selection.list(pb::ArticleView::Basic);
            request.page_size = PAGE_SIZE;
            (Source::Newest(Box::new(request)), selection.count(client).await?)
        } else {
            let changes = Changes::new(client, selection, PAGE_SIZE, String::new()).await?;
            (Source::History(Box::new(changes)), selection.snapshot.next_seq)
        };
        let status = client.admin.clone().get_status(pb::GetStatusRequest {}).await?.into_inner();
        let origin = Origin {
            archive_id: status.archive_id,
            next_seq: selection.snapshot.next_seq,
            log_digest: selection.snapshot.log_digest.clone(),
            archive_time: instant(selection.snapshot.archive_time.as_ref()).unwrap_or(Timestamp::MIN),
        };
        file.open(0)?;
        let path = file.target().to_owned();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        let new_file: NewFile = Box::new(move || tempfile::tempfile_in(&folder));
        let begin = || Writer::new(BufWriter::new(file.opened()?), origin, new_file);
        let writer = begin().map_err(ExportError::writing(&path));
        let mut export = Self { client, selection, source, total, done: 0, path, file: Some(file), writer: None };
        export.writer = Some(writer?);
        Ok(export)
    }

    /// The number of changes in the snapshot or, with [`WaczOptions::newest`], of selected articles.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many of them are done.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Writes the next page of captures. Returns whether there are more.
    ///
    /// If the caller stops waiting, the export can only be dropped.
    pub async fn write_page(&mut self) -> Result<bool, ExportError> {
        match &mut self.source {
            Source::History(changes) => {
                let page = changes.page().await?;
                for change in &page.changes {
                    self.add_change(change).await?;
                }
                self.done = page.done;
                Ok(!page.is_last)
            }
            Source::Newest(request) => {
                let listed = self.client.archive.clone().list_articles((**request).clone()).await?.into_inner();
                request.page_token.clone_from(&listed.next_page_token);
                for article in &listed.articles {
                    if let Some(revision) = &article.revision {
                        self.add_revision(revision).await?;
                    }
                }
                self.done += listed.articles.len() as u64;
                Ok(!listed.next_page_token.is_empty())
            }
        }
    }

    /// Writes what follows the records, and gives the file its name. Durable when it returns.
    pub fn complete(mut self) -> Result<WaczDone, ExportError> {
        let (Some(writer), Some(file)) = (self.writer.take(), self.file.take()) else {
            return Err(self.failed(io::Error::other("it is complete already")));
        };
        let finish = || {
            let (buffer, contents) = writer.finish()?;
            let written = buffer.into_inner().map_err(IntoInnerError::into_error)?;
            written.sync_data()?;
            Ok((written.metadata()?.len(), contents))
        };
        let done = finish().map_err(ExportError::writing(&self.path)).and_then(|(bytes, contents)| {
            let path = file.complete()?;
            Ok(WaczDone { path, bytes, contents })
        });
        if done.is_err() {
            file.discard();
        }
        done
    }

    /// Adds what a change recorded, if it is an observation. The request says so: an observation of a known content that
    /// also adds a URL or a label is a change of another kind, and carries the newest revision.
    async fn add_change(&mut self, change: &pb::Change) -> Result<(), ExportError> {
        let Some(pb::ReplayRequest { request, recorded: Some(recorded) }) = &change.request else { return Ok(()) };
        let is_observation = match request {
            // A request that only adds URLs to an observation recorded before would be coalesced with it.
            Some(Request::Record(record)) => record.coalesce_within.is_none(),
            Some(Request::Rollback(_)) => true,
            Some(
                Request::Withdraw(_)
                | Request::Reinstate(_)
                | Request::Label(_)
                | Request::RecordAbsence(_)
                | Request::MoveUrl(_)
                | Request::Expunge(_),
            )
            | None => false,
        };
        let Some(newest) = change.revision.as_ref().filter(|_| is_observation) else { return Ok(()) };
        if matches!(change.kind(), pb::ChangeKind::Created | pb::ChangeKind::Revised | pb::ChangeKind::RolledBack) {
            return self.add_revision(newest).await;
        }
        if newest.number == recorded.revision_number {
            return self.add_sighting(change, newest).await;
        }
        let revision = self.selection.revision(self.client, &change.article, recorded.revision_number).await?;
        self.add_sighting(change, &revision).await
    }

    async fn add_revision(&mut self, revision: &pb::Revision) -> Result<(), ExportError> {
        if self.leave_out_if_expunged(revision)? {
            return Ok(());
        }
        let created = (revision.observe_time.as_ref(), revision.archive_time.as_ref());
        let observation = observation(revision, revision.seq, created, revision.fetch.as_ref())?;
        let title = revision.content.as_ref().map_or("", |content| content.headline.as_str());
        let Some(original) = &revision.original else {
            let html = self.generated_page(revision).await?;
            let page = Page { title, data: html.as_bytes(), source: PageSource::Generated };
            return self.writing(|writer| writer.capture(&observation, &page));
        };
        let url = self.url(revision).await?;
        let mut data = Vec::new();
        let as_of = as_of_snapshot(Some(&self.selection.snapshot), None);
        originals::read(self.client, revision.name.clone(), as_of, |piece| {
            data.extend_from_slice(&piece);
            Ok::<_, ExportError>(())
        })
        .await?;
        let source = PageSource::Original { url: url.as_deref(), media_type: &original.media_type };
        let page = Page { title, data: &data, source };
        self.writing(|writer| writer.capture(&observation, &page))
    }

    async fn add_sighting(&mut self, change: &pb::Change, revision: &pb::Revision) -> Result<(), ExportError> {
        // The observation that created the revision came again, with another request id.
        if change.observe_time == revision.observe_time {
            return Ok(());
        }
        if self.leave_out_if_expunged(revision)? {
            return Ok(());
        }
        let times = (change.observe_time.as_ref(), change.archive_time.as_ref());
        let observation = observation(revision, change.seq, times, change.fetch.as_ref())?;
        let url = match &revision.original {
            Some(_) => self.url(revision).await?,
            None => None,
        };
        let seen_at = change.fetch.as_ref().map(|fetch| fetch.url.as_str()).or(url.as_deref());
        let original =
            revision.original.as_ref().map(|kept| SeenOriginal { url: url.as_deref(), sha256: &kept.sha256, seen_at });
        let observe_time = instant(revision.observe_time.as_ref()).ok_or_else(|| without_times(&revision.name))?;
        let seen = Seen { seq: revision.seq, observe_time, original };
        self.writing(|writer| writer.sighting(&observation, &seen))
    }

    fn leave_out_if_expunged(&mut self, revision: &pb::Revision) -> Result<bool, ExportError> {
        if revision.expunged.is_some() {
            self.writing(|writer| {
                writer.leave_out_expunged();
                Ok(())
            })?;
        }
        Ok(revision.expunged.is_some())
    }

    /// The page that is written from the text of a revision.
    async fn generated_page(&self, revision: &pb::Revision) -> Result<String, ExportError> {
        let article = article_of_revision(&revision.name);
        Ok(Format::Html.write(&item_of(self.client, self.selection, article, revision.number).await?))
    }

    /// The URL at which the original of a revision was found; if that was not recorded, the one that the page declares,
    /// or the first that led to the article.
    async fn url(&self, revision: &pb::Revision) -> Result<Option<String>, ExportError> {
        if let Some(fetch) = &revision.fetch {
            return Ok(Some(fetch.url.clone()));
        }
        let canonical = revision.content.as_ref().map(|content| &content.canonical_url);
        if let Some(canonical) = canonical.filter(|url| !url.is_empty()) {
            return Ok(Some(canonical.clone()));
        }
        let at = instant(revision.observe_time.as_ref());
        let request = pb::GetArticleRequest {
            name: article_of_revision(&revision.name).to_owned(),
            as_of: as_of_snapshot(Some(&self.selection.snapshot), at),
            view: pb::ArticleView::Basic.into(),
            ..pb::GetArticleRequest::default()
        };
        let article = self.client.archive.clone().get_article(request).await?.into_inner().article;
        Ok(article.and_then(|article| urls_at(&article, at).into_iter().next()))
    }

    fn writing(
        &mut self,
        write: impl FnOnce(&mut Writer<BufWriter<File>, NewFile>) -> io::Result<()>,
    ) -> Result<(), ExportError> {
        let written = self.writer.as_mut().map_or(Ok(()), write);
        written.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> ExportError {
        ExportError::writing(&self.path)(error)
    }
}

impl Drop for WaczExport<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            file.discard();
        }
    }
}

/// An observation of a revision, by the change at `seq`. `times` are its observe time and its archive time.
fn observation<'r>(
    revision: &'r pb::Revision,
    seq: u64,
    times: (Option<&prost_types::Timestamp>, Option<&prost_types::Timestamp>),
    fetch: Option<&'r pb::Fetch>,
) -> Result<Observation<'r>, ExportError> {
    let time = |time| instant(time).ok_or_else(|| without_times(&revision.name));
    Ok(Observation {
        revision: &revision.name,
        seq,
        observe_time: time(times.0)?,
        archive_time: time(times.1)?,
        content_digest: &revision.content_digest,
        etag: fetch.map_or("", |fetch| &fetch.etag),
        last_modified: fetch.map_or("", |fetch| &fetch.last_modified),
    })
}

fn without_times(revision: &str) -> ExportError {
    let problem = "the server returned a revision without its times".to_owned();
    ExportError::Invalid { article: article_of_revision(revision).to_owned(), problem }
}
