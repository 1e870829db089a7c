//! Recovery: restoring an archive from a backup, verifying a database, rebuilding one from its own log, and rewriting one
//! into a smaller one.
//!
//! Restore and rebuild replay a log through the same code ([`replay`]). It checks that each change continues the log
//! ([`chain`]) and projects the indexes as the writer thread does. Verification uses the same checks and the same
//! projections, so the three cannot disagree about what is right.

pub(crate) mod chain;
pub mod compact;
pub(crate) mod replay;
pub mod restore;
pub mod verify;
