//! Invalid requests to the feed: each kind gets its documented code and reason.

use dateline::internals::client::{Client, ServerError};
use dateline::internals::wire::pb;
use dateline::internals::wire::pb::feed_start::Position;
use dateline::internals::wire::pb::subscribe_response::Event;
use tonic::Code;

use super::{events, from, start, until_caught_up, write};
use crate::server::{fresh, publish};

async fn refused(client: &Client, request: pb::SubscribeRequest) -> (Code, String, String) {
    let error = ServerError::from(client.feed.clone().subscribe(request).await.unwrap_err());
    (error.code, error.reason, error.message)
}

#[track_caller]
fn is(refused: &(Code, String, String), code: Code, reason: &str) {
    assert_eq!((refused.0, refused.1.as_str()), (code, reason), "{}", refused.2);
}

#[tokio::test]
async fn an_impossible_start_is_rejected() {
    let (_directory, server, client) = fresh().await;
    write(&client, publish("a", "one")).await;
    let future = prost_types::Timestamp { seconds: 32_503_680_000, nanos: 0 };
    is(&refused(&client, from(Position::Seq(2))).await, Code::OutOfRange, "START_IN_FUTURE");
    is(&refused(&client, from(Position::ArchiveTime(future))).await, Code::OutOfRange, "START_IN_FUTURE");
    let snapshot = pb::AsOf { known_at: Some(pb::as_of::KnownAt::NextSeq(2)), ..Default::default() };
    is(&refused(&client, from(Position::Snapshot(snapshot))).await, Code::OutOfRange, "START_IN_FUTURE");
    let snapshot = pb::AsOf { observe_time: Some(future), ..Default::default() };
    is(&refused(&client, from(Position::Snapshot(snapshot))).await, Code::InvalidArgument, "FIELD_INVALID");
    is(&refused(&client, from(Position::Now(false))).await, Code::InvalidArgument, "FIELD_INVALID");
    is(&refused(&client, from(Position::Beginning(false))).await, Code::InvalidArgument, "FIELD_INVALID");
    let years = prost_types::Timestamp { seconds: i64::MAX, nanos: 0 };
    is(&refused(&client, from(Position::ArchiveTime(years))).await, Code::InvalidArgument, "FIELD_INVALID");
    server.stop().await;
}

#[tokio::test]
async fn a_token_is_bound_to_its_filter_and_garbage_is_rejected() {
    let (_directory, server, client) = fresh().await;
    write(&client, publish("a", "one")).await;
    let told = events(&client, until_caught_up(Position::Beginning(true))).await;
    let Some(Event::CaughtUp(pb::CaughtUp { bookmark: Some(bookmark) })) = told.last() else { panic!("{told:?}") };
    let token = || from(Position::ResumeToken(bookmark.resume_token.clone()));
    let filter = pb::ArticleFilter { sources: vec!["sources/other".into()], ..Default::default() };
    let other = pb::SubscribeRequest { filter: Some(filter), ..token() };
    is(&refused(&client, other).await, Code::InvalidArgument, "PAGE_TOKEN_MISMATCH");
    let other = pb::SubscribeRequest { kinds: vec![1], ..token() };
    is(&refused(&client, other).await, Code::InvalidArgument, "PAGE_TOKEN_MISMATCH");
    for garbage in ["", "garbage", "AAAA", "////", &bookmark.resume_token[..40], &bookmark.resume_token.repeat(2)] {
        let request = from(Position::ResumeToken(garbage.into()));
        is(&refused(&client, request).await, Code::InvalidArgument, "PAGE_TOKEN_MISMATCH");
    }
    let (_other_directory, other_server, other_client) = fresh().await;
    write(&other_client, publish("a", "one")).await;
    is(&refused(&other_client, token()).await, Code::FailedPrecondition, "HISTORY_DIVERGED");
    server.stop().await;
    other_server.stop().await;
}

#[tokio::test]
async fn malformed_fields_are_rejected_by_name() {
    let (_directory, server, client) = fresh().await;
    let good = || from(Position::Now(true));
    let second = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let cases = [
        (pb::SubscribeRequest { view: 9, ..good() }, "FIELD_INVALID"),
        (pb::SubscribeRequest { kinds: vec![0], ..good() }, "FILTER_INVALID"),
        (pb::SubscribeRequest { kinds: vec![99], ..good() }, "FILTER_INVALID"),
        (pb::SubscribeRequest { heartbeat_interval: second(0), ..good() }, "FIELD_INVALID"),
        (pb::SubscribeRequest { heartbeat_interval: second(61), ..good() }, "FIELD_INVALID"),
        (pb::SubscribeRequest { heartbeat_interval: second(-1), ..good() }, "FIELD_INVALID"),
        (pb::SubscribeRequest { subscription: "index".into(), start: None, ..good() }, "FIELD_INVALID"),
        (pb::SubscribeRequest { subscription: "subscriptions/x".into(), ..good() }, "FIELD_INVALID"),
    ];
    for (request, reason) in cases {
        is(&refused(&client, request).await, Code::InvalidArgument, reason);
    }
    let unknown = pb::SubscribeRequest { subscription: "subscriptions/x".into(), ..Default::default() };
    is(&refused(&client, unknown).await, Code::NotFound, "SUBSCRIPTION_UNKNOWN");
    server.stop().await;
}

#[tokio::test]
async fn invalid_durable_subscriptions_are_rejected() {
    let (_directory, server, client) = fresh().await;
    let mut feed = client.feed.clone();
    let create = |id: &str, position| pb::CreateSubscriptionRequest {
        subscription_id: id.into(),
        subscription: None,
        start: Some(start(position)),
    };
    let error = |status: tonic::Status| {
        let error = ServerError::from(status);
        (error.code, error.reason, error.message)
    };
    let bad = error(feed.create_subscription(create("no spaces", Position::Now(true))).await.unwrap_err());
    is(&bad, Code::InvalidArgument, "FIELD_INVALID");
    let bad = error(feed.create_subscription(create("a", Position::Snapshot(pb::AsOf::default()))).await.unwrap_err());
    is(&bad, Code::InvalidArgument, "FIELD_INVALID");
    let bad = error(feed.create_subscription(create("a", Position::Seq(1))).await.unwrap_err());
    is(&bad, Code::OutOfRange, "START_IN_FUTURE");
    let labels = (0..100).map(|number| format!("{number}{}", "x".repeat(1_000))).collect();
    let large = pb::Subscription {
        filter: Some(pb::ArticleFilter { labels, ..Default::default() }),
        ..pb::Subscription::default()
    };
    let large = pb::CreateSubscriptionRequest { subscription: Some(large), ..create("a", Position::Now(true)) };
    is(&error(feed.create_subscription(large).await.unwrap_err()), Code::InvalidArgument, "FILTER_INVALID");
    feed.create_subscription(create("a", Position::Now(true))).await.unwrap();
    feed.create_subscription(create("a", Position::Now(true))).await.expect("the same request came again");
    let again = error(feed.create_subscription(create("a", Position::Seq(0))).await.unwrap_err());
    is(&again, Code::AlreadyExists, "SUBSCRIPTION_EXISTS");
    let name = || "subscriptions/b".to_owned();
    let unknown = [
        error(feed.get_subscription(pb::GetSubscriptionRequest { name: name() }).await.unwrap_err()),
        error(
            feed.delete_subscription(pb::DeleteSubscriptionRequest { name: name(), ..Default::default() })
                .await
                .unwrap_err(),
        ),
        error(
            feed.acknowledge_subscription(pb::AcknowledgeSubscriptionRequest { name: name(), epoch: 1, next_seq: 0 })
                .await
                .unwrap_err(),
        ),
        error(
            feed.seek_subscription(pb::SeekSubscriptionRequest {
                name: name(),
                start: Some(start(Position::Now(true))),
                ..Default::default()
            })
            .await
            .unwrap_err(),
        ),
    ];
    for refused in unknown {
        is(&refused, Code::NotFound, "SUBSCRIPTION_UNKNOWN");
    }
    drop((feed, client));
    server.stop().await;
}
