//! Counts values in buckets, for distributions such as those of durations.
//!
//! Counting is one search among few bounds and two atomic additions, so a histogram can be on the path of every call. It
//! knows neither what it counts nor who reads it.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count for each bucket, and the sum of all values.
#[derive(Debug)]
pub struct Histogram {
    /// The greatest value of each bucket, ascending. Greater values than the last count in a bucket of their own.
    bounds: &'static [u64],
    /// One more than there are bounds.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// A histogram as it was at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The greatest value of each bucket, ascending.
    pub bounds: &'static [u64],
    /// How many values each bucket has; the last one has those above all bounds.
    pub counts: Vec<u64>,
    /// The sum of all values, in their unit.
    pub sum: u64,
}

impl Histogram {
    /// An empty histogram with a bucket up to each of `bounds`, which ascend, and one for greater values.
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = bounds.iter().chain([&u64::MAX]).map(|_| AtomicU64::new(0));
        Self { bounds, counts: counts.collect(), sum: AtomicU64::new(0) }
    }

    /// Counts a value.
    pub fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// The counts at this moment. A value that is being counted meanwhile may be in the sum and not yet in its bucket, or
    /// the other way round.
    pub fn counts(&self) -> Counts {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Counts { bounds: self.bounds, counts, sum: self.sum.load(Ordering::Relaxed) }
    }
}

impl Counts {
    /// The number of values.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_in_the_first_bucket_that_it_does_not_exceed() {
        let histogram = Histogram::new(&[10, 20]);
        for value in [0, 10, 11, 20, 21, 1_000] {
            histogram.observe(value);
        }
        assert_eq!(histogram.counts(), Counts { bounds: &[10, 20], counts: vec![2, 2, 2], sum: 1_062 });
        assert_eq!(histogram.counts().total(), 6);
    }
}
