//! An archive whose process is killed again and again keeps everything that it acknowledged, and always opens.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::check::{Care, Fault, Verdict, counted, examine};
use crate::child::{Task, open};
use crate::dice::Dice;
use crate::told::Line;
use crate::victim::{Ended, Life, When, run};
use crate::{seed, told_by};

/// Time limit of the short run, so that it is short on a slow machine too.
const SHORT: Duration = Duration::from_secs(35);
/// How many kills one directory goes through before a new one is started.
const KILLS_PER_DIRECTORY: u64 = 60;

#[test]
fn nothing_acknowledged_is_lost_by_kills() {
    Kills::new(seed("DATELINE_CRASH_SEED"), 16).go_on(25, 60, Some(SHORT)).must_be_well();
}

/// `DATELINE_CRASH_KILLS=1000 cargo test --release --test crash kills::long -- --ignored --nocapture`
#[test]
#[ignore = "takes as long as the number of kills demands"]
fn long() {
    let kills = told_by("DATELINE_CRASH_KILLS", 1_000);
    Kills::new(seed("DATELINE_CRASH_SEED"), 60).go_on(KILLS_PER_DIRECTORY, kills, None).must_be_well();
}

/// A run, and its results so far.
#[derive(Debug)]
struct Kills {
    seed: u64,
    dice: Dice,
    /// Maximum number of jobs of each of a child's writers.
    jobs_max: u64,
    directories: u64,
    kills: u64,
    kills_while_opening: u64,
    openings: u64,
    acknowledged: u64,
    reads: u64,
    changes: u64,
    faults: Vec<Fault>,
    begun: Instant,
}

/// One directory, with everything that its children reported.
struct Ageing {
    directory: TempDir,
    told: Vec<Line>,
    generation: u64,
    kills: u64,
    read_before: u64,
    /// How long the last opening took.
    opening: Duration,
}

impl Ageing {
    fn new() -> Self {
        let opening = Duration::from_millis(50);
        let directory = tempfile::tempdir().unwrap();
        Self { directory, told: Vec::new(), generation: 0, kills: 0, read_before: 0, opening }
    }
}

impl Kills {
    fn new(seed: u64, jobs_max: u64) -> Self {
        Self {
            seed,
            dice: Dice::for_task(seed, 1),
            jobs_max,
            directories: 0,
            kills: 0,
            kills_while_opening: 0,
            openings: 0,
            acknowledged: 0,
            reads: 0,
            changes: 0,
            faults: Vec::new(),
            begun: Instant::now(),
        }
    }

    /// Kills this many times, or until the time is up.
    fn go_on(mut self, per_directory: u64, kills: u64, at_most: Option<Duration>) -> Self {
        let goes_on = |run: &Self| {
            run.kills < kills && run.faults.is_empty() && at_most.is_none_or(|most| run.begun.elapsed() < most)
        };
        while goes_on(&self) {
            self.directories += 1;
            let mut ageing = Ageing::new();
            while ageing.kills < per_directory && goes_on(&self) {
                self.kill(&mut ageing);
                // Sometimes the next child opens the unchecked directory, and is killed as well.
                if self.dice.percent(75) {
                    self.check(&mut ageing, false);
                }
            }
            self.check(&mut ageing, true);
            self.changes += ageing.read_before;
            if !self.faults.is_empty() {
                let kept = ageing.directory.keep();
                println!("the directory is kept in {}", kept.display());
            }
        }
        println!("{self}");
        self
    }

    fn kill(&mut self, ageing: &mut Ageing) {
        let dice = &mut self.dice;
        let off = [0, 0, 0, 1, -1][usize::try_from(dice.below(5)).unwrap()];
        let task = Task {
            path: ageing.directory.path().join("archive"),
            // Each directory has its own seed, so that no two are alike.
            seed: self.seed.wrapping_add(self.directories << 32),
            generation: ageing.generation,
            writers: 1 + dice.below(5),
            jobs: 1 + dice.below(self.jobs_max),
            large_percent: Task::random_large_percent(dice),
            vast_percent: Task::random_vast_percent(dice),
            clock_off_micros: off * i64::try_from(dice.below(3_600_000_000)).unwrap(),
            compacts: false,
        };
        let mut below =
            |longest: Duration| Duration::from_micros(dice.below(1 + u64::try_from(longest.as_micros()).unwrap()));
        let (in_opening, in_work) = (below(ageing.opening * 5 / 4), below(Duration::from_millis(250)));
        let soon = below(Duration::from_millis(5));
        let when = match dice.below(100) {
            0..30 => When::Opening(in_opening),
            30..75 => When::Open(in_work),
            75..92 => When::Answered(1 + dice.below(1 + task.jobs * task.writers), soon),
            _ => When::Never,
        };
        let Life { told, ended, opening } = run(&task, when);
        ageing.told.extend(told);
        ageing.generation += 1;
        ageing.opening = opening.unwrap_or(ageing.opening);
        self.openings += u64::from(opening.is_some());
        self.kills_while_opening += u64::from(ended == Ended::WhileOpening);
        ageing.kills += u64::from(ended != Ended::ByItself);
        self.kills += u64::from(ended != Ended::ByItself);
    }

    fn check(&mut self, ageing: &mut Ageing, all: bool) {
        let care =
            if all { Care::ALL } else { Care { read_before: ageing.read_before, verifies: self.dice.percent(15) } };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dice = &mut self.dice;
        let verdict = runtime.block_on(async {
            match open(&ageing.directory.path().join("archive"), 0) {
                Ok(archive) => {
                    let verdict = examine(&archive, &ageing.told, care, dice).await;
                    archive.close().await;
                    verdict
                }
                Err(error) => Verdict { faults: vec![Fault::NotOpened(error.to_string())], ..Verdict::default() },
            }
        });
        self.openings += 1;
        ageing.read_before = verdict.tail;
        self.reads += verdict.reads;
        self.acknowledged += if all { verdict.acknowledged } else { 0 };
        self.faults.extend(verdict.faults);
    }

    fn must_be_well(&self) {
        for fault in self.faults.iter().take(20) {
            println!("{fault:?}");
        }
        assert!(self.faults.is_empty(), "{} faults with the seed {}", self.faults.len(), self.seed);
        assert!(self.kills > 0 && self.acknowledged > 0, "nothing was tried");
    }
}

impl std::fmt::Display for Kills {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "kills: {} ({} while opening) of {} directories; openings: {}; acknowledged operations checked: {}; changes: \
             {}; reads compared: {}; {}; {:.1} s",
            self.kills,
            self.kills_while_opening,
            self.directories,
            self.openings,
            self.acknowledged,
            self.changes,
            self.reads,
            counted(&self.faults),
            self.begun.elapsed().as_secs_f64(),
        )
    }
}
