//! Scans: the pending writes and sled's entries as one sequence.

use std::ops::Bound;
use std::sync::OnceLock;

use super::super::{Direction, EngineError, Entry, KeyRange};
use super::database::Database;
use super::guarded;
use super::pending::{Copied, CopyLimits, PendingWrites, Write};

/// The pending writes that a scan copies at once. Its first copy is smaller: most scans need an entry or two.
const FIRST_COPY: CopyLimits = CopyLimits { writes: 8, bytes: 64 << 10 };
const COPY: CopyLimits = CopyLimits { writes: 256, bytes: 256 << 10 };

/// A scan. It copies some of the pending writes, then reads sled up to the last of them, then copies the next. The
/// order matters: a write that is not among the copied ones was in sled before they were copied, or is newer than the
/// scan needs to show.
pub(super) struct SledScan<'a> {
    database: &'a OnceLock<Database>,
    pending: &'a PendingWrites,
    direction: Direction,
    /// What of the range has not been copied yet; `None` if nothing is left.
    rest: Option<KeyRange>,
    copied: std::iter::Peekable<std::vec::IntoIter<Write>>,
    limits: CopyLimits,
    stored: Stored,
}

/// The entries of sled in the part of the range for which pending writes were copied.
struct Stored {
    /// `None` if sled has no database yet.
    iter: Option<::sled::Iter>,
    direction: Direction,
    /// The entry that was read and not used yet.
    peeked: Option<Entry>,
    is_at_end: bool,
}

impl<'a> SledScan<'a> {
    pub(super) fn new(
        database: &'a OnceLock<Database>,
        pending: &'a PendingWrites,
        range: KeyRange,
        direction: Direction,
    ) -> Self {
        let mut scan = Self {
            database,
            pending,
            direction,
            rest: Some(range),
            copied: Vec::new().into_iter().peekable(),
            limits: FIRST_COPY,
            stored: Stored { iter: None, direction, peeked: None, is_at_end: true },
        };
        scan.copy_more();
        scan
    }

    /// Copies the next pending writes, and begins to read sled in the same part of the range.
    fn copy_more(&mut self) {
        let Some(range) = self.rest.take() else { return };
        let Copied { writes, has_more } = self.pending.first(&range, self.direction, self.limits);
        let part = match writes.last() {
            Some((last, _)) if has_more => {
                let (covered, rest) = split(range, last, self.direction);
                self.rest = Some(rest);
                covered
            }
            Some(_) | None => range,
        };
        self.limits = COPY;
        self.copied = writes.into_iter().peekable();
        self.stored = Stored {
            is_at_end: part.is_empty(),
            iter: self
                .database
                .get()
                .map(|database| database.db.range::<Vec<u8>, (Bound<Vec<u8>>, Bound<Vec<u8>>)>((part.start, part.end))),
            direction: self.direction,
            peeked: None,
        };
    }
}

impl Iterator for SledScan<'_> {
    type Item = Result<Entry, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Err(error) = self.stored.peek() {
                (self.rest, self.copied) = (None, Vec::new().into_iter().peekable());
                return Some(Err(error));
            }
            let Some((key, _)) = self.copied.peek() else {
                if let Some(entry) = self.stored.peeked.take() {
                    return Some(Ok(entry));
                }
                self.rest.as_ref()?;
                self.copy_more();
                continue;
            };
            match &self.stored.peeked {
                Some((stored, _)) if comes_first(stored, key, self.direction) => {
                    return self.stored.peeked.take().map(Ok);
                }
                Some((stored, _)) if stored == key => self.stored.peeked = None,
                Some(_) | None => {}
            }
            let Some((key, value)) = self.copied.next() else { continue };
            if let Some(value) = value {
                return Some(Ok((key, value.to_vec())));
            }
        }
    }
}

impl Stored {
    /// Reads the next entry, unless one is waiting.
    fn peek(&mut self) -> Result<(), EngineError> {
        if self.peeked.is_some() || self.is_at_end {
            return Ok(());
        }
        let Some(iter) = &mut self.iter else { return Ok(()) };
        let entry = guarded(|| match self.direction {
            Direction::Forward => iter.next().transpose(),
            Direction::Reverse => iter.next_back().transpose(),
        });
        self.is_at_end = !matches!(entry, Ok(Some(_)));
        self.peeked = entry?.map(|(key, value)| (key.to_vec(), value.to_vec()));
        Ok(())
    }
}

fn comes_first(one: &[u8], other: &[u8], direction: Direction) -> bool {
    match direction {
        Direction::Forward => one < other,
        Direction::Reverse => one > other,
    }
}

/// Splits a range after the key `last`, in the order of the scan: the part up to it, and the rest.
fn split(range: KeyRange, last: &[u8], direction: Direction) -> (KeyRange, KeyRange) {
    let (up_to, after) = (Bound::Included(last.to_vec()), Bound::Excluded(last.to_vec()));
    match direction {
        Direction::Forward => (KeyRange { start: range.start, end: up_to }, KeyRange { start: after, end: range.end }),
        Direction::Reverse => (KeyRange { start: up_to, end: range.end }, KeyRange { start: range.start, end: after }),
    }
}
