//! One of the writers: it chooses what to ask for, asks, and passes on what it is answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dateline::archive::subscriptions::Attachment;
use dateline::archive::{Archive, ArchiveError, JobAnswer};
use dateline::model::{AsOf, FeedQuery, Knowledge, Seq, SubscriptionId};
use tokio::sync::mpsc::Sender;

use crate::acknowledged::{Acknowledged, Stamp};
use crate::asked::{Step, What, batch_request};
use crate::dice::Dice;
use crate::text::Text;

/// So few that each comes to have many revisions.
const ARTICLES: u32 = 36;
const SUBSCRIPTIONS: u64 = 4;
/// Requests that a writer may have under way.
const UNDER_WAY: usize = 4;
/// How late an observation may be, in microseconds.
const LATE_MICROS_MAX: u64 = 600_000_000;
/// How close a sighting may follow another and write nothing, in microseconds, where that is asked for.
const COALESCE_MICROS: i64 = 60_000_000;
/// Observe times are whole multiples of this, in microseconds, so that some are equal.
const TICK_MICROS: i64 = 20_000;

pub(crate) struct Writer {
    archive: Arc<Archive>,
    dice: Dice,
    /// What the request ids begin with, so that no two children and writers use the same.
    name: String,
    requests: u64,
    /// Requests that may still be made, by all writers.
    left: Arc<AtomicU64>,
    acknowledgements: Sender<Acknowledged>,
    /// The texts that were last asked for, to be seen again.
    last: BTreeMap<u32, Text>,
    attachment: Option<Attachment>,
}

impl Writer {
    pub(crate) fn new(
        archive: &Arc<Archive>,
        (seed, number): (u64, u64),
        left: &Arc<AtomicU64>,
        acknowledgements: &Sender<Acknowledged>,
    ) -> Self {
        Self {
            archive: Arc::clone(archive),
            dice: Dice::nth(seed, number),
            name: format!("{seed}-{number}"),
            requests: 0,
            left: Arc::clone(left),
            acknowledgements: acknowledgements.clone(),
            last: BTreeMap::new(),
            attachment: None,
        }
    }

    /// Writes until no more requests may be made.
    pub(crate) async fn write_on(mut self) {
        while self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            match self.dice.below(100) {
                0..6 => self.subscribe().await,
                6..8 => self.close_until_now().await,
                8..20 => self.several_at_once().await,
                _ => {
                    let steps = self.steps();
                    let operations = steps.iter().map(Step::operation).collect();
                    let answer = self.archive.write(operations, false).await;
                    self.tell_written(steps, answer).await;
                }
            }
        }
    }

    /// Begins several requests before the first is answered.
    async fn several_at_once(&mut self) {
        let mut under_way = Vec::new();
        for _ in 0..UNDER_WAY {
            let steps = self.steps();
            let operations = steps.iter().map(Step::operation).collect();
            under_way.push((steps, self.archive.begin_write(operations, false).await.unwrap()));
        }
        for (steps, pending) in under_way {
            self.tell_written(steps, pending.answer().await).await;
        }
    }

    async fn tell_written(&self, steps: Vec<Step>, answer: JobAnswer) {
        match answer {
            Ok(written) => self.tell(Acknowledged::written(steps, &written)).await,
            // Some choices do not fit what is there. Anything else ends the child, and that is a fault.
            Err((_, ArchiveError::Missing(_) | ArchiveError::Conflict(_))) => {}
            Err((_, error)) => panic!("a write failed: {error}"),
        }
    }

    async fn tell(&self, acknowledged: Acknowledged) {
        self.acknowledgements.send(acknowledged).await.unwrap();
    }

    /// One operation, or an atomic batch.
    fn steps(&mut self) -> Vec<Step> {
        self.requests += 1;
        let request = format!("{}-{}", self.name, self.requests);
        if self.dice.percent(85) {
            let request = self.dice.percent(70).then_some(request);
            return vec![self.step(request)];
        }
        let size = usize::try_from(2 + self.dice.below(7)).unwrap();
        (0..size).map(|index| self.step(Some(batch_request(&request, index, size)))).collect()
    }

    fn step(&mut self, request: Option<String>) -> Step {
        let article = self.dice.between(0, ARTICLES);
        let what = match self.dice.below(100) {
            0..5 => What::Rollback(self.dice.between(1, 6)),
            5..8 => What::Mark { withdrawn: true, reason: self.dice.below(1_000) },
            // More than are withdrawn, so that most articles can be written to.
            8..20 => What::Mark { withdrawn: false, reason: self.dice.below(1_000) },
            _ => self.observation(article),
        };
        let late = if self.dice.percent(12) { self.dice.below(LATE_MICROS_MAX) } else { 0 };
        let at = self.archive.clock().now().micros() - i64::try_from(late).unwrap();
        let at = at - at.rem_euclid(TICK_MICROS);
        Step { article, found: self.dice.percent(10), at, request, what }
    }

    fn observation(&mut self, article: u32) -> What {
        let kilobytes = match self.dice.below(200) {
            0 => self.dice.between(100, 400),
            1..20 => self.dice.between(1, 30),
            _ => 0,
        };
        let text = match self.last.get(&article) {
            Some(last) if self.dice.percent(30) => *last,
            _ if self.dice.percent(10) => Text { version: self.dice.below(3), kilobytes: 0 },
            _ => Text { version: self.dice.next(), kilobytes },
        };
        self.last.insert(article, text);
        // Some belong to the next article already.
        let urls = match self.dice.below(10) {
            0 => vec![3 * article, 3 * article + 1],
            1 => vec![3 * article + 2],
            2 => vec![3 * article, 3 * article + 3],
            // And some are new, so that a sighting may write nothing but them.
            3 => vec![3 * article, self.dice.between(1_000, 1_000_000)],
            _ => vec![3 * article],
        };
        let original =
            self.dice.percent(15).then(|| Text { version: text.version, kilobytes: self.dice.between(0, 40) });
        let coalesce_within = if self.dice.percent(30) { COALESCE_MICROS } else { 0 };
        What::Observe { text, urls, original, coalesce_within }
    }

    /// Reads as known now, after which nothing may be archived before that.
    async fn close_until_now(&mut self) {
        let now = self.archive.clock().now();
        let as_of = AsOf { observe_time: None, knowledge: Knowledge::ArchiveTime(now) };
        let cut = self.archive.cut(as_of, Seq::ZERO).await.unwrap();
        self.tell(Acknowledged::ClosedUntil { archive_time: now.micros(), stamp: Stamp::of(&cut.stamp) }).await;
    }

    /// Makes a subscription, attaches to it, or acknowledges.
    async fn subscribe(&mut self) {
        let tail = self.archive.tail().next_seq;
        let id = format!("reader-{}", self.dice.below(SUBSCRIPTIONS));
        let (id, durable) = match self.attachment.take() {
            Some(attachment) if self.dice.percent(75) => {
                let next_seq = attachment.start.next_seq.max(Seq(tail.0 - self.dice.below(tail.0.min(20) + 1)));
                attachment.deliver(next_seq);
                let (id, lease) = (attachment.id.clone(), attachment.lease);
                let durable = self.archive.acknowledge_subscription(id.clone(), lease, next_seq).await;
                let durable = durable.map(|_| (lease, next_seq));
                self.attachment = durable.is_ok().then_some(attachment);
                (id, durable)
            }
            Some(_) | None => {
                let id = SubscriptionId::parse(&id).unwrap();
                (id.clone(), self.attach(id).await)
            }
        };
        match durable {
            Ok((lease, Seq(next_seq))) => {
                self.tell(Acknowledged::Subscribed { id: id.as_str().to_owned(), lease, next_seq }).await;
            }
            // Another writer has attached since.
            Err(ArchiveError::Subscription(_)) => {}
            Err(error) => panic!("an edit of a subscription failed: {error}"),
        }
    }

    /// Attaches to a subscription, which is made if there is none: that is told by itself.
    async fn attach(&mut self, id: SubscriptionId) -> Result<(u64, Seq), ArchiveError> {
        let tail = self.archive.tail().next_seq;
        if let Ok(made) = self.archive.create_subscription(id.clone(), FeedQuery::default(), tail).await {
            let id = id.as_str().to_owned();
            self.tell(Acknowledged::Subscribed { id, lease: made.record.lease, next_seq: tail.0 }).await;
        }
        let attachment = self.archive.attach_subscription(id, String::new()).await?;
        let durable = (attachment.lease, attachment.start.next_seq);
        self.attachment = Some(attachment);
        Ok(durable)
    }
}
