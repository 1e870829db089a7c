//! Reads the block of a record: the bytes after its header.

use std::io::{self, BufRead, Seek};

use super::VERSION;
use super::input::Input;
use crate::ingest::DOCUMENT_BYTES_MAX;

/// Maximum number of bytes kept of a block: the largest page and its HTTP header.
const KEPT_BYTES_MAX: usize = DOCUMENT_BYTES_MAX + (64 << 10);

/// A block as read.
pub(super) struct RecordBlock {
    /// The block, up to the limit; empty if it was skipped.
    pub(super) kept: Vec<u8>,
    /// Number of bytes read. This is less than the header states if the file ends early, or if a gzip member starts
    /// with another record.
    pub(super) bytes: u64,
}

/// Reads a block of `length` bytes.
pub(super) fn read<R: BufRead + Seek>(input: &mut Input<R>, length: u64) -> io::Result<RecordBlock> {
    let mut kept: Vec<u8> = Vec::new();
    let bytes = consume(input, length, |part| {
        let room = KEPT_BYTES_MAX - kept.len();
        kept.extend_from_slice(part.get(..room).unwrap_or(part));
    })?;
    Ok(RecordBlock { kept, bytes })
}

/// Reads a block of `length` bytes without keeping any of them.
pub(super) fn skip<R: BufRead + Seek>(input: &mut Input<R>, length: u64) -> io::Result<RecordBlock> {
    Ok(RecordBlock { kept: Vec::new(), bytes: consume(input, length, |_| {})? })
}

/// Passes up to `length` bytes to `keep`, and returns their number. Stops early where the file ends or a gzip member
/// starts with another record.
fn consume<R: BufRead + Seek>(input: &mut Input<R>, length: u64, mut keep: impl FnMut(&[u8])) -> io::Result<u64> {
    let mut bytes = 0;
    while bytes < length {
        let missing = usize::try_from(length - bytes).unwrap_or(usize::MAX);
        let chunk = input.fill()?;
        if chunk.is_empty() {
            break;
        }
        if input.is_at_member() && input.peek(VERSION.len())?.starts_with(VERSION) {
            break;
        }
        let chunk = input.fill()?;
        let part = chunk.get(..missing).unwrap_or(chunk);
        keep(part);
        let part = part.len();
        bytes += part as u64;
        input.consume(part);
    }
    Ok(bytes)
}
