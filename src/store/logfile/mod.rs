//! Log files, the format of backups: a run of changes with their contents and originals, readable without an engine.
//!
//! docs/FORMAT.md specifies the bytes: a line that identifies the file, then frames, each with a checksum over its
//! number in the file, kind, length and payload. A header comes first, then segments of about [`SEGMENT_BYTES`], then
//! an end. Reading and writing each need memory for one segment, however long the log is.
//!
//! [`LogReader`] checks everything it returns: each frame's checksum, that frames and changes follow one another
//! without gaps, and the log digest after each change. It does not check contents and originals against their digests;
//! that is up to the caller that unpacks them.

mod error;
mod frame;
mod messages;
mod read;
mod source;
mod write;

pub use self::error::LogFileError;
pub use self::read::LogReader;
pub use self::source::FramePosition;
pub use self::write::LogWriter;
use super::subscription::SubscriptionRecord;
use crate::model::{ExpungeRegister, LogDigest, Seq, Snapshot, SubscriptionId, Timestamp};

/// The version of the log file format that this code writes, and the highest that it reads.
pub const LOG_FILE_VERSION: u32 = 1;
/// A segment ends with the change that brings it to at least this many bytes before compression. It exceeds this by
/// less than the size of that change.
pub const SEGMENT_BYTES: usize = 1 << 20;
/// The maximum length that a frame or a segment's records may declare, in bytes. The largest change with its content
/// and original is smaller. A greater length counts as damage, and no memory is allocated for it.
const DECLARED_BYTES_MAX: u64 = 640 << 20;

/// The header of a log file: what the file contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHeader {
    /// The version of the archive's storage format.
    pub format_version: u32,
    /// The id of the archive, which a restored archive keeps.
    pub archive_id: [u8; 16],
    /// The position of the first change.
    pub first_seq: Seq,
    /// The log digest below `first_seq`.
    pub first_log_digest: LogDigest,
    /// The snapshot after the last change.
    pub end: Snapshot,
    /// When writing began, by the archive's clock.
    pub create_time: Timestamp,
    /// The program that wrote the file, such as `dateline 0.1.0`.
    pub writer: String,
    /// The number of commits since the archive was created, when writing began.
    pub commits: u64,
    /// The archive's register of destructions, when writing began.
    pub register: ExpungeRegister,
}

impl LogHeader {
    /// The number of changes. A file without changes still has the state in its end frame.
    pub fn changes(&self) -> u64 {
        self.end.next_seq.0.saturating_sub(self.first_seq.0)
    }
}

/// The end of a log file: the state that the log does not record, as it was when the file was finished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogEnd {
    /// The closed time: no later change may get an archive time at or before it.
    pub closed_time: Option<Timestamp>,
    /// The durable subscriptions. Their positions may be after the end of the file.
    pub subscriptions: Vec<(SubscriptionId, SubscriptionRecord)>,
}
