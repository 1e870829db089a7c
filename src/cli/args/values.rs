//! Parsers of argument values.

use super::super::times::{self, Moment, TimeEnd};
use crate::model::{NameError, RevisionNumber, SourceId, Timestamp};

/// One side of a comparison: a revision, or whatever was in force at a time.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum State {
    /// The revision with this number.
    Revision(RevisionNumber),
    /// The revision in force at this time.
    At(Timestamp),
}

/// Parses `express-gazette` or `sources/express-gazette`.
pub(in crate::cli) fn source_id(text: &str) -> Result<SourceId, NameError> {
    SourceId::parse(text.strip_prefix("sources/").unwrap_or(text))
}

pub(in crate::cli) fn revision_number(text: &str) -> Result<RevisionNumber, &'static str> {
    text.parse().ok().and_then(RevisionNumber::new).ok_or("expected a revision number, from 1")
}

pub(in crate::cli) fn instant(text: &str) -> Result<Timestamp, String> {
    times::parse(text, times::now(), TimeEnd::Last)
}

pub(in crate::cli) fn moment(text: &str) -> Result<Moment, String> {
    Moment::parse(text, TimeEnd::Last)
}

pub(in crate::cli) fn first_moment(text: &str) -> Result<Moment, String> {
    Moment::parse(text, TimeEnd::First)
}

pub(in crate::cli) fn start(text: &str) -> Result<Timestamp, String> {
    times::parse(text, times::now(), TimeEnd::First)
}

/// Parses a side of a comparison. Digits alone are a revision number, since no format of times has only digits.
pub(in crate::cli) fn state(text: &str) -> Result<State, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(State::Revision(revision_number(text)?));
    }
    instant(text).map(State::At)
}
