//! What the log says about one article, found by going through all its changes.

use std::collections::BTreeMap;

use dateline::model::{Change, LogKind, Timestamp, UrlKey};

/// The changes of one article, in log order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Naive<'a>(pub(super) &'a [&'a Change]);

/// The revision in force at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InForce {
    pub(super) revision: u32,
    pub(super) since: Timestamp,
    pub(super) until: Option<Timestamp>,
}

impl<'a> Naive<'a> {
    /// Restricts the changes to those below a position.
    pub(super) fn below(self, bound: u64) -> Self {
        Self(&self.0[..self.0.partition_point(|change| change.seq.0 < bound)])
    }

    /// Each instant with an observation, and the revision that was last recorded for it.
    fn looks(self) -> BTreeMap<Timestamp, u32> {
        let seen = self.0.iter().filter(|change| is_look(change.entry.kind));
        seen.map(|change| (change.entry.observe_time, change.entry.revision.unwrap().get())).collect()
    }

    /// The revision in force at an instant, or at the end of the axis.
    pub(super) fn in_force(self, at: Option<Timestamp>) -> Option<InForce> {
        let looks = self.looks();
        let at = at.unwrap_or(Timestamp::MAX);
        let (_, revision) = looks.range(..=at).next_back()?;
        let other = |look: &(&Timestamp, &u32)| look.1 != revision;
        let before = looks.range(..=at).rev().find(other).map(|(time, _)| *time);
        let mut same = looks.range(..=at).filter(|(time, _)| before.is_none_or(|before| **time > before));
        let since = same.next().map(|(time, _)| *time)?;
        let until = looks.iter().filter(|(time, _)| **time > at).find(other).map(|(time, _)| *time);
        Some(InForce { revision: *revision, since, until })
    }

    pub(super) fn withdrawn(self, at: Option<Timestamp>) -> bool {
        let marks = self.0.iter().filter(|change| is_mark(change.entry.kind));
        let marks = marks.filter(|change| at.is_none_or(|at| change.entry.observe_time <= at));
        let last = marks.max_by_key(|change| (change.entry.observe_time, change.seq));
        last.is_some_and(|last| last.entry.kind == LogKind::Withdrawn)
    }

    /// The changes that created revisions: revision n is at index n - 1.
    pub(super) fn makers(self) -> Vec<&'a Change> {
        self.0.iter().copied().filter(|change| change.entry.new_revision.is_some()).collect()
    }

    /// The URLs, in the order in which they became known.
    pub(super) fn urls(self) -> Vec<UrlKey> {
        let mut keys: Vec<UrlKey> = Vec::new();
        for url in self.0.iter().flat_map(|change| &change.entry.bound_urls) {
            if !keys.contains(&url.url.key) {
                keys.push(url.url.key.clone());
            }
        }
        keys
    }
}

fn is_look(kind: LogKind) -> bool {
    matches!(kind, LogKind::Created | LogKind::Revised | LogKind::RolledBack | LogKind::Sighted)
}

fn is_mark(kind: LogKind) -> bool {
    matches!(kind, LogKind::Withdrawn | LogKind::Reinstated)
}
