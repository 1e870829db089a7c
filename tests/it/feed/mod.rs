//! The change feed, through a real server.
//!
//! The tests with many writers and subscribers compare everything that is delivered with the replies to the writers.
//! Writers keep what was acknowledged ([`writer`]), and the plain model of [`crate::model`] works out what the log must
//! contain ([`truth`], [`expected`], [`query`]). Subscribers and consumers keep what they receive ([`subscriber`],
//! [`consumer`], [`recording`]). The [`checker`] compares the two and names each [`fault`]; [`checker_finds`] shows
//! that it finds every kind of fault ([`faithful`], [`spoilt`]).

mod articles;
mod basics;
mod checker;
mod checker_finds;
mod consumer;
mod consumers;
pub(crate) mod dice;
mod durable;
mod edits;
mod expected;
mod faithful;
mod fault;
mod load;
mod parked;
mod process;
mod query;
mod recording;
mod refusals;
mod restart;
mod restored;
mod spoilt;
mod stalled;
mod subscriber;
mod truth;
mod verdict;
pub(crate) mod writer;

use dateline::internals::client::Client;
use dateline::internals::wire::pb;
use dateline::internals::wire::pb::feed_start::Position;
use dateline::internals::wire::pb::subscribe_response::Event;

use crate::server::publish;

/// A subscription that begins at `position` and ends once it is caught up.
fn until_caught_up(position: Position) -> pb::SubscribeRequest {
    pb::SubscribeRequest { end_when_caught_up: true, ..from(position) }
}

/// A subscription that begins at `position`.
fn from(position: Position) -> pb::SubscribeRequest {
    pb::SubscribeRequest { start: Some(start(position)), ..pb::SubscribeRequest::default() }
}

fn start(position: Position) -> pb::FeedStart {
    pb::FeedStart { position: Some(position) }
}

/// All events of a subscription that ends by itself.
async fn events(client: &Client, request: pb::SubscribeRequest) -> Vec<Event> {
    let mut stream = client.feed.clone().subscribe(request).await.unwrap().into_inner();
    let mut events = Vec::new();
    while let Some(event) = stream.message().await.unwrap() {
        events.push(event.event.unwrap());
    }
    events
}

/// Waits for the next event.
async fn next(stream: &mut tonic::Streaming<pb::SubscribeResponse>) -> Event {
    stream.message().await.unwrap().expect("the stream continues").event.unwrap()
}

/// The changes in the events.
fn changes(events: &[Event]) -> Vec<pb::Change> {
    batches(events).flat_map(|batch| batch.changes.clone()).collect()
}

/// The deliveries in the events.
fn batches(events: &[Event]) -> impl Iterator<Item = &pb::Delivery> {
    events.iter().filter_map(|event| if let Event::Delivery(batch) = event { Some(batch) } else { None })
}

/// All changes that a subscription receives until it is caught up.
async fn all(client: &Client, request: pb::SubscribeRequest) -> Vec<pb::Change> {
    changes(&events(client, pb::SubscribeRequest { end_when_caught_up: true, ..request }).await)
}

/// `(seq, kind, article)` of each change.
fn outline(changes: &[pb::Change]) -> Vec<(u64, pb::ChangeKind, &str)> {
    changes.iter().map(|change| (change.seq, change.kind(), change.article.rsplit('/').next().unwrap())).collect()
}

/// A request to record `text` for `sources/courier/articles/{id}`, observed this many seconds after the start of 2026.
fn seen(id: &str, text: &str, seconds: i64) -> pb::RecordObservationRequest {
    pb::RecordObservationRequest { observe_time: Some(crate::server::at(seconds)), ..publish(id, text) }
}

async fn write(client: &Client, request: pb::RecordObservationRequest) -> pb::RecordObservationResponse {
    client.archive.clone().record_observation(request).await.unwrap().into_inner()
}

async fn write_batch(client: &Client, requests: Vec<pb::RecordObservationRequest>) {
    let batch = pb::BatchRecordObservationsRequest { requests };
    client.archive.clone().batch_record_observations(batch).await.unwrap();
}
