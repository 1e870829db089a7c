//! Connections that do not harm others, and a server that stops within seconds whatever its peers do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dateline::internals::archive::{Archive, Options};
use dateline::internals::clock::SystemClock;
use dateline::internals::server;
use dateline::internals::wire::pb;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{TestServer, name, publish};

fn subscribe() -> pb::SubscribeRequest {
    let position = pb::feed_start::Position::Now(true);
    let start = Some(pb::FeedStart { position: Some(position) });
    pb::SubscribeRequest { start, ..pb::SubscribeRequest::default() }
}

fn refused(status: tonic::Status) -> String {
    dateline::internals::client::ServerError::from(status).reason
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const EMPTY_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

async fn server(options: server::Options) -> TestServer {
    TestServer::over(Archive::in_memory_with(&Options::default(), Arc::new(SystemClock)).unwrap(), options).await
}

async fn connect(server: &TestServer, say: &[u8]) -> TcpStream {
    let mut connection = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    connection.write_all(say).await.unwrap();
    connection
}

/// Waits until the server has closed a connection, whatever it sent before.
async fn closed(mut connection: TcpStream) {
    let mut bytes = [0; 1024];
    while connection.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
}

#[tokio::test]
async fn a_connection_without_an_http2_preface_is_closed() {
    let server = server(server::Options { greeting_within: Duration::from_millis(50), ..Default::default() }).await;
    for said in [b"".as_slice(), &PREFACE[..10], PREFACE] {
        closed(connect(&server, said).await).await;
    }
    // A connection that has sent its preface stays open, and so does one in use.
    let mut begun = connect(&server, &[PREFACE, &EMPTY_SETTINGS].concat()).await;
    let mut client = server.client().await;
    closed(connect(&server, b"").await).await;
    client.archive.record_observation(publish("bridge", "It closes.")).await.unwrap();
    begun.write_all(&EMPTY_SETTINGS).await.unwrap();
    let mut frame = [0; 9];
    begun.read_exact(&mut frame).await.expect("the server's own settings");
}

#[tokio::test]
async fn connections_above_the_limit_are_rejected_and_the_others_continue() {
    let server =
        server(server::Options { connections_max: 4, connections_per_peer_max: Some(3), ..server::Options::default() })
            .await;
    let mut client = server.client().await;
    client.archive.record_observation(publish("bridge", "It closes.")).await.unwrap();
    let greeted = [PREFACE, &EMPTY_SETTINGS].concat();
    let second = connect(&server, &greeted).await;
    let third = connect(&server, &greeted).await;
    closed(connect(&server, &greeted).await).await;
    client.archive.record_observation(publish("bridge", "It does not close.")).await.unwrap();
    // The slot of a closed connection is free again.
    drop(second);
    loop {
        let mut next = connect(&server, &greeted).await;
        let mut frame = [0; 9];
        if next.read_exact(&mut frame).await.is_ok() {
            break;
        }
    }
    drop(third);
}

/// Each of these connections once kept the server running for its whole grace period.
#[tokio::test]
async fn a_server_stops_within_three_seconds_whatever_is_connected() {
    let greeted = [PREFACE, &EMPTY_SETTINGS].concat();
    for said in [b"".as_slice(), &PREFACE[..10], &greeted] {
        let server = server(server::Options::default()).await;
        let mut client = server.client().await;
        client.archive.record_observation(publish("bridge", "It closes.")).await.unwrap();
        let connection = connect(&server, said).await;
        let begun = Instant::now();
        server.stop_serving().await;
        assert!(begun.elapsed() < Duration::from_secs(3), "with {said:?}: {:?}", begun.elapsed());
        drop(connection);
    }
}

#[tokio::test]
async fn reads_that_wait_for_a_position_end_when_the_server_stops() {
    let server = server(server::Options::default()).await;
    let mut client = server.client().await;
    client.archive.record_observation(publish("bridge", "It closes.")).await.unwrap();
    let request = pb::GetArticleRequest { name: name("bridge"), min_next_seq: 1 << 40, ..Default::default() };
    let listed = pb::ListArticlesRequest { parent: "sources/-".into(), min_next_seq: 1 << 40, ..Default::default() };
    let (mut other, mut third) = (server.client().await, server.client().await);
    let waiting = tokio::spawn(async move { other.archive.get_article(request).await });
    let listing = tokio::spawn(async move { third.archive.list_articles(listed).await });
    // Once a later call is answered, the waiting calls have reached the server, unless they started after it began to
    // stop.
    client.archive.record_observation(publish("ferry", "It sails.")).await.unwrap();
    let begun = Instant::now();
    server.stop_serving().await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    for status in [waiting.await.unwrap().unwrap_err(), listing.await.unwrap().unwrap_err()] {
        assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
    }
}

/// With 1,024 subscribers on one connection, its other calls once waited without any error.
#[tokio::test]
async fn streams_of_a_connection_leave_room_for_its_other_calls() {
    let server = server(server::Options { calls_per_connection_max: 8, ..server::Options::default() }).await;
    let mut client = server.client().await;
    let mut streams = Vec::new();
    for _ in 0..6 {
        streams.push(client.feed.subscribe(subscribe()).await.unwrap());
    }
    assert_eq!(refused(client.feed.subscribe(subscribe()).await.unwrap_err()), "TOO_MANY_STREAMS");
    let import = tokio_stream::iter([pb::ImportObservationsRequest::default()]);
    assert_eq!(refused(client.archive.import_observations(import).await.unwrap_err()), "TOO_MANY_STREAMS");
    client.archive.record_observation(publish("bridge", "It closes.")).await.unwrap();
    // Another connection has a limit of its own, and a stream that ends makes room.
    server.client().await.feed.subscribe(subscribe()).await.unwrap();
    streams.pop();
    while client.feed.subscribe(subscribe()).await.is_err() {}
}

#[tokio::test]
async fn one_address_may_open_a_quarter_of_the_change_streams() {
    let server = server(server::Options { subscribers_max: 8, ..server::Options::default() }).await;
    let (mut client, mut other) = (server.client().await, server.client().await);
    let first = client.feed.subscribe(subscribe()).await.unwrap();
    let _second = other.feed.subscribe(subscribe()).await.unwrap();
    assert_eq!(refused(client.feed.subscribe(subscribe()).await.unwrap_err()), "TOO_MANY_STREAMS");
    drop(first);
    while other.feed.subscribe(subscribe()).await.is_err() {}
}
