//! Acknowledged jobs are in the log. A job without a reply is there completely or not at all.

use std::collections::HashMap;

use dateline::model::{Change, ContentDigest, LogKind};

use super::found::Found;
use super::jobs::{End, Job, jobs};
use super::whole::is_whole;
use super::{Fault, Verdict};
use crate::told::{Answer, Done, Line, Stamp};
use crate::wanted::{Wanted, What};

/// Looks in the log for each job that the child reported.
pub(super) fn acknowledged_is_there(told: &[Line], found: &Found, verdict: &mut Verdict) {
    for line in told {
        match line {
            Line::Failed(reason) => verdict.faults.push(Fault::Broken(reason.clone())),
            Line::NotOpened(reason) => verdict.faults.push(Fault::NotOpened(reason.clone())),
            Line::Known { snapshot, .. } => verdict.faults.extend(snapshot_holds(snapshot, found)),
            // Jobs are checked below, and subscriptions in `subscribed`.
            Line::Asked { .. } | Line::Receipt { .. } | Line::Refused { .. } => {}
            Line::SubscriptionAsked { .. } | Line::Subscription { .. } => {}
            Line::ParkAsked { .. } | Line::Parked { .. } => {}
            Line::Opening | Line::Opened | Line::Closed => {}
        }
    }
    let mut by_request: HashMap<&str, &Change> = HashMap::new();
    for change in &found.log {
        if let Some((id, _)) = &change.entry.request
            && let Some(twice) = by_request.insert(id.as_str(), change)
        {
            verdict.faults.push(Fault::Broken(format!("{id} was done at both {} and {}", twice.seq, change.seq)));
        }
    }
    let mut asked = 0;
    for job in jobs(told) {
        asked += job.wanted.iter().filter(|wanted| present(wanted, &by_request).is_some()).count();
        verdict.faults.extend(job_is_there(&job, found, &by_request));
        if let End::Receipt(answers) = job.end {
            verdict.acknowledged += answers.len() as u64;
        }
    }
    if asked != by_request.len() {
        verdict.faults.push(Fault::Broken(format!("the log has {} of {asked} requests", by_request.len())));
    }
}

fn present<'a>(wanted: &Wanted, by_request: &HashMap<&str, &'a Change>) -> Option<&'a Change> {
    wanted.request.as_deref().and_then(|id| by_request.get(id).copied())
}

fn job_is_there(job: &Job<'_>, found: &Found, by_request: &HashMap<&str, &Change>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let there: Vec<&Change> = job.wanted.iter().filter_map(|wanted| present(wanted, by_request)).collect();
    let (with_id, number) = (job.wanted.iter().filter(|wanted| wanted.request.is_some()).count(), job.number);
    if !there.is_empty() && there.len() < with_id {
        faults.push(Fault::Torn(format!("the log has {} of the {with_id} operations of job {number}", there.len())));
    }
    if with_id > 1 && !is_one_batch(&there) {
        faults.push(Fault::Torn(format!("the operations of job {number} are not one atomic batch")));
    }
    for wanted in job.wanted {
        let Some(change) = present(wanted, by_request) else { continue };
        if change.seq.0 < job.after.0 || change.entry.archive_time.micros() <= job.after.1 {
            faults.push(Fault::Broken(format!("{} of job {number} precedes an earlier answer", change.seq)));
        }
        faults.extend(is_whole(change, wanted, found));
    }
    match job.end {
        End::Unknown => {}
        End::Refused if there.is_empty() => {}
        End::Refused => faults.push(Fault::Broken(format!("job {number} was rejected, but is in the log"))),
        End::Receipt(answers) => {
            for (wanted, answer) in job.wanted.iter().zip(answers) {
                let change = present(wanted, by_request);
                faults.extend(answer_holds(job, (wanted, answer), change, found));
            }
        }
    }
    faults
}

/// Whether the changes are adjacent, and the batch begins with the first of them.
fn is_one_batch(there: &[&Change]) -> bool {
    let first = there.first().map(|first| first.seq);
    there.iter().all(|change| Some(change.entry.batch_first) == first)
        && there.windows(2).all(|pair| pair[0].seq.next() == pair[1].seq)
}

/// Whether the reply to an operation agrees with the log.
fn answer_holds(
    job: &Job<'_>,
    (wanted, answer): (&Wanted, &Answer),
    change: Option<&Change>,
    found: &Found,
) -> Vec<Fault> {
    let mut faults = snapshot_holds(&answer.snapshot, found);
    if !faults.is_empty() {
        return faults;
    }
    let of = |text: &str| format!("job {}, {wanted:?}, {answer:?}: {text}", job.number);
    let made = found.log.get(usize::try_from(answer.made).unwrap());
    let made_so = made.is_some_and(|made| {
        made.entry.new_revision.is_some()
            && made.entry.revision.map(dateline::model::RevisionNumber::get) == Some(answer.revision)
            && made.entry.name.to_string() == answer.article
    });
    if !made_so {
        faults.push(Fault::Changed(of("the change that made the revision did not")));
    }
    // If nothing was written, or no operation has an id, the job is a single operation, at the end of its snapshot.
    let at_end = answer.snapshot.next_seq.checked_sub(1).and_then(|last| found.log.get(usize::try_from(last).unwrap()));
    let change = match (change, wanted.request.is_some(), answer.outcome) {
        (Some(change), ..) => Some(change),
        (None, true, _) => {
            faults.push(Fault::Lost(of("the change is gone")));
            None
        }
        (None, false, Done::Created | Done::Revised) => at_end,
        (None, false, Done::Unchanged) => None,
    };
    if let Some(change) = change {
        if change.entry.name.to_string() != answer.article || outcome(change.entry.kind) != answer.outcome {
            faults.push(Fault::Changed(of("the change is not what was answered")));
        }
        faults.extend(is_whole(change, wanted, found));
    } else if answer.outcome == Done::Unchanged && !is_recorded(wanted, answer, found) {
        faults.push(Fault::Lost(of("what was said to be there already is not")));
    }
    faults
}

fn outcome(kind: LogKind) -> Done {
    match kind {
        LogKind::Created => Done::Created,
        LogKind::Revised
        | LogKind::RolledBack
        | LogKind::Withdrawn
        | LogKind::Reinstated
        | LogKind::Labelled
        | LogKind::Absent
        | LogKind::UrlEnded
        | LogKind::UrlBound => Done::Revised,
        LogKind::Sighted
        | LogKind::Repeated
        | LogKind::StateRepeated
        | LogKind::Aliased
        | LogKind::LabelsRepeated
        | LogKind::AbsenceRepeated
        | LogKind::UrlsRepeated => Done::Unchanged,
        LogKind::Expunged => panic!("nothing is destroyed"),
    }
}

/// Checks that the log at a snapshot, and everything before it, is unchanged.
fn snapshot_holds(snapshot: &Stamp, found: &Found) -> Vec<Fault> {
    let end = found.log.len() as u64;
    if snapshot.next_seq > end {
        return vec![Fault::Lost(format!("{} changes were acknowledged, but the log has {end}", snapshot.next_seq))];
    }
    let Some(last) = snapshot.next_seq.checked_sub(1) else { return Vec::new() };
    let last = &found.log[usize::try_from(last).unwrap()];
    let same =
        last.log_digest.0 == snapshot.log_digest && Some(last.entry.archive_time.micros()) == snapshot.archive_time;
    if same { Vec::new() } else { vec![Fault::Changed(format!("the log below {} has changed", snapshot.next_seq))] }
}

/// Whether the same observation or state change is recorded at exactly this observe time.
fn is_recorded(wanted: &Wanted, answer: &Answer, found: &Found) -> bool {
    let mut at_the_time = found.log.iter().filter(|change| {
        change.entry.observe_time == wanted.observe_time() && change.entry.name.to_string() == answer.article
    });
    let digest_of = |change: &Change| {
        let mut made =
            found.log.iter().filter(|made| made.entry.name == change.entry.name && made.entry.new_revision.is_some());
        let made = made.find(|made| made.entry.revision == change.entry.revision);
        made.and_then(|made| made.entry.new_revision.as_ref()).map(|made| made.digest)
    };
    match &wanted.what {
        What::Mark { withdrawn: true } => at_the_time.any(|change| change.entry.kind == LogKind::Withdrawn),
        What::Mark { withdrawn: false } => at_the_time.any(|change| change.entry.kind == LogKind::Reinstated),
        What::Observe { text, .. } => {
            let digest = ContentDigest::of(&text.content());
            at_the_time.any(|change| digest_of(change) == Some(digest))
        }
        What::Rollback(_) => at_the_time.any(|change| change.entry.revision.is_some()),
    }
}
