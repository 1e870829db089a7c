//! A request that was answered once is answered the same again.

use dateline::internals::archive::Archive;
use dateline::internals::archive::request::{Operation, WriteMode};
use dateline::model::{AsOf, KnownAt, Seq, Timestamp};

use super::Fault;
use super::jobs::{End, jobs};
use crate::dice::Dice;
use crate::told::{Answer, Line, Stamp};

/// How many operations are sent at once.
const TOGETHER: usize = 100;

/// Repeats acknowledged requests: the latest ones and some of the others. Nothing is written by that, even if one of
/// them is missing from the log.
pub(super) async fn requests_are_answered_again(
    archive: &Archive,
    told: &[Line],
    read_before: u64,
    dice: &mut Dice,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut asked: Vec<(Operation, Answer)> = Vec::new();
    for job in jobs(told) {
        let End::Receipt(answers) = job.end else { continue };
        for (wanted, answer) in job.wanted.iter().zip(answers) {
            let is_new = answer.snapshot.next_seq > read_before;
            if wanted.request.is_some() && (is_new || dice.percent(3)) {
                asked.push((wanted.operation_again(), Answer { replayed: true, ..answer.clone() }));
            }
        }
    }
    for asked in asked.chunks(TOGETHER) {
        let operations = asked.iter().map(|(operation, _)| operation.clone()).collect();
        match archive.write(operations, WriteMode::Validate).await {
            Err(failed) => {
                let answer = failed.failed_item.map(|index| &asked[index].1);
                faults.push(Fault::Lost(format!("repeated, {answer:?} is rejected: {failed}")));
            }
            Ok(written) => {
                for (written, (_, expected)) in written.iter().zip(asked) {
                    let answer = Answer::of(written);
                    if answer != *expected {
                        faults.push(Fault::Changed(format!("repeated, {expected:?} becomes {answer:?}")));
                    }
                }
            }
        }
    }
    faults
}

/// Repeats reads as known at earlier instants.
pub(super) async fn what_was_known_still_is(archive: &Archive, told: &[Line]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for line in told {
        let Line::Known { at, snapshot } = line else { continue };
        let known_at = KnownAt::ArchiveTime(Timestamp::from_micros(*at).unwrap());
        match archive.read_point(AsOf { observe_time: None, known_at }, Seq::ZERO).await {
            Ok(point) if Stamp::of(&point.snapshot) == *snapshot => {}
            Ok(point) => {
                faults.push(Fault::Changed(format!("as known at {at}: was {snapshot:?}, is now {:?}", point.snapshot)))
            }
            Err(error) => faults.push(Fault::Lost(format!("as known at {at}: {snapshot:?} became {error}"))),
        }
    }
    faults
}
