//! Rounds of recording, cutting and checking.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::cut::{Mood, cut};
use super::disk::{Disk, Ignored};
use super::shim::record;
use super::trace::{Call, read};
use crate::check::{Care, Fault, Verdict, counted, examine};
use crate::child::{Task, open};
use crate::dice::Dice;
use crate::told::Line;
use crate::{seed, told_by};

const SHORT: Duration = Duration::from_secs(20);

#[test]
fn nothing_acknowledged_is_lost_by_power_cuts() {
    Cuts::new(seed("DATELINE_POWER_SEED"), Ignored::Nothing).go_on(60, 20, Some(SHORT)).must_be_well();
}

/// A commit of many megabytes spans several segments of sled's log. Written as one batch, it could lose an earlier
/// segment and keep a later one when the power failed in the middle; so it is written in parts.
#[test]
fn nothing_is_lost_by_power_cuts_within_commits_of_many_megabytes() {
    let seed = seed("DATELINE_POWER_SEED");
    Cuts { vast_percent: Some(60), ..Cuts::new(seed, Ignored::Nothing) }.go_on(60, 20, Some(SHORT)).must_be_well();
}

/// `DATELINE_POWER_TRIALS=1000 cargo test --release --test crash power::rounds::long_vast -- --ignored --nocapture`
#[test]
#[ignore = "takes as long as the number of trials demands"]
fn long_vast() {
    let trials = told_by("DATELINE_POWER_TRIALS", 1_000);
    let cuts = Cuts::new(seed("DATELINE_POWER_SEED"), Ignored::Nothing);
    Cuts { vast_percent: Some(60), ..cuts }.go_on(trials, 25, None).must_be_well();
}

/// `DATELINE_POWER_TRIALS=1000 cargo test --release --test crash power::rounds::long -- --ignored --nocapture`
#[test]
#[ignore = "takes as long as the number of trials demands"]
fn long() {
    let trials = told_by("DATELINE_POWER_TRIALS", 1_000);
    Cuts::new(seed("DATELINE_POWER_SEED"), Ignored::Nothing).go_on(trials, 25, None).must_be_well();
}

/// Only a commit with an original or with many contents writes this much.
const MUCH_BYTES: usize = 2 << 20;
/// Number of rounds, each of which works on what a cut of the previous one left.
const ROUNDS: u64 = 3;

/// A run, and its results so far.
pub(super) struct Cuts {
    seed: u64,
    dice: Dice,
    ignored: Ignored,
    /// Percentage of observations with an original of some megabytes; `None` chooses it at random.
    vast_percent: Option<u64>,
    records: u64,
    calls: u64,
    pub(super) trials: u64,
    trials_while_opening: u64,
    acknowledged: u64,
    reads: u64,
    pub(super) faults: Vec<Fault>,
    /// Number of trials with a fault.
    pub(super) failed: u64,
    begun: Instant,
}

/// A record: the disk before it, and the calls that were made then.
pub(super) struct Record {
    before: Disk<'static>,
    told_before: Vec<Line>,
    calls: Vec<Call>,
    /// The directory where the calls were made, in the state to which the record leads.
    root: PathBuf,
    _directory: TempDir,
}

impl Record {
    /// Runs some children in `directory`, one after the other, and records them.
    pub(super) fn make(
        (directory, told_before): (TempDir, Vec<Line>),
        (seed, generations): (u64, std::ops::Range<u64>),
        (ignored, vast_percent): (Ignored, Option<u64>),
        dice: &mut Dice,
    ) -> Self {
        let root = directory.path().canonicalize().unwrap().join("disk");
        let trace = directory.path().join("trace");
        let before = Disk::holding(&root, ignored);
        for generation in generations {
            let task = Task {
                path: root.join("archive"),
                seed,
                generation,
                writers: 1 + dice.below(3),
                jobs: 1 + dice.below(if vast_percent.is_some() { 4 } else { 25 }),
                large_percent: Task::random_large_percent(dice),
                vast_percent: vast_percent.unwrap_or_else(|| Task::random_vast_percent(dice)),
                clock_off_micros: 0,
                compacts: false,
            };
            let calls_max = match dice.below(100) {
                0..30 => Some(dice.below(120)),
                30..65 => Some(dice.below(900)),
                _ => None,
            };
            record(&task, &root, &trace, calls_max);
        }
        // A child that was killed at once has recorded nothing.
        let calls = read(&std::fs::read(&trace).unwrap_or_default(), &root);
        Self { before, told_before, calls, root, _directory: directory }
    }

    /// A directory for an empty disk.
    pub(super) fn new_disk() -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("disk")).unwrap();
        directory
    }

    /// A disk after the whole record, and the real directory, which must have the same files.
    pub(super) fn leads_to(&self) -> (Disk<'_>, &Path) {
        let mut disk = self.before.clone();
        self.calls.iter().for_each(|call| disk.apply(call));
        (disk, &self.root)
    }

    /// Some moments in the record, in order: at random, right after an acknowledgement, while an archive is opened, or,
    /// if there are any, right before a large sync, when a whole commit is written but none of it has to be durable.
    fn moments(&self, count: u64, dice: &mut Dice) -> Vec<usize> {
        let said = |wanted: fn(&Line) -> bool| -> Vec<usize> {
            let said = self
                .calls
                .iter()
                .enumerate()
                .filter(|(_, call)| if let Call::Said(lines) = call { lines.iter().any(wanted) } else { false });
            said.map(|(index, _)| index + 1).collect()
        };
        let acknowledged = said(|line| matches!(line, Line::Receipt { .. } | Line::Subscription { .. }));
        let opening = said(|line| matches!(line, Line::Opening));
        let opened = said(|line| matches!(line, Line::Opened));
        let much = self.before_syncs_of(MUCH_BYTES);
        let end = self.calls.len() as u64;
        let mut moment = || match dice.below(if much.is_empty() { 100 } else { 250 }) {
            100.. => *dice.one_of(&much),
            0..40 if !acknowledged.is_empty() => *dice.one_of(&acknowledged),
            40..60 if !opening.is_empty() => {
                let from = *dice.one_of(&opening);
                let to = opened.iter().copied().find(|opened| *opened > from).unwrap_or(self.calls.len());
                from + usize::try_from(dice.below((to - from) as u64 + 1)).unwrap()
            }
            _ => usize::try_from(dice.below(end + 1)).unwrap(),
        };
        let mut moments: Vec<usize> = (0..count).map(|_| moment()).collect();
        moments.sort_unstable();
        moments
    }
}

impl Record {
    /// The moments before a sync of a file to which at least `bytes_min` bytes were written since its last sync.
    fn before_syncs_of(&self, bytes_min: usize) -> Vec<usize> {
        let mut written = std::collections::BTreeMap::new();
        let before_much = |(index, call): (usize, &Call)| {
            if let Call::Write { inode, bytes, .. } = call {
                *written.entry(*inode).or_insert(0) += bytes.len();
            }
            let Call::DataSync { inode } = call else { return None };
            (written.insert(*inode, 0)? >= bytes_min).then_some(index)
        };
        self.calls.iter().enumerate().filter_map(before_much).collect()
    }
}

impl Cuts {
    pub(super) fn new(seed: u64, ignored: Ignored) -> Self {
        Self {
            seed,
            dice: Dice::for_task(seed, 2),
            ignored,
            vast_percent: None,
            records: 0,
            calls: 0,
            trials: 0,
            trials_while_opening: 0,
            acknowledged: 0,
            reads: 0,
            faults: Vec::new(),
            failed: 0,
            begun: Instant::now(),
        }
    }

    /// Makes this many trials, or as many as there is time for.
    pub(super) fn go_on(mut self, trials: u64, per_record: u64, at_most: Option<Duration>) -> Self {
        let stops_at_faults = self.ignored == Ignored::Nothing;
        let goes_on = |run: &Self| {
            run.trials < trials
                && (run.faults.is_empty() || !stops_at_faults)
                && at_most.is_none_or(|most| run.begun.elapsed() < most)
        };
        while goes_on(&self) {
            let mut disk = (Record::new_disk(), Vec::new());
            let mut generation = 0;
            let seed = self.seed.wrapping_add(self.records << 32);
            for round in 0..ROUNDS {
                if !goes_on(&self) {
                    break;
                }
                let generations = generation..generation + 2 + self.dice.below(3);
                generation = generations.end;
                let record = Record::make(disk, (seed, generations), (self.ignored, self.vast_percent), &mut self.dice);
                self.records += 1;
                self.calls += record.calls.len() as u64;
                let count = per_record.min(trials - self.trials);
                disk = self.cut_at_moments(&record, count, &goes_on);
                // With an ignored sync, a loss would be found again in every later round.
                if round + 1 < ROUNDS && !stops_at_faults {
                    break;
                }
            }
        }
        println!("{self}");
        self
    }

    /// Cuts at some moments and checks. Returns what another cut at one of them left, with all reports up to that
    /// moment.
    fn cut_at_moments(&mut self, record: &Record, count: u64, goes_on: &dyn Fn(&Self) -> bool) -> (TempDir, Vec<Line>) {
        let (mut disk, mut told) = (record.before.clone(), record.told_before.clone());
        let mut next = Record::new_disk();
        let mut told_next = Vec::new();
        let moments = record.moments(count, &mut self.dice);
        let chosen = self.dice.below(moments.len() as u64);
        let mut done = 0;
        for (index, moment) in (0..).zip(moments) {
            for call in &record.calls[done..moment] {
                disk.apply(call);
                if let Call::Said(lines) = call {
                    told.extend(lines.iter().cloned());
                }
            }
            done = moment;
            // A machine that is busy may use up the time while it records; something is tried even so.
            let has_tried = self.trials > 0 && self.acknowledged > 0;
            if has_tried && !goes_on(self) {
                break;
            }
            self.trial(&disk, &told);
            if index == chosen {
                next = Record::new_disk();
                cut(&disk, Mood::random(&mut self.dice), &mut self.dice, &next.path().join("disk"));
                told_next.clone_from(&told);
            }
        }
        (next, told_next)
    }

    fn trial(&mut self, disk: &Disk<'_>, told: &[Line]) {
        let left = Record::new_disk();
        let root = left.path().join("disk");
        let mood = Mood::random(&mut self.dice);
        cut(disk, mood, &mut self.dice, &root);
        let verdict = check(&root.join("archive"), told, &mut self.dice);
        self.trials += 1;
        let last = told.iter().rfind(|line| matches!(line, Line::Opening | Line::Opened));
        self.trials_while_opening += u64::from(last.is_some_and(|line| *line == Line::Opening));
        self.acknowledged += verdict.acknowledged;
        self.reads += verdict.reads;
        self.failed += u64::from(!verdict.faults.is_empty());
        if !verdict.faults.is_empty() && self.ignored == Ignored::Nothing {
            // The same cut again, in a directory that nobody has opened.
            let kept = Record::new_disk();
            cut(disk, mood, &mut self.dice, &kept.path().join("disk"));
            println!("{mood:?} at {last:?}: the opened directory is kept in {}", left.keep().display());
            println!("an unopened copy of it is kept in {}", kept.keep().display());
        }
        self.faults.extend(verdict.faults);
    }

    pub(super) fn must_be_well(&self) {
        for fault in self.faults.iter().take(20) {
            println!("{fault:?}");
        }
        assert!(self.faults.is_empty(), "{} faults with the seed {}", self.faults.len(), self.seed);
        assert!(self.trials > 0 && self.acknowledged > 0, "nothing was tried");
    }
}

/// Opens and checks what a cut left.
pub(super) fn check(path: &Path, told: &[Line], dice: &mut Dice) -> Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match open(path, 0) {
            Ok(archive) => {
                let verdict = examine(&archive, told, Care::ALL, dice).await;
                archive.close().await;
                verdict
            }
            Err(error) => Verdict { faults: vec![Fault::NotOpened(error.to_string())], ..Verdict::default() },
        }
    })
}

impl std::fmt::Display for Cuts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "power cuts: {} ({} while opening) in {} records of {} calls, ignoring {:?}; acknowledged operations checked: \
             {}; reads compared: {}; trials with faults: {}; {}; {:.1} s",
            self.trials,
            self.trials_while_opening,
            self.records,
            self.calls,
            self.ignored,
            self.acknowledged,
            self.reads,
            self.failed,
            counted(&self.faults),
            self.begun.elapsed().as_secs_f64(),
        )
    }
}
