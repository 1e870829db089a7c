//! What a filter says of an article, from its name and the attributes that the log keeps.

use crate::model::filter::language_matches;
use crate::model::{ArticleFilter, ArticleName, Change, Timestamp};

/// What the filter says of the name alone.
pub(crate) fn name_passes(filter: &ArticleFilter, name: &ArticleName) -> bool {
    (filter.sources.is_empty() || filter.sources.contains(&name.source))
        && (filter.articles.is_empty() || filter.articles.contains(name))
}

/// Whether the filter asks for more than a name.
pub(crate) fn asks_for_attributes(filter: &ArticleFilter) -> bool {
    let ArticleFilter { sources: _, articles: _, withdrawn, languages, labels, url_prefix, observe_time, publish_time } =
        filter;
    withdrawn.is_some()
        || !languages.is_empty()
        || !labels.is_empty()
        || url_prefix.is_some()
        || !observe_time.is_unbounded()
        || !publish_time.is_unbounded()
}

/// What the filter says of an article in this state, whose revision in force is so since `since`.
pub(crate) fn state_passes(filter: &ArticleFilter, withdrawn: bool, since: Timestamp) -> bool {
    filter.withdrawn.is_none_or(|wanted| wanted == withdrawn) && filter.observe_time.contains(Some(since))
}

/// What the filter says of the attributes of a revision, which `made` made. URLs are not looked at.
pub(crate) fn attributes_pass(filter: &ArticleFilter, made: &Change) -> bool {
    let Some(record) = made.entry.new_revision.as_deref() else { return false };
    let publish_time = record.publish_time.as_ref().map(|claim| claim.time);
    let speaks = |range: &String| language_matches(range, &record.language);
    (filter.languages.is_empty() || filter.languages.iter().any(speaks))
        && (filter.labels.is_empty() || filter.labels.iter().any(|label| record.labels.contains(label)))
        && filter.publish_time.contains(publish_time)
}
