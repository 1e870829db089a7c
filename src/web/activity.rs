//! How active the sources were on each of the last days, as small bar charts.
//!
//! It is counted from the end of the log, at most once a minute, however many visitors ask.

use std::sync::Arc;

use askama::Template;
use askama::filters::HtmlSafe;
use quick_cache::sync::Cache;

use super::shown::count;
use crate::archive::read::activity::{ACTIVITY_DAYS, Activity};
use crate::archive::{Archive, ArchiveError};
use crate::model::SourceId;

const MINUTE_MICROS: i64 = 60_000_000;
/// The height of a chart, and the width of a day, with the gap before the next, in pixels.
const HEIGHT: u32 = 16;
const STEP: u32 = 4;

/// The activity of the last minute in which a visitor asked.
pub(super) struct SharedActivity(Cache<i64, Arc<Activity>>);

impl Default for SharedActivity {
    fn default() -> Self {
        Self(Cache::new(1))
    }
}

impl SharedActivity {
    /// The activity, at most a minute old.
    pub(super) async fn read(&self, archive: &Archive) -> Result<Arc<Activity>, ArchiveError> {
        self.0.get_or_insert_async(&minute_of(archive), async { archive.activity().await.map(Arc::new) }).await
    }
}

/// The minute in which it is, to which activity belongs.
pub(super) fn minute_of(archive: &Archive) -> i64 {
    archive.now().micros().div_euclid(MINUTE_MICROS)
}

/// A bar chart of a source.
#[derive(Template)]
#[template(path = "spark.html")]
pub(super) struct Spark {
    width: u32,
    height: u32,
    /// What it shows, in words.
    pub(super) label: String,
    bars: Vec<Bar>,
}

impl HtmlSafe for Spark {}

/// A day with revisions.
struct Bar {
    x: u32,
    y: u32,
    height: u32,
}

impl Spark {
    /// The chart of a source. The busiest of its days has the full height, and a day with a revision has at least one pixel.
    pub(super) fn of(activity: &Activity, source: &SourceId) -> Self {
        let days = activity.of(source);
        let most = days.iter().copied().max().unwrap_or(0).max(1);
        let bar = |(x, count): (u32, u32)| {
            let height = u32::try_from(u64::from(count) * u64::from(HEIGHT) / u64::from(most)).unwrap_or(HEIGHT).max(1);
            (count > 0).then_some(Bar { x: x * STEP, y: HEIGHT - height, height })
        };
        let total = days.iter().copied().map(u64::from).sum();
        Self {
            width: STEP * u32::try_from(ACTIVITY_DAYS).unwrap_or(0),
            height: HEIGHT,
            label: format!("{} in {ACTIVITY_DAYS} days", count(total, "revision")),
            bars: (0..).zip(days).filter_map(bar).collect(),
        }
    }
}
