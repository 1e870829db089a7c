//! The child: opens a real archive, works on it, reports its requests and the replies, and is killed.
//!
//! It is this test binary, started again to run only the test below.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dateline::internals::archive::changefeed::{FeedView, PagePlan};
use dateline::internals::archive::error::SubscriptionError;
use dateline::internals::archive::recover::compact::{CompactMode, compact_directory};
use dateline::internals::archive::request::{Operation, WriteMode};
use dateline::internals::archive::subscriptions::ParkRequest;
use dateline::internals::archive::{Archive, ArchiveError, BatchError, Holder, OpenArchiveError, Options, Pending};
use dateline::internals::clock::{Clock, SystemClock};
use dateline::model::{AsOf, FeedQuery, KnownAt, RequestDigest, Seq, SubscriptionId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::dice::Dice;
use crate::told::{Answer, Line, Stamp};
use crate::work::Work;

/// The digest of every request that creates a subscription: each child sends the same one.
const CREATION: RequestDigest = RequestDigest([1; 16]);
/// The environment variable with the child's task.
pub(crate) const TASK: &str = "DATELINE_CRASH_TASK";

/// The task of a child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) path: PathBuf,
    pub(crate) seed: u64,
    /// The number of this child among all that worked on the archive.
    pub(crate) generation: u64,
    pub(crate) writers: u64,
    /// The number of jobs of each writer.
    pub(crate) jobs: u64,
    /// Percentage of contents that are large.
    pub(crate) large_percent: u64,
    /// Percentage of observations with an original of some megabytes.
    #[serde(default)]
    pub(crate) vast_percent: u64,
    /// By how much the child's clock is wrong.
    pub(crate) clock_off_micros: i64,
    /// Whether the child compacts the archive, instead of all this.
    #[serde(default)]
    pub(crate) compacts: bool,
}

#[test]
#[ignore = "the child of the other tests"]
fn child() {
    // When somebody runs all ignored tests by hand, there is no task.
    let Ok(task) = std::env::var(TASK) else { return };
    let task: Task = serde_json::from_str(&task).unwrap();
    // The harness has printed an unfinished line, and so may have a child that was killed.
    println!();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(live(task));
}

impl Task {
    /// Usually a few contents are large. Sometimes many are, so that the engine starts new segments.
    pub(crate) fn random_large_percent(dice: &mut Dice) -> u64 {
        if dice.percent(12) { 40 } else { 2 }
    }

    /// Sometimes originals take megabytes, so that one commit is written in many parts.
    pub(crate) fn random_vast_percent(dice: &mut Dice) -> u64 {
        if dice.percent(6) { 10 } else { 0 }
    }
}

/// A clock that is wrong by a fixed amount.
struct OffClock(i64);

impl Clock for OffClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().saturating_add_micros(self.0)
    }

    fn steady(&self) -> Duration {
        SystemClock.steady()
    }
}

/// Opens an archive as `serve` does.
pub(crate) fn open(path: &Path, clock_off_micros: i64) -> Result<Archive, OpenArchiveError> {
    Ok(Archive::open_or_create(path, &options(), Arc::new(OffClock(clock_off_micros)), holder())?.0)
}

fn options() -> Options {
    Options { free_space_floor_bytes: 64 << 20, ..Options::default() }
}

pub(crate) fn holder() -> Holder {
    Holder { pid: std::process::id(), command: "test".to_owned(), since: String::new() }
}

/// Compacts an archive as `compact` does.
fn compact(path: &Path) {
    match compact_directory(path, CompactMode::Compress, &options(), holder(), &mut |_| ControlFlow::Continue(())) {
        Ok(_) => Line::Closed.say(),
        Err(error) => Line::Failed(error.to_string()).say(),
    }
}

async fn live(task: Task) {
    Line::Opening.say();
    if task.compacts {
        return compact(&task.path);
    }
    let archive = match open(&task.path, task.clock_off_micros) {
        Ok(archive) => Arc::new(archive),
        Err(error) => return Line::NotOpened(error.to_string()).say(),
    };
    Line::Opened.say();
    let mut tasks: Vec<_> =
        (0..task.writers).map(|writer| tokio::spawn(write(archive.clone(), task.clone(), writer))).collect();
    if task.generation.is_multiple_of(2) {
        tasks.push(tokio::spawn(consume(
            archive.clone(),
            Dice::for_task(task.seed, task.generation << 8 | 255),
            task.jobs,
        )));
    }
    for task in tasks {
        if let Err(error) = task.await {
            Line::Failed(format!("a task of the child ended: {error}")).say();
        }
    }
    archive.close().await;
    drop(archive);
    Line::Closed.say();
}

async fn write(archive: Arc<Archive>, task: Task, writer: u64) {
    let mut work = Work::new((task.seed, task.generation, writer), (task.large_percent, task.vast_percent));
    let in_flight_max = 1 + usize::try_from(work.dice().below(4)).unwrap();
    let mut in_flight: VecDeque<(u64, Pending)> = VecDeque::new();
    for number in 0..task.jobs {
        let job = task.generation << 32 | writer << 24 | number;
        let wanted = work.job();
        let operations: Vec<Operation> = wanted.iter().map(crate::wanted::Wanted::operation).collect();
        Line::Asked { job, wanted }.say();
        match archive.begin_write(&Arc::default(), operations, WriteMode::Commit).await {
            Ok(pending) => in_flight.push_back((job, pending)),
            Err(error) => Line::Failed(format!("a write was not accepted: {error}")).say(),
        }
        while in_flight.len() >= in_flight_max || (number + 1 == task.jobs && !in_flight.is_empty()) {
            let Some((job, pending)) = in_flight.pop_front() else { break };
            tell(job, pending.reply().await);
        }
        if work.dice().percent(4) {
            know(&archive).await;
        }
    }
}

fn tell(job: u64, answer: dateline::internals::archive::BatchResult) {
    match answer {
        Ok(written) => Line::Receipt { job, answers: written.iter().map(Answer::of).collect() }.say(),
        Err(BatchError {
            error:
                error @ (dateline::internals::archive::ArchiveError::Missing(_)
                | dateline::internals::archive::ArchiveError::Conflict(_)),
            ..
        }) => {
            Line::Refused { job, reason: error.to_string() }.say();
        }
        Err(BatchError { error, .. }) => Line::Failed(format!("job {job}: {error}")).say(),
    }
}

/// Reads as known now, which closes the time up to then: later commits must get later archive times.
async fn know(archive: &Archive) {
    let at = archive.clock().now();
    let as_of = AsOf { observe_time: None, known_at: KnownAt::ArchiveTime(at) };
    match archive.read_point(as_of, Seq::ZERO).await {
        Ok(point) => Line::Known { at: at.micros(), snapshot: Stamp::of(&point.snapshot) }.say(),
        Err(error) => Line::Failed(format!("as known at {at}: {error}")).say(),
    }
}

/// Creates or attaches to a subscription, and from time to time acknowledges everything up to the end of the log.
async fn consume(archive: Arc<Archive>, mut dice: Dice, turns: u64) {
    let id = format!("index-{}", dice.below(3));
    let subscription = SubscriptionId::parse(&id).unwrap();
    Line::SubscriptionAsked { id: id.clone(), next_seq: 0 }.say();
    if let Ok(made) = archive.create_subscription(subscription.clone(), FeedQuery::default(), Seq::ZERO, CREATION).await
    {
        Line::Subscription { id: id.clone(), epoch: made.record.epoch, next_seq: 0 }.say();
    }
    for _ in 0..turns / 8 + 1 {
        let attachment = match archive.attach_subscription(subscription.clone(), String::new(), None).await {
            Ok(attachment) => attachment,
            Err(error) => return Line::Failed(format!("attaching to {id} failed: {error}")).say(),
        };
        let (epoch, next_seq) = (attachment.epoch, attachment.start.next_seq.0);
        Line::Subscription { id: id.clone(), epoch, next_seq }.say();
        for _ in 0..1 + dice.below(8) {
            let end = archive.tail().next_seq;
            attachment.deliver(end);
            Line::SubscriptionAsked { id: id.clone(), next_seq: end.0 }.say();
            match archive.acknowledge_subscription(subscription.clone(), epoch, end).await {
                Ok(at) => Line::Subscription { id: id.clone(), epoch, next_seq: at.record.next_seq.0 }.say(),
                Err(error) => return Line::Failed(format!("acknowledging {id} failed: {error}")).say(),
            }
            if let Err(error) = put_aside(&archive, &subscription, &mut dice, epoch, end).await {
                return Line::Failed(format!("parking a change of {id} failed: {error}")).say();
            }
        }
    }
}

/// Parks a change that was delivered, or resolves one that is parked.
async fn put_aside(
    archive: &Archive,
    subscription: &SubscriptionId,
    dice: &mut Dice,
    epoch: u64,
    end: Seq,
) -> Result<(), ArchiveError> {
    let id = subscription.as_str().to_owned();
    let parked = archive.subscription(subscription.clone()).await?.record.parked.clone();
    if let Some(seq) = parked.keys().next().copied().filter(|_| dice.percent(40)) {
        Line::ParkAsked { id: id.clone(), seq: seq.0 }.say();
        archive.resolve_parked(subscription.clone(), vec![seq]).await?;
        Line::Parked { id, seq: seq.0, parked: false }.say();
        return Ok(());
    }
    if end == Seq::ZERO {
        return Ok(());
    }
    let seq = Seq(dice.below(end.0));
    let request = ParkRequest { epoch, seq, reason: "put aside".to_owned(), attempts: 1 };
    let plan = PagePlan {
        query: Arc::default(),
        view: FeedView::Basic,
        render: |_, _| {},
        changes_max: 1,
        bytes_max: 1,
        examined_max: 1,
    };
    Line::ParkAsked { id: id.clone(), seq: seq.0 }.say();
    match archive.park_change(subscription.clone(), request, plan).await {
        Ok(_) => Line::Parked { id, seq: seq.0, parked: true }.say(),
        // The subscription's filter leaves out sightings.
        Err(ArchiveError::Subscription(SubscriptionError::NotDelivered { .. })) => {
            Line::Parked { id, seq: seq.0, parked: parked.contains_key(&seq) }.say();
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
