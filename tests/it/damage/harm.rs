//! The kinds of damage that are done to the files of an archive.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::region::{Map, SEGMENT_BYTES};
use crate::feed::dice::Dice;

/// The unit in which disks lose data.
pub(super) const BLOCK_BYTES: u64 = 4096;

/// Damage to one file.
#[derive(Clone, Debug)]
pub(super) struct Harm {
    /// The path of the file, below the archive's directory.
    pub(super) file: PathBuf,
    pub(super) kind: Kind,
    /// A description of what is stored there.
    pub(super) region: String,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// One byte is changed.
    Byte { at: u64, before: u8, after: u8 },
    /// A block is zeroed.
    Zeroed { at: u64 },
    /// Two blocks are swapped.
    Exchanged { at: u64, with: u64 },
    /// The file is truncated to `bytes` bytes.
    Truncated { bytes: u64, before: u64 },
    /// A run of random bytes is written.
    Garbage { at: u64, bytes: Vec<u8> },
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        match &self.kind {
            Kind::Byte { at, before, after } => write!(f, "byte {at} from {before:#04x} to {after:#04x}")?,
            Kind::Zeroed { at } => write!(f, "block at {at} zeroed")?,
            Kind::Exchanged { at, with } => write!(f, "blocks at {at} and {with} exchanged")?,
            Kind::Truncated { bytes, before } => write!(f, "cut from {before} bytes to {bytes}")?,
            Kind::Garbage { at, bytes } => write!(f, "{} bytes of garbage at {at}", bytes.len())?,
        }
        write!(f, " ({})", self.region)
    }
}

impl Harm {
    /// Chooses random damage, usually where there is data.
    pub(super) fn choose(map: &Map, dice: &mut Dice) -> Self {
        let file = map.file(dice);
        let content_bytes = map.bytes_of(&file);
        let at = map.offset(&file, dice);
        let block = at / BLOCK_BYTES * BLOCK_BYTES;
        let before = map.byte(&file, at);
        let is_large = content_bytes > 2 * BLOCK_BYTES;
        let kind = match dice.below(10) {
            0..3 => Kind::Byte { at, before, after: before ^ (1 << dice.below(8)) },
            3..5 => Kind::Byte { at, before, after: before ^ u8::try_from(1 + dice.below(255)).unwrap() },
            5..7 if is_large => Kind::Zeroed { at: block },
            7 if is_large => {
                // Close by, as if a disk had mixed up its writes.
                let with = (block + BLOCK_BYTES * (1 + dice.below(64))).min(content_bytes / BLOCK_BYTES * BLOCK_BYTES);
                let with = if with == block { block - BLOCK_BYTES } else { with };
                Kind::Exchanged { at: block, with }
            }
            8 => Kind::Truncated { bytes: at, before: content_bytes },
            _ => {
                let length = 1 + dice.below(600);
                let bytes = (0..length).map(|_| u8::try_from(dice.below(256)).unwrap()).collect();
                Kind::Garbage { at, bytes }
            }
        };
        let region = map.region(&file, at);
        Self { file, kind, region }
    }

    /// Undoes the damage, in an archive that has not been opened successfully.
    pub(super) fn mend(&self, directory: &Path, map: &Map) {
        let intact = map.content(&self.file);
        let ranges = match &self.kind {
            Kind::Byte { at, .. } => vec![(*at, 1)],
            Kind::Zeroed { at } => vec![(*at, BLOCK_BYTES)],
            Kind::Exchanged { at, with } => vec![(*at, BLOCK_BYTES), (*with, BLOCK_BYTES)],
            Kind::Truncated { bytes, before } => vec![(*bytes, before - bytes)],
            Kind::Garbage { at, bytes } => vec![(*at, bytes.len() as u64)],
        };
        let file = OpenOptions::new().write(true).open(directory.join(&self.file)).unwrap();
        for (at, length) in ranges {
            let (start, length) = (usize::try_from(at).unwrap(), usize::try_from(length).unwrap());
            file.write_all_at(&intact[start..(start + length).min(intact.len())], at).unwrap();
        }
    }

    /// Flips a bit of the log, `back` bytes before its end. The last acknowledged write need not be a change of an
    /// article.
    pub(super) fn near_end(map: &Map, back: u64) -> Self {
        let (file, end) = map.end();
        let at = end.saturating_sub(1 + back);
        let before = map.byte(&file, at);
        let region = format!("{back} bytes before the end, {}", map.region(&file, at));
        Self { file, kind: Kind::Byte { at, before, after: before ^ 1 }, region }
    }

    /// Does the damage to the archive in `directory`.
    pub(super) fn apply(&self, directory: &Path) {
        let path = directory.join(&self.file);
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let block = |at: u64| {
            let mut bytes = vec![0; usize::try_from(BLOCK_BYTES).unwrap()];
            let read = file.read_at(&mut bytes, at).unwrap();
            bytes.truncate(read);
            bytes
        };
        match &self.kind {
            Kind::Byte { at, before, after } => {
                let mut byte = [0];
                file.read_exact_at(&mut byte, *at).unwrap();
                assert_eq!(byte, [*before], "these are not the files of that trial");
                file.write_all_at(&[*after], *at).unwrap();
            }
            Kind::Zeroed { at } => file.write_all_at(&vec![0; block(*at).len()], *at).unwrap(),
            Kind::Exchanged { at, with } => {
                let (first, second) = (block(*at), block(*with));
                let common = first.len().min(second.len());
                file.write_all_at(&second[..common], *at).unwrap();
                file.write_all_at(&first[..common], *with).unwrap();
            }
            Kind::Truncated { bytes, .. } => file.set_len(*bytes).unwrap(),
            Kind::Garbage { at, bytes } => {
                let end = fs::metadata(&path).unwrap().len();
                let room = usize::try_from(end - at).unwrap().min(bytes.len());
                file.write_all_at(&bytes[..room], *at).unwrap();
            }
        }
    }
}

/// The offset within its segment of an offset in the log.
pub(super) fn in_segment(at: u64) -> u64 {
    at % SEGMENT_BYTES
}
