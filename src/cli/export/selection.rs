//! Selects which articles are exported, and as of when.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::at_cut;
use super::partial_file::State;
use crate::cli::args::export::ExportArgs;
use crate::cli::article::{as_of, same_cut};
use crate::cli::connect::Session;
use crate::cli::exit::{Exit, Failure};
use crate::cli::list;
use crate::cli::short_name::short;
use crate::model::Timestamp;
use crate::wire::pb;

/// The articles of an export, and the point at which they are read.
pub(super) struct Selection {
    pub(super) filter: pb::ArticleFilter,
    /// The snapshot that all reads of the export use.
    pub(super) cut: pb::Snapshot,
    /// The time to read at on the observe axis; `None` for the newest.
    pub(super) at: Option<Timestamp>,
}

const PAGE_SIZE: i32 = 1_000;

impl Selection {
    /// Resolves the arguments. An export that continues keeps the snapshot, the articles and the times with which it
    /// began, even if the same words would mean something else by now.
    pub(super) async fn of(session: &Session, args: &ExportArgs, begun: Option<&State>) -> Result<Self, Failure> {
        let cut = match begun {
            Some(state) => same_cut(Some(&state.cut()), None),
            None => as_of(None, args.as_of.known_at()),
        };
        let request = pb::ListArticlesRequest {
            parent: ALL_SOURCES.to_owned(),
            page_size: 1,
            as_of: cut,
            ..pb::ListArticlesRequest::default()
        };
        let cut = session.archive().list_articles(request).await?.into_inner().snapshot.unwrap_or_default();
        let (filter, at) = match begun {
            Some(state) => (state.filter()?, state.at()),
            None => (Self::filter(session, args).await?, args.as_of.at()),
        };
        let selection = Self { filter, cut, at };
        selection.check_articles(session).await?;
        Ok(selection)
    }

    /// The filter that the arguments describe, with relative times resolved now.
    async fn filter(session: &Session, args: &ExportArgs) -> Result<pb::ArticleFilter, Failure> {
        let mut filter = list::filter(&args.filter, &args.ranges);
        for article in &args.articles {
            filter.articles.push(article.resolve(session, args.as_of.known_at()).await?);
        }
        filter.articles.sort();
        filter.articles.dedup();
        Ok(filter)
    }

    /// The point to read at, for requests.
    pub(super) fn as_of(&self) -> Option<pb::AsOf> {
        same_cut(Some(&self.cut), self.at)
    }

    /// Reads a revision by its number, as known at the snapshot.
    pub(super) async fn revision(
        &self,
        session: &Session,
        article: &str,
        number: u32,
    ) -> Result<pb::Revision, Failure> {
        let name = format!("{article}/revisions/{number}");
        at_cut(session, name, same_cut(Some(&self.cut), None), false).await
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
    pub(super) async fn count(&self, session: &Session) -> Result<u64, Failure> {
        let mut count = 0;
        self.each_page(session, |articles| count += articles.len() as u64).await?;
        Ok(count)
    }

    /// Lists the selected articles, one page at a time.
    async fn each_page(&self, session: &Session, mut page_of: impl FnMut(Vec<pb::Article>)) -> Result<(), Failure> {
        let mut request = self.list(pb::ArticleView::Basic);
        loop {
            let page = session.archive().list_articles(request.clone()).await?.into_inner();
            page_of(page.articles);
            if page.next_page_token.is_empty() {
                return Ok(());
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Fails if a named article does not exist at the point that is read.
    async fn check_articles(&self, session: &Session) -> Result<(), Failure> {
        for names in self.filter.articles.chunks(usize::try_from(PAGE_SIZE).unwrap_or(1)) {
            let mut unread = names.to_vec();
            while !unread.is_empty() {
                let request = pb::BatchGetArticlesRequest {
                    names: unread,
                    as_of: self.as_of(),
                    ..pb::BatchGetArticlesRequest::default()
                };
                let answer = session.archive().batch_get_articles(request).await?.into_inner();
                if let Some(name) = answer.missing_names.first() {
                    let message = format!("there is no article {} at that time", short(name));
                    return Err(Failure::new(Exit::NotFound, message)
                        .kind("ARTICLE_UNKNOWN")
                        .hint("`dateline list` lists the articles"));
                }
                unread = answer.unread_names;
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
    pub(super) async fn chosen(&self, session: &Session) -> Result<Option<Chosen>, Failure> {
        if self.filter == self.names() {
            return Ok(None);
        }
        let mut chosen = HashSet::new();
        let add = |articles: Vec<pb::Article>| {
            chosen.extend(articles.iter().map(|article| Chosen::digest(&article.name)));
        };
        self.each_page(session, add).await?;
        Ok(Some(Chosen(chosen)))
    }
}

const ALL_SOURCES: &str = "sources/-";

/// A set of articles, kept as 16 bytes of a digest of each name: a million articles take about 40 MB.
pub(super) struct Chosen(HashSet<[u8; 16]>);

impl Chosen {
    fn digest(name: &str) -> [u8; 16] {
        let digest: [u8; 32] = Sha256::digest(name).into();
        digest.first_chunk().copied().unwrap_or_default()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains(&Self::digest(name))
    }
}
