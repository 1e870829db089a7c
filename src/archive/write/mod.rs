//! Writes: one queue, one writer thread, one committer thread.
//!
//! ```text
//! handler ── prepare ──▶ queue ──▶ writer ──▶ committer ──▶ engine
//!            (packs,      (bounded)  (decides,     (syncs)
//!             diffs)                  builds a commit)
//! ```
//!
//! While the committer syncs one commit, the writer thread builds the next. Every reply, including an error, waits
//! until the state that it was decided on is durable, so nothing ever becomes visible that a crash could take back.

pub(crate) mod capacity;
pub(crate) mod checkpoints;
pub(crate) mod commit_builder;
pub(crate) mod committer;
pub(crate) mod forecast;
pub(crate) mod job_trace;
pub(crate) mod messages;
pub(crate) mod prepare;
pub(crate) mod queue;
pub(crate) mod salts;
pub(crate) mod writer;
