//! Consumers of durable subscriptions under load: delivery is at least once and in order, and nothing is skipped that
//! was not acknowledged.

use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::server::TestServer;

use super::consumer::Consumer;
use super::dice::seed;
use super::writer::{Progress, Writer};
use super::{query, verdict};

const WRITERS: u32 = 2;
const WRITES: u32 = 120;

#[tokio::test(flavor = "multi_thread")]
async fn a_durable_subscription_skips_only_what_was_acknowledged() {
    let seed = seed(5);
    let directory = TempDir::new().unwrap();
    let server = TestServer::on_directory(directory.path()).await;
    let progress = Progress::new();
    let (stop_writing, writing) = watch::channel(true);
    let mut visits = JoinSet::new();
    for (number, query) in (0..).zip(query::many()) {
        let consumer = Consumer::create(server.client().await, progress.clone(), seed, number, query).await;
        visits.spawn(visit_until_done(consumer, writing.clone()));
    }
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let mut writer = Writer::new(server.client().await, progress.clone(), seed, number);
        writers.spawn(async move {
            for _ in 0..WRITES {
                writer.step().await.unwrap();
            }
            writer.acknowledged
        });
    }
    let acknowledged = writers.join_all().await.into_iter().flatten().collect();
    stop_writing.send(false).unwrap();
    let consumers = visits.join_all().await;
    let recordings = consumers.into_iter().map(|consumer| consumer.recording).collect();
    server.stop().await;
    verdict::assert_faultless(seed, acknowledged, recordings).await;
}

async fn visit_until_done(mut consumer: Consumer, writing: watch::Receiver<bool>) -> Consumer {
    while *writing.borrow() {
        consumer.visit().await.unwrap();
    }
    consumer.finish().await.unwrap();
    consumer
}
