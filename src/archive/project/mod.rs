//! Projections: what follows from the log, and could be computed from it again.
//!
//! The head of each article, its timeline on the observe axis, and the figures of its source are kept beside the log so
//! that reads need not replay it. `verify --rebuild` computes all of them from the log alone.

pub(crate) mod projection;
pub(crate) mod sources;
pub(crate) mod timeline;
