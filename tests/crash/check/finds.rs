//! Tests of the checker itself: it finds no faults in an intact archive, and in a spoilt one exactly those that were
//! put there.

use std::sync::Arc;

use dateline::internals::archive::request::WriteMode;
use dateline::internals::archive::{Archive, BatchError, Options};
use dateline::internals::clock::SystemClock;

use super::found::Found;
use super::jobs::{End, jobs};
use super::{Care, Fault, Verdict, examine, judge};
use crate::dice::Dice;
use crate::told::{Answer, Line};
use crate::work::Work;

/// An archive in memory after a writer's work, and what the writer reported.
async fn worked_on() -> (Archive, Vec<Line>) {
    let archive = Archive::in_memory_with(&Options::default(), Arc::new(SystemClock)).unwrap();
    let mut told = Vec::new();
    for writer in 0..2 {
        let mut work = Work::new((11, 0, writer), (2, 0));
        for number in 0..60 {
            let (job, wanted) = (writer << 24 | number, work.job());
            let operations = wanted.iter().map(crate::wanted::Wanted::operation).collect();
            told.push(Line::Asked { job, wanted });
            told.push(match archive.write(operations, WriteMode::Commit).await {
                Ok(written) => Line::Receipt { job, answers: written.iter().map(Answer::of).collect() },
                Err(BatchError { error, .. }) => Line::Refused { job, reason: error.to_string() },
            });
        }
    }
    (archive, told)
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The faults that the checker finds after `spoil` has changed the reports or the archive's contents.
fn faults(spoil: impl FnOnce(&mut Vec<Line>, &mut Found)) -> Vec<Fault> {
    block_on(async {
        let (archive, mut told) = worked_on().await;
        let mut found = Found::read(&archive, 0, &mut Dice::new(1)).await.unwrap();
        spoil(&mut told, &mut found);
        let mut verdict = Verdict::default();
        judge(&told, &found, &mut verdict);
        verdict.faults
    })
}

#[test]
fn an_intact_archive_has_no_faults() {
    block_on(async {
        let (archive, told) = worked_on().await;
        let verdict = examine(&archive, &told, Care::ALL, &mut Dice::new(1)).await;
        assert_eq!(verdict.faults, []);
        assert!(verdict.acknowledged > 100 && verdict.reads > 100, "{verdict:?}");
    });
}

/// The end of the log is cut off, and the tail hides the loss.
#[test]
fn a_lost_acknowledgement_is_found() {
    let faults = faults(|_, found| {
        let last = found.log.pop().unwrap();
        let before = found.log.last().unwrap();
        (found.tail.next_seq, found.tail.log_digest) = (last.seq, before.log_digest);
        found.tail.archive_time = Some(before.entry.archive_time);
    });
    assert!(faults.iter().any(|fault| matches!(fault, Fault::Lost(_))), "{faults:?}");
}

/// The log ends inside a batch that was never acknowledged.
#[test]
fn a_torn_batch_is_found() {
    let faults = faults(|told, found| {
        let torn =
            jobs(told).into_iter().rfind(|job| job.wanted.len() > 1 && matches!(job.end, End::Receipt(_))).unwrap();
        let (number, End::Receipt(answers)) = (torn.number, torn.end) else { unreachable!() };
        let end = usize::try_from(answers[0].snapshot.next_seq).unwrap() - 1;
        let asked = told.iter().position(|line| matches!(line, Line::Asked { job, .. } if *job == number)).unwrap();
        told.truncate(asked + 1);
        found.log.truncate(end);
        let last = found.log.last().unwrap();
        (found.tail.next_seq, found.tail.log_digest) = (last.seq.next(), last.log_digest);
        found.tail.archive_time = Some(last.entry.archive_time);
    });
    assert!(matches!(&faults[..], [Fault::Torn(_)]), "{faults:?}");
}

#[test]
fn a_changed_text_is_found() {
    let faults = faults(|_, found| {
        let content = found.contents.values_mut().next().unwrap();
        content.headline.push('!');
    });
    assert!(!faults.is_empty() && faults.iter().all(|fault| matches!(fault, Fault::Changed(_))), "{faults:?}");
}

#[test]
fn a_changed_original_is_found() {
    let faults = faults(|_, found| {
        let original = found.originals.values_mut().next().unwrap();
        *original = original.slice(1..);
    });
    assert!(!faults.is_empty() && faults.iter().all(|fault| matches!(fault, Fault::Changed(_))), "{faults:?}");
}

/// A change differs from what was written, while the log digests are unchanged.
#[test]
fn a_changed_change_is_found() {
    let faults = faults(|_, found| found.log[5].entry.reason.push('!'));
    assert!(faults.iter().any(|fault| matches!(fault, Fault::Broken(_))), "{faults:?}");
}

/// The subscription that was acknowledged is missing.
#[test]
fn a_lost_position_is_found() {
    let faults = faults(|told, _| told.push(Line::Subscription { id: "index".to_owned(), epoch: 1, next_seq: 0 }));
    assert!(matches!(&faults[..], [Fault::Lost(_)]), "{faults:?}");
}
