//! Tracks how far an import is, and passes its events to the caller.

use std::ops::ControlFlow;

use super::event::{Event, ItemRef, Report};
use super::item::Done;
use crate::capture::CaptureError;
use crate::wire::pb;

/// The progress of one import, for the checkpoint, and the receiver of its events.
pub(super) struct Tracker<'a> {
    report: &'a mut Report<'a>,
    /// How far the import is: all items up to here are done.
    done: Done,
    /// How many of them failed, including those of earlier imports.
    failed: u64,
    /// The snapshot in the archive's last response.
    snapshot: Option<pb::Snapshot>,
    /// Whether the receiver accepts no more events.
    is_cut_off: bool,
}

impl<'a> Tracker<'a> {
    /// Continues after `before`, the progress of an earlier import in which `failed` items failed.
    pub(super) fn new(report: &'a mut Report<'a>, before: Done, failed: u64) -> Self {
        Self { report, done: before, failed, snapshot: None, is_cut_off: false }
    }

    pub(super) fn done(&self) -> Done {
        self.done
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    pub(super) fn snapshot(&self) -> Option<&pb::Snapshot> {
        self.snapshot.as_ref()
    }

    /// Whether the receiver accepts no more events, so that the import must end.
    pub(super) fn is_cut_off(&self) -> bool {
        self.is_cut_off
    }

    /// Keeps the snapshot of a response, if it has one.
    pub(super) fn saw(&mut self, snapshot: Option<pb::Snapshot>) {
        self.snapshot = snapshot.or(self.snapshot.take());
    }

    /// Passes on an event, unless the receiver accepts no more.
    pub(super) fn report(&mut self, event: Event<'_>) {
        if !self.is_cut_off {
            self.is_cut_off = (self.report)(event) == ControlFlow::Break(());
        }
    }

    /// Reports an item that could not be read, or that the archive rejected.
    pub(super) fn fail(&mut self, item: ItemRef<'_>, error: CaptureError) {
        self.report(Event::Failed(item, error));
        if !self.is_cut_off {
            self.failed += 1;
        }
    }

    /// Reports that all items up to `done` are done. An item whose outcome the receiver did not accept does not count
    /// as done, so the next import reports it again.
    pub(super) fn reach(&mut self, done: Done) {
        if !self.is_cut_off {
            self.done = done;
            self.report(Event::Reached(done));
        }
    }

    pub(super) fn note(&mut self, note: String) {
        self.report(Event::Note(note));
    }
}
