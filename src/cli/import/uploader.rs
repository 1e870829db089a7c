//! Sends the items of a collection to the archive.
//!
//! Observations go through `ImportObservations`, many in progress at a time, and are answered in order. Every other
//! item is sent by itself once all items before it are answered, since its effect depends on them. So the progress is
//! always a complete prefix of the collection: an item counts as done when it and all before it are answered.

use std::collections::VecDeque;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Streaming};
use url::Url;

use super::checkpoint::Checkpoint;
use super::item::{Arrived, Done, Found, Item, Seen};
use super::summary::Summary;
use crate::cli::connect::Session;
use crate::cli::exit::{Exit, Failure};
use crate::client::ServerError;
use crate::ingest;
use crate::model::UrlKey;
use crate::wire::pb;
use crate::wire::pb::import_observations_response::Result as ImportResult;

/// The most observations that are sent and not answered yet.
const UNDER_WAY_MAX: usize = 512;

/// Sends the items of one collection.
pub(super) struct Uploader<'a> {
    session: &'a Session,
    requests: mpsc::Sender<pb::ImportObservationsRequest>,
    answers: Streaming<pb::ImportObservationsResponse>,
    /// Items that are not reported yet. The first one, if any, is waiting for the archive's response.
    under_way: VecDeque<UnderWay>,
    /// The item to send next.
    next: Option<Arrived>,
    dry_run: bool,
}

/// An item that is not reported yet.
struct UnderWay {
    place: String,
    done: Done,
    state: State,
    _room: OwnedSemaphorePermit,
}

enum State {
    /// Sent, and not answered yet.
    Asked,
    PassedOver(&'static str),
    Broken(Failure),
    Ended(Failure),
}

/// How an import ended, if it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All items are done.
    Whole,
    /// A signal asked it to stop first.
    Stopped,
}

impl<'a> Uploader<'a> {
    pub(super) async fn new(session: &'a Session, dry_run: bool) -> Result<Self, Failure> {
        let (requests, stream) = mpsc::channel(1);
        let answers = session.archive().import_observations(ReceiverStream::new(stream)).await?.into_inner();
        Ok(Self { session, requests, answers, under_way: VecDeque::new(), next: None, dry_run })
    }

    /// Sends all items and reports their outcomes, until there are no more or a signal asks it to stop. It then waits
    /// for the items in progress.
    pub(super) async fn run(
        mut self,
        mut items: mpsc::Receiver<Arrived>,
        stopping: &CancellationToken,
        summary: &mut Summary<'_>,
        checkpoint: &mut Checkpoint,
    ) -> Result<End, Failure> {
        let (mut ended, mut end) = (false, End::Whole);
        loop {
            self.tell(summary)?;
            checkpoint.reached(summary);
            let in_turn = self.next.as_ref().is_some_and(|next| !matches!(next.item.found, Found::Publish(_)));
            if self.under_way.is_empty() {
                match self.next.take_if(|_| in_turn) {
                    Some(next) => {
                        self.ask(next.item, summary).await?;
                        continue;
                    }
                    None if ended && self.next.is_none() => return Ok(end),
                    None => {}
                }
            }
            let has_room = self.under_way.len() < UNDER_WAY_MAX;
            let (may_send, may_take) = match &self.next {
                Some(_) => (has_room && !in_turn, false),
                None => (false, has_room && !ended),
            };
            tokio::select! {
                biased;
                () = stopping.cancelled(), if !ended => {
                    (ended, end, self.next) = (true, End::Stopped, None);
                }
                answer = self.answers.message(), if !self.under_way.is_empty() => self.take(answer, summary)?,
                permit = self.requests.clone().reserve_owned(), if may_send => {
                    let permit = permit.map_err(|_| broken_off())?;
                    self.under_way.extend(self.next.take().map(|next| send(permit, next, self.dry_run)));
                }
                arrived = items.recv(), if may_take => match arrived {
                    Some(arrived) => self.arrive(arrived),
                    None => ended = true,
                },
            }
        }
    }

    /// Takes an item from the reader. An item that needs no request waits until those before it are reported.
    fn arrive(&mut self, arrived: Arrived) {
        let Arrived { item: Item { place, found, done }, room } = arrived;
        let state = match found {
            Found::PassedOver(what) => State::PassedOver(what),
            Found::Broken(failure) => State::Broken(failure),
            Found::Ended(failure) => State::Ended(failure),
            found @ (Found::Publish(_)
            | Found::Withdraw(_)
            | Found::Reinstate(_)
            | Found::Rollback(_)
            | Found::Again(_)) => {
                self.next = Some(Arrived { item: Item { place, found, done }, room });
                return;
            }
        };
        self.under_way.push_back(UnderWay { place, done, state, _room: room });
    }

    /// Reports the items before the first one that the archive has not answered.
    fn tell(&mut self, summary: &mut Summary<'_>) -> Result<(), Failure> {
        while let Some(first) = self.under_way.pop_front_if(|first| !matches!(first.state, State::Asked)) {
            match first.state {
                State::Asked => {}
                State::PassedOver(what) => summary.passed_over(what),
                State::Broken(failure) => summary.broken(&first.place, first.done.items, failure)?,
                State::Ended(failure) => return Err(failure),
            }
            summary.reach(first.done);
        }
        Ok(())
    }

    /// Processes the response to the first item in progress.
    fn take(
        &mut self,
        answer: Result<Option<pb::ImportObservationsResponse>, tonic::Status>,
        summary: &mut Summary<'_>,
    ) -> Result<(), Failure> {
        let result = answer?.and_then(|answer| answer.result).ok_or_else(broken_off)?;
        let Some(first) = self.under_way.pop_front() else { return Ok(()) };
        let (place, number) = (first.place.as_str(), first.done.items);
        match result {
            ImportResult::Recorded(published) => {
                summary.saw(published.snapshot);
                published
                    .responses
                    .into_iter()
                    .try_for_each(|published| summary.published(place, number, published))?;
            }
            ImportResult::Error(error) => refused(error.into(), place, number, summary)?,
        }
        summary.reach(first.done);
        Ok(())
    }

    /// Sends one item by itself.
    async fn ask(&mut self, item: Item, summary: &mut Summary<'_>) -> Result<(), Failure> {
        let Item { place, found, done } = item;
        let mut archive = self.session.archive();
        let refusal = match found {
            // It depends on earlier items, which a dry run does not record.
            _ if self.dry_run => {
                summary.passed_over("state changes and others that depend on earlier items");
                None
            }
            Found::Withdraw(request) => match archive.withdraw_article(request).await {
                Ok(done) => summary.marked(&done.into_inner()).map(|()| None)?,
                Err(status) => Some(status.into()),
            },
            Found::Reinstate(request) => match archive.reinstate_article(request).await {
                Ok(done) => summary.marked(&done.into_inner()).map(|()| None)?,
                Err(status) => Some(status.into()),
            },
            Found::Rollback(request) => match archive.rollback_article(request).await {
                Ok(done) => summary.rolled_back(&done.into_inner()).map(|()| None)?,
                Err(status) => Some(status.into()),
            },
            Found::Again(seen) => match self.see_again(*seen).await {
                Ok(published) => summary.published(&place, done.items, published).map(|()| None)?,
                // Most of these are visits to images and the like, which were skipped when they were first returned.
                Err(error) if matches!(error.reason.as_str(), "ARTICLE_UNKNOWN" | "NOT_YET_OBSERVED") => {
                    summary.passed_over("visits to pages that are not archived");
                    None
                }
                Err(error) => Some(error),
            },
            Found::Publish(_) | Found::PassedOver(_) | Found::Broken(_) | Found::Ended(_) => None,
        };
        if let Some(error) = refusal {
            refused(error, &place, done.items, summary)?;
        }
        summary.reach(done);
        Ok(())
    }

    /// Records a sighting of the content that the archive has for a URL.
    async fn see_again(&self, seen: Seen) -> Result<pb::RecordObservationResponse, ServerError> {
        let mut archive = self.session.archive();
        let key = UrlKey::of(&seen.url).ok();
        let is_of_the_address = seen.request.urls.iter().any(|url| UrlKey::of(url).ok() == key);
        let observe_time = seen.at.or(seen.request.observe_time);
        let seen_at = seen.url.clone();
        let found = archive
            .lookup_article(pb::LookupArticleRequest {
                url: seen.url,
                view: pb::ArticleView::Full.into(),
                as_of: Some(pb::AsOf { observe_time, ..pb::AsOf::default() }),
                ..pb::LookupArticleRequest::default()
            })
            .await?
            .into_inner();
        let article = found.article.unwrap_or_default();
        let mut request = seen.request;
        request.content = article.revision.and_then(|revision| revision.content);
        let (parent, id) = article.name.rsplit_once("/articles/").unwrap_or_default();
        if is_of_the_address || self.leads_to(request.urls.first(), &article.name).await? {
            (request.parent, request.article_id) = (parent.to_owned(), id.to_owned());
        } else {
            be_of_its_address(&mut request, &seen_at, parent);
        }
        Ok(archive.record_observation(request).await?.into_inner())
    }

    /// Whether the URL belongs to this article.
    async fn leads_to(&self, url: Option<&String>, article: &str) -> Result<bool, ServerError> {
        let Some(url) = url.cloned() else { return Ok(false) };
        let asked = pb::LookupArticleRequest { url, ..pb::LookupArticleRequest::default() };
        match self.session.archive().lookup_article(asked).await {
            Ok(found) => Ok(found.into_inner().article.is_some_and(|found| found.name == article)),
            Err(status) => match ServerError::from(status) {
                error if error.reason == "ARTICLE_UNKNOWN" => Ok(false),
                error => Err(error),
            },
        }
    }
}

/// Turns content found at another URL into an observation of the request's own URL (WARC 1.1, 6.7.2).
///
/// The revisit says nothing about the article that the content came from. Everything that would lead to that article is
/// removed: the canonical URL and, if the two URLs are on different sites and no source was given, its source.
fn be_of_its_address(request: &mut pb::RecordObservationRequest, other: &str, parent: &str) {
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

fn send(permit: mpsc::OwnedPermit<pb::ImportObservationsRequest>, arrived: Arrived, dry_run: bool) -> UnderWay {
    let Arrived { item: Item { place, found, done }, room } = arrived;
    if let Found::Publish(mut request) = found {
        request.validate_only = dry_run;
        permit.send(pb::ImportObservationsRequest { offset: done.items, requests: vec![*request] });
    }
    UnderWay { place, done, state: State::Asked, _room: room }
}

/// Reports a rejected item. Fails if the error is temporary, since all items after it would be rejected too.
fn refused(error: ServerError, place: &str, number: u64, summary: &mut Summary<'_>) -> Result<(), Failure> {
    if error.is_passing() {
        return Err(Failure::from(error).hint("run the same command again later: it continues where it stopped"));
    }
    summary.broken(place, number, error.into())
}

fn broken_off() -> Failure {
    Failure::new(Exit::Unreachable, "the server broke off the import")
        .hint("run the same command again: it continues where it stopped")
}

impl From<pb::ItemError> for ServerError {
    fn from(error: pb::ItemError) -> Self {
        let pb::ItemError { code, reason, message, metadata, mut field_violations } = error;
        // Each message here has a single request, so the index before its errors says nothing.
        let unnumbered = |text: String| match text.strip_prefix("requests[0]") {
            Some(rest) => rest.trim_start_matches(['.', ':', ' ']).to_owned(),
            None => text,
        };
        for violation in &mut field_violations {
            violation.field = unnumbered(std::mem::take(&mut violation.field));
        }
        Self { code: Code::from(code), reason, message: unnumbered(message), metadata, field_violations }
    }
}
