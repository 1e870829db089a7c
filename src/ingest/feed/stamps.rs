//! The times of a feed, read as any page's are.
//!
//! feed-rs hands on an instant and forgets the words. A time that is only a day must stay one, so the words are read here,
//! and found again by the instant that feed-rs was given for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

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
        // A day and the instant at which it begins: nothing says which of them is meant, so the day is.
        let less_exact = claims.get(&instant).is_none_or(|known| claim.precision > known.precision);
        if less_exact {
            claims.insert(instant, claim);
        }
        Some(instant)
    }

    /// What was claimed where feed-rs says `instant`.
    pub(super) fn claim(&self, instant: Option<DateTime<Utc>>) -> Option<ClaimedTime> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&instant?).cloned()
    }
}
