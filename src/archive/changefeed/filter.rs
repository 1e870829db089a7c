//! Decides whether a change matches a subscriber's query.
//!
//! A change matches if its kind is selected and its article matches the filter after the change, or did before. If the
//! query leaves the kinds at their default, it also matches when the change makes the article enter or leave the
//! filter; `left_filter` tells the subscriber of the latter, so that it can drop the article.
//!
//! Only log records are read, never contents, and only the article's state just before and after the change counts. So
//! the result is the same whenever the change is read. The cheap checks come first: name, then state and attributes,
//! then URLs.

use crate::archive::changefeed::entry::{FeedEntry, FilterState};

use crate::archive::read::article::urls;
use crate::archive::read::matching::asks_for_attributes;
use crate::archive::read::matching::attributes_pass;
use crate::archive::read::matching::name_passes;
use crate::archive::read::matching::state_passes;
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{Change, ChangeKind, FeedQuery};

/// The result for a change that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FilterMatch {
    /// Whether the article matched before the change and no longer does.
    pub(crate) left_filter: bool,
}

/// Checks a change against the query; `None` if it does not match.
pub(crate) fn fit(reader: &Reader<'_>, query: &FeedQuery, entry: &FeedEntry) -> Result<Option<FilterMatch>, ReadError> {
    let asked_for = query.kinds.contains(ChangeKind::of(&entry.change));
    let may_cross = query.kinds.is_default();
    if !(asked_for || may_cross) || !name_passes(&query.filter, &entry.change.entry.name) {
        return Ok(None);
    }
    if !asks_for_attributes(&query.filter) {
        return Ok(asked_for.then_some(FilterMatch { left_filter: false }));
    }
    let filter_states = entry.filter_states(reader)?;
    let (was, is) =
        (filter_states.before.as_ref().is_some_and(|it| passes(query, it)), passes(query, &filter_states.after));
    if !(was || is) {
        return Ok(None);
    }
    let (led, leads) = urls_pass(reader, query, &entry.change)?;
    let (before, after) = (was && led, is && leads);
    let is_wanted = (before || after) && (asked_for || before != after);
    Ok(is_wanted.then_some(FilterMatch { left_filter: before && !after }))
}

/// Whether an article in this state matches the filter, URLs left out.
fn passes(query: &FeedQuery, stand: &FilterState) -> bool {
    state_passes(&query.filter, stand.withdrawn, stand.since) && attributes_pass(&query.filter, &stand.created_by)
}

/// Whether the article has a URL with the filter's prefix, before the change and after it. A change can add URLs but
/// never removes one.
fn urls_pass(reader: &Reader<'_>, query: &FeedQuery, change: &Change) -> Result<(bool, bool), ReadError> {
    let Some(prefix) = &query.filter.url_prefix else { return Ok((true, true)) };
    let Some(head) = reader.head(&change.entry.name)? else { return Ok((false, false)) };
    let led = urls(reader, &head, change.seq)?.iter().any(|(url, _)| url.key.starts_with(prefix));
    Ok((led, led || change.entry.bound_urls.iter().any(|url| url.key.starts_with(prefix))))
}
