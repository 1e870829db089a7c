//! What a power cut leaves: everything that was synced, and a random part of the rest, block by block.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::disk::{Bytes, Change, Disk, Node};
use crate::dice::Dice;

/// The unit in which the kernel writes.
const BLOCK: usize = 4096;
/// The unit in which the drive writes.
const SECTOR: usize = 512;

/// How much of the unsynced data a cut leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// All of it, as after a kill.
    Everything,
    /// Nothing.
    Nothing,
    /// A random prefix of the name changes, and of each block any of its versions, or a torn one.
    Anything,
    /// Most of it, with a few blocks old or torn.
    Most,
    /// Each write completely or not at all, in any order, because a large write usually reaches the disk in one piece.
    Writes,
}

impl Mood {
    pub(crate) fn random(dice: &mut Dice) -> Self {
        let moods = [Self::Anything, Self::Anything, Self::Most, Self::Most, Self::Writes, Self::Writes, Self::Nothing];
        *dice.one_of(&moods)
    }
}

/// Writes what a cut at this moment would leave into `to`, an empty directory.
pub(crate) fn cut(disk: &Disk<'_>, mood: Mood, dice: &mut Dice, to: &Path) {
    let pending = disk.names_pending();
    let kept = match mood {
        Mood::Everything => pending,
        Mood::Nothing => 0,
        Mood::Anything | Mood::Most | Mood::Writes => usize::try_from(dice.below(pending as u64 + 1)).unwrap(),
    };
    let mut written: BTreeMap<Node, PathBuf> = BTreeMap::new();
    // A directory comes before its entries.
    for (path, node) in disk.names_with(kept) {
        let (target, bytes) = (to.join(&path), disk.bytes(node));
        if path == Path::new("") {
            continue;
        }
        if bytes.is_directory {
            fs::create_dir(&target).unwrap();
        } else if let Some(same) = written.get(&node) {
            fs::hard_link(same, &target).unwrap();
        } else {
            write_sparsely(&target, &left_of(bytes, mood, dice));
            written.insert(node, target);
        }
    }
}

/// Blocks of zeros are skipped, so that a large and mostly empty log costs little.
fn write_sparsely(path: &Path, bytes: &[u8]) {
    let file = File::create(path).unwrap();
    let mut run: Option<usize> = None;
    for start in (0..bytes.len()).step_by(BLOCK) {
        let block = &bytes[start..bytes.len().min(start + BLOCK)];
        if block.iter().any(|byte| *byte != 0) {
            run.get_or_insert(start);
        } else if let Some(begin) = run.take() {
            file.write_all_at(&bytes[begin..start], begin as u64).unwrap();
        }
    }
    if let Some(begin) = run {
        file.write_all_at(&bytes[begin..], begin as u64).unwrap();
    }
    file.set_len(bytes.len() as u64).unwrap();
}

/// What a cut leaves of a file's bytes.
pub(super) fn left_of(file: &Bytes<'_>, mood: Mood, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = file.durable.clone();
    if mood == Mood::Everything {
        file.pending.iter().for_each(|change| change.apply_to(&mut bytes));
        return bytes;
    }
    if mood == Mood::Nothing || file.pending.is_empty() {
        return bytes;
    }
    if mood == Mood::Writes {
        file.pending.iter().filter(|_| dice.percent(70)).for_each(|change| change.apply_to(&mut bytes));
        return bytes;
    }
    let lengths = lengths(file);
    let length_max = lengths.iter().copied().max().unwrap_or(0);
    bytes.resize(length_max, 0);
    let mut durable = file.durable.clone();
    durable.resize(length_max, 0);
    for (block, changes) in changes_by_block(file) {
        let range = block * BLOCK..length_max.min((block + 1) * BLOCK);
        let left = left_of_block(&durable[range.clone()], range.start, &changes, mood, dice);
        bytes[range].copy_from_slice(&left);
    }
    // The length is one that the file has had since the last sync, usually the first or the last of them.
    let length = if dice.percent(40) {
        lengths[lengths.len() - 1]
    } else if dice.percent(50) {
        lengths[0]
    } else {
        *dice.one_of(&lengths)
    };
    bytes.truncate(length);
    bytes
}

/// The lengths that a file has had since its last sync, starting with the synced one.
fn lengths(file: &Bytes<'_>) -> Vec<usize> {
    let mut lengths = vec![file.durable.len()];
    for change in &file.pending {
        let before = lengths[lengths.len() - 1];
        lengths.push(match *change {
            Change::Resize(length) => usize::try_from(length).unwrap(),
            Change::Write { offset, bytes } => before.max(usize::try_from(offset).unwrap() + bytes.len()),
        });
    }
    lengths
}

/// The changes of each block, in order. A truncation counts as overwriting the removed part with zeros.
fn changes_by_block<'t>(file: &Bytes<'t>) -> BTreeMap<usize, Vec<Change<'t>>> {
    let mut blocks: BTreeMap<usize, Vec<Change<'t>>> = BTreeMap::new();
    for (change, length) in file.pending.iter().zip(lengths(file)) {
        let range = match *change {
            Change::Write { offset, bytes } => {
                let start = usize::try_from(offset).unwrap();
                start..start + bytes.len()
            }
            Change::Resize(to) => usize::try_from(to).unwrap()..length,
        };
        if !range.is_empty() {
            for block in range.start / BLOCK..=(range.end - 1) / BLOCK {
                blocks.entry(block).or_default().push(*change);
            }
        }
    }
    blocks
}

/// One of the versions that a block has had since its last sync, or the beginning of one version over another.
fn left_of_block(durable: &[u8], start: usize, changes: &[Change<'_>], mood: Mood, dice: &mut Dice) -> Vec<u8> {
    let version = |count: usize| {
        let mut block = durable.to_vec();
        changes[..count].iter().for_each(|change| apply_within(*change, start, &mut block));
        block
    };
    let any = |dice: &mut Dice, least: usize| {
        least + usize::try_from(dice.below((changes.len() - least) as u64 + 1)).unwrap()
    };
    let (kept_percent, dropped_percent) = if mood == Mood::Most { (90, 40) } else { (40, 40) };
    if dice.percent(kept_percent) {
        return version(changes.len());
    }
    if dice.percent(dropped_percent) {
        return version(0);
    }
    let older = usize::try_from(dice.below(changes.len() as u64)).unwrap();
    if dice.percent(40) {
        return version(older);
    }
    let newer = any(dice, older + 1);
    let (mut block, newer) = (version(older), version(newer));
    let sectors = 1 + usize::try_from(dice.below((BLOCK / SECTOR) as u64 - 1)).unwrap();
    let torn = block.len().min(sectors * SECTOR);
    block[..torn].copy_from_slice(&newer[..torn]);
    block
}

/// Applies the part of a change that falls into the block at `start`.
fn apply_within(change: Change<'_>, start: usize, block: &mut [u8]) {
    let end = start + block.len();
    match change {
        Change::Resize(length) => {
            let from = usize::try_from(length).unwrap().clamp(start, end);
            block[from - start..].fill(0);
        }
        Change::Write { offset, bytes } => {
            let offset = usize::try_from(offset).unwrap();
            let (from, to) = (offset.max(start), (offset + bytes.len()).min(end));
            if from < to {
                block[from - start..to - start].copy_from_slice(&bytes[from - offset..to - offset]);
            }
        }
    }
}
