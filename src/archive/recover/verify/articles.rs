//! Second pass: checks one article after the other. Its contents and originals are checked against what the log
//! recorded, and its index entries against those projected from its changes.
//!
//! The expected index entries are projected in memory, on an engine without entries, so that stored index entries
//! cannot influence them.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::archive::project::projection::reproject;
use crate::archive::project::timeline::TimelineReader;
use crate::archive::read::contents;
use crate::archive::recover::verify::compare::IndexComparison;
use crate::archive::recover::verify::log::LogSummary;
use crate::archive::recover::verify::payload;
use crate::archive::recover::verify::report::{Stopped, VerificationReport, describe_article};
use crate::model::verification::{Finding, Phase, Table};
use crate::model::{ArticleKey, ArticleName, Change, ContentParts, RevisionRecord, Seq};
use crate::store::content::{DEPTH_LIMIT, StoredContent, StoredOriginal};
use crate::store::engine::Read;
use crate::store::head::ArticleHead;
use crate::store::overlay::{EmptyEngine, Overlay};
use crate::store::{Batch, StoreError, Tables, content_encoding};

/// Checks all articles of the log.
pub(crate) fn read_articles(
    read: &dyn Read,
    log: &mut LogSummary,
    report: &mut VerificationReport<'_>,
) -> Result<(), Stopped> {
    report.begin(Phase::Articles, report.summary.changes)?;
    let mut entries = 0;
    for (number, latest) in (0..).zip(&log.latest) {
        let article = ArticleCheck { read, log, report, key: ArticleKey(number), name: None };
        entries += article.check(*latest)?;
    }
    log.entries_expected += entries + report.summary.contents + report.summary.originals;
    report.end()
}

struct ArticleCheck<'r, 'a> {
    read: &'r dyn Read,
    log: &'r LogSummary,
    report: &'r mut VerificationReport<'a>,
    key: ArticleKey,
    name: Option<ArticleName>,
}

impl ArticleCheck<'_, '_> {
    /// Checks the article. Returns the number of index entries that it should have.
    fn check(mut self, latest: Option<Seq>) -> Result<u64, Stopped> {
        let Some(latest) = latest else {
            self.add(Table::Article, None, format!("no change of {} can be read", describe_article(self.key)))?;
            return Ok(0);
        };
        self.report.summary.articles += 1;
        let head = self.head(latest)?;
        // The article may have been written to since the log was read. Its indexes are then compared up to the change
        // that the head names.
        let last = head.as_ref().map_or(latest, |head| head.latest_seq.max(latest));
        let (changes, is_complete) = self.changes(last)?;
        let (expected, projected) = self.project(&changes, is_complete)?;
        if is_complete && let Some(projected) = projected {
            self.compare_heads(head.as_ref(), &projected)?;
            let bounds = (last, self.log.end);
            IndexComparison { read: self.read, report: self.report, article: &projected.name, bounds }
                .compare(self.key, &expected)?;
        }
        Ok(expected.writes.len() as u64)
    }

    /// The head; `None`, with a finding, if it is missing, damaged or older than the log.
    fn head(&mut self, latest: Seq) -> Result<Option<ArticleHead>, Stopped> {
        match Tables::new(self.read).head(self.key) {
            Ok(Some(head)) if head.latest_seq >= latest => Ok(Some(head)),
            Ok(Some(head)) => {
                self.name = Some(head.name.clone());
                let detail = format!("the head ends at change {}, which is older than the log", head.latest_seq);
                self.add(Table::Article, Some(latest), detail)?;
                Ok(None)
            }
            Ok(None) => {
                self.add(
                    Table::Article,
                    Some(latest),
                    format!("the head of {} is missing", describe_article(self.key)),
                )?;
                Ok(None)
            }
            Err(error) => {
                self.add_error(Table::Article, Some(latest), error)?;
                Ok(None)
            }
        }
    }

    /// The article's changes in order of position, and whether they are complete.
    fn changes(&mut self, last: Seq) -> Result<(Vec<Change>, bool), Stopped> {
        let tables = Tables::new(self.read);
        let mut changes: Vec<Change> = Vec::new();
        let mut next = Some(last);
        let mut is_complete = true;
        while let Some(seq) = next {
            let change = match tables.change(seq) {
                Ok(Some(change)) if change.entry.article == self.key => change,
                Ok(_) => {
                    let detail = "a change of the article is missing, so its index entries are not compared";
                    self.add(Table::Article, Some(seq), detail.to_owned())?;
                    is_complete = false;
                    break;
                }
                Err(error) => {
                    self.add_error(Table::Article, Some(seq), error)?;
                    is_complete = false;
                    break;
                }
            };
            next = change.entry.previous.filter(|previous| *previous < seq);
            self.name.get_or_insert_with(|| change.entry.name.clone());
            changes.push(change);
        }
        changes.reverse();
        Ok((changes, is_complete))
    }

    /// Checks the payload of each change, and projects what follows from all of them.
    fn project(&mut self, changes: &[Change], is_complete: bool) -> Result<(Batch, Option<ArticleHead>), Stopped> {
        let mut expected = Batch::default();
        let mut head: Option<ArticleHead> = None;
        let mut recent_contents = RecentContents::default();
        let mut can_project = is_complete;
        for change in changes {
            let depth = self.check_payload(change, &mut recent_contents)?;
            if can_project {
                let read = Overlay::new(&EmptyEngine, &expected);
                self.check_changed_parts(change, &Tables::new(&read), &recent_contents)?;
                match reproject(&Tables::new(&read), head.take(), change, depth) {
                    Ok(projected) => {
                        head = Some(projected.head);
                        expected.writes.extend(projected.batch.writes);
                    }
                    Err(error) => {
                        self.add_error(Table::Log, Some(change.seq), error)?;
                        can_project = false;
                    }
                }
            }
            self.report.advance()?;
        }
        Ok((expected, head.filter(|_| can_project)))
    }

    /// Checks a change's content and original. Returns the content's depth in its delta chain.
    fn check_payload(&mut self, change: &Change, recent_contents: &mut RecentContents) -> Result<Option<u32>, Stopped> {
        let Some(new_revision) = change.entry.revision_with_content() else { return Ok(None) };
        let seq = change.seq;
        self.report.summary.contents += 1;
        let depth = match check_content(self.read, change, new_revision, recent_contents) {
            Ok(depth) => Some(depth),
            Err(error) => {
                self.add_error(Table::Content, Some(seq), error)?;
                // In most cases the depth can still be read from what is stored.
                StoredContent::read(self.read, seq).ok().flatten().map(|content| content.depth())
            }
        };
        if new_revision.original.is_some() {
            self.report.summary.originals += 1;
            let original = StoredOriginal::read(self.read, seq);
            if let Err(error) = original.and_then(|original| payload::check_original(change, Some(&original))) {
                self.add_error(Table::Original, Some(seq), error)?;
            }
        }
        Ok(depth)
    }

    fn compare_heads(&mut self, stored: Option<&ArticleHead>, projected: &ArticleHead) -> Result<(), Stopped> {
        match stored {
            Some(stored) if stored != projected => {
                let detail = "the head does not match the log".to_owned();
                self.add(Table::Article, Some(projected.latest_seq), detail)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Checks that the parts which a revision is recorded to have changed are those that differ from the content in
    /// force before it. `before` has what follows from the changes before. Contents that cannot be read are reported by
    /// [`Self::check_payload`].
    fn check_changed_parts(
        &mut self,
        change: &Change,
        before: &Tables<'_>,
        recent_contents: &RecentContents,
    ) -> Result<(), Stopped> {
        let Some(new_revision) = change.entry.revision_with_content() else { return Ok(()) };
        let timeline = TimelineReader::Stored(*before, self.key);
        let base = match timeline.in_force(Some(change.entry.observe_time), change.seq) {
            Ok(base) => base,
            Err(error) => return self.add_error(Table::Log, Some(change.seq), error),
        };
        let content = |seq| {
            let bytes = contents::load_bytes(self.read, seq, |seq| recent_contents.get(seq)).ok()?;
            content_encoding::from_bytes(&bytes)
        };
        let expected = match base {
            None => Some(ContentParts::NONE),
            Some(base) => content(base.created_seq)
                .zip(content(change.seq))
                .map(|(base, target)| ContentParts::that_differ(&base, &target)),
        };
        if expected.is_none_or(|expected| expected == new_revision.changed_parts) {
            return Ok(());
        }
        let detail = "the parts that a revision changed do not follow from its content and the one before it";
        self.add(Table::Log, Some(change.seq), detail.to_owned())
    }

    fn add(&mut self, table: Table, seq: Option<Seq>, detail: String) -> Result<(), Stopped> {
        self.report.add(Finding { table, seq, article: self.name.clone(), detail })
    }

    fn add_error(&mut self, table: Table, seq: Option<Seq>, error: StoreError) -> Result<(), Stopped> {
        self.report.add_error(table, seq, self.name.as_ref(), error)
    }
}

/// The latest contents of an article, which the next ones may be deltas of.
#[derive(Default)]
struct RecentContents(VecDeque<(Seq, Bytes)>);

impl RecentContents {
    fn get(&self, seq: Seq) -> Option<Bytes> {
        self.0.iter().find(|(at, _)| *at == seq).map(|(_, bytes)| bytes.clone())
    }

    fn insert(&mut self, seq: Seq, bytes: Bytes) {
        if self.0.len() > DEPTH_LIMIT as usize {
            self.0.pop_front();
        }
        self.0.push_back((seq, bytes));
    }
}

/// Checks a content against its digest, and against the attributes that the log repeats. Returns the content's depth in
/// its delta chain.
fn check_content(
    read: &dyn Read,
    change: &Change,
    new_revision: &RevisionRecord,
    recent_contents: &mut RecentContents,
) -> Result<u32, StoreError> {
    let seq = change.seq;
    let missing = || StoreError::damaged_at(seq, "a content is missing");
    let stored = StoredContent::read(read, seq)?.ok_or_else(missing)?;
    let (bytes, _) = contents::load(read, seq, new_revision.digest, |seq| recent_contents.get(seq))?;
    let content = contents::decode(seq, &bytes)?;
    recent_contents.insert(seq, bytes);
    payload::check_depth(read, seq, Some(&stored))?;
    let repeated = RevisionRecord {
        word_delta: new_revision.word_delta,
        changed_parts: new_revision.changed_parts,
        rollback_of: new_revision.rollback_of,
        original: new_revision.original.clone(),
        ..RevisionRecord::of(&content, new_revision.digest, content.word_count())
    };
    if repeated != *new_revision {
        return Err(StoreError::damaged_at(seq, "the attributes in the log do not match the content"));
    }
    Ok(stored.depth())
}
