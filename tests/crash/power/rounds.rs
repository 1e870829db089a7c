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

/// A commit of many megabytes spans several segments of sled's log. When all of it was one write, power that went in its
/// midst could leave a later segment and not an earlier one.
#[test]
fn nothing_is_lost_by_power_cuts_within_commits_of_many_megabytes() {
    let seed = seed("DATELINE_POWER_SEED");
    Cuts { vast_percent: Some(60), ..Cuts::new(seed, Ignored::Nothing) }.go_on(60, 20, Some(SHORT)).must_be_well();
}

/// `DATELINE_POWER_TRIALS=1000 cargo test --release --test crash power::rounds::long_vast -- --ignored --nocapture`
#[test]
#[ignore = "takes as long as it is told to"]
fn long_vast() {
    let trials = told_by("DATELINE_POWER_TRIALS", 1_000);
    let cuts = Cuts::new(seed("DATELINE_POWER_SEED"), Ignored::Nothing);
    Cuts { vast_percent: Some(60), ..cuts }.go_on(trials, 25, None).must_be_well();
}

/// `DATELINE_POWER_TRIALS=1000 cargo test --release --test crash power::rounds::long -- --ignored --nocapture`
#[test]
#[ignore = "takes as long as it is told to"]
fn long() {
    let trials = told_by("DATELINE_POWER_TRIALS", 1_000);
    Cuts::new(seed("DATELINE_POWER_SEED"), Ignored::Nothing).go_on(trials, 25, None).must_be_well();
}

/// A commit that writes so much is of an original, or of many contents.
const MUCH_BYTES: usize = 2 << 20;
/// How many rounds work on what a cut of the one before left.
const ROUNDS: u64 = 3;

/// A run, and what it has come to.
pub(super) struct Cuts {
    seed: u64,
    dice: Dice,
    ignored: Ignored,
    /// How many of a hundred observations have an original of megabytes, where chance does not say.
    vast_percent: Option<u64>,
    records: u64,
    calls: u64,
    pub(super) trials: u64,
    trials_while_opening: u64,
    acknowledged: u64,
    reads: u64,
    pub(super) faults: Vec<Fault>,
    /// Trials with a fault.
    pub(super) failed: u64,
    begun: Instant,
}

/// A record: a disk as it was before it, and what was done then.
pub(super) struct Record {
    before: Disk<'static>,
    told_before: Vec<Line>,
    calls: Vec<Call>,
    /// Where it was made. What is there now is what the record leads to.
    root: PathBuf,
    _directory: TempDir,
}

impl Record {
    /// Lets some children work in `directory` one after the other.
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

    /// An empty disk.
    pub(super) fn new_disk() -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("disk")).unwrap();
        directory
    }

    /// Where the record leads to: a disk that loses nothing.
    pub(super) fn leads_to(&self) -> (Disk<'_>, &Path) {
        let mut disk = self.before.clone();
        self.calls.iter().for_each(|call| disk.apply(call));
        (disk, &self.root)
    }

    /// Some moments in it, in order: anywhere, right after something was acknowledged, while an archive is opened, or
    /// where there are any right before a sync of much, when all of a commit is written and none of it need be there.
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
    /// The moments before files are synced of which so much was written since they were.
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

    /// Makes so many trials, or as many as there is time for.
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
                // What was lost because something was ignored would be missed ever after.
                if round + 1 < ROUNDS && !stops_at_faults {
                    break;
                }
            }
        }
        println!("{self}");
        self
    }

    /// Cuts at some moments and checks. Answers what another cut at one of them left, with all that was told until then.
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
            if !goes_on(self) {
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
            // The same again, untouched by having been opened.
            let kept = Record::new_disk();
            cut(disk, mood, &mut self.dice, &kept.path().join("disk"));
            println!("{mood:?} at {last:?}: opened, it is kept in {}", left.keep().display());
            println!("another cut at that moment is kept in {}", kept.keep().display());
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

/// Opens what a cut left, and checks it.
fn check(path: &Path, told: &[Line], dice: &mut Dice) -> Verdict {
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
