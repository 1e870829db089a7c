//! The real server on a disk that fills up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dateline::internals::archive::{Archive, Options};
use dateline::internals::client::{Client, ServerError};
use dateline::internals::clock::SystemClock;
use dateline::internals::server;
use dateline::internals::wire::pb;
use tonic::Code;

use super::disk::Disk;
use super::{noise, storage_state};
use crate::server::{TestServer, holder, name, publish};
use crate::verify::verified;

const MIB: u64 = 1 << 20;
const FLOOR: u64 = 32 * MIB;

/// Serves the archive on the disk.
async fn serve(disk: &Disk) -> TestServer {
    let options = Options { free_space_floor_bytes: FLOOR, ..Options::default() };
    let path = disk.path().join("archive");
    let (archive, _) = Archive::open_or_create(&path, &options, Arc::new(SystemClock), holder()).unwrap();
    TestServer::over(archive, server::Options::default()).await
}

/// Acknowledged articles, and the text of each.
#[derive(Default)]
struct Acknowledged(BTreeMap<String, String>);

impl Acknowledged {
    /// Records an article with a text that does not compress.
    async fn publish(&mut self, client: &mut Client, text_bytes: usize) -> Result<(), ServerError> {
        let id = format!("a{}", self.0.len());
        let text = noise(self.0.len() as u64, text_bytes);
        client.archive.record_observation(publish(&id, &text)).await?;
        self.0.insert(id, text);
        Ok(())
    }

    /// Records articles until one is rejected.
    async fn until_refused(&mut self, client: &mut Client) -> ServerError {
        loop {
            if let Err(error) = self.publish(client, 768 << 10).await {
                return error;
            }
            assert!(self.0.len() < 1_000, "the disk is never full");
        }
    }

    /// Checks that all acknowledged articles can be read, in every way.
    async fn are_all_there(&self, client: &mut Client) {
        for (id, text) in &self.0 {
            let get = pb::GetArticleRequest { name: name(id), ..pb::GetArticleRequest::default() };
            let article = client.archive.get_article(get).await.unwrap().into_inner().article.unwrap();
            let content = article.revision.unwrap().content.unwrap();
            let Some(pb::block::Kind::Paragraph(paragraph)) = &content.blocks[0].kind else {
                panic!("{id} has a block of another kind")
            };
            assert!(paragraph.text == *text, "{id} has another text");
        }
        let list = pb::ListArticlesRequest { page_size: 1_000, ..pb::ListArticlesRequest::default() };
        let list = pb::ListArticlesRequest { parent: "sources/-".into(), ..list };
        assert_eq!(client.archive.list_articles(list).await.unwrap().into_inner().articles.len(), self.0.len());
        let changes = client.feed.list_changes(changes_request());
        assert_eq!(changes.await.unwrap().into_inner().changes.len(), self.0.len());
    }
}

fn changes_request() -> pb::ListChangesRequest {
    let start = Some(pb::FeedStart { position: Some(pb::feed_start::Position::Beginning(true)) });
    pb::ListChangesRequest { start, page_size: 1_000, ..pb::ListChangesRequest::default() }
}

/// A read as known now, for which the archive has to store a closed time.
async fn as_known_now(client: &mut Client) -> Result<(), ServerError> {
    let now = std::time::SystemTime::now();
    let known_at = Some(pb::as_of::KnownAt::ArchiveTime(now.into()));
    let as_of = pb::AsOf { known_at, ..pb::AsOf::default() };
    let get = pb::GetArticleRequest { name: name("a0"), as_of: Some(as_of), ..pb::GetArticleRequest::default() };
    Ok(client.archive.get_article(get).await.map(drop)?)
}

fn assert_full(error: &ServerError) {
    assert_eq!((error.code, error.reason.as_str()), (Code::ResourceExhausted, "STORAGE_FULL"), "{error:?}");
    assert!(error.message.contains("free some space"), "the message says what to do: {}", error.message);
}

/// Our own writes fill the disk. They are rejected while there is still space for the engine, reads continue, and once
/// there is space again writes are accepted without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_filled_by_the_archive_rejects_writes_and_recovers() {
    let Some(disk) = Disk::mount() else { return };
    disk.fill_up_to("ballast", disk.free_bytes() - 32 * MIB);
    let server = serve(&disk).await;
    let mut client = server.client().await;
    let mut acknowledged = Acknowledged::default();
    assert_full(&acknowledged.until_refused(&mut client).await);
    assert!(disk.free_bytes() > FLOOR / 4, "{} bytes are left", disk.free_bytes());
    assert_eq!(storage_state(&mut client).await, pb::StorageState::Full);
    as_known_now(&mut client).await.unwrap();
    acknowledged.are_all_there(&mut client).await;

    disk.remove("ballast");
    assert_eq!(storage_state(&mut client).await, pb::StorageState::Serving, "it ends without a write");
    for _ in 0..3 {
        acknowledged.publish(&mut client, 768 << 10).await.unwrap();
    }
    acknowledged.are_all_there(&mut client).await;
    drop(client);
    server.stop().await;
    all_is_there_after_a_restart(&disk, &acknowledged).await;
}

/// Another program fills the disk, to the last block.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_filled_by_another_program_rejects_writes_and_recovers() {
    let Some(disk) = Disk::mount() else { return };
    let server = serve(&disk).await;
    let mut client = server.client().await;
    let mut acknowledged = Acknowledged::default();
    for _ in 0..6 {
        acknowledged.publish(&mut client, 300 << 10).await.unwrap();
    }
    for _ in 0..120 {
        acknowledged.publish(&mut client, 1_000).await.unwrap();
    }
    disk.fill_up_to("somebody's", 0);
    assert_eq!(disk.free_bytes(), 0);
    assert_full(&acknowledged.publish(&mut client, 1_000).await.unwrap_err());
    assert_full(&as_known_now(&mut client).await.unwrap_err());
    assert_eq!(storage_state(&mut client).await, pb::StorageState::Full);
    // The engine's own thread runs twice a second, and must not fail the storage when it does.
    tokio::time::timeout(Duration::from_millis(1_500), server.archive.failed()).await.unwrap_err();
    acknowledged.are_all_there(&mut client).await;
    disk.remove("somebody's");
    acknowledged.publish(&mut client, 1_000).await.unwrap();
    acknowledged.are_all_there(&mut client).await;

    disk.fill_up_to("somebody's", 0);
    assert_eq!(disk.free_bytes(), 0);
    drop(client);
    server.stop().await;
    let server = serve(&disk).await;
    let mut client = server.client().await;
    acknowledged.are_all_there(&mut client).await;
    assert_full(&acknowledged.publish(&mut client, 1_000).await.unwrap_err());
    disk.remove("somebody's");
    acknowledged.publish(&mut client, 1_000).await.unwrap();
    drop(client);
    server.stop().await;
    all_is_there_after_a_restart(&disk, &acknowledged).await;
}

async fn all_is_there_after_a_restart(disk: &Disk, acknowledged: &Acknowledged) {
    let server = serve(disk).await;
    let mut client = server.client().await;
    acknowledged.are_all_there(&mut client).await;
    assert_eq!(verified(&server.archive).await.1, []);
    drop(client);
    server.stop().await;
}
