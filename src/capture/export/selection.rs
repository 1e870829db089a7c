//! Selects which articles are exported, and as of when.

use std::collections::HashSet;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::ExportError;
use super::item::{OriginalBytes, later_urls, revision_at};
use super::partial_file::ExportState;
use crate::client::{Client, ServerError, as_of, as_of_snapshot};
use crate::model::Timestamp;
use crate::wire::json::to_json;
use crate::wire::pb;

/// The articles of an export, and the point at which they are read.
pub struct Selection {
    /// Which articles.
    pub filter: pb::ArticleFilter,
    /// The snapshot that all reads of the export use.
    pub snapshot: pb::Snapshot,
    /// The time to read at on the observe axis; `None` for the newest.
    pub at: Option<Timestamp>,
}

const PAGE_SIZE: i32 = 1_000;

impl Selection {
    /// Selects articles now. `at` is the time to read at on the observe axis, `known_at` on the archive axis.
    pub async fn new(
        client: &Client,
        filter: pb::ArticleFilter,
        at: Option<Timestamp>,
        known_at: Option<Timestamp>,
    ) -> Result<Self, ExportError> {
        let snapshot = snapshot(client, as_of(None, known_at)).await?;
        let selection = Self { filter, snapshot, at };
        selection.check_articles(client, at.is_some() || known_at.is_some()).await?;
        Ok(selection)
    }

    /// The selection of an unfinished export. It keeps the snapshot, the filter and the times with which the export
    /// began, even if the same options would mean something else by now, as "2 days ago" does.
    pub async fn resume(client: &Client, state: &ExportState) -> Result<Self, ExportError> {
        let snapshot = snapshot(client, as_of_snapshot(Some(&state.snapshot()), None)).await?;
        let selection = Self { filter: state.filter()?, snapshot, at: state.at() };
        selection.check_articles(client, selection.at.is_some()).await?;
        Ok(selection)
    }

    /// The state of a new export of this selection. `asked` is a digest of its options.
    pub fn begin_state(&self, asked: String) -> ExportState {
        ExportState {
            asked,
            next_seq: self.snapshot.next_seq,
            log_digest: HEXLOWER.encode(&self.snapshot.log_digest),
            filter: to_json(&self.filter),
            at_micros: self.at.map(Timestamp::micros),
            ..ExportState::default()
        }
    }

    /// Removes the URLs of an article that was read at the selection's point, if they lead to it only later, and to
    /// another article or nowhere at that point. Others that lead to it later are kept, because an article is often
    /// found at its address later than it was first seen.
    pub(super) async fn leave_foreign_urls(
        &self,
        client: &Client,
        article: &mut pb::Article,
    ) -> Result<(), ExportError> {
        let Some(at) = self.at else { return Ok(()) };
        for url in later_urls(article, at) {
            let request = pb::LookupArticleRequest {
                url: url.clone(),
                as_of: self.as_of(),
                view: pb::ArticleView::Basic.into(),
                min_next_seq: 0,
            };
            let found = client.archive.clone().lookup_article(request).await.map_err(ServerError::from);
            let leads_here = match found {
                Ok(found) => found.into_inner().article.is_some_and(|found| found.name == article.name),
                Err(error) if matches!(error.reason.as_str(), "URL_ENDED" | "NOT_YET_OBSERVED") => false,
                Err(error) => return Err(ExportError::Server(Box::new(error))),
            };
            if !leads_here {
                article.urls.retain(|led| led.url != url);
            }
        }
        Ok(())
    }

    /// The point to read at, for requests.
    pub(super) fn as_of(&self) -> Option<pb::AsOf> {
        as_of_snapshot(Some(&self.snapshot), self.at)
    }

    /// Reads a revision by its number, as known at the snapshot.
    pub(super) async fn revision(
        &self,
        client: &Client,
        article: &str,
        number: u32,
    ) -> Result<pb::Revision, ExportError> {
        let name = format!("{article}/revisions/{number}");
        revision_at(client, name, as_of_snapshot(Some(&self.snapshot), None), OriginalBytes::Omit).await
    }

    /// The request for the first page of the selected articles.
    pub(super) fn list(&self, view: pb::ArticleView) -> pb::ListArticlesRequest {
        pb::ListArticlesRequest {
            parent: ALL_SOURCES.to_owned(),
            page_size: PAGE_SIZE,
            filter: Some(self.filter.clone()),
            as_of: self.as_of(),
            view: view.into(),
            ..pb::ListArticlesRequest::default()
        }
    }

    /// Counts the selected articles.
    pub async fn count(&self, client: &Client) -> Result<u64, ExportError> {
        let mut count = 0;
        self.each_page(client, |articles| count += articles.len() as u64).await?;
        Ok(count)
    }

    /// Lists the selected articles, one page at a time.
    async fn each_page(&self, client: &Client, mut handle: impl FnMut(Vec<pb::Article>)) -> Result<(), ExportError> {
        let mut request = self.list(pb::ArticleView::Basic);
        loop {
            let page = client.archive.clone().list_articles(request.clone()).await?.into_inner();
            handle(page.articles);
            if page.next_page_token.is_empty() {
                return Ok(());
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Fails if a named article does not exist at the point that is read. `is_as_of` says whether a time was requested.
    async fn check_articles(&self, client: &Client, is_as_of: bool) -> Result<(), ExportError> {
        for names in self.filter.articles.chunks(usize::try_from(PAGE_SIZE).unwrap_or(1)) {
            let mut unread = names.to_vec();
            while !unread.is_empty() {
                let request = pb::BatchGetArticlesRequest {
                    names: unread,
                    as_of: self.as_of(),
                    ..pb::BatchGetArticlesRequest::default()
                };
                let response = client.archive.clone().batch_get_articles(request).await?.into_inner();
                if let Some(name) = response.missing_names.first() {
                    return Err(ExportError::UnknownArticle { article: name.clone(), is_as_of });
                }
                unread = response.unread_names;
            }
        }
        Ok(())
    }

    /// The part of the filter that a change can be checked against: sources and names of articles.
    pub(super) fn names(&self) -> pb::ArticleFilter {
        let pb::ArticleFilter { sources, articles, .. } = self.filter.clone();
        pb::ArticleFilter { sources, articles, ..pb::ArticleFilter::default() }
    }

    /// The set of selected articles; `None` if names and sources alone select them.
    pub(super) async fn articles(&self, client: &Client) -> Result<Option<SelectedArticles>, ExportError> {
        if self.filter == self.names() {
            return Ok(None);
        }
        let mut selected = HashSet::new();
        let add = |articles: Vec<pb::Article>| {
            selected.extend(articles.iter().map(|article| SelectedArticles::digest(&article.name)));
        };
        self.each_page(client, add).await?;
        Ok(Some(SelectedArticles(selected)))
    }
}

/// The snapshot at a point; the newest one without a point.
async fn snapshot(client: &Client, as_of: Option<pb::AsOf>) -> Result<pb::Snapshot, ExportError> {
    let request = pb::ListArticlesRequest {
        parent: ALL_SOURCES.to_owned(),
        page_size: 1,
        as_of,
        ..pb::ListArticlesRequest::default()
    };
    Ok(client.archive.clone().list_articles(request).await?.into_inner().snapshot.unwrap_or_default())
}

const ALL_SOURCES: &str = "sources/-";

/// A set of articles, kept as 16 bytes of each name's digest. A million articles use about 40 MB.
pub(super) struct SelectedArticles(HashSet<[u8; 16]>);

impl SelectedArticles {
    fn digest(name: &str) -> [u8; 16] {
        let digest: [u8; 32] = Sha256::digest(name).into();
        digest.first_chunk().copied().unwrap_or_default()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains(&Self::digest(name))
    }
}
