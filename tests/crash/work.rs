//! Chooses the operations of a child.

use crate::dice::Dice;
use crate::wanted::{Text, VAST, Wanted, What};

const ARTICLES: u64 = 24;
const URLS: u64 = 40;
/// 2 November 2025, 00:00 UTC: the origin of the observe axis.
const FIRST: i64 = 1_762_041_600_000_000;
/// The minimum distance between the operations of two children on the observe axis.
const GENERATION: i64 = 100_000_000;

/// Chooses the operations of one writer.
pub(crate) struct Work {
    dice: Dice,
    /// The prefix of its request ids, which no other writer has.
    name: String,
    at: i64,
    jobs: u64,
    large_percent: u64,
    vast_percent: u64,
}

impl Work {
    /// `large_percent` of the contents have up to 400 KB, and `vast_percent` of the observations an original of up to 8
    /// MB.
    pub(crate) fn new((seed, generation, writer): (u64, u64, u64), (large_percent, vast_percent): (u64, u64)) -> Self {
        let at = FIRST + i64::try_from(generation).unwrap() * GENERATION + i64::try_from(writer).unwrap();
        let dice = Dice::for_task(seed, generation << 8 | writer);
        Self { dice, name: format!("{generation}-{writer}"), at, jobs: 0, large_percent, vast_percent }
    }

    pub(crate) fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    /// The next operations, to be sent together. If there are several, each has a request id, so that the log shows
    /// afterwards how many of them were carried out.
    pub(crate) fn job(&mut self) -> Vec<Wanted> {
        self.jobs += 1;
        let count = match self.dice.below(100) {
            0..75 => 1,
            75..97 => 2 + self.dice.below(6),
            _ => 8 + self.dice.below(50),
        };
        (0..count).map(|index| self.wanted(count > 1, index)).collect()
    }

    fn wanted(&mut self, is_atomic: bool, index: u64) -> Wanted {
        self.at += 1 + i64::try_from(self.dice.below(2_000)).unwrap();
        let mut article = u16::try_from(self.dice.below(ARTICLES)).unwrap();
        let choice = self.dice.below(100);
        let what = match choice {
            0..4 => What::Rollback(1 + u32::try_from(self.dice.below(4)).unwrap()),
            // Only some articles have state changes, because a withdrawn article accepts no observations.
            4..10 => {
                article -= article % 4;
                What::Mark { withdrawn: self.dice.percent(35) }
            }
            _ => self.observe(article),
        };
        let late = if self.dice.percent(15) { i64::try_from(self.dice.below(3 * 100_000_000)).unwrap() } else { 0 };
        let has_id = is_atomic || self.dice.percent(60);
        let request = has_id.then(|| format!("{}-{}-{index}", self.name, self.jobs));
        let is_observation = matches!(&what, What::Observe { urls, .. } if !urls.is_empty());
        Wanted { article, by_url: is_observation && self.dice.percent(30), at: self.at - late, request, what }
    }

    fn observe(&mut self, article: u16) -> What {
        // A few edits recur, so that some observations find nothing new.
        let edit = if self.dice.percent(40) { self.dice.below(4) } else { self.dice.below(1 << 20) };
        let kilobytes = if self.dice.percent(self.large_percent) { 20 + self.dice.below(380) } else { 0 };
        let text =
            Text { base: article, edit: u32::try_from(edit).unwrap(), kilobytes: u32::try_from(kilobytes).unwrap() };
        let urls_count = if self.dice.percent(25) { 1 + self.dice.below(3) } else { 0 };
        let mut urls: Vec<u16> = (0..urls_count).map(|_| u16::try_from(self.dice.below(URLS)).unwrap()).collect();
        urls.sort_unstable();
        urls.dedup();
        let original = if self.dice.percent(self.vast_percent) {
            Some(VAST + u32::try_from(1_500 + self.dice.below(6_500)).unwrap())
        } else {
            self.dice.percent(8).then(|| u32::try_from(self.dice.below(10_000)).unwrap())
        };
        What::Observe { text, urls, original }
    }
}
