//! Subscribers that do not read: they block nobody, take almost no memory, and are disconnected with their resume
//! token.

use std::time::Duration;

use dateline::internals::archive::{Archive, Options};
use dateline::internals::client::{Client, ServerError};
use dateline::internals::clock::SystemClock;
use dateline::internals::server;
use dateline::internals::wire::pb;
use dateline::internals::wire::pb::feed_start::Position;
use dateline::internals::wire::pb::subscribe_response::Event;
use std::sync::Arc;
use tonic::Code;
use tonic::transport::Endpoint;

use super::{all, from, next, start, until_caught_up, write};
use crate::server::{TestServer, publish};

/// A server that disconnects stalled readers after a short time.
async fn impatient() -> TestServer {
    let archive = Archive::in_memory_with(&Options::default(), Arc::new(SystemClock)).unwrap();
    let options = server::Options { stalled_after: Duration::from_millis(50), ..server::Options::default() };
    TestServer::over(archive, options).await
}

/// A client with small HTTP/2 windows.
async fn narrow(url: &str) -> Client {
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    Client::over(endpoint.initial_stream_window_size(65_535).connect().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_reader_is_disconnected_with_its_token_and_misses_nothing() {
    let server = impatient().await;
    let client = server.client().await;
    let request = pb::CreateSubscriptionRequest {
        subscription_id: "index".into(),
        start: Some(start(Position::Beginning(true))),
        ..pb::CreateSubscriptionRequest::default()
    };
    client.feed.clone().create_subscription(request).await.unwrap();
    let reader = narrow(&server.url).await;
    let durable = pb::SubscribeRequest {
        subscription: "subscriptions/index".into(),
        view: pb::FeedView::Full.into(),
        ..pb::SubscribeRequest::default()
    };
    let mut stream = reader.feed.clone().subscribe(durable).await.unwrap().into_inner();
    assert!(matches!(next(&mut stream).await, Event::Started(_)));
    for number in 0..20 {
        write(&client, publish(&format!("a{number}"), &"word ".repeat(20_000))).await;
    }
    // The disconnection shows in the subscription before the client reads again.
    let get = pb::GetSubscriptionRequest { name: "subscriptions/index".into() };
    loop {
        let subscription = client.feed.clone().get_subscription(get.clone()).await.unwrap().into_inner().subscription;
        if subscription.unwrap().consumer.is_some_and(|consumer| !consumer.attached) {
            break;
        }
    }
    let (mut seqs, mut last_token) = (Vec::new(), String::new());
    let error = loop {
        match stream.message().await {
            Ok(Some(pb::SubscribeResponse { event: Some(Event::Delivery(batch)) })) => {
                seqs.extend(batch.changes.iter().map(|change| change.seq));
                last_token = batch.bookmark.unwrap().resume_token;
            }
            Ok(Some(_)) => {}
            Ok(None) => panic!("it was disconnected without an error"),
            Err(status) => break ServerError::from(status),
        }
    };
    assert_eq!((error.code, error.reason.as_str()), (Code::ResourceExhausted, "SUBSCRIBER_STALLED"));
    assert_eq!(error.metadata["resume_token"], last_token, "the token covers what was sent, and no more");
    let rest = all(&client, until_caught_up(Position::ResumeToken(last_token))).await;
    seqs.extend(rest.iter().map(|change| change.seq));
    assert_eq!(seqs, (0..20).collect::<Vec<_>>());
    drop((stream, reader, client));
    server.stop().await;
}

#[tokio::test]
async fn streams_are_limited_and_a_closed_one_makes_room() {
    let archive = Archive::in_memory_with(&Options::default(), Arc::new(SystemClock)).unwrap();
    let server = TestServer::over(archive, server::Options { subscribers_max: 1, ..Default::default() }).await;
    let client = server.client().await;
    let mut feed = client.feed.clone();
    let first = feed.subscribe(from(Position::Now(true))).await.unwrap().into_inner();
    let error = ServerError::from(feed.subscribe(from(Position::Now(true))).await.unwrap_err());
    assert_eq!((error.code, error.reason.as_str()), (Code::ResourceExhausted, "TOO_MANY_STREAMS"));
    drop(first);
    while feed.subscribe(from(Position::Now(true))).await.is_err() {}
    drop((feed, client));
    server.stop().await;
}
