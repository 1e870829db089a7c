//! A commit of megabytes is written in parts. A fault in any of them leaves nothing of the commit, and nothing that
//! affects later writes at its position.

use std::time::Duration;

use dateline::internals::archive::error::Unavailable;
use dateline::internals::archive::request::{Action, ArticleTarget, Observation, Operation, WriteMode};
use dateline::internals::archive::{Archive, ArchiveError};
use dateline::internals::store::engine::memory::{Fault, MemoryEngine};
use dateline::internals::store::parts::beyond;
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

/// A batch of two originals, which takes several parts and becomes visible at once.
fn large(article: u8) -> Vec<Operation> {
    vec![with_original(article, 1_200), with_original(article + 1, 900)]
}

/// Checks that everything is there, and that orphan chunks do not count as damage.
async fn assert_whole(archive: &Archive, changes: u64) {
    assert_eq!(archive.tail().next_seq, Seq(changes));
    assert_eq!(verified(archive).await.1, []);
}

/// Writes at the position of the failed commit's parts: a shorter original, a longer one, or none.
async fn goes_on(archive: &Archive, engine: &MemoryEngine, nth: u64) {
    let end = archive.tail().next_seq.0;
    match nth % 4 {
        0 => write(archive, vec![with_original(3, 500)]).await.unwrap(),
        1 => write(archive, vec![with_original(3, 1_100)]).await.unwrap(),
        2 => write(archive, vec![with_original(3, 1_500)]).await.unwrap(),
        _ => write(archive, vec![support::observe(&support::article(3), support::at(5), Text(2))]).await.unwrap(),
    }
    assert_eq!(archive.tail().next_seq, Seq(end + 1));
    assert_eq!(beyond(engine, archive.tail().next_seq).unwrap(), Vec::<Vec<u8>>::new());
    write(archive, large(4)).await.unwrap();
    assert_whole(archive, end + 3).await;
}

/// Puts the fault into each part in turn, and returns the number of parts. Only the last part is the commit itself.
async fn each_part(fault: Fault, open_anew: fn(&MemoryEngine), last_stays: bool) -> u64 {
    for nth in 1.. {
        let (engine, archive) = begun().await;
        engine.fault_at(nth, fault);
        match write(&archive, large(1)).await {
            Ok(()) => return nth - 1,
            Err(error) => {
                assert!(matches!(error, ArchiveError::Unavailable(Unavailable::StorageFailed)), "{error:?}");
            }
        }
        assert_eq!(archive.tail().next_seq, Seq(1));
        archive.close().await;
        drop(archive);
        open_anew(&engine);
        let archive = archive_over(&engine, NEVER);
        let stays = archive.tail().next_seq > Seq(1);
        // Whether the last part survives depends on the fault alone.
        assert!(!stays || last_stays, "part {nth}");
        let left_over = !beyond(&engine, archive.tail().next_seq).unwrap().is_empty();
        assert!(left_over || stays || nth == 1, "part {nth}: the durable parts are there");
        assert_whole(&archive, if stays { 3 } else { 1 }).await;
        goes_on(&archive, &engine, nth).await;
    }
    unreachable!("the loop ends when the fault comes after the last part");
}

#[test]
fn a_failed_part_does_not_affect_later_writes() {
    block_on(async {
        for (fault, restart_keeps_last) in [
            (Fault::FailBeforeWrite, false),
            (Fault::FailBeforeSync, true),
            (Fault::Short(0x5555_5555_5555_5555), false),
        ] {
            assert_eq!(each_part(fault, MemoryEngine::restart, restart_keeps_last).await, 4, "{fault:?}");
            assert_eq!(each_part(fault, MemoryEngine::lose_unsynced, false).await, 4, "{fault:?}");
        }
    });
}

/// The disk becomes full in the middle of a commit. The parts that were written are removed before anything else is
/// written.
#[test]
fn a_disk_that_becomes_full_between_parts_rejects_the_whole_commit() {
    block_on(async {
        for nth in 1..=4 {
            let (engine, archive) = begun().await;
            // Again when the parts are removed, or when they are written again.
            for nth in [nth, 1 + nth / 2] {
                engine.fault_at(nth, Fault::Full);
                let refused = write(&archive, large(1)).await.unwrap_err();
                assert!(matches!(refused, ArchiveError::Unavailable(Unavailable::StorageFull { .. })), "{refused:?}");
            }
            assert!(!archive.has_failed());
            assert_whole(&archive, 1).await;
            goes_on(&archive, &engine, nth).await;
        }
    });
}
