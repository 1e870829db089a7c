//! The stats of sources, as they follow from the log.

use std::collections::BTreeMap;

use crate::model::{Change, ChangeEntry, LogKind, Seq, SourceId};
use crate::store::stats::SourceStats;

/// A source's stats, and its stats before the last commit that changed them. The engine may show a commit that is not
/// durable yet; readers whose bound is below that commit use the earlier stats.
pub(crate) type SourceTotals = (SourceStats, Option<SourceStats>);

/// Returns a source's stats after a change. `previous` are its stats before that change; `None` if the change is the
/// source's first.
pub(crate) fn with_change(previous: Option<SourceTotals>, seq: Seq, entry: &ChangeEntry) -> SourceTotals {
    let created = u64::from(entry.kind == LogKind::Created);
    let stats = SourceStats {
        seq,
        articles: previous.map_or(0, |(last, _)| last.articles) + created,
        first_archive_time: previous.map_or(entry.archive_time, |(last, _)| last.first_archive_time),
        latest_archive_time: entry.archive_time,
    };
    // Changes with the same archive time belong to the same commit.
    let before = match previous {
        Some((last, before)) if last.latest_archive_time == entry.archive_time => before,
        Some((last, _)) => Some(last),
        None => None,
    };
    (stats, before)
}

/// The stats of all sources, computed from the log.
#[derive(Debug, Default)]
pub(crate) struct Sources(BTreeMap<SourceId, SourceTotals>);

impl Sources {
    /// Adds the next change of the log. Returns the stats of its source after it.
    pub(crate) fn apply(&mut self, change: &Change) -> SourceTotals {
        let source = &change.entry.name.source;
        let stats = with_change(self.0.get(source).copied(), change.seq, &change.entry);
        self.0.insert(source.clone(), stats);
        stats
    }

    /// Whether any change so far belongs to `source`.
    pub(crate) fn contains(&self, source: &SourceId) -> bool {
        self.0.contains_key(source)
    }
}
