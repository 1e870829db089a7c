//! Reads, at any point of both time axes.
//!
//! ```text
//!                 archive time: what the archive knew ──▶
//!             ┌───────────────────────────┬──────────────
//! observe     │ known, in force           │ not known yet
//! time: what  │   ● the read point        │
//! the article ├───────────────────────────┤
//! said  │     │ known, in force later     │
//!       ▼     └───────────────────────────┴──────────────
//! ```
//!
//! A read first resolves its point on the archive axis to a position: it sees the changes below that, and no others
//! ([`point`]). On the observe axis it then takes the last revision that was in force at its time. Both are resolved
//! once, so that everything in one answer belongs together.
//!
//! A read tries the caches first, on the async thread; where something is not there, it runs again on a blocking thread,
//! with the engine ([`reader`]).

pub mod article;
pub(crate) mod cache;
pub mod compare;
pub(crate) mod contents;
pub mod list;
pub(crate) mod matching;
pub mod point;
pub(crate) mod reader;
