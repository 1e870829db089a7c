//! The change feed by page.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::super::caller::Caller;
use super::super::status::Refusal;
use super::super::{Context, render};
use super::query::{RequestedQuery, RequestedStart, feed_view};
use super::show;
use crate::archive::changefeed::PagePlan;
use crate::model::Snapshot;
use crate::wire::frame::{ChangeFrame, PageFrame};
use crate::wire::{self, FieldErrors, all, pb};

/// A page ends with the change that takes it to this many bytes. Together with the largest change that the default
/// limits allow, it fits into gRPC's default limit of 4 MiB.
pub(super) const PAGE_BYTES_MAX: usize = 1 << 20;
/// The most changes that one page examines.
const PAGE_EXAMINED_MAX: usize = 20_000;
/// How long a page may wait, in seconds.
const WAIT_RANGE: RangeInclusive<u64> = 0..=30;

/// The changes of a page, and where the feed continues.
struct NextPage {
    changes: Vec<ChangeFrame>,
    next: Snapshot,
    caught_up: bool,
}

impl Context {
    pub(super) async fn list_changes(
        &self,
        caller: &Caller,
        request: pb::ListChangesRequest,
    ) -> Result<PageFrame, Refusal> {
        let query = wire::feed_query(request.filter, &request.kinds, &self.limits);
        let view = feed_view(request.view);
        let start = match request.resume_token.as_str() {
            "" => RequestedStart::read_in_log(request.start),
            token => RequestedStart::token(token, "resume_token").map_err(FieldErrors::from),
        };
        let wait = wire::duration("wait", request.wait, Duration::ZERO, WAIT_RANGE);
        let size = render::page_size(request.page_size, &self.limits);
        let (query, view, start, wait, changes_max) = all!(query, view, start, wait, size)?;
        let requested = RequestedQuery::new(query).confined(caller)?;
        let plan = PagePlan {
            view,
            query: Arc::new(requested.query),
            render: show::encode,
            changes_max,
            bytes_max: PAGE_BYTES_MAX,
            examined_max: PAGE_EXAMINED_MAX,
        };
        let place = self.begin_in_log(start, requested.digest).await?;
        let NextPage { changes, next, caught_up } = self.changes_after(place, &plan, wait).await?;
        // It may have waited.
        caller.still_reads(&plan.query.filter.within)?;
        let rest = pb::ListChangesResponse {
            changes: Vec::new(),
            resume_token: show::bookmark(&next, requested.digest).resume_token,
            next_seq: next.next_seq.0,
            caught_up,
        };
        Ok(PageFrame { changes, rest })
    }

    /// The next page with at least one change. It is empty if no change arrives in time, or if none of the examined
    /// changes matches.
    async fn changes_after(&self, mut place: Snapshot, plan: &PagePlan, wait: Duration) -> Result<NextPage, Refusal> {
        let mut end = self.archive.feed_end();
        let timer = tokio::time::sleep(wait);
        tokio::pin!(timer);
        loop {
            let durable = end.now();
            let page = self.archive.feed_page(place, durable, plan.clone()).await?;
            place = page.next;
            let caught_up = place.next_seq >= durable;
            if !page.items.is_empty() || !caught_up || wait.is_zero() {
                let changes = page.items.into_iter().map(show::frame).collect();
                return Ok(NextPage { changes, next: place, caught_up });
            }
            tokio::select! {
                _ = end.beyond(place.next_seq) => {}
                () = &mut timer => return Ok(NextPage { changes: Vec::new(), next: place, caught_up: true }),
                () = self.stopping.cancelled() => return Err(Refusal::draining()),
            }
        }
    }
}
