//! Projections: data that is derived from the log and can be recomputed from it.
//!
//! The head and the timeline of each article, the stats of each source and the other indexes are stored next to the
//! log, so that reads do not have to replay it. `verify --rebuild` recomputes all of them from the log alone.

pub(crate) mod absence;
pub(crate) mod addresses;
pub(crate) mod projection;
pub(crate) mod sources;
pub(crate) mod timeline;
