//! Reads the whole history of the selected articles from the change feed, in log order.

use tokio::task::JoinHandle;
use tonic::{Response, Status};

use super::at_cut;
use super::page::Page;
use super::partial_file::State;
use super::selection::{Chosen, Selection};
use crate::cli::connect::Session;
use crate::cli::exit::{Exit, Failure};
use crate::cli::instant;
use crate::wire::pb;
use crate::wire::pb::replay_request::Request;

/// Changes per page. With originals, a page must fit into memory together with them.
const PAGE_SIZE: i32 = 1_000;
const PAGE_SIZE_WITH_ORIGINALS: i32 = 8;

/// The whole history of the selected articles, page by page.
pub(super) struct History<'a> {
    session: &'a Session,
    selection: &'a Selection,
    chosen: Option<Chosen>,
    originals: bool,
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
        session: &'a Session,
        selection: &'a Selection,
        originals: bool,
        state: &State,
    ) -> Result<Self, Failure> {
        let chosen = selection.chosen(session).await?;
        let next = fetch(session, selection, originals, state.page_token.clone());
        Ok(Self { session, selection, chosen, originals, next })
    }

    /// The next page, up to the snapshot.
    pub(super) async fn page(&mut self) -> Result<Page, Failure> {
        let ended = |error| Failure::new(Exit::Failed, format!("reading the archive failed: {error}"));
        let fetched = (&mut self.next.0).await.map_err(ended)??.into_inner();
        let (end, token) = (self.selection.cut.next_seq, fetched.next_page_token);
        let is_last = fetched.next_seq >= end;
        if !is_last {
            self.next = fetch(self.session, self.selection, self.originals, token.clone());
        }
        let done = fetched.next_seq.min(end);
        let mut page = Page { lines: Vec::new(), count: 0, token, done, is_last };
        for change in fetched.changes.into_iter().filter(|change| change.seq < end) {
            if self.is_wanted(&change) {
                let request = self.request(change).await?;
                page.add(&request);
            }
        }
        Ok(page)
    }

    fn is_wanted(&self, change: &pb::Change) -> bool {
        let is_seen = match (self.selection.at, instant(change.observe_time.as_ref())) {
            (Some(at), Some(observed)) => observed <= at,
            (Some(_) | None, _) => true,
        };
        is_seen && self.chosen.as_ref().is_none_or(|chosen| chosen.contains(&change.article))
    }

    async fn request(&self, change: pb::Change) -> Result<pb::ReplayRequest, Failure> {
        let missing = || Failure::new(Exit::Failed, "the server sent no request with a change; check its version");
        let article = change.article;
        let mut made = change.request.ok_or_else(missing)?;
        let number = made.recorded.as_ref().map_or(0, |recorded| recorded.revision_number);
        made.request = match made.request.take() {
            Some(Request::Publish(mut publish)) => {
                publish.original = self.original(&article, number, publish.original.take()).await?;
                Some(Request::Publish(publish))
            }
            // Later observations are left out, so revisions may have other numbers where this is imported.
            Some(Request::Rollback(rollback)) if self.selection.at.is_some() => {
                Some(Request::Publish(self.observation(rollback).await?))
            }
            request => request,
        };
        Ok(made)
    }

    /// The bytes of a kept original, if originals are exported.
    async fn original(
        &self,
        article: &str,
        number: u32,
        kept: Option<pb::Original>,
    ) -> Result<Option<pb::Original>, Failure> {
        if kept.is_none() || !self.originals {
            return Ok(None);
        }
        let name = format!("{article}/revisions/{number}");
        let revision = at_cut(self.session, name, None, true).await?;
        Ok(revision.original.map(|original| pb::Original { sha256: Vec::new(), size_bytes: 0, ..original }))
    }

    /// The request to record the content that a rollback restored, as an observation.
    async fn observation(&self, rollback: pb::RollbackArticleRequest) -> Result<pb::RecordObservationRequest, Failure> {
        let (parent, article) = rollback.name.split_once("/articles/").unwrap_or_default();
        let name = format!("{}/revisions/{}", rollback.name, rollback.revision_number);
        let revision = at_cut(self.session, name, None, false).await?;
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

fn fetch(session: &Session, selection: &Selection, originals: bool, page_token: String) -> Fetching {
    use pb::feed_start::Position;
    let request = pb::ListChangesRequest {
        start: Some(pb::FeedStart { position: Some(Position::Beginning(true)) }),
        filter: Some(selection.names()),
        kinds: KINDS.map(i32::from).to_vec(),
        view: pb::FeedView::Request.into(),
        page_size: if originals { PAGE_SIZE_WITH_ORIGINALS } else { PAGE_SIZE },
        page_token,
        wait: None,
    };
    let mut feed = session.feed();
    Fetching(tokio::spawn(async move { feed.list_changes(request).await }))
}

/// All kinds of change.
const KINDS: [pb::ChangeKind; 7] = [
    pb::ChangeKind::Created,
    pb::ChangeKind::Revised,
    pb::ChangeKind::Sighted,
    pb::ChangeKind::Withdrawn,
    pb::ChangeKind::Reinstated,
    pb::ChangeKind::RolledBack,
    pb::ChangeKind::Aliased,
];
