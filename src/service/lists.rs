//! The list methods of `ArchiveService`: pages and their tokens.

use bytes::Bytes;

use super::archive::article_name;
use super::caller::Caller;
use super::status::Refusal;
use super::{Context, page_space, render, view};
use crate::access::Permission;
use crate::archive::ReadPoint;
use crate::archive::read::article::{ArticleAt, View};
use crate::archive::read::list::{ArticleQuery, PAGE_CONTENT_BYTES, RevisionOrder, RevisionQuery};
use crate::model::{ArticleName, AsOf, KnownAt, RequestDigest, RevisionNumber, Seq, SourceId};
use crate::wire::frame::ResponseFrame;
use crate::wire::token::{PageToken, TokenError, request_digest};
use crate::wire::{self, FieldError, all, pb, snapshot_to_pb, timestamp_to_pb};

impl Context {
    pub(super) async fn list_articles(
        &self,
        caller: &Caller,
        request: pb::ListArticlesRequest,
    ) -> Result<ResponseFrame<pb::ListArticlesResponse>, Refusal> {
        let without_page =
            pb::ListArticlesRequest { page_size: 0, page_token: String::new(), min_next_seq: 0, ..request.clone() };
        let digest = request_digest(&without_page);
        let token = page_token(&request.page_token, digest);
        let source = parent_source(&request.parent);
        let filter = wire::article_filter(request.filter, &self.limits);
        let as_of = wire::as_of(request.as_of);
        let view = view(request.view, View::Basic);
        let by_name = match pb::ArticleOrder::try_from(request.order) {
            Ok(pb::ArticleOrder::Unspecified | pb::ArticleOrder::Name) => Ok(true),
            Ok(pb::ArticleOrder::LatestChange) => Ok(false),
            Err(_) => Err(FieldError::invalid("order", "is not a known order")),
        };
        let size = render::page_size(request.page_size, &self.limits);
        let (source, mut filter, as_of, view, by_name, page_size, token) =
            all!(source, filter, as_of, view, by_name, size, token)?;
        caller.confine(&mut filter, source.as_ref())?;
        let query = ArticleQuery { source, filter, view, page_size, content_bytes_max: PAGE_CONTENT_BYTES };
        let point = self.page_read_point(as_of, request.min_next_seq, token.as_ref()).await?;
        let (articles, next) = if by_name {
            let after = position(token.as_ref(), |text| ArticleName::parse(text).ok())?;
            let page = self.archive.articles_by_name(point, query, after).await?;
            (page.items, page.next.map(|name| name.to_string()))
        } else {
            let before = position(token.as_ref(), |text| text.parse().ok().map(Seq))?;
            let page = self.archive.articles_by_latest_change(point, query, before).await?;
            (page.items, page.next.map(|seq| seq.to_string()))
        };
        let place = |article: &ArticleAt| {
            if by_name { article.name.to_string() } else { article.latest.seq.to_string() }
        };
        let within = caller.scope(Permission::Read);
        let places_and_articles =
            articles.into_iter().map(|article| (place(&article), render::encoded_article(article, &within)));
        let (places, mut encoded): (Vec<_>, Vec<_>) = places_and_articles.unzip();
        let cut_off = page_space::keep(&mut encoded, Bytes::len).then(|| places.get(..encoded.len())?.last()).flatten();
        let next = cut_off.cloned().or(next);
        let next_page_token = next_token(&point, next, digest);
        let snapshot = Some(snapshot_to_pb(&point.snapshot));
        let rest = pb::ListArticlesResponse { articles: Vec::new(), next_page_token, snapshot };
        Ok(ResponseFrame { encoded, rest })
    }

    pub(super) async fn list_revisions(
        &self,
        caller: &Caller,
        request: pb::ListRevisionsRequest,
    ) -> Result<ResponseFrame<pb::ListRevisionsResponse>, Refusal> {
        let without_page =
            pb::ListRevisionsRequest { page_size: 0, page_token: String::new(), min_next_seq: 0, ..request.clone() };
        let digest = request_digest(&without_page);
        let token = page_token(&request.page_token, digest);
        let name = article_name("parent", &request.parent);
        let as_of = wire::as_of(request.as_of);
        let order = match pb::RevisionOrder::try_from(request.order) {
            Ok(pb::RevisionOrder::Unspecified | pb::RevisionOrder::NewestFirst) => Ok(RevisionOrder::NewestFirst),
            Ok(pb::RevisionOrder::OldestFirst) => Ok(RevisionOrder::OldestFirst),
            Err(_) => Err(FieldError::invalid("order", "is not a known order")),
        };
        let view = view(request.view, View::Basic);
        let changed_parts = wire::content_parts("changed_parts", &request.changed_parts);
        let size = render::page_size(request.page_size, &self.limits);
        let (name, as_of, order, view, changed_parts, page_size, token) =
            all!(name, as_of, order, view, changed_parts, size, token)?;
        caller.require(Permission::Read, &name.source)?;
        let after = position(token.as_ref(), |text| text.parse().ok().and_then(RevisionNumber::new))?;
        let point = self.page_read_point(as_of, request.min_next_seq, token.as_ref()).await?;
        let query = RevisionQuery { order, changed_parts, view, page_size };
        let page = self.archive.revisions(point, name, query, after).await?;
        let mut encoded: Vec<_> = page.items.iter().map(render::encoded_revision_entry).collect();
        let has_dropped = page_space::keep(&mut encoded, Bytes::len);
        let cut_off = has_dropped.then(|| page.items.get(..encoded.len())?.last()).flatten();
        let next = cut_off.map(|last| last.revision.number).or(page.next);
        let next_page_token = next_token(&point, next.map(|number| number.to_string()), digest);
        let snapshot = Some(snapshot_to_pb(&point.snapshot));
        let rest = pb::ListRevisionsResponse { entries: Vec::new(), next_page_token, snapshot };
        Ok(ResponseFrame { encoded, rest })
    }

    pub(super) async fn list_sources(
        &self,
        caller: &Caller,
        request: pb::ListSourcesRequest,
    ) -> Result<pb::ListSourcesResponse, Refusal> {
        let digest = request_digest(&pb::ListSourcesRequest::default());
        let token = page_token(&request.page_token, digest);
        let page_size = render::page_size(request.page_size, &self.limits);
        let (page_size, token) = all!(page_size, token)?;
        let after = position(token.as_ref(), |text| SourceId::parse(text).ok())?;
        // Stats of sources have no history, so later pages are not read at the snapshot of the first page. The token
        // must still be of this log.
        self.page_read_point(AsOf::default(), 0, token.as_ref()).await?;
        let point = self.read_point(AsOf::default(), 0).await?;
        let page = self.archive.sources(point, after, caller.scope(Permission::Read), page_size).await?;
        let sources = page.items.iter().map(|(source, stats)| pb::Source {
            name: source.to_string(),
            article_count: stats.articles,
            create_time: Some(timestamp_to_pb(stats.first_archive_time)),
            update_time: Some(timestamp_to_pb(stats.latest_archive_time)),
        });
        Ok(pb::ListSourcesResponse {
            sources: sources.collect(),
            next_page_token: next_token(&point, page.next.map(|source| source.as_str().to_owned()), digest),
            snapshot: Some(snapshot_to_pb(&point.snapshot)),
        })
    }

    /// The read point of a page. Later pages use the snapshot of the first page, which is in the token.
    async fn page_read_point(
        &self,
        mut as_of: AsOf,
        min_next_seq: u64,
        token: Option<&PageToken>,
    ) -> Result<ReadPoint, Refusal> {
        if let Some(PageToken { snapshot, .. }) = token {
            as_of.known_at = KnownAt::NextSeq { next_seq: snapshot.next_seq, log_digest: Some(snapshot.log_digest) };
        }
        self.visible(min_next_seq).await?;
        match self.archive.read_point(as_of, Seq(min_next_seq)).await {
            // A token with a position after the end of this log was issued by another log.
            Err(crate::archive::ArchiveError::Bound(crate::archive::error::InvalidReadPoint::SeqInFuture {
                next_seq,
                ..
            })) if token.is_some_and(|token| token.snapshot.next_seq == next_seq) => {
                let diverged = crate::archive::error::InvalidReadPoint::HistoryDiverged { next_seq };
                Err(crate::archive::ArchiveError::from(diverged).into())
            }
            point => Ok(point?),
        }
    }
}

fn parent_source(parent: &str) -> Result<Option<SourceId>, FieldError> {
    if parent == "sources/-" {
        return Ok(None);
    }
    SourceId::parse_name(parent).map(Some).map_err(|error| FieldError::invalid("parent", error))
}

/// The position in a list at which the token continues.
pub(super) fn position<T>(
    token: Option<&PageToken>,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, FieldError> {
    let malformed = || FieldError::token("page_token", TokenError::Malformed);
    token.map(|token| read(&token.position).ok_or_else(malformed)).transpose()
}

/// Decodes the token of a list; `None` for the first page.
pub(super) fn page_token(token: &str, request: RequestDigest) -> Result<Option<PageToken>, FieldError> {
    PageToken::decode(token, request).map_err(|error| FieldError::token("page_token", error))
}

fn next_token(point: &ReadPoint, next: Option<String>, digest: RequestDigest) -> String {
    next.map(|position| PageToken { snapshot: point.snapshot, position }.encode(digest)).unwrap_or_default()
}
