//! Counts what failed in a command and why, and decides how the command ends.

use std::collections::BTreeMap;

use super::exit::{Exit, Failure};
use crate::wire::pb;
use crate::wire::pb::import_observations_response::Result as ImportResult;

/// The failures of one command. Only the last one is kept; the others are counted by reason.
#[derive(Default)]
pub(super) struct Failures {
    count: u64,
    /// How many failures had each reason.
    reasons: BTreeMap<String, u64>,
    last: Option<Failure>,
}

impl Failures {
    /// Starts from failures of an interrupted run, which reported them already.
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

    /// Summarises the failures: `3 failed (2 NOT_FOUND, 1 TIMEOUT)`.
    pub(super) fn summary(&self) -> String {
        let reasons: Vec<_> = self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        format!("{} failed{reasons}", self.count)
    }

    /// The result of a command that processed `total` items, of which `unit` is the name: success if none failed. A
    /// single failure keeps its exit status and hint.
    pub(super) fn end(self, total: u64, unit: &str) -> Result<(), Failure> {
        match (self.count, self.last) {
            (0, _) => Ok(()),
            (1, Some(last)) => Err(Failure { message: format!("1 of {total} {unit} failed"), ..last }),
            (failed, _) => Err(Failure::new(Exit::Failed, format!("{failed} of {total} {unit} failed"))),
        }
    }

    /// The result of a command that had one item: its failure, if it failed.
    pub(super) fn of_one(self) -> Result<(), Failure> {
        self.last.map_or(Ok(()), Err)
    }
}

/// The reason under which a failure is counted; FAILED if it has none of its own.
pub(super) fn reason_of(failure: &Failure) -> &str {
    if failure.reason().is_empty() { "FAILED" } else { failure.reason() }
}

/// A failure as a line of `--json`. `offset` says which item failed.
pub(super) fn error_line(offset: u64, failure: &Failure) -> pb::ImportObservationsResponse {
    let server = failure.server.as_ref();
    let error = pb::ItemError {
        code: server.map_or(tonic::Code::InvalidArgument, |server| server.code).into(),
        reason: failure.reason().to_owned(),
        message: failure.message.clone(),
        metadata: server.map(|server| server.metadata.clone()).unwrap_or_default(),
        field_violations: server.map(|server| server.field_violations.clone()).unwrap_or_default(),
    };
    pb::ImportObservationsResponse { offset, result: Some(ImportResult::Error(error)) }
}
