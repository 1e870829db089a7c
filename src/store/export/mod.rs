//! The log's export: a run of changes with all that they brought, as one file that needs no engine to be read.
//!
//! It is what a backup is made of. docs/FORMAT.md has the bytes: a line that says what the file is, then frames, each
//! with a checksum over its place in the file, its kind, its length and its payload. A header comes first, then
//! segments of about [`SEGMENT_BYTES`], then an end. Both directions take memory for one segment, however long the log.
//!
//! What [`LogReader`] hands out was checked: each frame's checksum, that frames and changes follow one another without
//! a gap, and the running digest after each change. Contents and originals are checked against their digests by
//! whoever unpacks them.

mod error;
mod frame;
mod messages;
mod read;
mod source;
mod write;

pub use self::error::ExportError;
pub use self::read::LogReader;
pub use self::source::Place;
pub use self::write::LogWriter;
use super::subscription::SubscriptionRecord;
use crate::model::{LogDigest, Seq, Snapshot, SubscriptionId, Timestamp};

/// The version of the export that this code writes, and the highest that it reads.
pub const EXPORT_VERSION: u32 = 1;
/// A segment ends with the change that takes it to so many bytes before compression, so that only a change that is
/// larger by itself makes a larger one.
pub const SEGMENT_BYTES: usize = 1 << 20;
/// The most that a frame or a segment's records may say to have: more than the largest change takes with its content
/// and original. What says to have more is damaged, and nothing is set aside for it.
const LENGTH_MAX: u64 = 640 << 20;

/// What a file of the export holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHeader {
    /// The version of the archive's format on disk.
    pub format_version: u32,
    /// The archive's id.
    pub archive_id: [u8; 16],
    /// The position of the first change.
    pub first_seq: Seq,
    /// The running digest below it.
    pub first_log_digest: LogDigest,
    /// Where it ends: behind the last change.
    pub end: Snapshot,
    /// When it was begun.
    pub create_time: Timestamp,
    /// The program that wrote it.
    pub writer: String,
    /// How many commits the database counted then.
    pub commits: u64,
}

impl LogHeader {
    /// How many changes there are. A file without any has what stands at its end.
    pub fn changes(&self) -> u64 {
        self.end.next_seq.0.saturating_sub(self.first_seq.0)
    }
}

/// What stands at the end of a file: the state beside the log at that time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogEnd {
    /// No archive time at or before this is to be given to a later change.
    pub clock_floor: Option<Timestamp>,
    /// The durable subscriptions. Their positions may lie beyond the end of the file.
    pub subscriptions: Vec<(SubscriptionId, SubscriptionRecord)>,
}
