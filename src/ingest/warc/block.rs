//! Reads the block of a record: the bytes after its header.

use std::io::{self, BufRead, Seek};

use super::VERSION;
use super::input::Input;
use crate::ingest::DOCUMENT_BYTES_MAX;

/// Maximum number of bytes kept of a block: the largest page and its HTTP header.
const KEPT_BYTES_MAX: usize = DOCUMENT_BYTES_MAX + (64 << 10);

/// A block as read.
pub(super) struct Block {
    /// The block, up to the limit; empty if it is not wanted.
    pub(super) kept: Vec<u8>,
    /// Number of bytes read. This is less than the header states if the file ends early, or if a gzip member starts
    /// with another record.
    pub(super) bytes: u64,
}

/// Reads a block of `length` bytes, and keeps the bytes only if it is wanted.
pub(super) fn read<R: BufRead + Seek>(input: &mut Input<R>, length: u64, is_wanted: bool) -> io::Result<Block> {
    let mut block = Block { kept: Vec::new(), bytes: 0 };
    while block.bytes < length {
        let left = usize::try_from(length - block.bytes).unwrap_or(usize::MAX);
        let chunk = input.fill()?;
        if chunk.is_empty() {
            break;
        }
        if input.is_at_member() && input.peek(VERSION.len())?.starts_with(VERSION) {
            break;
        }
        let chunk = input.fill()?;
        let part = chunk.get(..left).unwrap_or(chunk);
        if is_wanted {
            let room = KEPT_BYTES_MAX - block.kept.len();
            block.kept.extend_from_slice(part.get(..room).unwrap_or(part));
        }
        let part = part.len();
        block.bytes += part as u64;
        input.consume(part);
    }
    Ok(block)
}
