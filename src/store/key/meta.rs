//! name → a fact about the archive as a whole.

use super::Kind;

/// A fact about the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaKey {
    /// The version of the storage format, a big-endian u32.
    FormatVersion,
    /// The archive's id, 16 bytes.
    ArchiveId,
    /// The closed time, a big-endian i64 of microseconds since 1970: no later commit gets an archive time at or before
    /// it.
    ClosedTime,
    /// The number of commits so far, a big-endian u64.
    Commits,
    /// Four random bytes that a restore draws, so that what a restored archive signs is not taken for the log that was
    /// lost. Absent if the archive was never restored.
    LogEpoch,
    /// When text was destroyed that the files of the database still have, a big-endian i64 of microseconds since 1970.
    /// Absent once the database was compacted after that.
    DestructionPending,
}

impl MetaKey {
    /// Encodes the key: the kind byte, then the name of the fact.
    pub fn encode(self) -> Vec<u8> {
        let name: &[u8] = match self {
            Self::FormatVersion => b"format-version",
            Self::ArchiveId => b"archive-id",
            Self::ClosedTime => b"clock-floor",
            Self::Commits => b"commits",
            Self::LogEpoch => b"log-epoch",
            Self::DestructionPending => b"destruction-pending",
        };
        let mut key = vec![Kind::Meta as u8];
        key.extend_from_slice(name);
        key
    }
}
