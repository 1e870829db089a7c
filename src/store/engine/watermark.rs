//! How far the log, and the commits, are known to have been durable, kept outside of the database.
//!
//! A database that was cut short or lost its tail to damage may open without complaint. The watermark tells:
//! it is written after each commit and never names more than was durable then, so a log that ends before it
//! has lost something, and so has a database with fewer commits, which need not have changed the log. It may lag
//! behind, since it is not synced, and it may be absent.
//!
//! The file has two slots, a page apart, that are written in turn, so that a torn write leaves the other:
//!
//! | bytes | field |
//! | --- | --- |
//! | 0–7 | `dlmark\0\x02` |
//! | 8–15 | turn, big-endian: the higher of the two counts |
//! | 16–23 | next seq, big-endian |
//! | 24–39 | history digest |
//! | 40–47 | commits, big-endian |
//! | 48–51 | CRC-32C of bytes 0–47, big-endian |

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{OpenError, own_file};

const MAGIC: &[u8; 8] = b"dlmark\0\x02";
const SLOT_BYTES: usize = 52;
/// Slots lie in different pages: one torn page cannot take both.
const SLOT_DISTANCE: u64 = 4096;

/// What was durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The position of the next change.
    pub next_seq: u64,
    /// The log's running digest.
    pub log_digest: [u8; 16],
    /// How many commits there were.
    pub commits: u64,
}

/// A slot's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    turn: u64,
    mark: Mark,
}

/// The watermark file of an archive. It belongs to whoever holds the archive's lock.
#[derive(Debug)]
pub struct Watermark {
    file: File,
    latest: Option<Slot>,
}

impl Watermark {
    /// Opens `WATERMARK` in the archive directory `dir`, creating it if need be. Damage counts as absence.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join("WATERMARK");
        let file = own_file::create(&path)?;
        let latest = [0, 1].into_iter().filter_map(|slot| read_slot(&file, slot)).max_by_key(|slot| slot.turn);
        Ok(Self { file, latest })
    }

    /// As [`Self::open`], for one who opens the archive.
    pub fn open_in(dir: &Path) -> Result<Self, OpenError> {
        Self::open(dir).map_err(OpenError::io("open the watermark of", dir))
    }

    /// What was durable when this was last recorded.
    #[must_use]
    pub fn read(&self) -> Option<Mark> {
        self.latest.map(|slot| slot.mark)
    }

    /// Records what is durable now. Call it after the commit has returned, never before. Does not sync.
    pub fn record(&mut self, mark: Mark) -> io::Result<()> {
        let turn = self.latest.map_or(0, |slot| slot.turn.wrapping_add(1));
        let slot = Slot { turn, mark };
        self.file.write_all_at(&encode(slot), (turn % 2) * SLOT_DISTANCE)?;
        self.latest = Some(slot);
        Ok(())
    }

    /// Makes durable what was recorded.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

fn encode(Slot { turn, mark }: Slot) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SLOT_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&turn.to_be_bytes());
    bytes.extend_from_slice(&mark.next_seq.to_be_bytes());
    bytes.extend_from_slice(&mark.log_digest);
    bytes.extend_from_slice(&mark.commits.to_be_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
    bytes
}

fn read_slot(file: &File, slot: u64) -> Option<Slot> {
    let mut bytes = [0; SLOT_BYTES];
    file.read_exact_at(&mut bytes, slot * SLOT_DISTANCE).ok()?;
    decode(&bytes)
}

fn decode(bytes: &[u8; SLOT_BYTES]) -> Option<Slot> {
    let (body, checksum) = bytes.split_last_chunk::<4>()?;
    let (magic, rest) = body.split_first_chunk::<8>()?;
    let (turn, rest) = rest.split_first_chunk::<8>()?;
    let (next_seq, rest) = rest.split_first_chunk::<8>()?;
    let (log_digest, commits) = rest.split_first_chunk::<16>()?;
    let intact = magic == MAGIC && u32::from_be_bytes(*checksum) == crc32c::crc32c(body);
    let mark = Mark {
        next_seq: u64::from_be_bytes(*next_seq),
        log_digest: *log_digest,
        commits: u64::from_be_bytes(commits.try_into().ok()?),
    };
    intact.then_some(Slot { turn: u64::from_be_bytes(*turn), mark })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    fn mark(next_seq: u64) -> Mark {
        Mark { next_seq, log_digest: [7; 16], commits: next_seq + 1 }
    }

    #[test]
    fn what_was_recorded_last_is_read_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Watermark::open(dir.path()).unwrap().read(), None);
        for seq in 1..=5 {
            let mut watermark = Watermark::open(dir.path()).unwrap();
            watermark.record(mark(seq)).unwrap();
            assert_eq!(watermark.read(), Some(mark(seq)));
            assert_eq!(Watermark::open(dir.path()).unwrap().read(), Some(mark(seq)));
        }
    }

    #[test]
    fn a_lower_mark_may_follow_a_higher() {
        let dir = tempfile::tempdir().unwrap();
        let mut watermark = Watermark::open(dir.path()).unwrap();
        watermark.record(mark(900)).unwrap();
        watermark.record(mark(3)).unwrap();
        assert_eq!(Watermark::open(dir.path()).unwrap().read(), Some(mark(3)));
    }

    #[test]
    fn a_torn_slot_leaves_the_other_and_two_leave_none() {
        let dir = tempfile::tempdir().unwrap();
        let mut watermark = Watermark::open(dir.path()).unwrap();
        watermark.record(mark(10)).unwrap();
        watermark.record(mark(11)).unwrap();
        let file = File::options().write(true).open(dir.path().join("WATERMARK")).unwrap();

        file.write_all_at(&[0xff], SLOT_DISTANCE + 20).unwrap();
        let mut reopened = Watermark::open(dir.path()).unwrap();
        assert_eq!(reopened.read(), Some(mark(10)));
        reopened.record(mark(12)).unwrap();
        assert_eq!(Watermark::open(dir.path()).unwrap().read(), Some(mark(12)));

        file.write_all_at(&[0xff], 20).unwrap();
        file.write_all_at(&[0xfe], SLOT_DISTANCE + 51).unwrap();
        assert_eq!(Watermark::open(dir.path()).unwrap().read(), None);
        file.set_len(3).unwrap();
        assert_eq!(Watermark::open(dir.path()).unwrap().read(), None);
    }
}
