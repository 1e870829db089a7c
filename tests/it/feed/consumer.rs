//! A consumer of a durable subscription that acknowledges some of what it receives, parks some, leaves, and comes back
//! at random.

use std::collections::BTreeMap;

use dateline::internals::client::{Client, ServerError};
use dateline::internals::wire::pb;
use pb::subscribe_response::Event;
use tonic::{Code, Status, Streaming};

use super::dice::Dice;
use super::query::Query;
use super::recording::{Ended, Recording, Session, Start, bookmark_of};
use super::writer::{Progress, is_gone};

/// The state that successive consumers of one durable subscription share.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) client: Client,
    pub(super) recording: Recording,
    name: String,
    progress: Progress,
    dice: Dice,
    /// Below which position everything is known to be acknowledged, and may be: a reply can be lost.
    acknowledged: (u64, u64),
    /// The last epoch.
    epoch: u64,
    /// The changes that are parked, as received. `None`: the reply to parking or resolving it was lost.
    parked: BTreeMap<u64, (pb::Change, Option<bool>)>,
}

impl Consumer {
    /// Creates durable subscription `number` of a run, at the beginning of the log.
    pub(super) async fn create(client: Client, progress: Progress, seed: u64, number: u64, query: Query) -> Self {
        let id = format!("consumer-{number}");
        let subscription = pb::Subscription {
            filter: Some(query.filter.clone()),
            kinds: query.kinds.iter().map(|kind| i32::from(*kind)).collect(),
            ..pb::Subscription::default()
        };
        let beginning = pb::FeedStart { position: Some(pb::feed_start::Position::Beginning(true)) };
        let request = pb::CreateSubscriptionRequest {
            subscription_id: id.clone(),
            subscription: Some(subscription),
            start: Some(beginning),
        };
        let made = client.feed.clone().create_subscription(request).await.unwrap().into_inner().subscription.unwrap();
        let dice = Dice::for_task(seed, 2_000 + number);
        let recording = Recording { query, sessions: Vec::new() };
        Self {
            client,
            recording,
            name: made.name,
            progress,
            dice,
            acknowledged: (0, 0),
            epoch: 0,
            parked: BTreeMap::new(),
        }
    }

    /// Attaches, receives and acknowledges for a while, and leaves. Sometimes another consumer takes its place.
    pub(super) async fn visit(&mut self) -> Result<(), Status> {
        let events = 2 + self.dice.below(8);
        let mut attached = self.attach().await?;
        let mut result = Ok(true);
        for _ in 0..events {
            result = self.receive(&mut attached).await;
            // With no more changes to come, it would wait for the heartbeat.
            if !matches!(result, Ok(true)) || attached.is_caught_up() {
                break;
            }
        }
        if result.is_ok() && self.dice.percent(20) {
            result = self.fence_off(&mut attached).await.map(|()| true);
        }
        attached.session.ended = if result.is_ok() { Ended::Left } else { Ended::Failed };
        self.recording.sessions.push(attached.session);
        result.map(drop)
    }

    /// Continues to the end, and acknowledges everything.
    pub(super) async fn finish(&mut self) -> Result<(), Status> {
        let mut attached = self.attach().await?;
        while !attached.is_caught_up() {
            assert!(self.receive(&mut attached).await?, "the stream continues");
        }
        let end = attached.session.last_bookmark().map_or(0, |bookmark| bookmark.next_seq);
        self.acknowledge(attached.epoch, end).await?;
        attached.session.ended = Ended::Left;
        self.recording.sessions.push(attached.session);
        self.check_parked().await?;
        let kept = self.read().await?;
        assert_eq!((kept.next_seq, kept.lag_changes), (end, 0), "{}", self.name);
        Ok(())
    }

    /// Attaches, and checks that the epoch has risen.
    async fn attach(&mut self) -> Result<Attached, Status> {
        let request = pb::SubscribeRequest {
            subscription: self.name.clone(),
            consumer: format!("after epoch {}", self.epoch),
            ..pb::SubscribeRequest::default()
        };
        let session = Session {
            start: Start::Acknowledged(self.acknowledged.0..=self.acknowledged.1),
            view: pb::FeedView::Basic,
            end_when_caught_up: false,
            tail_at_start: self.progress.tail(),
            events: Vec::new(),
            ended: Ended::Failed,
        };
        let stream = self.client.feed.subscribe(request).await?.into_inner();
        let mut attached = Attached { session, stream, epoch: 0 };
        attached.next().await?;
        let Some(Event::Started(started)) = attached.session.events.first() else { panic!("no Started") };
        assert!(started.epoch > self.epoch, "epoch {} follows {}", started.epoch, self.epoch);
        attached.epoch = started.epoch;
        self.epoch = started.epoch;
        // An acknowledgement whose reply was lost becomes known here.
        let place = started.bookmark.as_ref().map_or(0, |bookmark| bookmark.next_seq);
        if (self.acknowledged.0..=self.acknowledged.1).contains(&place) {
            self.acknowledged = (place, place);
        }
        Ok(attached)
    }

    /// Receives one event, and may acknowledge all or a part of it.
    async fn receive(&mut self, attached: &mut Attached) -> Result<bool, Status> {
        if !attached.next().await? {
            return Ok(false);
        }
        let event = attached.session.events.last().expect("an event was received");
        // All of it, or a part of a batch.
        let mut place = bookmark_of(event).map_or(0, |bookmark| bookmark.next_seq);
        if let Event::Delivery(batch) = event
            && self.dice.percent(50)
        {
            place = self.dice.one_of(&batch.changes).seq + 1;
        }
        let parked = if let Event::Delivery(batch) = event
            && self.dice.percent(10)
        {
            Some(self.dice.one_of(&batch.changes).clone())
        } else {
            None
        };
        if let Some(change) = parked {
            self.park(attached.epoch, change).await?;
        }
        if self.dice.percent(50) {
            self.acknowledge(attached.epoch, place).await?;
        }
        Ok(true)
    }

    /// Parks a change, or resolves it if it is parked.
    async fn park(&mut self, epoch: u64, change: pb::Change) -> Result<(), Status> {
        let (name, seq) = (self.name.clone(), change.seq);
        let resolves = self.parked.get(&seq).is_some_and(|(_, parked)| *parked == Some(true));
        self.parked.insert(seq, (change.clone(), None));
        if resolves {
            let request = pb::ResolveParkedChangesRequest { name, seqs: vec![seq] };
            self.client.feed.resolve_parked_changes(request).await?;
        } else {
            let request =
                pb::ParkChangeRequest { name, epoch, seq: Some(seq), reason: "at random".to_owned(), attempts: 1 };
            self.client.feed.park_change(request).await?;
        }
        self.parked.insert(seq, (change, Some(!resolves)));
        Ok(())
    }

    /// Checks that exactly what was parked is listed, as it was received.
    async fn check_parked(&mut self) -> Result<(), Status> {
        let request = pb::ListParkedChangesRequest { name: self.name.clone(), page_size: 1_000, ..Default::default() };
        let listed = self.client.feed.list_parked_changes(request).await?.into_inner();
        assert_eq!(listed.next_page_token, "");
        let changes = listed.parked_changes.into_iter().map(|parked| parked.change.unwrap());
        let listed: BTreeMap<_, _> = changes.map(|change| (change.seq, change)).collect();
        assert!(listed.keys().all(|seq| self.parked.contains_key(seq)), "{}: nobody parked it", self.name);
        for (seq, (change, parked)) in &self.parked {
            let found = listed.get(seq);
            assert!(found.is_none_or(|found| found == change), "{}: {found:?} was {change:?}", self.name);
            assert!(parked.is_none_or(|parked| parked == found.is_some()), "{}: {seq} {parked:?}", self.name);
        }
        Ok(())
    }

    async fn acknowledge(&mut self, epoch: u64, next_seq: u64) -> Result<(), Status> {
        let (known, possible) = self.acknowledged;
        self.acknowledged = (known, possible.max(next_seq));
        let request = pb::AcknowledgeSubscriptionRequest { name: self.name.clone(), epoch, next_seq };
        let answer = self.client.feed.acknowledge_subscription(request).await?.into_inner().subscription.unwrap();
        assert_eq!(answer.next_seq, known.max(next_seq), "acknowledgements are cumulative");
        self.acknowledged = (answer.next_seq, answer.next_seq);
        Ok(())
    }

    /// Attaches another consumer; this one is disconnected, and can no longer acknowledge.
    async fn fence_off(&mut self, attached: &mut Attached) -> Result<(), Status> {
        let newer = self.attach().await?;
        self.recording.sessions.push(Session { ended: Ended::Left, ..newer.session });
        let ended = loop {
            match attached.next().await {
                Ok(true) => {}
                Ok(false) => panic!("a fenced consumer got no reason"),
                Err(status) if is_gone(&status) => return Err(status),
                Err(status) => break ServerError::from(status),
            }
        };
        assert_eq!((ended.code, ended.reason.as_str()), (Code::Aborted, "CONSUMER_FENCED"), "{ended}");
        let request =
            pb::AcknowledgeSubscriptionRequest { name: self.name.clone(), epoch: attached.epoch, next_seq: u64::MAX };
        let refused = self.client.feed.acknowledge_subscription(request).await.unwrap_err();
        if is_gone(&refused) {
            return Err(refused);
        }
        assert_eq!(ServerError::from(refused).reason, "CONSUMER_FENCED");
        Ok(())
    }

    async fn read(&mut self) -> Result<pb::Subscription, Status> {
        let request = pb::GetSubscriptionRequest { name: self.name.clone() };
        Ok(self.client.feed.get_subscription(request).await?.into_inner().subscription.unwrap())
    }
}

/// The session of an attached consumer.
struct Attached {
    session: Session,
    stream: Streaming<pb::SubscribeResponse>,
    epoch: u64,
}

impl Attached {
    /// Receives one event; false if the server ended the stream.
    async fn next(&mut self) -> Result<bool, Status> {
        let Some(message) = self.stream.message().await? else { return Ok(false) };
        self.session.events.push(message.event.expect("a message has an event"));
        Ok(true)
    }

    fn is_caught_up(&self) -> bool {
        matches!(self.session.events.last(), Some(Event::CaughtUp(_)))
    }
}
