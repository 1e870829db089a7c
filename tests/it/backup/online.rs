//! Backups of an archive during writes.

use dateline::internals::backup::Until;
use dateline::internals::client::Client;
use dateline::internals::wire::pb;
use dateline::model::{Seq, Timestamp};
use pb::stream_backup_response::Part;
use tempfile::TempDir;
use tokio::sync::watch;

use super::answers::answers;
use super::{keep, open, restore};
use crate::feed::dice::Dice;
use crate::feed::writer::{Progress, Writer};
use crate::server::TestServer;
use crate::support;
use crate::verify::verified;

const SEED: u64 = 20_261_125;
const WRITERS: u32 = 3;
/// Minimum number of changes between the end of one backup and the start of the next.
const CHANGES_BETWEEN: u64 = 60;
const BACKUPS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_backup_and_three_more_are_made_while_writers_write() {
    let directory = TempDir::new().unwrap();
    let (archive, folder) = (directory.path().join("archive"), directory.path().join("backup"));
    let server = TestServer::on_directory(&archive).await;
    let progress = Progress::new();
    let mut first = Writer::new(server.client().await, progress.clone(), SEED, 0);
    first.make_articles().await.unwrap();
    let (stop, writing) = watch::channel(true);
    let mut writers = tokio::task::JoinSet::new();
    for number in 1..=WRITERS {
        let mut writer = Writer::new(server.client().await, progress.clone(), SEED, number);
        let writing = writing.clone();
        writers.spawn(async move {
            while *writing.borrow() {
                writer.step().await.unwrap();
            }
        });
    }
    let (client, mut end) = (server.client().await, server.archive.feed_end());
    let mut ends = Vec::new();
    for _ in 0..BACKUPS {
        let since = ends.last().cloned();
        end.beyond(Seq(since.as_ref().map_or(0, |since: &pb::Snapshot| since.next_seq) + CHANGES_BETWEEN)).await;
        let (begin, file) = received(&client, since).await;
        tokio::task::block_in_place(|| keep(&file, &folder));
        ends.push(begin.end.unwrap());
    }
    // The last backup ended somewhere in the middle of what was written.
    end.beyond(Seq(ends[BACKUPS - 1].next_seq)).await;
    stop.send(false).unwrap();
    writers.join_all().await;
    drop((first, client));

    for (number, end) in ends.iter().enumerate().skip(1).step_by(2) {
        let into = directory.path().join(format!("restored-{number}"));
        let until = if number == BACKUPS - 1 { Until::End } else { Until::Seq(Seq(end.next_seq)) };
        let restored = tokio::task::block_in_place(|| restore(std::slice::from_ref(&folder), &into, until)).unwrap();
        assert_eq!(
            (restored.end.next_seq.0, restored.end.log_digest.0.to_vec()),
            (end.next_seq, end.log_digest.clone())
        );
        let again = open(&into);
        let expected = answers(&server.archive, restored.end.next_seq, &instants()).await;
        assert_eq!(answers(&again, restored.end.next_seq, &instants()).await, expected);
        assert_eq!(verified(&again).await.1, []);
        again.close().await;
    }
    server.stop().await;
}

/// Some instants of the axis on which writers write.
fn instants() -> Vec<Option<Timestamp>> {
    (0..6).map(|step| Some(support::at(step * 90))).chain([None]).collect()
}

/// A backup, as a client receives it.
async fn received(client: &Client, since: Option<pb::Snapshot>) -> (pb::BackupBegin, Vec<u8>) {
    let first = since.as_ref().map_or(0, |since| since.next_seq);
    let mut stream = client.admin.clone().stream_backup(pb::StreamBackupRequest { since }).await.unwrap().into_inner();
    let Some(Part::Begin(begin)) = stream.message().await.unwrap().unwrap().part else { panic!("no Begin") };
    let (mut file, mut next_seq) = (Vec::new(), first);
    assert_eq!(begin.begin.as_ref().unwrap().next_seq, first);
    while let Some(message) = stream.message().await.unwrap() {
        let Some(Part::Data(data)) = message.part else { panic!("Begin came twice") };
        assert!(data.data.len() <= 1 << 20 && data.next_seq >= next_seq);
        next_seq = data.next_seq;
        file.extend_from_slice(&data.data);
    }
    assert_eq!(next_seq, begin.end.as_ref().unwrap().next_seq);
    let (estimated, bytes) = (begin.estimated_bytes, file.len() as u64);
    assert!((bytes / 8..bytes * 8 + 4_096).contains(&estimated), "{estimated} for {bytes}");
    (begin, file)
}

/// A client that disconnects during a backup or does not read it blocks neither readers nor writers, and the server
/// still stops in time.
#[tokio::test(flavor = "multi_thread")]
async fn backups_that_nobody_reads_block_neither_calls_nor_shutdown() {
    let directory = TempDir::new().unwrap();
    let server = TestServer::on_directory(directory.path()).await;
    let client = server.client().await;
    let mut dice = Dice::new(SEED);
    for number in 0..24 {
        // Text that compresses badly, so that a backup does not fit into a connection's buffers.
        let text: String = (0..40_000).map(|_| format!("{:x} ", dice.below(u64::MAX))).collect();
        let request = crate::server::publish(&format!("a{number}"), &text);
        client.archive.clone().record_observation(request).await.unwrap();
    }
    // Each has a connection of its own, because a blocked stream blocks its whole connection.
    let mut streams = Vec::new();
    for _ in 0..16 {
        let reader = server.client().await;
        let stream = reader.admin.clone().stream_backup(pb::StreamBackupRequest::default()).await.unwrap().into_inner();
        streams.push((reader, stream));
    }
    let again = || async { client.admin.clone().stream_backup(pb::StreamBackupRequest::default()).await.map(drop) };
    let refused = again().await.unwrap_err();
    assert_eq!(dateline::internals::client::ServerError::from(refused).reason, "TOO_MANY_STREAMS");
    client.archive.clone().record_observation(crate::server::publish("b", "It is written.")).await.unwrap();
    drop(streams.pop());
    // The slot of the closed backup is free once the server has noticed that it is closed.
    while again().await.is_err() {
        tokio::task::yield_now().await;
    }
    drop(streams);
    drop(client);
    server.stop().await;
}
