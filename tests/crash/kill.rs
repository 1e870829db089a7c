//! Kills at random moments, on a directory that ages, with a check after nearly each.

use std::fmt;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::acknowledged::{self, Acknowledged};
use crate::checker::{self, COULD_NOT_OPEN, Contents, LOST, TORN};
use crate::child::{Killed, Running};
use crate::dice::Dice;

/// Kills after which a directory has aged enough.
const DIRECTORY_KILLS: u32 = 60;
/// Every so many checks, all contents are compared; else the newest.
const ALL_CONTENTS_EVERY: u32 = 10;
const NEWEST_CONTENTS: usize = 300;
/// Kills after which each kind of change was acknowledged in some directory.
const KILLS_FOR_ALL_KINDS: u32 = 200;
/// A child that has told nothing for so long is killed all the same.
const FIRST_AT_MOST: Duration = Duration::from_secs(30);

#[test]
fn kills_lose_nothing() {
    // Checking waits for the disk more than all else does.
    run(20, 50, seed());
}

#[test]
#[ignore = "takes twenty minutes, in release"]
fn a_thousand_kills_lose_nothing() {
    let kills = std::env::var("DATELINE_CRASH_KILLS").map_or(1_000, |kills| kills.parse().unwrap());
    run(kills, 80, seed());
}

/// The seed of a run. The moment at which a child is killed is not repeated by it, but what it was writing is.
fn seed() -> u64 {
    let seed =
        std::env::var("DATELINE_CRASH_SEED").map_or_else(|_| getrandom::u64().unwrap(), |seed| seed.parse().unwrap());
    println!("DATELINE_CRASH_SEED={seed}");
    seed
}

/// Kills so often, and checks after so many of a hundred kills.
fn run(kills: u32, checks_percent: u64, seed: u64) {
    let (mut figures, mut dice) = (Figures::default(), Dice::new(seed));
    let began = Instant::now();
    let mut directory = Aging::new();
    for kill in 0..kills {
        let faults_before = figures.faults;
        directory.kill(seed.wrapping_add(u64::from(kill)), &mut dice, &mut figures);
        let is_last = kill + 1 == kills || (kill + 1) % DIRECTORY_KILLS == 0;
        // Not after each, since checking closes the archive in order.
        if is_last || dice.percent(checks_percent) {
            directory.check(is_last, &mut figures);
        }
        if figures.faults > faults_before {
            directory.keep();
        }
        if is_last || figures.faults > faults_before {
            directory = Aging::new();
        }
    }
    let each = |duration: Duration| duration.as_secs_f64() / f64::from(kills.max(1));
    println!("{figures}; {:.2} s a kill, {:.2} s of it checking", each(began.elapsed()), each(figures.checking));
    assert!(figures.faults == 0, "seed {seed}: {} faults, which are told above", figures.faults);
    // So many kills see all that a change can do, unless the writers have ceased to ask for it.
    assert!(kills < KILLS_FOR_ALL_KINDS || figures.kinds == 9, "only {} kinds of change were made", figures.kinds);
}

/// A directory that is used on, however often it was killed.
struct Aging {
    directory: TempDir,
    /// All that was acknowledged in it.
    told: Vec<Acknowledged>,
    checks: u32,
}

impl Aging {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), told: Vec::new(), checks: 0 }
    }

    /// Starts a child and kills it: a fifth of them while the archive is being opened, or made.
    fn kill(&mut self, seed: u64, dice: &mut Dice, figures: &mut Figures) {
        let path = self.directory.path().join("archive");
        let running = Running::start(&path, seed);
        let wait = if dice.percent(20) {
            dice.between(0, 30)
        } else {
            running.wait_for_first(FIRST_AT_MOST);
            dice.between(20, 600)
        };
        std::thread::sleep(Duration::from_millis(wait.into()));
        let Killed { told, ended } = running.kill();
        figures.kills += 1;
        if let Some(status) = ended {
            figures.find(format!("a child ended by itself, {status}: {}", String::from_utf8_lossy(&told)));
            return;
        }
        let told = acknowledged::read(&told);
        figures.during_open += u32::from(told.is_empty());
        self.told.extend(told);
    }

    /// Leaves a directory with a fault, and what was acknowledged in it, to be looked into.
    fn keep(&mut self) {
        self.directory.disable_cleanup(true);
        let lines: Vec<_> = self.told.iter().flat_map(Acknowledged::line).collect();
        std::fs::write(self.directory.path().join("acknowledged"), lines).unwrap();
        println!("kept in {}", self.directory.path().display());
    }

    fn check(&mut self, is_last: bool, figures: &mut Figures) {
        let began = Instant::now();
        self.checks += 1;
        let all = is_last || self.checks.is_multiple_of(ALL_CONTENTS_EVERY);
        let contents = if all { Contents::All } else { Contents::Newest(NEWEST_CONTENTS) };
        match checker::check_contents(&self.directory.path().join("archive"), &self.told, contents) {
            Ok(checked) => {
                figures.checks += 1;
                figures.kinds = figures.kinds.max(checked.kinds);
                if is_last {
                    figures.acknowledged += checked.acknowledged;
                    figures.changes += checked.changes;
                }
            }
            Err(faults) => faults.into_iter().for_each(|fault| figures.find(fault)),
        }
        figures.checking += began.elapsed();
    }
}

/// What came of a run.
#[derive(Debug, Default)]
struct Figures {
    kills: u32,
    during_open: u32,
    checks: u32,
    acknowledged: usize,
    changes: usize,
    /// The most kinds of change that one directory had.
    kinds: usize,
    lost: u32,
    torn: u32,
    failed_opens: u32,
    faults: u32,
    checking: Duration,
}

impl Figures {
    fn find(&mut self, fault: String) {
        self.lost += u32::from(fault.starts_with(LOST));
        self.torn += u32::from(fault.starts_with(TORN));
        self.failed_opens += u32::from(fault.starts_with(COULD_NOT_OPEN));
        self.faults += 1;
        println!("after {} kills: {fault}", self.kills);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kills,
            during_open,
            checks,
            acknowledged,
            changes,
            kinds,
            lost,
            torn,
            failed_opens,
            faults,
            checking: _,
        } = self;
        write!(f, "{kills} kills, of them {during_open} during open; {checks} checks; ")?;
        write!(f, "{acknowledged} acknowledged changes of {changes} in the logs, of {kinds} kinds; ")?;
        write!(f, "{lost} lost, {torn} torn, {failed_opens} failed opens, {faults} faults in all")
    }
}
