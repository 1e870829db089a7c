//! Snapshots, page tokens and subscriptions of an archive that was backed up, used with the one that was restored.
//! Resume tokens are in `tests/it/feed/restored.rs`.

use dateline::internals::backup::Until;
use dateline::internals::client::{Client, ServerError};
use dateline::internals::wire::pb;
use dateline::model::Seq;
use pb::feed_start::Position;
use pb::subscribe_response::Event;
use tempfile::TempDir;
use tonic::{Code, Streaming};

use super::{keep, restore, stream_backup};
use crate::server::{TestServer, publish};
use dateline::internals::archive::changefeed::FeedStart;

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_and_tokens_are_valid_up_to_the_restored_point_and_rejected_beyond_it() {
    let directory = TempDir::new().unwrap();
    let (archive, folder) = (directory.path().join("archive"), directory.path().join("backup"));
    let server = TestServer::on_directory(&archive).await;
    let client = server.client().await;
    for id in ["a", "b", "c"] {
        write(&client, id, "It was.").await;
    }
    let before = handed_out(&client).await;
    subscribe(&client, "index", Position::Seq(2)).await;
    for id in ["d", "e"] {
        write(&client, id, "It was later.").await;
    }
    subscribe(&client, "audit", Position::Now(true)).await;
    let beyond = handed_out(&client).await;
    keep(&stream_backup(&server.archive, FeedStart::Beginning).await, &folder);
    drop(client);
    server.stop().await;

    let into = directory.path().join("restored");
    let restored = restore(&[folder], &into, Until::Seq(Seq(3))).unwrap();
    let set_back: Vec<_> = restored.set_back.iter().map(|(id, from)| (id.as_str(), from.0)).collect();
    assert_eq!(set_back, [("audit", 5)]);
    let server = TestServer::on_directory(&into).await;
    let client = server.client().await;
    for (id, next_seq) in [("audit", 3), ("index", 2)] {
        let name = format!("subscriptions/{id}");
        let request = pb::GetSubscriptionRequest { name };
        let found = client.feed.clone().get_subscription(request).await.unwrap().into_inner().subscription.unwrap();
        assert_eq!(found.next_seq, next_seq, "{id}");
    }
    assert_validity(&client, &before, None).await;
    assert_validity(&client, &beyond, Some(if_shorter)).await;
    for number in 0..4 {
        write(&client, &format!("new-{number}"), "It is otherwise now.").await;
    }
    assert!(server.archive.tail().next_seq.0 > beyond.snapshot.next_seq);
    assert_validity(&client, &before, None).await;
    assert_validity(&client, &beyond, Some(diverged)).await;
    drop(client);
    server.stop().await;
}

/// A snapshot, and the token of a second page at that snapshot.
struct HandedOut {
    snapshot: pb::Snapshot,
    page_token: String,
}

async fn handed_out(client: &Client) -> HandedOut {
    let page = client.archive.clone().list_articles(list(String::new())).await.unwrap().into_inner();
    assert!(!page.next_page_token.is_empty());
    HandedOut { snapshot: page.snapshot.unwrap(), page_token: page.next_page_token }
}

fn list(page_token: String) -> pb::ListArticlesRequest {
    pb::ListArticlesRequest { parent: "sources/-".into(), page_size: 1, page_token, ..Default::default() }
}

type Refused = fn(&ServerError) -> bool;

fn diverged(error: &ServerError) -> bool {
    (error.code, error.reason.as_str()) == (Code::FailedPrecondition, "HISTORY_DIVERGED")
}

/// A read beyond the end of the log is rejected for that reason. Once the log has grown past it, its digest differs.
fn if_shorter(error: &ServerError) -> bool {
    diverged(error) || (error.code, error.reason.as_str()) == (Code::OutOfRange, "AS_OF_IN_FUTURE")
}

async fn assert_validity(client: &Client, handed_out: &HandedOut, refused: Option<Refused>) {
    let as_of = pb::AsOf {
        known_at: Some(pb::as_of::KnownAt::NextSeq(handed_out.snapshot.next_seq)),
        log_digest: handed_out.snapshot.log_digest.clone(),
        ..pb::AsOf::default()
    };
    let read = pb::ListArticlesRequest { as_of: Some(as_of), ..list(String::new()) };
    let read = client.archive.clone().list_articles(read).await.map(drop);
    let page = client.archive.clone().list_articles(list(handed_out.page_token.clone())).await.map(drop);
    let backup = pb::StreamBackupRequest { since: Some(handed_out.snapshot.clone()) };
    let backup = client.admin.clone().stream_backup(backup).await.map(drop);
    match refused {
        None => {
            read.unwrap();
            page.unwrap();
            backup.unwrap();
        }
        Some(refused) => {
            let read = ServerError::from(read.unwrap_err());
            assert!(refused(&read), "{read:?}");
            for error in [page.unwrap_err(), backup.unwrap_err()] {
                let error = ServerError::from(error);
                assert!(diverged(&error), "{error:?}");
            }
        }
    }
}

async fn write(client: &Client, id: &str, text: &str) {
    client.archive.clone().record_observation(publish(id, text)).await.unwrap();
}

async fn subscribe(client: &Client, id: &str, position: Position) {
    let request = pb::CreateSubscriptionRequest {
        subscription_id: id.to_owned(),
        subscription: None,
        start: Some(pb::FeedStart { position: Some(position) }),
    };
    client.feed.clone().create_subscription(request).await.unwrap();
}

/// A restored archive once continued from the epoch in the backup. Its first consumer then got an epoch that the lost
/// archive had given to another one, and that one's acknowledgements, of changes it had never seen, were accepted.
#[tokio::test(flavor = "multi_thread")]
async fn no_epoch_from_before_a_restore_is_accepted() {
    let directory = TempDir::new().unwrap();
    let (archive, folder) = (directory.path().join("archive"), directory.path().join("backup"));
    let server = TestServer::on_directory(&archive).await;
    let client = server.client().await;
    for id in ["a", "b"] {
        write(&client, id, "It was.").await;
    }
    subscribe(&client, "index", Position::Beginning(true)).await;
    let mut given = vec![attach(&client).await.1];
    keep(&stream_backup(&server.archive, FeedStart::Beginning).await, &folder);
    for _ in 0..3 {
        given.push(attach(&client).await.1);
    }
    drop(client);
    server.stop().await;

    // An epoch of the first restored archive is from before the second restore.
    for round in ["first", "second"] {
        let into = directory.path().join(round);
        restore(std::slice::from_ref(&folder), &into, Until::End).unwrap();
        let server = TestServer::on_directory(&into).await;
        let client = server.client().await;
        let before = given.clone();
        seek(&client, Position::Beginning(true)).await;
        for _ in 0..4 {
            let (_stream, epoch) = attach(&client).await;
            assert!(epoch > given[0], "a later epoch is a higher one");
            for old in &before {
                let refused = acknowledge(&client, *old).await.expect_err("the epoch is from before the restore");
                assert_eq!((refused.code, refused.reason.as_str()), (Code::Aborted, "CONSUMER_FENCED"), "{round}");
            }
            given.push(epoch);
        }
        let (_stream, epoch) = attach(&client).await;
        acknowledge(&client, epoch).await.unwrap();
        drop(client);
        server.stop().await;
    }
}

/// The backup does not know what a consumer received after it was made. A resume token does.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_held_after_a_restore_until_its_consumer_shows_where_it_is_or_it_is_moved() {
    let directory = TempDir::new().unwrap();
    let (archive, folder) = (directory.path().join("archive"), directory.path().join("backup"));
    let server = TestServer::on_directory(&archive).await;
    let client = server.client().await;
    write(&client, "a", "It was.").await;
    subscribe(&client, "index", Position::Beginning(true)).await;
    let kept = token(&client).await;
    keep(&stream_backup(&server.archive, FeedStart::Beginning).await, &folder);
    write(&client, "b", "It is lost.").await;
    let lost = token(&client).await;
    drop(client);
    server.stop().await;

    for by_token in [false, true] {
        let into = directory.path().join(format!("restored {by_token}"));
        assert_eq!(restore(std::slice::from_ref(&folder), &into, Until::End).unwrap().held, 1);
        let server = TestServer::on_directory(&into).await;
        let client = server.client().await;
        for grown in [false, true] {
            for start in [None, Some(lost.clone())] {
                let refused = open(&client, start).await.unwrap_err();
                assert!(diverged(&refused), "{refused:?}");
                assert_eq!(refused.metadata["subscription"], "subscriptions/index", "{refused:?}");
            }
            if !grown {
                write(&client, "c", "It is otherwise now.").await;
            }
        }
        if by_token {
            drop(open(&client, Some(kept.clone())).await.unwrap());
        } else {
            seek(&client, Position::Now(true)).await;
        }
        drop(open(&client, None).await.unwrap());
        // A consumer that received lost changes is rejected even then.
        let refused = open(&client, Some(lost.clone())).await.unwrap_err();
        assert!(diverged(&refused), "{refused:?}");
        drop(client);
        server.stop().await;
    }
}

/// A resume token for the end of the log, for a consumer of everything.
async fn token(client: &Client) -> String {
    let request = pb::ListChangesRequest {
        start: Some(pb::FeedStart { position: Some(Position::Now(true)) }),
        ..pb::ListChangesRequest::default()
    };
    client.feed.clone().list_changes(request).await.unwrap().into_inner().resume_token
}

async fn open(client: &Client, token: Option<String>) -> Result<Streaming<pb::SubscribeResponse>, ServerError> {
    let start = token.map(|token| pb::FeedStart { position: Some(Position::ResumeToken(token)) });
    let subscription = "subscriptions/index".to_owned();
    let request = pb::SubscribeRequest { subscription, start, ..pb::SubscribeRequest::default() };
    Ok(client.feed.clone().subscribe(request).await?.into_inner())
}

async fn seek(client: &Client, position: Position) {
    let start = Some(pb::FeedStart { position: Some(position) });
    let request = pb::SeekSubscriptionRequest { name: "subscriptions/index".to_owned(), start, ..Default::default() };
    client.feed.clone().seek_subscription(request).await.unwrap();
}

/// Attaches a consumer, waits for a first delivery, and returns the epoch.
async fn attach(client: &Client) -> (Streaming<pb::SubscribeResponse>, u64) {
    let request = pb::SubscribeRequest { subscription: "subscriptions/index".to_owned(), ..Default::default() };
    let mut stream = client.feed.clone().subscribe(request).await.unwrap().into_inner();
    let mut epoch = 0;
    loop {
        match stream.message().await.unwrap().unwrap().event {
            Some(Event::Started(started)) => epoch = started.epoch,
            Some(Event::Delivery(_)) => return (stream, epoch),
            _ => {}
        }
    }
}

async fn acknowledge(client: &Client, epoch: u64) -> Result<(), ServerError> {
    let name = "subscriptions/index".to_owned();
    let request = pb::AcknowledgeSubscriptionRequest { name, epoch, next_seq: 1 };
    client.feed.clone().acknowledge_subscription(request).await.map(drop).map_err(ServerError::from)
}

/// The end of a full backup says where the next one starts. A position beyond the log or with another digest is
/// rejected.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_starts_at_the_end_of_an_earlier_one_of_the_same_history() {
    let directory = TempDir::new().unwrap();
    let server = TestServer::on_directory(directory.path()).await;
    let client = server.client().await;
    write(&client, "a", "It was.").await;
    let snapshot = handed_out_snapshot(&client).await;
    let other = pb::Snapshot { log_digest: vec![7; 16], ..snapshot.clone() };
    let short = pb::Snapshot { log_digest: vec![7; 15], ..snapshot.clone() };
    let beyond = pb::Snapshot { next_seq: 9, ..pb::Snapshot::default() };
    for (since, code, reason) in [
        (other, Code::FailedPrecondition, "HISTORY_DIVERGED"),
        (short, Code::InvalidArgument, "FIELD_INVALID"),
        (beyond, Code::OutOfRange, "START_IN_FUTURE"),
    ] {
        let refused =
            client.admin.clone().stream_backup(pb::StreamBackupRequest { since: Some(since) }).await.unwrap_err();
        let refused = ServerError::from(refused);
        assert_eq!((refused.code, refused.reason.as_str()), (code, reason));
    }
    client.admin.clone().stream_backup(pb::StreamBackupRequest { since: Some(snapshot) }).await.unwrap();
    drop(client);
    server.stop().await;
}

async fn handed_out_snapshot(client: &Client) -> pb::Snapshot {
    client.archive.clone().list_articles(list(String::new())).await.unwrap().into_inner().snapshot.unwrap()
}
