//! Reads the whole history of the selected articles as requests, in log order.

use super::ExportError;
use super::changes::Changes;
use super::item::{OriginalBytes, revision_at};
use super::options::LinesOptions;
use super::page::Page;
use super::partial_file::ExportState;
use super::selection::Selection;
use crate::client::Client;
use crate::wire::pb;
use crate::wire::pb::replay_request::Request;

/// Changes per page. With originals, a page must fit into memory together with them.
const PAGE_SIZE: i32 = 1_000;
const PAGE_SIZE_WITH_ORIGINALS: i32 = 8;

/// The whole history of the selected articles, page by page.
pub(super) struct History<'a> {
    client: &'a Client,
    selection: &'a Selection,
    options: LinesOptions,
    changes: Changes<'a>,
}

impl<'a> History<'a> {
    pub(super) async fn new(
        client: &'a Client,
        selection: &'a Selection,
        options: LinesOptions,
        state: &ExportState,
    ) -> Result<Self, ExportError> {
        let page_size = if options.originals { PAGE_SIZE_WITH_ORIGINALS } else { PAGE_SIZE };
        let changes = Changes::new(client, selection, page_size, state.page_token.clone()).await?;
        Ok(Self { client, selection, options, changes })
    }

    /// The next page, up to the snapshot.
    pub(super) async fn page(&mut self) -> Result<Page, ExportError> {
        let read = self.changes.page().await?;
        let mut page = Page { lines: Vec::new(), count: 0, token: read.token, done: read.done, is_last: read.is_last };
        for change in read.changes {
            page.add(&self.request(change).await?);
        }
        Ok(page)
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
