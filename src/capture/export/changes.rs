//! Reads the changes of the selected articles from the change feed, in log order.

use std::collections::HashSet;

use tokio::task::JoinHandle;
use tonic::{Code, Response, Status};

use super::ExportError;
use super::selection::{SelectedArticles, Selection};
use crate::client::Client;
use crate::wire::pb::replay_request::Request;
use crate::wire::{instant, pb, timestamp_to_pb};

/// The changes of the selected articles, page by page.
pub(super) struct Changes<'a> {
    client: &'a Client,
    selection: &'a Selection,
    /// `None` if names and sources alone select the articles.
    selected: Option<SelectedArticles>,
    /// Changes per page.
    page_size: i32,
    /// The articles of which the current atomic batch has had a change.
    in_batch: HashSet<String>,
    next: Fetching,
}

/// A page of changes, each with the request that reproduces it.
pub(super) struct ChangesPage {
    pub(super) changes: Vec<pb::Change>,
    /// Where to continue after them.
    pub(super) token: String,
    /// The position after the last change that was read.
    pub(super) done: u64,
    pub(super) is_last: bool,
}

/// The next page, which is fetched while the previous one is written.
struct Fetching(JoinHandle<Result<Response<pb::ListChangesResponse>, Status>>);

impl Drop for Fetching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<'a> Changes<'a> {
    /// Begins at `page_token`, or with the first change if it is empty.
    pub(super) async fn new(
        client: &'a Client,
        selection: &'a Selection,
        page_size: i32,
        page_token: String,
    ) -> Result<Self, ExportError> {
        let selected = selection.articles(client).await?;
        let next = fetch(client, selection, page_size, page_token);
        Ok(Self { client, selection, selected, page_size, in_batch: HashSet::new(), next })
    }

    /// The next page, up to the snapshot.
    pub(super) async fn page(&mut self) -> Result<ChangesPage, ExportError> {
        let fetched = (&mut self.next.0).await??.into_inner();
        let (end, token) = (self.selection.snapshot.next_seq, fetched.resume_token);
        let is_last = fetched.next_seq >= end;
        if !is_last {
            self.next = fetch(self.client, self.selection, self.page_size, token.clone());
        }
        let mut changes = Vec::new();
        for change in fetched.changes.into_iter().filter(|change| change.seq < end) {
            let batch_end = change.batch_end;
            if let Some(change) = self.seen(change)
                && self.has_article(&change).await?
            {
                self.in_batch.insert(change.article.clone());
                changes.push(change);
            }
            if batch_end {
                self.in_batch.clear();
            }
        }
        Ok(ChangesPage { changes, token, done: fetched.next_seq.min(end), is_last })
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

    /// Whether the changes before a change of labels create its article. If later observations are left out, they may
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
}

fn fetch(client: &Client, selection: &Selection, page_size: i32, page_token: String) -> Fetching {
    use pb::feed_start::Position;
    let request = pb::ListChangesRequest {
        start: Some(pb::FeedStart { position: Some(Position::Beginning(true)) }),
        filter: Some(selection.names()),
        kinds: KINDS.map(i32::from).to_vec(),
        view: pb::FeedView::Request.into(),
        page_size,
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
