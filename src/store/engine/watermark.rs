//! The watermark: how much of the log, and how many commits, are known to be durable, stored outside the database.
//!
//! A database that was truncated, or that lost its tail to damage, may open without an error. The watermark reveals the
//! loss. It is written after each commit, and never states more than was durable then. So a log that ends below the
//! watermark has lost changes, and a database that counts fewer commits than the watermark has lost something too, even
//! if no change is missing. The watermark may lag, since it is not synced, and it may be absent.
//!
//! The file has two slots, a page apart, that are written alternately, so that a torn write damages only one of them:
//!
//! | bytes | field |
//! | --- | --- |
//! | 0–7 | `dlmark\0\x02` |
//! | 8–15 | turn, big-endian: the slot with the higher turn is the current one |
//! | 16–23 | next seq, big-endian |
//! | 24–39 | log digest |
//! | 40–47 | commits, big-endian |
//! | 48–51 | CRC-32C of bytes 0–47, big-endian |

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{OpenError, own_file};

const MAGIC: &[u8; 8] = b"dlmark\0\x02";
const SLOT_BYTES: usize = 52;
/// Places the slots in different pages, so that one torn page cannot damage both.
const SLOT_DISTANCE: u64 = 4096;

/// The durable state at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurableState {
    /// The position of the next change.
    pub next_seq: u64,
    /// The log digest below that position.
    pub log_digest: [u8; 16],
    /// The number of commits.
    pub commits: u64,
}

/// The content of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    turn: u64,
    state: DurableState,
}

/// The watermark file of an archive. Only the process that holds the archive's lock may use it.
#[derive(Debug)]
pub struct Watermark {
    file: File,
    latest: Option<Slot>,
}

impl Watermark {
    /// Opens `WATERMARK` in the archive directory `dir`, creating it if necessary. A damaged slot counts as absent.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join("WATERMARK");
        let file = own_file::create(&path)?;
        let latest = [0, 1].into_iter().filter_map(|slot| read_slot(&file, slot)).max_by_key(|slot| slot.turn);
        Ok(Self { file, latest })
    }

    /// As [`Self::open`], but with the error type of opening an archive.
    pub fn open_in(dir: &Path) -> Result<Self, OpenError> {
        Self::open(dir).map_err(OpenError::io("open the watermark of", dir))
    }

    /// The durable state as last recorded; `None` if the file is new or damaged.
    #[must_use]
    pub fn read(&self) -> Option<DurableState> {
        self.latest.map(|slot| slot.state)
    }

    /// Records the durable state. Call this only after the commit has returned. It does not sync.
    pub fn record(&mut self, state: DurableState) -> io::Result<()> {
        let turn = self.latest.map_or(0, |slot| slot.turn.wrapping_add(1));
        let slot = Slot { turn, state };
        self.file.write_all_at(&encode(slot), (turn % 2) * SLOT_DISTANCE)?;
        self.latest = Some(slot);
        Ok(())
    }

    /// Makes the last record durable.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

fn encode(Slot { turn, state }: Slot) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SLOT_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&turn.to_be_bytes());
    bytes.extend_from_slice(&state.next_seq.to_be_bytes());
    bytes.extend_from_slice(&state.log_digest);
    bytes.extend_from_slice(&state.commits.to_be_bytes());
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
    let state = DurableState {
        next_seq: u64::from_be_bytes(*next_seq),
        log_digest: *log_digest,
        commits: u64::from_be_bytes(commits.try_into().ok()?),
    };
    intact.then_some(Slot { turn: u64::from_be_bytes(*turn), state })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    fn state(next_seq: u64) -> DurableState {
        DurableState { next_seq, log_digest: [7; 16], commits: next_seq + 1 }
    }

    #[test]
    fn the_last_record_is_read_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Watermark::open(dir.path()).unwrap().read(), None);
        for seq in 1..=5 {
            let mut watermark = Watermark::open(dir.path()).unwrap();
            watermark.record(state(seq)).unwrap();
            assert_eq!(watermark.read(), Some(state(seq)));
            assert_eq!(Watermark::open(dir.path()).unwrap().read(), Some(state(seq)));
        }
    }

    #[test]
    fn a_lower_position_may_follow_a_higher_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut watermark = Watermark::open(dir.path()).unwrap();
        watermark.record(state(900)).unwrap();
        watermark.record(state(3)).unwrap();
        assert_eq!(Watermark::open(dir.path()).unwrap().read(), Some(state(3)));
    }

    #[test]
    fn one_torn_slot_is_tolerated_and_two_count_as_absent() {
        let dir = tempfile::tempdir().unwrap();
        let mut watermark = Watermark::open(dir.path()).unwrap();
        watermark.record(state(10)).unwrap();
        watermark.record(state(11)).unwrap();
        let file = File::options().write(true).open(dir.path().join("WATERMARK")).unwrap();

        file.write_all_at(&[0xff], SLOT_DISTANCE + 20).unwrap();
        let mut reopened = Watermark::open(dir.path()).unwrap();
        assert_eq!(reopened.read(), Some(state(10)));
        reopened.record(state(12)).unwrap();
        assert_eq!(Watermark::open(dir.path()).unwrap().read(), Some(state(12)));

        file.write_all_at(&[0xff], 20).unwrap();
        file.write_all_at(&[0xfe], SLOT_DISTANCE + 51).unwrap();
        assert_eq!(Watermark::open(dir.path()).unwrap().read(), None);
        file.set_len(3).unwrap();
        assert_eq!(Watermark::open(dir.path()).unwrap().read(), None);
    }
}
