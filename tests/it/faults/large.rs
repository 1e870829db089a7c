//! A commit of megabytes is all or nothing, like any other. A fault leaves nothing that affects later writes at its
//! positions.

use std::time::Duration;

use dateline::internals::archive::error::Unavailable;
use dateline::internals::archive::request::{Action, ArticleTarget, Observation, Operation, WriteMode};
use dateline::internals::archive::{Archive, ArchiveError};
use dateline::internals::store::engine::memory::{Fault, MemoryEngine};
use dateline::model::{Original, Seq};

use super::archive_over;
use crate::feed::dice::Dice;
use crate::model::plan::Text;
use crate::support::{self, block_on};
use crate::verify::verified;

const NEVER: Duration = Duration::from_secs(60);

/// An observation with an original of this many kilobytes that do not compress.
fn with_original(article: u8, kilobytes: usize) -> Operation {
    let mut dice = Dice::new(article.into());
    let data: Vec<u8> = (0..kilobytes << 7).flat_map(|_| dice.below(u64::MAX).to_le_bytes()).collect();
    let original = Original { media_type: "text/html".to_owned(), data: data.into() };
    let observation = Observation::new(support::content(Text(1)), Vec::new());
    let action = Action::Observe(Box::new(Observation { original: Some(original), ..observation }));
    support::operation(ArticleTarget::Named(support::article(article)), support::at(3), action)
}

async fn write(archive: &Archive, operations: Vec<Operation>) -> Result<(), ArchiveError> {
    archive.write(operations, WriteMode::Commit).await.map(drop).map_err(|failed| failed.error)
}

/// An archive with one small article.
async fn begun() -> (MemoryEngine, Archive) {
    let engine = MemoryEngine::new();
    let archive = archive_over(&engine, NEVER);
    write(&archive, vec![with_original(0, 10)]).await.unwrap();
    (engine, archive)
}

/// A batch of two originals, which becomes visible at once.
fn large(article: u8) -> Vec<Operation> {
    vec![with_original(article, 1_200), with_original(article + 1, 900)]
}

/// Checks that everything is there.
async fn assert_whole(archive: &Archive, changes: u64) {
    assert_eq!(archive.tail().next_seq, Seq(changes));
    assert_eq!(verified(archive).await.1, []);
}

/// Writes at the position of the failed commit: a shorter original, a longer one, or none.
async fn goes_on(archive: &Archive, other: u64) {
    let end = archive.tail().next_seq.0;
    match other {
        0 => write(archive, vec![with_original(3, 500)]).await.unwrap(),
        1 => write(archive, vec![with_original(3, 1_500)]).await.unwrap(),
        _ => write(archive, vec![support::observe(&support::article(3), support::at(5), Text(2))]).await.unwrap(),
    }
    write(archive, large(4)).await.unwrap();
    assert_whole(archive, end + 3).await;
}

/// Puts the fault into the commit, opens the archive again, and writes to it.
async fn fails(fault: Fault, open_again: fn(&MemoryEngine), stays: bool) {
    for other in 0..3 {
        let (engine, archive) = begun().await;
        engine.fault_at(1, fault);
        let error = write(&archive, large(1)).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Unavailable(Unavailable::StorageFailed)), "{error:?}");
        assert_eq!(archive.tail().next_seq, Seq(1));
        archive.close().await;
        drop(archive);
        open_again(&engine);
        let archive = archive_over(&engine, NEVER);
        assert_whole(&archive, if stays { 3 } else { 1 }).await;
        goes_on(&archive, other).await;
    }
}

#[test]
fn a_large_commit_that_fails_does_not_affect_later_writes() {
    block_on(async {
        for (fault, restart_keeps_it) in [(Fault::FailBeforeWrite, false), (Fault::FailBeforeSync, true)] {
            fails(fault, MemoryEngine::restart, restart_keeps_it).await;
            fails(fault, MemoryEngine::lose_unsynced, false).await;
        }
    });
}

#[test]
fn a_full_disk_rejects_a_large_commit_as_a_whole() {
    block_on(async {
        let (engine, archive) = begun().await;
        engine.fault_at(1, Fault::Full);
        let refused = write(&archive, large(1)).await.unwrap_err();
        assert!(matches!(refused, ArchiveError::Unavailable(Unavailable::StorageFull { .. })), "{refused:?}");
        assert!(!archive.has_failed());
        assert_whole(&archive, 1).await;
        goes_on(&archive, 0).await;
    });
}
