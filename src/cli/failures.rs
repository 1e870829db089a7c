//! Counts what failed in a command and why, and decides how the command ends.

use std::collections::BTreeMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::exit::{Exit, Failure};
use super::units;
use crate::wire::pb;
use crate::wire::pb::import_observations_response::Result as ImportResult;
use crate::wire::{ERROR_DOMAIN, status_to_pb};

/// The failures of one command. Only the last one is kept; the others are counted by reason.
#[derive(Default)]
pub(super) struct Failures {
    count: u64,
    /// How many failures had each reason.
    reasons: BTreeMap<String, u64>,
    last: Option<Failure>,
}

impl Failures {
    /// Starts from the failures of an interrupted run, which has reported them already.
    pub(super) fn before(count: u64) -> Self {
        Self { count, ..Self::default() }
    }

    pub(super) fn add(&mut self, failure: Failure) {
        self.count += 1;
        *self.reasons.entry(reason_of(&failure).to_owned()).or_default() += 1;
        self.last = Some(failure);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Summarises the failures: `3 failed (2 NOT_FOUND, 1 TIMEOUT)`, or `3 failed` if none has a reason of its own.
    pub(super) fn summary(&self) -> String {
        let (without_reason, with_reason): (Vec<_>, Vec<_>) =
            self.reasons.iter().partition(|(reason, _)| reason.as_str() == NO_REASON);
        if with_reason.is_empty() {
            return format!("{} failed", self.count);
        }
        let reasons = with_reason.iter().map(|(reason, count)| format!("{count} {reason}"));
        let others = without_reason.iter().map(|(_, count)| format!("{count} other"));
        let reasons: Vec<_> = reasons.chain(others).collect();
        format!("{} failed ({})", self.count, reasons.join(", "))
    }

    /// The result of a command that processed `total` items, of which `unit` is the name in the plural: success if none
    /// failed. A single failure keeps its exit status and hint.
    pub(super) fn end(self, total: u64, unit: &'static str) -> Result<(), Failure> {
        let message = format!("{} of {total} {} failed", self.count, units(total, unit));
        match (self.count, self.last) {
            (0, _) => Ok(()),
            (1, Some(last)) => Err(Failure { message, ..last }),
            (_, _) => Err(Failure::new(Exit::Failed, message)),
        }
    }

    /// The result of a command that had one item: its failure, if it failed.
    pub(super) fn of_one(self) -> Result<(), Failure> {
        self.last.map_or(Ok(()), Err)
    }
}

/// The reason of a failure that has none of its own.
const NO_REASON: &str = "FAILED";

/// The reason under which a failure is counted; FAILED if it has none of its own.
pub(super) fn reason_of(failure: &Failure) -> &str {
    if failure.reason().is_empty() { NO_REASON } else { failure.reason() }
}

/// A failure as a line of `--json`. `offset` says which item failed.
pub(super) fn error_line(offset: u64, failure: &Failure) -> pb::ImportObservationsResponse {
    let server = failure.server.as_ref();
    let metadata = server.map(|server| server.metadata.clone()).unwrap_or_default();
    let mut details = ErrorDetails::with_error_info(failure.reason(), ERROR_DOMAIN, metadata);
    for violation in server.into_iter().flat_map(|server| &server.field_violations) {
        details.add_bad_request_violation(&violation.field, &violation.description);
    }
    let code = server.map_or(Code::InvalidArgument, |server| server.code);
    let error = status_to_pb(&Status::with_error_details(code, &failure.message, details));
    pb::ImportObservationsResponse { offset, result: Some(ImportResult::Error(error)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_named_if_they_say_more_than_that_something_failed() {
        let summary = |kinds: &[&str]| {
            let mut failures = Failures::default();
            kinds.iter().for_each(|kind| failures.add(Failure::new(Exit::Failed, "no").kind(kind)));
            failures.summary()
        };
        assert_eq!(summary(&[]), "0 failed");
        assert_eq!(summary(&["", ""]), "2 failed");
        assert_eq!(summary(&["TIMEOUT", "", "EXISTS", "TIMEOUT"]), "4 failed (1 EXISTS, 2 TIMEOUT, 1 other)");
    }

    #[test]
    fn one_item_is_named_in_the_singular() {
        let end = |total| {
            let mut failures = Failures::default();
            failures.add(Failure::new(Exit::NotFound, "no"));
            failures.end(total, "entries").unwrap_err()
        };
        assert_eq!((end(1).message.as_str(), end(1).exit), ("1 of 1 entry failed", Exit::NotFound));
        assert_eq!(end(2).message, "1 of 2 entries failed");
    }
}
