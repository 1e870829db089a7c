//! Whether a subscriber wants a change.

use crate::archive::changefeed::cached_change::{FeedEntry, Stand};
use crate::archive::read::article::urls;
use crate::archive::read::matching::asks_for_attributes;
use crate::archive::read::matching::attributes_pass;
use crate::archive::read::matching::name_passes;
use crate::archive::read::matching::state_passes;
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{Change, ChangeKind, FeedQuery};

/// A change that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fit {
    /// The article matched before the change, and no longer does.
    pub(crate) left_filter: bool,
}

/// Whether the query takes in a change: its article matches after it, or did before.
pub(crate) fn fit(reader: &Reader<'_>, query: &FeedQuery, entry: &FeedEntry) -> Result<Option<Fit>, ReadError> {
    let asked_for = query.kinds.contains(ChangeKind::of(&entry.change));
    let may_cross = query.kinds.is_default();
    if !(asked_for || may_cross) || !name_passes(&query.filter, &entry.change.entry.name) {
        return Ok(None);
    }
    if !asks_for_attributes(&query.filter) {
        return Ok(asked_for.then_some(Fit { left_filter: false }));
    }
    let stands = entry.stands(reader)?;
    let (was, is) = (stands.before.as_ref().is_some_and(|it| passes(query, it)), passes(query, &stands.after));
    if !(was || is) {
        return Ok(None);
    }
    let (led, leads) = urls_pass(reader, query, &entry.change)?;
    let (before, after) = (was && led, is && leads);
    let is_wanted = (before || after) && (asked_for || before != after);
    Ok(is_wanted.then_some(Fit { left_filter: before && !after }))
}

/// Whether an article that stands so matches the filter, but for its URLs.
fn passes(query: &FeedQuery, stand: &Stand) -> bool {
    state_passes(&query.filter, stand.withdrawn, stand.since) && attributes_pass(&query.filter, &stand.created_by)
}

/// Whether a URL that the filter asks for leads to the article before a change, and after it: a change can add one.
fn urls_pass(reader: &Reader<'_>, query: &FeedQuery, change: &Change) -> Result<(bool, bool), ReadError> {
    let Some(prefix) = &query.filter.url_prefix else { return Ok((true, true)) };
    let Some(head) = reader.head(&change.entry.name)? else { return Ok((false, false)) };
    let led = urls(reader, &head, change.seq)?.iter().any(|(url, _)| url.key.starts_with(prefix));
    Ok((led, led || change.entry.bound_urls.iter().any(|url| url.key.starts_with(prefix))))
}
