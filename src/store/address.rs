//! Where an address leads at each instant: a step function of the observe axis.
//!
//! Each entry of an address says where it leads over one period: to an article, or nowhere, because it ended there. A
//! later entry replaces earlier ones over its own period and leaves the rest as it is:
//!
//! ```text
//! entry 1   A ├──────────────────────────────▶      an observation at 5
//! entry 2             nowhere ├──────────────▶      ended at 10
//! entry 3           B ├───────┤                     moved at 7, which is late: from 10 on it still leads nowhere
//!
//!           A ├───────┤ B ────┤ nowhere ─────▶      what it says after all three
//!           5         7       10
//! ```
//!
//! Before its first entry, an address counts as leading where that entry says, if it says anywhere: nothing else is
//! known of it, and an article is often found at its address later than it was first seen.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::model::{ArticleKey, Seq, Timestamp};

/// What one change says of an address, over one period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlEntry {
    /// The article that the address leads to, or no longer leads to.
    pub article: ArticleKey,
    /// Whether it leads there; otherwise it leads nowhere, and led to this article before.
    pub leads: bool,
    /// The start of the period.
    pub since: Timestamp,
    /// The end of the period; `None` if it has none.
    pub until: Option<Timestamp>,
    /// Whether the entry alone says all that is known of the address: it is the first, or it says only that the article
    /// had the address from an earlier time on.
    pub is_whole: bool,
    /// The change that wrote the entry.
    pub seq: Seq,
}

/// Where an address leads over one period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead {
    /// The article that it leads to, or no longer leads to.
    pub article: ArticleKey,
    /// Whether it leads there; otherwise it leads nowhere.
    pub leads: bool,
}

/// A period over which an address leads to one article.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// The first instant.
    pub since: Timestamp,
    /// The first instant after the period; `None` if it has no end.
    pub until: Option<Timestamp>,
}

/// The step function of one address. Each step lasts until the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressSteps(BTreeMap<Timestamp, Lead>);

impl UrlEntry {
    /// Whether the instant is in the entry's period.
    pub fn covers(&self, at: Timestamp) -> bool {
        self.since <= at && self.until.is_none_or(|until| at < until)
    }

    /// Where the address leads over the period.
    pub fn lead(&self) -> Lead {
        Lead { article: self.article, leads: self.leads }
    }
}

impl AddressSteps {
    /// The steps that follow from `entries`, in log order.
    pub fn of(entries: &[UrlEntry]) -> Self {
        let mut steps = Self::default();
        for entry in entries {
            steps.set(Period { since: entry.since, until: entry.until }, entry.lead());
        }
        steps
    }

    /// Replaces what is known over `period`.
    pub fn set(&mut self, period: Period, lead: Lead) {
        let Period { since, until } = period;
        if let Some(until) = until {
            // The entries of one article do not say what follows.
            let after = self.at(until).unwrap_or(Lead { leads: false, ..lead });
            self.0.insert(until, after);
        }
        let from_since = self.0.range(since..).map(|(at, _)| *at);
        let replaced: Vec<Timestamp> = from_since.take_while(|at| until.is_none_or(|until| *at < until)).collect();
        for at in replaced {
            self.0.remove(&at);
        }
        self.0.insert(since, lead);
    }

    /// The step at an instant; `None` before the first.
    pub fn at(&self, at: Timestamp) -> Option<Lead> {
        self.0.range(..=at).next_back().map(|(_, lead)| *lead)
    }

    /// The article to which the address leads next after an instant.
    pub fn next_lead(&self, at: Timestamp) -> Option<ArticleKey> {
        let mut steps = self.0.range((Bound::Excluded(at), Bound::Unbounded));
        steps.find(|(_, lead)| lead.leads).map(|(_, lead)| lead.article)
    }

    /// The articles that it leads to over time, each with the period. Before the first step, it counts as leading where
    /// it leads first.
    pub fn leads(&self) -> Vec<(Period, ArticleKey)> {
        let first = self.0.values().find(|lead| lead.leads).map(|lead| (Timestamp::MIN, *lead));
        let mut leads: Vec<(Period, ArticleKey)> = Vec::new();
        let mut current: Option<(Timestamp, Lead)> = None;
        for (at, lead) in first.into_iter().chain(self.0.iter().map(|(at, lead)| (*at, *lead))) {
            if current.is_some_and(|(_, before)| before == lead) {
                continue;
            }
            let ended = current.replace((at, lead)).filter(|(_, before)| before.leads);
            leads.extend(ended.map(|(since, before)| (Period { since, until: Some(at) }, before.article)));
        }
        let last = current.filter(|(_, lead)| lead.leads);
        leads.extend(last.map(|(since, lead)| (Period { since, until: None }, lead.article)));
        leads
    }

    /// The end of a period that begins at `at`, over which the address leads to `article`: the next step that does not
    /// lead there.
    pub fn end_of(&self, article: ArticleKey, at: Timestamp) -> Option<Timestamp> {
        let own = Lead { article, leads: true };
        let mut steps = self.0.range((Bound::Excluded(at), Bound::Unbounded));
        steps.find(|(_, lead)| **lead != own).map(|(end, _)| *end)
    }

    /// The periods over which the address leads to `article`, in order. No two of them touch.
    pub fn periods(&self, article: ArticleKey) -> Vec<Period> {
        let own = Lead { article, leads: true };
        let mut periods: Vec<Period> = Vec::new();
        let mut since = None;
        for (at, lead) in &self.0 {
            match (since, *lead == own) {
                (None, true) => since = Some(*at),
                (Some(start), false) => {
                    periods.push(Period { since: start, until: Some(*at) });
                    since = None;
                }
                (None, false) | (Some(_), true) => {}
            }
        }
        periods.extend(since.map(|since| Period { since, until: None }));
        periods
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(tick: i64) -> Timestamp {
        Timestamp::from_micros(tick).unwrap()
    }

    fn entry((article, leads, since, length): (u64, bool, i64, Option<i64>)) -> UrlEntry {
        let until = length.map(|length| at(since + length));
        UrlEntry { article: ArticleKey(article), leads, since: at(since), until, is_whole: false, seq: Seq::ZERO }
    }

    fn ticks(periods: &[Period]) -> Vec<(i64, Option<i64>)> {
        periods.iter().map(|period| (period.since.micros(), period.until.map(Timestamp::micros))).collect()
    }

    #[test]
    fn a_late_move_replaces_only_its_own_period() {
        let entries =
            [(0, true, 5, None), (0, false, 10, None), (0, false, 7, Some(3)), (1, true, 7, Some(3))].map(entry);
        let steps = AddressSteps::of(&entries);
        assert_eq!(ticks(&steps.periods(ArticleKey(0))), [(5, Some(7))]);
        assert_eq!(ticks(&steps.periods(ArticleKey(1))), [(7, Some(10))]);
        assert_eq!(steps.at(at(12)), Some(Lead { article: ArticleKey(0), leads: false }));
        assert_eq!(steps.at(at(4)), None);
    }

    #[test]
    fn before_its_first_step_an_address_leads_where_it_leads_first() {
        let leads = |entries: &[(u64, bool, i64, Option<i64>)]| {
            let entries: Vec<_> = entries.iter().copied().map(entry).collect();
            let of_period = |(period, article): (Period, ArticleKey)| {
                let since = Some(period.since).filter(|since| *since > Timestamp::MIN).map(Timestamp::micros);
                (article.0, since, period.until.map(Timestamp::micros))
            };
            AddressSteps::of(&entries).leads().into_iter().map(of_period).collect::<Vec<_>>()
        };
        assert_eq!(leads(&[]), []);
        assert_eq!(leads(&[(0, true, 5, None)]), [(0, None, None)]);
        assert_eq!(leads(&[(0, false, 5, None)]), []);
        let moved = [(0, true, 5, None), (0, false, 10, None), (1, true, 20, None)];
        assert_eq!(leads(&moved), [(0, None, Some(10)), (1, Some(20), None)]);
        assert_eq!(leads(&[(0, false, 5, None), (1, true, 7, None)]), [(1, None, Some(5)), (1, Some(7), None)]);
    }

    /// The entries of one article alone do not say what the address leads to after a period that ends.
    #[test]
    fn a_period_ends_even_if_nothing_is_known_of_the_time_after_it() {
        let steps = AddressSteps::of(&[entry((0, true, 5, Some(5)))]);
        assert_eq!(ticks(&steps.periods(ArticleKey(0))), [(5, Some(10))]);
    }

    #[test]
    fn a_period_reaches_to_the_next_step_or_takes_over_its_own() {
        let steps = AddressSteps::of(&[(0, true, 5, None), (0, false, 10, None), (1, true, 20, None)].map(entry));
        let end_of = |article, tick| steps.end_of(ArticleKey(article), at(tick)).map(Timestamp::micros);
        assert_eq!(end_of(0, 6), Some(10), "the rest of its own period");
        assert_eq!(end_of(0, 2), Some(10), "its own period, from earlier on");
        assert_eq!(end_of(1, 2), Some(5), "until it leads elsewhere");
        assert_eq!(end_of(0, 12), Some(20));
        assert_eq!(end_of(1, 12), None);
        assert_eq!(end_of(2, 30), None);
    }

    proptest! {
        /// The same at every instant as looking for the latest entry that covers it.
        #[test]
        fn the_latest_entry_that_covers_an_instant_counts(
            parts in proptest::collection::vec((0..3_u64, any::<bool>(), 0..12_i64, proptest::option::of(1..8_i64)), 1..8),
        ) {
            // An entry without an end begins, so that none ends where nothing is known.
            let mut entries = vec![entry((0, true, 0, None))];
            entries.extend(parts.into_iter().map(entry));
            let steps = AddressSteps::of(&entries);
            for tick in 0..25 {
                let covering = entries.iter().rfind(|entry| entry.covers(at(tick))).map(UrlEntry::lead);
                prop_assert_eq!(steps.at(at(tick)), covering);
                for article in (0..3).map(ArticleKey) {
                    let inside = |period: &Period| period.since <= at(tick) && period.until.is_none_or(|until| at(tick) < until);
                    let leads = steps.periods(article).iter().any(inside);
                    prop_assert_eq!(leads, covering == Some(Lead { article, leads: true }));
                }
            }
        }
    }
}
