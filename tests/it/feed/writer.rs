//! A writer that makes random writes of every kind, and keeps what was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use dateline::internals::archive::request::Outcome;
use dateline::internals::client::{Client, ServerError};
use dateline::internals::wire::{self, content_to_pb, fetch_to_pb, pb, timestamp_to_pb};
use pb::move_url_request::Destination;
use tokio::sync::watch;
use tonic::{Code, Status};

use crate::model::asked::look;
use crate::model::plan::{Text, To, What, Write, seen};
use crate::model::shown::{TEXTS, content};
use crate::support;

use super::dice::Dice;
use super::truth::{Acknowledged, Told};

/// The number of articles: more than one delivery of a snapshot holds. The first are the busiest.
pub(super) const ARTICLES: u64 = 110;
/// Maximum size of a normal atomic batch.
const BATCH_MAX: u64 = 6;
/// The size of a large batch, which takes several deliveries of a feed.
const LARGE_BATCH: u64 = 250;
/// The number of URLs.
const URLS: u8 = 200;
/// Reasons for which a random write may be rejected.
const MAY_BE_REFUSED: [&str; 6] = [
    "ARTICLE_WITHDRAWN",
    "ARTICLE_UNKNOWN",
    "REVISION_UNKNOWN",
    "STATE_CHANGE_TOO_EARLY",
    "URL_MOVE_TOO_EARLY",
    "URL_LEADS_ELSEWHERE",
];

/// What all writers and subscribers of a run share: which position is certainly durable.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    tail: Arc<watch::Sender<u64>>,
    /// The present, on the observe axis.
    tick: Arc<AtomicI64>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { tail: Arc::new(watch::Sender::new(0)), tick: Arc::new(AtomicI64::new(0)) }
    }

    /// A position that is known to be durable.
    pub(super) fn tail(&self) -> u64 {
        *self.tail.borrow()
    }

    /// Watches the position that is known to be durable.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.tail.subscribe()
    }

    fn acknowledged(&self, next_seq: u64) {
        self.tail.send_if_modified(|tail| {
            let grows = *tail < next_seq;
            *tail = next_seq.max(*tail);
            grows
        });
    }
}

#[derive(Debug)]
pub(crate) struct Writer {
    pub(super) client: Client,
    progress: Progress,
    dice: Dice,
    /// The id of its next request; no two writers share an id.
    next_request: u32,
    /// Acknowledged observations, which may be repeated.
    made: Vec<Write>,
    pub(super) acknowledged: Vec<Acknowledged>,
}

impl Writer {
    /// Writer `number` of a run.
    pub(crate) fn new(client: Client, progress: Progress, seed: u64, number: u32) -> Self {
        let dice = Dice::for_task(seed, u64::from(number));
        Self { client, progress, dice, next_request: number << 20, made: Vec::new(), acknowledged: Vec::new() }
    }

    /// Writes one atomic batch that creates all articles.
    pub(crate) async fn make_articles(&mut self) -> Result<(), Status> {
        let articles = 0..u8::try_from(ARTICLES).unwrap();
        let writes = articles.map(|article| {
            let text = Text(article % TEXTS);
            let what = seen(text);
            self.write(article, 0, what)
        });
        let writes = writes.collect();
        self.send(writes).await
    }

    /// Makes one random write. Errors are those of the transport or the server.
    pub(crate) async fn step(&mut self) -> Result<(), Status> {
        let writes = self.choose();
        self.send(writes).await
    }

    /// Writes one large atomic batch. Articles may be withdrawn by now, so its observe times are before all others.
    pub(super) async fn step_large(&mut self) -> Result<(), Status> {
        let mut writes = self.batch(LARGE_BATCH);
        writes.iter_mut().for_each(|write| write.at = -1 - i64::from(write.request.unwrap_or_default()));
        self.send(writes).await
    }

    /// Sends writes that may have been sent before, and keeps the reply. An expected rejection is not an error.
    pub(super) async fn send(&mut self, writes: Vec<Write>) -> Result<(), Status> {
        match self.call(&writes).await {
            Ok(answer) => {
                self.progress.acknowledged(answer.snapshot.next_seq);
                self.made.extend(writes.iter().filter(|write| matches!(write.what, What::Observe { .. })).cloned());
                self.acknowledged.push(answer.of(writes));
                Ok(())
            }
            Err(status) => {
                let error = ServerError::from(status.clone());
                let is_expected = MAY_BE_REFUSED.contains(&error.reason.as_str());
                if is_expected { Ok(()) } else { Err(status) }
            }
        }
    }

    pub(super) fn choose(&mut self) -> Vec<Write> {
        let what = match self.dice.below(132) {
            0..10 => What::Withdraw(self.small(2)),
            10..22 => What::Reinstate(self.small(2)),
            22..30 => What::Rollback(1 + u32::from(self.small(3))),
            30..40 => self.label(),
            40..46 => return vec![self.again()],
            46..54 => self.url_move(),
            54..100 => return vec![self.observation()],
            100..112 => self.miss(),
            _ => {
                let count = 2 + self.dice.below(BATCH_MAX - 1);
                return self.batch(count);
            }
        };
        let (article, at) = (self.article(), self.instant());
        vec![self.write(article, at, what)]
    }

    fn batch(&mut self, count: u64) -> Vec<Write> {
        (0..count).map(|_| self.observation()).collect()
    }

    fn observation(&mut self) -> Write {
        let text = Text(self.small(TEXTS));
        let urls = if self.dice.percent(20) { vec![self.small(URLS)] } else { Vec::new() };
        let fetch = if self.dice.percent(30) { Some(self.small(3)) } else { None };
        let labels = if self.dice.percent(15) { vec![self.small(3)] } else { Vec::new() };
        let (article, at) = (self.article(), self.instant());
        self.write(article, at, What::Observe { text, urls, original: None, fetch, labels, coalesce_within: 0 })
    }

    fn miss(&mut self) -> What {
        let fetch = if self.dice.percent(30) { Some(self.small(3)) } else { None };
        What::Miss { how: self.small(3), gone_after: 1 + u32::from(self.small(3)), fetch, coalesce_within: 0 }
    }

    fn label(&mut self) -> What {
        let (add, remove, reason) = (self.small(3), self.small(3), self.small(2));
        let remove = if add == remove { Vec::new() } else { vec![remove] };
        What::Label { add: vec![add], remove, reason }
    }

    /// Mostly of a URL that observations use often enough to lead somewhere.
    fn url_move(&mut self) -> What {
        let (url, reason) = (self.small(URLS / 4), self.small(2));
        if self.dice.percent(70) { What::Move { url, from: None, reason } } else { What::End { url, reason } }
    }

    /// An observation that was recorded before, under a new request id.
    fn again(&mut self) -> Write {
        if self.made.is_empty() {
            return self.observation();
        }
        let write = self.dice.one_of(&self.made).clone();
        Write { request: Some(self.request()), ..write }
    }

    fn write(&mut self, article: u8, at: i64, what: What) -> Write {
        Write { to: To::Article(article), at, what, expect: None, request: Some(self.request()) }
    }

    /// A request id. A write with an id is always logged, and a repeated one gets a reply that says where.
    fn request(&mut self) -> u32 {
        self.next_request += 1;
        self.next_request
    }

    fn article(&mut self) -> u8 {
        let most = if self.dice.percent(70) { 16 } else { ARTICLES };
        u8::try_from(self.dice.below(most)).unwrap()
    }

    /// The present, or often an earlier instant.
    fn instant(&mut self) -> i64 {
        let now = self.progress.tick.fetch_add(2, Ordering::Relaxed);
        if self.dice.percent(30) { now - i64::try_from(self.dice.below(60)).unwrap().min(now) } else { now }
    }

    fn small(&mut self, end: u8) -> u8 {
        u8::try_from(self.dice.below(u64::from(end))).unwrap()
    }

    async fn call(&mut self, writes: &[Write]) -> Result<Answer, Status> {
        let archive = &mut self.client.archive;
        let [write] = writes else {
            let requests = writes.iter().map(publish).collect();
            let answer = archive.batch_record_observations(pb::BatchRecordObservationsRequest { requests }).await?;
            let answer = answer.into_inner();
            let told = answer.responses.iter().map(|one| told(one.outcome(), one.revision.as_ref())).collect();
            let changes = writes.len() as u64;
            return Ok(Answer { snapshot: answer.snapshot.unwrap(), changes, told });
        };
        let one = |snapshot: Option<pb::Snapshot>, told| {
            Ok(Answer { snapshot: snapshot.unwrap(), changes: 1, told: vec![told] })
        };
        let (name, observe_time) = (article_name(write), Some(timestamp_to_pb(support::at(write.at))));
        let request_id = request_id(write);
        match &write.what {
            What::Observe { .. } => {
                let answer = archive.record_observation(publish(write)).await?.into_inner();
                one(answer.snapshot.clone(), told(answer.outcome(), answer.revision.as_ref()))
            }
            What::Rollback(revision_number) => {
                let request = pb::RollbackArticleRequest {
                    name,
                    revision_number: *revision_number,
                    observe_time,
                    request_id,
                    ..pb::RollbackArticleRequest::default()
                };
                let answer = archive.rollback_article(request).await?.into_inner();
                one(answer.snapshot.clone(), told(answer.outcome(), answer.revision.as_ref()))
            }
            What::Withdraw(reason) => {
                let reason = format!("reason {reason}");
                let request =
                    pb::WithdrawArticleRequest { name, observe_time, reason, request_id, ..Default::default() };
                one(archive.withdraw_article(request).await?.into_inner().snapshot, Told::Marked)
            }
            What::Reinstate(reason) => {
                let reason = format!("reason {reason}");
                let request =
                    pb::ReinstateArticleRequest { name, observe_time, reason, request_id, ..Default::default() };
                one(archive.reinstate_article(request).await?.into_inner().snapshot, Told::Marked)
            }
            What::Miss { how, gone_after, fetch, .. } => {
                let look = look(*how, *gone_after);
                let request = pb::RecordAbsenceRequest {
                    target: Some(pb::record_absence_request::Target::Name(name)),
                    observe_time,
                    reason: wire::absence_reason_to_pb(look.reason).into(),
                    http_status: look.http_status,
                    gone_after: look.gone_after,
                    fetch: fetch.map(|number| fetch_to_pb(&support::fetch(number))),
                    request_id,
                    ..pb::RecordAbsenceRequest::default()
                };
                one(archive.record_absence(request).await?.into_inner().snapshot, Told::Marked)
            }
            What::Label { add, remove, reason } => {
                let request = pb::LabelArticleRequest {
                    name,
                    add_labels: support::labels(add),
                    remove_labels: support::labels(remove),
                    reason: format!("reason {reason}"),
                    request_id,
                    ..pb::LabelArticleRequest::default()
                };
                one(archive.label_article(request).await?.into_inner().snapshot, Told::Marked)
            }
            What::Move { url, reason, .. } | What::End { url, reason } => {
                let is_end = matches!(write.what, What::End { .. });
                let (destination, from) =
                    if is_end { (Destination::Ends(true), name) } else { (Destination::Name(name), String::new()) };
                let request = pb::MoveUrlRequest {
                    url: support::url(*url).original,
                    destination: Some(destination),
                    from_name: from,
                    observe_time,
                    reason: format!("reason {reason}"),
                    request_id,
                    ..pb::MoveUrlRequest::default()
                };
                let answer = archive.move_url(request).await?.into_inner();
                let changes = if !is_end && !answer.lost_by.is_empty() { 2 } else { 1 };
                Ok(Answer { snapshot: answer.snapshot.unwrap(), changes, told: vec![Told::Marked] })
            }
        }
    }
}

/// The reply to a batch.
struct Answer {
    snapshot: pb::Snapshot,
    changes: u64,
    told: Vec<Told>,
}

impl Answer {
    /// The end of a batch is the position of its snapshot.
    fn of(self, writes: Vec<Write>) -> Acknowledged {
        let archive_time = wire::timestamp("archive_time", &self.snapshot.archive_time.unwrap()).unwrap();
        let (changes, told) = (self.changes, self.told);
        Acknowledged { first_seq: self.snapshot.next_seq - changes, archive_time, writes, changes, told }
    }
}

fn told(outcome: pb::ObservationOutcome, revision: Option<&pb::Revision>) -> Told {
    let outcome = match outcome {
        pb::ObservationOutcome::Created => Outcome::Created,
        pb::ObservationOutcome::Revised => Outcome::Revised,
        pb::ObservationOutcome::Unchanged => Outcome::Unchanged,
        pb::ObservationOutcome::Unspecified => panic!("a reply has an outcome"),
    };
    Told::Published { outcome, revision: revision.unwrap().number }
}

/// Whether a call failed because the server has gone, so that it may be repeated. An error from the server itself has a
/// reason.
pub(super) fn is_gone(status: &Status) -> bool {
    let of_transport = matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal);
    of_transport && ServerError::from(status.clone()).reason.is_empty()
}

fn article_name(write: &Write) -> String {
    let To::Article(number) = write.to else { panic!("{write:?} does not name an article") };
    support::article(number).to_string()
}

fn request_id(write: &Write) -> String {
    write.request.map(|id| format!("request-{id}")).unwrap_or_default()
}

fn publish(write: &Write) -> pb::RecordObservationRequest {
    let What::Observe { text, urls, fetch, labels, .. } = &write.what else {
        panic!("{write:?} is not an observation")
    };
    let To::Article(number) = write.to else { panic!("{write:?} does not name an article") };
    let name = support::article(number);
    pb::RecordObservationRequest {
        parent: name.source.to_string(),
        article_id: name.article.as_str().to_owned(),
        content: Some(content_to_pb(content(*text))),
        observe_time: Some(timestamp_to_pb(support::at(write.at))),
        urls: urls.iter().map(|number| support::url(*number).original).collect(),
        request_id: request_id(write),
        fetch: fetch.map(|number| fetch_to_pb(&support::fetch(number))),
        labels: support::labels(labels),
        ..pb::RecordObservationRequest::default()
    }
}
