//! Reads, at any point of both time axes: "what did the article say at T, as the archive knew it at S?"
//!
//! ```text
//!                 log position (what the archive knew) ──▶
//!                                    S
//! observe time  ┌────────────────────┐
//! (what the     │ in force at T:     │ recorded at or after S:
//! article said) │ the last change    │ not visible, whatever
//!       │       │ in this area       │ its observe time
//!       │     T └────────────────────● the read point
//!       ▼         comes into force
//!                 after T
//! ```
//!
//! A read first resolves S, the archive side of its point, to a position: it sees the changes below that and no others
//! ([`point`]). Of these, the last one at or before T on the observe axis is in force. Both sides are resolved once, so
//! everything in one reply belongs to the same state. A side that is left out means its end.
//!
//! A read runs on the async thread first, with the caches alone. If anything is missing there, the same code runs again
//! on a blocking thread, with the engine ([`reader`]). It therefore must not have side effects.

pub mod activity;
pub mod article;
pub mod article_changes;
pub(crate) mod cache;
pub mod calendar;
pub(crate) mod candidates;
pub mod capture_index;
pub mod captures;
pub mod compare;
pub(crate) mod contents;
pub(crate) mod counted_cache;
pub mod list;
pub(crate) mod matching;
pub mod point;
pub mod proof;
pub(crate) mod reader;
pub(crate) mod tree;
