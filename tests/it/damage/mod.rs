//! Random damage to an archive on disk.
//!
//! An archive of some hundred changes ([`load`]) is left in three states ([`states`]); a short one in its only state. A trial ([`trial`]) takes a
//! copy, damages it ([`harm`], [`region`]), and asks it everything that can be asked ([`questions`], [`answers`]). The
//! damage must either be reported or do no harm: an archive never gives another answer than before, panics or hangs.
//!
//! `DATELINE_DAMAGE_TRIALS=5000 cargo test --release --test it damage::long -- --ignored --nocapture` runs that many
//! trials, from the seed that it prints or from `DATELINE_DAMAGE_SEED`. `DATELINE_DAMAGE_ONLY=17` runs only the
//! seventeenth. Where sled stores data differs from build to build, so to repeat a trial exactly, give both runs the
//! same folder in `DATELINE_DAMAGE_KEEP`, where the intact archives are kept. `TMPDIR=/dev/shm` makes the run several
//! times faster, because sled syncs when it truncates.

mod answers;
mod comparer_finds;
mod harm;
mod load;
mod messages;
mod panics;
mod questions;
mod region;
mod states;
mod summary;
mod trial;

use std::sync::Arc;
use std::time::Instant;

use tempfile::TempDir;

use self::harm::Harm;
use self::region::Map;
use self::states::{Pristine, State};
use self::summary::Summary;
use self::trial::{Intact, Verdict};
use crate::feed::dice::Dice;

/// Trials of a normal run, which has to be short, and the steps of its archive.
const TRIALS: u64 = 16;
const STEPS: usize = 80;
/// The steps of an archive that is only its write-ahead log.
const STEPS_SMALL: usize = 8;
/// With this many steps, each half of the archive takes several of sled's segments.
const STEPS_LONG: usize = 420;
/// One in this many trials damages the end of the log.
const NEAR_END: u64 = 6;
const SEED: u64 = 20_261_125;

#[test]
fn damage_is_reported_or_harmless() {
    let summary = trials(&Bench::new(SEED, STEPS), TRIALS, None);
    assert_eq!(summary.failures(), 0, "{summary}");
}

#[test]
fn damage_of_a_small_archive_is_reported_or_harmless() {
    let summary = trials(&Bench::small(SEED, STEPS_SMALL), TRIALS, None);
    assert_eq!(summary.failures(), 0, "{summary}");
}

#[test]
#[ignore = "takes as long as the number of trials demands"]
fn long() {
    let seed = number("DATELINE_DAMAGE_SEED").unwrap_or(SEED);
    let trials_wanted = number("DATELINE_DAMAGE_TRIALS").unwrap_or(1_000);
    let only = number("DATELINE_DAMAGE_ONLY");
    for bench in [Bench::new(seed, STEPS_LONG), Bench::small(seed, STEPS_SMALL)] {
        let summary = trials(&bench, trials_wanted, only);
        assert_eq!(summary.failures(), 0, "{summary}");
    }
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// The archives of a seed in their states, and the answers of the intact one.
struct Bench {
    seed: u64,
    pristine: Pristine,
    maps: Vec<(State, Map)>,
    intact: Arc<Intact>,
}

impl Bench {
    fn new(seed: u64, steps: usize) -> Self {
        println!("DATELINE_DAMAGE_SEED={seed}");
        Self::of(seed, Pristine::of(seed, steps), &State::LARGE)
    }

    fn small(seed: u64, steps: usize) -> Self {
        Self::of(seed, Pristine::small(seed, steps), &[State::Small])
    }

    fn of(seed: u64, pristine: Pristine, states: &[State]) -> Self {
        let begun = Instant::now();
        let maps = states.iter().map(|state| (*state, Map::of(&pristine.path(*state)))).collect();
        let scratch = TempDir::new().unwrap();
        pristine.copy_to(states[0], scratch.path());
        let intact = Arc::new(trial::learn(scratch.path()));
        println!("{} questions, learned in {:?}", intact.answers.len(), begun.elapsed());
        Self { seed, pristine, maps, intact }
    }

    fn trial(&self, state: usize, harm: Option<&Harm>) -> Verdict {
        let (state, map) = &self.maps[state];
        let directory = TempDir::new().unwrap();
        let archive = directory.path().join("archive");
        self.pristine.copy_to(*state, &archive);
        let verdict = trial::run(&archive, harm, &self.intact, map);
        if matches!(verdict, Verdict::Hung) {
            // Its thread still has the files open.
            println!("left in {}", directory.keep().display());
        }
        verdict
    }
}

/// Carries out `count` trials, or only one of them.
fn trials(bench: &Bench, count: u64, only: Option<u64>) -> Summary {
    let mut summary = Summary::default();
    for (number, (state, _)) in bench.maps.iter().enumerate() {
        let verdict = bench.trial(number, None);
        assert!(matches!(verdict, Verdict::Harmless), "undamaged, {state:?}: {verdict:?}");
    }
    for number in (0..count).filter(|number| only.is_none_or(|only| only == *number)) {
        let mut dice = Dice::for_task(bench.seed, number);
        let state = usize::try_from(dice.below(bench.maps.len() as u64)).unwrap();
        let (name, map) = &bench.maps[state];
        let near_end = number.is_multiple_of(NEAR_END);
        let harm = if near_end { Harm::near_end(map, dice.below(1_000)) } else { Harm::choose(map, &mut dice) };
        let begun = Instant::now();
        let verdict = bench.trial(state, Some(&harm));
        summary.add(number, *name, &harm, &verdict, begun.elapsed());
    }
    println!("{summary}");
    summary
}
