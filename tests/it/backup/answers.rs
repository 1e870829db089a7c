//! Everything that can be read of an archive as known below a position, as text, so that two archives can be compared.

use std::fmt::Debug;
use std::sync::Arc;

use dateline::internals::archive::changefeed::{ChangeAt, FeedStart, FeedView, PagePlan};
use dateline::internals::archive::read::article::{ArticleAt, View};
use dateline::internals::archive::read::list::{ArticleQuery, RevisionOrder, RevisionQuery};
use dateline::internals::archive::{Archive, ArchiveError, ReadPoint};
use dateline::model::{
    ArticleFilter, ArticleName, AsOf, ChangeKinds, ContentParts, FeedQuery, KnownAt, RevisionSelector, Seq, Snapshot,
    SourceScope, Timestamp,
};

use crate::support;

const PAGE_SIZE: usize = 1_000;

/// Instants before, at and between the ticks that tests use, and the end of the axis.
pub(super) fn instants() -> Vec<Option<Timestamp>> {
    (-1..=12).map(|tick| Some(support::at(tick))).chain([None]).collect()
}

/// All answers as known below `bound`, at each of these instants.
pub(super) async fn answers(archive: &Archive, bound: Seq, instants: &[Option<Timestamp>]) -> Vec<String> {
    let known_at = KnownAt::NextSeq { next_seq: bound, log_digest: None };
    let point = archive.read_point(AsOf { observe_time: None, known_at }, Seq::ZERO).await.unwrap();
    let mut said = vec![format!("{:?}", point.snapshot)];
    let names = names(archive, point).await;
    for at in instants {
        let point = ReadPoint { observe_time: *at, ..point };
        said.push(listed(archive, point).await);
        for name in &names {
            let article = archive.article(point, name.clone(), View::Full).await.map(without_etag);
            said.push(text(&article));
            let query = RevisionQuery {
                order: RevisionOrder::OldestFirst,
                changed_parts: ContentParts::NONE,
                view: View::Full,
                page_size: PAGE_SIZE,
            };
            let revisions = archive.revisions(point, name.clone(), query, None).await;
            said.push(text(&revisions));
        }
        for number in 0..9 {
            let url = support::url(number);
            let article = archive
                .article_by_url(point, url.original, url.key, SourceScope::all(), View::Basic)
                .await
                .map(without_etag);
            said.push(text(&article));
        }
    }
    for name in &names {
        said.extend(revisions(archive, point, name).await);
    }
    for view in [FeedView::Full, FeedView::Diff] {
        said.push(feed(archive, point.snapshot, view).await);
    }
    said
}

async fn names(archive: &Archive, point: ReadPoint) -> Vec<ArticleName> {
    let articles = archive.articles_by_name(point, query(View::Basic), None).await.unwrap().items;
    articles.into_iter().map(|article| article.name).collect()
}

fn query(view: View) -> ArticleQuery {
    let filter = ArticleFilter::default();
    ArticleQuery { source: None, filter, view, page_size: PAGE_SIZE, content_bytes_max: usize::MAX }
}

async fn listed(archive: &Archive, point: ReadPoint) -> String {
    let by_name = archive.articles_by_name(point, query(View::Full), None).await.unwrap();
    let by_change = archive.articles_by_latest_change(point, query(View::Basic), None).await.unwrap();
    let listed = by_name.items.into_iter().chain(by_change.items).map(without_etag).collect::<Vec<_>>();
    format!("{listed:?}")
}

/// Each revision, with its content and its original.
async fn revisions(archive: &Archive, point: ReadPoint, name: &ArticleName) -> Vec<String> {
    let mut said = Vec::new();
    for number in 1.. {
        let selector = RevisionSelector::Number(support::number(number));
        match archive.revision_with_original(point, name.clone(), selector, View::Full).await {
            Ok(revision) => said.push(format!("{revision:?}")),
            Err(ArchiveError::Missing(_)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    said
}

/// All changes, as a subscriber receives them.
async fn feed(archive: &Archive, end: Snapshot, view: FeedView) -> String {
    fn render(change: &ChangeAt, bytes: &mut Vec<u8>) {
        bytes.extend(format!("{change:?}\n").bytes());
    }
    let plan = PagePlan {
        query: Arc::new(FeedQuery { filter: ArticleFilter::default(), kinds: ChangeKinds::from_bits(0x7f) }),
        view,
        render,
        changes_max: PAGE_SIZE,
        bytes_max: usize::MAX,
        examined_max: PAGE_SIZE,
    };
    let mut place = archive.feed_start(FeedStart::Beginning).await.unwrap();
    let mut said = String::new();
    while place.next_seq < end.next_seq {
        let page = archive.feed_page(place, end.next_seq, plan.clone()).await.unwrap();
        for item in &page.items {
            said += &format!("{} {} ", item.left_filter, item.batch_end);
            said += std::str::from_utf8(&item.bytes).unwrap();
        }
        place = page.next;
    }
    assert_eq!(place, end);
    said
}

/// An etag stands for the newest state only. The end of one archive may be the middle of another, so etags differ.
fn without_etag(article: ArticleAt) -> ArticleAt {
    ArticleAt { etag: None, ..article }
}

fn text<T: Debug>(answer: &Result<T, ArchiveError>) -> String {
    format!("{answer:?}")
}
