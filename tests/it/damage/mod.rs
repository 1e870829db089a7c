//! Random damage to an archive on disk.
//!
//! An archive of some hundred changes ([`load`]) is left in three ways ([`states`]). A trial ([`trial`]) takes a copy,
//! damages it ([`harm`], [`region`]), and asks it all that can be asked ([`questions`], [`answers`]). The damage has to
//! be told or to do no harm: an archive never says anything else than it did before, nor panics, nor hangs.
//!
//! `DATELINE_DAMAGE_TRIALS=5000 cargo test --release --test it damage::long -- --ignored --nocapture` runs that many,
//! from the seed that it prints, or from `DATELINE_DAMAGE_SEED`. `DATELINE_DAMAGE_ONLY=17` runs the seventeenth
//! alone. Where sled puts things differs from build to build, so to repeat a trial to the byte, both runs have to be
//! given the same folder in `DATELINE_DAMAGE_KEEP`, where the intact archives stay. `TMPDIR=/dev/shm` makes it several
//! times faster, since sled syncs what it cuts off.

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
/// With so many, each half of the archive takes several of sled's segments.
const STEPS_LONG: usize = 420;
/// One trial in so many is at the end of the log.
const NEAR_END: u64 = 6;
const SEED: u64 = 20_261_125;

#[test]
fn damage_is_told_or_does_no_harm() {
    let summary = trials(&Bench::new(SEED, STEPS), TRIALS, None);
    assert_eq!(summary.failures(), 0, "{summary}");
}

#[test]
#[ignore = "takes as long as it is told to"]
fn long() {
    let seed = number("DATELINE_DAMAGE_SEED").unwrap_or(SEED);
    let trials_wanted = number("DATELINE_DAMAGE_TRIALS").unwrap_or(1_000);
    let summary = trials(&Bench::new(seed, STEPS_LONG), trials_wanted, number("DATELINE_DAMAGE_ONLY"));
    assert_eq!(summary.failures(), 0, "{summary}");
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// The archives of a seed, in their states, with what they say.
struct Bench {
    seed: u64,
    pristine: Pristine,
    maps: Vec<(State, Map)>,
    intact: Arc<Intact>,
}

impl Bench {
    fn new(seed: u64, steps: usize) -> Self {
        println!("DATELINE_DAMAGE_SEED={seed}");
        let begun = Instant::now();
        let pristine = Pristine::of(seed, steps);
        let maps = State::ALL.map(|state| (state, Map::of(&pristine.path(state))));
        let scratch = TempDir::new().unwrap();
        pristine.copy_to(State::Covered, scratch.path());
        let intact = Arc::new(trial::learn(scratch.path()));
        println!("{} questions, built in {:?}", intact.answers.len(), begun.elapsed());
        Self { seed, pristine, maps: maps.into(), intact }
    }

    fn trial(&self, state: usize, harm: Option<&Harm>) -> Verdict {
        let (state, map) = &self.maps[state];
        let directory = TempDir::new().unwrap();
        let archive = directory.path().join("archive");
        self.pristine.copy_to(*state, &archive);
        let verdict = trial::run(&archive, harm, &self.intact, map);
        if matches!(verdict, Verdict::Hung) {
            // Its thread still has the files.
            println!("left in {}", directory.keep().display());
        }
        verdict
    }
}

/// Carries out so many trials, or one of them only.
fn trials(bench: &Bench, count: u64, only: Option<u64>) -> Summary {
    let mut summary = Summary::default();
    for (state, name) in State::ALL.iter().enumerate() {
        let verdict = bench.trial(state, None);
        assert!(matches!(verdict, Verdict::Harmless), "undamaged, {name:?}: {verdict:?}");
    }
    for number in (0..count).filter(|number| only.is_none_or(|only| only == *number)) {
        let mut dice = Dice::for_task(bench.seed, number);
        let state = usize::try_from(dice.below(3)).unwrap();
        let map = &bench.maps[state].1;
        let near_end = number.is_multiple_of(NEAR_END);
        let harm = if near_end { Harm::near_end(map, dice.below(1_000)) } else { Harm::choose(map, &mut dice) };
        let begun = Instant::now();
        let verdict = bench.trial(state, Some(&harm));
        summary.add(number, State::ALL[state], &harm, &verdict, begun.elapsed());
    }
    println!("{summary}");
    summary
}
