//! What a child tells: what it asks before it asks it, and what it was answered after that. A line each, in JSON.

use std::io::Write;

use dateline::archive::request::{Outcome, Receipt};
use dateline::model::{Snapshot, Timestamp};
use serde::{Deserialize, Serialize};

use crate::wanted::Wanted;

/// One thing told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Line {
    /// It is about to open the archive.
    Opening,
    /// The archive is open.
    Opened,
    /// The archive would not open.
    NotOpened(String),
    /// It is about to ask for operations, all or none.
    Asked { job: u64, wanted: Vec<Wanted> },
    /// They were done.
    Receipt { job: u64, answers: Vec<Answer> },
    /// They were refused, with the reason.
    Refused { job: u64, reason: String },
    /// What never is to happen did.
    Failed(String),
    /// It is about to ask that a subscription be made, or attached to, or acknowledged up to a position.
    SubscriptionAsked { id: String, next_seq: u64 },
    /// What a subscription was answered to be.
    Subscription { id: String, epoch: u64, next_seq: u64 },
    /// A read was answered as known at an instant that was the present.
    Known { at: i64, snapshot: Stamp },
    /// The archive is closed.
    Closed,
}

/// The answer to an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) article: String,
    pub(crate) at: i64,
    pub(crate) outcome: Done,
    pub(crate) revision: u32,
    /// The position of the change that made the revision.
    pub(crate) made: u64,
    pub(crate) replayed: bool,
    pub(crate) snapshot: Stamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Done {
    Created,
    Revised,
    Unchanged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) next_seq: u64,
    pub(crate) archive_time: Option<i64>,
    pub(crate) log_digest: [u8; 16],
}

impl Line {
    /// Reads the whole lines of what a child said; what its test harness says is passed over.
    pub(crate) fn read_all(said: &[u8]) -> Vec<Self> {
        let lines = said.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    /// Says it, in one piece.
    pub(crate) fn say(&self) {
        let mut line = serde_json::to_vec(self).unwrap();
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        // Nobody listens any more: the parent is gone, and so is the reason to go on.
        if out.write_all(&line).and_then(|()| out.flush()).is_err() {
            std::process::exit(1);
        }
    }
}

impl Answer {
    pub(crate) fn of(written: &Receipt) -> Self {
        Self {
            article: written.article.to_string(),
            at: written.observe_time.micros(),
            outcome: match written.outcome {
                Outcome::Created => Done::Created,
                Outcome::Revised => Done::Revised,
                Outcome::Unchanged => Done::Unchanged,
            },
            revision: written.revision.get(),
            made: written.made.seq.0,
            replayed: written.replayed,
            snapshot: Stamp::of(&written.snapshot),
        }
    }
}

impl Stamp {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let archive_time = snapshot.archive_time.map(Timestamp::micros);
        Self { next_seq: snapshot.next_seq.0, archive_time, log_digest: snapshot.log_digest.0 }
    }
}
