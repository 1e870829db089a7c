//! Options of exports.

use super::encoding::Encoding;

/// What JSON Lines contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinesOptions {
    /// Whether only what is in force is exported, instead of the whole history.
    pub newest: bool,
    /// Whether the kept originals are included.
    pub originals: bool,
    /// The compression.
    pub encoding: Encoding,
}
