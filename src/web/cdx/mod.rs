//! The CDX server API: the index of captures, for programs that know the one of the Wayback Machine.
//! Source: <https://github.com/internetarchive/wayback/tree/master/wayback-cdx-server>; `closest` is pywb's.
//!
//! ```text
//! parameters ──▶ index of captures, page by page ──▶ filter ──▶ collapse ──▶ limit ──▶ text, JSON or CDXJ
//! ```
//!
//! A response is bounded in lines and in captures examined. If it ends before the index does, `showResumeKey` says where
//! it continues.

mod lines;
mod parameters;
mod pattern;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::Response;

use self::lines::Line;
use self::parameters::{Parameters, Pick};
use super::problem::Problem;
use super::visit::Visit;
use super::{Site, memento};
use crate::access::Permission;
use crate::archive::read::capture_index::{IndexPage, IndexPlace};
use crate::archive::read::captures::{CaptureOrder, CaptureQuery};
use crate::archive::read::point::ReadPoint;
use crate::model::Timestamp;

/// The most captures that a response examines.
const EXAMINED_MAX: usize = 50_000;
/// The captures that are read at once.
const PAGE: usize = 2_000;

pub(super) async fn show(State(site): State<Arc<Site>>, visit: Visit) -> Result<Response<Body>, Problem> {
    let parameters = Parameters::of(&visit)?;
    let reading = Reading { point: memento::newest(&site).await?, site: &site, visit: &visit, parameters: &parameters };
    let (lines, next) = match parameters.pick {
        Pick::First => reading.first().await?,
        Pick::Last => (reading.last().await?, None),
        Pick::Closest(at) => (reading.closest(at).await?, None),
    };
    if parameters.page > 0 && lines.is_empty() {
        return Err(Problem::malformed(format!("page={} is after the last one that can be read.", parameters.page)));
    }
    let mut response = lines::response(&parameters, &lines, next.as_ref());
    visit.mark(response.headers_mut());
    Ok(response)
}

/// The range has too many addresses that the visitor may not see, of which none can be named to continue.
fn too_wide() -> Problem {
    Problem::malformed(
        "The range has too many addresses to look through. Ask for a part of it: a host, or a longer prefix.",
    )
}

/// The index as a request reads it.
struct Reading<'a> {
    site: &'a Site,
    visit: &'a Visit,
    parameters: &'a Parameters,
    point: ReadPoint,
}

impl Reading<'_> {
    /// The first lines, and where the index continues.
    async fn first(&self) -> Result<(Vec<Line>, Option<IndexPlace>), Problem> {
        let Parameters { from, until, limit, skipped, .. } = *self.parameters;
        let (mut lines, mut examined, mut left_out) = (Vec::new(), 0, 0);
        let mut place = self.parameters.resume.clone();
        let mut collapse = self.parameters.collapse();
        loop {
            let page = self.page((from, until), CaptureOrder::OldestFirst, place.take()).await?;
            for item in page.items {
                let line = Line::of(&item);
                if !self.parameters.passes(&line) || !collapse.is_first(&line) {
                    continue;
                }
                if left_out < skipped {
                    left_out += 1;
                    continue;
                }
                if lines.len() == limit {
                    return Ok((lines, Some(IndexPlace { url: item.key, from: item.capture.observe_time })));
                }
                lines.push(line);
            }
            examined += PAGE;
            match page.next {
                Some(next) if examined < EXAMINED_MAX => place = Some(next),
                Some(_) if page.is_next_hidden => return Err(too_wide()),
                next => return Ok((lines, next)),
            }
        }
    }

    /// The last lines of one address.
    async fn last(&self) -> Result<Vec<Line>, Problem> {
        let Parameters { from, until, limit, .. } = *self.parameters;
        let mut lines = self.of_one((from, until), CaptureOrder::NewestFirst, limit).await?;
        lines.reverse();
        Ok(lines)
    }

    /// The lines of one address by how close they are to an instant.
    async fn closest(&self, at: Timestamp) -> Result<Vec<Line>, Problem> {
        let Parameters { from, until, limit, .. } = *self.parameters;
        let after = at.saturating_add_micros(1).max(from);
        let mut lines = self.of_one((from, at.min(until)), CaptureOrder::NewestFirst, limit).await?;
        lines.extend(self.of_one((after, until), CaptureOrder::OldestFirst, limit).await?);
        lines.sort_by_key(|line| line.at.micros().abs_diff(at.micros()));
        lines.truncate(limit);
        Ok(lines)
    }

    /// At most `limit` lines of one address.
    async fn of_one(
        &self,
        period: (Timestamp, Timestamp),
        order: CaptureOrder,
        limit: usize,
    ) -> Result<Vec<Line>, Problem> {
        let (mut lines, mut examined) = (Vec::new(), 0);
        let mut collapse = self.parameters.collapse();
        let mut place = None;
        loop {
            let IndexPage { items, next, .. } = self.page(period, order, place.take()).await?;
            let passing = items.iter().map(Line::of).filter(|line| self.parameters.passes(line));
            lines.extend(passing.filter(|line| collapse.is_first(line)));
            examined += PAGE;
            if lines.len() >= limit || examined >= EXAMINED_MAX || next.is_none() {
                lines.truncate(limit);
                return Ok(lines);
            }
            place = next;
        }
    }

    async fn page(
        &self,
        (from, until): (Timestamp, Timestamp),
        order: CaptureOrder,
        place: Option<IndexPlace>,
    ) -> Result<IndexPage, Problem> {
        let within = self.visit.caller.scope(Permission::Read);
        let query = CaptureQuery { within, from, until, order, captures_max: PAGE };
        let range = self.parameters.range.clone();
        Ok(self.site.reads.archive().capture_index(self.point, range, place, query).await?)
    }
}
