//! The frames of a log file. A frame is its kind (1 byte), the payload's length (4 bytes), the payload, and a CRC-32C
//! (4 bytes).
//!
//! The checksum covers the frame's number in the file (8 bytes, from 0, not written), then kind, length and payload. So
//! a swapped, repeated or missing frame is detected at the first frame that is out of place.

use super::DECLARED_BYTES_MAX;

/// The bytes of a frame before its payload: kind and length.
pub(super) const HEAD_BYTES: usize = 5;
pub(super) const CHECKSUM_BYTES: usize = 4;

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    Header = 1,
    Segment = 2,
    End = 3,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Header, Self::Segment, Self::End].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Appends to `bytes` the frame that has this number in its file. The payload must not be longer than
/// [`DECLARED_BYTES_MAX`], which the limits on input ensure.
pub(super) fn write(number: u64, kind: FrameKind, payload: &[u8], bytes: &mut Vec<u8>) {
    let head = head(kind, payload.len());
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(&checksum(number, &head, payload));
}

/// Decodes the bytes before a payload: the frame's kind and the payload's length.
pub(super) fn read_head(head: [u8; HEAD_BYTES]) -> Result<(FrameKind, u32), String> {
    let [kind, length @ ..] = head;
    let kind = FrameKind::from_byte(kind).ok_or_else(|| format!("unknown kind of frame {kind}"))?;
    let length = u32::from_be_bytes(length);
    if u64::from(length) > DECLARED_BYTES_MAX {
        return Err(format!("a frame of {length} bytes exceeds the maximum"));
    }
    Ok((kind, length))
}

/// The checksum of the frame with this number.
pub(super) fn checksum(number: u64, head: &[u8; HEAD_BYTES], payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let sum = crc32c::crc32c_append(crc32c::crc32c(&number.to_be_bytes()), head);
    crc32c::crc32c_append(sum, payload).to_be_bytes()
}

fn head(kind: FrameKind, length: usize) -> [u8; HEAD_BYTES] {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [kind as u8, a, b, c, d]
}
