//! Faults of the storage, put in on purpose: nothing is acknowledged that is not durable, and everybody is told.

use std::sync::Arc;
use std::time::Duration;

use dateline::archive::{Archive, Options};
use dateline::client::ServerError;
use dateline::clock::SystemClock;
use dateline::server::{self, ServeError};
use dateline::store::engine::memory::{Fault, MemoryEngine};
use dateline::wire::pb;
use tonic::Code;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::server::{TestServer, name, publish};

fn archive_over(engine: &MemoryEngine, flush_deadline: Duration) -> Archive {
    let options = Options { flush_deadline, ..Options::default() };
    Archive::over(Arc::new(engine.clone()), &options, Arc::new(SystemClock)).unwrap()
}

fn get(id: &str) -> pb::GetArticleRequest {
    pb::GetArticleRequest { name: name(id), ..pb::GetArticleRequest::default() }
}

const SOON: Duration = Duration::from_millis(200);

/// A failed sync poisons: the write is refused, so is every later one, reads go on for the grace period, health
/// says so, and the server ends with an error for its supervisor to see.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_commit_ends_writes_and_then_the_server() {
    let engine = MemoryEngine::new();
    let archive = archive_over(&engine, Duration::from_secs(60));
    let options = server::Options { failed_grace: Duration::from_secs(2), ..server::Options::default() };
    let server = TestServer::over(archive, options).await;
    let mut client = server.client().await;
    client.archive.publish_revision(publish("a", "one")).await.unwrap();
    engine.fault_at(1, Fault::FailBeforeSync);
    for _ in 0..2 {
        let error = ServerError::from(client.archive.publish_revision(publish("a", "two")).await.unwrap_err());
        assert_eq!((error.code, error.reason.as_str()), (Code::Unavailable, "STORAGE_FAILED"));
    }
    let read = client.archive.get_article(get("a")).await.unwrap().into_inner().article.unwrap();
    assert_eq!(read.revision_count, 1, "what was not acknowledged is not shown");
    let status = client.admin.get_status(pb::GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.storage_state, i32::from(pb::StorageState::Failed));
    let channel = tonic::transport::Endpoint::from_shared(server.url.clone()).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    let serving = health.check(HealthCheckRequest::default()).await.unwrap().into_inner().status;
    assert_eq!(serving, ServingStatus::NotServing as i32);
    drop((client, health));
    assert!(matches!(server.ended().await, Err(ServeError::StorageFailed)));
}

/// A sync that hangs is no reason to let writers wait for ever, or to tell them that all is well.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_hangs_is_given_up_at_the_deadline() {
    let engine = MemoryEngine::new();
    let archive = archive_over(&engine, SOON);
    let server = TestServer::over(archive, server::Options::default()).await;
    let mut client = server.client().await;
    client.archive.publish_revision(publish("a", "one")).await.unwrap();
    engine.fault_at(1, Fault::Hang);
    let error = ServerError::from(client.archive.publish_revision(publish("a", "two")).await.unwrap_err());
    assert_eq!((error.code, error.reason.as_str()), (Code::Unavailable, "STORAGE_FAILED"));
    let read = client.archive.get_article(get("a")).await.unwrap().into_inner().article.unwrap();
    assert_eq!(read.revision_count, 1);
    engine.release();
}

/// A full disk refuses writes and nothing else; they are taken again once there is room.
#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    let engine = MemoryEngine::new();
    let server = TestServer::over(archive_over(&engine, Duration::from_secs(60)), server::Options::default()).await;
    let mut client = server.client().await;
    client.archive.publish_revision(publish("a", "one")).await.unwrap();
    engine.fault_at(1, Fault::Full);
    let error = ServerError::from(client.archive.publish_revision(publish("a", "two")).await.unwrap_err());
    assert_eq!((error.code, error.reason.as_str()), (Code::ResourceExhausted, "STORAGE_FULL"));
    let answer = client.archive.publish_revision(publish("a", "three")).await.unwrap().into_inner();
    let revision = answer.revision.unwrap();
    assert_eq!((revision.number, revision.seq), (2, 1), "a refused write leaves no gap");
    let read = client.archive.get_article(get("a")).await.unwrap().into_inner().article.unwrap();
    assert_eq!(read.revision_count, 2);
    drop(client);
    server.stop().await;
}
