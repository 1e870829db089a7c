//! What is sent: every change, in order, once it is accepted never again.

use std::time::Duration;

use dateline::internals::client::ServerError;
use dateline::internals::wire::pb;

use super::receiver::{Manner, Receiver};
use super::{NAME, SHORT, Sending, Setup, creation, sending_to, timestamp};
use crate::server::publish;

#[tokio::test]
async fn every_change_is_sent_in_order_and_once() {
    let receiver = Receiver::new(&[]).await;
    let (_directory, mut sending) = sending_to(&receiver, Setup::default()).await;
    sending.record(60).await;
    let subscription = sending.once_caught_up().await;
    let received = receiver.so_far();
    let seqs: Vec<_> = received.iter().flat_map(super::receiver::Received::seqs).collect();
    assert_eq!(seqs, (0..60).collect::<Vec<_>>());
    let webhook = subscription.webhook.unwrap();
    assert_eq!((webhook.state(), webhook.failed_attempts, webhook.error.as_str()), (pb::WebhookState::Active, 0, ""));
    assert!(webhook.attempt_time.is_some() && webhook.next_attempt_time.is_none());
    for message in &received {
        assert!((1..=100).contains(&message.seqs().len()) && message.path == "/hook");
        assert_eq!(message.header("content-type"), "application/json");
        assert!(message.is_signed_by(&webhook.keys[0].public_key) && message.signature_count() == 1);
        let json = message.json();
        assert_eq!((&json["type"], &json["data"]["subscription"]), (&"dateline.changes".into(), &NAME.into()));
        assert_eq!(json["timestamp"], json["data"]["changes"][message.seqs().len() - 1]["archiveTime"]);
        let next_seq: u64 = json["data"]["nextSeq"].as_str().unwrap().parse().unwrap();
        assert_eq!(next_seq, message.seqs().last().unwrap() + 1);
    }
    sending.stop().await;
}

/// A receiver that was down is sent what has gathered, as few messages.
#[tokio::test]
async fn what_has_gathered_is_sent_by_hundreds() {
    let receiver = Receiver::new(&[]).await;
    let directory = tempfile::TempDir::new().unwrap();
    let mut sending = Sending::new(directory.path(), Setup::default()).await;
    sending.record(230).await;
    sending.create(&receiver.url).await;
    sending.once_caught_up().await;
    let counts: Vec<_> = receiver.so_far().iter().map(|message| message.seqs().len()).collect();
    assert_eq!(counts, [100, 100, 30]);
    sending.stop().await;
}

#[tokio::test]
async fn a_message_that_was_not_accepted_is_repeated_as_it_was() {
    let receiver = Receiver::new(&[Manner::Status(500)]).await;
    let (_directory, mut sending) = sending_to(&receiver, Setup::default()).await;
    sending.record(1).await;
    let failed = sending.once_webhook(|webhook| webhook.failed_attempts == 1).await;
    assert_eq!(failed.error, "the receiver replied 500 Internal Server Error");
    let wait = timestamp(failed.next_attempt_time.as_ref()).micros_since(timestamp(failed.attempt_time.as_ref()));
    assert!((5_000_000..=5_500_000).contains(&wait), "{wait}");
    // What is recorded meanwhile waits for its turn. With it, the message would be another one under the same id, and a
    // receiver that has dealt with the first would ignore it.
    sending.record(2).await;
    sending.pass(Duration::from_secs(4));
    assert_eq!(receiver.so_far().len(), 1);
    sending.pass(Duration::from_secs(2));
    sending.once_caught_up().await;
    let received = receiver.so_far();
    assert_eq!((received[0].id(), &received[0].body), (received[1].id(), &received[1].body));
    assert_ne!(received[0].header("webhook-timestamp"), received[1].header("webhook-timestamp"));
    let rest: Vec<_> = received[2..].iter().flat_map(super::receiver::Received::seqs).collect();
    assert_eq!((received[0].seqs(), rest), (vec![0], vec![1, 2]));
    let webhook = sending.webhook().await;
    assert_eq!((webhook.failed_attempts, webhook.error.as_str(), webhook.next_attempt_time), (0, "", None));
    sending.stop().await;
}

#[tokio::test]
async fn a_restart_continues_with_the_message_that_was_not_accepted() {
    let receiver = Receiver::new(&[Manner::Status(200), Manner::Status(503)]).await;
    let (directory, mut sending) = sending_to(&receiver, Setup::default()).await;
    sending.record(1).await;
    sending.once_caught_up().await;
    sending.record(1).await;
    let failed = sending.once_webhook(|webhook| webhook.failed_attempts == 1).await;
    let clock = sending.stop().await;
    // Nothing is sent before its time, even by another server.
    let mut sending = Sending::new(directory.path(), Setup { clock, ..Setup::default() }).await;
    sending.record(1).await;
    let webhook = sending.webhook().await;
    assert_eq!((webhook.next_attempt_time, webhook.failed_attempts), (failed.next_attempt_time, 1));
    assert_eq!(receiver.so_far().len(), 2);
    sending.pass(Duration::from_secs(6));
    sending.once_caught_up().await;
    let received = receiver.so_far();
    let seqs: Vec<_> = received.iter().map(super::receiver::Received::seqs).collect();
    assert_eq!(seqs, [vec![0], vec![1], vec![1], vec![2]]);
    assert_eq!(received[1].id(), received[2].id());
    sending.stop().await;
}

/// The server ends while a message is on its way. The receiver has it, and recognises it by its id when it comes again.
#[tokio::test]
async fn a_message_that_was_on_its_way_at_the_end_comes_again_under_the_same_id() {
    let receiver = Receiver::new(&[Manner::Silent]).await;
    let (directory, mut sending) = sending_to(&receiver, Setup::default()).await;
    sending.record(1).await;
    receiver.once(1).await;
    let clock = sending.stop().await;
    let mut sending = Sending::new(directory.path(), Setup { clock, ..Setup::default() }).await;
    sending.once_caught_up().await;
    let received = receiver.so_far();
    assert_eq!((received.len(), received[0].id()), (2, received[1].id()));
    sending.stop().await;
}

#[tokio::test]
async fn a_receiver_that_is_slow_delays_no_other_webhook() {
    let (slow, fast) = (Receiver::new(&[Manner::Silent; 3]).await, Receiver::new(&[]).await);
    let (_directory, mut sending) = sending_to(&slow, Setup::default()).await;
    let webhook = pb::Webhook { url: fast.url.clone(), ..pb::Webhook::default() };
    sending.client.feed.create_subscription(creation("fast", webhook)).await.unwrap();
    sending.record(1).await;
    slow.once(1).await;
    sending.record(20).await;
    let mut count = 0;
    while fast.so_far().iter().flat_map(super::receiver::Received::seqs).count() < 21 {
        count += 1;
        fast.once(count).await;
    }
    assert_eq!(slow.so_far().len(), 1, "one message is on its way at a time");
    sending.stop().await;
}

#[tokio::test]
async fn moving_a_webhook_back_sends_the_changes_again() {
    let receiver = Receiver::new(&[]).await;
    let (_directory, mut sending) = sending_to(&receiver, Setup::default()).await;
    sending.record(3).await;
    sending.once_caught_up().await;
    let before = receiver.so_far().len();
    sending.seek(1).await;
    sending.once_caught_up().await;
    let again: Vec<_> = receiver.so_far()[before..].iter().flat_map(super::receiver::Received::seqs).collect();
    assert_eq!(again, [1, 2]);
    sending.stop().await;
}

/// A subscription to what is rare does not fall behind the log.
#[tokio::test]
async fn changes_that_do_not_match_are_acknowledged_too() {
    let receiver = Receiver::new(&[]).await;
    let directory = tempfile::TempDir::new().unwrap();
    let mut sending = Sending::new(directory.path(), Setup::default()).await;
    let webhook = pb::Webhook { url: receiver.url.clone(), ..pb::Webhook::default() };
    let mut request = creation("index", webhook);
    let filter = pb::ArticleFilter { sources: vec!["sources/rare".to_owned()], ..Default::default() };
    request.subscription.as_mut().unwrap().filter = Some(filter);
    sending.client.feed.create_subscription(request).await.unwrap();
    sending.record(10).await;
    let subscription = sending.once_caught_up().await;
    assert_eq!((subscription.next_seq, subscription.webhook.unwrap().attempt_time), (10, None));
    let rare = pb::RecordObservationRequest { parent: "sources/rare".to_owned(), ..publish("a", "text") };
    sending.client.archive.record_observation(rare).await.unwrap();
    assert_eq!(receiver.once(1).await[0].seqs(), [10]);
    sending.once_caught_up().await;
    sending.stop().await;
}

/// A body of more than 1 MiB is more than many receivers accept.
#[tokio::test]
async fn a_change_that_is_too_large_is_sent_without_its_text() {
    let receiver = Receiver::new(&[]).await;
    let directory = tempfile::TempDir::new().unwrap();
    let mut sending = Sending::new(directory.path(), Setup::default()).await;
    let webhook = pb::Webhook { url: receiver.url.clone(), view: pb::FeedView::Full.into(), ..Default::default() };
    // Each character takes two in JSON.
    let text = "\"".repeat(600_000);
    for (id, text) in [("small", "text"), ("large", text.as_str()), ("last", "text")] {
        sending.client.archive.record_observation(publish(id, text)).await.unwrap();
    }
    sending.create_with(webhook).await.unwrap();
    sending.once_caught_up().await;
    let received = receiver.so_far();
    let messages: Vec<_> = received.iter().map(|message| (message.json(), message.seqs())).collect();
    let has_text =
        |message: &serde_json::Value| message["data"]["changes"][0]["revision"]["content"]["blocks"].is_array();
    let shown: Vec<_> = messages
        .iter()
        .map(|(json, seqs)| (json["data"]["view"].as_str().unwrap(), has_text(json), &seqs[..]))
        .collect();
    let full = "FEED_VIEW_FULL";
    assert_eq!(shown, [(full, true, &[0][..]), ("FEED_VIEW_BASIC", false, &[1]), (full, true, &[2])]);
    assert!(received.iter().all(|message| message.body.len() <= 1 << 20));
    sending.stop().await;
}

#[tokio::test]
async fn a_test_event_is_sent_at_once_and_changes_nothing() {
    let receiver = Receiver::new(&[Manner::Status(204), Manner::Status(403), Manner::Silent]).await;
    let (_directory, mut sending) = sending_to(&receiver, Setup::within(SHORT)).await;
    let before = sending.webhook().await;
    let tested = sending.test().await.unwrap();
    assert_eq!((tested.http_status, tested.error.as_str()), (204, ""));
    let message = &receiver.once(1).await[0];
    assert_eq!((&message.json()["type"], message.seqs()), (&"dateline.test".into(), Vec::new()));
    assert!(message.is_signed_by(&before.keys[0].public_key));
    // Also while the webhook is paused, so that its owner can see whether it works again.
    sending.set_state(pb::WebhookState::Paused).await.unwrap();
    let tested = sending.test().await.unwrap();
    assert_eq!(tested.http_status, 403);
    assert!(tested.error.contains("403 Forbidden: check that it verifies"), "{}", tested.error);
    let tested = sending.test().await.unwrap();
    assert_eq!((tested.http_status, tested.error.as_str()), (0, "there was no answer within 300ms"));
    let after = sending.webhook().await;
    assert_eq!(after, pb::Webhook { state: pb::WebhookState::Paused.into(), ..before });
    sending.stop().await;
}

/// The server is the consumer of a webhook, so no other one may take its changes.
#[tokio::test]
async fn nobody_else_can_attach_to_a_webhook() {
    let receiver = Receiver::new(&[]).await;
    let (_directory, mut sending) = sending_to(&receiver, Setup::default()).await;
    let request = pb::SubscribeRequest { subscription: NAME.to_owned(), ..pb::SubscribeRequest::default() };
    let refused = ServerError::from(sending.client.feed.subscribe(request).await.unwrap_err());
    assert_eq!(refused.reason, "SUBSCRIPTION_HAS_WEBHOOK");
    // And what is about a webhook needs one.
    let request = pb::CreateSubscriptionRequest { subscription_id: "plain".to_owned(), ..Default::default() };
    sending.client.feed.create_subscription(request).await.unwrap();
    let name = "subscriptions/plain".to_owned();
    let test = sending.client.feed.test_webhook(pb::TestWebhookRequest { name: name.clone() }).await.unwrap_err();
    let rotate = pb::RotateWebhookKeyRequest { name, overlap: None };
    let rotate = sending.client.feed.rotate_webhook_key(rotate).await.unwrap_err();
    for refused in [test, rotate].map(ServerError::from) {
        assert_eq!(refused.reason, "WEBHOOK_UNKNOWN");
    }
    sending.stop().await;
}
