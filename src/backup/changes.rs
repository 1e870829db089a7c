//! Reads the changes of a chain of files up to a point, in complete atomic batches.

use std::collections::VecDeque;
use std::path::PathBuf;

use super::file::BackupReader;
use super::scrub::Scrubber;
use super::{BackupChain, BackupError, BackupFile};
use crate::model::{ExpungeRegister, Seq, Timestamp};
use crate::store::full_change::FullChange;
use crate::store::logfile::LogEnd;

/// The point up to which a chain is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// All changes of the chain.
    End,
    /// The changes below this position. A position inside an atomic batch is lowered to the start of the batch.
    Seq(Seq),
    /// The changes whose archive time is at or before this instant.
    ArchiveTime(Timestamp),
}

/// The state that the log does not record, as of the point up to which a chain was read, or later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupState {
    /// The number of commits since the archive was created.
    pub commits: u64,
    /// The closed time and the durable subscriptions.
    pub end: LogEnd,
}

/// Iterates over the changes of a chain, file by file, without what was destroyed since. Needs memory for one segment and one atomic batch.
pub struct Changes {
    until: Until,
    scrubber: Option<Scrubber>,
    /// The files that are not opened yet.
    files: VecDeque<BackupFile>,
    current: Option<(PathBuf, BackupReader)>,
    /// Changes of the current segment that are not processed yet, in order.
    unprocessed: VecDeque<FullChange>,
    /// The atomic batch being read, until it is clear that the whole batch is before the point.
    batch: Vec<FullChange>,
    /// Changes that are before the point, in complete atomic batches.
    ready: VecDeque<FullChange>,
    /// The position of the next change to read.
    next_seq: Seq,
    /// The archive time of the first change of the chain, once that change was read.
    first_archive_time: Option<Timestamp>,
    /// The number of bytes read from the files before the current one.
    bytes_before: u64,
    ended: bool,
}

impl Changes {
    /// Starts reading a chain. Fails with [`BackupError::Beyond`] if the point is after its end.
    pub fn new(chain: BackupChain, until: Until) -> Result<Self, BackupError> {
        let end = chain.end().map_or(Seq::ZERO, |end| end.next_seq);
        if let Until::Seq(requested) = until
            && requested > end
        {
            return Err(BackupError::Beyond { requested, end });
        }
        Ok(Self {
            until,
            scrubber: Scrubber::new(chain.register)?,
            files: chain.files.into(),
            current: None,
            unprocessed: VecDeque::new(),
            batch: Vec::new(),
            ready: VecDeque::new(),
            next_seq: Seq::ZERO,
            first_archive_time: None,
            bytes_before: 0,
            ended: false,
        })
    }

    /// What is left out of the changes, as far as it is known.
    pub fn register(&self) -> ExpungeRegister {
        self.scrubber.as_ref().map(|scrubber| scrubber.register().clone()).unwrap_or_default()
    }

    /// The next change; `None` if there are no more before the point.
    pub fn next_change(&mut self) -> Result<Option<FullChange>, BackupError> {
        self.read_ahead()?;
        Ok(self.ready.pop_front())
    }

    /// The archive time of the chain's first change, if the point is before that change, so that there is no change to
    /// return. Must be called before the first [`Self::next_change`], and consumes no change.
    pub fn begins_after_point(&mut self) -> Result<Option<Timestamp>, BackupError> {
        self.read_ahead()?;
        Ok(self.first_archive_time.filter(|_| self.ready.is_empty()))
    }

    /// Reads until a complete batch before the point is ready, or the point is reached.
    fn read_ahead(&mut self) -> Result<(), BackupError> {
        while self.ready.is_empty() && !self.ended {
            match self.read_next()? {
                None => self.stop(true),
                Some(change) if self.is_beyond(&change) => {
                    let same_batch =
                        self.batch.first().is_some_and(|first| first.change.seq == change.change.entry.batch_first);
                    self.stop(!same_batch);
                }
                Some(change) => {
                    if change.change.entry.batch_first == change.change.seq {
                        self.ready.extend(self.batch.drain(..));
                    }
                    self.batch.push(change);
                }
            }
        }
        Ok(())
    }

    /// The progress: the position of the next change, and the number of bytes read.
    pub fn progress(&self) -> (Seq, u64) {
        let offset = self.current.as_ref().map_or(0, |(_, reader)| reader.position().offset());
        (self.next_seq, self.bytes_before + offset)
    }

    /// Reads the rest of the file that contains the point, and returns the state at its end.
    pub fn finish(mut self) -> Result<BackupState, BackupError> {
        if self.current.is_none() {
            self.open_next()?;
        }
        let Some((_, reader)) = &mut self.current else { return Ok(BackupState::default()) };
        while reader.next_segment()?.is_some() {}
        Ok(BackupState { commits: reader.header().commits, end: reader.end().cloned().unwrap_or_default() })
    }

    fn is_beyond(&self, change: &FullChange) -> bool {
        match self.until {
            Until::End => false,
            Until::Seq(end) => change.change.seq >= end,
            Until::ArchiveTime(last) => change.change.entry.archive_time > last,
        }
    }

    /// Ends the iteration, and includes the last batch if it is complete. A log always ends with a complete one.
    fn stop(&mut self, batch_is_complete: bool) {
        if batch_is_complete {
            self.ready.extend(self.batch.drain(..));
        }
        self.batch.clear();
        self.ended = true;
    }

    /// The next change in the files, regardless of the point.
    fn read_next(&mut self) -> Result<Option<FullChange>, BackupError> {
        loop {
            if let Some(change) = self.unprocessed.pop_front() {
                self.first_archive_time.get_or_insert(change.change.entry.archive_time);
                self.next_seq = change.change.seq.next();
                return Ok(Some(change));
            }
            // A file that ends at the point contains it, unless a file without changes follows.
            let file_end = self.current.as_ref().map(|(_, reader)| reader.header().end.next_seq);
            let more_at_end = self.files.front().is_some_and(|next| next.header.changes() == 0);
            if !more_at_end && file_end == Some(self.next_seq) && self.until == Until::Seq(self.next_seq) {
                return Ok(None);
            }
            let segment = match &mut self.current {
                None => None,
                Some((_, reader)) => {
                    let position = reader.position();
                    let mut segment = reader.next_segment()?;
                    if let Some(scrubber) = &mut self.scrubber {
                        for full in segment.iter_mut().flatten() {
                            scrubber.scrub(full).map_err(|error| error.at(reader, position, full.change.seq))?;
                        }
                    }
                    segment
                }
            };
            match segment {
                Some(changes) => self.add_segment(changes)?,
                None if self.files.is_empty() && self.current.is_some() => return Ok(None),
                None => self.open_next()?,
            }
        }
    }

    /// Adds the changes of a segment. If the next file begins within this segment, both files must have the same log
    /// digest there, and reading continues in the next file. If that begins later, reading continues in this file.
    fn add_segment(&mut self, changes: Vec<FullChange>) -> Result<(), BackupError> {
        self.unprocessed = changes.into();
        let Some((next, (path, reader))) = self.files.front().zip(self.current.as_ref()) else { return Ok(()) };
        let first = next.header.first_seq;
        if first >= reader.header().end.next_seq {
            return Ok(());
        }
        let last_index = self.unprocessed.iter().position(|change| change.change.seq.next() == first);
        let Some(last_index) = last_index else { return Ok(()) };
        if self.unprocessed.get(last_index).is_some_and(|last| last.change.log_digest != next.header.first_log_digest) {
            return Err(BackupError::Diverged { path: next.path.clone(), before: path.clone(), seq: first });
        }
        self.unprocessed.truncate(last_index + 1);
        self.open_next()
    }

    fn open_next(&mut self) -> Result<(), BackupError> {
        self.bytes_before = self.progress().1;
        self.current = match self.files.pop_front() {
            None => None,
            Some(file) => Some((file.path.clone(), file.read()?)),
        };
        Ok(())
    }
}
