//! The checker: goes through what a subscriber received, event by event, and reports every broken promise.
//!
//! It knows only the contract of the feed. The contents of the log come from [`Truth`].

use std::collections::HashMap;
use std::ops::RangeInclusive;

use dateline::internals::wire::{pb, timestamp_to_pb};
use pb::subscribe_response::Event;

use super::articles::Snapshot;
use super::fault::{Fault, Found};
use super::query::Query;
use super::recording::{Ended, Recording, Session, SnapshotAt, Start, bookmark_of};
use super::truth::{Truth, Wanted};

/// All faults of a recording.
pub(crate) fn check(truth: &Truth, recording: &Recording) -> Vec<Found> {
    let wanted = truth.wanted(&recording.query);
    let mut places = HashMap::new();
    let mut found = Vec::new();
    for (index, session) in recording.sessions.iter().enumerate() {
        let mut walk = Walk::new(truth, &recording.query, &wanted, session, &mut places);
        for (event, message) in session.events.iter().enumerate() {
            walk.event(message);
            found.extend(walk.faults.drain(..).map(|fault| Found { session: index, event, fault }));
        }
        walk.end();
        let event = session.events.len();
        found.extend(walk.faults.drain(..).map(|fault| Found { session: index, event, fault }));
    }
    found
}

/// Where a token continues.
#[derive(Clone, Debug)]
enum Place {
    Changes(u64),
    Articles(Snapshot),
}

/// Which part of a feed is being received.
#[derive(Debug)]
enum Stage {
    Unstarted,
    Articles(Snapshot),
    Changes,
}

/// The state of checking one session.
struct Walk<'a> {
    truth: &'a Truth,
    query: &'a Query,
    /// The changes that match the query.
    wanted: &'a [Wanted],
    session: &'a Session,
    /// The tokens that the subscriber has received so far, in this session and earlier ones.
    places: &'a mut HashMap<String, Place>,
    faults: Vec<Fault>,
    stage: Stage,
    start: u64,
    /// The index in `wanted` of the change that must come next.
    next: usize,
    delivered: Vec<u64>,
    bookmark: u64,
    caught_up: bool,
    /// What must be sent before the feed is caught up.
    durable: u64,
}

impl<'a> Walk<'a> {
    fn new(
        truth: &'a Truth,
        query: &'a Query,
        wanted: &'a [Wanted],
        session: &'a Session,
        places: &'a mut HashMap<String, Place>,
    ) -> Self {
        Self {
            truth,
            query,
            wanted,
            session,
            places,
            faults: Vec::new(),
            stage: Stage::Unstarted,
            start: 0,
            next: 0,
            delivered: Vec::new(),
            bookmark: 0,
            caught_up: false,
            durable: session.tail_at_start,
        }
    }

    fn event(&mut self, event: &Event) {
        match (&self.stage, event) {
            (Stage::Unstarted, Event::Started(started)) => return self.begin(started),
            (Stage::Unstarted, _) => {
                self.faults.push(Fault::NotStarted);
                self.stage = Stage::Changes;
            }
            (_, Event::Started(_)) => self.faults.push(Fault::StartedAgain),
            _ => {}
        }
        if self.caught_up && self.session.end_when_caught_up {
            self.faults.push(Fault::WentOn);
        }
        match event {
            Event::Delivery(batch) => self.batch(batch),
            Event::CaughtUp(_) | Event::FellBehind(_) if matches!(self.stage, Stage::Articles(_)) => {
                return self.faults.push(Fault::BeforeSnapshotEnd);
            }
            Event::FellBehind(fell_behind) => self.fall_behind(fell_behind.durable_next_seq),
            Event::SnapshotEnd(end) => self.end_snapshot(end.bookmark.as_ref()),
            Event::Started(_) | Event::Bookmark(_) | Event::CaughtUp(_) => {}
        }
        if !matches!(event, Event::FellBehind(_)) {
            self.bookmark(bookmark_of(event));
        }
        if matches!(event, Event::CaughtUp(_)) {
            self.catch_up();
        }
    }

    /// Checks that the feed begins where requested.
    fn begin(&mut self, started: &pb::Started) {
        let said = started.bookmark.as_ref().map(|bookmark| bookmark.next_seq);
        let snapshot = started.snapshot.as_ref().map(|snapshot| snapshot.next_seq);
        let resumed =
            if let Start::Token(token) = &self.session.start { self.places.get(token).cloned() } else { None };
        match (resumed, snapshot) {
            (Some(Place::Articles(before)), Some(bound)) => {
                self.begin_at(before.bound..=before.bound, bound);
                self.stage = Stage::Articles(before);
            }
            (Some(Place::Changes(place)), None) => self.begin_at(place..=place, said.unwrap_or_default()),
            (None, found) => self.begin_anew(said.unwrap_or_default(), found),
            (Some(_), _) => {
                self.faults.push(Fault::WrongMode);
                self.begin_at(0..=self.truth.tail(), said.unwrap_or_default());
            }
        }
        self.bookmark(started.bookmark.as_ref());
    }

    fn begin_anew(&mut self, said: u64, snapshot: Option<u64>) {
        if matches!(self.session.start, Start::Token(_)) {
            self.faults.push(Fault::UnknownToken);
        }
        let is_wanted = matches!(self.session.start, Start::Snapshot(_));
        if is_wanted != snapshot.is_some() {
            self.faults.push(Fault::WrongMode);
        }
        let found = snapshot.unwrap_or(said);
        self.begin_at(self.allowed(), found);
        // An acknowledgement may be inside a batch.
        let may_part = matches!(self.session.start, Start::Acknowledged(_));
        if !may_part && self.truth.parts_a_batch(found) {
            self.faults.push(Fault::BatchParted { next_seq: found });
        }
        if let Some(bound) = snapshot {
            self.stage = Stage::Articles(Snapshot::new(self.truth, self.query, bound));
        }
    }

    fn begin_at(&mut self, allowed: RangeInclusive<u64>, found: u64) {
        if !allowed.contains(&found) {
            self.faults.push(Fault::WrongStart { allowed, found });
        }
        self.stage = Stage::Changes;
        self.start = found;
        self.bookmark = found;
        self.next = self.wanted.partition_point(|wanted| wanted.seq < found);
    }

    /// Where a session may begin that does not continue an earlier one.
    fn allowed(&self) -> RangeInclusive<u64> {
        let (truth, now) = (self.truth, self.session.tail_at_start..=self.truth.tail());
        let exactly = |seq| seq..=seq;
        match &self.session.start {
            Start::Beginning => exactly(0),
            Start::Seq(seq) => exactly(truth.model.whole(*seq)),
            Start::ArchiveTime(instant) => exactly(truth.first_archived_at(*instant)),
            Start::Token(_) => 0..=truth.tail(),
            Start::Now | Start::Snapshot(SnapshotAt::Newest) => now,
            Start::Snapshot(SnapshotAt::NextSeq(bound)) => exactly(truth.model.whole(*bound)),
            Start::Snapshot(SnapshotAt::ArchiveTime(instant)) => {
                exactly(truth.first_archived_at(instant.saturating_add_micros(1)))
            }
            Start::Acknowledged(positions) => positions.clone(),
        }
    }

    fn batch(&mut self, batch: &pb::Delivery) {
        if let Stage::Articles(snapshot) = &mut self.stage {
            let view = self.session.view;
            for article in &batch.articles {
                self.faults.extend(snapshot.article(self.truth, view, article));
            }
            if !batch.changes.is_empty() {
                self.faults.push(Fault::BeforeSnapshotEnd);
            }
        } else {
            let outside = |article: &pb::Article| Fault::ArticleOutsideSnapshot { name: article.name.clone() };
            self.faults.extend(batch.articles.iter().map(outside));
        }
        for change in &batch.changes {
            self.change(change);
        }
    }

    fn change(&mut self, change: &pb::Change) {
        let seq = change.seq;
        if seq >= self.truth.tail() {
            self.faults.push(Fault::NotInLog { seq });
            return;
        }
        self.compare(change);
        let Ok(place) = self.wanted.binary_search_by_key(&seq, |wanted| wanted.seq) else {
            self.faults.push(Fault::Unwanted { seq });
            return;
        };
        self.compare_flags(change, self.wanted[place]);
        match self.delivered.last().copied().filter(|last| *last >= seq) {
            _ if seq < self.start => self.faults.push(Fault::BeforeStart { seq, start: self.start }),
            Some(_) if self.delivered.contains(&seq) => self.faults.push(Fault::Repeat { seq }),
            Some(after) => self.faults.push(Fault::Disorder { seq, after }),
            None => {
                let passed_over = self.wanted.get(self.next..place).unwrap_or_default().iter();
                self.faults.extend(passed_over.map(|missing| Fault::Gap { seq: missing.seq, next: seq }));
                self.next = place + 1;
                self.delivered.push(seq);
            }
        }
    }

    fn compare_flags(&mut self, said: &pb::Change, wanted: Wanted) {
        let seq = said.seq;
        if said.left_filter != wanted.left_filter {
            self.faults.push(Fault::WrongLeftFilter { seq, said: said.left_filter });
        }
        if said.batch_end != wanted.batch_end {
            self.faults.push(Fault::WrongBatchEnd { seq, said: said.batch_end });
        }
    }

    /// Compares a change with the truth.
    fn compare(&mut self, said: &pb::Change) {
        let seq = said.seq;
        let truth = self.truth.change(seq, self.session.view);
        if said.is_newest != truth.is_newest {
            self.faults.push(Fault::WrongIsNewest { seq, said: said.is_newest });
        }
        let said = pb::Change { left_filter: false, batch_end: false, is_newest: truth.is_newest, ..said.clone() };
        if said != *truth {
            self.faults.push(Fault::Misreported { said: Box::new(said), truth: Box::new(truth.clone()) });
        }
    }

    /// Checks that everything matching below a bookmark was delivered, and nothing from it on.
    fn bookmark(&mut self, bookmark: Option<&pb::Bookmark>) {
        let Some(bookmark) = bookmark.filter(|bookmark| !bookmark.resume_token.is_empty()) else {
            self.faults.push(Fault::NoBookmark);
            return;
        };
        let next_seq = bookmark.next_seq;
        if let Stage::Articles(snapshot) = &self.stage {
            self.places.insert(bookmark.resume_token.clone(), Place::Articles(snapshot.clone()));
            if next_seq != 0 || bookmark.archive_time.is_some() {
                self.faults.push(Fault::BookmarkMistimed { next_seq });
            }
            return;
        }
        self.places.insert(bookmark.resume_token.clone(), Place::Changes(next_seq));
        if next_seq > self.truth.tail() {
            self.faults.push(Fault::BookmarkBeyondTail { next_seq, tail: self.truth.tail() });
            return;
        }
        self.compare_bookmark(next_seq);
        if bookmark.archive_time != self.truth.archive_time_before(next_seq).map(timestamp_to_pb) {
            self.faults.push(Fault::BookmarkMistimed { next_seq });
        }
        self.bookmark = self.bookmark.max(next_seq);
    }

    fn compare_bookmark(&mut self, next_seq: u64) {
        if next_seq < self.bookmark {
            self.faults.push(Fault::BookmarkWentBack { from: self.bookmark, to: next_seq });
        }
        let due = self.wanted.partition_point(|wanted| wanted.seq < next_seq);
        let undelivered = self.wanted.get(self.next..due).unwrap_or_default().iter();
        self.faults.extend(undelivered.map(|wanted| Fault::BookmarkUntrue { next_seq, undelivered: wanted.seq }));
        self.next = self.next.max(due);
        if let Some(delivered) = self.delivered.last().copied().filter(|seq| *seq >= next_seq) {
            self.faults.push(Fault::BookmarkBehind { next_seq, delivered });
        }
    }

    fn catch_up(&mut self) {
        let next_seq = self.bookmark;
        if self.caught_up {
            self.faults.push(Fault::CaughtUpAgain);
        }
        if next_seq < self.durable {
            self.faults.push(Fault::CaughtUpEarly { next_seq, durable: self.durable });
        }
        if next_seq <= self.truth.tail() && self.truth.parts_a_batch(next_seq) {
            self.faults.push(Fault::BatchParted { next_seq });
        }
        self.caught_up = true;
    }

    fn fall_behind(&mut self, durable_next_seq: u64) {
        if !self.caught_up {
            self.faults.push(Fault::FellBehindWithoutCaughtUp);
        }
        if durable_next_seq <= self.bookmark || durable_next_seq > self.truth.tail() {
            self.faults.push(Fault::FellBehindUntrue { durable_next_seq, next_seq: self.bookmark });
        } else if self.truth.parts_a_batch(durable_next_seq) {
            self.faults.push(Fault::BatchParted { next_seq: durable_next_seq });
        }
        self.caught_up = false;
        self.durable = self.durable.max(durable_next_seq);
    }

    /// Checks that the changes begin at the position of the snapshot.
    fn end_snapshot(&mut self, bookmark: Option<&pb::Bookmark>) {
        let (bound, found) = (self.start, bookmark.map_or(self.start, |bookmark| bookmark.next_seq));
        if bound != found {
            self.faults.push(Fault::WrongStart { allowed: bound..=bound, found });
        }
        match std::mem::replace(&mut self.stage, Stage::Changes) {
            Stage::Articles(snapshot) => self.faults.extend(snapshot.missing()),
            Stage::Unstarted | Stage::Changes => self.faults.push(Fault::SnapshotEndWithoutSnapshot),
        }
    }

    fn end(&mut self) {
        let may_finish = self.session.end_when_caught_up && self.caught_up;
        if self.session.ended == Ended::Finished && !may_finish {
            self.faults.push(Fault::EndedEarly);
        }
    }
}
