//! Decides whether a change matches a subscriber's query.
//!
//! A change matches if it is selected and its article matches the filter after the change, or did before. Selected are
//! the changes of the requested kinds, except revisions that changed none of the requested parts. If the query leaves
//! the kinds at their default, a change is also selected if it alters the article's newest state, and it also matches
//! when it makes the article enter or leave the filter; `left_filter` tells the subscriber of the latter, so that it
//! can drop the article. Whether an article matches does not depend on changed parts.
//!
//! Only log records are read, never contents, and only the article's state just before and after the change counts. So
//! the result is the same whenever the change is read. The cheap checks come first: name, then state and attributes,
//! then URLs.

use crate::archive::changefeed::entry::{FeedEntry, FilterState};
use crate::archive::read::article::{labels_of, urls};
use crate::archive::read::matching::{
    attributes_pass, changed_parts_pass, checks_attributes, labels_pass, name_passes, state_passes,
};
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{Change, ChangeKind, FeedQuery};

/// The result for a change that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FilterMatch {
    /// Whether the article matched before the change and no longer does.
    pub(crate) left_filter: bool,
}

/// Checks a change against the query; `None` if it does not match.
pub(crate) fn filter_match(
    reader: &Reader<'_>,
    query: &FeedQuery,
    entry: &FeedEntry,
) -> Result<Option<FilterMatch>, ReadError> {
    let (kinds, change) = (query.kinds, &entry.change);
    let is_requested = kinds.contains(ChangeKind::of(change)) && changed_parts_pass(query.filter.changed_parts, change);
    let is_selected = is_requested || kinds.is_default() && change.alters_state();
    let may_cross = query.kinds.is_default();
    if !(is_selected || may_cross) || !name_passes(&query.filter, &entry.change.entry.name) {
        return Ok(None);
    }
    if !checks_attributes(&query.filter) {
        return Ok(is_selected.then_some(FilterMatch { left_filter: false }));
    }
    let filter_states = entry.filter_states(reader)?;
    let before = filter_states.before.as_ref().is_some_and(|article| passes(query, article));
    let after = passes(query, &filter_states.after);
    if !(before || after) {
        return Ok(None);
    }
    let (url_before, url_after) = urls_pass(reader, query, &entry.change)?;
    let (before, after) = (before && url_before, after && url_after);
    let is_match = (before || after) && (is_selected || before != after);
    Ok(is_match.then_some(FilterMatch { left_filter: before && !after }))
}

/// Whether an article in this state matches the filter, URLs left out.
fn passes(query: &FeedQuery, article: &FilterState) -> bool {
    state_passes(&query.filter, article.state)
        && labels_pass(&query.filter, labels_of(article.labelled_by.as_ref()))
        && attributes_pass(&query.filter, &article.created_by)
}

/// Whether a URL with the filter's prefix leads to the article, before the change and after it.
fn urls_pass(reader: &Reader<'_>, query: &FeedQuery, change: &Change) -> Result<(bool, bool), ReadError> {
    let Some(prefix) = &query.filter.url_prefix else { return Ok((true, true)) };
    let Some(head) = reader.head(&change.entry.name)? else { return Ok((false, false)) };
    let passes = |below| -> Result<bool, ReadError> {
        for led in urls(reader, &head, below)? {
            if led.url.key.starts_with(prefix) && led.lead_at(reader, head.article, None, below)? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let before = passes(change.seq)?;
    let is_of_urls = !(change.entry.bound_urls.is_empty() && change.entry.ended_urls.is_empty());
    let after = if is_of_urls { passes(change.seq.next())? } else { before };
    Ok((before, after))
}
