//! Random choices that a seed reproduces: SplitMix64 (Steele, Lea and Flood, 2014).

/// A source of random choices.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An independent source for one of several tasks.
    pub(crate) fn for_task(seed: u64, task: u64) -> Self {
        Self::new(Self(seed ^ task.wrapping_mul(0xd1b5_4a32_d192_ed03)).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A random number below `end`, which must not be 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True with this probability.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A random element, of at least one.
    pub(crate) fn one_of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let index = self.below(items.len() as u64);
        &items[usize::try_from(index).unwrap()]
    }
}

/// The seed of a run: `DATELINE_FEED_SEED`, or the default. Each test prints it, so that a failure can be reproduced.
pub(crate) fn seed(usual: u64) -> u64 {
    let seed = std::env::var("DATELINE_FEED_SEED").map_or(usual, |seed| seed.parse().expect("a seed is a number"));
    println!("DATELINE_FEED_SEED={seed}");
    seed
}
