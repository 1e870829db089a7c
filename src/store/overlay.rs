//! A view of an engine with pending writes applied.
//!
//! The writer decides a change on three layers: the engine, the commit that is being synced, and the commit that is
//! being built. It reads them as one: a write of a later layer hides one of an earlier layer.

use std::collections::btree_map;
use std::iter::Peekable;

use super::engine::{Batch, Direction, EngineError, Entry, KeyRange, Read, Scan};

/// An engine without entries, for what is projected from a log alone.
pub struct EmptyEngine;

impl Read for EmptyEngine {
    fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(None)
    }

    fn scan(&self, _: KeyRange, _: Direction) -> Scan<'_> {
        Box::new(std::iter::empty::<Result<Entry, EngineError>>())
    }
}

/// Reads `below` as it will be once `above` is written.
pub struct Overlay<'a> {
    below: &'a dyn Read,
    above: &'a Batch,
}

impl<'a> Overlay<'a> {
    /// A view of `below` with `above` applied.
    pub fn new(below: &'a dyn Read, above: &'a Batch) -> Self {
        Self { below, above }
    }
}

impl Read for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        match self.above.writes.get(key) {
            Some(write) => Ok(write.clone()),
            None => self.below.get(key),
        }
    }

    fn scan(&self, range: KeyRange, direction: Direction) -> Scan<'_> {
        if range.is_empty() {
            return Box::new(std::iter::empty());
        }
        let writes = self.above.writes.range::<Vec<u8>, _>((range.start.as_ref(), range.end.as_ref()));
        let writes = match direction {
            Direction::Forward => PendingWrites::Forward(writes),
            Direction::Reverse => PendingWrites::Reverse(writes.rev()),
        };
        Box::new(Merge { below: self.below.scan(range, direction).peekable(), above: writes.peekable(), direction })
    }
}

enum PendingWrites<'a> {
    Forward(btree_map::Range<'a, Vec<u8>, Option<Vec<u8>>>),
    Reverse(std::iter::Rev<btree_map::Range<'a, Vec<u8>, Option<Vec<u8>>>>),
}

impl<'a> Iterator for PendingWrites<'a> {
    type Item = (&'a Vec<u8>, &'a Option<Vec<u8>>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Forward(writes) => writes.next(),
            Self::Reverse(writes) => writes.next(),
        }
    }
}

struct Merge<'a> {
    below: Peekable<Scan<'a>>,
    above: Peekable<PendingWrites<'a>>,
    direction: Direction,
}

impl Merge<'_> {
    /// Whether the next entry comes from `above`. An entry of `below` with the same key is skipped.
    fn above_is_next(&mut self) -> bool {
        let (below, above) = match (self.below.peek(), self.above.peek()) {
            (_, None) | (Some(Err(_)), _) => return false,
            (None, Some(_)) => return true,
            (Some(Ok((below, _))), Some((above, _))) => (below, *above),
        };
        let order = match self.direction {
            Direction::Forward => above.cmp(below),
            Direction::Reverse => below.cmp(above),
        };
        if order.is_eq() {
            self.below.next();
        }
        order.is_le()
    }
}

impl Iterator for Merge<'_> {
    type Item = Result<Entry, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.above_is_next() {
            let (key, write) = self.above.next()?;
            if let Some(value) = write {
                return Some(Ok((key.clone(), value.clone())));
            }
        }
        self.below.next()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ops::Bound;

    use proptest::prelude::*;

    use super::*;

    struct Map(BTreeMap<Vec<u8>, Vec<u8>>);

    impl Read for Map {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
            Ok(self.0.get(key).cloned())
        }

        fn scan(&self, range: KeyRange, direction: Direction) -> Scan<'_> {
            let entries = self.0.range((range.start, range.end)).map(|(key, value)| Ok((key.clone(), value.clone())));
            match direction {
                Direction::Forward => Box::new(entries),
                Direction::Reverse => Box::new(entries.rev()),
            }
        }
    }

    fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
        (0..3_u8, 0..9_u8).prop_map(|(kind, key)| match kind {
            0 => Bound::Unbounded,
            1 => Bound::Included(vec![key]),
            _ => Bound::Excluded(vec![key]),
        })
    }

    proptest! {
        #[test]
        fn an_overlay_reads_as_if_its_writes_were_applied(
            below in prop::collection::btree_map(0..9_u8, any::<u8>(), 0..9),
            above in prop::collection::btree_map(0..9_u8, any::<Option<u8>>(), 0..9),
            (start, end) in (bound(), bound()),
        ) {
            let below = Map(below.into_iter().map(|(key, value)| (vec![key], vec![value])).collect());
            let above = Batch {
                writes: above.into_iter().map(|(key, value)| (vec![key], value.map(|value| vec![value]))).collect(),
                ..Batch::default()
            };
            let mut expected = below.0.clone();
            for (key, write) in &above.writes {
                match write {
                    Some(value) => expected.insert(key.clone(), value.clone()),
                    None => expected.remove(key),
                };
            }
            let overlay = Overlay::new(&below, &above);
            for key in 0..9 {
                prop_assert_eq!(overlay.get(&[key]).unwrap(), expected.get(&vec![key]).cloned());
            }
            let range = KeyRange { start, end };
            if !range.is_empty() {
                let expected: Vec<_> = expected.range((range.start.clone(), range.end.clone()))
                    .map(|(key, value)| (key.clone(), value.clone())).collect();
                let forward: Vec<_> = overlay.scan(range.clone(), Direction::Forward).map(Result::unwrap).collect();
                prop_assert_eq!(&forward, &expected);
                let mut reverse: Vec<_> = overlay.scan(range, Direction::Reverse).map(Result::unwrap).collect();
                reverse.reverse();
                prop_assert_eq!(&reverse, &expected);
            }
        }
    }
}
