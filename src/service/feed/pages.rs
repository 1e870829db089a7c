//! The feed by page.

use std::sync::Arc;
use std::time::Duration;

use super::super::status::Refusal;
use super::super::{Context, render};
use super::query::{Asked, feed_view};
use super::show;
use crate::archive::feed::PagePlan;
use crate::model::ReadStamp;
use crate::wire::frame::PageFrame;
use crate::wire::{self, FieldError, pb};

/// A page ends with the change that takes it to so many bytes: with the largest change that the default limits let in, it
/// fits the 4 MiB that gRPC clients take by default.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// Changes that one page looks at.
const PAGE_EXAMINED_MAX: usize = 20_000;
/// How long a page may wait, in seconds.
const WAIT_RANGE: (u64, u64) = (0, 30);

impl Context {
    pub(super) async fn list_changes(&self, request: pb::ListChangesRequest) -> Result<PageFrame, Refusal> {
        let asked = Asked::new(wire::feed_query(request.filter, &request.kinds, &self.limits)?);
        let wait = wire::duration("wait", request.wait, Duration::ZERO, WAIT_RANGE)?;
        let plan = PagePlan {
            view: feed_view(request.view)?,
            query: Arc::new(asked.query),
            render: show::encode,
            changes_max: render::page_size(request.page_size, &self.limits)?,
            bytes_max: PAGE_BYTES_MAX,
            examined_max: PAGE_EXAMINED_MAX,
        };
        let place = if request.page_token.is_empty() {
            self.begin_in_log(request.start, asked.digest).await?
        } else {
            let begin = self.resume(&request.page_token, asked.digest, "page_token").await?;
            if begin.snapshot.is_some() {
                return Err(FieldError::invalid("page_token", "is of a snapshot, which comes by Subscribe only").into());
            }
            begin.place
        };
        let (changes, next, caught_up) = self.changes_after(place, &plan, wait).await?;
        let rest = pb::ListChangesResponse {
            changes: Vec::new(),
            next_page_token: show::bookmark(&next, asked.digest).resume_token,
            next_seq: next.next_seq.0,
            caught_up,
        };
        Ok(PageFrame { changes, rest })
    }

    /// The next page that has a change; an empty one where none comes in time, or none is among those examined.
    async fn changes_after(
        &self,
        mut place: ReadStamp,
        plan: &PagePlan,
        wait: Duration,
    ) -> Result<(Vec<wire::frame::ChangeFrame>, ReadStamp, bool), Refusal> {
        let mut end = self.archive.feed_end();
        let patience = tokio::time::sleep(wait);
        tokio::pin!(patience);
        loop {
            let durable = end.now();
            let page = self.archive.feed_page(place, durable, plan.clone()).await?;
            place = page.next;
            let caught_up = place.next_seq >= durable;
            if !page.items.is_empty() || !caught_up || wait.is_zero() {
                return Ok((page.items.into_iter().map(show::frame).collect(), place, caught_up));
            }
            tokio::select! {
                _ = end.beyond(place.next_seq) => {}
                () = &mut patience => return Ok((Vec::new(), place, true)),
                () = self.stopping.cancelled() => return Err(Refusal::draining()),
            }
        }
    }
}
