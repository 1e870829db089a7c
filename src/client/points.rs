//! Creates the points at which reads are answered.

use crate::model::Timestamp;
use crate::wire::{pb, timestamp_to_pb};

/// A point of both time axes: `at` on the observe axis, `known_at` on the archive axis. An axis that is `None` means
/// its end; the result is `None` if both are.
pub fn as_of(at: Option<Timestamp>, known_at: Option<Timestamp>) -> Option<pb::AsOf> {
    (at.is_some() || known_at.is_some()).then(|| pb::AsOf {
        observe_time: at.map(timestamp_to_pb),
        known_at: known_at.map(|time| pb::as_of::KnownAt::ArchiveTime(timestamp_to_pb(time))),
        log_digest: Vec::new(),
    })
}

/// The point that repeats another read: the snapshot of that read on the archive axis, and `at` on the observe axis.
/// `None` without a snapshot.
pub fn as_of_snapshot(snapshot: Option<&pb::Snapshot>, at: Option<Timestamp>) -> Option<pb::AsOf> {
    snapshot.map(|snapshot| pb::AsOf {
        observe_time: at.map(timestamp_to_pb),
        known_at: Some(pb::as_of::KnownAt::NextSeq(snapshot.next_seq)),
        log_digest: snapshot.log_digest.clone(),
    })
}
