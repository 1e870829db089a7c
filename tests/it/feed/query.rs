//! Which changes a subscriber requested, written down from the contract alone.

use dateline::internals::wire::{self, article_state_to_pb, pb, timestamp_to_pb};
use dateline::model::filter::language_matches;
use dateline::model::{Timestamp, UrlKey};

use crate::model::naive::{Record, makes_revision};
use crate::model::parts::selects;
use crate::support;

use super::truth::LatestState;

/// A filter and kinds of changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) filter: pb::ArticleFilter,
    /// If empty, all kinds but SIGHTED.
    pub(crate) kinds: Vec<pb::ChangeKind>,
}

/// Queries that use each field of the filter.
pub(crate) fn many() -> Vec<Query> {
    let all = pb::ArticleFilter::default;
    let of = |filter| Query { filter, kinds: Vec::new() };
    let since = pb::TimeRange { start_time: Some(timestamp_to_pb(support::at(100))), end_time: None };
    vec![
        Query::default(),
        of(pb::ArticleFilter { sources: vec!["sources/courier".to_owned()], ..all() }),
        of(pb::ArticleFilter { labels: vec!["flood".to_owned()], ..all() }),
        of(pb::ArticleFilter {
            languages: vec!["de".to_owned()],
            states: vec![pb::ArticleState::Live.into()],
            ..all()
        }),
        of(pb::ArticleFilter { states: vec![pb::ArticleState::Withdrawn.into()], ..all() }),
        of(pb::ArticleFilter { states: vec![pb::ArticleState::Gone.into()], ..all() }),
        of(pb::ArticleFilter { url_prefix: "https://www.example.com/news/2".to_owned(), ..all() }),
        of(pb::ArticleFilter { observe_time: Some(since), ..all() }),
        of(pb::ArticleFilter {
            publish_time: Some(pb::TimeRange { start_time: None, end_time: since.start_time }),
            ..all()
        }),
        Query { kinds: vec![pb::ChangeKind::Sighted, pb::ChangeKind::Withdrawn], ..Query::default() },
        of(pb::ArticleFilter { articles: vec!["sources/courier/articles/none".to_owned()], ..all() }),
        of(pb::ArticleFilter { changed_parts: parts(&[pb::ContentPart::Language, pb::ContentPart::Rights]), ..all() }),
        of(pb::ArticleFilter {
            languages: vec!["en".to_owned()],
            changed_parts: parts(&[pb::ContentPart::ClaimedTimes]),
            ..all()
        }),
        Query {
            filter: pb::ArticleFilter {
                languages: vec!["en-GB".to_owned()],
                changed_parts: parts(&[pb::ContentPart::Address, pb::ContentPart::Body]),
                ..all()
            },
            kinds: vec![pb::ChangeKind::Revised, pb::ChangeKind::Aliased],
        },
    ]
}

fn parts(parts: &[pb::ContentPart]) -> Vec<i32> {
    parts.iter().map(|part| i32::from(*part)).collect()
}

impl Query {
    /// Whether an article in this state matches the filter.
    pub(crate) fn takes(&self, article: &LatestState) -> bool {
        let filter = &self.filter;
        let (name, content) = (article.name.to_string(), article.content);
        let state = article_state_to_pb(article.state);
        let source = article.name.source.to_string();
        let publish_time = content.publish_time.as_ref().map(|claim| claim.time);
        any(&filter.sources, |wanted| *wanted == source)
            && any(&filter.articles, |wanted| *wanted == name)
            && any(&filter.states, |wanted| *wanted == i32::from(state))
            && any(&filter.languages, |range| language_matches(range, &content.language))
            && any(&filter.labels, |label| article.labels.contains(label))
            && (filter.url_prefix.is_empty() || begins_so(article, &filter.url_prefix))
            && within(filter.observe_time.as_ref(), Some(article.since))
            && within(filter.publish_time.as_ref(), publish_time)
    }

    /// Whether a change of this kind is delivered. By default, a sighting and a revision that changed none of the
    /// requested parts are delivered only if they alter something: the
    /// article's state, or whether it matches the filter.
    pub(crate) fn wants(&self, kind: pb::ChangeKind, record: &Record, alters: bool) -> bool {
        let wanted = wire::content_parts("changed_parts", &self.filter.changed_parts).unwrap();
        let has_changed = !makes_revision(record.kind) || selects(wanted, record.changed_parts);
        match self.kinds.as_slice() {
            [] => kind != pb::ChangeKind::Sighted && has_changed || alters,
            kinds => kinds.contains(&kind) && has_changed,
        }
    }
}

fn any<T>(wanted: &[T], holds: impl Fn(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(holds)
}

fn begins_so(article: &LatestState, prefix: &str) -> bool {
    let prefix = UrlKey::prefix_of(prefix).unwrap();
    article.urls.iter().any(|url| url.key.as_str().starts_with(prefix.as_str()))
}

fn within(range: Option<&pb::TimeRange>, time: Option<Timestamp>) -> bool {
    let Some(pb::TimeRange { start_time, end_time }) = range else { return true };
    let instant = |time: &prost_types::Timestamp| wire::timestamp("time", time).unwrap();
    match (start_time.as_ref().map(instant), end_time.as_ref().map(instant), time) {
        (None, None, _) => true,
        (_, _, None) => false,
        (start, end, Some(time)) => start.is_none_or(|start| start <= time) && end.is_none_or(|end| time < end),
    }
}
