//! Writers under load, and subscribers that join with every kind of start, stall, leave at random and come back.

use std::ops::RangeInclusive;
use std::sync::Arc;

use dateline::internals::archive::{Archive, Options};
use dateline::internals::client::Client;
use dateline::internals::clock::{Clock, SystemClock};
use dateline::internals::server;
use dateline::internals::store::engine::memory::MemoryEngine;
use dateline::internals::wire::pb::subscribe_response::Event;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::server::TestServer;

use super::dice::seed;
use super::query::{Query, many};
use super::recording::Start;
use super::subscriber::{Subscriber, narrow_client};
use super::truth::Acknowledged;
use super::verdict;
use super::writer::{Progress, Writer};

const WRITERS: u32 = 4;
/// Writes of a writer before there are subscribers, so that they have something to catch up with.
const WRITES_BEFORE: u32 = 10;
/// Its writes while there are subscribers: until there were enough hand-offs, and within these limits.
const WRITES: RangeInclusive<u32> = 80..=600;
/// Which writes of the first writer are large batches.
const LARGE: [u32; 1] = [40];
/// Subscribers per query.
const SUBSCRIBERS: u64 = 3;
/// The number of hand-offs from catching up to live changes that the test needs.
const HAND_OFFS_MIN: u64 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_keeps_its_promises_under_load() {
    let seed = seed(20_251_102);
    let engine = MemoryEngine::new();
    let (progress, hand_offs) = (Progress::new(), Arc::new(watch::Sender::new(0)));
    let mut acknowledged = write_before(&engine, &progress, seed).await;
    // What was written before the server started is in storage, but not in the ring.
    let server = serve(&engine).await;
    let (stop_writing, writing) = watch::channel(true);
    let mut visits: JoinSet<Subscriber> = JoinSet::new();
    for subscriber in subscribers(&server, &progress, seed, &hand_offs).await {
        visits.spawn(visit_until_done(subscriber, writing.clone()));
    }
    let writers = writers(&server, &progress, seed, WRITERS).await;
    acknowledged.extend(write_all(writers, &hand_offs).await);
    stop_writing.send(false).unwrap();
    let recordings: Vec<_> = visits.join_all().await.into_iter().map(|subscriber| subscriber.recording).collect();
    server.stop().await;

    verdict::assert_faultless(seed, acknowledged, recordings).await;
    assert!(*hand_offs.borrow() >= HAND_OFFS_MIN, "only {} hand-offs", *hand_offs.borrow());
}

/// A subscriber that does not read is neither skipped nor disconnected: it receives `FellBehind`, everything that it
/// missed, and then `CaughtUp`.
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_subscriber_receives_fell_behind_and_misses_nothing() {
    let seed = seed(3);
    let server = serve(&MemoryEngine::new()).await;
    let (progress, hand_offs) = (Progress::new(), Arc::new(watch::Sender::new(0)));
    let mut writer = Writer::new(server.client().await, progress.clone(), seed, 0);
    writer.make_articles().await.unwrap();
    let client = narrow_client(&server.url).await;
    let mut subscriber = Subscriber::new(client, progress, seed, 0, Query::default(), hand_offs);
    let mut stream = subscriber.join(Start::Now).await.unwrap();
    stream.until_caught_up().await.unwrap();
    for _ in 0..6 {
        writer.step_large().await.unwrap();
    }
    stream.until_caught_up().await.unwrap();
    let session = stream.leave();
    let fell_behind = session.events.iter().filter(|event| matches!(event, Event::FellBehind(_))).count();
    assert_eq!(fell_behind, 1, "{} events", session.events.len());
    subscriber.recording.sessions.push(session);
    let acknowledged = std::mem::take(&mut writer.acknowledged);
    drop(writer);
    let recording = std::mem::take(&mut subscriber.recording);
    drop(subscriber);
    server.stop().await;
    verdict::assert_faultless(seed, acknowledged, vec![recording]).await;
}

/// Serves an archive with this engine.
async fn serve(engine: &MemoryEngine) -> TestServer {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let archive = Archive::over(Arc::new(engine.clone()), &Options::default(), clock).unwrap();
    TestServer::over(archive, server::Options::default()).await
}

async fn write_before(engine: &MemoryEngine, progress: &Progress, seed: u64) -> Vec<Acknowledged> {
    let server = serve(engine).await;
    let mut writers = writers(&server, progress, seed, 0).await;
    writers[0].make_articles().await.unwrap();
    for writer in &mut writers {
        for _ in 0..WRITES_BEFORE {
            writer.step().await.unwrap();
        }
    }
    let acknowledged = writers.iter_mut().flat_map(|writer| std::mem::take(&mut writer.acknowledged)).collect();
    drop(writers);
    server.stop().await;
    acknowledged
}

/// Writers with numbers from `first` on.
async fn writers(server: &TestServer, progress: &Progress, seed: u64, first: u32) -> Vec<Writer> {
    let mut writers = Vec::new();
    for number in first..first + WRITERS {
        writers.push(Writer::new(server.client().await, progress.clone(), seed, number));
    }
    writers
}

/// Some subscribers for each query, one of them over a connection with small windows.
async fn subscribers(
    server: &TestServer,
    progress: &Progress,
    seed: u64,
    hand_offs: &Arc<watch::Sender<u64>>,
) -> Vec<Subscriber> {
    let mut subscribers = Vec::new();
    let (wide, narrow): (Client, Client) = (server.client().await, narrow_client(&server.url).await);
    for query in many() {
        for nth in 0..SUBSCRIBERS {
            let client = if nth == 0 { narrow.clone() } else { wide.clone() };
            let number = subscribers.len() as u64;
            let hand_offs = Arc::clone(hand_offs);
            subscribers.push(Subscriber::new(client, progress.clone(), seed, number, query.clone(), hand_offs));
        }
    }
    subscribers
}

async fn visit_until_done(mut subscriber: Subscriber, mut writing: watch::Receiver<bool>) -> Subscriber {
    while *writing.borrow() {
        subscriber.visit(&mut writing).await.unwrap();
    }
    subscriber.finish().await.unwrap();
    subscriber
}

async fn write_all(writers: Vec<Writer>, hand_offs: &Arc<watch::Sender<u64>>) -> Vec<Acknowledged> {
    let mut writing = JoinSet::new();
    for mut writer in writers {
        let hand_offs = hand_offs.subscribe();
        let large: &[u32] = if writing.is_empty() { &LARGE } else { &[] };
        writing.spawn(async move {
            for count in 0..*WRITES.end() {
                if count >= *WRITES.start() && *hand_offs.borrow() >= HAND_OFFS_MIN {
                    break;
                }
                let step = if large.contains(&count) { writer.step_large().await } else { writer.step().await };
                step.unwrap();
            }
            writer.acknowledged
        });
    }
    writing.join_all().await.into_iter().flatten().collect()
}
