//! The writer thread: decides every write in order, and overlaps that with the sync of the commit before (group
//! commit).
//!
//! ```text
//!              time ─────────────────────────────────────────────────▶
//! writer       decide A B │ decide C D E          │ decide F
//!                    seal ▼                  seal ▼
//! committer               │ sync commit (A B)     │ sync commit (C D E)
//!                                                 ▼
//! replies                              to A and B │           to C D E …
//! ```
//!
//! The longer a sync takes, the more jobs share the next one; with a single caller, each commit has one job and no job
//! waits for others. At most one commit is in flight, and one is open.
//!
//! Invariants:
//! - This thread is the only one that assigns positions, archive times and article numbers.
//! - A reply, even an error, is sent only when everything that it was decided on is durable. So no reply reveals a
//!   state that a crash could take back.
//! - When a commit is durable, its effects are applied to the memory of the archive first, then the tail is announced,
//!   then replies are sent. So a caller that has received its reply can read what it wrote.
//! - If the engine rejects a commit (the disk is full, or a value is too large), nothing of it was written. Everything
//!   decided on it is rejected too, and the thread continues from the durable tail.
//! - If a commit fails in any other way, or exceeds its deadline, the archive is poisoned: nothing is acknowledged
//!   again. The state on disk is then unknown until the archive is opened again.
//! - Maintenance (closed times, subscription edits, checkpoints) survives a full disk: it is committed on its own.
//!
//! The thread knows neither subscribers nor connections; a caller is a oneshot sender here. It holds no lock while it
//! waits.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::archive::clock_watch::ClockFault;
use crate::archive::error::{ArchiveError, Unavailable};
use crate::archive::position::{LogPosition, Tail};
use crate::archive::shared::Shared;
use crate::archive::subscriptions::{self, Decided};
use crate::archive::write::capacity::QueueSlot;
use crate::archive::write::commit_builder::{BaseState, CommitBuilder};
use crate::archive::write::messages::{BatchResult, Edit, EditResult, Job, WriterMessage};
use crate::archive::write::salts::Salts;
use crate::archive::write::{checkpoints, committer};
use crate::archive::writes::Writes;
use crate::model::merkle::Edge;
use crate::model::{Limits, Timestamp};
use crate::store::checkpoint::CheckpointRecord;
use crate::store::engine::watermark::{DurableState, Watermark};
use crate::store::key::meta::MetaKey;
use crate::store::overlay::Overlay;
use crate::store::{Batch, Engine, EngineError, Tables};

/// The maximum size of the contents and originals in one commit. A single job may exceed it.
const COMMIT_BYTES_MAX: usize = 16 << 20;

/// A reply that waits until a commit is durable.
enum PendingReply {
    Job {
        reply: oneshot::Sender<BatchResult>,
        result: BatchResult,
        _slot: Arc<QueueSlot>,
    },
    ClosedTime {
        to: Timestamp,
        reply: oneshot::Sender<Result<(), ArchiveError>>,
        permit: OwnedSemaphorePermit,
    },
    Edit {
        edit: Box<Edit>,
        result: EditResult,
    },
    Checkpoint {
        checkpoint: Box<CheckpointRecord>,
        reply: oneshot::Sender<Result<(), ArchiveError>>,
        permit: OwnedSemaphorePermit,
    },
}

impl PendingReply {
    /// Completes the receipts once the commit that they wait for is sealed.
    fn complete(&mut self, sealed: &Writes) {
        match self {
            Self::Job { result: Ok(receipts), .. } => receipts.iter_mut().for_each(|receipt| sealed.complete(receipt)),
            Self::Job { result: Err(_), .. }
            | Self::ClosedTime { .. }
            | Self::Edit { .. }
            | Self::Checkpoint { .. } => {}
        }
    }

    fn send(self) {
        // Sending fails if the caller is gone. The write is durable regardless.
        match self {
            Self::Job { reply, result, .. } => drop(reply.send(result)),
            Self::ClosedTime { reply, .. } | Self::Checkpoint { reply, .. } => drop(reply.send(Ok(()))),
            Self::Edit { edit, result } => drop(edit.reply.send(result)),
        }
    }

    fn fail(self, error: &ArchiveError) {
        match self {
            Self::Job { reply, .. } => drop(reply.send(Err(error.clone().into()))),
            Self::ClosedTime { reply, .. } | Self::Checkpoint { reply, .. } => drop(reply.send(Err(error.clone()))),
            Self::Edit { edit, .. } => drop(edit.reply.send(Err(error.clone()))),
        }
    }
}

/// The commit that is being built, with the replies that wait for it.
struct OpenCommit {
    builder: CommitBuilder,
    closed_time: Option<Timestamp>,
    /// The size of the contents and originals of all its jobs, in bytes.
    bytes: usize,
    waiting: Vec<PendingReply>,
}

/// A sealed commit that the committer is making durable.
struct InFlight {
    batch: Arc<Batch>,
    writes: Writes,
    position: LogPosition,
    edge: Arc<Edge>,
    closed_time: Option<Timestamp>,
    waiting: Vec<PendingReply>,
    since: Instant,
}

/// How the writer thread ended.
#[derive(PartialEq, Eq)]
enum Ended {
    /// Everything that it accepted is done.
    Finished,
    /// A commit hangs in the engine.
    Hanging,
}

/// The state that the writer thread and the committer start with.
pub(crate) struct WriterStart {
    /// The durable tail.
    pub(crate) tail: Tail,
    /// The file outside the database that records how far the log is durable; `None` for an engine in memory.
    pub(crate) watermark: Option<Watermark>,
    pub(crate) salts: Salts,
    /// A commit that takes longer than this poisons the archive.
    pub(crate) flush_deadline: Duration,
}

/// The state of the writer thread.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    messages: Receiver<WriterMessage>,
    commits: SyncSender<Arc<Batch>>,
    flush_deadline: Duration,
    /// The file outside the database that records how far the log is durable; `None` for an engine in memory.
    watermark: Option<Watermark>,
    open: OpenCommit,
    in_flight: Option<InFlight>,
    /// Jobs that did not fit into the open commit, in order of arrival.
    deferred: VecDeque<Job>,
    /// Subscription edits that did not fit into the open commit, in order of arrival. Edits depend only on
    /// subscriptions, so jobs need not wait for them.
    deferred_edits: VecDeque<Box<Edit>>,
    /// The highest closed time, whether durable, in flight or in the open commit.
    closed_time: Option<Timestamp>,
    /// The number of durable commits since the archive was created.
    commits_done: u64,
    salts: Salts,
    /// Whether the last commit of jobs was rejected because the disk was full.
    disk_is_full: bool,
    closing: bool,
}

impl Writer {
    /// Starts the writer thread and the committer. The committer reports its results through `to_self`, a sender of the
    /// channel that `messages` receives from.
    pub(crate) fn start(
        shared: Arc<Shared>,
        start: WriterStart,
        messages: Receiver<WriterMessage>,
        to_self: SyncSender<WriterMessage>,
    ) -> std::io::Result<JoinHandle<()>> {
        let WriterStart { tail, watermark, salts, flush_deadline } = start;
        let (commits, batches) = sync_channel::<Arc<Batch>>(1);
        let (engine, histograms) = (Arc::clone(&shared.engine), Arc::clone(&shared.commits));
        let committer = std::thread::Builder::new()
            .name("dateline-commit".to_owned())
            .spawn(move || committer::run(engine.as_ref(), &batches, &to_self, &histograms))?;
        let Tail { position, commits: commits_done, closed_time, .. } = tail;
        std::thread::Builder::new().name("dateline-write".to_owned()).spawn(move || {
            let open = OpenCommit::new(position, shared.edge().as_ref().clone());
            let (deferred, deferred_edits, in_flight) = (VecDeque::new(), VecDeque::new(), None);
            let (disk_is_full, closing) = (false, false);
            let mut writer = Self {
                shared,
                messages,
                commits,
                flush_deadline,
                watermark,
                open,
                in_flight,
                deferred,
                deferred_edits,
                closed_time,
                commits_done,
                salts,
                disk_is_full,
                closing,
            };
            match catch_unwind(AssertUnwindSafe(|| writer.run())) {
                Ok(Ended::Finished) => writer.release(committer),
                Ok(Ended::Hanging) => {}
                Err(_) => writer.poison("the writer thread panicked"),
            }
        })
    }

    fn run(&mut self) -> Ended {
        loop {
            let nothing_deferred = self.deferred.is_empty() && self.deferred_edits.is_empty();
            if self.closing && self.in_flight.is_none() && self.open.is_idle() && nothing_deferred {
                return Ended::Finished;
            }
            let Some(message) = self.wait() else { return Ended::Hanging };
            self.handle(message);
            self.drain_messages();
            self.hand_over();
        }
    }

    /// Waits for the committer to end, so that no thread uses the engine after this one has ended. This is not called
    /// if a commit hangs in the engine, because the process must be able to exit even then.
    fn release(self, committer: JoinHandle<()>) {
        drop(self.commits);
        if committer.join().is_err() {
            tracing::error!("the commit thread ended unexpectedly");
        }
    }

    /// Waits for the next message; `None` if the archive was dropped, or the commit in flight has exceeded its
    /// deadline.
    fn wait(&mut self) -> Option<WriterMessage> {
        let Some(in_flight) = &self.in_flight else { return self.messages.recv().ok() };
        let remaining = self.flush_deadline.saturating_sub(in_flight.since.elapsed());
        match self.messages.recv_timeout(remaining) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                let seconds = self.flush_deadline.as_secs_f32();
                self.poison(&format!("a commit did not become durable within {seconds} s"));
                None
            }
        }
    }

    /// Handles the messages that have arrived already, until a job has to be deferred.
    fn drain_messages(&mut self) {
        while self.deferred.is_empty() {
            match self.messages.try_recv() {
                Ok(message) => self.handle(message),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    fn handle(&mut self, message: WriterMessage) {
        match message {
            WriterMessage::Committed(Ok(())) => self.committed(),
            WriterMessage::Committed(Err(error)) => self.commit_failed(error),
            WriterMessage::Close => self.closing = true,
            WriterMessage::Job(job) if self.deferred.is_empty() && self.has_room_for(&job) => self.decide_job(job),
            WriterMessage::Job(job) => self.deferred.push_back(job),
            WriterMessage::Jobs(jobs) => jobs.into_iter().for_each(|job| self.handle(WriterMessage::Job(job))),
            WriterMessage::Edit(edit) if self.deferred_edits.is_empty() && self.has_room_for_edit() => {
                self.decide_edit(edit)
            }
            WriterMessage::Edit(edit) => self.deferred_edits.push_back(edit),
            WriterMessage::RaiseClosedTime { to, reply, permit } => self.raise_closed_time(to, reply, permit),
            WriterMessage::KeepCheckpoint { checkpoint, reply, permit } => {
                self.keep_checkpoint(checkpoint, reply, permit)
            }
        }
    }

    /// Whether a job fits into the open commit.
    fn has_room_for(&self, job: &Job) -> bool {
        self.open.builder.has_room_for(&job.operations) && self.open.has_room_for(job.bytes)
    }

    /// Whether one more subscription edit fits into the open commit.
    fn has_room_for_edit(&self) -> bool {
        self.open.builder.writes.subscriptions.len() < Limits::COMMIT_CHANGES_MAX
    }

    fn decide_job(&mut self, job: Job) {
        let Job { operations, mode, reply, bytes, slot } = job;
        if self.shared.tail().failed {
            return drop(reply.send(Err(Unavailable::StorageFailed.into())));
        }
        let last = self.open.builder.start().archive_time;
        if let Err(fault) = self.shared.clock_watch.admit_write(self.shared.clock.as_ref(), last) {
            return drop(reply.send(Err(Unavailable::ClockJumped(fault).into())));
        }
        let engine: &Arc<dyn Engine> = &self.shared.engine;
        let empty = Batch::default();
        let in_flight = self.in_flight.as_ref().map_or(&empty, |in_flight| &in_flight.batch);
        let read = Overlay::new(engine.as_ref(), in_flight);
        let cached = |seq| {
            let in_flight = self.in_flight.as_ref().and_then(|in_flight| in_flight.writes.content(seq));
            in_flight.or_else(|| self.shared.caches.content(seq))
        };
        let base = BaseState { read: &read, cached: &cached };
        let result = self.open.builder.decide(base, self.shared.clock.now(), &operations, mode);
        self.open.bytes += bytes;
        self.open.waiting.push(PendingReply::Job { reply, result, _slot: slot });
    }

    /// Decides a subscription edit on the state after all earlier edits.
    fn decide_edit(&mut self, edit: Box<Edit>) {
        let id = &edit.id;
        if self.shared.tail().failed {
            return drop(edit.reply.send(Err(Unavailable::StorageFailed.into())));
        }
        let writes = &mut self.open.builder.writes;
        let in_flight = self.in_flight.as_ref().and_then(|in_flight| in_flight.writes.subscriptions.get(id));
        let current = match writes.subscriptions.get(id).or(in_flight) {
            Some(edited) => edited.clone(),
            None => self.shared.subscriptions.durable(id),
        };
        let subscriptions = &self.shared.subscriptions;
        let in_flight = self.in_flight.as_ref().map(|in_flight| &in_flight.writes.subscriptions);
        let totals = || subscriptions.totals_with(in_flight.into_iter().chain([&writes.subscriptions]));
        let decided = subscriptions::decide(subscriptions, id, current, &edit.edit, self.shared.clock.now(), totals);
        if let Ok(Decided { record, differs: true, parked }) = &decided {
            writes.batch.put_subscription(id, record.as_deref());
            for (seq, parked) in parked {
                writes.batch.put_parked(id, *seq, parked.as_ref());
            }
            writes.subscriptions.insert(id.clone(), record.clone());
        }
        let result = decided.map(|decided| decided.record).map_err(ArchiveError::from);
        self.open.waiting.push(PendingReply::Edit { edit, result });
    }

    /// Adds a checkpoint to the open commit. What it signs is durable already.
    fn keep_checkpoint(
        &mut self,
        checkpoint: Box<CheckpointRecord>,
        reply: oneshot::Sender<Result<(), ArchiveError>>,
        permit: OwnedSemaphorePermit,
    ) {
        if self.shared.tail().failed {
            return drop(reply.send(Err(Unavailable::StorageFailed.into())));
        }
        let empty = Batch::default();
        let in_flight = self.in_flight.as_ref().map_or(&empty, |in_flight| &in_flight.batch);
        let committed = Overlay::new(self.shared.engine.as_ref(), in_flight);
        let read = Overlay::new(&committed, &self.open.builder.writes.batch);
        match checkpoints::keep(&Tables::new(&read), &checkpoint) {
            Ok(batch) => {
                self.open.builder.writes.batch.writes.extend(batch.writes);
                self.open.waiting.push(PendingReply::Checkpoint { checkpoint, reply, permit });
            }
            Err(error) => drop(reply.send(Err(error.into()))),
        }
    }

    /// The archive time of a commit that is sealed now: the time of the clock, but always later than the archive time
    /// of the commit before, and later than the closed time.
    fn archive_time(&self) -> Timestamp {
        let last = self.open.builder.start().archive_time.max(self.closed_time);
        let earliest = last.map_or(Timestamp::MIN, |last| last.saturating_add_micros(1));
        // Writes that were admitted before the clock jumped ahead must not get a time from after the jump.
        let now = match self.shared.clock_fault() {
            Some(ClockFault::JumpedAhead { expected, .. }) => expected,
            Some(ClockFault::Behind { .. }) | None => self.shared.clock.now(),
        };
        now.max(earliest)
    }

    fn raise_closed_time(
        &mut self,
        to: Timestamp,
        reply: oneshot::Sender<Result<(), ArchiveError>>,
        permit: OwnedSemaphorePermit,
    ) {
        if self.shared.tail().failed {
            return drop(reply.send(Err(Unavailable::StorageFailed.into())));
        }
        // All later archive times are after the closed time, so one from after a jump would do the same harm as a
        // write.
        if let Some(fault @ ClockFault::JumpedAhead { expected, .. }) = self.shared.clock_fault()
            && to > expected
        {
            return drop(reply.send(Err(Unavailable::ClockJumped(fault).into())));
        }
        // The commit in flight may still have an archive time at or before `to`; the reply waits until it is durable.
        if self.closed_time.is_none_or(|closed_time| closed_time < to) {
            let closed_time = to.ceil_to_second();
            self.closed_time = Some(closed_time);
            self.open.closed_time = Some(closed_time);
        }
        self.open.waiting.push(PendingReply::ClosedTime { to, reply, permit });
    }

    /// Hands the open commit to the committer if none is in flight, then decides the messages that did not fit into it.
    fn hand_over(&mut self) {
        while self.in_flight.is_none() && !self.open.is_idle() {
            self.seal_and_send();
            self.decide_deferred();
        }
    }

    /// Decides the deferred messages that fit now; jobs come before edits.
    fn decide_deferred(&mut self) {
        while let Some(job) = self.deferred.pop_front() {
            if !self.has_room_for(&job) {
                self.deferred.push_front(job);
                break;
            }
            self.decide_job(job);
        }
        while self.has_room_for_edit()
            && let Some(edit) = self.deferred_edits.pop_front()
        {
            self.decide_edit(edit);
        }
    }

    fn seal_and_send(&mut self) {
        let archive_time = self.archive_time();
        let (first, count) = (self.open.builder.start().next_seq, self.open.builder.writes.changes.len());
        let salts = match self.salts.draw(first, count) {
            Ok(salts) => salts,
            Err(error) => return self.poison(&format!("the operating system returned no random bytes: {error}")),
        };
        let mut writes = self.open.builder.seal(archive_time, salts);
        let (position, edge) = (*self.open.builder.start(), Arc::new(self.open.builder.edge().clone()));
        let (closed_time, mut waiting) = self.open.sealed();
        waiting.iter_mut().for_each(|reply| reply.complete(&writes));
        if let Some(closed_time) = closed_time {
            writes.batch.put_meta(MetaKey::ClosedTime, closed_time.micros().to_be_bytes().to_vec());
        }
        // A commit without log changes carries only a closed time, subscription edits and checkpoints.
        writes.batch.maintenance = writes.changes.is_empty();
        if !writes.batch.writes.is_empty() {
            writes.batch.put_meta(MetaKey::Commits, (self.commits_done + 1).to_be_bytes().to_vec());
        }
        let batch = Arc::new(std::mem::take(&mut writes.batch));
        let in_flight =
            InFlight { batch: Arc::clone(&batch), writes, position, edge, closed_time, waiting, since: Instant::now() };
        self.in_flight = Some(in_flight);
        if batch.writes.is_empty() {
            // There is nothing to write, so everything that the replies were decided on is durable already.
            return self.committed();
        }
        if self.commits.send(batch).is_err() {
            self.commit_failed(EngineError::Failed("the commit thread has ended".to_owned()));
        }
    }

    /// Makes the commit in flight visible, now that it is durable, hands over the next one, then sends the replies.
    fn committed(&mut self) {
        let Some(in_flight) = self.in_flight.take() else { return };
        let InFlight { batch, writes, position, edge, closed_time, waiting, .. } = in_flight;
        self.commits_done += u64::from(!batch.writes.is_empty());
        if self.disk_is_full && !batch.maintenance {
            self.disk_is_full = false;
            tracing::info!("the disk has room again; writes are accepted");
        }
        self.shared.commits.observe_changes(writes.changes.len());
        self.shared.apply(writes, edge);
        self.shared.announce(|tail| {
            let closed_time = closed_time.or(tail.closed_time);
            *tail = Tail { position, closed_time, commits: self.commits_done, failed: tail.failed };
        });
        self.record_watermark(position);
        self.hand_over();
        waiting.into_iter().for_each(PendingReply::send);
    }

    fn record_watermark(&mut self, position: LogPosition) {
        let Some(watermark) = &mut self.watermark else { return };
        let LogPosition { next_seq, log_digest, .. } = position;
        let state = DurableState { next_seq: next_seq.0, log_digest: log_digest.0, commits: self.commits_done };
        if let Err(error) = watermark.record(state) {
            tracing::warn!(%error, "the watermark could not be written");
        }
    }

    /// Handles a failed commit. If the engine rejected it, nothing was written: everything decided on it is rejected
    /// too, and the thread continues from the durable tail. Any other failure poisons the archive.
    fn commit_failed(&mut self, error: EngineError) {
        match error {
            EngineError::Full { .. } => {
                if !self.disk_is_full {
                    self.disk_is_full = true;
                    tracing::warn!(%error, "the disk is full; writes are rejected until it has room");
                }
                self.reject_jobs(&error.into());
            }
            EngineError::TooLarge { .. } => {
                tracing::warn!(%error, "the engine rejected a commit");
                self.reject_all(&error.into());
            }
            EngineError::Failed(_) | EngineError::Poisoned(_) | EngineError::Damaged(_) => {
                self.poison(&error.to_string());
            }
        }
    }

    fn poison(&mut self, reason: &str) {
        tracing::error!(reason, "the storage failed; no more writes are accepted");
        self.shared.announce(|tail| tail.failed = true);
        self.reject_all(&Unavailable::StorageFailed.into());
    }

    /// Rejects the jobs that a full disk has no room for. Maintenance writes that shared a commit with them are retried
    /// at once in a commit of their own, before another job can join it.
    fn reject_jobs(&mut self, error: &ArchiveError) {
        if self.in_flight.as_ref().is_none_or(|in_flight| in_flight.batch.maintenance) {
            return self.reject_all(error);
        }
        let in_flight = self.in_flight.as_mut().map(|in_flight| std::mem::take(&mut in_flight.waiting));
        let waiting = in_flight.into_iter().flatten().chain(std::mem::take(&mut self.open.waiting));
        let (mut maintenance, mut jobs) = (Vec::new(), Vec::new());
        for pending in waiting {
            match pending {
                PendingReply::ClosedTime { to, reply, permit } => {
                    maintenance.push(WriterMessage::RaiseClosedTime { to, reply, permit })
                }
                PendingReply::Edit { edit, .. } => maintenance.push(WriterMessage::Edit(edit)),
                PendingReply::Checkpoint { checkpoint, reply, permit } => {
                    maintenance.push(WriterMessage::KeepCheckpoint { checkpoint, reply, permit })
                }
                job @ PendingReply::Job { .. } => jobs.push(job),
            }
        }
        maintenance.extend(std::mem::take(&mut self.deferred_edits).into_iter().map(WriterMessage::Edit));
        self.reject_all(error);
        jobs.into_iter().for_each(|job| job.fail(error));
        maintenance.into_iter().for_each(|message| self.handle(message));
        self.hand_over();
    }

    /// Rejects everything that is not durable, and continues from the durable tail.
    fn reject_all(&mut self, error: &ArchiveError) {
        let tail = self.shared.tail();
        let edge = self.shared.edge().as_ref().clone();
        let open = std::mem::replace(&mut self.open, OpenCommit::new(tail.position, edge));
        let in_flight = self.in_flight.take().map(|in_flight| in_flight.waiting).unwrap_or_default();
        self.closed_time = tail.closed_time;
        in_flight.into_iter().chain(open.waiting).for_each(|reply| reply.fail(error));
        for job in std::mem::take(&mut self.deferred) {
            drop(job.reply.send(Err(error.clone().into())));
        }
        for edit in std::mem::take(&mut self.deferred_edits) {
            drop(edit.reply.send(Err(error.clone())));
        }
    }
}

impl OpenCommit {
    fn new(position: LogPosition, edge: Edge) -> Self {
        Self { builder: CommitBuilder::new(position, edge), closed_time: None, bytes: 0, waiting: Vec::new() }
    }

    /// Begins the commit after this one, whose builder is sealed. Returns the closed time and the replies of this one.
    fn sealed(&mut self) -> (Option<Timestamp>, Vec<PendingReply>) {
        self.bytes = 0;
        (self.closed_time.take(), std::mem::take(&mut self.waiting))
    }

    /// Whether a job of `bytes` bytes fits. The limit lets even a slow disk finish a commit within the deadline. A
    /// commit without contents and originals has room for any job.
    fn has_room_for(&self, bytes: usize) -> bool {
        self.bytes == 0 || self.bytes + bytes <= COMMIT_BYTES_MAX
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }
}
