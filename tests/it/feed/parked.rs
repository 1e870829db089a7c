//! Parked changes, through a real server: a change that a consumer cannot process does not hold up the others.

use dateline::internals::client::{Client, ServerError};
use dateline::internals::wire::pb;
use dateline::internals::wire::pb::feed_start::Position;
use dateline::internals::wire::pb::subscribe_response::Event;
use tempfile::TempDir;
use tonic::{Code, Streaming};

use super::{next, start, write, write_batch};
use crate::server::{TestServer, fresh, name, publish};

const NAME: &str = "subscriptions/index";

async fn create(client: &Client, subscription: pb::Subscription) {
    let request = pb::CreateSubscriptionRequest {
        subscription_id: "index".into(),
        subscription: Some(subscription),
        start: Some(start(Position::Beginning(true))),
    };
    client.feed.clone().create_subscription(request).await.unwrap();
}

async fn get(client: &Client) -> pb::Subscription {
    let request = pb::GetSubscriptionRequest { name: NAME.into() };
    client.feed.clone().get_subscription(request).await.unwrap().into_inner().subscription.unwrap()
}

/// Attaches a consumer and receives the next changes. Returns its stream, its epoch and the changes.
async fn receive(client: &Client, view: pb::FeedView) -> (Streaming<pb::SubscribeResponse>, u64, Vec<pb::Change>) {
    let subscription = NAME.to_owned();
    let request = pb::SubscribeRequest { subscription, view: view.into(), ..pb::SubscribeRequest::default() };
    let mut stream = client.feed.clone().subscribe(request).await.unwrap().into_inner();
    let Event::Started(started) = next(&mut stream).await else { panic!("no Started") };
    let mut changes = Vec::new();
    loop {
        match next(&mut stream).await {
            Event::Delivery(delivery) => changes.extend(delivery.changes),
            Event::CaughtUp(_) => return (stream, started.epoch, changes),
            Event::Started(_) | Event::Bookmark(_) | Event::FellBehind(_) | Event::SnapshotEnd(_) => {}
        }
    }
}

/// Detaches a consumer, and waits until the server has noticed.
async fn leave(client: &Client, stream: Streaming<pb::SubscribeResponse>) {
    drop(stream);
    while get(client).await.consumer.unwrap().attached {
        tokio::task::yield_now().await;
    }
}

async fn park(client: &Client, epoch: u64, seq: u64, attempts: u32) -> Result<pb::Subscription, ServerError> {
    let reason = format!("{attempts} times in vain");
    let request = pb::ParkChangeRequest { name: NAME.into(), epoch, seq: Some(seq), reason, attempts };
    let parked = client.feed.clone().park_change(request).await.map_err(ServerError::from)?;
    Ok(parked.into_inner().subscription.unwrap())
}

async fn acknowledge(client: &Client, epoch: u64, next_seq: u64) -> u64 {
    let request = pb::AcknowledgeSubscriptionRequest { name: NAME.into(), epoch, next_seq };
    client.feed.clone().acknowledge_subscription(request).await.unwrap().into_inner().subscription.unwrap().next_seq
}

async fn parked(client: &Client, view: pb::FeedView) -> Vec<pb::ParkedChange> {
    let mut request =
        pb::ListParkedChangesRequest { name: NAME.into(), page_size: 2, view: view.into(), ..Default::default() };
    let mut all = Vec::new();
    loop {
        let page = client.feed.clone().list_parked_changes(request.clone()).await.unwrap().into_inner();
        assert!(page.parked_changes.len() <= 2);
        all.extend(page.parked_changes);
        if page.next_page_token.is_empty() {
            return all;
        }
        request.page_token = page.next_page_token;
    }
}

fn seqs(parked: &[pb::ParkedChange]) -> Vec<u64> {
    parked.iter().map(|parked| parked.change.as_ref().unwrap().seq).collect()
}

async fn resolve(client: &Client, seqs: &[u64]) -> u32 {
    let request = pb::ResolveParkedChangesRequest { name: NAME.into(), seqs: seqs.to_vec() };
    let resolved = client.feed.clone().resolve_parked_changes(request).await.unwrap();
    resolved.into_inner().subscription.unwrap().parked_count
}

#[tokio::test]
async fn a_change_that_cannot_be_processed_is_put_aside_until_it_is_dealt_with() {
    let directory = TempDir::new().unwrap();
    let server = TestServer::on_directory(directory.path()).await;
    let client = server.client().await;
    for text in ["one", "two", "three", "four"] {
        write(&client, publish("a", text)).await;
    }
    create(&client, pb::Subscription::default()).await;
    let (stream, epoch, changes) = receive(&client, pb::FeedView::Full).await;
    for seq in [2, 0, 3] {
        park(&client, epoch, seq, 1).await.unwrap();
    }
    let before = get(&client).await;
    assert_eq!((before.next_seq, before.parked_count), (0, 3), "parking acknowledges nothing");
    assert_eq!(acknowledge(&client, epoch, 4).await, 4);
    let listed = parked(&client, pb::FeedView::Full).await;
    assert_eq!(seqs(&listed), [0, 2, 3]);
    for parked in &listed {
        let change = parked.change.as_ref().unwrap();
        assert_eq!(*change, changes[usize::try_from(change.seq).unwrap()], "as it was delivered");
        assert_eq!((parked.attempts, parked.reason.as_str()), (1, "1 times in vain"));
    }
    let again = park(&client, epoch, 2, 5).await.unwrap();
    assert_eq!(again.parked_count, 3, "a change is parked once");
    let listed_again = parked(&client, pb::FeedView::Basic).await;
    assert_eq!((listed_again[1].attempts, listed_again[1].park_time), (5, listed[1].park_time));
    drop((stream, client));
    server.stop().await;

    let server = TestServer::on_directory(directory.path()).await;
    let client = server.client().await;
    assert_eq!(parked(&client, pb::FeedView::Basic).await, listed_again, "after a restart");
    assert_eq!(resolve(&client, &[0, 1, 3, 3, 99]).await, 1, "what is not parked is ignored");
    assert_eq!(resolve(&client, &[0, 1, 3, 3, 99]).await, 1);
    assert_eq!(seqs(&parked(&client, pb::FeedView::Basic).await), [2]);
    let seek = pb::SeekSubscriptionRequest {
        name: NAME.into(),
        start: Some(start(Position::Beginning(true))),
        ..Default::default()
    };
    client.feed.clone().seek_subscription(seek).await.unwrap();
    let (stream, ..) = receive(&client, pb::FeedView::Basic).await;
    assert_eq!(get(&client).await.parked_count, 1, "neither a move nor another delivery resolves it");
    leave(&client, stream).await;
    let delete = pb::DeleteSubscriptionRequest { name: NAME.into(), ..Default::default() };
    client.feed.clone().delete_subscription(delete).await.unwrap();
    create(&client, pb::Subscription::default()).await;
    assert_eq!(get(&client).await.parked_count, 0, "they go with the subscription");
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn only_what_was_delivered_under_the_epoch_can_be_parked() {
    let (_directory, server, client) = fresh().await;
    write(&client, publish("a", "one")).await;
    write(&client, publish("b", "one")).await;
    let filter = pb::ArticleFilter { articles: vec![name("b")], ..Default::default() };
    create(&client, pb::Subscription { filter: Some(filter), ..Default::default() }).await;
    let (stream, epoch, changes) = receive(&client, pb::FeedView::Basic).await;
    assert_eq!(changes.len(), 1);
    let refused = park(&client, epoch, 0, 1).await.unwrap_err();
    assert_eq!((refused.code, refused.reason.as_str()), (Code::InvalidArgument, "FIELD_INVALID"), "it was filtered");
    assert_eq!(refused.metadata["field"], "seq");
    let refused = park(&client, epoch, 2, 1).await.unwrap_err();
    assert_eq!((refused.code, refused.reason.as_str()), (Code::OutOfRange, "ACK_BEYOND_DELIVERED"));
    let fenced = park(&client, epoch - 1, 1, 1).await.unwrap_err();
    assert_eq!((fenced.code, fenced.reason.as_str()), (Code::Aborted, "CONSUMER_FENCED"));
    park(&client, epoch, 1, 0).await.unwrap();
    assert_eq!(parked(&client, pb::FeedView::Basic).await[0].attempts, 1, "the default");
    drop((stream, client));
    server.stop().await;
}

/// The flags of a change depend on the filter. A parked change keeps those with which it was delivered, although the
/// subscription's filter is then another one.
#[tokio::test]
async fn a_parked_change_is_listed_as_it_was_delivered_under_an_earlier_filter() {
    let (_directory, server, client) = fresh().await;
    write(&client, publish("a", "one")).await;
    write_batch(&client, vec![publish("b", "one"), publish("a", "two"), publish("c", "one")]).await;
    let withdraw = pb::WithdrawArticleRequest { name: name("a"), ..Default::default() };
    client.archive.clone().withdraw_article(withdraw).await.unwrap();
    let filter = pb::ArticleFilter {
        articles: vec![name("a")],
        states: vec![pb::ArticleState::Live.into()],
        ..Default::default()
    };
    create(&client, pb::Subscription { filter: Some(filter), ..Default::default() }).await;
    let (stream, epoch, changes) = receive(&client, pb::FeedView::Basic).await;
    let flags: Vec<_> = changes.iter().map(|change| (change.seq, change.left_filter, change.batch_end)).collect();
    assert_eq!(flags, [(0, false, true), (2, false, true), (4, true, true)]);
    for change in &changes {
        park(&client, epoch, change.seq, 1).await.unwrap();
    }
    leave(&client, stream).await;
    let update = pb::UpdateSubscriptionRequest {
        subscription: Some(pb::Subscription {
            name: NAME.into(),
            filter: Some(pb::ArticleFilter { articles: vec![name("c")], ..Default::default() }),
            ..Default::default()
        }),
        update_mask: None,
    };
    client.feed.clone().update_subscription(update).await.unwrap();
    let listed = parked(&client, pb::FeedView::Basic).await;
    assert_eq!(listed.into_iter().map(|parked| parked.change.unwrap()).collect::<Vec<_>>(), changes);
    let fenced = park(&client, epoch, 0, 1).await.unwrap_err();
    assert_eq!(fenced.reason, "CONSUMER_FENCED", "an update ends all epochs");
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn an_update_keeps_the_position_and_rejects_tokens_of_the_old_filter() {
    let (_directory, server, client) = fresh().await;
    for id in ["a", "b", "c"] {
        write(&client, publish(id, "one")).await;
    }
    let articles =
        |ids: &[&str]| pb::ArticleFilter { articles: ids.iter().copied().map(name).collect(), ..Default::default() };
    create(&client, pb::Subscription { filter: Some(articles(&["a", "b"])), ..Default::default() }).await;
    let (mut stream, epoch, _) = receive(&client, pb::FeedView::Basic).await;
    acknowledge(&client, epoch, 1).await;
    let before = get(&client).await;
    let update = |filter, kinds: &[pb::ChangeKind], paths: &[&str], etag: &str| pb::UpdateSubscriptionRequest {
        subscription: Some(pb::Subscription {
            name: NAME.into(),
            filter,
            kinds: kinds.iter().map(|kind| i32::from(*kind)).collect(),
            etag: etag.into(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
    };
    let mut feed = client.feed.clone();
    let change = update(Some(articles(&["b", "c"])), &[pb::ChangeKind::Created], &["filter"], &before.etag);
    let refused = ServerError::from(feed.update_subscription(change.clone()).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::FailedPrecondition, "SUBSCRIPTION_IN_USE"));
    write(&client, publish("b", "two")).await;
    let token = loop {
        if let Event::Delivery(delivery) = next(&mut stream).await {
            break delivery.bookmark.unwrap().resume_token;
        }
    };
    leave(&client, stream).await;
    let updated = feed.update_subscription(change.clone()).await.unwrap().into_inner().subscription.unwrap();
    assert_eq!((updated.next_seq, &updated.filter, updated.kinds.len()), (1, &Some(articles(&["b", "c"])), 0));
    assert_ne!(updated.etag, before.etag);
    let again = feed.update_subscription(change).await.unwrap().into_inner().subscription.unwrap();
    assert_eq!(again.etag, updated.etag, "an update that came again changes nothing");
    let stale = update(None, &[pb::ChangeKind::Created], &["*"], &before.etag);
    let refused = ServerError::from(feed.update_subscription(stale).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::Aborted, "SUBSCRIPTION_CONFLICT"));
    assert_eq!(refused.metadata["etag"], updated.etag);

    let request = pb::SubscribeRequest {
        subscription: NAME.into(),
        start: Some(start(Position::ResumeToken(token))),
        ..Default::default()
    };
    let refused = ServerError::from(feed.subscribe(request).await.unwrap_err());
    assert_eq!(refused.reason, "PAGE_TOKEN_MISMATCH");
    let (stream, _, changes) = receive(&client, pb::FeedView::Basic).await;
    assert_eq!(changes.iter().map(|change| change.seq).collect::<Vec<_>>(), [1, 2, 3], "from its position on");
    leave(&client, stream).await;

    let kinds = update(None, &[pb::ChangeKind::Revised], &["kinds"], "");
    let updated = feed.update_subscription(kinds).await.unwrap().into_inner().subscription.unwrap();
    assert_eq!((updated.filter.unwrap().articles.len(), updated.kinds.len()), (2, 1));
    let reset = update(None, &[], &["*"], &updated.etag);
    let reset = feed.update_subscription(reset).await.unwrap().into_inner().subscription.unwrap();
    assert_eq!((reset.filter.unwrap_or_default(), reset.kinds.len()), (pb::ArticleFilter::default(), 0));
    drop((feed, client));
    server.stop().await;
}

/// A reply is lost, and meanwhile another consumer attaches. Sending the request again must not end its epoch.
#[tokio::test]
async fn a_move_that_comes_again_does_not_end_a_newer_epoch() {
    let (_directory, server, client) = fresh().await;
    write(&client, publish("a", "one")).await;
    create(&client, pb::Subscription::default()).await;
    let mut feed = client.feed.clone();
    let seek = pb::SeekSubscriptionRequest {
        name: NAME.into(),
        start: Some(start(Position::Now(true))),
        request_id: "skip-to-the-end".into(),
        etag: get(&client).await.etag,
    };
    let moved = feed.seek_subscription(seek.clone()).await.unwrap().into_inner().subscription.unwrap();
    assert_eq!(moved.next_seq, 1);
    let (stream, epoch, _) = receive(&client, pb::FeedView::Basic).await;
    write(&client, publish("a", "two")).await;
    let again = feed.seek_subscription(seek.clone()).await.unwrap().into_inner().subscription.unwrap();
    assert_eq!((again.next_seq, again.consumer.unwrap().epoch), (1, epoch), "`now` is that of the first request");
    let other = pb::SeekSubscriptionRequest { start: Some(start(Position::Beginning(true))), ..seek.clone() };
    let refused = ServerError::from(feed.seek_subscription(other.clone()).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::FailedPrecondition, "REQUEST_ID_REUSED"));
    leave(&client, stream).await;
    let other = pb::SeekSubscriptionRequest { request_id: "back".into(), ..other };
    let refused = ServerError::from(feed.seek_subscription(other).await.unwrap_err());
    assert_eq!(refused.reason, "SUBSCRIPTION_CONFLICT", "a consumer has attached since");
    let delete = pb::DeleteSubscriptionRequest { name: NAME.into(), etag: seek.etag, allow_missing: true };
    let refused = ServerError::from(feed.delete_subscription(delete.clone()).await.unwrap_err());
    assert_eq!(refused.reason, "SUBSCRIPTION_CONFLICT");
    let delete = pb::DeleteSubscriptionRequest { etag: get(&client).await.etag, ..delete };
    feed.delete_subscription(delete.clone()).await.unwrap();
    feed.delete_subscription(delete).await.expect("it may be missing");
    drop((feed, client));
    server.stop().await;
}
