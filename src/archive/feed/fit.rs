//! Whether a subscriber wants a change.

use super::entry::{FeedEntry, Stand};
use crate::archive::lookup::{Lookup, LookupError};
use crate::archive::matching::{asks_for_attributes, name_passes, state_passes};
use crate::archive::read::urls;
use crate::model::{FeedKind, FeedQuery, Seq};

/// A change that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    /// The article matched before the change, and no longer does.
    pub(super) left_filter: bool,
}

/// Whether the query takes in a change: its article matches after it, or did before.
pub(super) fn fit(lookup: &Lookup<'_>, query: &FeedQuery, entry: &FeedEntry) -> Result<Option<Fit>, LookupError> {
    let asked_for = query.kinds.contains(FeedKind::of(&entry.change));
    let may_cross = query.kinds.is_default();
    if !(asked_for || may_cross) || !name_passes(&query.filter, &entry.change.entry.name) {
        return Ok(None);
    }
    if !asks_for_attributes(&query.filter) {
        return Ok(asked_for.then_some(Fit { left_filter: false }));
    }
    let seq = entry.change.seq;
    let stands = entry.stands(lookup)?;
    let before = match &stands.before {
        Some(before) => matches(lookup, query, entry, before, seq)?,
        None => false,
    };
    let after = matches(lookup, query, entry, &stands.after, seq.next())?;
    let is_wanted = (before || after) && (asked_for || before != after);
    Ok(is_wanted.then_some(Fit { left_filter: before && !after }))
}

/// Whether an article that stands so, as known below `bound`, matches the filter's attributes.
fn matches(
    lookup: &Lookup<'_>,
    query: &FeedQuery,
    entry: &FeedEntry,
    stand: &Stand,
    bound: Seq,
) -> Result<bool, LookupError> {
    let filter = &query.filter;
    if !state_passes(filter, stand.withdrawn, stand.since, &stand.made) {
        return Ok(false);
    }
    let Some(prefix) = &filter.url_prefix else { return Ok(true) };
    let Some(head) = lookup.head(&entry.change.entry.name)? else { return Ok(false) };
    Ok(urls(lookup, &head, bound)?.iter().any(|(url, _)| url.key.starts_with(prefix)))
}
