//! A compaction that is killed or loses power at any step leaves the archive whole.

use std::path::Path;
use std::time::{Duration, Instant};

use super::cut::{Mood, cut};
use super::disk::{Disk, Ignored};
use super::rounds::{Record, check};
use super::shim::record;
use super::trace::{Call, read};
use crate::child::Task;
use crate::dice::Dice;
use crate::seed;
use crate::told::Line;

/// Time limit, so that the test is short on a slow machine too. What decides which database is in use comes last, so
/// steps are tried from the end.
const SHORT: Duration = Duration::from_secs(25);

fn task(path: &Path, seed: u64, compacts: bool) -> Task {
    let (path, generation) = (path.to_path_buf(), u64::from(compacts));
    Task {
        path,
        seed,
        generation,
        writers: 2,
        jobs: 8,
        large_percent: 2,
        vast_percent: 0,
        clock_off_micros: 0,
        compacts,
    }
}

/// The steps at which something else than one more piece of data reaches the disk, and some of the others.
fn is_tried(call: &Call, dice: &mut Dice) -> bool {
    !matches!(call, Call::Write { .. } | Call::RangeSync) || dice.percent(10)
}

#[test]
fn a_compaction_that_is_cut_at_any_step_leaves_the_archive_whole() {
    let seed = seed("DATELINE_POWER_SEED");
    let mut dice = Dice::for_task(seed, 3);
    let directory = Record::new_disk();
    let root = directory.path().canonicalize().unwrap().join("disk");
    let traces = ["work", "compaction"].map(|name| directory.path().join(name));
    record(&task(&root.join("archive"), seed, false), &root, &traces[0], None);
    let mut told: Vec<Line> = Vec::new();
    for call in read(&std::fs::read(&traces[0]).unwrap(), &root) {
        if let Call::Said(lines) = call {
            told.extend(lines);
        }
    }
    let before = Disk::holding(&root, Ignored::Nothing);
    record(&task(&root.join("archive"), seed, true), &root, &traces[1], None);
    let calls = read(&std::fs::read(&traces[1]).unwrap(), &root);
    let ended = |line| calls.iter().any(|call| matches!(call, Call::Said(lines) if lines.contains(&line)));
    assert!(ended(Line::Closed), "the archive was not compacted");
    let renamed = |from: &str, to: &str| {
        let is = |call: &Call| matches!(call, Call::Rename { from: old, to: new } if old.ends_with(from) && new.ends_with(to));
        calls.iter().position(is).unwrap()
    };
    let exchange = renamed("archive/db", "archive/db.replaced");
    assert_eq!(renamed("archive/db.compact", "archive/db"), exchange + 1);

    let (mut trials, begun) = (0, Instant::now());
    let steps: Vec<usize> = (0..calls.len()).filter(|step| is_tried(&calls[*step], &mut dice)).collect();
    for step in steps.iter().rev() {
        if begun.elapsed() > SHORT && *step < exchange {
            break;
        }
        let mut disk = before.clone();
        calls[..*step].iter().for_each(|call| disk.apply(call));
        for mood in [Mood::Everything, Mood::random(&mut dice)] {
            let left = Record::new_disk();
            let path = left.path().join("disk");
            cut(&disk, mood, &mut dice, &path);
            let verdict = check(&path.join("archive"), &told, &mut dice);
            assert_eq!(verdict.faults, [], "{mood:?} before step {step}: {:?}", calls[*step]);
            assert!(verdict.acknowledged > 0);
            for gone in ["db.compact", "db.replaced", "db.new"] {
                assert!(!path.join("archive").join(gone).exists(), "{gone} after {mood:?} before step {step}");
            }
            trials += 1;
        }
    }
    println!("{trials} cuts at {} of {} steps; the exchange is step {exchange}", trials / 2, calls.len());
}
