//! What was acknowledged, one by one, against the log.

use std::collections::BTreeMap;

use dateline::archive::Archive;
use dateline::model::{AsOf, Change, ChangeKind, Knowledge, Seq, SubscriptionId};

use super::Faults;
use crate::acknowledged::{Acknowledged, Answer, Outcome, Stamp};
use crate::asked::{Step, What};

/// What the fault begins with that something acknowledged is not there.
pub(crate) const LOST: &str = "lost";

/// An operation that was acknowledged, and its change, which is there.
pub(super) struct Kept<'a> {
    pub(super) step: &'a Step,
    pub(super) answer: &'a Answer,
    pub(super) change: &'a Change,
    /// Whether it was asked for by itself.
    pub(super) alone: bool,
}

/// Checks each acknowledgement, and answers the operations whose changes are as they were told.
pub(super) async fn check<'a>(
    archive: &Archive,
    changes: &'a [Change],
    acknowledged: &'a [Acknowledged],
    faults: &mut Faults,
) -> Vec<Kept<'a>> {
    let mut kept = Vec::new();
    let mut subscriptions = BTreeMap::new();
    for told in acknowledged {
        match told {
            Acknowledged::Opened { stamp } => check_stamp(changes, stamp, faults),
            Acknowledged::Written { asked, answers, stamp } => {
                check_stamp(changes, stamp, faults);
                let each = asked.iter().zip(answers);
                let alone = asked.len() == 1;
                kept.extend(each.filter_map(|(step, answer)| find(changes, (step, answer, alone), faults)));
            }
            Acknowledged::Subscribed { id, lease, next_seq } => {
                let (lease_told, next_seq_told) = subscriptions.entry(id).or_insert((0, 0));
                *lease_told = (*lease).max(*lease_told);
                *next_seq_told = (*next_seq).max(*next_seq_told);
            }
            Acknowledged::ClosedUntil { archive_time, stamp } => {
                check_stamp(changes, stamp, faults);
                check_closed(changes, *archive_time, stamp, faults);
            }
        }
    }
    for (id, (lease, next_seq)) in subscriptions {
        check_subscription(archive, id, (lease, next_seq), faults).await;
    }
    check_cuts(archive, acknowledged, faults).await;
    kept
}

fn check_stamp(changes: &[Change], Stamp { next_seq, history }: &Stamp, faults: &mut Faults) {
    let Some(last) = next_seq.checked_sub(1) else { return };
    match usize::try_from(last).ok().and_then(|last| changes.get(last)) {
        None => faults.find(format!("{LOST}: the log was told to reach {next_seq}, and ends at {}", changes.len())),
        Some(change) => {
            faults.expect(change.history.0 == *history, || format!("the log has another history below {next_seq}"));
        }
    }
}

/// The change of an operation, if it is as it was told.
fn find<'a>(
    changes: &'a [Change],
    (step, answer, alone): (&'a Step, &'a Answer, bool),
    faults: &mut Faults,
) -> Option<Kept<'a>> {
    let seq = answer.seq?;
    let Some(change) = usize::try_from(seq).ok().and_then(|seq| changes.get(seq)) else {
        faults.find(format!("{LOST}: change {seq} of {} is not there: {step:?}", answer.article));
        return None;
    };
    let entry = &change.entry;
    let request = entry.request.as_ref().map(|(id, _)| id.as_str());
    let is_same = entry.name.to_string() == answer.article
        && entry.observe_time.micros() == answer.observe_time
        && answer.observe_time == step.at
        && request == step.request.as_deref()
        && entry.revision.is_none_or(|revision| revision.get() == answer.revision)
        && is_kind(entry.kind, step, answer.outcome);
    if !is_same {
        faults.find(format!("{LOST}: change {seq} is {entry:?}; it was told to be {answer:?} for {step:?}"));
        return None;
    }
    Some(Kept { step, answer, change, alone })
}

/// Whether a change of this kind answers to this operation with this outcome.
fn is_kind(kind: ChangeKind, step: &Step, outcome: Outcome) -> bool {
    match kind {
        ChangeKind::Created => outcome == Outcome::Created && matches!(step.what, What::Observe { .. }),
        ChangeKind::Revised => outcome == Outcome::Revised && matches!(step.what, What::Observe { .. }),
        ChangeKind::RolledBack => outcome == Outcome::Revised && matches!(step.what, What::Rollback(_)),
        ChangeKind::Sighted | ChangeKind::Repeated => {
            outcome == Outcome::Unchanged && matches!(step.what, What::Observe { .. } | What::Rollback(_))
        }
        ChangeKind::Aliased => outcome == Outcome::Unchanged && matches!(step.what, What::Observe { .. }),
        ChangeKind::Withdrawn => outcome == Outcome::Revised && matches!(step.what, What::Mark { withdrawn: true, .. }),
        ChangeKind::Reinstated => {
            outcome == Outcome::Revised && matches!(step.what, What::Mark { withdrawn: false, .. })
        }
        ChangeKind::MarkRepeated => outcome == Outcome::Unchanged && matches!(step.what, What::Mark { .. }),
    }
}

/// A read as known until an instant was answered from all up to its stamp: what came later is archived later.
fn check_closed(changes: &[Change], archive_time: i64, stamp: &Stamp, faults: &mut Faults) {
    let Ok(end) = usize::try_from(stamp.next_seq) else { return };
    let is_after = |change: &Change| change.entry.archive_time.micros() > archive_time;
    if let Some(first) = changes.get(end) {
        faults.expect(is_after(first), || {
            format!("change {} is archived at or before {archive_time}, which was closed before", first.seq)
        });
    }
    if let Some(last) = end.checked_sub(1).and_then(|last| changes.get(last)) {
        faults.expect(!is_after(last), || format!("change {} is archived after {archive_time}", last.seq));
    }
}

async fn check_subscription(archive: &Archive, id: &str, (lease, next_seq): (u64, u64), faults: &mut Faults) {
    match archive.subscription(SubscriptionId::parse(id).unwrap()).await {
        Ok(found) => faults.expect(found.record.lease >= lease && found.record.next_seq >= Seq(next_seq), || {
            format!("{LOST}: {id} was told lease {lease} and position {next_seq}, and has {:?}", found.record)
        }),
        Err(error) => faults.find(format!("{LOST}: {error}")),
    }
}

/// How many stamps at the end are also read at.
const CUTS: usize = 50;

/// A read at a stamp that was told must be answered from exactly that.
async fn check_cuts(archive: &Archive, acknowledged: &[Acknowledged], faults: &mut Faults) {
    for told in acknowledged.iter().rev().take(CUTS) {
        let stamp = match told {
            Acknowledged::Opened { stamp }
            | Acknowledged::Written { stamp, .. }
            | Acknowledged::ClosedUntil { stamp, .. } => stamp,
            Acknowledged::Subscribed { .. } => continue,
        };
        let knowledge = Knowledge::NextSeq { next_seq: stamp.next_seq(), history: Some(stamp.history()) };
        match archive.cut(AsOf { observe_time: None, knowledge }, Seq::ZERO).await {
            Ok(cut) => faults.expect(Stamp::of(&cut.stamp) == *stamp, || format!("a read at {stamp:?} is at {cut:?}")),
            Err(error) => faults.find(format!("{LOST}: a read at {stamp:?} fails: {error}")),
        }
    }
}
