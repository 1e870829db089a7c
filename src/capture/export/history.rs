//! Reads the whole history of the selected articles from the change feed, in log order.

use std::collections::HashSet;

use tokio::task::JoinHandle;
use tonic::{Code, Response, Status};

use super::ExportError;
use super::item::{OriginalBytes, revision_at};
use super::options::LinesOptions;
use super::page::Page;
use super::partial_file::ExportState;
use super::selection::{SelectedArticles, Selection};
use crate::client::Client;
use crate::wire::pb::replay_request::Request;
use crate::wire::{instant, pb, timestamp_to_pb};

/// Changes per page. With originals, a page must fit into memory together with them.
const PAGE_SIZE: i32 = 1_000;
const PAGE_SIZE_WITH_ORIGINALS: i32 = 8;

/// The whole history of the selected articles, page by page.
pub(super) struct History<'a> {
    client: &'a Client,
    selection: &'a Selection,
    /// `None` if names and sources alone select the articles.
    selected: Option<SelectedArticles>,
    options: LinesOptions,
    /// The articles of which the current atomic batch has had a line.
    in_batch: HashSet<String>,
    next: Fetching,
}

/// The next page, which is fetched while the previous one is written.
struct Fetching(JoinHandle<Result<Response<pb::ListChangesResponse>, Status>>);

impl Drop for Fetching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<'a> History<'a> {
    pub(super) async fn new(
        client: &'a Client,
        selection: &'a Selection,
        options: LinesOptions,
        state: &ExportState,
    ) -> Result<Self, ExportError> {
        let selected = selection.articles(client).await?;
        let next = fetch(client, selection, options, state.page_token.clone());
        Ok(Self { client, selection, selected, options, in_batch: HashSet::new(), next })
    }

    /// The next page, up to the snapshot.
    pub(super) async fn page(&mut self) -> Result<Page, ExportError> {
        let fetched = (&mut self.next.0).await??.into_inner();
        let (end, token) = (self.selection.snapshot.next_seq, fetched.resume_token);
        let is_last = fetched.next_seq >= end;
        if !is_last {
            self.next = fetch(self.client, self.selection, self.options, token.clone());
        }
        let done = fetched.next_seq.min(end);
        let mut page = Page { lines: Vec::new(), count: 0, token, done, is_last };
        for change in fetched.changes.into_iter().filter(|change| change.seq < end) {
            let batch_end = change.batch_end;
            if let Some(change) = self.seen(change)
                && self.has_article(&change).await?
            {
                self.in_batch.insert(change.article.clone());
                let request = self.request(change).await?;
                page.add(&request);
            }
            if batch_end {
                self.in_batch.clear();
            }
        }
        Ok(page)
    }

    /// The change, if it is exported. Of one that was observed later than the time to read at, only its labels are,
    /// since these have no observe time.
    fn seen(&self, mut change: pb::Change) -> Option<pb::Change> {
        if self.selected.as_ref().is_some_and(|selected| !selected.contains(&change.article)) {
            return None;
        }
        let is_later = match (self.selection.at, instant(change.observe_time.as_ref())) {
            (Some(at), Some(observed)) => observed > at,
            (Some(_) | None, _) => false,
        };
        if !is_later {
            return Some(change);
        }
        if change.labels_added.is_empty() {
            return None;
        }
        let label = Request::Label(pb::LabelArticleRequest {
            name: change.article.clone(),
            add_labels: change.labels_added.clone(),
            ..pb::LabelArticleRequest::default()
        });
        change.request.as_mut()?.request = Some(label);
        Some(change)
    }

    /// Whether the lines before a change of labels create its article. If later observations are left out, they may
    /// not: labels have no observe time, and an article may have been labelled before its earliest observation was
    /// recorded.
    async fn has_article(&self, change: &pb::Change) -> Result<bool, ExportError> {
        let request = change.request.as_ref().and_then(|request| request.request.as_ref());
        let (Some(at), Some(Request::Label(_))) = (self.selection.at, request) else { return Ok(true) };
        // A read cannot know a part of an atomic batch.
        if self.in_batch.contains(&change.article) {
            return Ok(true);
        }
        let known_at = Some(pb::as_of::KnownAt::NextSeq(change.seq));
        let request = pb::GetArticleRequest {
            name: change.article.clone(),
            as_of: Some(pb::AsOf { observe_time: Some(timestamp_to_pb(at)), known_at, ..pb::AsOf::default() }),
            view: pb::ArticleView::Basic.into(),
            ..pb::GetArticleRequest::default()
        };
        match self.client.archive.clone().get_article(request).await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == Code::NotFound => Ok(false),
            Err(status) => Err(status.into()),
        }
    }

    async fn request(&self, change: pb::Change) -> Result<pb::ReplayRequest, ExportError> {
        let (article, labels) = (change.article, change.labels);
        let mut replay = change.request.ok_or(ExportError::NoRequest)?;
        let number = replay.recorded.as_ref().map_or(0, |recorded| recorded.revision_number);
        replay.request = match replay.request.take() {
            Some(Request::Record(mut record)) => {
                record.original = self.original(&article, number, record.original.take()).await?;
                Some(Request::Record(record))
            }
            // Later observations are left out, so revisions may have other numbers where this is imported.
            Some(Request::Rollback(rollback)) if self.selection.at.is_some() => {
                Some(Request::Record(self.observation(rollback).await?))
            }
            request => request,
        };
        // Changes of labels before the article's first line are left out, so an observation has all that it had.
        if self.selection.at.is_some()
            && let Some(Request::Record(record)) = &mut replay.request
            && record.labels != labels
        {
            record.labels = labels;
            // It is another request now, and may not have the id of the first.
            record.request_id.clear();
        }
        Ok(replay)
    }

    /// The bytes of a kept original, if originals are exported.
    async fn original(
        &self,
        article: &str,
        number: u32,
        kept: Option<pb::Original>,
    ) -> Result<Option<pb::Original>, ExportError> {
        if kept.is_none() || !self.options.originals {
            return Ok(None);
        }
        let name = format!("{article}/revisions/{number}");
        let revision = revision_at(self.client, name, None, OriginalBytes::Include).await?;
        Ok(revision.original.map(|original| pb::Original { sha256: Vec::new(), size_bytes: 0, ..original }))
    }

    /// The request to record the content that a rollback restored, as an observation.
    async fn observation(
        &self,
        rollback: pb::RollbackArticleRequest,
    ) -> Result<pb::RecordObservationRequest, ExportError> {
        let (parent, article) = rollback.name.split_once("/articles/").unwrap_or_default();
        let name = format!("{}/revisions/{}", rollback.name, rollback.revision_number);
        let revision = revision_at(self.client, name, None, OriginalBytes::Omit).await?;
        Ok(pb::RecordObservationRequest {
            parent: parent.to_owned(),
            article_id: article.to_owned(),
            content: revision.content,
            observe_time: rollback.observe_time,
            request_id: rollback.request_id,
            ..pb::RecordObservationRequest::default()
        })
    }
}

fn fetch(client: &Client, selection: &Selection, options: LinesOptions, page_token: String) -> Fetching {
    use pb::feed_start::Position;
    let request = pb::ListChangesRequest {
        start: Some(pb::FeedStart { position: Some(Position::Beginning(true)) }),
        filter: Some(selection.names()),
        kinds: KINDS.map(i32::from).to_vec(),
        view: pb::FeedView::Request.into(),
        page_size: if options.originals { PAGE_SIZE_WITH_ORIGINALS } else { PAGE_SIZE },
        resume_token: page_token,
        wait: None,
    };
    let mut feed = client.feed.clone();
    Fetching(tokio::spawn(async move { feed.list_changes(request).await }))
}

/// All kinds of change.
const KINDS: [pb::ChangeKind; 11] = [
    pb::ChangeKind::Created,
    pb::ChangeKind::Revised,
    pb::ChangeKind::Sighted,
    pb::ChangeKind::Withdrawn,
    pb::ChangeKind::Reinstated,
    pb::ChangeKind::RolledBack,
    pb::ChangeKind::Aliased,
    pb::ChangeKind::Labelled,
    pb::ChangeKind::Absent,
    pb::ChangeKind::UrlMoved,
    pb::ChangeKind::Expunged,
];
