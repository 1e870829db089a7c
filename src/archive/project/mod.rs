//! Projections: data that follows from the log and can be computed from it again.
//!
//! The head of each article, its timeline on the observe axis, the indexes and the stats of its source are stored next
//! to the log so that reads need not replay it. `verify --rebuild` computes all of them from the log alone.

pub(crate) mod projection;
pub(crate) mod sources;
pub(crate) mod timeline;
