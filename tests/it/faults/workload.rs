//! A workload with one commit per step. It is played on a healthy archive first: its answers, its entries and what
//! readers saw after each step are what every archive with a fault is compared with.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use dateline::internals::archive::read::article::View;
use dateline::internals::archive::request::{Operation, WriteMode};
use dateline::internals::archive::subscriptions::Attachment;
use dateline::internals::archive::{Archive, ArchiveError, BatchError, Options};
use dateline::internals::clock::{Clock, ManualClock};
use dateline::internals::store::engine::memory::MemoryEngine;
use dateline::internals::store::engine::{Batch, Engine, Entry};
use dateline::model::{AsOf, FeedQuery, KnownAt, Seq, SubscriptionId, Timestamp};

use crate::model;
use crate::portrait::portrait;
use crate::support;
use crate::verify::entries;

/// How far the clock moves with each step: more than the second to which a closed time is rounded up.
const STEP_MICROS: i64 = 1_700_000;

/// One step of a workload.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Write(Vec<Operation>),
    /// A read as known now, which raises the closed time.
    AsKnownNow,
    Create,
    Attach,
    /// Acknowledges everything delivered, under the epoch of the step before.
    Acknowledge,
}

/// Random batches, and between them everything else that commits.
pub(super) fn steps() -> Vec<Step> {
    let mut steps = Vec::new();
    for (index, operations) in model::batches(60).into_iter().enumerate() {
        steps.push(Step::Write(operations));
        match index {
            3 => steps.push(Step::Create),
            5 | 14 | 36 => steps.extend([Step::Attach, Step::Acknowledge]),
            8 | 15 | 40 => steps.push(Step::AsKnownNow),
            _ => {}
        }
    }
    steps
}

/// The state of the healthy archive after some steps.
pub(super) struct Stage {
    pub(super) entries: Vec<Entry>,
    pub(super) portrait: String,
    /// The answer to the last step.
    pub(super) answer: String,
}

/// The states before the first step and after each step.
pub(super) async fn stages(steps: &[Step]) -> Vec<Stage> {
    let engine = MemoryEngine::new();
    let mut player = Player::open(&engine, Duration::from_secs(60));
    let mut stages = vec![player.stage(String::new()).await];
    for (index, step) in steps.iter().enumerate() {
        let answer = player.play(index, step).await;
        stages.push(player.stage(format!("{answer:?}")).await);
    }
    player.archive.close().await;
    stages
}

/// An engine that has these entries, durably.
pub(super) fn engine_with(entries: &[Entry]) -> MemoryEngine {
    let engine = MemoryEngine::new();
    let writes = entries.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    engine.commit(&Batch { writes, ..Batch::default() }).unwrap();
    engine
}

/// An archive, and the state of playing a workload on it.
pub(super) struct Player {
    pub(super) archive: Archive,
    engine: MemoryEngine,
    clock: Arc<ManualClock>,
    attached: Option<Attachment>,
}

impl Player {
    pub(super) fn open(engine: &MemoryEngine, flush_deadline: Duration) -> Self {
        let options = Options { flush_deadline, salt_seed: Some(1), ..Options::default() };
        let clock = Arc::new(ManualClock::new(support::now()));
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let archive = Archive::over(Arc::new(engine.clone()), &options, shared).unwrap();
        Self { archive, engine: engine.clone(), clock, attached: None }
    }

    /// Plays the step at `index`, always at the time that belongs to this index.
    pub(super) async fn play(&mut self, index: usize, step: &Step) -> Result<String, ArchiveError> {
        self.clock.set(time_of(index));
        match step {
            Step::Write(operations) => match self.archive.write(operations.clone(), WriteMode::Commit).await {
                Ok(written) => Ok(format!("{written:?}")),
                Err(BatchError { error, .. }) => Err(error),
            },
            Step::AsKnownNow => {
                let known_at = KnownAt::ArchiveTime(time_of(index));
                let point = self.archive.read_point(AsOf { observe_time: None, known_at }, Seq::ZERO).await?;
                Ok(format!("{point:?}"))
            }
            Step::Create => {
                let created = self
                    .archive
                    .create_subscription(reader(), FeedQuery::default(), Seq::ZERO, support::CREATION)
                    .await?;
                Ok(format!("{:?}", created.record))
            }
            Step::Attach => {
                let attached = self.archive.attach_subscription(reader(), "one".to_owned(), None).await?;
                let answer = format!("{} {:?}", attached.epoch, attached.start);
                self.attached = Some(attached);
                Ok(answer)
            }
            Step::Acknowledge => {
                let attached = self.attached.as_ref().expect("the step before attached");
                let end = self.archive.tail().next_seq;
                attached.deliver(end);
                let acknowledged = self.archive.acknowledge_subscription(reader(), attached.epoch, end).await?;
                Ok(format!("{:?}", acknowledged.record))
            }
        }
    }

    pub(super) async fn portrait(&self) -> String {
        let half = self.archive.tail().next_seq.0 / 2;
        let mut text = portrait(&self.archive, &[half], &[support::at(6), support::at(13)]).await;
        // Looked up by name, because the article may not exist yet.
        let point = self.archive.read_point(AsOf::default(), Seq::ZERO).await.unwrap();
        for name in (0..4).map(support::article) {
            let article = self.archive.article(point, name.clone(), View::Full).await;
            writeln!(text, "{name}: {:?}", article.map(|article| article.revision.number)).unwrap();
        }
        text
    }

    async fn stage(&self, answer: String) -> Stage {
        Stage { entries: entries(&self.engine), portrait: self.portrait().await, answer }
    }
}

fn time_of(index: usize) -> Timestamp {
    support::now().saturating_add_micros(STEP_MICROS * i64::try_from(index).unwrap())
}

fn reader() -> SubscriptionId {
    SubscriptionId::parse("reader").unwrap()
}
