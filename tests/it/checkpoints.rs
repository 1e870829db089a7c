//! Checkpoints last: what was signed is kept, is found again, and binds the log.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dateline::internals::archive::Options as ArchiveOptions;
use dateline::internals::archive::recover::verify::{Event, rebuild_directory, verify_directory};
use dateline::internals::client::{Client, ServerError};
use dateline::internals::store::checkpoint::CheckpointRecord;
use dateline::internals::store::engine::directory::Directory;
use dateline::internals::store::engine::sled::{Options, SledEngine};
use dateline::internals::store::engine::{Direction, Engine};
use dateline::internals::store::{Batch, Tables};
use dateline::internals::wire::pb;
use dateline::model::TreeHash;
use tempfile::TempDir;
use tonic::Code;

use crate::proofs::{checkpoint, record, signing};
use crate::server::holder;

/// The newest checkpoint, of whatever size.
async fn newest(client: &mut Client) -> pb::Checkpoint {
    let request = pb::GetCheckpointRequest::default();
    client.integrity.get_checkpoint(request).await.unwrap().into_inner().checkpoint.unwrap()
}

fn with_database<T>(archive: &Path, work: impl FnOnce(&SledEngine) -> T) -> T {
    let directory = Arc::new(Directory::open(archive, holder()).unwrap());
    work(&SledEngine::open(directory, Options::default()).unwrap())
}

fn kept(archive: &Path) -> Vec<CheckpointRecord> {
    with_database(archive, |engine| {
        Tables::new(engine).checkpoints(0, Direction::Forward).collect::<Result<_, _>>().unwrap()
    })
}

fn findings(archive: &Path) -> Vec<String> {
    let mut findings = Vec::new();
    let mut listener = |event| {
        if let Event::Finding(finding) = event {
            findings.push(finding.detail);
        }
        ControlFlow::Continue(())
    };
    verify_directory(archive, &ArchiveOptions::default(), holder(), &mut listener).unwrap().unwrap();
    findings
}

#[tokio::test]
async fn a_checkpoint_is_kept_and_not_signed_again() {
    let directory = TempDir::new().unwrap();
    let archive = directory.path().join("archive");
    let (server, mut client) = signing(directory.path()).await;
    record(&mut client, 3).await;
    checkpoint(&mut client).await;
    record(&mut client, 4).await;
    let signed = checkpoint(&mut client).await;
    drop(client);
    server.stop().await;
    // Of one day, the last is kept.
    let notes = |kept: Vec<CheckpointRecord>| kept.into_iter().map(|kept| (kept.size, kept.note)).collect::<Vec<_>>();
    assert_eq!(notes(kept(&archive)), [(7, signed.note.clone())]);

    let mut listener = |_| ControlFlow::Continue(());
    rebuild_directory(&archive, &ArchiveOptions::default(), holder(), &mut listener).unwrap().unwrap();
    assert_eq!(notes(kept(&archive)), [(7, signed.note.clone())]);
    let (server, mut client) = signing(directory.path()).await;
    assert_eq!(newest(&mut client).await, signed);
    drop(client);
    server.stop().await;
    assert_eq!(findings(&archive), [""; 0]);
}

/// A reader gets a checkpoint that is a second old, or waits until the next is due.
#[tokio::test]
async fn a_log_is_signed_at_most_once_a_second() {
    let directory = TempDir::new().unwrap();
    let (_server, mut client) = signing(directory.path()).await;
    record(&mut client, 1).await;
    let (began, first) = (Instant::now(), checkpoint(&mut client).await);
    record(&mut client, 1).await;
    let second = newest(&mut client).await;
    assert!(second == first || began.elapsed() >= Duration::from_secs(1));
    let third = checkpoint(&mut client).await;
    assert_eq!(third.tree_size, 2);
    assert!(third == second || began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_log_that_is_not_the_one_that_was_signed_is_not_signed_again() {
    let directory = TempDir::new().unwrap();
    let archive = directory.path().join("archive");
    let (server, mut client) = signing(directory.path()).await;
    record(&mut client, 5).await;
    checkpoint(&mut client).await;
    drop(client);
    server.stop().await;
    for size in [4, 6] {
        let before = kept(&archive).pop().unwrap();
        let other = CheckpointRecord { size, root: TreeHash::of_leaf(b"another log"), ..before.clone() };
        with_database(&archive, |engine| {
            let mut batch = Batch::default();
            batch.put_checkpoint(&other);
            batch.remove(dateline::internals::store::key::checkpoint::CheckpointKey(before.size).encode());
            engine.commit(&batch).unwrap();
        });
        let found = findings(&archive);
        assert_eq!(found.len(), 1, "{size}: {found:?}");
        let (server, mut client) = signing(directory.path()).await;
        let refused = client.integrity.get_checkpoint(pb::GetCheckpointRequest::default()).await.unwrap_err();
        assert_eq!(ServerError::from(refused).code, Code::DataLoss);
        drop(client);
        server.stop().await;
    }
}
