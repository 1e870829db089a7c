//! A client that follows the feed also checks that the log is only added to, from one process to the next.

use std::path::Path;

use dateline::internals::client::{Client, Followed, ServerError, TrustedLog};
use dateline::internals::proof::VerifierKey;
use dateline::internals::wire::pb;
use pb::feed_start::Position;
use tempfile::TempDir;

use crate::proofs::{key, record, signing};
use crate::server::{TestServer, fresh, publish};

/// Follows the log from the beginning until it is caught up. Returns the number of changes, and what is trusted then.
async fn follow(client: &Client, log: TrustedLog) -> Result<(usize, TrustedLog), ServerError> {
    let start = Some(pb::FeedStart { position: Some(Position::Beginning(true)) });
    let request = pb::SubscribeRequest { start, end_when_caught_up: true, ..pb::SubscribeRequest::default() };
    let mut following = client.follow_checked(request, log);
    let mut changes = 0;
    while let Some(event) = following.next().await {
        changes += usize::from(matches!(event?, Followed::Change(_)));
    }
    Ok((changes, following.trusted().unwrap().clone()))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target)
        } else {
            drop(std::fs::copy(entry.path(), target))
        }
    }
}

async fn stop(server: TestServer, client: Client) {
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_log_is_followed_across_restarts_and_one_that_was_rewritten_is_refused() {
    let (directory, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (server, mut client) = signing(directory.path()).await;
    record(&mut client, 300).await;
    let key: VerifierKey = key(&mut client).await;
    let (changes, trusted) = follow(&client, TrustedLog::new(key.clone())).await.unwrap();
    assert_eq!((changes, trusted.size()), (300, 300));
    stop(server, client).await;
    copy(directory.path(), other.path());

    // What was kept is enough to continue.
    let kept = trusted.note().unwrap();
    let (server, mut client) = signing(directory.path()).await;
    record(&mut client, 20).await;
    let since = || TrustedLog::since(key.clone(), &kept).unwrap();
    let (changes, later) = follow(&client, since()).await.unwrap();
    assert_eq!((changes, later.size()), (320, 320));
    stop(server, client).await;

    // The copy signs with the same key, and continues the log to 300 in another way.
    let (server, mut client) = signing(other.path()).await;
    assert_eq!(follow(&client, since()).await.unwrap().1.size(), 300);
    let shorter = follow(&client, later.clone()).await.unwrap_err();
    assert_eq!(shorter.reason, "HISTORY_DIVERGED");
    for number in 0..30 {
        client.archive.record_observation(publish("b", &format!("Another text {number}."))).await.unwrap();
    }
    let diverged = follow(&client, later).await.unwrap_err();
    assert_eq!(diverged.reason, "HISTORY_DIVERGED");
    assert!(diverged.message.contains("does not continue the one with 320 changes"), "{}", diverged.message);
    assert_eq!(follow(&client, since()).await.unwrap().1.size(), 330);
    stop(server, client).await;
}

#[tokio::test]
async fn a_server_without_a_key_cannot_be_checked() {
    let (directory, (_other, _keyless, keyless)) = (TempDir::new().unwrap(), fresh().await);
    let (_server, mut client) = signing(directory.path()).await;
    let log = TrustedLog::new(key(&mut client).await);
    assert_eq!(follow(&keyless, log).await.unwrap_err().reason, "LOG_KEY_MISSING");
}
