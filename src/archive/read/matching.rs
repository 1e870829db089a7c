//! Matches articles against a filter, by their name, their state and the attributes that the log has.
//!
//! The checks are separate functions, so that callers can make the cheapest ones first. Contents are never read.

use crate::model::filter::language_matches;
use crate::model::{ArticleFilter, ArticleName, ArticleState, Change, ContentParts, Timestamp};

/// The part of an article's state that a filter checks without reading the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StateInForce {
    pub(crate) state: ArticleState,
    /// The observe time from which the revision is in force.
    pub(crate) since: Timestamp,
}

/// Whether the name matches. This is all there is to check unless [`checks_attributes`].
pub(crate) fn name_passes(filter: &ArticleFilter, name: &ArticleName) -> bool {
    filter.within.has(&name.source)
        && (filter.sources.is_empty() || filter.sources.contains(&name.source))
        && (filter.articles.is_empty() || filter.articles.contains(name))
}

/// Whether the filter selects articles by anything other than the name and the [changed parts](changed_parts_pass).
pub(crate) fn checks_attributes(filter: &ArticleFilter) -> bool {
    let ArticleFilter {
        sources: _,
        articles: _,
        states,
        languages,
        labels,
        url_prefix,
        observe_time,
        publish_time,
        changed_parts: _,
        within: _,
    } = filter;
    !states.is_empty()
        || !languages.is_empty()
        || !labels.is_empty()
        || url_prefix.is_some()
        || !observe_time.is_unbounded()
        || !publish_time.is_unbounded()
}

/// Whether an article in this state matches.
pub(crate) fn state_passes(filter: &ArticleFilter, state: StateInForce) -> bool {
    (filter.states.is_empty() || filter.states.contains(&state.state))
        && filter.observe_time.contains(Some(state.since))
}

/// Whether the attributes of the revision that `created_by` created match. Labels, URLs and changed parts are not
/// checked here.
pub(crate) fn attributes_pass(filter: &ArticleFilter, created_by: &Change) -> bool {
    let Some(record) = created_by.entry.new_revision.as_deref() else { return false };
    let publish_time = record.publish_time.as_ref().map(|claim| claim.time);
    let language_passes = |range: &String| language_matches(range, &record.language);
    (filter.languages.is_empty() || filter.languages.iter().any(language_passes))
        && filter.publish_time.contains(publish_time)
}

/// Whether the revision that a change created changed one of the selected parts. A change that creates no revision
/// passes.
pub(crate) fn changed_parts_pass(selected: ContentParts, change: &Change) -> bool {
    change.entry.new_revision.as_deref().is_none_or(|revision| revision.has_changed(selected))
}

/// Whether an article with these labels matches.
pub(crate) fn labels_pass(filter: &ArticleFilter, labels: &[String]) -> bool {
    filter.labels.is_empty() || filter.labels.iter().any(|label| labels.contains(label))
}
