//! The server is killed with SIGKILL during writes, subscriptions and acknowledgements, and started again on the
//! archive.

use std::sync::Arc;

use dateline::internals::client::Client;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::Status;

use super::consumer::Consumer;
use super::dice::seed;
use super::process::{ServerProcess, Way};
use super::query;
use super::recording::Recording;
use super::subscriber::Subscriber;
use super::truth::Acknowledged;
use super::verdict;
use super::writer::{Progress, Writer, is_gone};

const KILLS: u64 = 5;
/// Minimum number of changes between two kills.
const CHANGES: u64 = 60;
const WRITERS: u32 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_keeps_its_promises_when_the_server_is_killed() {
    let seed = seed(7);
    let directory = TempDir::new().unwrap();
    let mut server = ServerProcess::on(&directory.path().join("archive"));
    server.start();
    let progress = Progress::new();
    let (stop_writing, may_write) = watch::channel(true);
    let (end, writing) = watch::channel(true);
    let mut recordings = JoinSet::new();
    let hand_offs = Arc::new(watch::Sender::new(0));
    for (number, query) in (0..).zip(query::many()) {
        let mut way = server.way();
        let client = way.connect_anew().await;
        let consumer = Consumer::create(client.clone(), progress.clone(), seed, number, query.clone()).await;
        recordings.spawn(consume(consumer, way.clone(), writing.clone()));
        let hand_offs = Arc::clone(&hand_offs);
        let subscriber = Subscriber::new(client, progress.clone(), seed, number, query, hand_offs);
        recordings.spawn(subscribe(subscriber, way, writing.clone()));
    }
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let mut way = server.way();
        let writer = Writer::new(way.connect_anew().await, progress.clone(), seed, number);
        writers.spawn(write(writer, way, may_write.clone()));
    }
    let mut tail = progress.watch();
    for kill in 1..=KILLS {
        tail.wait_for(|tail| *tail >= kill * CHANGES).await.unwrap();
        server.kill();
        server.start();
    }
    tail.wait_for(|tail| *tail >= (KILLS + 1) * CHANGES).await.unwrap();
    stop_writing.send(false).unwrap();
    let acknowledged = writers.join_all().await.into_iter().flatten().collect();
    end.send(false).unwrap();
    let recordings = recordings.join_all().await;
    server.kill();
    verdict::assert_faultless(seed, acknowledged, recordings).await;
}

/// Writes while it may. A write with an unknown outcome is repeated exactly.
async fn write(mut writer: Writer, mut way: Way, may_write: watch::Receiver<bool>) -> Vec<Acknowledged> {
    while *may_write.borrow() {
        let writes = writer.choose();
        while let Err(status) = writer.send(writes.clone()).await {
            writer.client = anew(&mut way, status).await;
        }
    }
    writer.acknowledged
}

async fn subscribe(mut subscriber: Subscriber, mut way: Way, mut writing: watch::Receiver<bool>) -> Recording {
    while *writing.borrow() {
        if let Err(status) = subscriber.visit(&mut writing).await {
            subscriber.client = anew(&mut way, status).await;
        }
    }
    while let Err(status) = subscriber.finish().await {
        subscriber.client = anew(&mut way, status).await;
    }
    subscriber.recording
}

async fn consume(mut consumer: Consumer, mut way: Way, writing: watch::Receiver<bool>) -> Recording {
    while *writing.borrow() {
        if let Err(status) = consumer.visit().await {
            consumer.client = anew(&mut way, status).await;
        }
    }
    while let Err(status) = consumer.finish().await {
        consumer.client = anew(&mut way, status).await;
    }
    consumer.recording
}

/// Connects to the next server after the present one has gone. Any other error fails the test.
async fn anew(way: &mut Way, status: Status) -> Client {
    assert!(is_gone(&status), "{status:?}");
    way.connect_anew().await
}
