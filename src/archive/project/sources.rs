//! The figures of sources, as they follow from the log.

use std::collections::BTreeMap;

use crate::model::{Change, ChangeEntry, LogKind, Seq, SourceId};
use crate::store::stats::SourceStats;

/// A source's figures, and as they were before the last commit that changed them.
pub(crate) type Figures = (SourceStats, Option<SourceStats>);

/// A source's figures with a change, which follows those that are known of it.
pub(crate) fn with_change(known: Option<Figures>, seq: Seq, entry: &ChangeEntry) -> Figures {
    let created = u64::from(entry.kind == LogKind::Created);
    let stats = SourceStats {
        seq,
        articles: known.map_or(0, |(last, _)| last.articles) + created,
        first_archive_time: known.map_or(entry.archive_time, |(last, _)| last.first_archive_time),
        latest_archive_time: entry.archive_time,
    };
    // A commit has one archive time, which no other has.
    let before = match known {
        Some((last, before)) if last.latest_archive_time == entry.archive_time => before,
        Some((last, _)) => Some(last),
        None => None,
    };
    (stats, before)
}

/// The figures of all sources as the log gives them.
#[derive(Debug, Default)]
pub(crate) struct Sources(BTreeMap<SourceId, Figures>);

impl Sources {
    /// Takes in the next change of the log, and answers its source's figures with it.
    pub(crate) fn take_in(&mut self, change: &Change) -> Figures {
        let source = &change.entry.name.source;
        let stats = with_change(self.0.get(source).copied(), change.seq, &change.entry);
        self.0.insert(source.clone(), stats);
        stats
    }

    /// Whether the log has changes of a source.
    pub(crate) fn contains(&self, source: &SourceId) -> bool {
        self.0.contains_key(source)
    }
}
