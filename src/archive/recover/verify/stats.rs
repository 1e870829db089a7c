//! Checks the stored stats of sources against those that follow from the log.
//!
//! The stats are one mutable value per source, so a value can only be compared at the change that wrote it. Stats are
//! read before the log, and each is compared when the log reaches its change.

use std::collections::BTreeMap;

use crate::archive::project::sources::SourceTotals;
use crate::archive::recover::verify::report::{Stopped, VerificationReport};
use crate::model::verification::{Finding, Table};
use crate::model::{Change, Seq, SourceId};
use crate::store::Tables;

/// The stats as stored. They are read before the log, so they cover everything that was durable by then.
pub(crate) struct StoredStats {
    sources: BTreeMap<SourceId, StatsComparison>,
    /// The durable tail before the stats were read.
    durable_tail: Seq,
}

/// How far a source's stats have been compared.
enum StatsComparison {
    /// The log has not reached the change that wrote the stats yet.
    Stored(SourceTotals),
    /// The stats match the log at the change that wrote them.
    Compared,
    /// A finding was reported.
    Reported,
}

impl StoredStats {
    /// Reads the stats of all sources. Everything below `durable_tail` must have been durable before.
    pub(crate) fn read(
        tables: &Tables<'_>,
        durable_tail: Seq,
        report: &mut VerificationReport<'_>,
    ) -> Result<Self, Stopped> {
        let mut sources = BTreeMap::new();
        for source in tables.sources(None, Seq(u64::MAX)) {
            let stats = source.and_then(|(source, _)| Ok((tables.source_stats(&source)?, source)));
            match stats {
                Ok((Some(stats), source)) => drop(sources.insert(source, StatsComparison::Stored(stats))),
                Ok((None, _)) => {}
                Err(error) => report.add_error(Table::Source, None, None, error)?,
            }
        }
        let mut stored = Self { sources, durable_tail };
        stored.report_impossible(tables, report)?;
        Ok(stored)
    }

    /// Reports stats that were written by a change after the end of the log.
    fn report_impossible(&mut self, tables: &Tables<'_>, report: &mut VerificationReport<'_>) -> Result<(), Stopped> {
        let end = match tables.last_change() {
            Ok(last) => last.map_or(Seq::ZERO, |last| last.seq.next()),
            // The pass over the log reports this error.
            Err(_) => self.durable_tail,
        };
        for (source, state) in &mut self.sources {
            if matches!(state, StatsComparison::Stored((last, _)) if last.seq >= end) {
                report.add(finding(source, None, "those of a change after the end of the log"))?;
                *state = StatsComparison::Reported;
            }
        }
        Ok(())
    }

    /// The position up to which the log must be read to compare all stats.
    pub(crate) fn end(&self) -> Seq {
        let each = self.sources.values().filter_map(|state| match state {
            StatsComparison::Stored((last, _)) => Some(last.seq.next()),
            StatsComparison::Compared | StatsComparison::Reported => None,
        });
        each.max().unwrap_or(Seq::ZERO).max(self.durable_tail)
    }

    /// Compares the stats of a change's source, if this change wrote them. `expected` are the stats after the change.
    /// Must be called for every change, in log order.
    pub(crate) fn compare(
        &mut self,
        change: &Change,
        expected: SourceTotals,
        report: &mut VerificationReport<'_>,
    ) -> Result<(), Stopped> {
        let source = &change.entry.name.source;
        let is_durable = change.seq < self.durable_tail;
        let (state, found) = match self.sources.get(source) {
            Some(StatsComparison::Stored((last, _))) if last.seq > change.seq => return Ok(()),
            Some(StatsComparison::Stored(stats)) if *stats == expected => (StatsComparison::Compared, None),
            Some(StatsComparison::Stored(_)) => (StatsComparison::Reported, Some("different from what the log says")),
            Some(StatsComparison::Compared) if is_durable => (StatsComparison::Reported, Some("older than the log")),
            None if is_durable => (StatsComparison::Reported, Some("missing")),
            Some(StatsComparison::Compared | StatsComparison::Reported) | None => return Ok(()),
        };
        if let Some(found) = found {
            report.add(finding(source, Some(change.seq), found))?;
        }
        self.sources.insert(source.clone(), state);
        Ok(())
    }

    /// Reports stats that no change of the log accounts for.
    pub(crate) fn finish(&self, report: &mut VerificationReport<'_>) -> Result<(), Stopped> {
        for (source, state) in &self.sources {
            if let StatsComparison::Stored((last, _)) = state {
                report.add(finding(source, Some(last.seq), "those of a change that does not belong to the source"))?;
            }
        }
        Ok(())
    }
}

fn finding(source: &SourceId, seq: Option<Seq>, found: &str) -> Finding {
    Finding { table: Table::Source, seq, article: None, detail: format!("the stats of sources/{source} are {found}") }
}
