//! Random choices that a seed repeats: SplitMix64 (Steele, Lea and Flood, 2014).

/// A source of choices.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Choices of their own, for the nth of several tasks or children.
    pub(crate) fn nth(seed: u64, number: u64) -> Self {
        Self::new(Self(seed ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03)).next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A number from `start` on and below `end`.
    pub(crate) fn between(&mut self, start: u32, end: u32) -> u32 {
        start + u32::try_from(self.below(u64::from(end - start))).unwrap()
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
