//! Acknowledged requests that are made again: each is answered as it was the first time, and writes nothing.

use dateline::archive::Archive;

use super::Faults;
use super::promises::Kept;
use crate::acknowledged::Outcome;

/// How many are made again.
const REPLAYS: usize = 8;

/// Repeats some requests, old and new. Answers how many.
pub(super) async fn check(archive: &Archive, kept: &[Kept<'_>], faults: &mut Faults) -> usize {
    let with_id: Vec<_> = kept.iter().filter(|kept| kept.alone && kept.step.request.is_some()).collect();
    let step = (with_id.len() / REPLAYS).max(1);
    // The newest are those that a crash might have lost.
    let chosen: Vec<_> = with_id.iter().rev().step_by(step).take(REPLAYS).collect();
    for kept in &chosen {
        repeat(archive, kept, faults).await;
    }
    chosen.len()
}

async fn repeat(archive: &Archive, kept: &Kept<'_>, faults: &mut Faults) {
    let (seq, answer) = (kept.change.seq, kept.answer);
    let before = archive.tail();
    match archive.write(vec![kept.step.operation()], false).await.as_deref() {
        Ok([again]) => {
            let is_same = again.replayed
                && again.stamp.next_seq == seq.next()
                && again.revision.get() == answer.revision
                && again.article.to_string() == answer.article
                && Outcome::of(again.outcome) == answer.outcome;
            faults
                .expect(is_same, || format!("the request of change {seq} is answered anew: {again:?}, not {answer:?}"));
        }
        answered => faults.find(format!("the request of change {seq} is not answered again: {answered:?}")),
    }
    faults.expect(archive.tail() == before, || format!("the request of change {seq} was written again"));
}
