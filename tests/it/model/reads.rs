//! Every read of the archive at a read point, compared with the model.

use std::collections::BTreeMap;

use dateline::internals::archive::read::article::View;
use dateline::internals::archive::read::compare::StateSelector;
use dateline::internals::archive::read::list::{ArticleQuery, RevisionOrder, RevisionQuery};
use dateline::internals::archive::{Archive, ArchiveError, ReadPoint};
use dateline::model::filter::language_matches;
use dateline::model::{
    ArticleFilter, ArticleName, ArticleState, AsOf, ContentPart, ContentParts, KnownAt, RevisionSelector, Seq,
    SourceScope, TimeRange, Timestamp, UrlKey,
};

use super::parts::selects;
use super::rules::Model;
use super::shown::{
    Missed, ShownArticle, ShownEntry, ShownRevision, content, delta, expected_article, expected_entries,
};
use crate::support;

/// A difference, with everything that is needed to understand it.
pub(super) type Mismatch = String;

/// Fails unless both values are the same.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(
    what: impl FnOnce() -> String,
    archive: T,
    model: T,
) -> Result<(), Mismatch> {
    if archive == model {
        return Ok(());
    }
    Err(format!("{}\n  archive: {archive:?}\n  model:   {model:?}", what()))
}

/// The reads of an archive, and their number.
pub(super) struct Reads<'a> {
    pub(super) archive: &'a Archive,
    pub(super) model: &'a Model,
    pub(super) names: Vec<ArticleName>,
    pub(super) compared: u64,
    /// Counts the instants read so far, so that views, orders, filters and page sizes alternate.
    pub(super) turn: usize,
}

/// The instants of reads: before, at and after each one that operations use, and the end of the axis.
pub(super) fn instants(ticks: i64) -> Vec<Option<Timestamp>> {
    let mut instants: Vec<_> = (-1..=2 * ticks + 1).map(|tick| Some(support::at(tick))).collect();
    instants.push(None);
    instants
}

impl Reads<'_> {
    /// Reads everything as known below every position: at the end of the axis, and at every `stride`th instant,
    /// starting with a different one at each position.
    pub(super) async fn all(&mut self, instants: &[Option<Timestamp>], stride: usize) -> Result<(), Mismatch> {
        for bound in 0..=self.model.tail() {
            let point = self.point(bound).await?;
            if self.model.whole(bound) == bound {
                let skipped = usize::try_from(bound).unwrap() % stride;
                let some = instants.iter().copied().skip(skipped).step_by(stride);
                self.at_bound(point, &some.chain([None]).collect::<Vec<_>>()).await?;
            }
        }
        self.beyond_the_tail().await
    }

    /// The read point for a position, which is lowered to the start of an atomic batch.
    pub(super) async fn point(&mut self, bound: u64) -> Result<ReadPoint, Mismatch> {
        let as_of = |next_seq| AsOf { observe_time: None, known_at: KnownAt::NextSeq { next_seq, log_digest: None } };
        let point = self.archive.read_point(as_of(Seq(bound)), Seq::ZERO).await.map_err(|error| error.to_string())?;
        let whole = self.model.whole(bound);
        let last = self.model.below(whole).0.last();
        let expected = (whole, last.and_then(|last| last.archive_time));
        self.compared += 1;
        same(|| format!("snapshot for {bound}"), (point.below().0, point.snapshot.archive_time), expected)?;
        let stamped =
            KnownAt::NextSeq { next_seq: point.snapshot.next_seq, log_digest: Some(point.snapshot.log_digest) };
        let again = AsOf { observe_time: None, known_at: stamped };
        let again = self.archive.read_point(again, Seq::ZERO).await.map_err(|error| error.to_string())?;
        same(|| format!("the snapshot for {bound}, given back"), again, point)?;
        Ok(point)
    }

    async fn beyond_the_tail(&mut self) -> Result<(), Mismatch> {
        let next_seq = Seq(self.model.tail() + 1);
        let as_of = AsOf { observe_time: None, known_at: KnownAt::NextSeq { next_seq, log_digest: None } };
        let refused = self.archive.read_point(as_of, Seq::ZERO).await.map_err(|error| Missed::of(&error));
        self.compared += 1;
        same(|| "a position beyond the tail".to_owned(), refused, Err(Missed::SeqInFuture))
    }

    /// Reads everything at every instant, as known at a read point.
    pub(super) async fn at_bound(&mut self, point: ReadPoint, instants: &[Option<Timestamp>]) -> Result<(), Mismatch> {
        for at in instants {
            self.turn += 1;
            let turn = self.turn;
            let point = ReadPoint { observe_time: *at, ..point };
            self.articles(point, turn).await?;
            self.revisions_listed(point, turn).await?;
            self.articles_listed(point, turn).await?;
            self.urls_looked_up(point, turn).await?;
        }
        self.revisions_read(point).await?;
        self.compared_states(point, instants).await
    }

    /// Reads only the articles, as known at a read point.
    pub(super) async fn articles_at(
        &mut self,
        point: ReadPoint,
        instants: &[Option<Timestamp>],
    ) -> Result<(), Mismatch> {
        for at in instants {
            self.turn += 1;
            self.articles(ReadPoint { observe_time: *at, ..point }, self.turn).await?;
        }
        Ok(())
    }

    fn place(point: ReadPoint, what: &str) -> String {
        let at = point.observe_time.map_or("the end".to_owned(), |at| format!("tick {}", support::tick(at)));
        format!("{what} at {at}, as known below {}", point.below())
    }

    async fn articles(&mut self, point: ReadPoint, turn: usize) -> Result<(), Mismatch> {
        let (view, full) = if turn.is_multiple_of(2) { (View::Full, true) } else { (View::Basic, false) };
        let mut batch = Vec::new();
        for name in &self.names.clone() {
            let read = self.archive.article(point, name.clone(), view).await;
            let read = read.map(|article| ShownArticle::of(&article)).map_err(|error| Missed::of(&error));
            let expected = expected_article(self.model, point.below().0, point.observe_time, name, full);
            batch.push(expected.clone().ok());
            self.compared += 1;
            same(|| Self::place(point, &name.to_string()), read, expected)?;
        }
        let read = self.archive.articles(point, self.names.clone(), view).await.map_err(|error| error.to_string())?;
        let read: Vec<_> = read.iter().map(|article| article.as_ref().map(ShownArticle::of)).collect();
        self.compared += 1;
        same(|| Self::place(point, "many articles"), read, batch)
    }

    async fn revisions_listed(&mut self, point: ReadPoint, turn: usize) -> Result<(), Mismatch> {
        let (view, full) = if turn.is_multiple_of(2) { (View::Basic, false) } else { (View::Full, true) };
        for (index, name) in self.names.clone().iter().enumerate() {
            let newest_first = (index + turn).is_multiple_of(2);
            let order = if newest_first { RevisionOrder::NewestFirst } else { RevisionOrder::OldestFirst };
            let changed_parts = selected_parts(index + turn);
            let mut expected = expected_entries(self.model, point.below().0, point.observe_time, name, full);
            if let Ok(entries) = &mut expected {
                let known = self.model.below(point.below().0);
                let has_changed = |number| selects(changed_parts, known.made(name, number).unwrap().1.changed_parts);
                entries.retain(|entry| has_changed(entry.number()));
                if newest_first {
                    entries.reverse();
                }
            }
            let query = RevisionQuery { order, changed_parts, view, page_size: 1 + turn % 3 };
            let read = self.entries(point, name, query).await;
            self.compared += 1;
            same(|| Self::place(point, &format!("revisions of {name}, {query:?},")), read, expected)?;
        }
        Ok(())
    }

    async fn entries(
        &self,
        point: ReadPoint,
        name: &ArticleName,
        query: RevisionQuery,
    ) -> Result<Vec<ShownEntry>, Missed> {
        let (mut entries, mut after) = (Vec::new(), None);
        loop {
            let page = self.archive.revisions(point, name.clone(), query, after).await;
            let page = page.map_err(|error| Missed::of(&error))?;
            if page.items.len() > query.page_size {
                return Err(Missed::Other(format!("a page of {} with {} items", query.page_size, page.items.len())));
            }
            entries.extend(page.items.iter().map(ShownEntry::of));
            if page.next.is_none() {
                return Ok(entries);
            }
            after = page.next;
        }
    }

    async fn articles_listed(&mut self, point: ReadPoint, turn: usize) -> Result<(), Mismatch> {
        let query = query(turn);
        let known = self.model.below(point.below().0);
        let mut expected: Vec<_> = Vec::new();
        for name in known.articles() {
            if self.passes(point, &query, &name) {
                let (latest, _) = known.of(&name).last().unwrap();
                let shown = expected_article(self.model, point.below().0, point.observe_time, &name, false);
                expected.push((latest, shown.map_err(|missed| format!("{missed:?}"))?));
            }
        }
        let by_name: Vec<_> = expected.iter().map(|(_, article)| article.clone()).collect();
        let read = self.by_name(point, &query).await.map_err(|error| error.to_string())?;
        same(|| Self::place(point, &format!("articles by name, {query:?},")), read, by_name)?;
        expected.sort_by_key(|(latest, _)| std::cmp::Reverse(*latest));
        let by_change: Vec<_> = expected.into_iter().map(|(_, article)| article).collect();
        let read = self.by_latest_change(point, &query).await.map_err(|error| error.to_string())?;
        self.compared += 2;
        same(|| Self::place(point, &format!("articles by latest change, {query:?},")), read, by_change)
    }

    async fn by_name(&self, point: ReadPoint, query: &ArticleQuery) -> Result<Vec<ShownArticle>, ArchiveError> {
        let (mut articles, mut after) = (Vec::new(), None);
        loop {
            let page = self.archive.articles_by_name(point, query.clone(), after).await?;
            assert!(page.items.len() <= query.page_size, "a page is too long");
            articles.extend(page.items.iter().map(ShownArticle::of));
            if page.next.is_none() {
                return Ok(articles);
            }
            after = page.next;
        }
    }

    async fn by_latest_change(
        &self,
        point: ReadPoint,
        query: &ArticleQuery,
    ) -> Result<Vec<ShownArticle>, ArchiveError> {
        let (mut articles, mut before) = (Vec::new(), None);
        loop {
            let page = self.archive.articles_by_latest_change(point, query.clone(), before).await?;
            assert!(page.items.len() <= query.page_size, "a page is too long");
            articles.extend(page.items.iter().map(ShownArticle::of));
            if page.next.is_none() {
                return Ok(articles);
            }
            before = page.next;
        }
    }

    /// Whether the list for `query` has the article.
    fn passes(&self, point: ReadPoint, query: &ArticleQuery, name: &ArticleName) -> bool {
        let known = self.model.below(point.below().0);
        let Some(run) = known.run_at(name, point.observe_time) else { return false };
        let (_, made) = known.made(name, run.revision).unwrap();
        let (content, filter) = (content(made.text.unwrap()), &query.filter);
        let state = known.state_at(name, point.observe_time);
        let within = |range: &TimeRange, time: Timestamp| {
            range.start.is_none_or(|start| time >= start) && range.end.is_none_or(|end| time < end)
        };
        let claimed = content.publish_time.as_ref().map(|claim| claim.time);
        let publish_time = filter.publish_time;
        query.source.as_ref().is_none_or(|source| name.source == *source)
            && (filter.sources.is_empty() || filter.sources.contains(&name.source))
            && (filter.articles.is_empty() || filter.articles.contains(name))
            && (filter.states.is_empty() || filter.states.contains(&state))
            && (filter.languages.is_empty()
                || filter.languages.iter().any(|range| language_matches(range, &content.language)))
            && (filter.labels.is_empty() || filter.labels.iter().any(|label| known.labels(name).contains(label)))
            && filter.url_prefix.as_ref().is_none_or(|prefix| {
                let urls = known.urls_at(name, point.observe_time);
                urls.iter().any(|url| url.key.as_str().starts_with(prefix.as_str()))
            })
            && within(&filter.observe_time, run.from)
            && selects(filter.changed_parts, made.changed_parts)
            && (publish_time == TimeRange::default() || claimed.is_some_and(|time| within(&publish_time, time)))
    }

    async fn urls_looked_up(&mut self, point: ReadPoint, turn: usize) -> Result<(), Mismatch> {
        for number in [turn % 8, (turn + 5) % 8] {
            let url = support::url(u8::try_from(number).unwrap());
            let expected = match self.model.below(point.below().0).looked_up(&url.key, point.observe_time) {
                Err(None) => Err(Missed::Url),
                Err(Some(ended)) => Err(Missed::UrlEnded(ended)),
                Ok(owner) => expected_article(self.model, point.below().0, point.observe_time, &owner, false),
            };
            let read = self
                .archive
                .article_by_url(point, url.original.clone(), url.key.clone(), SourceScope::all(), View::Basic)
                .await;
            let read = read.map(|article| ShownArticle::of(&article)).map_err(|error| Missed::of(&error));
            self.compared += 1;
            same(|| Self::place(point, &url.original), read, expected)?;
        }
        Ok(())
    }

    /// Reads each revision by number, with its original, and the one in force.
    async fn revisions_read(&mut self, point: ReadPoint) -> Result<(), Mismatch> {
        let known = self.model.below(point.below().0);
        for name in &self.names.clone() {
            let latest = expected_article(self.model, point.below().0, None, name, false).map(|_| {
                let in_force = known.observed_at(name, None).unwrap().revision;
                (ShownRevision::expected(known, name, in_force, true).unwrap(), None)
            });
            let read = self.revision(point, name, RevisionSelector::Latest).await;
            same(|| Self::place(point, &format!("{name}/revisions/latest")), read, latest.clone())?;
            for number in 1..=known.revision_count(name) + 1 {
                let made = ShownRevision::expected(known, name, number, true).ok_or(Missed::Revision);
                let original = || known.made(name, number)?.1.original.map(|original| support::original(original).data);
                let expected = latest.clone().and_then(|_| made.map(|revision| (revision, original())));
                let read = self.revision(point, name, RevisionSelector::Number(support::number(number))).await;
                self.compared += 1;
                same(|| Self::place(point, &format!("{name}/revisions/{number}")), read, expected)?;
            }
        }
        Ok(())
    }

    async fn revision(
        &self,
        point: ReadPoint,
        name: &ArticleName,
        selector: RevisionSelector,
    ) -> Result<(ShownRevision, Option<bytes::Bytes>), Missed> {
        let read = match selector {
            RevisionSelector::Latest => self.archive.revision(point, name.clone(), selector, View::Full).await,
            RevisionSelector::Number(_) => {
                self.archive.revision_with_original(point, name.clone(), selector, View::Full).await
            }
        };
        let read = read.map_err(|error| Missed::of(&error))?;
        Ok((ShownRevision::of(&read), read.original))
    }

    /// Compares each state with the one in force before it.
    async fn compared_states(&mut self, point: ReadPoint, instants: &[Option<Timestamp>]) -> Result<(), Mismatch> {
        let known = self.model.below(point.below().0);
        let articles: Vec<_> = known.articles().into_iter().collect();
        // Comparisons take longer than any other read, so only one article is compared at a time.
        if let Some(name) = self.turn.checked_rem(articles.len()).map(|turn| &articles[turn]) {
            let runs = known.runs(name);
            let before = |index: usize| index.checked_sub(1).map(|index| runs[index].revision);
            let numbers = (1..=known.revision_count(name)).filter_map(|number| {
                let first = runs.iter().position(|run| run.revision == number)?;
                Some((StateSelector::Number(support::number(number)), number, before(first)))
            });
            let moments = instants.iter().flatten().step_by(3).filter_map(|at| {
                let index = runs.iter().rposition(|run| run.from <= *at)?;
                Some((StateSelector::At(*at), runs[index].revision, before(index)))
            });
            for (selector, target, base) in numbers.chain(moments).collect::<Vec<_>>() {
                self.compared_to_default(point, name, Some(selector), (base, target)).await?;
            }
            let newest = (before(runs.len() - 1), runs[runs.len() - 1].revision);
            self.compared_to_default(point, name, None, newest).await?;
        }
        Ok(())
    }

    async fn compared_to_default(
        &mut self,
        point: ReadPoint,
        name: &ArticleName,
        selector: Option<StateSelector>,
        (base, target): (Option<u32>, u32),
    ) -> Result<(), Mismatch> {
        let known = self.model.below(point.below().0);
        let text = |number| known.made(name, number).and_then(|(_, made)| made.text);
        let read =
            self.archive.compare(point, name.clone(), None, selector).await.map_err(|error| error.to_string())?;
        let what = || Self::place(point, &format!("what changed in {name} with {selector:?}"));
        let numbers = (read.base.as_ref().map(|base| base.number.get()), read.target.number.get());
        self.compared += 1;
        same(what, numbers, (base, target))?;
        if let Some(base) = base {
            let words = delta(text(base).unwrap(), text(target).unwrap());
            same(what, read.word_delta, words)?;
        }
        Ok(())
    }

    /// Reads the sources in their present state.
    pub(super) async fn sources(&mut self) -> Result<(), Mismatch> {
        let point = self.archive.read_point(AsOf::default(), Seq::ZERO).await.map_err(|error| error.to_string())?;
        let (mut read, mut after) = (BTreeMap::new(), None);
        loop {
            let page =
                self.archive.sources(point, after, SourceScope::all(), 1).await.map_err(|error| error.to_string())?;
            for (source, figures) in page.items {
                let times = (Some(figures.first_archive_time), Some(figures.latest_archive_time));
                read.insert(source, (figures.articles, times));
            }
            if page.next.is_none() {
                break;
            }
            after = page.next;
        }
        let expected = self.model.all().sources().into_iter();
        let expected = expected.map(|(source, (articles, first, latest))| {
            (source, (articles as u64, (first.archive_time, latest.archive_time)))
        });
        self.compared += 1;
        same(|| "sources".to_owned(), read, expected.collect())
    }
}

/// One of four selections of changed parts.
fn selected_parts(turn: usize) -> ContentParts {
    let parts: &[ContentPart] = match turn % 4 {
        0 => &[],
        1 => &[ContentPart::Body],
        2 => &[ContentPart::Language, ContentPart::Rights],
        _ => &[ContentPart::ClaimedTimes, ContentPart::Address],
    };
    ContentParts::of(parts.iter().copied())
}

/// One of fifteen queries, with small pages.
fn query(turn: usize) -> ArticleQuery {
    let mut query = ArticleQuery {
        source: None,
        filter: ArticleFilter::default(),
        view: View::Basic,
        page_size: 1 + turn % 3,
        content_bytes_max: usize::MAX,
    };
    let filter = &mut query.filter;
    match turn % 15 {
        0 => query.source = Some(support::source(0)),
        1 => filter.sources = vec![support::source(1)],
        2 => filter.articles = vec![support::article(0), support::article(1)],
        3 => filter.states = vec![ArticleState::Withdrawn],
        4 => filter.states = vec![ArticleState::Live],
        5 => filter.languages = vec!["en".to_owned()],
        6 => filter.labels = vec!["flood".to_owned()],
        7 => filter.url_prefix = Some(UrlKey::prefix_of("https://www.example.com/news/1").unwrap()),
        8 => filter.observe_time = TimeRange { start: Some(support::at(4)), end: Some(support::at(8)) },
        9 => filter.publish_time = TimeRange { start: Some(support::at(-20)), end: None },
        10 => {
            filter.languages = vec!["de".to_owned(), "en-GB".to_owned()];
            filter.states = vec![ArticleState::Live, ArticleState::Gone];
        }
        11 => filter.changed_parts = selected_parts(2),
        12 => filter.changed_parts = selected_parts(3),
        13 => filter.states = vec![ArticleState::Gone],
        _ => {}
    }
    query
}
