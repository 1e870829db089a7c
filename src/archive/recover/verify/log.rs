//! First pass: reads the log from its beginning, and checks every change against the one before it and the stats of
//! sources against all changes.
//!
//! After a damaged or missing change, the chain is picked up again at the next one that can be read, which is trusted.
//! What the later passes need is collected in [`LogSummary`].

use crate::archive::project::sources::Sources;
use crate::archive::recover::chain::LogChain;
use crate::archive::recover::verify::report::{Stopped, VerificationReport};
use crate::archive::recover::verify::stats::StoredStats;
use crate::model::verification::{Finding, Phase, Table};
use crate::model::{ArticleKey, Change, Seq};
use crate::store::engine::{Direction, Read};
use crate::store::key::log::LogKey;
use crate::store::{StoreError, Tables, record};

/// What the log says, as far as the later passes need it.
pub(crate) struct LogSummary {
    /// The end of the log when it was read.
    pub(crate) end: Seq,
    /// The latest change of each article below that, indexed by the article's number.
    pub(crate) latest: Vec<Option<Seq>>,
    /// The changes with a content: those that created a revision.
    pub(crate) contents: Marks,
    /// The changes with an original.
    pub(crate) originals: Marks,
    /// The stats of all sources, as they follow from the log.
    pub(crate) sources: Sources,
    /// The approximate number of entries in the database, for progress reports.
    pub(crate) entries_expected: u64,
}

/// A set of positions, stored as one bit each.
#[derive(Debug, Default)]
pub(crate) struct Marks(Vec<u64>);

impl Marks {
    fn add(&mut self, seq: Seq) {
        let (word, bit) = word_and_bit(seq);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    pub(crate) fn contains(&self, seq: Seq) -> bool {
        let (word, bit) = word_and_bit(seq);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

fn word_and_bit(seq: Seq) -> (usize, u64) {
    (usize::try_from(seq.0 / 64).unwrap_or(usize::MAX), 1 << (seq.0 % 64))
}

/// Reads the log of the archive `id` up to `end`.
pub(crate) fn read_log(
    read: &dyn Read,
    id: Option<&[u8; 16]>,
    end: Seq,
    report: &mut VerificationReport<'_>,
) -> Result<LogSummary, Stopped> {
    let stats = StoredStats::read(&Tables::new(read), end, report)?;
    let end = stats.end();
    let (contents, originals, sources) = (Marks::default(), Marks::default(), Sources::default());
    let known = LogSummary { end, latest: Vec::new(), contents, originals, sources, entries_expected: end.0 };
    let mut check = LogCheck { known, stats, chain: id.map(LogChain::of_archive), report };
    check.report.begin(Phase::Log, end.0)?;
    let mut at = Seq::ZERO;
    while at < end {
        at = check.scan_from(read, at)?;
    }
    check.stats.finish(check.report)?;
    check.report.end()?;
    Ok(check.known)
}

struct LogCheck<'r, 'a> {
    known: LogSummary,
    stats: StoredStats,
    /// What the next change is checked against; `None` after one that could not be read.
    chain: Option<LogChain>,
    report: &'r mut VerificationReport<'a>,
}

impl LogCheck<'_, '_> {
    /// Reads from `at` to the end, or to where the storage fails. Returns where to continue.
    fn scan_from(&mut self, read: &dyn Read, mut at: Seq) -> Result<Seq, Stopped> {
        for entry in read.scan(LogKey::between(at, self.known.end), Direction::Forward) {
            let (key, value) = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.damaged(at, error.into())?;
                    return Ok(at.next());
                }
            };
            match LogKey::decode(&key) {
                Some(LogKey(seq)) => {
                    self.missing(at, seq)?;
                    at = seq.next();
                }
                None => {
                    self.damaged(at, StoreError::damaged(&key, "a key of the log is malformed"))?;
                    continue;
                }
            }
            match record::decode_with_record(&key, &value) {
                Ok((change, record)) => self.take(&change, record)?,
                Err(error) => self.damaged(Seq(at.0.saturating_sub(1)), error)?,
            }
            self.report.advance()?;
        }
        self.missing(at, self.known.end)?;
        Ok(self.known.end)
    }

    fn missing(&mut self, from: Seq, to: Seq) -> Result<(), Stopped> {
        let detail = match to.0.saturating_sub(from.0) {
            0 => return Ok(()),
            1 => "the change is missing".to_owned(),
            count => format!("{count} changes are missing from here on"),
        };
        self.chain = None;
        self.report.add(Finding { table: Table::Log, seq: Some(from), article: None, detail })
    }

    fn damaged(&mut self, at: Seq, error: StoreError) -> Result<(), Stopped> {
        self.chain = None;
        self.report.add_error(Table::Log, Some(at), None, error)
    }

    fn take(&mut self, change: &Change, record: &[u8]) -> Result<(), Stopped> {
        self.report.summary.changes += 1;
        let advanced = match &mut self.chain {
            Some(chain) => chain.advance(change, record),
            None => Ok(()),
        };
        let entry = &change.entry;
        if advanced.is_err() || self.chain.is_none() {
            let articles = self.known.latest.len() as u64;
            let next_article = ArticleKey(articles.max(entry.article.0.saturating_add(1)));
            self.chain = Some(LogChain::resume_after(change, next_article));
        }
        if let Err(error) = advanced {
            self.report.add_error(Table::Log, Some(change.seq), Some(&entry.name), error)?;
        }
        self.index(change);
        self.check_stats(change)
    }

    fn index(&mut self, change: &Change) {
        let Change { seq, entry, .. } = change;
        // There cannot be more articles than changes, so a record with a higher number is damaged.
        if let Ok(number) = usize::try_from(entry.article.0)
            && entry.article.0 <= seq.0
        {
            if self.known.latest.len() <= number {
                self.known.latest.resize(number + 1, None);
            }
            if let Some(latest) = self.known.latest.get_mut(number) {
                *latest = Some(*seq);
            }
        }
        if let Some(new_revision) = &entry.new_revision {
            self.known.contents.add(*seq);
            if new_revision.original.is_some() {
                self.known.originals.add(*seq);
            }
        }
    }

    fn check_stats(&mut self, change: &Change) -> Result<(), Stopped> {
        let expected = self.known.sources.apply(change);
        self.stats.compare(change, expected, self.report)
    }
}
