//! Checks the stored stats of sources against those that follow from the log.
//!
//! The stats are one mutable value per source, so a value can only be compared at the change that wrote it. Stats are
//! read before the log, and each is compared when the log reaches its change.

use std::collections::BTreeMap;

use crate::archive::project::sources::SourceTotals;
use crate::archive::recover::verify::report::{Report, Stopped};
use crate::model::verification::{Finding, Table};
use crate::model::{Change, Seq, SourceId};
use crate::store::Tables;

/// The stats as stored. They are read before the log, so they cover everything that was durable by then.
pub(crate) struct StoredStats {
    sources: BTreeMap<SourceId, State>,
    durable: Seq,
}

/// How far a source's stats have been compared.
enum State {
    /// The log has not reached their change yet.
    Stored(SourceTotals),
    /// They match the log at their change.
    Compared,
    /// A finding was reported.
    Reported,
}

impl StoredStats {
    /// Reads the stats of all sources. Everything below `durable` must have been durable before.
    pub(crate) fn read(tables: &Tables<'_>, durable: Seq, report: &mut Report<'_>) -> Result<Self, Stopped> {
        let mut sources = BTreeMap::new();
        for source in tables.sources(None, Seq(u64::MAX)) {
            let stats = source.and_then(|(source, _)| Ok((tables.source_stats(&source)?, source)));
            match stats {
                Ok((Some(stats), source)) => drop(sources.insert(source, State::Stored(stats))),
                Ok((None, _)) => {}
                Err(error) => report.find_error(Table::Source, (None, None), error)?,
            }
        }
        let mut stored = Self { sources, durable };
        stored.refuse_impossible(tables, report)?;
        Ok(stored)
    }

    /// Reports stats of a change after the end of the log.
    fn refuse_impossible(&mut self, tables: &Tables<'_>, report: &mut Report<'_>) -> Result<(), Stopped> {
        let end = match tables.last_change() {
            Ok(last) => last.map_or(Seq::ZERO, |last| last.seq.next()),
            // The pass over the log reports this error.
            Err(_) => self.durable,
        };
        for (source, state) in &mut self.sources {
            if matches!(state, State::Stored((last, _)) if last.seq >= end) {
                report.find(finding(source, None, "those of a change after the end of the log"))?;
                *state = State::Reported;
            }
        }
        Ok(())
    }

    /// The position up to which the log must be read to compare all stats.
    pub(crate) fn end(&self) -> Seq {
        let each = self.sources.values().filter_map(|state| match state {
            State::Stored((last, _)) => Some(last.seq.next()),
            State::Compared | State::Reported => None,
        });
        each.max().unwrap_or(Seq::ZERO).max(self.durable)
    }

    /// Takes the next change of the log. `expected` are the stats of its source after it.
    pub(crate) fn meet(
        &mut self,
        change: &Change,
        expected: SourceTotals,
        report: &mut Report<'_>,
    ) -> Result<(), Stopped> {
        let source = &change.entry.name.source;
        let is_durable = change.seq < self.durable;
        let (state, found) = match self.sources.get(source) {
            Some(State::Stored((last, _))) if last.seq > change.seq => return Ok(()),
            Some(State::Stored(stats)) if *stats == expected => (State::Compared, None),
            Some(State::Stored(_)) => (State::Reported, Some("different from what the log says")),
            Some(State::Compared) if is_durable => (State::Reported, Some("older than the log")),
            None if is_durable => (State::Reported, Some("missing")),
            Some(State::Compared | State::Reported) | None => return Ok(()),
        };
        if let Some(found) = found {
            report.find(finding(source, Some(change.seq), found))?;
        }
        self.sources.insert(source.clone(), state);
        Ok(())
    }

    /// Reports stats that no change of the log accounts for.
    pub(crate) fn finish(&self, report: &mut Report<'_>) -> Result<(), Stopped> {
        for (source, state) in &self.sources {
            if let State::Stored((last, _)) = state {
                report.find(finding(source, Some(last.seq), "those of a change that does not belong to the source"))?;
            }
        }
        Ok(())
    }
}

fn finding(source: &SourceId, seq: Option<Seq>, found: &str) -> Finding {
    Finding { table: Table::Source, seq, article: None, detail: format!("the stats of sources/{source} are {found}") }
}
