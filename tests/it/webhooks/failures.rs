//! What follows when a receiver does not accept a message.

use std::time::Duration;

use dateline::internals::server::WebhookUrls;
use dateline::internals::wire::pb;
use tempfile::TempDir;

use super::receiver::{Manner, Receiver};
use super::{SHORT, Sending, Setup, sending_to, timestamp};
use crate::fetch::web::Web;

const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test]
async fn a_webhook_pauses_when_all_attempts_have_failed_and_is_resumed() {
    let receiver = Receiver::new(&[Manner::Status(500); 10]).await;
    let (directory, mut sending) = sending_to(&receiver, Setup::default()).await;
    sending.record(1).await;
    for attempts in 1..10 {
        let failed = sending.once_webhook(|webhook| webhook.failed_attempts == attempts).await;
        assert_eq!(failed.state(), pb::WebhookState::Active);
        sending.pass(27 * HOUR);
    }
    let paused = sending.once_webhook(|webhook| webhook.state() == pb::WebhookState::Paused).await;
    let expected = "10 attempts failed, and at the last the receiver replied 500 Internal Server Error";
    assert_eq!((paused.error.as_str(), paused.next_attempt_time), (expected, None));
    let status = sending.client.admin.get_status(pb::GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.webhook_count, status.stopped_webhook_count), (1, 1));

    // A restart does not resume it.
    let clock = sending.stop().await;
    let mut sending = Sending::new(directory.path(), Setup { clock, ..Setup::default() }).await;
    sending.record(1).await;
    assert_eq!(sending.webhook().await, paused);
    let resumed = sending.set_state(pb::WebhookState::Active).await.unwrap();
    assert_eq!((resumed.state(), resumed.failed_attempts), (pb::WebhookState::Active, 0));
    sending.once_caught_up().await;
    let received = receiver.so_far();
    assert_eq!(received.iter().map(super::receiver::Received::seqs).collect::<Vec<_>>().last().unwrap(), &[1]);
    assert!(received[..11].iter().all(|message| message.id() == received[0].id()), "one message, eleven times");
    sending.stop().await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_disables_its_webhook() {
    let receiver = Receiver::new(&[Manner::Status(410)]).await;
    let (_directory, mut sending) = sending_to(&receiver, Setup::default()).await;
    sending.record(1).await;
    let disabled = sending.once_webhook(|webhook| webhook.state() == pb::WebhookState::Disabled).await;
    assert!(disabled.error.contains("410 Gone: it wants no more messages"), "{}", disabled.error);
    sending.pass(48 * HOUR);
    sending.record(1).await;
    assert_eq!(sending.webhook().await, disabled);
    assert_eq!(receiver.so_far().len(), 1);
    sending.set_state(pb::WebhookState::Active).await.unwrap();
    sending.once_caught_up().await;
    sending.stop().await;
}

#[tokio::test]
async fn a_receiver_may_ask_for_more_time() {
    let receiver = Receiver::new(&[Manner::RetryAfter(429, 120)]).await;
    let (_directory, mut sending) = sending_to(&receiver, Setup::default()).await;
    sending.record(1).await;
    let failed = sending.once_webhook(|webhook| webhook.failed_attempts == 1).await;
    let wait = timestamp(failed.next_attempt_time.as_ref()).micros_since(timestamp(failed.attempt_time.as_ref()));
    assert_eq!(wait, 120_000_000);
    sending.pass(Duration::from_secs(121));
    sending.once_caught_up().await;
    assert_eq!(receiver.so_far().len(), 2);
    sending.stop().await;
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_not_followed() {
    let receiver = Receiver::new(&[Manner::Redirect]).await;
    let (_directory, mut sending) = sending_to(&receiver, Setup::default()).await;
    sending.record(1).await;
    let failed = sending.once_webhook(|webhook| webhook.failed_attempts == 1).await;
    assert!(failed.error.contains("307 Temporary Redirect: redirects are not followed"), "{}", failed.error);
    sending.pass(Duration::from_secs(6));
    sending.once_caught_up().await;
    assert!(receiver.so_far().iter().all(|message| message.path == "/hook"));
    sending.stop().await;
}

#[tokio::test]
async fn a_reply_that_does_not_arrive_in_time_or_never_ends_is_a_failure() {
    for (manner, expected) in [
        (Manner::Silent, "there was no answer within 300ms"),
        (Manner::HalfAHead, "there was no answer within 300ms"),
        (Manner::EndlessHead, "not valid HTTP"),
    ] {
        let receiver = Receiver::new(&[manner]).await;
        let (_directory, mut sending) = sending_to(&receiver, Setup::within(SHORT)).await;
        sending.record(1).await;
        let failed = sending.once_webhook(|webhook| webhook.failed_attempts == 1).await;
        assert!(failed.error.contains(expected), "{manner:?}: {}", failed.error);
        sending.stop().await;
    }
}

/// The status says all. How long the body is, and how slowly it arrives, is of no interest.
#[tokio::test]
async fn the_body_of_a_reply_is_not_waited_for() {
    for manner in [Manner::EndlessBody, Manner::NoBody] {
        let receiver = Receiver::new(&[manner]).await;
        let (_directory, mut sending) = sending_to(&receiver, Setup::default()).await;
        sending.record(1).await;
        sending.once_caught_up().await;
        assert_eq!(receiver.so_far().len(), 1, "{manner:?}");
        sending.stop().await;
    }
}

#[tokio::test]
async fn nothing_is_sent_to_an_address_that_is_not_public() {
    let web = Web::new();
    web.name("inside.example", &["10.0.0.7"]);
    for (url, host) in [
        ("https://inside.example/hook", "inside.example is at 10.0.0.7"),
        ("https://127.0.0.1/hook", "127.0.0.1 is at 127.0.0.1"),
        ("https://[fd00::1]/hook", "fd00::1 is at fd00::1"),
        ("https://localhost/hook", "localhost is at 127.0.0.1"),
    ] {
        let directory = TempDir::new().unwrap();
        let mut setup = Setup { urls: WebhookUrls::Https, ..Setup::default() };
        setup.options.fetch.network = web.clone();
        let mut sending = Sending::new(directory.path(), setup).await;
        sending.create(url).await;
        sending.record(1).await;
        let failed = sending.once_webhook(|webhook| webhook.failed_attempts == 1).await;
        assert!(
            failed.error.starts_with(host) && failed.error.contains("not on the public internet"),
            "{}",
            failed.error
        );
        let tested = sending.test().await.unwrap();
        assert_eq!((tested.http_status, tested.error), (0, failed.error));
        sending.stop().await;
    }
    assert_eq!(web.connected(), [""; 0]);
}

/// A name server may say something else by the time of the next attempt.
#[tokio::test]
async fn a_name_that_moves_to_a_private_address_is_not_followed_there() {
    let web = Web::new();
    web.name("moving.example", &["9.9.9.9"]);
    let directory = TempDir::new().unwrap();
    let mut setup = Setup { urls: WebhookUrls::Https, ..Setup::default() };
    setup.options.fetch.network = web.clone();
    let mut sending = Sending::new(directory.path(), setup).await;
    sending.create("https://moving.example/hook").await;
    sending.record(1).await;
    let failed = sending.once_webhook(|webhook| webhook.failed_attempts == 1).await;
    assert!(failed.error.starts_with("no connection to moving.example"), "{}", failed.error);
    web.name("moving.example", &["127.0.0.1"]);
    sending.pass(Duration::from_secs(6));
    let failed = sending.once_webhook(|webhook| webhook.failed_attempts == 2).await;
    assert!(failed.error.contains("not on the public internet"), "{}", failed.error);
    assert_eq!(web.connected(), ["9.9.9.9:443"]);
    sending.stop().await;
}
