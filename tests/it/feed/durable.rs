//! Durable subscriptions: one consumer at a time, delivery at least once, durable acknowledgements.

use dateline::internals::client::{Client, ServerError};
use dateline::internals::wire::pb;
use dateline::internals::wire::pb::feed_start::Position;
use dateline::internals::wire::pb::subscribe_response::Event;
use tempfile::TempDir;
use tonic::{Code, Streaming};

use super::{next, start, write};
use crate::server::{TestServer, fresh, publish};

const NAME: &str = "subscriptions/index";

async fn create(client: &Client, position: Position) -> pb::Subscription {
    let request = pb::CreateSubscriptionRequest {
        subscription_id: "index".into(),
        subscription: None,
        start: Some(start(position)),
    };
    client.feed.clone().create_subscription(request).await.unwrap().into_inner().subscription.unwrap()
}

async fn get(client: &Client) -> pb::Subscription {
    let request = pb::GetSubscriptionRequest { name: NAME.into() };
    client.feed.clone().get_subscription(request).await.unwrap().into_inner().subscription.unwrap()
}

/// Attaches a consumer, and returns its stream, its epoch and its start.
async fn attach(client: &Client, consumer: &str) -> (Streaming<pb::SubscribeResponse>, u64, u64) {
    let request = pb::SubscribeRequest {
        subscription: NAME.into(),
        consumer: consumer.into(),
        ..pb::SubscribeRequest::default()
    };
    let mut stream = client.feed.clone().subscribe(request).await.unwrap().into_inner();
    let Event::Started(started) = next(&mut stream).await else { panic!("no Started") };
    (stream, started.epoch, started.bookmark.unwrap().next_seq)
}

async fn acknowledge(client: &Client, epoch: u64, next_seq: u64) -> Result<pb::Subscription, ServerError> {
    let request = pb::AcknowledgeSubscriptionRequest { name: NAME.into(), epoch, next_seq };
    let answer = client.feed.clone().acknowledge_subscription(request).await.map_err(ServerError::from)?;
    Ok(answer.into_inner().subscription.unwrap())
}

/// The positions in the next delivery.
async fn batch(stream: &mut Streaming<pb::SubscribeResponse>) -> Vec<u64> {
    loop {
        if let Event::Delivery(batch) = next(stream).await {
            return batch.changes.iter().map(|change| change.seq).collect();
        }
    }
}

#[tokio::test]
async fn unacknowledged_changes_are_delivered_again_even_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let server = TestServer::on_directory(directory.path()).await;
    let client = server.client().await;
    for text in ["one", "two", "three"] {
        write(&client, publish("a", text)).await;
    }
    let made = create(&client, Position::Beginning(true)).await;
    assert_eq!((made.next_seq, made.lag_changes, made.name.as_str()), (0, 3, NAME));
    let (mut stream, epoch, begins) = attach(&client, "first").await;
    assert_eq!((begins, batch(&mut stream).await), (0, vec![0, 1, 2]));
    let acknowledged = acknowledge(&client, epoch, 2).await.unwrap();
    assert_eq!((acknowledged.next_seq, acknowledged.lag_changes), (2, 1));
    assert!(acknowledged.lag.unwrap().seconds >= 0 && acknowledged.consumer.unwrap().attached);
    assert_eq!(acknowledge(&client, epoch, 1).await.unwrap().next_seq, 2, "an acknowledgement is cumulative");
    drop((stream, client));
    server.stop().await;

    let server = TestServer::on_directory(directory.path()).await;
    let client = server.client().await;
    assert_eq!(get(&client).await.next_seq, 2);
    let lost = acknowledge(&client, epoch, 3).await.unwrap_err();
    assert_eq!(lost.reason, "CONSUMER_FENCED", "the epoch ended with the server");
    assert_eq!(lost.metadata["next_seq"], "2", "so a consumer whose reply was lost knows what is acknowledged");
    let (mut stream, new_epoch, begins) = attach(&client, "second").await;
    assert!(new_epoch > epoch);
    assert_eq!((begins, batch(&mut stream).await), (2, vec![2]));
    assert_eq!(acknowledge(&client, new_epoch, 3).await.unwrap().lag_changes, 0);
    drop((stream, client));
    server.stop().await;
}

#[tokio::test]
async fn a_new_consumer_fences_the_old_one() {
    let (_directory, server, client) = fresh().await;
    write(&client, publish("a", "one")).await;
    create(&client, Position::Beginning(true)).await;
    let (mut old, old_epoch, _) = attach(&client, "old").await;
    assert_eq!(batch(&mut old).await, [0]);
    let (mut new, new_epoch, _) = attach(&client, "new").await;
    let error = loop {
        match old.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the old consumer got no reason"),
            Err(status) => break ServerError::from(status),
        }
    };
    assert_eq!((error.code, error.reason.as_str()), (Code::Aborted, "CONSUMER_FENCED"));
    assert_eq!(acknowledge(&client, old_epoch, 1).await.unwrap_err().reason, "CONSUMER_FENCED");
    assert_eq!(batch(&mut new).await, [0], "what the old consumer did not acknowledge goes to the new one");
    assert_eq!(acknowledge(&client, new_epoch, 1).await.unwrap().consumer.unwrap().label, "new");
    drop((old, new, client));
    server.stop().await;
}

#[tokio::test]
async fn an_acknowledgement_beyond_what_was_delivered_is_rejected() {
    let (_directory, server, client) = fresh().await;
    write(&client, publish("a", "one")).await;
    create(&client, Position::Beginning(true)).await;
    let (mut stream, epoch, _) = attach(&client, "").await;
    assert_eq!(batch(&mut stream).await, [0]);
    let error = acknowledge(&client, epoch, 2).await.unwrap_err();
    assert_eq!((error.code, error.reason.as_str()), (Code::OutOfRange, "ACK_BEYOND_DELIVERED"));
    assert_eq!(error.metadata["delivered_next_seq"], "1");
    drop((stream, client));
    server.stop().await;
}

#[tokio::test]
async fn a_subscription_in_use_is_neither_moved_nor_deleted() {
    let (_directory, server, client) = fresh().await;
    write(&client, publish("a", "one")).await;
    create(&client, Position::Now(true)).await;
    let (stream, _, begins) = attach(&client, "indexer").await;
    assert_eq!(begins, 1);
    let mut feed = client.feed.clone();
    let seek = pb::SeekSubscriptionRequest {
        name: NAME.into(),
        start: Some(start(Position::Beginning(true))),
        ..Default::default()
    };
    let delete = pb::DeleteSubscriptionRequest { name: NAME.into(), ..Default::default() };
    let error = ServerError::from(feed.seek_subscription(seek.clone()).await.unwrap_err());
    assert_eq!((error.code, error.reason.as_str()), (Code::FailedPrecondition, "SUBSCRIPTION_IN_USE"));
    let error = ServerError::from(feed.delete_subscription(delete.clone()).await.unwrap_err());
    assert_eq!((error.reason.as_str(), error.metadata["consumer"].as_str()), ("SUBSCRIPTION_IN_USE", "indexer"));
    drop(stream);
    // The server notices after a while that the consumer has disconnected.
    while get(&client).await.consumer.unwrap().attached {
        tokio::task::yield_now().await;
    }
    let moved = feed.seek_subscription(seek).await.unwrap().into_inner().subscription.unwrap();
    assert_eq!((moved.next_seq, moved.lag_changes), (0, 1));
    let list = pb::ListSubscriptionsRequest::default();
    assert_eq!(feed.list_subscriptions(list.clone()).await.unwrap().into_inner().subscriptions.len(), 1);
    feed.delete_subscription(delete).await.unwrap();
    assert_eq!(feed.list_subscriptions(list).await.unwrap().into_inner().subscriptions, []);
    drop((feed, client));
    server.stop().await;
}

#[tokio::test]
async fn a_subscription_keeps_its_filter() {
    let (_directory, server, client) = fresh().await;
    write(&client, publish("a", "one")).await;
    write(&client, publish("b", "one")).await;
    let filter = pb::ArticleFilter {
        articles: vec![crate::server::name("b")],
        url_prefix: String::new(),
        ..pb::ArticleFilter::default()
    };
    let kinds = vec![pb::ChangeKind::Created.into()];
    let request = pb::CreateSubscriptionRequest {
        subscription_id: "index".into(),
        subscription: Some(pb::Subscription {
            filter: Some(filter.clone()),
            kinds: kinds.clone(),
            ..pb::Subscription::default()
        }),
        start: Some(start(Position::Beginning(true))),
    };
    client.feed.clone().create_subscription(request).await.unwrap();
    let kept = get(&client).await;
    assert_eq!((kept.filter, kept.kinds), (Some(filter), kinds));
    let (mut stream, ..) = attach(&client, "").await;
    assert_eq!(batch(&mut stream).await, [1]);
    drop((stream, client));
    server.stop().await;
}
