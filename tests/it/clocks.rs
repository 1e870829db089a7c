//! A wrong system clock: what is reported, and what is rejected.

use std::sync::Arc;

use dateline::internals::archive::{Archive, Options};
use dateline::internals::client::{Client, ServerError};
use dateline::internals::clock::{Clock, ManualClock};
use dateline::internals::server;
use dateline::internals::wire::{pb, timestamp_to_pb};
use dateline::model::Timestamp;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::server::{TestServer, name, publish};
use crate::support;

const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// A server of an empty archive in memory, a client, and the archive's clock.
async fn served(clock_jump_allowed: bool) -> (TestServer, Client, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(support::now()));
    let options = Options { clock_jump_allowed, ..Options::default() };
    let archive = Archive::in_memory_with(&options, Arc::clone(&clock) as _).unwrap();
    let server = TestServer::over(archive, server::Options::default()).await;
    let client = server.client().await;
    (server, client, clock)
}

async fn write(client: &Client, id: &str) -> Result<(), ServerError> {
    Ok(client.archive.clone().record_observation(publish(id, "It was.")).await.map(drop)?)
}

async fn status(client: &Client) -> pb::GetStatusResponse {
    client.admin.clone().get_status(pb::GetStatusRequest {}).await.unwrap().into_inner()
}

async fn health(server: &TestServer, service: &str) -> ServingStatus {
    let channel = tonic::transport::Endpoint::from_shared(server.url.clone()).unwrap().connect().await.unwrap();
    let ask = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(channel).check(ask).await.unwrap().into_inner().status()
}

async fn healths(server: &TestServer) -> [ServingStatus; 2] {
    [health(server, "").await, health(server, "dateline.clock").await]
}

fn days_later(days: i64) -> Timestamp {
    support::now().saturating_add_micros(days * DAY)
}

#[tokio::test]
async fn writes_are_rejected_while_the_clock_is_ahead_after_a_jump() {
    let (server, client, clock) = served(false).await;
    write(&client, "a").await.unwrap();
    assert_eq!(healths(&server).await, [ServingStatus::Serving; 2]);
    clock.jump(days_later(400));
    let refused = write(&client, "b").await.unwrap_err();
    assert_eq!((refused.code, refused.reason.as_str()), (Code::Unavailable, "CLOCK_JUMPED"));
    assert!(refused.message.starts_with("the clock has jumped 400 days ahead, from about 20"), "{refused:?}");
    // A read as known at a time that was jumped over would force later archive times above it.
    let as_known = pb::GetArticleRequest {
        name: name("a"),
        as_of: Some(pb::AsOf {
            known_at: Some(pb::as_of::KnownAt::ArchiveTime(timestamp_to_pb(days_later(300)))),
            ..pb::AsOf::default()
        }),
        ..pb::GetArticleRequest::default()
    };
    let refused = ServerError::from(client.archive.clone().get_article(as_known).await.unwrap_err());
    assert_eq!(refused.reason, "CLOCK_JUMPED");
    let newest = pb::GetArticleRequest { name: name("a"), ..pb::GetArticleRequest::default() };
    client.archive.clone().get_article(newest).await.unwrap();
    let told = status(&client).await;
    assert!(told.clock_message.contains("jumped 400 days ahead"), "{told:?}");
    assert_eq!(told.clock_behind, None);
    assert_eq!(healths(&server).await, [ServingStatus::Serving, ServingStatus::NotServing]);

    clock.jump(support::now());
    write(&client, "b").await.unwrap();
    assert_eq!(status(&client).await.clock_message, "");
    assert_eq!(healths(&server).await, [ServingStatus::Serving; 2]);
    // Time that passes is not a jump.
    clock.set(days_later(400));
    write(&client, "c").await.unwrap();
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_long_idle_archive_reports_that_until_the_next_write() {
    let directory = tempfile::TempDir::new().unwrap();
    let open = |clock: &Arc<ManualClock>| support::open_directory(directory.path(), &Options::default(), clock);
    let clock = Arc::new(ManualClock::new(support::now()));
    let server = TestServer::over(open(&clock), server::Options::default()).await;
    let client = server.client().await;
    write(&client, "a").await.unwrap();
    assert_eq!(status(&client).await.clock_message, "");
    server.stop().await;
    let clock = Arc::new(ManualClock::new(days_later(40)));
    let server = TestServer::over(open(&clock), server::Options::default()).await;
    let client = server.client().await;
    let told = status(&client).await.clock_message;
    assert!(told.starts_with("the clock is 40 days after the last change"), "{told}");
    assert_eq!(healths(&server).await, [ServingStatus::Serving; 2]);
    write(&client, "b").await.unwrap();
    assert_eq!(status(&client).await.clock_message, "");
    server.stop().await;
}

#[tokio::test]
async fn a_clock_behind_the_last_change_is_reported_and_writes_continue() {
    let (server, client, clock) = served(true).await;
    write(&client, "a").await.unwrap();
    clock.jump(days_later(365));
    write(&client, "b").await.unwrap();
    assert_eq!(status(&client).await.clock_message, "", "the jump was allowed");
    clock.jump(support::now());
    let told = status(&client).await;
    assert!(told.clock_message.starts_with("the clock is 365 days behind the last change"), "{told:?}");
    assert_eq!(told.clock_behind.unwrap().seconds, 365 * 24 * 60 * 60);
    assert_eq!(healths(&server).await, [ServingStatus::Serving, ServingStatus::NotServing]);
    write(&client, "c").await.unwrap();
    assert!(server.archive.tail().archive_time.unwrap() > clock.now());
    drop(client);
    server.stop().await;
}
