//! Decides what one operation does, given everything before it: one log change, or none.
//!
//! The decider reads the state that all earlier operations leave, and writes nothing; [`super::write`] commits what it
//! stages. It knows neither threads nor callers, and takes the time as an argument.

pub(crate) mod decider;
pub(crate) mod decision;
pub(crate) mod idempotency;
pub(crate) mod observation;
