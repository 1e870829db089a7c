//! Storage faults that are injected on purpose: nothing is acknowledged that is not durable, and every caller gets an
//! error.

pub(crate) mod disk;
mod every;
mod full;
mod large;
mod workload;

use std::sync::Arc;
use std::time::Duration;

use dateline::internals::archive::error::Unavailable;
use dateline::internals::archive::request::WriteMode;
use dateline::internals::archive::{Archive, ArchiveError, Options};
use dateline::internals::client::{Client, ServerError};
use dateline::internals::clock::SystemClock;
use dateline::internals::server::{self, ServeError};
use dateline::internals::store::engine::memory::{Fault, MemoryEngine};
use dateline::internals::wire::pb;
use dateline::model::{AsOf, FeedQuery, KnownAt, Seq, SubscriptionId};
use tonic::Code;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::model::plan::Text;
use crate::server::{TestServer, name, publish};
use crate::support;

pub(crate) fn archive_over(engine: &MemoryEngine, flush_deadline: Duration) -> Archive {
    let options = Options { flush_deadline, ..Options::default() };
    Archive::over(Arc::new(engine.clone()), &options, Arc::new(SystemClock)).unwrap()
}

fn get(id: &str) -> pb::GetArticleRequest {
    pb::GetArticleRequest { name: name(id), ..pb::GetArticleRequest::default() }
}

async fn storage_state(client: &mut Client) -> pb::StorageState {
    client.admin.get_status(pb::GetStatusRequest {}).await.unwrap().into_inner().storage_state()
}

async fn health(server: &TestServer) -> i32 {
    let channel = tonic::transport::Endpoint::from_shared(server.url.clone()).unwrap().connect().await.unwrap();
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap().into_inner().status
}

/// Random characters from an alphabet of 64, which compress only to six bits each.
pub(crate) fn noise(seed: u64, bytes: usize) -> String {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(LETTERS[usize::try_from(state >> 58).unwrap()])
    };
    (0..bytes).map(letter).collect()
}

const SOON: Duration = Duration::from_millis(200);

/// A failed sync poisons the archive: that write and every later one are rejected, reads continue for the grace period,
/// health reports it, and the server ends with an error that its supervisor sees.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_commit_ends_writes_and_then_the_server() {
    let engine = MemoryEngine::new();
    let archive = archive_over(&engine, Duration::from_secs(60));
    let options = server::Options { failed_grace: Duration::from_secs(2), ..server::Options::default() };
    let server = TestServer::over(archive, options).await;
    let mut client = server.client().await;
    client.archive.record_observation(publish("a", "one")).await.unwrap();
    engine.fault_at(1, Fault::FailBeforeSync);
    for _ in 0..2 {
        let error = ServerError::from(client.archive.record_observation(publish("a", "two")).await.unwrap_err());
        assert_eq!((error.code, error.reason.as_str()), (Code::Unavailable, "STORAGE_FAILED"));
    }
    let read = client.archive.get_article(get("a")).await.unwrap().into_inner().article.unwrap();
    assert_eq!(read.revision_count, 1, "a write that was not acknowledged cannot be read");
    assert_eq!(storage_state(&mut client).await, pb::StorageState::Failed);
    assert_eq!(health(&server).await, ServingStatus::NotServing as i32);
    drop(client);
    assert!(matches!(server.ended().await, Err(ServeError::StorageFailed)));
}

/// If a sync hangs, writers neither wait forever nor get a success.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_hangs_is_given_up_at_the_deadline() {
    let engine = MemoryEngine::new();
    let archive = archive_over(&engine, SOON);
    let server = TestServer::over(archive, server::Options::default()).await;
    let mut client = server.client().await;
    client.archive.record_observation(publish("a", "one")).await.unwrap();
    engine.fault_at(1, Fault::Hang);
    let error = ServerError::from(client.archive.record_observation(publish("a", "two")).await.unwrap_err());
    assert_eq!((error.code, error.reason.as_str()), (Code::Unavailable, "STORAGE_FAILED"));
    let read = client.archive.get_article(get("a")).await.unwrap().into_inner().article.unwrap();
    assert_eq!(read.revision_count, 1);
    engine.release();
}

/// The rejection of a whole batch was once blamed on its first item. A client that left out this item and retried lost
/// it for no reason.
#[tokio::test]
async fn an_error_of_a_batch_names_an_item_only_if_that_item_is_at_fault() {
    let engine = MemoryEngine::new();
    let server = TestServer::over(archive_over(&engine, Duration::from_secs(60)), server::Options::default()).await;
    let mut client = server.client().await;
    let batch = |requests| pb::BatchRecordObservationsRequest { requests };
    engine.fault_at(1, Fault::Full);
    let full = client.archive.batch_record_observations(batch(vec![publish("a", "one"), publish("b", "one")])).await;
    let full = ServerError::from(full.unwrap_err());
    assert_eq!((full.reason.as_str(), full.metadata.get("item")), ("STORAGE_FULL", None));
    assert!(!full.message.contains("requests["), "{}", full.message);

    client.archive.record_observation(publish("b", "one")).await.unwrap();
    let precondition = Some(pb::Precondition { condition: Some(pb::precondition::Condition::MustNotExist(true)) });
    let exists = pb::RecordObservationRequest { precondition, ..publish("b", "two") };
    let exists = client.archive.batch_record_observations(batch(vec![publish("a", "one"), exists])).await;
    let exists = ServerError::from(exists.unwrap_err());
    assert_eq!((exists.reason.as_str(), exists.metadata["item"].as_str()), ("ARTICLE_EXISTS", "requests[1]"));
}

/// A full disk causes writes to be rejected and nothing else; they are accepted again once there is space.
#[tokio::test]
async fn a_full_disk_rejects_writes_until_there_is_space() {
    let engine = MemoryEngine::new();
    let server = TestServer::over(archive_over(&engine, Duration::from_secs(60)), server::Options::default()).await;
    let mut client = server.client().await;
    client.archive.record_observation(publish("a", "one")).await.unwrap();
    engine.fault_at(1, Fault::Full);
    assert_eq!(storage_state(&mut client).await, pb::StorageState::Full);
    assert_eq!(health(&server).await, ServingStatus::Serving as i32, "reads continue");
    let error = ServerError::from(client.archive.record_observation(publish("a", "two")).await.unwrap_err());
    assert_eq!((error.code, error.reason.as_str()), (Code::ResourceExhausted, "STORAGE_FULL"));
    assert_eq!(storage_state(&mut client).await, pb::StorageState::Serving);
    let answer = client.archive.record_observation(publish("a", "three")).await.unwrap().into_inner();
    let revision = answer.revision.unwrap();
    assert_eq!((revision.number, revision.seq), (2, 1), "a rejected write leaves no gap");
    let read = client.archive.get_article(get("a")).await.unwrap().into_inner().article.unwrap();
    assert_eq!(read.revision_count, 2);
    drop(client);
    server.stop().await;
}

/// Maintenance writes are carried out even if they share a commit with a write that does not fit on the disk.
#[tokio::test(flavor = "multi_thread")]
async fn maintenance_writes_continue_while_a_full_disk_rejects_others() {
    let engine = MemoryEngine::new();
    let archive = archive_over(&engine, Duration::from_secs(60));
    engine.fault_at(1, Fault::Hang);
    engine.fault_at(2, Fault::Full);
    let observed = |id, tick| vec![support::observe(&support::named(1, id), support::at(tick), Text(1))];
    let first = archive.begin_write(&Arc::default(), observed("early", 2), WriteMode::Commit).await.unwrap();
    let hangs = engine.clone();
    tokio::task::spawn_blocking(move || hangs.wait_until_hanging()).await.unwrap();
    let second = archive.begin_write(&Arc::default(), observed("late", 3), WriteMode::Commit).await.unwrap();
    let known_at = KnownAt::ArchiveTime(archive.clock().now());
    let as_of = AsOf { observe_time: None, known_at };
    let reader = SubscriptionId::parse("reader").unwrap();
    // The writer handles its messages in order: all three wait until the first commit continues.
    let (point, created, ()) = tokio::join!(
        archive.read_point(as_of, Seq::ZERO),
        archive.create_subscription(reader.clone(), FeedQuery::default(), Seq::ZERO, support::CREATION),
        async { engine.release() },
    );
    first.reply().await.unwrap();
    let refused = second.reply().await.unwrap_err().error;
    assert!(matches!(refused, ArchiveError::Unavailable(Unavailable::StorageFull { .. })), "{refused:?}");
    assert_eq!(point.unwrap().snapshot, archive.tail());
    created.unwrap();
    archive.close().await;
    engine.lose_unsynced();
    archive_over(&engine, Duration::from_secs(60)).subscription(reader).await.unwrap();
}

/// When the storage fails, a subscriber gets everything that is durable, nothing else, and then a clear end.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_gets_what_is_durable_and_then_an_error() {
    let engine = MemoryEngine::new();
    let archive = archive_over(&engine, Duration::from_secs(60));
    let options = server::Options { failed_grace: SOON, ..server::Options::default() };
    let server = TestServer::over(archive, options).await;
    let mut client = server.client().await;
    client.archive.record_observation(publish("a", "one")).await.unwrap();
    let start = Some(pb::FeedStart { position: Some(pb::feed_start::Position::Beginning(true)) });
    let request = pb::SubscribeRequest { start, ..pb::SubscribeRequest::default() };
    let mut events = client.feed.subscribe(request).await.unwrap().into_inner();
    client.archive.record_observation(publish("b", "two")).await.unwrap();
    // The whole commit is visible in the engine, but none of it is durable.
    engine.fault_at(1, Fault::FailBeforeSync);
    client.archive.record_observation(publish("c", "three")).await.unwrap_err();
    let mut seqs = Vec::new();
    let ended = loop {
        match events.message().await {
            Ok(Some(event)) => {
                if let Some(pb::subscribe_response::Event::Delivery(batch)) = event.event {
                    seqs.extend(batch.changes.iter().map(|change| change.seq));
                }
            }
            Ok(None) => panic!("the stream ended without an error"),
            Err(status) => break ServerError::from(status),
        }
    };
    assert_eq!(seqs, [0, 1]);
    // Like all reads the stream continues for a while, and then the server ends as on a normal shutdown: the client may
    // retry.
    assert_eq!((ended.code, ended.reason.as_str()), (Code::Unavailable, "DRAINING"));
    drop((client, events));
    assert!(matches!(server.ended().await, Err(ServeError::StorageFailed)));
}
