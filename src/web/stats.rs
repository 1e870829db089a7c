//! What an operator sees of the pages: requests by route, connections and streams.
//!
//! A route is a template of addresses, such as `/a/{source}/{article}`, so a visitor cannot add to them: whatever has no
//! page counts as one route.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use super::pages;
use crate::histogram::{Counts, Histogram};
use crate::server::ConnectionStats;

/// The route of requests that have no page, or do not get as far.
const OTHER: &str = "other";
/// The classes of statuses. There are no informational responses.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];
/// The longest time in each bucket, in microseconds: a short page takes less than a millisecond, a feed some ten.
const DURATION_BOUNDS: &[u64] =
    &[500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000];

/// Counts since the server started. To read them, keep a clone of the `Arc` that the pages were given.
#[derive(Debug)]
pub struct Stats {
    /// The connections.
    pub(crate) connections: Arc<ConnectionStats>,
    routes: BTreeMap<&'static str, Route>,
    other: Route,
    /// The streams that are open.
    streams: Arc<AtomicU64>,
    rate_limited: AtomicU64,
}

/// The requests for the pages of one route.
#[derive(Debug)]
struct Route {
    by_class: [AtomicU64; CLASSES.len()],
    duration: Histogram,
}

/// The requests for the pages of one route, as they were at one moment.
#[derive(Clone, Debug)]
pub(crate) struct RouteStats {
    /// The template of their addresses; `other` for requests that have none.
    pub(crate) route: &'static str,
    /// How many got a status of each class.
    pub(crate) by_class: Vec<(&'static str, u64)>,
    /// How long it took until their responses began, in microseconds.
    pub(crate) duration: Counts,
}

impl Default for Stats {
    fn default() -> Self {
        let routes = pages::table().into_iter().map(|(route, ..)| (route, Route::default()));
        Self {
            connections: Arc::default(),
            routes: routes.collect(),
            other: Route::default(),
            streams: Arc::default(),
            rate_limited: AtomicU64::new(0),
        }
    }
}

impl Default for Route {
    fn default() -> Self {
        Self { by_class: Default::default(), duration: Histogram::new(DURATION_BOUNDS) }
    }
}

impl Stats {
    /// The requests of each route, in order.
    pub(crate) fn routes(&self) -> impl Iterator<Item = RouteStats> {
        let routes = self.routes.iter().map(|(route, stats)| (*route, stats));
        routes.chain([(OTHER, &self.other)]).map(|(route, stats)| stats.now(route))
    }

    /// The streams of changes that are open.
    pub(crate) fn streams(&self) -> u64 {
        self.streams.load(Ordering::Relaxed)
    }

    /// The requests that were refused because there were too many.
    pub(crate) fn rate_limited(&self) -> u64 {
        self.rate_limited.load(Ordering::Relaxed)
    }

    /// Counts a response that began `after` the head of its request; without a route if it has no page.
    pub(super) fn count(&self, route: Option<&str>, status: StatusCode, after: Duration) {
        let stats = route.and_then(|route| self.routes.get(route)).unwrap_or(&self.other);
        let class = usize::from(status.as_u16() / 100).checked_sub(2).and_then(|class| stats.by_class.get(class));
        if let Some(count) = class {
            count.fetch_add(1, Ordering::Relaxed);
        }
        stats.duration.observe(u64::try_from(after.as_micros()).unwrap_or(u64::MAX));
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.rate_limited.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a stream as open until the result is dropped; `None` if `max` of them are open.
    pub(super) fn stream(&self, max: u64) -> Option<OpenStream> {
        let one_more = |open| (open < max).then_some(open + 1);
        let counted = self.streams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        counted.ok().map(|_| OpenStream(Arc::clone(&self.streams)))
    }
}

impl Route {
    fn now(&self, route: &'static str) -> RouteStats {
        let counts = self.by_class.each_ref().map(|count| count.load(Ordering::Relaxed));
        RouteStats { route, by_class: CLASSES.into_iter().zip(counts).collect(), duration: self.duration.counts() }
    }
}

/// An open stream of changes.
#[derive(Debug)]
pub(super) struct OpenStream(Arc<AtomicU64>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
