//! Many writers at once, over real connections: nothing is lost or recorded twice, and all see one order.

use std::collections::BTreeSet;

use dateline::internals::wire::pb;
use tempfile::TempDir;

use crate::server::{TestServer, content, name, publish};

const WRITERS: usize = 16;
const WRITES_EACH: usize = 40;

/// Each writer revises an article of its own and one that all share. After a restart, every acknowledged write is at
/// the position that its writer received.
#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_write_is_there_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let server = TestServer::on_directory(directory.path()).await;
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let mut client = server.client().await;
        writers.push(tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for write in 0..WRITES_EACH {
                let id = if write % 4 == 0 { "shared".to_owned() } else { format!("own-{writer}") };
                let text = format!("writer {writer}, write {write}");
                let request = pb::RecordObservationRequest { observe_time: None, ..publish(&id, &text) };
                let answer = client.archive.record_observation(request).await.unwrap().into_inner();
                acknowledged.push((id, text, answer.revision.unwrap()));
            }
            acknowledged
        }));
    }
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    server.stop().await;

    let server = TestServer::on_directory(directory.path()).await;
    let mut client = server.client().await;
    let seqs: BTreeSet<u64> = acknowledged.iter().map(|(_, _, revision)| revision.seq).collect();
    let all = (WRITERS * WRITES_EACH) as u64;
    assert_eq!(seqs, (0..all).collect(), "positions are gapless, and no two writes share one");
    assert_eq!(server.archive.tail().next_seq.0, all);
    for (id, text, revision) in &acknowledged {
        let get = pb::GetRevisionRequest { name: revision.name.clone(), ..pb::GetRevisionRequest::default() };
        let read = client.archive.get_revision(get).await.unwrap().into_inner().revision.unwrap();
        assert_eq!(read.content, Some(content("Bridge to close", text)), "{id}");
        assert_eq!((read.seq, read.archive_time), (revision.seq, revision.archive_time));
    }
    let mut by_seq: Vec<_> = acknowledged.iter().map(|(_, _, revision)| revision).collect();
    by_seq.sort_by_key(|revision| revision.seq);
    let times: Vec<_> = by_seq.iter().map(|revision| revision.archive_time.map(|t| (t.seconds, t.nanos))).collect();
    assert!(times.is_sorted(), "archive times never go back");
    drop(client);
    server.stop().await;
}

/// Writers read a sum, add one, and write it back with the etag. A lost update would lower the sum.
#[tokio::test(flavor = "multi_thread")]
async fn no_update_is_lost_under_an_etag() {
    let directory = TempDir::new().unwrap();
    let server = TestServer::on_directory(directory.path()).await;
    let mut client = server.client().await;
    client.archive.record_observation(publish("counter", "0")).await.unwrap();
    let mut writers = Vec::new();
    for _ in 0..8 {
        let mut client = server.client().await;
        writers.push(tokio::spawn(async move {
            let mut done = 0;
            while done < 10 {
                let get = pb::GetArticleRequest { name: name("counter"), ..pb::GetArticleRequest::default() };
                let article = client.archive.get_article(get).await.unwrap().into_inner().article.unwrap();
                let next = article.revision_count.to_string();
                let condition = pb::precondition::Condition::Etag(article.etag);
                let request = pb::RecordObservationRequest {
                    precondition: Some(pb::Precondition { condition: Some(condition) }),
                    ..publish("counter", &next)
                };
                match client.archive.record_observation(request).await {
                    Ok(_) => done += 1,
                    Err(status) => assert_eq!(status.code(), tonic::Code::Aborted),
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let get = pb::GetArticleRequest { name: name("counter"), ..pb::GetArticleRequest::default() };
    let article = client.archive.get_article(get).await.unwrap().into_inner().article.unwrap();
    assert_eq!(article.revision_count, 81);
    drop(client);
    server.stop().await;
}

/// Each commit has one archive time, later than that of the commit before, even if the clock stands still.
#[tokio::test]
async fn archive_time_rises_from_commit_to_commit() {
    let directory = TempDir::new().unwrap();
    let server = TestServer::on_directory(directory.path()).await;
    let mut client = server.client().await;
    let mut last = None;
    for write in 0..50 {
        let answer = client.archive.record_observation(publish("a", &write.to_string())).await.unwrap().into_inner();
        let time = answer.snapshot.unwrap().archive_time.map(|time| (time.seconds, time.nanos));
        assert!(time > last, "{time:?} is not later than {last:?}");
        last = time;
    }
    drop(client);
    server.stop().await;
}

/// The writes of one commit share an archive time, which is taken when the last of them has joined the commit. The
/// snapshots and revisions in the replies are those that a read returns.
#[tokio::test(flavor = "multi_thread")]
async fn no_archive_time_is_before_its_observe_time() {
    let directory = TempDir::new().unwrap();
    let server = TestServer::on_directory(directory.path()).await;
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let mut client = server.client().await;
        writers.push(tokio::spawn(async move {
            let mut answers = Vec::new();
            for write in 0..WRITES_EACH {
                let request = publish(&format!("own-{writer}"), &write.to_string());
                let request = pb::RecordObservationRequest { observe_time: None, ..request };
                answers.push(client.archive.record_observation(request).await.unwrap().into_inner());
            }
            answers
        }));
    }
    let mut client = server.client().await;
    for writer in writers {
        for answer in writer.await.unwrap() {
            let (written, snapshot) = (answer.revision.unwrap(), answer.snapshot.unwrap());
            let instant = |time: &Option<prost_types::Timestamp>| time.as_ref().map(|time| (time.seconds, time.nanos));
            let (observed, archived) = (instant(&written.observe_time), instant(&written.archive_time));
            assert!(observed <= archived, "observed at {observed:?}, archived at {archived:?}");
            let as_of = pb::AsOf {
                known_at: Some(pb::as_of::KnownAt::NextSeq(snapshot.next_seq)),
                log_digest: snapshot.log_digest.clone(),
                ..Default::default()
            };
            let request =
                pb::GetRevisionRequest { name: written.name.clone(), as_of: Some(as_of), ..Default::default() };
            let read = client.archive.get_revision(request).await.unwrap().into_inner();
            assert_eq!(instant(&read.revision.unwrap().archive_time), archived);
            assert_eq!(read.snapshot, Some(snapshot));
        }
    }
    drop(client);
    server.stop().await;
}
