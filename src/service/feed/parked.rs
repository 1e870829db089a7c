//! The methods for parked changes.

use std::ops::Bound;
use std::sync::Arc;

use prost::Message;

use super::super::caller::Caller;
use super::super::lists::{page_token, position};
use super::super::status::Refusal;
use super::super::{Context, render};
use super::durable::{epoch, parse};
use super::pages::PAGE_BYTES_MAX;
use super::query::feed_view;
use super::show;
use crate::archive::changefeed::{FeedView, PagePlan};
use crate::archive::subscriptions::ParkRequest;
use crate::model::{ArticleFilter, ChangeKinds, FeedQuery, Limits, Seq, SourceScope};
use crate::wire::token::{PageToken, request_digest};
use crate::wire::{FieldError, all, pb, timestamp_to_pb};

impl Context {
    pub(super) async fn park_change(
        &self,
        caller: &Caller,
        request: pb::ParkChangeRequest,
    ) -> Result<pb::Subscription, Refusal> {
        let reason = match request.reason.len() {
            bytes if bytes > Limits::PARK_REASON_BYTES_MAX => {
                let problem = format!("has {bytes} bytes; at most {} are allowed", Limits::PARK_REASON_BYTES_MAX);
                Err(FieldError::invalid("reason", problem))
            }
            _ => Ok(request.reason),
        };
        // Without presence, a forgotten position would be that of the first change.
        let seq = request.seq.map(Seq).ok_or_else(|| FieldError::invalid("seq", "is missing"));
        let (id, epoch) = (parse(&request.name), epoch(request.epoch));
        let (id, epoch, seq, reason) = all!(id, epoch, seq, reason)?;
        self.own_subscription(caller, &id).await?;
        let park = ParkRequest { epoch, seq, reason, attempts: request.attempts.max(1) };
        let parked = self.archive.park_change(id, park, plan(FeedView::Basic, SourceScope::all())).await?;
        Ok(self.show_subscription(&parked))
    }

    pub(super) async fn list_parked_changes(
        &self,
        caller: &Caller,
        request: pb::ListParkedChangesRequest,
    ) -> Result<pb::ListParkedChangesResponse, Refusal> {
        let digest = request_digest(&pb::ListParkedChangesRequest {
            name: request.name.clone(),
            ..pb::ListParkedChangesRequest::default()
        });
        let token = page_token(&request.page_token, digest);
        let page_size = render::page_size(request.page_size, &self.limits);
        let view = feed_view(request.view);
        let id = parse(&request.name);
        let (id, page_size, token, view) = all!(id, page_size, token, view)?;
        let after = position(token.as_ref(), |text| text.parse().ok().map(Seq))?;
        let record = self.archive.subscription(id.clone()).await?.record;
        caller.require_subscription(&id, &record)?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = record.parked.range((from, Bound::Unbounded)).peekable();
        let (mut parked_changes, mut bytes, mut last) = (Vec::new(), 0, None);
        while parked_changes.len() < page_size
            && bytes < PAGE_BYTES_MAX
            && let Some((seq, parked)) = rest.next()
        {
            last = Some(*seq);
            let plan = plan(view, record.query.filter.within.clone());
            // What was parked before its owner's rights changed may be of a source that it may no longer read.
            let Some(item) = self.archive.feed_change(*seq, plan).await? else { continue };
            bytes += item.bytes.len();
            let change = pb::Change::decode(item.bytes).map_err(|_| Refusal::internal())?;
            // Both flags depend on the filter under which the change was delivered.
            let (left_filter, batch_end) = (parked.left_filter, parked.batch_end);
            parked_changes.push(pb::ParkedChange {
                change: Some(pb::Change { left_filter, batch_end, ..change }),
                reason: parked.reason.to_string(),
                attempts: parked.attempts,
                park_time: Some(timestamp_to_pb(parked.park_time)),
            });
        }
        let position = last.filter(|_| rest.peek().is_some()).map(|seq| seq.to_string());
        let snapshot = self.archive.tail();
        let next_page_token = position.map(|position| PageToken { snapshot, position }.encode(digest));
        Ok(pb::ListParkedChangesResponse { parked_changes, next_page_token: next_page_token.unwrap_or_default() })
    }

    pub(super) async fn resolve_parked_changes(
        &self,
        caller: &Caller,
        request: pb::ResolveParkedChangesRequest,
    ) -> Result<pb::Subscription, Refusal> {
        let seqs = match request.seqs.len() {
            0 => Err(FieldError::invalid("seqs", "is missing")),
            count if count > Limits::PARKED_MAX => {
                let problem = format!("has {count} positions; at most {} are allowed", Limits::PARKED_MAX);
                Err(FieldError::invalid("seqs", problem))
            }
            _ => Ok(request.seqs.into_iter().map(Seq).collect()),
        };
        let id = parse(&request.name);
        let (id, seqs): (_, Vec<Seq>) = all!(id, seqs)?;
        self.own_subscription(caller, &id).await?;
        let resolved = self.archive.resolve_parked(id, seqs).await?;
        Ok(self.show_subscription(&resolved))
    }
}

/// A plan that includes every change of these sources: the filter may have been updated since a change was parked.
fn plan(view: FeedView, within: SourceScope) -> PagePlan {
    let filter = ArticleFilter { within, ..ArticleFilter::default() };
    let query = FeedQuery { filter, kinds: ChangeKinds::ALL };
    let (changes_max, bytes_max, examined_max) = (1, PAGE_BYTES_MAX, 1);
    PagePlan { query: Arc::new(query), view, render: show::encode, changes_max, bytes_max, examined_max }
}
