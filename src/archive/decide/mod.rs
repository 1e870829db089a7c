//! Decides what one operation does, given everything before it: one change of the log, or none.
//!
//! The decider reads the state that all earlier operations leave, and writes nothing: what it stages is committed by
//! [`super::write`]. It knows neither threads nor callers, and its only clock is the time that it is given.

pub(crate) mod decider;
pub(crate) mod decision;
pub(crate) mod idempotency;
pub(crate) mod observation;
