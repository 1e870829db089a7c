//! Which checkpoints are kept: the newest, the last of each day, and the last cosigned one of each hour.
//!
//! A checkpoint may be signed every second, and a witness may cosign one every minute, so not all can be kept. What
//! is kept of a year is a few hundred, or a few thousand if a witness cosigns: enough to show what the log was on a day,
//! and what others have seen of it in an hour. A time is that of the signature, in UTC.

use crate::model::Timestamp;
use crate::store::checkpoint::CheckpointRecord;
use crate::store::engine::Direction;
use crate::store::key::checkpoint::CheckpointKey;
use crate::store::{Batch, StoreError, Tables};

const HOUR_MICROS: i64 = 3_600_000_000;
const DAY_MICROS: i64 = 24 * HOUR_MICROS;
/// The most checkpoints of one day: one for each hour, the newest, and the new one.
const OF_A_DAY_MAX: usize = 26;

/// The writes that keep `checkpoint`, and remove those of its day that it supersedes; none if it is kept already, with more
/// cosignatures. `tables` has what is stored.
pub(crate) fn keep(tables: &Tables<'_>, checkpoint: &CheckpointRecord) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    batch.put_checkpoint(checkpoint);
    let mut of_day = Vec::new();
    for stored in tables.checkpoints(0, Direction::Reverse).take(OF_A_DAY_MAX) {
        match stored {
            // It was kept after another witness had cosigned it.
            Ok(stored) if stored.size == checkpoint.size && stored.cosignature_count > checkpoint.cosignature_count => {
                return Ok(Batch::default());
            }
            Ok(stored) if stored.size == checkpoint.size => {}
            Ok(stored) if period(&stored, DAY_MICROS) == period(checkpoint, DAY_MICROS) => of_day.push(stored),
            // Verification reports a damaged one, which must not keep others from being stored.
            Ok(_) | Err(StoreError::Damaged { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    let at = of_day.partition_point(|stored| stored.size > checkpoint.size);
    of_day.insert(at, checkpoint.clone());
    for superseded in superseded(&of_day) {
        batch.remove(CheckpointKey(superseded).encode());
    }
    Ok(batch)
}

/// The sizes of the checkpoints that need not be kept, of those of one day, the newest first.
fn superseded(of_day: &[CheckpointRecord]) -> Vec<u64> {
    let mut hour = None;
    let mut superseded = Vec::new();
    for (index, checkpoint) in of_day.iter().enumerate() {
        let is_cosigned = checkpoint.cosignature_count > 0;
        let is_last_of_hour =
            is_cosigned && hour.replace(period(checkpoint, HOUR_MICROS)) != Some(period(checkpoint, HOUR_MICROS));
        if index > 0 && !is_last_of_hour {
            superseded.push(checkpoint.size);
        }
    }
    superseded
}

/// Which period of this length a checkpoint was signed in.
fn period(checkpoint: &CheckpointRecord, micros: i64) -> i64 {
    Timestamp::micros(checkpoint.sign_time).div_euclid(micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TreeHash;
    use crate::store::Engine;
    use crate::store::engine::memory::MemoryEngine;

    const MINUTE: i64 = 60_000_000;

    fn signed(size: u64, minute: i64, cosignature_count: u32) -> CheckpointRecord {
        let sign_time = Timestamp::from_micros(minute * MINUTE).unwrap();
        CheckpointRecord { size, root: TreeHash::of_nothing(), sign_time, cosignature_count, note: String::new() }
    }

    /// What is left after these are kept, one after the other.
    fn kept(checkpoints: &[CheckpointRecord]) -> Vec<(u64, u32)> {
        let engine = MemoryEngine::new();
        for checkpoint in checkpoints {
            let batch = keep(&Tables::new(&engine), checkpoint).unwrap();
            engine.commit(&batch).unwrap();
        }
        let left = Tables::new(&engine).checkpoints(0, Direction::Forward);
        left.map(|left| left.unwrap()).map(|left| (left.size, left.cosignature_count)).collect()
    }

    #[test]
    fn the_newest_is_kept_and_the_last_of_each_day() {
        let day = 24 * 60;
        let checkpoints =
            [signed(1, 0, 0), signed(2, 9, 0), signed(5, day - 1, 0), signed(6, day, 0), signed(9, day + 1, 0)];
        assert_eq!(kept(&checkpoints), [(5, 0), (9, 0)]);
    }

    #[test]
    fn of_cosigned_ones_the_last_of_each_hour_is_kept() {
        let checkpoints =
            [signed(1, 1, 1), signed(2, 2, 1), signed(3, 59, 0), signed(4, 60, 2), signed(5, 61, 0), signed(6, 62, 0)];
        assert_eq!(kept(&checkpoints), [(2, 1), (4, 2), (6, 0)]);
    }

    /// A witness takes a while to answer, and another checkpoint may have been signed by then.
    #[test]
    fn a_cosignature_that_comes_late_is_kept() {
        assert_eq!(kept(&[signed(1, 1, 0), signed(2, 2, 0), signed(1, 1, 1)]), [(1, 1), (2, 0)]);
        assert_eq!(kept(&[signed(1, 1, 2), signed(1, 1, 1), signed(1, 1, 0)]), [(1, 2)]);
    }

    #[test]
    fn a_day_has_no_more_than_its_hours() {
        let minutes = (0..24 * 60_i64).map(|minute| signed(1 + minute.unsigned_abs(), minute, 1)).collect::<Vec<_>>();
        assert_eq!(kept(&minutes).len(), 24);
    }
}
