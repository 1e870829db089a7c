//! Reads what is in force of the selected articles, ordered by name and without their history.

use super::ExportError;
use super::item::{OriginalBytes, revision_at, urls_at};
use super::options::LinesOptions;
use super::page::Page;
use super::partial_file::ExportState;
use super::selection::Selection;
use crate::client::Client;
use crate::wire::pb::replay_request::Request;
use crate::wire::{DURATION_MAX, pb};

/// Articles per page, with their text. With originals, a page must fit into memory together with them.
const PAGE_SIZE: i32 = 100;
const PAGE_SIZE_WITH_ORIGINALS: i32 = 8;
/// The most URLs in one request.
const URLS_MAX: usize = 16;

/// What is in force of the selected articles, page by page.
pub(super) struct Newest<'a> {
    client: &'a Client,
    selection: &'a Selection,
    options: LinesOptions,
    request: pb::ListArticlesRequest,
    done: u64,
}

impl<'a> Newest<'a> {
    pub(super) fn new(
        client: &'a Client,
        selection: &'a Selection,
        options: LinesOptions,
        state: &ExportState,
    ) -> Self {
        let mut request = selection.list(pb::ArticleView::Full);
        request.page_size = if options.originals { PAGE_SIZE_WITH_ORIGINALS } else { PAGE_SIZE };
        request.page_token.clone_from(&state.page_token);
        Self { client, selection, options, request, done: state.done }
    }

    /// The next page, in order of the articles' names.
    pub(super) async fn page(&mut self) -> Result<Page, ExportError> {
        let listed = self.client.archive.clone().list_articles(self.request.clone()).await?.into_inner();
        self.done += listed.articles.len() as u64;
        let (token, is_last) = (listed.next_page_token.clone(), listed.next_page_token.is_empty());
        let mut page = Page { lines: Vec::new(), count: 0, token, done: self.done, is_last };
        for mut article in listed.articles {
            self.selection.leave_foreign_urls(self.client, &mut article).await?;
            self.add(article, &mut page).await?;
        }
        self.request.page_token = listed.next_page_token;
        Ok(page)
    }

    async fn add(&self, article: pb::Article, page: &mut Page) -> Result<(), ExportError> {
        let mut revision = article.revision.clone().unwrap_or_default();
        let is_withdrawn = article.state() == pb::ArticleState::Withdrawn;
        let has_original = self.options.originals && revision.original.is_some();
        if is_withdrawn || has_original {
            let original = if has_original { OriginalBytes::Include } else { OriginalBytes::Omit };
            revision = revision_at(self.client, revision.name, self.selection.as_of(), original).await?;
        }
        let original = revision.original.take().filter(|_| has_original);
        let original = original.map(|original| pb::Original { sha256: Vec::new(), size_bytes: 0, ..original });
        let (parent, id) = article.name.split_once("/articles/").unwrap_or_default();
        let canonical = revision.content.as_ref().map_or("", |content| content.canonical_url.as_str());
        let mut urls = urls_at(&article, self.selection.at);
        urls.retain(|url| url != canonical);
        let further = urls.split_off(urls.len().min(URLS_MAX));
        let observation = pb::RecordObservationRequest {
            parent: parent.to_owned(),
            article_id: id.to_owned(),
            content: revision.content,
            observe_time: article.valid_from,
            urls,
            original,
            fetch: revision.fetch,
            labels: article.labels.clone(),
            ..pb::RecordObservationRequest::default()
        };
        let recorded =
            pb::RecordedAs { seq: revision.seq, archive_time: revision.archive_time, revision_number: revision.number };
        let mut add = |request| page.add(&pb::ReplayRequest { request: Some(request), recorded: Some(recorded) });
        add(Request::Record(observation.clone()));
        for urls in further.chunks(URLS_MAX) {
            // The same observation again, only to add URLs.
            let again = pb::RecordObservationRequest {
                urls: urls.to_vec(),
                original: None,
                fetch: None,
                labels: Vec::new(),
                coalesce_within: Some(DURATION_MAX),
                ..observation.clone()
            };
            add(Request::Record(again));
        }
        let state = match article.state() {
            pb::ArticleState::Withdrawn => Some(Request::Withdraw(withdrawal(article))),
            pb::ArticleState::Gone => Some(Request::RecordAbsence(absence(article))),
            pb::ArticleState::Live | pb::ArticleState::Unspecified => None,
        };
        if state.is_some() {
            page.add(&pb::ReplayRequest { request: state, recorded: None });
        }
        Ok(())
    }
}

/// One absence that makes the article gone, from the time on from which it is gone.
fn absence(article: pb::Article) -> pb::RecordAbsenceRequest {
    let absence = article.absence.unwrap_or_default();
    pb::RecordAbsenceRequest {
        target: Some(pb::record_absence_request::Target::Name(article.name)),
        observe_time: absence.first_missed_time,
        reason: absence.reason,
        http_status: absence.http_status,
        gone_after: 1,
        ..pb::RecordAbsenceRequest::default()
    }
}

/// The withdrawal, which must not be earlier than the one observation in the export.
fn withdrawal(article: pb::Article) -> pb::WithdrawArticleRequest {
    let key = |time: &prost_types::Timestamp| (time.seconds, time.nanos);
    let observe_time = article.state_time.into_iter().chain(article.valid_from).max_by_key(key);
    pb::WithdrawArticleRequest {
        name: article.name,
        observe_time,
        reason: article.state_reason,
        ..pb::WithdrawArticleRequest::default()
    }
}
