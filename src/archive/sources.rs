//! The figures of sources, as they follow from the log.

use std::collections::BTreeMap;

use crate::model::{Change, ChangeKind, SourceId};
use crate::store::figures::SourceFigures;

/// A source's figures, and as they were before the last commit that changed them.
pub(super) type Figures = (SourceFigures, Option<SourceFigures>);

/// The figures of all sources as the log gives them.
#[derive(Debug, Default)]
pub(super) struct Sources(BTreeMap<SourceId, Figures>);

impl Sources {
    /// Takes in the next change of the log, and answers its source's figures with it.
    pub(super) fn take_in(&mut self, change: &Change) -> Figures {
        let entry = &change.entry;
        let known = self.0.get(&entry.name.source).copied();
        let created = u64::from(entry.kind == ChangeKind::Created);
        let figures = SourceFigures {
            seq: change.seq,
            articles: known.map_or(0, |(last, _)| last.articles) + created,
            first_archive_time: known.map_or(entry.archive_time, |(last, _)| last.first_archive_time),
            latest_archive_time: entry.archive_time,
        };
        // A commit has one archive time.
        let before = match known {
            Some((last, before)) if last.latest_archive_time == entry.archive_time => before,
            Some((last, _)) => Some(last),
            None => None,
        };
        self.0.insert(entry.name.source.clone(), (figures, before));
        (figures, before)
    }

    /// Whether the log has changes of a source.
    pub(super) fn contains(&self, source: &SourceId) -> bool {
        self.0.contains_key(source)
    }
}
