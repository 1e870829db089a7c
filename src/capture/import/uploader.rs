//! Sends the items of a collection to the archive.
//!
//! Observations go through `ImportObservations`, many in one message and several messages in progress, and are answered in
//! order. Every other item is sent by itself once all items before it are answered, since its effect depends on them. So the progress is
//! always a complete prefix of the collection: an item counts as done when it and all before it are answered.

use std::collections::VecDeque;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use url::Url;

use super::checkpoint::Checkpoint;
use super::event::{Event, ItemRef};
use super::item::{Action, Done, Item, MissedPage, QueuedItem, Revisit};
use super::tracker::Tracker;
use crate::capture::CaptureError;
use crate::capture::own_page::is_own_page;
use crate::client::{Client, ServerError};
use crate::ingest;
use crate::model::{ArticleName, UrlKey};
use crate::wire::pb;
use crate::wire::pb::import_observations_response::Result as ImportResult;
use crate::wire::{instant, status_from_pb};

/// The most observations that are sent and not answered yet.
const IN_PROGRESS_MAX: usize = 512;
/// The most observations in one message.
const MESSAGE_ITEMS_MAX: usize = 64;
/// The size of the observations in one message, in bytes. A larger observation has a message of its own.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// While this many messages are in progress, a message is sent only if it is full: the archive has enough to do, and
/// long messages cost less.
const MESSAGES_BEFORE_FULL: usize = 2;

/// Sends the items of one collection.
pub(super) struct Uploader<'a> {
    client: &'a Client,
    requests: mpsc::Sender<pb::ImportObservationsRequest>,
    responses: Streaming<pb::ImportObservationsResponse>,
    /// Items that are not reported yet. The first one, if any, is waiting for the archive's response.
    in_progress: VecDeque<InProgress>,
    /// The numbers of observations in the messages that are not answered yet.
    messages: VecDeque<usize>,
    /// The message to send next.
    message: Message,
    /// The item after those in the message: one that is sent by itself, or does not fit into it.
    next: Option<QueuedItem>,
    dry_run: bool,
}

/// A message to be sent.
#[derive(Default)]
struct Message {
    requests: Vec<pb::RecordObservationRequest>,
    /// The size of the requests, approximately.
    bytes: usize,
    /// The number of its last item.
    offset: u64,
}

impl Message {
    fn has_room_for(&self, bytes: usize) -> bool {
        self.requests.is_empty() || (self.requests.len() < MESSAGE_ITEMS_MAX && self.bytes + bytes <= MESSAGE_BYTES_MAX)
    }

    fn is_full(&self) -> bool {
        self.requests.len() >= MESSAGE_ITEMS_MAX || self.bytes >= MESSAGE_BYTES_MAX
    }
}

/// An item that is not reported yet.
struct InProgress {
    place: String,
    done: Done,
    state: ItemState,
    _permit: OwnedSemaphorePermit,
}

enum ItemState {
    /// Sent or about to be, and not answered yet.
    Sent,
    Skipped(&'static str),
    Failed(CaptureError),
    Aborted(CaptureError),
}

/// How uploading ended, if it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// All items are done.
    Complete,
    /// The caller stopped it first.
    Stopped,
}

impl<'a> Uploader<'a> {
    pub(super) async fn new(client: &'a Client, dry_run: bool) -> Result<Self, CaptureError> {
        let (requests, stream) = mpsc::channel(1);
        let responses = client.archive.clone().import_observations(ReceiverStream::new(stream)).await?.into_inner();
        let (in_progress, messages, message) = (VecDeque::new(), VecDeque::new(), Message::default());
        Ok(Self { client, requests, responses, in_progress, messages, message, next: None, dry_run })
    }

    /// Sends all items and reports their outcomes, until there are no more or the caller stops it. It then waits for
    /// the items in progress.
    pub(super) async fn run(
        mut self,
        mut items: mpsc::Receiver<QueuedItem>,
        stopping: &CancellationToken,
        tracker: &mut Tracker<'_>,
        checkpoint: &mut Checkpoint,
    ) -> Result<Ended, CaptureError> {
        let (mut ended, mut end) = (false, Ended::Complete);
        loop {
            self.report_done(tracker)?;
            checkpoint.reached(tracker);
            if tracker.is_cut_off() {
                return Ok(Ended::Stopped);
            }
            if self.in_progress.is_empty() {
                match self.next.take() {
                    Some(next) => {
                        self.send_alone(next.item, tracker).await?;
                        continue;
                    }
                    None if ended => return Ok(end),
                    None => {}
                }
            }
            let may_take = self.next.is_none() && self.in_progress.len() < IN_PROGRESS_MAX && !ended;
            // If nothing more can be added, it is sent as it is.
            let may_send = !self.message.requests.is_empty()
                && (!may_take || self.message.is_full() || self.messages.len() < MESSAGES_BEFORE_FULL);
            tokio::select! {
                biased;
                () = stopping.cancelled(), if !ended => {
                    (ended, end, self.next) = (true, Ended::Stopped, None);
                }
                response = self.responses.message(), if !self.in_progress.is_empty() => self.take(response, tracker)?,
                arrived = items.recv(), if may_take && !self.message.is_full() => match arrived {
                    Some(arrived) => self.arrive(arrived),
                    None => ended = true,
                },
                slot = self.requests.clone().reserve_owned(), if may_send => {
                    self.send(slot.map_err(|_| CaptureError::BrokenOff)?);
                }
            }
        }
    }

    /// Takes an item from the reader. An item that needs no request waits until those before it are reported.
    fn arrive(&mut self, arrived: QueuedItem) {
        let QueuedItem { item: Item { place, action, done }, permit } = arrived;
        let state = match action {
            Action::Skip(what) => ItemState::Skipped(what),
            Action::Fail(error) => ItemState::Failed(error),
            Action::Abort(error) => ItemState::Aborted(error),
            Action::Record(request) if self.message.has_room_for(permit.num_permits()) => {
                self.message.requests.push(pb::RecordObservationRequest { validate_only: self.dry_run, ..*request });
                self.message.bytes += permit.num_permits();
                self.message.offset = done.items;
                ItemState::Sent
            }
            action @ (Action::Record(_)
            | Action::Withdraw(_)
            | Action::Reinstate(_)
            | Action::Rollback(_)
            | Action::Label(_)
            | Action::Absent(_)
            | Action::MissPage(_)
            | Action::MoveUrl(_)
            | Action::Expunge(_)
            | Action::Sight(_)) => {
                self.next = Some(QueuedItem { item: Item { place, action, done }, permit });
                return;
            }
        };
        self.in_progress.push_back(InProgress { place, done, state, _permit: permit });
    }

    /// Sends the message, and begins the next one with the item that did not fit into it.
    fn send(&mut self, slot: mpsc::OwnedPermit<pb::ImportObservationsRequest>) {
        let Message { requests, offset, .. } = std::mem::take(&mut self.message);
        self.messages.push_back(requests.len());
        slot.send(pb::ImportObservationsRequest { offset, requests, independent: true });
        if let Some(next) = self.next.take() {
            self.arrive(next);
        }
    }

    /// Reports the items before the first one that the archive has not answered.
    fn report_done(&mut self, tracker: &mut Tracker<'_>) -> Result<(), CaptureError> {
        while let Some(first) = self.in_progress.pop_front_if(|first| !matches!(first.state, ItemState::Sent)) {
            match first.state {
                ItemState::Sent => {}
                ItemState::Skipped(what) => tracker.report(Event::Skipped(what)),
                ItemState::Failed(error) => {
                    tracker.fail(ItemRef { place: &first.place, number: first.done.items }, error)
                }
                ItemState::Aborted(error) => return Err(error),
            }
            tracker.reach(first.done);
        }
        Ok(())
    }

    /// Processes the response to the first message in progress.
    fn take(
        &mut self,
        response: Result<Option<pb::ImportObservationsResponse>, tonic::Status>,
        tracker: &mut Tracker<'_>,
    ) -> Result<(), CaptureError> {
        use pb::import_result::Result as ItemResult;
        let result = response?.and_then(|response| response.result).ok_or(CaptureError::BrokenOff)?;
        let count = self.messages.pop_front().ok_or(CaptureError::BrokenOff)?;
        let results = match result {
            ImportResult::Results(pb::ImportResults { results }) => {
                results.into_iter().filter_map(|result| result.result).collect()
            }
            ImportResult::Error(error) => vec![ItemResult::Error(error); count],
            ImportResult::Recorded(_) => Vec::new(),
        };
        if results.len() != count {
            return Err(CaptureError::BrokenOff);
        }
        for result in results {
            self.report_done(tracker)?;
            let Some(first) = self.in_progress.pop_front() else { return Ok(()) };
            let item = ItemRef { place: &first.place, number: first.done.items };
            match result {
                ItemResult::Recorded(recorded) => {
                    tracker.saw(recorded.snapshot.clone());
                    tracker.report(Event::Recorded(item, recorded));
                }
                ItemResult::Error(error) => rejected(ServerError::from(status_from_pb(&error)), item, tracker)?,
            }
            tracker.reach(first.done);
            if tracker.is_cut_off() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends one item by itself.
    async fn send_alone(&mut self, item: Item, tracker: &mut Tracker<'_>) -> Result<(), CaptureError> {
        let Item { place, action, done } = item;
        let item = ItemRef { place: &place, number: done.items };
        let mut archive = self.client.archive.clone();
        let event: Result<Event<'_>, ServerError> = match action {
            // It depends on earlier items, which a dry run does not record.
            _ if self.dry_run => Ok(Event::Skipped("items that a dry run cannot check, such as state changes")),
            Action::Withdraw(request) => archive
                .withdraw_article(request)
                .await
                .map(|done| Event::Withdrawn(done.into_inner()))
                .map_err(Into::into),
            Action::Reinstate(request) => archive
                .reinstate_article(request)
                .await
                .map(|done| Event::Reinstated(done.into_inner()))
                .map_err(Into::into),
            Action::Rollback(request) => archive
                .rollback_article(request)
                .await
                .map(|done| Event::RolledBack(done.into_inner()))
                .map_err(Into::into),
            Action::Label(request) => {
                archive.label_article(request).await.map(|done| Event::Labelled(done.into_inner())).map_err(Into::into)
            }
            Action::Absent(request) => {
                archive.record_absence(request).await.map(|done| Event::Absent(done.into_inner())).map_err(Into::into)
            }
            Action::MissPage(missed) => self.record_missed_page(*missed).await,
            Action::MoveUrl(request) => {
                archive.move_url(request).await.map(|done| Event::UrlMoved(done.into_inner())).map_err(Into::into)
            }
            Action::Expunge(request) => self.expunge(request).await.map(Event::Expunged),
            Action::Sight(revisit) => match self.record_revisit(*revisit).await {
                // Most of these are visits to images and the like, which were skipped when they were first returned.
                Err(error) if matches!(error.reason.as_str(), "ARTICLE_UNKNOWN" | "URL_ENDED" | "NOT_YET_OBSERVED") => {
                    Ok(Event::Skipped("visits to pages that are not archived"))
                }
                recorded => recorded.map(|response| Event::Recorded(item, response)),
            },
            Action::Record(_) | Action::Skip(_) | Action::Fail(_) | Action::Abort(_) => return Ok(()),
        };
        match event {
            Ok(event) => tracker.report(event),
            Err(error) => rejected(error, item, tracker)?,
        }
        tracker.reach(done);
        Ok(())
    }

    /// Destroys what was destroyed in the archive that the collection was exported from: plans it, and carries that out.
    async fn expunge(&self, request: pb::ExpungeRevisionsRequest) -> Result<pb::ExpungeRevisionsResponse, ServerError> {
        let mut admin = self.client.admin.clone();
        let planning = pb::ExpungeRevisionsRequest { validate_only: true, ..request.clone() };
        let planned = admin.expunge_revisions(planning).await?.into_inner();
        let plan = planned.plan.clone().unwrap_or_default();
        // An import that is repeated finds it done.
        if plan.change_count == 0 {
            return Ok(planned);
        }
        let carrying_out = pb::ExpungeRevisionsRequest { plan_digest: plan.digest, ..request };
        Ok(admin.expunge_revisions(carrying_out).await?.into_inner())
    }

    /// Records that a page was missing, if it is the page of an article in the archive.
    async fn record_missed_page(&self, missed: MissedPage) -> Result<Event<'static>, ServerError> {
        let MissedPage { request, url, source } = missed;
        let observe_time = request.observe_time;
        let as_of = Some(pb::AsOf { observe_time, ..pb::AsOf::default() });
        let lookup = pb::LookupArticleRequest { url: url.clone(), as_of, ..pb::LookupArticleRequest::default() };
        let mut archive = self.client.archive.clone();
        let article = match archive.lookup_article(lookup).await.map_err(ServerError::from) {
            Ok(found) => found.into_inner().article.unwrap_or_default(),
            // Most of these never were articles.
            Err(error) if matches!(error.reason.as_str(), "ARTICLE_UNKNOWN" | "URL_ENDED" | "NOT_YET_OBSERVED") => {
                return Ok(Event::Skipped("missing pages that are not archived"));
            }
            Err(error) => return Err(error),
        };
        let is_foreign = |source| ArticleName::parse(&article.name).is_ok_and(|name| name.source != source);
        if source.is_some_and(is_foreign) {
            return Ok(Event::Skipped("missing pages of articles of other sources"));
        }
        let is_own = instant(observe_time.as_ref()).is_some_and(|at| is_own_page(&article, &[&url], at));
        if !is_own {
            return Ok(Event::Skipped("missing pages at further addresses of articles"));
        }
        let target = Some(pb::record_absence_request::Target::Name(article.name));
        let done = archive.record_absence(pb::RecordAbsenceRequest { target, ..request }).await?;
        Ok(Event::Absent(done.into_inner()))
    }

    /// Records a sighting of the content that the archive has for a URL.
    async fn record_revisit(&self, revisit: Revisit) -> Result<pb::RecordObservationResponse, ServerError> {
        let mut archive = self.client.archive.clone();
        let key = UrlKey::of(&revisit.url).ok();
        let is_same_url = revisit.request.urls.iter().any(|url| UrlKey::of(url).ok() == key);
        let observe_time = revisit.at.or(revisit.request.observe_time);
        let seen_at = revisit.url.clone();
        let found = archive
            .lookup_article(pb::LookupArticleRequest {
                url: revisit.url,
                view: pb::ArticleView::Full.into(),
                as_of: Some(pb::AsOf { observe_time, ..pb::AsOf::default() }),
                ..pb::LookupArticleRequest::default()
            })
            .await?
            .into_inner();
        let article = found.article.unwrap_or_default();
        let mut request = revisit.request;
        request.content = article.revision.and_then(|revision| revision.content);
        let (parent, id) = article.name.rsplit_once("/articles/").unwrap_or_default();
        let at = request.observe_time;
        if is_same_url || self.belongs_to(request.urls.first(), at, &article.name).await? {
            (request.parent, request.article_id) = (parent.to_owned(), id.to_owned());
        } else {
            attribute_to_own_url(&mut request, &seen_at, parent);
        }
        Ok(archive.record_observation(request).await?.into_inner())
    }

    /// Whether the URL leads to this article at `observe_time`.
    async fn belongs_to(
        &self,
        url: Option<&String>,
        observe_time: Option<prost_types::Timestamp>,
        article: &str,
    ) -> Result<bool, ServerError> {
        let Some(url) = url.cloned() else { return Ok(false) };
        let as_of = Some(pb::AsOf { observe_time, ..pb::AsOf::default() });
        let request = pb::LookupArticleRequest { url, as_of, ..pb::LookupArticleRequest::default() };
        match self.client.archive.clone().lookup_article(request).await {
            Ok(found) => Ok(found.into_inner().article.is_some_and(|found| found.name == article)),
            Err(status) => match ServerError::from(status) {
                error if matches!(error.reason.as_str(), "ARTICLE_UNKNOWN" | "URL_ENDED") => Ok(false),
                error if error.reason == "NOT_YET_OBSERVED" => {
                    Ok(error.metadata.get("article").is_some_and(|found| found == article))
                }
                error => Err(error),
            },
        }
    }
}

/// Turns content found at another URL into an observation of the request's own URL (WARC 1.1, 6.7.2).
///
/// The revisit says nothing about the article that the content came from. Everything that would lead to that article is
/// removed: the canonical URL and, if the two URLs are on different sites and no source was given, its source.
fn attribute_to_own_url(request: &mut pb::RecordObservationRequest, other: &str, parent: &str) {
    if let Some(content) = &mut request.content {
        content.canonical_url.clear();
    }
    if !request.parent.is_empty() {
        return;
    }
    let site = |url: &str| ingest::site(&Url::parse(url).ok()?);
    let (own, other) = (request.urls.first().and_then(|url| site(url)), site(other));
    request.parent = match own {
        Some(own) if Some(&own) != other.as_ref() => format!("sources/{own}"),
        _ => parent.to_owned(),
    };
}

/// Reports a rejected item. Fails if the error is temporary, since all items after it would be rejected too.
fn rejected(error: ServerError, item: ItemRef<'_>, tracker: &mut Tracker<'_>) -> Result<(), CaptureError> {
    if error.is_passing() {
        return Err(error.into());
    }
    tracker.fail(item, error.into());
    Ok(())
}
