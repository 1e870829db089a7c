//! The writer: one thread that judges every write in order, and one that commits.
//!
//! While a commit is being synced, the writer judges the next jobs on the engine and on what is in flight, and
//! puts the next commit together. Every answer, refusals too, waits until all that it was judged on is durable.
//! When a commit fails or takes longer than the deadline, the archive is poisoned: nothing is acknowledged any more.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::archive::clock_watch::ClockFault;
use crate::archive::error::{ArchiveError, BatchError, Unavailable};
use crate::archive::request::{Operation, Receipt};
use crate::archive::shared::{Shared, Tail};
use crate::archive::subscriptions::{self, Judged, SubscriptionEdit};
use crate::archive::write::commit_builder::{BaseState, CommitBuilder, Position, Writes};
use crate::archive::write::committer::Committer;
use crate::archive::write::queue::Place;
use crate::model::{Limits, SubscriptionId, Timestamp};
use crate::store::engine::watermark::{Mark, Watermark};
use crate::store::key::meta::MetaKey;
use crate::store::overlay::Overlay;
use crate::store::subscription::SubscriptionRecord;
use crate::store::{Batch, Engine, EngineError};

/// The answer to a job: that of each operation, or the index of the one refused.
pub type BatchResult = Result<Vec<Receipt>, BatchError>;

/// The answer to a change of a subscription: what it has become.
type EditResult = Result<Option<Arc<SubscriptionRecord>>, ArchiveError>;

/// Bytes of contents and originals in one commit.
const COMMIT_BYTES_MAX: usize = 16 << 20;

/// What the writer is told.
pub(crate) enum WriterMessage {
    /// Operations to judge, all or none.
    Job {
        operations: Vec<Operation>,
        validate_only: bool,
        answer: oneshot::Sender<BatchResult>,
        /// Bytes of its contents and originals.
        bytes: usize,
        /// Its place in the queue, given back when it is answered.
        place: Place,
    },
    /// No archive time at or before this instant is to be assigned any more.
    RaiseFloor {
        to: Timestamp,
        answer: oneshot::Sender<Result<(), ArchiveError>>,
        /// Its share of the queue, given back when it is answered.
        permit: OwnedSemaphorePermit,
    },
    /// A durable subscription is to be changed.
    Subscription {
        id: SubscriptionId,
        edit: SubscriptionEdit,
        answer: oneshot::Sender<EditResult>,
        /// Its share of the queue, given back when it is answered.
        permit: OwnedSemaphorePermit,
    },
    /// The commit in flight is durable, or failed.
    Committed(Result<(), EngineError>),
    /// Finish what was accepted, and end.
    Close,
}

/// An answer that waits for a commit.
enum PendingReply {
    Job {
        answer: oneshot::Sender<BatchResult>,
        result: BatchResult,
        _place: Place,
    },
    Floor {
        to: Timestamp,
        answer: oneshot::Sender<Result<(), ArchiveError>>,
        permit: OwnedSemaphorePermit,
    },
    Edit {
        id: SubscriptionId,
        edit: SubscriptionEdit,
        answer: oneshot::Sender<EditResult>,
        result: EditResult,
        permit: OwnedSemaphorePermit,
    },
}

impl PendingReply {
    /// Corrects an answer that was given before the commit it waits for was sealed.
    fn complete(&mut self, sealed: &Writes) {
        match self {
            Self::Job { result: Ok(answers), .. } => answers.iter_mut().for_each(|answer| sealed.complete(answer)),
            Self::Job { result: Err(_), .. } | Self::Floor { .. } | Self::Edit { .. } => {}
        }
    }

    fn done(self) {
        // A caller that has gone does not need its answer; the write stands.
        match self {
            Self::Job { answer, result, .. } => drop(answer.send(result)),
            Self::Floor { answer, .. } => drop(answer.send(Ok(()))),
            Self::Edit { answer, result, .. } => drop(answer.send(result)),
        }
    }

    fn failed(self, error: &ArchiveError) {
        match self {
            Self::Job { answer, .. } => drop(answer.send(Err(error.clone().into()))),
            Self::Floor { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Edit { answer, .. } => drop(answer.send(Err(error.clone()))),
        }
    }
}

/// A commit being put together, with the answers that wait for it.
struct OpenCommit {
    builder: CommitBuilder,
    floor: Option<Timestamp>,
    /// Bytes of contents and originals of its jobs.
    bytes: usize,
    waiting: Vec<PendingReply>,
}

/// A commit handed to the engine.
struct InFlight {
    batch: Arc<Batch>,
    writes: Writes,
    position: Position,
    floor: Option<Timestamp>,
    waiting: Vec<PendingReply>,
    since: Instant,
}

/// How the writer ended.
#[derive(PartialEq, Eq)]
enum Ended {
    /// All that it took is done.
    Well,
    /// A commit hangs in the engine.
    Hanging,
}

/// The writer's thread.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    events: Receiver<WriterMessage>,
    commits: SyncSender<Arc<Batch>>,
    flush_deadline: Duration,
    /// Says, beside the database, how far the log is durable; none for an engine in memory.
    watermark: Option<Watermark>,
    next: OpenCommit,
    in_flight: Option<InFlight>,
    /// Jobs that did not fit into the next commit.
    held: VecDeque<WriterMessage>,
    /// Edits of subscriptions that did not. They are judged on subscriptions alone, so that no job waits for them.
    held_edits: VecDeque<WriterMessage>,
    /// The clock floor that is durable or in flight.
    floor: Option<Timestamp>,
    /// The commits that are durable.
    commits_done: u64,
    /// Whether the last commit was refused for want of room.
    disk_is_full: bool,
    closing: bool,
}

impl Writer {
    /// Starts the writer and its committer, at the end of the log. What is left over beyond that, its committer removes
    /// before it writes there. The committer's own sender of events is `to_self`.
    pub(crate) fn start(
        shared: Arc<Shared>,
        (tail, orphan_chunks, watermark): (Tail, Vec<Vec<u8>>, Option<Watermark>),
        events: Receiver<WriterMessage>,
        to_self: SyncSender<WriterMessage>,
        flush_deadline: Duration,
    ) -> std::io::Result<JoinHandle<()>> {
        let (commits, batches) = sync_channel::<Arc<Batch>>(1);
        let committer = Committer::new(Arc::clone(&shared.engine), orphan_chunks);
        let committer = std::thread::Builder::new()
            .name("dateline-commit".to_owned())
            .spawn(move || committer.run(&batches, &to_self))?;
        let Tail { position, commits: commits_done, clock_floor: floor, .. } = tail;
        std::thread::Builder::new().name("dateline-write".to_owned()).spawn(move || {
            let next = OpenCommit::new(position);
            let (held, held_edits, in_flight) = (VecDeque::new(), VecDeque::new(), None);
            let (disk_is_full, closing) = (false, false);
            let mut writer = Self {
                shared,
                events,
                commits,
                flush_deadline,
                watermark,
                next,
                in_flight,
                held,
                held_edits,
                floor,
                commits_done,
                disk_is_full,
                closing,
            };
            match catch_unwind(AssertUnwindSafe(|| writer.run())) {
                Ok(Ended::Well) => writer.release(committer),
                Ok(Ended::Hanging) => {}
                Err(_) => writer.poison("the writer panicked"),
            }
        })
    }

    fn run(&mut self) -> Ended {
        loop {
            let nothing_held = self.held.is_empty() && self.held_edits.is_empty();
            if self.closing && self.in_flight.is_none() && self.next.is_idle() && nothing_held {
                return Ended::Well;
            }
            let Some(event) = self.wait() else { return Ended::Hanging };
            self.take(event);
            self.take_all_that_waits();
            self.hand_over();
        }
    }

    /// Waits for the committer, so that nobody has the engine any more. One that hangs in the engine is left
    /// behind: it must not keep the process.
    fn release(self, committer: JoinHandle<()>) {
        drop(self.commits);
        if committer.join().is_err() {
            tracing::error!("the commit thread ended unexpectedly");
        }
    }

    /// The next event; `None` when the archive is gone or its storage hangs.
    fn wait(&mut self) -> Option<WriterMessage> {
        let Some(in_flight) = &self.in_flight else { return self.events.recv().ok() };
        let left = self.flush_deadline.saturating_sub(in_flight.since.elapsed());
        match self.events.recv_timeout(left) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                let seconds = self.flush_deadline.as_secs_f32();
                self.poison(&format!("a commit did not become durable within {seconds} s"));
                None
            }
        }
    }

    fn take_all_that_waits(&mut self) {
        while self.held.is_empty() {
            match self.events.try_recv() {
                Ok(event) => self.take(event),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, event: WriterMessage) {
        match event {
            WriterMessage::Committed(Ok(())) => self.committed(),
            WriterMessage::Committed(Err(error)) => self.commit_failed(error),
            WriterMessage::Close => self.closing = true,
            job @ WriterMessage::Job { .. } => self.decide_or_hold(job, |writer| &mut writer.held),
            edit @ WriterMessage::Subscription { .. } => self.decide_or_hold(edit, |writer| &mut writer.held_edits),
            WriterMessage::RaiseFloor { to, answer, permit } => self.raise_floor(to, answer, permit),
        }
    }

    /// Judges an event, unless it does not fit or others of its kind are held before it.
    fn decide_or_hold(&mut self, event: WriterMessage, held: fn(&mut Self) -> &mut VecDeque<WriterMessage>) {
        if held(self).is_empty() && self.fits(&event) {
            self.decide(event);
        } else {
            held(self).push_back(event);
        }
    }

    fn fits(&self, event: &WriterMessage) -> bool {
        match event {
            WriterMessage::Job { operations, bytes, .. } => {
                self.next.builder.has_room_for(operations.len()) && self.next.has_room_for(*bytes)
            }
            WriterMessage::Subscription { .. } => {
                self.next.builder.writes.subscriptions.len() < Limits::COMMIT_CHANGES_MAX
            }
            WriterMessage::RaiseFloor { .. } | WriterMessage::Committed(_) | WriterMessage::Close => true,
        }
    }

    fn decide(&mut self, event: WriterMessage) {
        match event {
            WriterMessage::Job { operations, validate_only, answer, bytes, place } => {
                self.decide_job(&operations, validate_only, answer, (bytes, place));
            }
            WriterMessage::Subscription { id, edit, answer, permit } => self.decide_edit(id, edit, answer, permit),
            // These are not held, and need no judging.
            WriterMessage::RaiseFloor { .. } | WriterMessage::Committed(_) | WriterMessage::Close => {}
        }
    }

    fn decide_job(
        &mut self,
        operations: &[Operation],
        validate_only: bool,
        answer: oneshot::Sender<BatchResult>,
        (bytes, place): (usize, Place),
    ) {
        if self.shared.tail().failed {
            return drop(answer.send(Err(Unavailable::StorageFailed.into())));
        }
        let last = self.next.builder.start().archive_time;
        if let Err(fault) = self.shared.clock_watch.admit_write(self.shared.clock.as_ref(), last) {
            return drop(answer.send(Err(Unavailable::ClockJumped(fault).into())));
        }
        let engine: &Arc<dyn Engine> = &self.shared.engine;
        let empty = Batch::default();
        let in_flight = self.in_flight.as_ref().map_or(&empty, |in_flight| &in_flight.batch);
        let read = Overlay::new(engine.as_ref(), in_flight);
        let cached = |seq| self.shared.caches.content(seq);
        let base = BaseState { read: &read, cached: &cached };
        let result = self.next.builder.decide(base, self.shared.clock.now(), operations, validate_only);
        self.next.bytes += bytes;
        self.next.waiting.push(PendingReply::Job { answer, result, _place: place });
    }

    /// Judges an edit of a subscription on what those before it leave.
    fn decide_edit(
        &mut self,
        id: SubscriptionId,
        edit: SubscriptionEdit,
        answer: oneshot::Sender<EditResult>,
        permit: OwnedSemaphorePermit,
    ) {
        if self.shared.tail().failed {
            return drop(answer.send(Err(Unavailable::StorageFailed.into())));
        }
        let writes = &mut self.next.builder.writes;
        let in_flight = self.in_flight.as_ref().and_then(|in_flight| in_flight.writes.subscriptions.get(&id));
        let current = match writes.subscriptions.get(&id).or(in_flight) {
            Some(edited) => edited.clone(),
            None => self.shared.subscriptions.durable(&id),
        };
        let subscriptions = &self.shared.subscriptions;
        let in_flight = self.in_flight.as_ref().map(|in_flight| &in_flight.writes.subscriptions);
        let count = || subscriptions.count_with(in_flight.into_iter().chain([&writes.subscriptions]));
        let decided = subscriptions::decide(subscriptions, &id, current, &edit, self.shared.clock.now(), count);
        if let Ok(Judged { record, differs: true }) = &decided {
            writes.batch.put_subscription(&id, record.as_deref());
            writes.subscriptions.insert(id.clone(), record.clone());
        }
        let result = decided.map(|decided| decided.record).map_err(ArchiveError::from);
        self.next.waiting.push(PendingReply::Edit { id, edit, answer, result, permit });
    }

    /// The archive time of a commit that is sealed now: later than that of every commit before, and than the clock floor.
    fn archive_time(&self) -> Timestamp {
        let last = self.next.builder.start().archive_time.max(self.floor);
        let least = last.map_or(Timestamp::MIN, |last| last.saturating_add_micros(1));
        // What was admitted before the clock jumped is not taken along.
        let now = match self.shared.clock_fault() {
            Some(ClockFault::JumpedAhead { expected, .. }) => expected,
            Some(ClockFault::Behind { .. }) | None => self.shared.clock.now(),
        };
        now.max(least)
    }

    fn raise_floor(
        &mut self,
        to: Timestamp,
        answer: oneshot::Sender<Result<(), ArchiveError>>,
        permit: OwnedSemaphorePermit,
    ) {
        if self.shared.tail().failed {
            return drop(answer.send(Err(Unavailable::StorageFailed.into())));
        }
        // A floor stays as an archive time does.
        if let Some(fault @ ClockFault::JumpedAhead { expected, .. }) = self.shared.clock_fault()
            && to > expected
        {
            return drop(answer.send(Err(Unavailable::ClockJumped(fault).into())));
        }
        // The commit in flight may have an earlier archive time; the caller waits for it.
        if self.floor.is_none_or(|floor| floor < to) {
            let floor = to.ceil_to_second();
            self.floor = Some(floor);
            self.next.floor = Some(floor);
        }
        self.next.waiting.push(PendingReply::Floor { to, answer, permit });
    }

    /// Hands the next commit to the engine, if none is in flight, and takes the jobs that did not fit before.
    fn hand_over(&mut self) {
        while self.in_flight.is_none() && !self.next.is_idle() {
            self.seal_and_send();
            while let Some(event) = self.next_held() {
                self.decide(event);
            }
        }
    }

    /// The next job or edit that was held and fits now.
    fn next_held(&mut self) -> Option<WriterMessage> {
        if self.held.front().is_some_and(|job| self.fits(job)) {
            return self.held.pop_front();
        }
        if self.held_edits.front().is_some_and(|edit| self.fits(edit)) { self.held_edits.pop_front() } else { None }
    }

    fn seal_and_send(&mut self) {
        let archive_time = self.archive_time();
        let mut writes = self.next.builder.seal(archive_time);
        let position = *self.next.builder.start();
        let OpenCommit { floor, mut waiting, .. } = std::mem::replace(&mut self.next, OpenCommit::new(position));
        waiting.iter_mut().for_each(|waiting| waiting.complete(&writes));
        if let Some(floor) = floor {
            writes.batch.put_meta(MetaKey::ClockFloor, floor.micros().to_be_bytes().to_vec());
        }
        // Without a change of the log there is but the clock floor, and edits of subscriptions.
        writes.batch.maintenance = writes.changes.is_empty();
        if !writes.batch.writes.is_empty() {
            writes.batch.put_meta(MetaKey::Commits, (self.commits_done + 1).to_be_bytes().to_vec());
        }
        let batch = Arc::new(std::mem::take(&mut writes.batch));
        let in_flight = InFlight { batch: Arc::clone(&batch), writes, position, floor, waiting, since: Instant::now() };
        self.in_flight = Some(in_flight);
        if batch.writes.is_empty() {
            // Nothing to write: all that the answers were judged on is durable already.
            return self.committed();
        }
        if self.commits.send(batch).is_err() {
            self.commit_failed(EngineError::Failed("the commit thread has ended".to_owned()));
        }
    }

    /// Makes what was committed visible, starts the next commit, then answers.
    fn committed(&mut self) {
        let Some(in_flight) = self.in_flight.take() else { return };
        let InFlight { batch, writes, position, floor, waiting, .. } = in_flight;
        self.commits_done += u64::from(!batch.writes.is_empty());
        if self.disk_is_full && !batch.maintenance {
            self.disk_is_full = false;
            tracing::info!("there is room on the disk again; writes are taken");
        }
        self.shared.take_in(writes);
        self.shared.announce(|tail| {
            let clock_floor = floor.or(tail.clock_floor);
            *tail = Tail { position, clock_floor, commits: self.commits_done, failed: tail.failed };
        });
        self.record_watermark(position);
        self.hand_over();
        waiting.into_iter().for_each(PendingReply::done);
    }

    fn record_watermark(&mut self, position: Position) {
        let Some(watermark) = &mut self.watermark else { return };
        let Position { next_seq, log_digest, .. } = position;
        let mark = Mark { next_seq: next_seq.0, log_digest: log_digest.0, commits: self.commits_done };
        if let Err(error) = watermark.record(mark) {
            tracing::warn!(%error, "the watermark could not be written");
        }
    }

    /// A commit that was refused wrote nothing: what was judged on the commit is refused, and the writer goes back to what is
    /// durable. Any other failure poisons the archive.
    fn commit_failed(&mut self, error: EngineError) {
        match error {
            EngineError::Full { .. } => {
                if !self.disk_is_full {
                    self.disk_is_full = true;
                    tracing::warn!(%error, "the disk is full; writes are refused until there is room");
                }
                self.refuse_jobs(&error.into());
            }
            EngineError::TooLarge { .. } => {
                tracing::warn!(%error, "a commit was refused");
                self.refuse_all(&error.into());
            }
            EngineError::Failed(_) | EngineError::Poisoned(_) | EngineError::Damaged(_) => {
                self.poison(&error.to_string());
            }
        }
    }

    fn poison(&mut self, reason: &str) {
        tracing::error!(reason, "the storage failed; no more writes are taken");
        self.shared.announce(|tail| tail.failed = true);
        self.refuse_all(&Unavailable::StorageFailed.into());
    }

    /// Refuses what a full disk refuses. The upkeep that shared a commit with it is tried by itself, at once, before
    /// another job can join it.
    fn refuse_jobs(&mut self, error: &ArchiveError) {
        if self.in_flight.as_ref().is_none_or(|in_flight| in_flight.batch.maintenance) {
            return self.refuse_all(error);
        }
        let in_flight = self.in_flight.as_mut().map(|in_flight| std::mem::take(&mut in_flight.waiting));
        let waiting = in_flight.into_iter().flatten().chain(std::mem::take(&mut self.next.waiting));
        let (mut maintenance, mut jobs) = (Vec::new(), Vec::new());
        for waiting in waiting {
            match waiting {
                PendingReply::Floor { to, answer, permit } => {
                    maintenance.push(WriterMessage::RaiseFloor { to, answer, permit })
                }
                PendingReply::Edit { id, edit, answer, permit, .. } => {
                    maintenance.push(WriterMessage::Subscription { id, edit, answer, permit });
                }
                job @ PendingReply::Job { .. } => jobs.push(job),
            }
        }
        maintenance.extend(std::mem::take(&mut self.held_edits));
        self.refuse_all(error);
        jobs.into_iter().for_each(|job| job.failed(error));
        maintenance.into_iter().for_each(|event| self.take(event));
        self.hand_over();
    }

    fn refuse_all(&mut self, error: &ArchiveError) {
        let tail = self.shared.tail();
        let next = std::mem::replace(&mut self.next, OpenCommit::new(tail.position));
        let in_flight = self.in_flight.take().map(|in_flight| in_flight.waiting).unwrap_or_default();
        self.floor = tail.clock_floor;
        in_flight.into_iter().chain(next.waiting).for_each(|waiting| waiting.failed(error));
        for event in std::mem::take(&mut self.held).into_iter().chain(std::mem::take(&mut self.held_edits)) {
            match event {
                WriterMessage::Job { answer, .. } => drop(answer.send(Err(error.clone().into()))),
                WriterMessage::Subscription { answer, .. } => drop(answer.send(Err(error.clone()))),
                WriterMessage::RaiseFloor { .. } | WriterMessage::Committed(_) | WriterMessage::Close => {}
            }
        }
    }
}

impl OpenCommit {
    fn new(position: Position) -> Self {
        Self { builder: CommitBuilder::new(position), floor: None, bytes: 0, waiting: Vec::new() }
    }

    /// A commit is bounded in bytes, so that a slow disk has it within the deadline; one job always fits.
    fn has_room_for(&self, bytes: usize) -> bool {
        self.bytes == 0 || self.bytes + bytes <= COMMIT_BYTES_MAX
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }
}
