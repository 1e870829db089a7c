//! Random salts, one for each change.

use crate::model::{Salt, Seq};

const SALT_BYTES: usize = 16;
/// How many salts are drawn from the system at once: a call for each would take longer than all else that a leaf takes.
const DRAWN_AT_ONCE: usize = 256;

/// A supply of salts. Each is used once.
#[derive(Default)]
pub(crate) struct Salts {
    drawn: Vec<u8>,
    #[cfg(any(test, feature = "internals"))]
    seed: Option<u64>,
}

impl Salts {
    /// Salts that follow from a seed, for tests that compare archives.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { drawn: Vec::new(), seed: Some(seed) }
    }

    /// Makes sure that there are `count` salts. Fails if the operating system returns no random bytes.
    pub(crate) fn provide(&mut self, count: usize) -> Result<(), getrandom::Error> {
        let needed = count * SALT_BYTES;
        if self.drawn.len() >= needed {
            return Ok(());
        }
        let had = self.drawn.len();
        self.drawn.resize(needed.max(DRAWN_AT_ONCE * SALT_BYTES), 0);
        let filled = getrandom::fill(self.drawn.get_mut(had..).unwrap_or_default());
        if filled.is_err() {
            self.drawn.truncate(had);
        }
        filled
    }

    /// The salt of the change at `seq`, the next one; `None` if [`Self::provide`] has not provided it.
    pub(crate) fn next(&mut self, seq: Seq) -> Option<Salt> {
        #[cfg(any(test, feature = "internals"))]
        if let Some(seed) = self.seed {
            return Some(Salt((u128::from(seed) << 64 | u128::from(seq.0)).to_be_bytes()));
        }
        let _ = seq;
        let at = self.drawn.len().checked_sub(SALT_BYTES)?;
        let salt = self.drawn.split_off(at).try_into().ok()?;
        Some(Salt(salt))
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
        for count in [1, 256, 257, 600, 3] {
            salts.provide(count).unwrap();
            for _ in 0..count {
                assert!(seen.insert(salts.next(Seq::ZERO).unwrap().0));
            }
        }
        let rest = std::iter::from_fn(|| salts.next(Seq::ZERO)).filter(|salt| !seen.insert(salt.0)).count();
        assert_eq!(rest, 0);
        assert_eq!(Salts::default().next(Seq::ZERO), None);
    }
}
