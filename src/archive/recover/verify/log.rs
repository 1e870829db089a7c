//! First pass: reads the log from the beginning. It checks every change against the one before it, and the stored stats
//! of each source against the changes.
//!
//! After a damaged or missing change, the chain resumes at the next change that can be read. That change is trusted,
//! because there is nothing to check it against. What the later passes need is collected in [`LogSummary`].

use crate::archive::project::sources::Sources;
use crate::archive::recover::chain::LogChain;
use crate::archive::recover::verify::report::{Stopped, VerificationReport};
use crate::archive::recover::verify::stats::StoredStats;
use crate::model::merkle::Edge;
use crate::model::verification::{Finding, Phase, Table};
use crate::model::{ArticleKey, Change, Seq, TreeHash};
use crate::store::engine::{Direction, Read};
use crate::store::key::log::LogKey;
use crate::store::{StoreError, Tables, record};

/// What the later passes need to know about the log.
pub(crate) struct LogSummary {
    /// The position up to which the log was read.
    pub(crate) end: Seq,
    /// The latest change of each article below `end`, indexed by the article's number. `None` if none could be read.
    pub(crate) latest: Vec<Option<Seq>>,
    /// The changes that created a revision, and so have a content.
    pub(crate) contents: SeqSet,
    /// The changes that have an original.
    pub(crate) originals: SeqSet,
    /// The stats of all sources, computed from the log.
    pub(crate) sources: Sources,
    /// The approximate number of entries in the database, for progress reports. Later passes add to it.
    pub(crate) entries_expected: u64,
}

/// A set of positions, stored as one bit each.
#[derive(Debug, Default)]
pub(crate) struct SeqSet(Vec<u64>);

impl SeqSet {
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

/// Reads the log of the archive `id` up to `end`, or further if the stats of a source come from a later change. If `id`
/// is `None`, the first change is trusted.
pub(crate) fn read_log(
    read: &dyn Read,
    id: Option<&[u8; 16]>,
    end: Seq,
    report: &mut VerificationReport<'_>,
) -> Result<LogSummary, Stopped> {
    let stats = StoredStats::read(&Tables::new(read), end, report)?;
    let end = stats.end();
    let (contents, originals, sources) = (SeqSet::default(), SeqSet::default(), Sources::default());
    let log = LogSummary { end, latest: Vec::new(), contents, originals, sources, entries_expected: end.0 };
    let (chain, edge, signed) = (id.map(LogChain::of_archive), Some(Edge::default()), signed_roots(read));
    let mut check = LogCheck { log, stats, chain, edge, signed, report };
    check.report.begin(Phase::Log, end.0)?;
    let mut at = Seq::ZERO;
    while at < end {
        at = check.scan_from(read, at)?;
    }
    check.stats.finish(check.report)?;
    check.report.end()?;
    Ok(check.log)
}

/// The size and the root of each tree of which a checkpoint is kept, the largest first. Checkpoints that cannot be read
/// are reported with the entries.
fn signed_roots(read: &dyn Read) -> Vec<(u64, TreeHash)> {
    let checkpoints = Tables::new(read).checkpoints(0, Direction::Reverse);
    checkpoints.flatten().map(|checkpoint| (checkpoint.size, checkpoint.root)).collect()
}

struct LogCheck<'r, 'a> {
    log: LogSummary,
    stats: StoredStats,
    /// What the next change is checked against; `None` if there is nothing, so that the next change is trusted.
    chain: Option<LogChain>,
    /// The tree of the changes that were read; it does not grow beyond damage.
    edge: Option<Edge>,
    /// The size and the root of each tree that was signed, the largest first.
    signed: Vec<(u64, TreeHash)>,
    report: &'r mut VerificationReport<'a>,
}

impl LogCheck<'_, '_> {
    /// Reads from `at` to the end of the log, or to the first entry that the storage cannot read. Returns the position
    /// to continue from.
    fn scan_from(&mut self, read: &dyn Read, mut at: Seq) -> Result<Seq, Stopped> {
        for entry in read.scan(LogKey::between(at, self.log.end), Direction::Forward) {
            let (key, value) = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.report_damage(at, error.into())?;
                    return Ok(at.next());
                }
            };
            let Some(LogKey(seq)) = LogKey::decode(&key) else {
                self.report_damage(at, StoreError::damaged(&key, "a key of the log is malformed"))?;
                continue;
            };
            self.report_gap(at, seq)?;
            at = seq.next();
            match record::decode_with_record(&key, &value) {
                Ok((change, _, leaf)) => self.check_change(read, &change, leaf)?,
                Err(error) => self.report_damage(seq, error)?,
            }
            self.report.advance()?;
        }
        self.report_gap(at, self.log.end)?;
        Ok(self.log.end)
    }

    /// Reports the changes from `from` on and below `to` as missing, if there are any.
    fn report_gap(&mut self, from: Seq, to: Seq) -> Result<(), Stopped> {
        let detail = match to.0.saturating_sub(from.0) {
            0 => return Ok(()),
            1 => "the change is missing".to_owned(),
            count => format!("{count} changes are missing from here on"),
        };
        self.chain = None;
        self.report.add(Finding { table: Table::Log, seq: Some(from), article: None, detail })
    }

    fn report_damage(&mut self, at: Seq, error: StoreError) -> Result<(), Stopped> {
        self.chain = None;
        self.report.add_error(Table::Log, Some(at), None, error)
    }

    fn check_change(&mut self, read: &dyn Read, change: &Change, leaf: TreeHash) -> Result<(), Stopped> {
        self.report.summary.changes += 1;
        let advanced = match &mut self.chain {
            Some(chain) => chain.advance(change, leaf),
            None => Ok(()),
        };
        let entry = &change.entry;
        if advanced.is_err() || self.chain.is_none() {
            let articles = self.log.latest.len() as u64;
            let next_article = ArticleKey(articles.max(entry.article.0.saturating_add(1)));
            self.chain = Some(LogChain::resume_after(change, next_article));
        }
        if let Err(error) = advanced {
            self.report.add_error(Table::Log, Some(change.seq), Some(&entry.name), error)?;
        }
        self.check_tiles(read, change.seq, leaf)?;
        self.add_to_summary(change);
        self.check_stats(change)
    }

    /// Compares the tiles that the change at `seq` fills. After damage to the log, nothing is known of them.
    fn check_tiles(&mut self, read: &dyn Read, seq: Seq, leaf: TreeHash) -> Result<(), Stopped> {
        let Some(edge) = self.edge.as_mut().filter(|edge| edge.size() == seq.0) else { return Ok(()) };
        for tile in edge.append(leaf) {
            self.log.entries_expected += 1;
            let detail = match Tables::new(read).tile(tile.id) {
                Ok(Some(hashes)) if hashes == tile.hashes => continue,
                Ok(Some(_)) => "a tile does not have the hashes of the log".to_owned(),
                Ok(None) => "a tile is missing".to_owned(),
                Err(error) => error.to_string(),
            };
            self.report.add(Finding { table: Table::Tree, seq: Some(seq), article: None, detail })?;
        }
        self.check_signed(seq)
    }

    /// Compares the root of the tree up to the change at `seq` with the one that was signed, if it was.
    fn check_signed(&mut self, seq: Seq) -> Result<(), Stopped> {
        let size = seq.next().0;
        while self.signed.pop_if(|(signed, _)| *signed < size).is_some() {}
        let Some((_, root)) = self.signed.pop_if(|(signed, _)| *signed == size) else { return Ok(()) };
        if self.edge.as_ref().is_some_and(|edge| edge.root() == root) {
            return Ok(());
        }
        let detail = format!("the first {size} changes of the log are not those that a checkpoint signs");
        self.report.add(Finding { table: Table::Tree, seq: Some(seq), article: None, detail })
    }

    fn add_to_summary(&mut self, change: &Change) {
        let Change { seq, entry, .. } = change;
        // Each article begins with a change of its own, so a record whose article number is higher than its position is
        // damaged. Ignoring the number keeps such a record from making `latest` huge.
        if let Ok(number) = usize::try_from(entry.article.0)
            && entry.article.0 <= seq.0
        {
            if self.log.latest.len() <= number {
                self.log.latest.resize(number + 1, None);
            }
            if let Some(latest) = self.log.latest.get_mut(number) {
                *latest = Some(*seq);
            }
        }
        if let Some(new_revision) = entry.revision_with_content() {
            self.log.contents.add(*seq);
            if new_revision.original.is_some() {
                self.log.originals.add(*seq);
            }
        }
    }

    fn check_stats(&mut self, change: &Change) -> Result<(), Stopped> {
        let expected = self.log.sources.apply(change);
        self.stats.compare(change, expected, self.report)
    }
}
