//! Random salts, one for each change.

use crate::model::{Salt, Seq};

const SALT_BYTES: usize = 16;
/// How many salts are drawn from the system at once: a call for each would take longer than all else that a leaf takes.
const DRAWN_AT_ONCE: usize = 256;

/// A supply of salts. Each is used once.
#[derive(Default)]
pub(crate) struct Salts {
    drawn: Vec<Salt>,
    #[cfg(any(test, feature = "internals"))]
    seed: Option<u64>,
}

impl Salts {
    /// Salts that follow from a seed, for tests that compare archives.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { drawn: Vec::new(), seed: Some(seed) }
    }

    /// The salts of `count` changes from position `first` on. Fails if the operating system returns no random bytes.
    pub(crate) fn draw(&mut self, first: Seq, count: usize) -> Result<Vec<Salt>, getrandom::Error> {
        #[cfg(any(test, feature = "internals"))]
        if let Some(seed) = self.seed {
            let positions = (first.0..).take(count);
            return Ok(positions.map(|seq| Salt((u128::from(seed) << 64 | u128::from(seq)).to_be_bytes())).collect());
        }
        // Only salts of tests depend on the position.
        let _ = first;
        if self.drawn.len() < count {
            let mut bytes = vec![0; count.max(DRAWN_AT_ONCE) * SALT_BYTES];
            getrandom::fill(&mut bytes)?;
            self.drawn.extend(bytes.as_chunks::<SALT_BYTES>().0.iter().copied().map(Salt));
        }
        Ok(self.drawn.drain(..count).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_salt_is_used_twice() {
        let mut salts = Salts::default();
        let mut seen = HashSet::new();
        for count in [0, 1, 256, 257, 600, 3] {
            let drawn = salts.draw(Seq::ZERO, count).unwrap();
            assert_eq!(drawn.len(), count);
            assert!(drawn.into_iter().all(|salt| seen.insert(salt.0)));
        }
    }
}
