//! Reads the records that a database lacks, and tells a log that was torn from one that is damaged.
//!
//! One record is synced before the next is written. So at most one record is torn: the last, which was never
//! acknowledged. What remains of it is overwritten. If a whole record with a higher number exists anywhere after a broken
//! one, the broken one was synced once, and the log is damaged.
//!
//! Files are reused. After the records of its present use, a file may have records of an earlier use, which have lower
//! numbers.

use bytes::Bytes;

use super::record::{self, ALIGNMENT, LoggedWrite, Record, Secret};

/// The records at the beginning of a file whose numbers follow each other.
#[derive(Debug)]
struct Run {
    /// The index of the file.
    file: usize,
    records: Vec<Record>,
    /// The offset at which they end.
    end: usize,
}

/// What a log says.
#[derive(Debug)]
pub(super) struct Recovered {
    /// The records after the applied ones, in order: the number of each, and its writes.
    pub(super) records: Vec<(u64, Vec<LoggedWrite>)>,
    /// The number of the last record, applied or not.
    pub(super) last: u64,
    /// The checksum of the last record; 0 if the log has none.
    pub(super) checksum: u32,
    /// The files with records, in order: the index of each, the number of its last record and where they end.
    pub(super) used: Vec<Used>,
}

/// A file with records of its present use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) file: usize,
    pub(super) last: u64,
    /// Where the last record begins.
    pub(super) last_begin: usize,
    /// Where it ends.
    pub(super) end: usize,
}

/// Reads a log from its files, in any order. The database has the writes of all records up to number `applied`. Fails
/// with what is wrong if the log is damaged.
pub(super) fn recover(files: &[Bytes], secret: Secret, applied: u64) -> Result<Recovered, String> {
    let mut runs: Vec<Run> = files.iter().enumerate().map(|(file, bytes)| run(file, bytes, secret)).collect();
    let run_ends: Vec<usize> = runs.iter().map(|run| run.end).collect();
    runs.retain(|run| last_of(run).is_some_and(|last| last.number > applied));
    runs.sort_by_key(first_number);
    let (mut expected, mut before): (u64, Option<&Record>) = (applied + 1, None);
    for run in &runs {
        let (Some(first), Some(last)) = (run.records.first(), last_of(run)) else { continue };
        let follows = match before {
            // The file may begin with records that are applied.
            None => first.number <= expected,
            Some(before) => first.number == expected && first.previous == before.checksum,
        };
        if !follows && first.number == expected {
            return Err(format!("record {expected} does not continue the one before it"));
        }
        if !follows {
            return Err(format!("record {expected} is missing, and record {} is there", first.number));
        }
        (expected, before) = (last.number + 1, Some(last));
    }
    let end = expected - 1;
    for (bytes, run_end) in files.iter().zip(run_ends) {
        if let Some(later) = later_record(bytes, run_end, secret, end) {
            return Err(format!("record {} cannot be read, and record {later} can", end + 1));
        }
    }
    let checksum = before.map_or(0, |last| last.checksum);
    let used = runs.iter().filter_map(|run| {
        let last = last_of(run)?;
        Some(Used { file: run.file, last: last.number, last_begin: run.end.saturating_sub(last.bytes), end: run.end })
    });
    let used = used.collect();
    let records = runs.into_iter().flat_map(|run| run.records).filter(|record| record.number > applied);
    let records = records.map(|record| Some((record.number, record.writes()?))).collect::<Option<_>>();
    let records = records.ok_or("a record has a valid checksum and cannot be read")?;
    Ok(Recovered { records, last: end, checksum, used })
}

fn run(file: usize, bytes: &Bytes, secret: Secret) -> Run {
    let (mut records, mut end): (Vec<Record>, usize) = (Vec::new(), 0);
    while let Some(record) = record::decode(bytes, end, secret) {
        let follows = records
            .last()
            .is_none_or(|before| record.number == before.number + 1 && record.previous == before.checksum);
        if !follows {
            break;
        }
        end += record.bytes;
        records.push(record);
    }
    Run { file, records, end }
}

fn first_number(run: &Run) -> u64 {
    run.records.first().map_or(0, |first| first.number)
}

fn last_of(run: &Run) -> Option<&Record> {
    run.records.last()
}

/// The number of a whole record from `from` on that is higher than `end`, if there is one.
fn later_record(bytes: &Bytes, from: usize, secret: Secret, end: u64) -> Option<u64> {
    let places = (from..bytes.len()).step_by(ALIGNMENT);
    let mut later = places.filter(|at| record::number_at(bytes, *at).is_some_and(|number| number > end));
    later.find_map(|at| record::decode(bytes, at, secret)).map(|record| record.number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

    use super::*;
    use crate::store::engine::Batch;

    const SECRET: Secret = Secret([7; 16]);

    /// Records with these numbers, each with one write of its own number, chained.
    fn records(numbers: std::ops::RangeInclusive<u64>) -> Vec<Vec<u8>> {
        let mut previous = 0;
        let mut encoded = Vec::new();
        for number in 1..=*numbers.end() {
            let mut batch = Batch::default();
            batch.writes.insert(vec![1], Some(number.to_be_bytes().to_vec()));
            let (bytes, checksum) = record::encode(&batch, number, previous, SECRET).unwrap();
            previous = checksum;
            if numbers.contains(&number) {
                encoded.push(bytes);
            }
        }
        encoded
    }

    fn file(records: &[Vec<u8>]) -> Bytes {
        let mut bytes = records.concat();
        bytes.resize(4_096, 0);
        bytes.into()
    }

    fn numbers(recovered: &Recovered) -> Vec<u64> {
        recovered.records.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn records_are_read_across_files_in_any_order() {
        let all = records(1..=9);
        let files = [file(&all[6..]), file(&[]), file(&all[..3]), file(&all[3..6])];
        let recovered = recover(&files, SECRET, 0).unwrap();
        assert_eq!(numbers(&recovered), (1..=9).collect::<Vec<_>>());
        assert_eq!(
            recovered.used.iter().map(|used| (used.file, used.last)).collect::<Vec<_>>(),
            [(2, 3), (3, 6), (0, 9)]
        );
        let recovered = recover(&files, SECRET, 4).unwrap();
        assert_eq!((numbers(&recovered), recovered.last), ((5..=9).collect(), 9));
        let recovered = recover(&files, SECRET, 9).unwrap();
        assert_eq!((numbers(&recovered), recovered.last), (vec![], 9));
        assert_eq!(recover(&[], SECRET, 12).unwrap().last, 12);
    }

    #[test]
    fn a_torn_last_record_is_dropped() {
        let all = records(1..=3);
        for kept in 0..all[2].len() {
            let torn = all[2][..kept].to_vec();
            let recovered = recover(&[file(&[all[0].clone(), all[1].clone(), torn])], SECRET, 0).unwrap();
            // Padding is not part of a record.
            assert!(
                numbers(&recovered) == [1, 2] || (numbers(&recovered) == [1, 2, 3] && kept + ALIGNMENT > all[2].len())
            );
        }
    }

    #[test]
    fn records_of_an_earlier_use_are_ignored() {
        let all = records(1..=9);
        // The file had 1 to 4, and now has 7 and the torn 8, which left a part of 2 and all of 3 and 4.
        let mut bytes = file(&all[..4]).to_vec();
        bytes[..all[6].len()].copy_from_slice(&all[6]);
        let torn = all[6].len() + 10;
        bytes[all[6].len()..torn].copy_from_slice(&all[7][..10]);
        let recovered = recover(&[bytes.into()], SECRET, 6).unwrap();
        assert_eq!((numbers(&recovered), recovered.last), (vec![7], 7));
    }

    #[test]
    fn a_broken_record_before_a_whole_one_is_damage() {
        let all = records(1..=9);
        for broken in 0..8 {
            for (first, second) in [(9, 0), (4, 5)] {
                let mut damaged = all.clone();
                damaged[broken][22] ^= 1;
                let files = [file(&damaged[first..]), file(&damaged[..first]), file(&damaged[second..second])];
                assert!(recover(&files, SECRET, 0).is_err(), "{broken}");
                // If all that is broken was applied and released, it does not matter.
                let rest = [file(&damaged[broken + 1..])];
                assert_eq!(recover(&rest, SECRET, broken as u64 + 1).unwrap().last, 9);
            }
        }
        assert!(recover(&[file(&all[2..])], SECRET, 0).is_err(), "the first records are missing");
        assert!(recover(&[file(&all[..3]), file(&all[5..])], SECRET, 0).is_err(), "a file is missing");
    }
}
