//! The times of a feed, read as any page's are.
//!
//! feed-rs hands on an instant and forgets the words. A time that is only a day must stay one, so the words are read here,
//! and found again by the instant that feed-rs was given for them. Its nanoseconds tell words of one instant apart: a claim
//! is exact to the microsecond.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::ingest::times::claimed_time;
use crate::model::ClaimedTime;

/// What was claimed, by the instant that stands for it.
#[derive(Clone, Default)]
pub(super) struct Stamps(Arc<Mutex<HashMap<DateTime<Utc>, ClaimedTime>>>);

impl Stamps {
    /// For feed-rs: reads words, and remembers what they claim.
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
        // No feed has a thousand spellings of one instant.
        None
    }

    /// The instant that was meant, without what tells its words from others.
    pub(super) fn instant(stamp: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(stamp?.timestamp_micros())
    }

    /// What was claimed where feed-rs says `instant`.
    pub(super) fn claim(&self, instant: Option<DateTime<Utc>>) -> Option<ClaimedTime> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&instant?).cloned()
    }
}
