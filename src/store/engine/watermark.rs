//! How far the log is known to have been durable, kept outside of the database.
//!
//! A database that was cut short or lost its tail to damage may open without complaint. The watermark tells:
//! it is written after each commit and never names more than was durable then, so a log that ends before it
//! has lost something. It may lag behind the log, since it is not synced, and it may be absent.
//!
//! The file has two slots, a page apart, that are written in turn, so that a torn write leaves the other:
//!
//! | bytes | field |
//! | --- | --- |
//! | 0–7 | `dlmark\0\x01` |
//! | 8–15 | turn, big-endian: the higher of the two counts |
//! | 16–23 | next seq, big-endian |
//! | 24–39 | history digest |
//! | 40–43 | CRC-32C of bytes 0–39, big-endian |

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::OpenError;

const MAGIC: &[u8; 8] = b"dlmark\0\x01";
const SLOT_BYTES: usize = 44;
/// Slots lie in different pages: one torn page cannot take both.
const SLOT_DISTANCE: u64 = 4096;

/// A slot's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    turn: u64,
    next_seq: u64,
    history: [u8; 16],
}

/// The watermark file of an archive. It belongs to whoever holds the archive's lock.
#[derive(Debug)]
pub struct Watermark {
    file: File,
    latest: Option<Mark>,
}

impl Watermark {
    /// Opens `WATERMARK` in the archive directory `dir`, creating it if need be. Damage counts as absence.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join("WATERMARK");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let latest = [0, 1].into_iter().filter_map(|slot| read_slot(&file, slot)).max_by_key(|mark| mark.turn);
        Ok(Self { file, latest })
    }

    /// As [`Self::open`], for one who opens the archive.
    pub fn open_in(dir: &Path) -> Result<Self, OpenError> {
        Self::open(dir).map_err(OpenError::io("open the watermark of", dir))
    }

    /// The next seq and the history digest that were durable when this was last recorded.
    #[must_use]
    pub fn read(&self) -> Option<(u64, [u8; 16])> {
        self.latest.map(|mark| (mark.next_seq, mark.history))
    }

    /// Records what is durable now. Call it after the commit has returned, never before. Does not sync.
    pub fn record(&mut self, next_seq: u64, history: [u8; 16]) -> io::Result<()> {
        let turn = self.latest.map_or(0, |mark| mark.turn.wrapping_add(1));
        let mark = Mark { turn, next_seq, history };
        self.file.write_all_at(&encode(mark), (turn % 2) * SLOT_DISTANCE)?;
        self.latest = Some(mark);
        Ok(())
    }
}

fn encode(mark: Mark) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SLOT_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&mark.turn.to_be_bytes());
    bytes.extend_from_slice(&mark.next_seq.to_be_bytes());
    bytes.extend_from_slice(&mark.history);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
    bytes
}

fn read_slot(file: &File, slot: u64) -> Option<Mark> {
    let mut bytes = [0; SLOT_BYTES];
    file.read_exact_at(&mut bytes, slot * SLOT_DISTANCE).ok()?;
    decode(&bytes)
}

fn decode(bytes: &[u8; SLOT_BYTES]) -> Option<Mark> {
    let (body, checksum) = bytes.split_last_chunk::<4>()?;
    let (magic, rest) = body.split_first_chunk::<8>()?;
    let (turn, rest) = rest.split_first_chunk::<8>()?;
    let (next_seq, history) = rest.split_first_chunk::<8>()?;
    let intact = magic == MAGIC && u32::from_be_bytes(*checksum) == crc32c::crc32c(body);
    intact.then_some(Mark {
        turn: u64::from_be_bytes(*turn),
        next_seq: u64::from_be_bytes(*next_seq),
        history: history.try_into().ok()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    #[test]
    fn what_was_recorded_last_is_read_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Watermark::open(dir.path()).unwrap().read(), None);
        for seq in 1..=5 {
            let mut watermark = Watermark::open(dir.path()).unwrap();
            watermark.record(seq, [7; 16]).unwrap();
            assert_eq!(watermark.read(), Some((seq, [7; 16])));
            assert_eq!(Watermark::open(dir.path()).unwrap().read(), Some((seq, [7; 16])));
        }
    }

    #[test]
    fn a_lower_mark_may_follow_a_higher() {
        let dir = tempfile::tempdir().unwrap();
        let mut watermark = Watermark::open(dir.path()).unwrap();
        watermark.record(900, [1; 16]).unwrap();
        watermark.record(3, [2; 16]).unwrap();
        assert_eq!(Watermark::open(dir.path()).unwrap().read(), Some((3, [2; 16])));
    }

    #[test]
    fn a_torn_slot_leaves_the_other_and_two_leave_none() {
        let dir = tempfile::tempdir().unwrap();
        let mut watermark = Watermark::open(dir.path()).unwrap();
        watermark.record(10, [1; 16]).unwrap();
        watermark.record(11, [2; 16]).unwrap();
        let file = OpenOptions::new().write(true).open(dir.path().join("WATERMARK")).unwrap();

        file.write_all_at(&[0xff], SLOT_DISTANCE + 20).unwrap();
        let mut reopened = Watermark::open(dir.path()).unwrap();
        assert_eq!(reopened.read(), Some((10, [1; 16])));
        reopened.record(12, [3; 16]).unwrap();
        assert_eq!(Watermark::open(dir.path()).unwrap().read(), Some((12, [3; 16])));

        file.write_all_at(&[0xff], 20).unwrap();
        file.write_all_at(&[0xfe], SLOT_DISTANCE + 43).unwrap();
        assert_eq!(Watermark::open(dir.path()).unwrap().read(), None);
        file.set_len(3).unwrap();
        assert_eq!(Watermark::open(dir.path()).unwrap().read(), None);
    }
}
