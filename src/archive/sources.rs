//! The figures of sources, as they follow from the log.

use std::collections::BTreeMap;

use crate::model::{Change, ChangeEntry, ChangeKind, Seq, SourceId};
use crate::store::figures::SourceFigures;

/// A source's figures, and as they were before the last commit that changed them.
pub(super) type Figures = (SourceFigures, Option<SourceFigures>);

/// A source's figures with a change, which follows those that are known of it.
pub(super) fn with_change(known: Option<Figures>, seq: Seq, entry: &ChangeEntry) -> Figures {
    let created = u64::from(entry.kind == ChangeKind::Created);
    let figures = SourceFigures {
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
    (figures, before)
}

/// The figures of all sources as the log gives them.
#[derive(Debug, Default)]
pub(super) struct Sources(BTreeMap<SourceId, Figures>);

impl Sources {
    /// Takes in the next change of the log, and answers its source's figures with it.
    pub(super) fn take_in(&mut self, change: &Change) -> Figures {
        let source = &change.entry.name.source;
        let figures = with_change(self.0.get(source).copied(), change.seq, &change.entry);
        self.0.insert(source.clone(), figures);
        figures
    }

    /// Whether the log has changes of a source.
    pub(super) fn contains(&self, source: &SourceId) -> bool {
        self.0.contains_key(source)
    }
}
