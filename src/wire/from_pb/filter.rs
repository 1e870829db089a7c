//! Validates filters: which articles and changes are selected.

use std::fmt;

use super::super::pb;
use super::timestamp;
use crate::model::field_errors::{FieldError, FieldErrors, all, every};
use crate::model::{
    ArticleFilter, ArticleName, ArticleState, ChangeKind, ChangeKinds, ContentPart, ContentParts, FeedQuery, Limits,
    SourceId, SourceScope, TimeRange, Timestamp, UrlKey,
};

pub(in crate::wire) const FILTER_VALUES_MAX: usize = 100;

/// Validates the filter and the kinds of change of a feed.
pub fn feed_query(filter: Option<pb::ArticleFilter>, kinds: &[i32], limits: &Limits) -> Result<FeedQuery, FieldErrors> {
    let kind = |(index, kind): (usize, &i32)| {
        let unknown = || FieldError::filter(format!("kinds[{index}]"), "is not a known kind of change");
        pb::ChangeKind::try_from(*kind).ok().and_then(feed_kind).ok_or_else(unknown)
    };
    let kinds = every(kinds.iter().enumerate().map(kind));
    let filter = article_filter(filter, limits);
    let (filter, kinds) = all!(filter, kinds)?;
    Ok(FeedQuery { filter, kinds: ChangeKinds::of(kinds) })
}

fn feed_kind(kind: pb::ChangeKind) -> Option<ChangeKind> {
    Some(match kind {
        pb::ChangeKind::Unspecified => return None,
        pb::ChangeKind::Created => ChangeKind::Created,
        pb::ChangeKind::Revised => ChangeKind::Revised,
        pb::ChangeKind::Sighted => ChangeKind::Sighted,
        pb::ChangeKind::Withdrawn => ChangeKind::Withdrawn,
        pb::ChangeKind::Reinstated => ChangeKind::Reinstated,
        pb::ChangeKind::RolledBack => ChangeKind::RolledBack,
        pb::ChangeKind::Aliased => ChangeKind::Aliased,
        pb::ChangeKind::Labelled => ChangeKind::Labelled,
        pb::ChangeKind::Absent => ChangeKind::Absent,
        pb::ChangeKind::UrlMoved => ChangeKind::UrlMoved,
        pb::ChangeKind::Expunged => ChangeKind::Expunged,
    })
}

/// Validates a filter of articles. An absent filter matches every article.
pub fn article_filter(message: Option<pb::ArticleFilter>, limits: &Limits) -> Result<ArticleFilter, FieldErrors> {
    let Some(message) = message else { return Ok(ArticleFilter::default()) };
    let counts = check_counts(&message);
    let sources = each("sources", &message.sources, SourceId::parse_name);
    let articles = each("articles", &message.articles, ArticleName::parse);
    let states = states(&message.states);
    let url_prefix = url_prefix(&message.url_prefix, limits);
    let observe_time = time_range("filter.observe_time", message.observe_time);
    let publish_time = time_range("filter.publish_time", message.publish_time);
    let changed_parts = content_parts("filter.changed_parts", &message.changed_parts);
    let (_, sources, articles, states, url_prefix, observe_time, publish_time, changed_parts) =
        all!(counts, sources, articles, states, url_prefix, observe_time, publish_time, changed_parts)?;
    Ok(ArticleFilter {
        sources,
        articles,
        states,
        languages: message.languages,
        labels: message.labels,
        url_prefix,
        observe_time,
        publish_time,
        changed_parts,
        within: SourceScope::all(),
    })
}

fn check_counts(message: &pb::ArticleFilter) -> Result<Vec<()>, FieldErrors> {
    let counts = [
        ("sources", message.sources.len()),
        ("articles", message.articles.len()),
        ("states", message.states.len()),
        ("languages", message.languages.len()),
        ("labels", message.labels.len()),
        ("changed_parts", message.changed_parts.len()),
    ];
    every(counts.into_iter().map(|(field, count)| {
        if count <= FILTER_VALUES_MAX {
            return Ok(());
        }
        let problem = format!("has {count} values; at most {FILTER_VALUES_MAX} are allowed");
        Err(FieldError::filter(format!("filter.{field}"), problem))
    }))
}

fn each<T, E: fmt::Display>(
    field: &str,
    values: &[String],
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, FieldErrors> {
    every(values.iter().enumerate().map(|(index, value)| {
        parse(value).map_err(|error| FieldError::filter(format!("filter.{field}[{index}]"), error))
    }))
}

/// Validates states; empty for every article: no state is given, or all are.
fn states(states: &[i32]) -> Result<Vec<ArticleState>, FieldErrors> {
    let mut states = every(states.iter().enumerate().map(|(index, state)| match pb::ArticleState::try_from(*state) {
        Ok(pb::ArticleState::Live) => Ok(ArticleState::Live),
        Ok(pb::ArticleState::Withdrawn) => Ok(ArticleState::Withdrawn),
        Ok(pb::ArticleState::Gone) => Ok(ArticleState::Gone),
        Ok(pb::ArticleState::Unspecified) | Err(_) => {
            Err(FieldError::filter(format!("filter.states[{index}]"), "is not a known state"))
        }
    }))?;
    states.sort_unstable();
    states.dedup();
    Ok(if states == ArticleState::ALL { Vec::new() } else { states })
}

/// Validates selected parts of a content in the field `path`.
pub fn content_parts(path: &str, parts: &[i32]) -> Result<ContentParts, FieldErrors> {
    let part = |(index, part): (usize, &i32)| {
        let unknown = || FieldError::filter(format!("{path}[{index}]"), "is not a known part of a content");
        pb::ContentPart::try_from(*part).ok().and_then(content_part).ok_or_else(unknown)
    };
    every(parts.iter().enumerate().map(part)).map(ContentParts::of)
}

fn content_part(part: pb::ContentPart) -> Option<ContentPart> {
    Some(match part {
        pb::ContentPart::Unspecified => return None,
        pb::ContentPart::Headline => ContentPart::Headline,
        pb::ContentPart::Standfirst => ContentPart::Standfirst,
        pb::ContentPart::Body => ContentPart::Body,
        pb::ContentPart::Captions => ContentPart::Captions,
        pb::ContentPart::Byline => ContentPart::Byline,
        pb::ContentPart::Section => ContentPart::Section,
        pb::ContentPart::Keywords => ContentPart::Keywords,
        pb::ContentPart::ClaimedTimes => ContentPart::ClaimedTimes,
        pb::ContentPart::Address => ContentPart::Address,
        pb::ContentPart::Markup => ContentPart::Markup,
        pb::ContentPart::Language => ContentPart::Language,
        pb::ContentPart::Rights => ContentPart::Rights,
    })
}

fn url_prefix(prefix: &str, limits: &Limits) -> Result<Option<UrlKey>, FieldError> {
    let path = "filter.url_prefix";
    match prefix {
        "" => Ok(None),
        url if url.len() > limits.url_bytes_max => Err(FieldError::filter(path, "is longer than the limit for URLs")),
        url => UrlKey::prefix_of(url).map(Some).map_err(|error| FieldError::filter(path, error)),
    }
}

fn time_range(path: &str, range: Option<pb::TimeRange>) -> Result<TimeRange, FieldErrors> {
    let Some(range) = range else { return Ok(TimeRange::default()) };
    let end_of = |field: &str, time: Option<prost_types::Timestamp>| {
        let path = format!("{path}.{field}");
        time.map(|time| timestamp(&path, &time)).transpose()
    };
    let start = end_of("start_time", range.start_time);
    let end = end_of("end_time", range.end_time);
    let (start, end): (Option<Timestamp>, Option<Timestamp>) = all!(start, end)?;
    match start.zip(end) {
        Some((start, end)) if start > end => {
            let problem = format!("the range starts at {start}, after its end at {end}");
            Err(FieldError::filter(path, problem).into())
        }
        _ => Ok(TimeRange { start, end }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: i64, end: i64) -> Result<TimeRange, FieldErrors> {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        time_range("filter.observe_time", Some(pb::TimeRange { start_time: at(start), end_time: at(end) }))
    }

    #[test]
    fn a_reversed_range_is_rejected_and_an_empty_one_is_not() {
        let errors = range(2, 1).unwrap_err();
        let [error] = errors.listed() else { panic!("{errors:?}") };
        assert_eq!((error.path.as_str(), error.kind.reason()), ("filter.observe_time", "FILTER_INVALID"));
        assert!(range(1, 1).is_ok());
        assert!(range(1, 2).is_ok());
    }
}
