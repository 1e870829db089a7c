//! Where addresses lead: what follows from one more entry, and questions about all entries of an address.
//!
//! Most addresses have one entry, or several of one article that each begin earlier than the one before. Both are
//! decided by the latest entry alone. Otherwise all entries of the address are read.

use crate::model::{ArticleKey, Seq, Timestamp, UrlKey};
use crate::store::address::{AddressSteps, UrlEntry};
use crate::store::engine::Direction;
use crate::store::{StoreError, Tables};

/// The number of periods over which an address leads to an article.
pub(crate) struct PeriodCounts {
    /// Before an entry.
    pub(crate) before: u32,
    /// With it.
    pub(crate) after: u32,
}

/// What an address says to a reader at an instant.
pub(crate) enum LookedUp {
    /// It leads to this article. Before the first time at which it leads somewhere, this is where it leads first.
    Article(ArticleKey),
    /// It leads nowhere, because it ended: the entry that says so.
    Ended(UrlEntry),
    /// Nothing is known of it.
    Unknown,
}

/// Looks an address up at an instant, as known below `below`.
pub(crate) fn look_up(tables: &Tables<'_>, url: &UrlKey, at: Timestamp, below: Seq) -> Result<LookedUp, StoreError> {
    let Some(entry) = tables.url_at(url, at, below)? else { return Ok(LookedUp::Unknown) };
    if entry.leads {
        return Ok(LookedUp::Article(entry.article));
    }
    if entry.covers(at) {
        return Ok(LookedUp::Ended(entry));
    }
    // Its first article lost it from the very first time on.
    let next = AddressSteps::of(&entries(tables, url, below)?).next_lead(at);
    Ok(next.map_or(LookedUp::Unknown, LookedUp::Article))
}

/// How often an address ended or came to lead to another article. An article that is found at it from ever earlier
/// times on counts once.
pub(crate) fn count_changes(entries: &[UrlEntry]) -> usize {
    let repeats = entries.windows(2).filter(|pair| match pair {
        [before, entry] => entry.leads && entry.lead() == before.lead(),
        _ => false,
    });
    entries.len().saturating_sub(repeats.count())
}

/// All entries of an address below `below`, in log order.
pub(crate) fn entries(tables: &Tables<'_>, url: &UrlKey, below: Seq) -> Result<Vec<UrlEntry>, StoreError> {
    tables.url_entries(url, Direction::Forward, below).collect()
}

/// Whether an entry that is about to be written says all that is known of the address: see [`UrlEntry::is_whole`].
pub(crate) fn is_whole(tables: &Tables<'_>, url: &UrlKey, entry: &UrlEntry) -> Result<bool, StoreError> {
    Ok(match tables.latest_url_entry(url, entry.seq)? {
        None => entry.leads,
        Some(known) => {
            known.is_whole && entry.lead() == known.lead() && entry.since < known.since && entry.until.is_none()
        }
    })
}

/// Counts the periods over which the address leads to the entry's article. Only entries of that article matter, so that
/// the projection of an article depends on its own changes alone.
pub(crate) fn count_periods(tables: &Tables<'_>, url: &UrlKey, entry: &UrlEntry) -> Result<PeriodCounts, StoreError> {
    if entry.is_whole {
        let is_known = tables.latest_url_entry(url, entry.seq)?.is_some();
        return Ok(PeriodCounts { before: u32::from(is_known), after: 1 });
    }
    let mut own = entries(tables, url, entry.seq)?;
    own.retain(|other| other.article == entry.article);
    let count =
        |own: &[UrlEntry]| u32::try_from(AddressSteps::of(own).periods(entry.article).len()).unwrap_or(u32::MAX);
    let before = count(&own);
    own.push(*entry);
    Ok(PeriodCounts { before, after: count(&own) })
}

/// The end of a period that begins at `at`, over which the address leads to `article`: see [`AddressSteps::end_of`].
pub(crate) fn end_of_period(
    tables: &Tables<'_>,
    url: &UrlKey,
    article: ArticleKey,
    at: Timestamp,
    below: Seq,
) -> Result<Option<Timestamp>, StoreError> {
    match tables.latest_url_entry(url, below)? {
        None => Ok(None),
        // Its one period has no end.
        Some(latest) if latest.is_whole && latest.article == article => Ok(None),
        Some(_) => Ok(AddressSteps::of(&entries(tables, url, below)?).end_of(article, at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_article_that_is_found_from_ever_earlier_times_on_counts_once() {
        let entry = |(article, leads, since): (u64, bool, i64)| {
            let since = Timestamp::from_micros(since).unwrap();
            UrlEntry { article: ArticleKey(article), leads, since, until: None, is_whole: false, seq: Seq::ZERO }
        };
        let count =
            |entries: &[(u64, bool, i64)]| count_changes(&entries.iter().copied().map(entry).collect::<Vec<_>>());
        assert_eq!(count(&[]), 0);
        assert_eq!(count(&[(0, true, 9), (0, true, 8), (0, true, 7)]), 1);
        assert_eq!(count(&[(0, true, 9), (0, false, 20), (1, true, 20), (1, true, 15), (0, true, 30)]), 4);
        assert_eq!(count(&[(0, true, 9), (0, false, 20), (0, false, 15)]), 3, "each end counts");
    }
}
