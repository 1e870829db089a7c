//! Dateline: an archive of articles that never forgets what a page said.
//!
//! Data flows one way, and each layer knows only the one below. In reading order:

pub mod archive;
pub mod clock;
pub mod model;
pub mod store;
