//! Keys: how they are made, changed and forgotten, and who sees them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use dateline::internals::client::ServerError;
use dateline::internals::server;
use dateline::internals::wire::pb;
use tempfile::TempDir;

use super::receiver::Receiver;
use super::{NAME, Sending, Setup, creation, sending_to};
use crate::server::TestServer;

fn hmac(url: &str) -> pb::Webhook {
    let scheme = pb::WebhookScheme::HmacSha256.into();
    pb::Webhook { url: url.to_owned(), scheme, ..pb::Webhook::default() }
}

async fn rotate(sending: &mut Sending, overlap: Option<i64>) -> pb::RotateWebhookKeyResponse {
    let overlap = overlap.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
    let request = pb::RotateWebhookKeyRequest { name: NAME.to_owned(), overlap };
    sending.client.feed.rotate_webhook_key(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn old_and_new_keys_sign_until_the_old_one_ends() {
    let receiver = Receiver::new(&[]).await;
    let (_directory, mut sending) = sending_to(&receiver, Setup::default()).await;
    let old = sending.webhook().await.keys[0].public_key.clone();
    let rotated = rotate(&mut sending, Some(3_600)).await;
    assert_eq!(rotated.webhook_secret, "", "a private key never leaves the server");
    let keys = rotated.subscription.unwrap().webhook.unwrap().keys;
    let new = keys[0].public_key.clone();
    assert_eq!((keys.len(), &keys[1].public_key, keys[0].expire_time.is_some()), (2, &old, false));
    assert!(keys[1].expire_time.is_some() && new != old);

    sending.record(1).await;
    let message = receiver.once(1).await.remove(0);
    assert!(message.is_signed_by(&old) && message.is_signed_by(&new) && message.signature_count() == 2);
    sending.pass(Duration::from_secs(3_600));
    sending.record(1).await;
    let message = receiver.once(2).await.remove(1);
    assert!(!message.is_signed_by(&old) && message.is_signed_by(&new) && message.signature_count() == 1);
    // A key that others may have ends at once.
    rotate(&mut sending, Some(0)).await;
    sending.record(1).await;
    let message = receiver.once(3).await.remove(2);
    assert!(!message.is_signed_by(&new) && message.signature_count() == 1);
    // There are never more than four.
    for _ in 0..5 {
        rotate(&mut sending, None).await;
    }
    assert_eq!(sending.webhook().await.keys.len(), 4);
    sending.stop().await;
}

#[tokio::test]
async fn a_secret_is_shown_once_to_whoever_creates_or_rotates_it() {
    let receiver = Receiver::new(&[]).await;
    let directory = TempDir::new().unwrap();
    let mut sending = Sending::new(directory.path(), Setup::default()).await;
    let created = sending.create_with(hmac(&receiver.url)).await.unwrap();
    let secret = created.webhook_secret;
    assert!(secret.starts_with("whsec_"));
    let webhook = sending.webhook().await;
    assert_eq!((webhook.keys.len(), webhook.keys[0].public_key.as_str()), (1, ""));
    sending.record(1).await;
    assert!(receiver.once(1).await[0].is_signed_by(&secret));
    // The reply to the creation may have been lost.
    let again = sending.create_with(hmac(&receiver.url)).await.unwrap();
    assert_eq!(again.webhook_secret, secret);
    let other = sending.create_with(hmac("http://127.0.0.1:1/")).await.unwrap_err();
    assert_eq!(other.reason, "SUBSCRIPTION_EXISTS");
    let rotated = rotate(&mut sending, None).await.webhook_secret;
    assert!(rotated.starts_with("whsec_") && rotated != secret);
    sending.record(1).await;
    let message = receiver.once(2).await.remove(1);
    assert!(message.is_signed_by(&secret) && message.is_signed_by(&rotated));
    sending.stop().await;
}

#[tokio::test]
async fn keys_are_in_a_file_of_their_own_as_long_as_their_webhook() {
    let receiver = Receiver::new(&[]).await;
    let directory = TempDir::new().unwrap();
    let mut sending = Sending::new(directory.path(), Setup::default()).await;
    let secret = sending.create_with(hmac(&receiver.url)).await.unwrap().webhook_secret;
    let file = directory.path().join("webhook-keys.toml");
    assert!(fs::read_to_string(&file).unwrap().contains(&secret));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let request = pb::DeleteSubscriptionRequest { name: NAME.to_owned(), ..Default::default() };
    sending.client.feed.delete_subscription(request).await.unwrap();
    assert!(!fs::read_to_string(&file).unwrap().contains("whsec_"));
    // Another webhook of the same name has another key, and other ids.
    sending.record(1).await;
    let created = sending.create_with(hmac(&receiver.url)).await.unwrap();
    assert_ne!(created.webhook_secret, secret);
    receiver.once(1).await;
    sending.stop().await;
}

/// As after a restore: backups have no keys.
#[tokio::test]
async fn a_webhook_without_its_key_pauses_until_it_has_another() {
    let receiver = Receiver::new(&[]).await;
    let (directory, mut sending) = sending_to(&receiver, Setup::default()).await;
    sending.record(1).await;
    sending.once_caught_up().await;
    let clock = sending.stop().await;
    fs::remove_file(directory.path().join("webhook-keys.toml")).unwrap();
    let mut sending = Sending::new(directory.path(), Setup { clock, ..Setup::default() }).await;
    sending.record(1).await;
    let paused = sending.once_webhook(|webhook| webhook.state() == pb::WebhookState::Paused).await;
    assert!(paused.error.contains("its signing key is missing"), "{}", paused.error);
    let keys = rotate(&mut sending, None).await.subscription.unwrap().webhook.unwrap().keys;
    sending.set_state(pb::WebhookState::Active).await.unwrap();
    let message = receiver.once(2).await.remove(1);
    assert!(message.is_signed_by(&keys[0].public_key) && message.seqs() == [1]);
    sending.stop().await;
}

#[tokio::test]
async fn a_webhook_needs_a_url_that_can_be_sent_to() {
    let directory = TempDir::new().unwrap();
    let setup = Setup { urls: server::WebhookUrls::Https, ..Setup::default() };
    let mut sending = Sending::new(directory.path(), setup).await;
    for (url, problem) in [
        ("", "is missing"),
        ("hook", "is not a URL"),
        ("http://example.org/hook", "must begin with https"),
        ("ftp://example.org/hook", "must begin with https"),
        ("https://user:secret@example.org/hook", "must not have a user name or password"),
        ("https://example.org/hook#part", "must not have a fragment"),
        (&format!("https://example.org/{}", "x".repeat(2_048)), "at most 2048 are allowed"),
    ] {
        let refused = sending.create_with(pb::Webhook { url: url.to_owned(), ..Default::default() }).await.unwrap_err();
        let [field] = &refused.field_violations[..] else { panic!("{refused:?}") };
        assert_eq!((refused.reason.as_str(), field.field.as_str()), ("FIELD_INVALID", "subscription.webhook.url"));
        assert!(field.description.contains(problem), "{url}: {}", field.description);
    }
    sending.create("https://example.org/hook").await;
    let refused = sending.set_state(pb::WebhookState::Disabled).await.unwrap_err();
    assert_eq!(
        (refused.reason.as_str(), refused.field_violations[0].field.as_str()),
        ("FIELD_INVALID", "subscription.webhook.state")
    );
    sending.stop().await;
}

/// A program that embeds the services sends nothing, so it must not promise to.
#[tokio::test]
async fn a_webhook_needs_a_server_that_sends() {
    let directory = TempDir::new().unwrap();
    let server = TestServer::on_directory(directory.path()).await;
    let mut client = server.client().await;
    let webhook = pb::Webhook { url: "https://example.org/".to_owned(), ..pb::Webhook::default() };
    let refused = client.feed.create_subscription(creation("index", webhook)).await.unwrap_err();
    assert_eq!(ServerError::from(refused).reason, "WEBHOOKS_UNAVAILABLE");
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn an_archive_has_a_hundred_webhooks_at_most() {
    let directory = TempDir::new().unwrap();
    let mut sending = Sending::new(directory.path(), Setup::default()).await;
    let webhook = || pb::Webhook { url: "https://example.org/".to_owned(), ..pb::Webhook::default() };
    for number in 0..100 {
        sending.client.feed.create_subscription(creation(&format!("w{number}"), webhook())).await.unwrap();
    }
    let refused = sending.create_with(webhook()).await.unwrap_err();
    assert_eq!(refused.reason, "TOO_MANY_WEBHOOKS");
    let file = fs::read_to_string(directory.path().join("webhook-keys.toml")).unwrap();
    assert!(!file.contains("\"index\""), "the key of a webhook that was not created is forgotten");
    sending.stop().await;
}
