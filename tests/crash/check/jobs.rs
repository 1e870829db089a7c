//! Joins the reports of a child into jobs: each with its reply, and with what was acknowledged before it was sent.

use std::collections::BTreeMap;

use crate::told::{Answer, Line};
use crate::wanted::Wanted;

/// Operations that were sent together.
#[derive(Clone, Debug)]
pub(super) struct Job<'a> {
    pub(super) number: u64,
    pub(super) wanted: &'a [Wanted],
    pub(super) end: End<'a>,
    /// Position and archive time that were acknowledged before the job was sent; the job's changes must come after
    /// both.
    pub(super) after: (u64, i64),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum End<'a> {
    /// The child was killed before it reported the outcome.
    Unknown,
    Receipt(&'a [Answer]),
    Refused,
}

/// The jobs, in the order in which they were sent.
pub(super) fn jobs(told: &[Line]) -> Vec<Job<'_>> {
    let mut jobs: BTreeMap<u64, Job<'_>> = BTreeMap::new();
    let mut order = Vec::new();
    let mut after = (0, i64::MIN);
    for line in told {
        match line {
            Line::Asked { job, wanted } => {
                jobs.insert(*job, Job { number: *job, wanted, end: End::Unknown, after });
                order.push(*job);
            }
            Line::Receipt { job, answers } => {
                for answer in answers {
                    raise(&mut after, answer.snapshot.next_seq, answer.snapshot.archive_time);
                }
                jobs.get_mut(job).unwrap().end = End::Receipt(answers);
            }
            Line::Refused { job, .. } => jobs.get_mut(job).unwrap().end = End::Refused,
            Line::Known { at, snapshot } => raise(&mut after, snapshot.next_seq, Some(*at)),
            Line::Opening
            | Line::Opened
            | Line::NotOpened(_)
            | Line::Failed(_)
            | Line::SubscriptionAsked { .. }
            | Line::Subscription { .. }
            | Line::ParkAsked { .. }
            | Line::Parked { .. }
            | Line::Closed => {}
        }
    }
    order.iter().filter_map(|number| jobs.remove(number)).collect()
}

fn raise(after: &mut (u64, i64), next_seq: u64, archive_time: Option<i64>) {
    after.0 = after.0.max(next_seq);
    after.1 = after.1.max(archive_time.unwrap_or(i64::MIN));
}
