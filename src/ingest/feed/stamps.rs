//! Reads the times in a feed with the same parser as those on pages.
//!
//! feed-rs keeps only an instant and drops the words, but a date without a time of day has to keep the precision of a
//! day. So this module parses the words into a claim, passes an instant to feed-rs, and later looks up the claim by
//! that instant. Claims are precise to the microsecond; the nanoseconds distinguish different words for the same
//! instant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::ingest::times::claimed_time;
use crate::model::ClaimedTime;

/// The claims read so far, each under the instant that was passed to feed-rs for it.
#[derive(Clone, Default)]
pub(super) struct Stamps(Arc<Mutex<HashMap<DateTime<Utc>, ClaimedTime>>>);

impl Stamps {
    /// The timestamp parser for feed-rs. It reads words as a claim and keeps the claim.
    pub(super) fn reader(&self) -> impl Fn(&str) -> Option<DateTime<Utc>> + Send + Sync + 'static {
        let read = self.clone();
        move |words| read.read(words)
    }

    fn read(&self, words: &str) -> Option<DateTime<Utc>> {
        let claim = claimed_time(words, None, "feed")?;
        let instant = DateTime::from_timestamp_micros(claim.time.micros())?;
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let instants = (0..1_000).map(|nanos| instant + TimeDelta::nanoseconds(nanos));
        for instant in instants {
            match claims.get(&instant) {
                Some(known) if *known == claim => return Some(instant),
                Some(_) => {}
                None => {
                    claims.insert(instant, claim);
                    return Some(instant);
                }
            }
        }
        // Not reached in practice: it takes a thousand spellings of one instant in one feed.
        None
    }

    /// The actual instant, without the nanoseconds that distinguish words.
    pub(super) fn instant(stamp: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(stamp?.timestamp_micros())
    }

    /// The claim for which `instant` was passed to feed-rs.
    pub(super) fn claim(&self, instant: Option<DateTime<Utc>>) -> Option<ClaimedTime> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&instant?).cloned()
    }
}
