//! Recovery: a database from a backup or from its log, and the proof that it is right.
//!
//! Restoring and rebuilding replay a log through the same code ([`replay`]), which checks that each change follows from
//! the one before it ([`chain`]).

pub(crate) mod chain;
pub(crate) mod replay;
pub mod restore;
pub mod verify;
