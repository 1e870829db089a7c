//! An older copy of the archive is restored. Everything after it is lost, and no feed continues from there silently:
//! neither while the log is shorter than the lost position, nor after it has grown past it again.

use std::path::Path;
use std::sync::Arc;

use dateline::internals::archive::Options;
use dateline::internals::archive::changefeed::FeedStart;
use dateline::internals::backup::Until;
use dateline::internals::client::{Client, ServerError};
use dateline::internals::clock::ManualClock;
use dateline::internals::wire::pb;
use pb::feed_start::Position;
use tempfile::TempDir;
use tokio::sync::watch;
use tonic::{Code, Status};

use crate::server::TestServer;
use crate::{backup, support};

use super::query::Query;
use super::recording::{Recording, SnapshotAt, Start, bookmark_of};
use super::subscriber::Subscriber;
use super::truth::Acknowledged;
use super::verdict;
use super::writer::{Progress, Writer};

const SEED: u64 = 11;

#[tokio::test(flavor = "multi_thread")]
async fn tokens_from_lost_changes_are_always_rejected() {
    lost_future(copy, copy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_behave_the_same_after_a_restore_from_a_backup() {
    lost_future(stream_backup, |backup, archive| {
        drop(backup::restore(&[backup.to_owned()], archive, Until::End).unwrap())
    })
    .await;
}

fn stream_backup(archive: &Path, folder: &Path) {
    let clock = Arc::new(ManualClock::new(support::now()));
    let archive = Arc::new(support::open_directory(archive, &Options::default(), &clock));
    let handle = tokio::runtime::Handle::current();
    let file = handle.block_on(backup::stream_backup(&archive, FeedStart::Beginning));
    handle.block_on(archive.close());
    backup::keep(&file, folder);
}

/// `save` copies an archive, and `put_back` creates it again from the copy.
async fn lost_future(save: fn(&Path, &Path), put_back: fn(&Path, &Path)) {
    let directory = TempDir::new().unwrap();
    let (archive, backup) = (directory.path().join("archive"), directory.path().join("backup"));
    let (mut acknowledged, past) = past(&archive).await;
    tokio::task::block_in_place(|| save(&archive, &backup));
    let (lost_tail, future) = future(&archive).await;
    std::fs::remove_dir_all(&archive).unwrap();
    tokio::task::block_in_place(|| put_back(&backup, &archive));

    let server = TestServer::on_directory(&archive).await;
    assert!(server.archive.tail().next_seq.0 < lost_tail);
    let client = server.client().await;
    assert_lost(&client, &tokens(&future)).await;
    assert_kept(&client, &tokens(&past)).await;
    let progress = Progress::new();
    let mut writer = Writer::new(client.clone(), progress.clone(), SEED, 3);
    while progress.tail() <= lost_tail {
        writer.step_large().await.unwrap();
    }
    assert_lost(&client, &tokens(&future)).await;
    assert_kept(&client, &tokens(&past)).await;

    let mut subscriber = subscriber(client, progress);
    subscriber.recording = past;
    subscriber.finish().await.unwrap();
    acknowledged.append(&mut writer.acknowledged);
    let recording = std::mem::take(&mut subscriber.recording);
    drop((writer, subscriber));
    server.stop().await;
    verdict::assert_faultless(SEED, acknowledged, vec![recording]).await;
}

/// What is kept: an archive, and what a subscriber received from it, with and without a snapshot.
async fn past(archive: &Path) -> (Vec<Acknowledged>, Recording) {
    let server = TestServer::on_directory(archive).await;
    let progress = Progress::new();
    let mut writer = Writer::new(server.client().await, progress.clone(), SEED, 1);
    writer.make_articles().await.unwrap();
    for _ in 0..40 {
        writer.step().await.unwrap();
    }
    let mut subscriber = subscriber(server.client().await, progress);
    for start in [Start::Snapshot(SnapshotAt::Newest), Start::Beginning] {
        receive(&mut subscriber, start).await;
    }
    let kept = (std::mem::take(&mut writer.acknowledged), std::mem::take(&mut subscriber.recording));
    drop((writer, subscriber));
    server.stop().await;
    kept
}

/// What is lost: later changes of the archive, and what a subscriber received of them.
async fn future(archive: &Path) -> (u64, Recording) {
    let server = TestServer::on_directory(archive).await;
    let progress = Progress::new();
    let mut writer = Writer::new(server.client().await, progress.clone(), SEED, 2);
    writer.step_large().await.unwrap();
    let mut subscriber = subscriber(server.client().await, progress.clone());
    for start in [Start::Now, Start::Snapshot(SnapshotAt::Newest)] {
        receive(&mut subscriber, start).await;
        writer.step_large().await.unwrap();
    }
    let lost = std::mem::take(&mut subscriber.recording);
    drop((writer, subscriber));
    server.stop().await;
    (progress.tail(), lost)
}

fn subscriber(client: Client, progress: Progress) -> Subscriber {
    Subscriber::new(client, progress, SEED, 0, Query::default(), Arc::new(watch::Sender::new(0)))
}

async fn receive(subscriber: &mut Subscriber, start: Start) {
    let mut joined = subscriber.join(start).await.unwrap();
    joined.until_caught_up().await.unwrap();
    subscriber.recording.sessions.push(joined.leave());
}

/// All tokens that a subscriber received.
fn tokens(recording: &Recording) -> Vec<String> {
    let events = recording.sessions.iter().flat_map(|session| &session.events);
    events.filter_map(bookmark_of).map(|bookmark| bookmark.resume_token.clone()).collect()
}

async fn assert_lost(client: &Client, tokens: &[String]) {
    for token in tokens {
        for (way, answer) in every_way(client, token).await {
            let refusal = ServerError::from(answer.expect_err(way));
            assert_eq!(
                (refusal.code, refusal.reason.as_str()),
                (Code::FailedPrecondition, "HISTORY_DIVERGED"),
                "{way}"
            );
        }
    }
}

async fn assert_kept(client: &Client, tokens: &[String]) {
    for token in tokens {
        client.feed.clone().subscribe(subscribe(token)).await.expect("the token is still valid");
    }
}

fn subscribe(token: &str) -> pb::SubscribeRequest {
    pb::SubscribeRequest { start: start(token), end_when_caught_up: true, ..pb::SubscribeRequest::default() }
}

fn start(token: &str) -> Option<pb::FeedStart> {
    Some(pb::FeedStart { position: Some(Position::ResumeToken(token.to_owned())) })
}

/// The outcome of a token in every request that takes one.
async fn every_way(client: &Client, token: &str) -> Vec<(&'static str, Result<(), Status>)> {
    let mut feed = client.feed.clone();
    let page = pb::ListChangesRequest { resume_token: token.to_owned(), ..pb::ListChangesRequest::default() };
    let page_from = pb::ListChangesRequest { start: start(token), ..pb::ListChangesRequest::default() };
    let create = pb::CreateSubscriptionRequest {
        subscription_id: "from-a-token".to_owned(),
        subscription: None,
        start: start(token),
    };
    vec![
        ("Subscribe", feed.subscribe(subscribe(token)).await.map(drop)),
        ("ListChanges with a page token", feed.list_changes(page).await.map(drop)),
        ("ListChanges with a start", feed.list_changes(page_from).await.map(drop)),
        ("CreateSubscription", feed.create_subscription(create).await.map(drop)),
    ]
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
