//! The results of many trials.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::harm::Harm;
use super::states::State;
use super::trial::Verdict;

#[derive(Default)]
pub(super) struct Summary {
    trials: u64,
    verdicts: BTreeMap<&'static str, u64>,
    /// The number of trials by state, region and verdict.
    regions: BTreeMap<String, u64>,
    failures: u64,
    elapsed: Duration,
}

impl Summary {
    pub(super) fn failures(&self) -> u64 {
        self.failures
    }

    /// Counts a trial, and prints it if it failed.
    pub(super) fn add(&mut self, number: u64, state: State, harm: &Harm, verdict: &Verdict, elapsed: Duration) {
        let (name, detail) = match verdict {
            Verdict::Refused(reason) => ("refused at open", reason.as_str()),
            Verdict::Lost(reason) => ("LOST", reason.as_str()),
            Verdict::Told(reason) => ("reported by a read", reason.as_str()),
            Verdict::Harmless => ("harmless", ""),
            Verdict::Wrong(reason) => ("WRONG", reason.as_str()),
            Verdict::Spoiled(reason) => ("SPOILED", reason.as_str()),
            Verdict::Panicked(reason) => ("PANICKED", reason.as_str()),
            Verdict::Hung => ("HUNG", ""),
        };
        self.trials += 1;
        self.elapsed += elapsed;
        *self.verdicts.entry(name).or_default() += 1;
        if self.trials.is_multiple_of(250) {
            println!("{} trials so far: {:?}", self.trials, self.verdicts);
        }
        *self.regions.entry(format!("{state:?} | {} | {name}", harm.region)).or_default() += 1;
        if verdict.is_failure() {
            self.failures += 1;
        }
        if verdict.is_failure() || std::env::var("DATELINE_DAMAGE_ONLY").is_ok() {
            println!("trial {number}, {state:?}, {harm}, {elapsed:?}: {name}: {detail}");
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self.elapsed.checked_div(u32::try_from(self.trials).unwrap_or(1)).unwrap_or_default();
        for (region, count) in &self.regions {
            writeln!(f, "{count:>6}  {region}")?;
        }
        write!(f, "{} trials of {each:?} each: {:?}", self.trials, self.verdicts)
    }
}
