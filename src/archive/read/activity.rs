//! How many revisions of each source the archive recorded on each of the last days, from the end of the log.

use std::collections::HashMap;

use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{Seq, SourceId, Timestamp};

/// The days that are counted, with today.
pub const ACTIVITY_DAYS: usize = 30;
/// The changes at the end of the log that are examined.
const EXAMINED_MAX: u64 = 20_000;
const DAY_MICROS: i64 = 86_400_000_000;

/// The revisions of the last days. It has nothing of changes further back than 20,000.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity(HashMap<SourceId, [u32; ACTIVITY_DAYS]>);

impl Activity {
    /// The revisions of a source on each day, the earliest first.
    pub fn of(&self, source: &SourceId) -> [u32; ACTIVITY_DAYS] {
        self.0.get(source).copied().unwrap_or([0; ACTIVITY_DAYS])
    }
}

/// Counts the revisions that were recorded below `below`, on the days until that of `now`, in UTC.
pub(crate) fn activity(reader: &Reader<'_>, below: Seq, now: Timestamp) -> Result<Activity, ReadError> {
    let day_of = |time: Timestamp| time.micros().div_euclid(DAY_MICROS);
    let mut activity = Activity::default();
    for entry in reader.log(Seq(below.0.saturating_sub(EXAMINED_MAX)), below)? {
        let change = entry?.change;
        let days_ago = usize::try_from(day_of(now) - day_of(change.entry.archive_time)).unwrap_or(0);
        if days_ago >= ACTIVITY_DAYS || change.entry.new_revision.is_none() {
            continue;
        }
        let days = activity.0.entry(change.entry.name.source.clone()).or_insert([0; ACTIVITY_DAYS]);
        if let Some(count) = days.get_mut(ACTIVITY_DAYS - 1 - days_ago) {
            *count += 1;
        }
    }
    Ok(activity)
}
