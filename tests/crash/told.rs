//! The reports of a child: each request before it is sent, and each reply. One line of JSON per report.

use std::io::Write;

use dateline::internals::archive::request::{Outcome, Receipt};
use dateline::model::{Snapshot, Timestamp};
use serde::{Deserialize, Serialize};

use crate::wanted::Wanted;

/// One report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Line {
    /// It is about to open the archive.
    Opening,
    /// The archive is open.
    Opened,
    /// The archive would not open.
    NotOpened(String),
    /// It is about to send operations that are carried out all or none.
    Asked { job: u64, wanted: Vec<Wanted> },
    /// The operations were carried out.
    Receipt { job: u64, answers: Vec<Answer> },
    /// The operations were rejected, for this reason.
    Refused { job: u64, reason: String },
    /// Something happened that must never happen.
    Failed(String),
    /// It is about to create a subscription, attach to it, or acknowledge it up to a position.
    SubscriptionAsked { id: String, next_seq: u64 },
    /// It is about to park a change, or to resolve it.
    ParkAsked { id: String, seq: u64 },
    /// A change is parked, or no longer.
    Parked { id: String, seq: u64, parked: bool },
    /// The state of a subscription, as returned.
    Subscription { id: String, epoch: u64, next_seq: u64 },
    /// The snapshot of a read as known at an instant that was the present.
    Known { at: i64, snapshot: Stamp },
    /// The archive is closed.
    Closed,
}

/// The reply to an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) article: String,
    pub(crate) at: i64,
    pub(crate) outcome: Done,
    pub(crate) revision: u32,
    /// The position of the change that created the revision.
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
    /// Reads the complete lines of a child's output, and skips those of its test harness.
    pub(crate) fn read_all(said: &[u8]) -> Vec<Self> {
        let lines = said.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    /// Prints the report, in one write.
    pub(crate) fn say(&self) {
        let mut line = serde_json::to_vec(self).unwrap();
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        // The parent has gone, so there is no reason to continue.
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
            made: written.created_by.seq.0,
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
