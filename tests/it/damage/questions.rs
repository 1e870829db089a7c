//! The questions to an archive: everything that the intact one can be asked about its contents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dateline::internals::archive::changefeed::{FeedView, PagePlan, Render};
use dateline::internals::archive::read::article::View;
use dateline::internals::archive::read::compare::StateSelector;
use dateline::internals::archive::read::list::{ArticleQuery, RevisionOrder, RevisionQuery};
use dateline::internals::archive::{Archive, ArchiveError, ReadPoint};
use dateline::model::{
    ArticleFilter, ArticleName, ArticleUrl, AsOf, ChangeKind, ChangeKinds, ContentParts, FeedQuery, KnownAt,
    RevisionSelector, Seq, Snapshot, SourceScope, SubscriptionId, Timestamp,
};

use super::answers::{self, Answer, Answers, shown};
use crate::support;

const FEED_PAGE: usize = 24;
/// Comparing large contents takes longer than everything else.
const COMPARISONS_MAX: u32 = 6;
const ALL_REVISIONS: RevisionQuery = RevisionQuery {
    order: RevisionOrder::OldestFirst,
    changed_parts: ContentParts::NONE,
    view: View::Basic,
    page_size: 1_000,
};

/// Every kind of change.
const KINDS: [ChangeKind; 10] = [
    ChangeKind::Created,
    ChangeKind::Revised,
    ChangeKind::Sighted,
    ChangeKind::Withdrawn,
    ChangeKind::Reinstated,
    ChangeKind::RolledBack,
    ChangeKind::Aliased,
    ChangeKind::Labelled,
    ChangeKind::Absent,
    ChangeKind::UrlMoved,
];

/// The questions, derived from the contents of the intact archive.
pub(super) struct Questions {
    articles: BTreeMap<ArticleName, Article>,
    urls: Vec<ArticleUrl>,
    subscriptions: Vec<SubscriptionId>,
    /// Snapshots at which the log can be read, and its end.
    stamps: Vec<Snapshot>,
    end: Snapshot,
}

#[derive(Default)]
struct Article {
    revisions: u32,
    instants: BTreeSet<Timestamp>,
    bounds: BTreeSet<Seq>,
}

impl Article {
    /// Notes the observe time of a change, and the position below which it is known.
    fn happened(&mut self, seq: Seq, at: Timestamp) {
        self.bounds.insert(seq.next());
        self.instants.extend([at, at.saturating_add_micros(-1)]);
    }
}

impl Questions {
    /// All questions about the contents of the intact archive.
    pub(super) async fn about(archive: &Archive) -> Self {
        let end = archive.tail();
        let subscriptions = archive.subscriptions(None, 1_000).await.unwrap().items;
        let subscriptions = subscriptions.into_iter().map(|subscription| subscription.id).collect();
        let (articles, urls, stamps) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut questions = Self { articles, urls, subscriptions, stamps, end };
        for seq in 0..end.next_seq.0 {
            let point = point(archive, None, Seq(seq + 1)).await.unwrap();
            if point.snapshot.next_seq == Seq(seq + 1) {
                questions.stamps.push(point.snapshot);
            }
        }
        let origin = point(archive, None, Seq::ZERO).await.unwrap().snapshot;
        questions.stamps.insert(0, origin);
        let whole = ReadPoint { observe_time: None, snapshot: end };
        for found in archive.articles_by_name(whole, everything(), None).await.unwrap().items {
            let mut article = Article { revisions: found.revision_count, ..Article::default() };
            article.happened(found.latest.seq, found.latest.entry.observe_time);
            article.instants.extend(found.state.map(|mark| mark.since));
            let revisions = archive.revisions(whole, found.name.clone(), ALL_REVISIONS, None).await;
            for entry in revisions.unwrap().items {
                article.happened(entry.revision.created_by.seq, entry.last_seen);
                article.happened(entry.revision.created_by.seq, entry.first_seen);
            }
            questions.urls.extend(found.urls.into_iter().map(|at| at.url));
            questions.articles.insert(found.name, article);
        }
        for article in questions.articles.values_mut() {
            thin_out(&mut article.instants, 8);
            thin_out(&mut article.bounds, 6);
            article.bounds.insert(end.next_seq);
        }
        questions
    }

    /// Asks all questions.
    pub(super) async fn ask(&self, archive: &Archive) -> Answers {
        let mut answers = self.ask_without_contents(archive).await;
        for (name, article) in &self.articles {
            self.contents(archive, name, article, &mut answers).await;
        }
        answers
    }

    /// Asks the questions that do not decode older contents.
    pub(super) async fn ask_without_contents(&self, archive: &Archive) -> Answers {
        let mut answers = self.ask_of_newest(archive).await;
        for (name, article) in &self.articles {
            self.as_of(archive, name, article, &mut answers).await;
        }
        for snapshot in self.stamps.iter().step_by(self.stamps.len() / 4) {
            self.lists(archive, snapshot.next_seq, &mut answers).await;
        }
        for at in self.stamps.iter().step_by(7).filter_map(|snapshot| snapshot.archive_time) {
            let as_of = AsOf { observe_time: None, known_at: KnownAt::ArchiveTime(at) };
            let read = archive.read_point(as_of, Seq::ZERO).await;
            answers.insert(format!("known at {at}"), Answer::of(read, |point| shown(&point)));
        }
        answers
    }

    /// Asks about the newest state, and reads the feed.
    pub(super) async fn ask_of_newest(&self, archive: &Archive) -> Answers {
        let mut answers = Answers::new();
        answers.insert("tail".to_owned(), Answer::Said(shown(&archive.tail())));
        answers.insert("articles".to_owned(), Answer::Said(shown(&archive.article_count())));
        let newest = ReadPoint { observe_time: None, snapshot: archive.tail() };
        let one_more = support::named(0, "one-more");
        for name in self.articles.keys().chain([&one_more]) {
            let read = archive.article(newest, name.clone(), View::Full).await;
            answers.insert(format!("{name}"), Answer::of(read, answers::article));
        }
        for url in self.urls.iter().chain([&support::url(60)]) {
            let read = archive
                .article_by_url(newest, url.original.clone(), url.key.clone(), SourceScope::all(), View::Basic)
                .await;
            answers.insert(format!("url {}", url.original), Answer::of(read, answers::article));
        }
        self.lists(archive, newest.snapshot.next_seq, &mut answers).await;
        self.feed(archive, &mut answers).await;
        for id in &self.subscriptions {
            let read = archive.subscription(id.clone()).await;
            answers.insert(format!("{id}"), Answer::of(read, |subscription| shown(&subscription)));
        }
        let read = archive.subscriptions(None, 1_000).await.map(|page| page.items.len());
        answers.insert("subscriptions".to_owned(), Answer::of(read, |count| shown(&count)));
        answers
    }

    async fn as_of(&self, archive: &Archive, name: &ArticleName, article: &Article, answers: &mut Answers) {
        for bound in &article.bounds {
            for instant in article.instants.iter().copied().map(Some).chain([None]) {
                let question = format!("{name} as of {instant:?} below {bound}");
                let answer = match point(archive, instant, *bound).await {
                    Ok(point) => Answer::of(archive.article(point, name.clone(), View::Basic).await, answers::article),
                    Err(error) => Answer::of::<()>(Err(error), |()| String::new()),
                };
                answers.insert(question, answer);
            }
        }
    }

    async fn contents(&self, archive: &Archive, name: &ArticleName, article: &Article, answers: &mut Answers) {
        let whole = ReadPoint { observe_time: None, snapshot: self.end };
        for number in (1..=article.revisions).map(support::number) {
            let selector = RevisionSelector::Number(number);
            let read = archive.revision_with_original(whole, name.clone(), selector, View::Full).await;
            answers.insert(format!("{name} revision {number}"), Answer::of(read, answers::revision));
        }
        let read = archive.revisions(whole, name.clone(), ALL_REVISIONS, None).await;
        let show = |items: Vec<_>| items.into_iter().map(answers::entry).collect::<Vec<_>>().join("\n");
        answers.insert(format!("{name} revisions"), Answer::of(read.map(|page| page.items), show));
        let step = usize::try_from(1 + article.revisions / COMPARISONS_MAX).unwrap();
        for number in (1..=article.revisions).step_by(step).map(support::number) {
            let read = archive.compare(whole, name.clone(), None, Some(StateSelector::Number(number))).await;
            answers.insert(format!("{name} what changed in {number}"), Answer::of(read, answers::comparison));
        }
    }

    async fn lists(&self, archive: &Archive, bound: Seq, answers: &mut Answers) {
        let [by_name, by_latest_change, sources] =
            ["by name", "by latest change", "sources"].map(|list| format!("{list} below {bound}"));
        let whole = match point(archive, None, bound).await {
            Ok(whole) => whole,
            // The read point failed, so none of the lists can be read.
            Err(error) => {
                let refused = Answer::of::<()>(Err(error), |()| String::new());
                return answers.extend([by_name, by_latest_change, sources].map(|list| (list, refused.clone())));
            }
        };
        let show = |items: Vec<_>| items.into_iter().map(answers::article).collect::<Vec<_>>().join("\n");
        let read = archive.articles_by_name(whole, everything(), None).await;
        answers.insert(by_name, Answer::of(read.map(|page| page.items), show));
        let read = archive.articles_by_latest_change(whole, everything(), None).await;
        answers.insert(by_latest_change, Answer::of(read.map(|page| page.items), show));
        let read = archive.sources(whole, None, SourceScope::all(), 100).await;
        answers.insert(sources, Answer::of(read.map(|page| page.items), |items| shown(&items)));
    }

    async fn feed(&self, archive: &Archive, answers: &mut Answers) {
        for snapshot in self.stamps.iter().step_by(FEED_PAGE * 2 / 3) {
            let read = archive.feed_page(*snapshot, self.end.next_seq, plan(answers::change)).await;
            let read = read.map(|page| {
                let lines = page.items.iter().map(|item| {
                    let line = String::from_utf8_lossy(&item.bytes);
                    format!("{line}{} {}", item.left_filter, item.batch_end)
                });
                (lines.collect::<Vec<_>>(), page.next)
            });
            answers.insert(format!("feed from {}", snapshot.next_seq), Answer::of(read, |page| shown(&page)));
        }
    }
}

async fn point(archive: &Archive, observe_time: Option<Timestamp>, next_seq: Seq) -> Result<ReadPoint, ArchiveError> {
    let known_at = KnownAt::NextSeq { next_seq, log_digest: None };
    archive.read_point(AsOf { observe_time, known_at }, Seq::ZERO).await
}

fn plan(render: Render) -> PagePlan {
    let query = FeedQuery { filter: ArticleFilter::default(), kinds: ChangeKinds::of(KINDS) };
    PagePlan {
        query: Arc::new(query),
        view: FeedView::Full,
        render,
        changes_max: FEED_PAGE,
        bytes_max: usize::MAX,
        examined_max: usize::MAX,
    }
}

/// A list of all articles in one page.
fn everything() -> ArticleQuery {
    ArticleQuery {
        source: None,
        filter: ArticleFilter::default(),
        view: View::Basic,
        page_size: 1_000,
        content_bytes_max: usize::MAX,
    }
}

/// Thins the set out to about `most` entries, evenly.
fn thin_out<T: Ord + Copy>(set: &mut BTreeSet<T>, most: usize) {
    let step = set.len().div_ceil(most).max(1);
    *set = set.iter().copied().step_by(step).collect();
}
