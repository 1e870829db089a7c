//! A fault in every commit of a workload, one at a time. After a restart and after a power cut, everything acknowledged
//! is there and nothing rejected is; before that, readers see what is durable and nothing else.

use std::time::Duration;

use dateline::internals::archive::ArchiveError;
use dateline::internals::archive::error::Unavailable;
use dateline::internals::store::engine::Entry;
use dateline::internals::store::engine::memory::{Fault, MemoryEngine};

use super::workload::{Player, Stage, Step, engine_with, stages, steps};
use crate::portrait::assert_same;
use crate::support::block_on;
use crate::verify::{entries, verified};

/// A commit in memory takes milliseconds. This deadline is so long that even a busy machine never exceeds it.
const NEVER: Duration = Duration::from_secs(60);
/// The deadline for a commit that hangs.
const SOON: Duration = Duration::from_millis(100);
/// This many steps before the fault are played on the same archive, so that caches and epochs are in use.
const WARM: usize = 3;

type OpenAnew = fn(&MemoryEngine);
const RESTART: OpenAnew = MemoryEngine::restart;
const POWER_CUT: OpenAnew = MemoryEngine::lose_unsynced;

/// What is left of a failed commit when the archive is opened again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    All,
}

#[test]
fn a_commit_that_fails_before_it_writes_leaves_nothing() {
    each_commit(|_| Fault::FailBeforeWrite, Left::Nothing, NEVER);
}

#[test]
fn a_commit_that_fails_before_its_sync_is_all_or_nothing() {
    each_commit(|_| Fault::FailBeforeSync, Left::All, NEVER);
}

#[test]
fn a_partly_written_commit_leaves_nothing() {
    each_commit(|_| Fault::Short(0x5555_5555_5555_5555), Left::Nothing, NEVER);
    each_commit(|_| Fault::Short(0xaaaa_aaaa_aaaa_aaaa), Left::Nothing, NEVER);
    // Prefixes of growing length: the log is written first, then contents, and then the indexes.
    each_commit(|index| Fault::Short((1 << (1 + index % 12)) - 1), Left::Nothing, NEVER);
}

#[test]
fn a_commit_that_hangs_is_all_or_nothing() {
    each_commit(|_| Fault::Hang, Left::All, SOON);
}

/// Rejected writes leave no gap: each is repeated, and the log is the same as if the fault had not happened.
#[test]
fn a_commit_that_finds_the_disk_full_can_be_repeated() {
    block_on(async {
        let steps = steps();
        let stages = stages(&steps).await;
        let engine = engine_with(&stages[0].entries);
        let mut player = Player::open(&engine, NEVER);
        for (index, step) in steps.iter().enumerate() {
            let (before, after) = (&stages[index], &stages[index + 1]);
            if before.entries != after.entries {
                engine.fault_at(1, Fault::Full);
                let refused = player.play(index, step).await;
                assert!(
                    matches!(refused, Err(ArchiveError::Unavailable(Unavailable::StorageFull { .. }))),
                    "{refused:?}"
                );
                assert!(!player.archive.has_failed(), "step {index}");
                same(&before.entries, &entries(&engine), index);
                assert_same(&player.portrait().await, &before.portrait, &format!("full at step {index}"));
            }
            let answer = player.play(index, step).await;
            assert_eq!(format!("{answer:?}"), after.answer, "step {index}");
            same(&after.entries, &entries(&engine), index);
        }
        assert_eq!(verified(&player.archive).await.1, []);
    });
}

/// Puts the fault into each commit in turn, and reopens the archive after a restart and after a power cut.
fn each_commit(fault: fn(usize) -> Fault, left: Left, deadline: Duration) {
    block_on(async {
        let steps = steps();
        let stages = stages(&steps).await;
        let mut commits = 0;
        for index in 0..steps.len() {
            if stages[index].entries != stages[index + 1].entries {
                commits += 1;
                let case = Case { steps: &steps, stages: &stages, index, deadline };
                case.play(fault(index), RESTART, left).await;
                case.play(fault(index), POWER_CUT, Left::Nothing).await;
            }
        }
        assert!(commits >= 25, "only {commits} commits");
    });
}

/// A fault in the commit of the step at `index`.
struct Case<'a> {
    steps: &'a [Step],
    stages: &'a [Stage],
    index: usize,
    deadline: Duration,
}

impl Case<'_> {
    async fn play(&self, fault: Fault, open_anew: OpenAnew, left: Left) {
        let (index, before) = (self.index, &self.stages[self.index]);
        let first = self.first();
        let engine = engine_with(&self.stages[first].entries);
        let mut player = Player::open(&engine, self.deadline);
        for earlier in first..index {
            let answer = player.play(earlier, &self.steps[earlier]).await;
            assert_eq!(format!("{answer:?}"), self.stages[earlier + 1].answer, "step {earlier}");
        }

        engine.fault_at(1, fault);
        let failed = player.play(index, &self.steps[index]).await;
        assert!(is_storage_failed(&failed), "step {index}: {failed:?}");
        self.poisoned(&mut player).await;

        open_anew(&engine);
        // A commit that hung and then continues has no caller left to reply to.
        engine.release();
        player.archive.close().await;
        drop(player);
        let found = if left == Left::All { &self.stages[index + 1] } else { before };
        same(&found.entries, &entries(&engine), index);
        let mut player = Player::open(&engine, NEVER);
        assert_same(&player.portrait().await, &found.portrait, &format!("reopened after step {index}"));
        assert_eq!(verified(&player.archive).await.1, [], "step {index}");
        self.goes_on(&mut player, left).await;
    }

    /// The first step that is played. An acknowledgement needs the epoch of the step before it.
    fn first(&self) -> usize {
        let first = self.index.saturating_sub(WARM);
        first - usize::from(matches!(self.steps[first], Step::Acknowledge))
    }

    /// Checks that nothing is written any more, and that reads return what is durable.
    async fn poisoned(&self, player: &mut Player) {
        let index = self.index;
        assert!(player.archive.has_failed());
        let write = self.steps.iter().find(|step| matches!(step, Step::Write(_))).unwrap();
        for step in [write, &Step::Create, &Step::Attach, &Step::AsKnownNow] {
            // At a later time than the failed step, so that the closed time would have to be raised.
            let refused = player.play(index + 2, step).await;
            assert!(is_storage_failed(&refused), "step {index}, then {step:?}: {refused:?}");
        }
        assert_same(&player.portrait().await, &self.stages[index].portrait, &format!("poisoned at step {index}"));
    }

    /// Repeats the failed step if nothing of it is left, and then plays the next one.
    async fn goes_on(&self, player: &mut Player, left: Left) {
        let index = self.index;
        let again = if left == Left::All { index + 1 } else { index };
        for next in again..(again + 2).min(self.steps.len()) {
            if matches!(self.steps[next], Step::Acknowledge) && next == again {
                // The epoch ended with the process, so the consumer attaches again.
                player.play(next, &Step::Attach).await.unwrap();
                player.play(next, &Step::Acknowledge).await.unwrap();
                return;
            }
            let answer = player.play(next, &self.steps[next]).await;
            assert_eq!(format!("{answer:?}"), self.stages[next + 1].answer, "step {next} after {index}");
        }
    }
}

fn is_storage_failed<T>(answer: &Result<T, ArchiveError>) -> bool {
    matches!(answer, Err(ArchiveError::Unavailable(Unavailable::StorageFailed)))
}

/// Compares entries without printing all of them.
fn same(expected: &[Entry], found: &[Entry], index: usize) {
    assert_eq!(found.len(), expected.len(), "entries at step {index}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found == expected, "step {index}: {:?} is stored where {:?} was", found.0, expected.0);
    }
}
