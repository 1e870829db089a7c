//! Where the messages of a segment of sled's log end. Older data may follow, because segments are reused.

const HEADER_BYTES: usize = 20;
const KINDS: std::ops::RangeInclusive<u8> = 1..=11;

/// The offset after the last message of segment `number` in sled's order.
pub(super) fn end(segment: &[u8], number: u64) -> usize {
    let mut at = HEADER_BYTES;
    while let Some(length) = segment.get(at..).and_then(|rest| length(rest, number)) {
        at += length;
    }
    at
}

/// The length of a message that belongs to this segment: checksum, kind, length, segment, page, and the data.
fn length(message: &[u8], segment: u64) -> Option<usize> {
    let kind = *message.get(4)?;
    let (body_bytes, after_length) = number(message, 5)?;
    let (of_segment, after_segment) = number(message, after_length)?;
    let (_, header_bytes) = number(message, after_segment)?;
    let end = header_bytes.checked_add(usize::try_from(body_bytes).ok()?)?;
    (KINDS.contains(&kind) && of_segment == segment && end <= message.len()).then_some(end)
}

/// A number in sled's encoding, and the offset of the next field.
fn number(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let first = *bytes.get(at)?;
    let byte = |index: usize| bytes.get(at + index).copied().map(u64::from);
    Some(match first {
        0..=240 => (u64::from(first), at + 1),
        241..=248 => (240 + 256 * (u64::from(first) - 241) + byte(1)?, at + 2),
        249 => (2288 + 256 * byte(1)? + byte(2)?, at + 3),
        250.. => {
            let length = usize::from(first) - 247;
            let mut number = [0; 8];
            number[..length].copy_from_slice(bytes.get(at + 1..=at + length)?);
            (u64::from_le_bytes(number), at + length + 1)
        }
    })
}
