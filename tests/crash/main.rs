//! A process that writes is killed, again and again, and nothing that it was told is lost.
//!
//! A child process ([`child`]) opens a real archive and writes ([`workload`]), and tells each acknowledgement after it
//! came ([`acknowledged`]). It is killed at a random moment ([`kill`]); then all that was acknowledged is held against
//! what the archive has ([`checker`]). The directory is used on, so that it ages as that of a server does that is
//! killed often.
//!
//! A short run is part of the ordinary tests. The long one:
//!
//! ```text
//! DATELINE_CRASH_KILLS=1000 DATELINE_CRASH_SEED=1 \
//!     cargo test --release --test crash -- --ignored --nocapture kill::a_thousand_kills_lose_nothing
//! ```

#![cfg(test)]

mod acknowledged;
mod asked;
mod checker;
mod child;
mod clock;
mod dice;
mod holding;
mod kill;
mod text;
mod workload;
mod writer;
