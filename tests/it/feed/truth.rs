//! The contents of the log, worked out by the plain model from what was acknowledged to writers, without reading the
//! feed or the log.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use dateline::internals::wire::pb;
use dateline::model::{ArticleName, ArticleState, ArticleUrl, Content, LogKind, Timestamp};

use crate::model::asked::{addressed, asked, words};
use crate::model::naive::{Answer, Known, Record, makes_revision};
use crate::model::plan::Write;
use crate::model::rules::{Model, Request};
use crate::model::shown;
use crate::support;

use super::query::Query;

/// An atomic batch that was acknowledged, and so was logged completely.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) first_seq: u64,
    pub(crate) archive_time: Timestamp,
    pub(crate) writes: Vec<Write>,
    /// How many changes they made: one each, and two for a move of a URL from one article to another.
    pub(crate) changes: u64,
    /// The reply for each write: whether it created a revision, and the number of the revision in force.
    pub(crate) told: Vec<Told>,
}

/// The part of a reply that is compared with the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Published { outcome: dateline::internals::archive::request::Outcome, revision: u32 },
    Marked,
}

/// An article at the end of the observe axis: what filters look at.
#[derive(Clone, Debug)]
pub(crate) struct LatestState {
    pub(crate) name: ArticleName,
    pub(crate) revision: u32,
    pub(crate) content: &'static Content,
    /// Since when the revision is in force.
    pub(crate) since: Timestamp,
    pub(crate) state: ArticleState,
    /// Whether the change that left it so altered the state, or was a state change.
    pub(crate) is_altered: bool,
    pub(crate) urls: Vec<ArticleUrl>,
    pub(crate) labels: Vec<String>,
}

/// The changes of one article, with their positions. The brute-force model only has to go through these.
#[derive(Debug, Default)]
struct History {
    seqs: Vec<u64>,
    records: Vec<Record>,
}

impl History {
    /// The number of changes below a position.
    fn below(&self, bound: u64) -> usize {
        self.seqs.partition_point(|seq| *seq < bound)
    }
}

/// A change that must be delivered for a query, and its flags for this query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) seq: u64,
    pub(crate) left_filter: bool,
    pub(crate) batch_end: bool,
}

/// The log, as it must be.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(crate) model: Model,
    /// The state of its article after each change, by position.
    after: Vec<LatestState>,
    /// The previous change of the same article, by position.
    previous: Vec<Option<u64>>,
    histories: BTreeMap<ArticleName, History>,
    /// The changes as messages, by position and view, filled in on demand.
    pub(super) messages: Vec<[OnceLock<pb::Change>; 3]>,
}

impl Truth {
    /// The log that these batches form. Their positions must have neither gaps nor overlaps, and the model must agree
    /// with the replies to the writers.
    pub(crate) fn of(mut acknowledged: Vec<Acknowledged>) -> Self {
        acknowledged.sort_by_key(|batch| batch.first_seq);
        let mut truth = Self::default();
        for batch in &acknowledged {
            truth.append(batch);
        }
        truth
    }

    fn append(&mut self, batch: &Acknowledged) {
        let first = self.tail();
        assert_eq!(batch.first_seq, first, "each position was acknowledged exactly once: {batch:?}");
        let requests: Vec<_> = batch.writes.iter().map(request).collect();
        let answers = self.model.write(&requests).unwrap_or_else(|refused| panic!("{refused:?} of {batch:?}"));
        let end = self.model.tail();
        assert_eq!(end - first, batch.changes, "the changes of {batch:?}");
        for (answer, told) in answers.iter().zip(&batch.told) {
            assert!(agree(answer, *told), "the reply was {told:?}, but the model says {answer:?}");
        }
        for seq in first..end {
            self.model.log[index(seq)].archive_time = Some(batch.archive_time);
            let record = self.record(seq).clone();
            let name = record.article.clone();
            self.previous.push(self.latest_below(seq, &name));
            let history = self.histories.entry(name.clone()).or_default();
            history.seqs.push(seq);
            history.records.push(record);
            self.after.push(self.latest_state(&name, seq + 1));
            self.messages.push(Default::default());
        }
    }

    fn latest_state(&self, name: &ArticleName, bound: u64) -> LatestState {
        let known = self.known(name, bound);
        let run = known.run_at(name, None).expect("an article with a change has a revision");
        LatestState {
            name: name.clone(),
            revision: run.revision,
            content: self.content(name, run.revision),
            since: run.from,
            state: known.state_at(name, None),
            is_altered: self.record(bound - 1).state_seq == Some(bound - 1),
            urls: known.urls_at(name, None),
            labels: known.labels(name),
        }
    }

    /// The durable tail.
    pub(crate) fn tail(&self) -> u64 {
        self.after.len() as u64
    }

    pub(crate) fn record(&self, seq: u64) -> &Record {
        &self.model.log[index(seq)]
    }

    /// What is known of an article below a position. Positions in the result count only the article's changes.
    pub(super) fn known(&self, name: &ArticleName, bound: u64) -> Known<'_> {
        self.histories.get(name).map_or(Known(&[]), |history| Known(&history.records[..history.below(bound)]))
    }

    /// The change that created a revision.
    pub(super) fn made(&self, name: &ArticleName, revision: u32) -> (u64, &Record) {
        let History { seqs, records } = &self.histories[name];
        let mut changes = seqs.iter().zip(records);
        let made = changes.find(|(_, record)| makes_revision(record.kind) && record.revision == Some(revision));
        let (seq, record) = made.expect("the revision was created");
        (*seq, record)
    }

    /// The content of a revision.
    pub(super) fn content(&self, name: &ArticleName, revision: u32) -> &'static Content {
        shown::content(self.made(name, revision).1.text.expect("a revision has a content"))
    }

    pub(crate) fn after(&self, seq: u64) -> &LatestState {
        &self.after[index(seq)]
    }

    pub(crate) fn before(&self, seq: u64) -> Option<&LatestState> {
        self.previous[index(seq)].map(|seq| self.after(seq))
    }

    /// The last change of an article below a position.
    pub(crate) fn latest_below(&self, bound: u64, name: &ArticleName) -> Option<u64> {
        let history = self.histories.get(name)?;
        history.below(bound).checked_sub(1).map(|last| history.seqs[last])
    }

    /// The archive time of the change before `next_seq`.
    pub(crate) fn archive_time_before(&self, next_seq: u64) -> Option<Timestamp> {
        next_seq.checked_sub(1).and_then(|seq| self.record(seq).archive_time)
    }

    /// Whether `next_seq` is inside an atomic batch.
    pub(crate) fn parts_a_batch(&self, next_seq: u64) -> bool {
        self.model.whole(next_seq) != next_seq
    }

    /// The first position with an archive time at or after an instant.
    pub(crate) fn first_archived_at(&self, instant: Timestamp) -> u64 {
        (0..self.tail()).find(|seq| self.record(*seq).archive_time >= Some(instant)).unwrap_or(self.tail())
    }

    /// The kind under which a change is delivered.
    pub(crate) fn kind(&self, seq: u64) -> pb::ChangeKind {
        let record = self.record(seq);
        match record.kind {
            LogKind::Created => pb::ChangeKind::Created,
            LogKind::Revised => pb::ChangeKind::Revised,
            LogKind::RolledBack => pb::ChangeKind::RolledBack,
            LogKind::Withdrawn => pb::ChangeKind::Withdrawn,
            LogKind::Reinstated => pb::ChangeKind::Reinstated,
            LogKind::Aliased => pb::ChangeKind::Aliased,
            LogKind::Labelled => pb::ChangeKind::Labelled,
            LogKind::UrlEnded | LogKind::UrlBound => pb::ChangeKind::UrlMoved,
            LogKind::Sighted | LogKind::Repeated if !record.urls.is_empty() => pb::ChangeKind::Aliased,
            LogKind::Sighted | LogKind::Repeated if record.labels.is_some() => pb::ChangeKind::Labelled,
            LogKind::Absent => pb::ChangeKind::Absent,
            LogKind::Expunged => pb::ChangeKind::Expunged,
            LogKind::Sighted
            | LogKind::Repeated
            | LogKind::StateRepeated
            | LogKind::LabelsRepeated
            | LogKind::AbsenceRepeated
            | LogKind::UrlsRepeated => pb::ChangeKind::Sighted,
        }
    }

    /// The changes that must be delivered for a query, in order.
    pub(crate) fn wanted(&self, query: &Query) -> Vec<Wanted> {
        let mut wanted: Vec<Wanted> = Vec::new();
        for seq in 0..self.tail() {
            let before = self.before(seq).is_some_and(|before| query.takes(before));
            let after = query.takes(self.after(seq));
            let alters = after != before || self.after(seq).is_altered;
            if (after || before) && query.wants(self.kind(seq), self.record(seq), alters) {
                let batch_first = self.record(seq).batch_first;
                if let Some(earlier) = wanted.last_mut().filter(|earlier| earlier.seq >= batch_first) {
                    earlier.batch_end = false;
                }
                wanted.push(Wanted { seq, left_filter: before && !after, batch_end: true });
            }
        }
        wanted
    }

    /// The articles that match a query as known below a position, sorted by name.
    pub(crate) fn articles(&self, query: &Query, bound: u64) -> Vec<ArticleName> {
        let latest_state = |name: &ArticleName| self.latest_below(bound, name).map(|seq| self.after(seq));
        let names = self.histories.keys().filter(|name| latest_state(name).is_some_and(|article| query.takes(article)));
        names.cloned().collect()
    }
}

fn request(write: &Write) -> Request {
    Request {
        to: addressed(write.to),
        at: support::at(write.at),
        what: asked(&write.what),
        expected: None,
        request: write.request.map(|id| (id, words(write))),
    }
}

fn agree(answer: &Answer, told: Told) -> bool {
    match told {
        Told::Published { outcome, revision } => answer.outcome == outcome && answer.revision == revision,
        Told::Marked => true,
    }
}

pub(super) fn index(seq: u64) -> usize {
    usize::try_from(seq).unwrap()
}
