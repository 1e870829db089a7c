//! Follows the change feed across broken connections and server restarts.
//!
//! Each delivery of the feed ends with a bookmark, whose token says exactly where to continue, even inside an atomic
//! batch. Everything received is handed out before a new stream is opened, and the new stream begins after the last
//! event handed out. So no event is missed, and none is repeated.
//!
//! With a durable subscription, a new stream instead begins after the last acknowledgement: changes that were handed
//! out but not acknowledged come again, under a new epoch. The token is sent in that case too: if the consumer received
//! changes that a restored archive no longer has, the server can reject the consumer.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Response, Status, Streaming};

use super::Connection;
use super::{ServerError, TrustError, TrustedLog};
use crate::wire::pb;
use crate::wire::pb::change_feed_service_client::ChangeFeedServiceClient;
use crate::wire::pb::subscribe_response::Event;

/// The upper limits of the delay before a new stream is opened: after a first failure, and after any number of
/// failures.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(5);

/// An event of a followed feed, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Followed {
    /// A stream is open: the first one, or a new one after [`Followed::Lost`].
    Started {
        /// The epoch on the durable subscription, to be sent with acknowledgements; 0 without a durable subscription.
        epoch: u64,
        /// The snapshot from which articles are sent; `None` if the feed does not begin with one.
        snapshot: Option<pb::Snapshot>,
    },
    /// A change. The position after it, `seq + 1`, can be acknowledged.
    Change(Box<pb::Change>),
    /// An article of a snapshot.
    Article(Box<pb::Article>),
    /// All articles of the snapshot have been handed out; changes follow.
    SnapshotEnd,
    /// Everything before this bookmark has been handed out. Its token continues from here, and its `next_seq` can be
    /// acknowledged. A bookmark follows the events of each delivery, and comes at intervals while there are no events.
    Bookmark(pb::Bookmark),
    /// Everything that was durable when the server sent this has been handed out.
    CaughtUp,
    /// The feed is no longer caught up.
    FellBehind {
        /// The durable tail, which is ahead of the feed's own position.
        durable_next_seq: u64,
    },
    /// The stream broke or could not be opened. A new one is opened automatically.
    Lost {
        /// Why the stream was lost.
        error: ServerError,
        /// When the next attempt is made.
        retry_in: Duration,
    },
}

/// A followed feed: a [`Stream`] of events that survives lost connections.
///
/// If the request has `end_when_caught_up`, the stream ends with `None` after the first [`Followed::CaughtUp`];
/// otherwise it never ends by itself. It ends with an error if a retry cannot help, such as `HISTORY_DIVERGED`,
/// `CONSUMER_FENCED` or `FILTER_INVALID`. If a stream breaks, is ended by the server, or is rejected because the server
/// has no room at the moment, a new one is opened after a delay of 50 ms to 5 s. A feed that starts at `now` starts
/// when the server answers for the first time.
///
/// Dropping the feed closes the stream.
pub struct Following {
    feed: ChangeFeedServiceClient<Connection>,
    request: pb::SubscribeRequest,
    trusted: Option<TrustedLog>,
    /// Whether the first event of the stream had a checkpoint of the trusted log.
    stream_is_checked: bool,
    state: StreamState,
    /// Events that were received and have not been handed out yet.
    arrived: VecDeque<Followed>,
    last_bookmark: Option<pb::Bookmark>,
    epoch: u64,
    /// Whether the server has sent `CaughtUp`.
    caught_up: bool,
    /// The number of failed attempts in a row.
    failures: u32,
}

type Opening = dyn Future<Output = Result<Response<Streaming<pb::SubscribeResponse>>, Status>> + Send;

enum StreamState {
    Waiting(Pin<Box<Sleep>>),
    Closed,
    Opening(Pin<Box<Opening>>),
    Open(Box<Streaming<pb::SubscribeResponse>>),
    Ended,
}

impl Following {
    pub(super) fn new(
        feed: ChangeFeedServiceClient<Connection>,
        request: pb::SubscribeRequest,
        trusted: Option<TrustedLog>,
    ) -> Self {
        Self {
            feed,
            request,
            trusted,
            stream_is_checked: false,
            state: StreamState::Closed,
            arrived: VecDeque::new(),
            last_bookmark: None,
            epoch: 0,
            caught_up: false,
            failures: 0,
        }
    }

    /// Waits for the next event. Cancel safe: dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Result<Followed, ServerError>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Only the changes, without the other events.
    pub fn changes(self) -> impl Stream<Item = Result<pb::Change, ServerError>> + Send {
        self.filter_map(|event| match event {
            Ok(Followed::Change(change)) => Some(Ok(*change)),
            Err(error) => Some(Err(error)),
            Ok(
                Followed::Started { .. }
                | Followed::Article(_)
                | Followed::SnapshotEnd
                | Followed::Bookmark(_)
                | Followed::CaughtUp
                | Followed::FellBehind { .. }
                | Followed::Lost { .. },
            ) => None,
        })
    }

    /// The last bookmark that was handed out; `None` before the first. Continuing from it repeats the events handed out
    /// since.
    pub fn bookmark(&self) -> Option<&pb::Bookmark> {
        self.last_bookmark.as_ref()
    }

    /// The token of the last bookmark that was handed out.
    pub fn resume_token(&self) -> Option<&str> {
        self.last_bookmark.as_ref().map(|bookmark| bookmark.resume_token.as_str()).filter(|token| !token.is_empty())
    }

    /// The log as far as it was checked; `None` unless it is followed by [`Client::follow_checked`].
    ///
    /// [`Client::follow_checked`]: super::Client::follow_checked
    pub fn trusted(&self) -> Option<&TrustedLog> {
        self.trusted.as_ref()
    }

    /// The epoch on the durable subscription; 0 without one, and before the first [`Followed::Started`].
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether an event is available without waiting for the server. If not, everything received has been handed out,
    /// bookmarks included.
    pub fn has_arrived(&self) -> bool {
        !self.arrived.is_empty()
    }

    /// Waits for the next message, and opens a stream first if there is none.
    fn poll_response(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<pb::SubscribeResponse, Status>>> {
        loop {
            self.state = match &mut self.state {
                StreamState::Ended => return Poll::Ready(None),
                StreamState::Waiting(delay) => {
                    ready!(delay.as_mut().poll(context));
                    StreamState::Closed
                }
                StreamState::Closed => StreamState::Opening(self.open()),
                StreamState::Opening(opening) => match ready!(opening.as_mut().poll(context)) {
                    Ok(stream) => StreamState::Open(Box::new(stream.into_inner())),
                    Err(status) => return Poll::Ready(Some(Err(status))),
                },
                StreamState::Open(stream) => return Pin::new(stream.as_mut()).poll_next(context),
            }
        }
    }

    fn open(&self) -> Pin<Box<Opening>> {
        use pb::feed_start::Position;
        let mut request = self.request.clone();
        if let Some(token) = self.resume_token() {
            request.start = Some(pb::FeedStart { position: Some(Position::ResumeToken(token.to_owned())) });
        }
        if let Some(trusted) = &self.trusted {
            (request.checkpoints, request.checkpoint_size) = (true, trusted.size());
        }
        let mut feed = self.feed.clone();
        Box::pin(async move { feed.subscribe(request).await })
    }

    /// Checks the log that an event shows, if it is to be checked.
    fn check(&mut self, event: Option<&Event>) -> Result<(), TrustError> {
        let Some(trusted) = &mut self.trusted else { return Ok(()) };
        let bookmark = match event {
            Some(Event::Started(pb::Started { bookmark, .. }) | Event::Delivery(pb::Delivery { bookmark, .. })) => {
                bookmark.as_ref()
            }
            Some(Event::CaughtUp(pb::CaughtUp { bookmark }) | Event::SnapshotEnd(pb::SnapshotEnd { bookmark })) => {
                bookmark.as_ref()
            }
            Some(Event::Bookmark(bookmark)) => Some(bookmark),
            Some(Event::FellBehind(_)) | None => None,
        };
        let has_checkpoint = bookmark.is_some_and(|bookmark| bookmark.checkpoint.is_some());
        match bookmark {
            Some(bookmark) if has_checkpoint => trusted.follow(bookmark),
            // A server that leaves out the first one could show any log.
            _ if !self.stream_is_checked => Err(TrustError::Missing),
            _ => Ok(()),
        }?;
        self.stream_is_checked = true;
        Ok(())
    }

    fn arrive(&mut self, event: Option<Event>) {
        let Some(event) = event else { return };
        // If a server starts streams but sends nothing on them, retries must not become frequent again.
        if !matches!(event, Event::Started(_)) {
            self.failures = 0;
        }
        match event {
            Event::Started(pb::Started { bookmark, epoch, snapshot }) => {
                self.arrived.push_back(Followed::Started { epoch, snapshot });
                self.arrived.extend(bookmark.map(Followed::Bookmark));
            }
            Event::Delivery(pb::Delivery { changes, articles, bookmark }) => {
                self.arrived.extend(articles.into_iter().map(|article| Followed::Article(Box::new(article))));
                self.arrived.extend(changes.into_iter().map(|change| Followed::Change(Box::new(change))));
                self.arrived.extend(bookmark.map(Followed::Bookmark));
            }
            Event::Bookmark(bookmark) => self.arrived.push_back(Followed::Bookmark(bookmark)),
            Event::CaughtUp(pb::CaughtUp { bookmark }) => {
                self.caught_up = true;
                self.arrived.extend(bookmark.map(Followed::Bookmark));
                self.arrived.push_back(Followed::CaughtUp);
            }
            Event::FellBehind(pb::FellBehind { durable_next_seq }) => {
                self.arrived.push_back(Followed::FellBehind { durable_next_seq });
            }
            // The event comes before its bookmark, so a consumer that stores the token has already seen SnapshotEnd.
            Event::SnapshotEnd(pb::SnapshotEnd { bookmark }) => {
                self.arrived.push_back(Followed::SnapshotEnd);
                self.arrived.extend(bookmark.map(Followed::Bookmark));
            }
        }
    }

    fn hand_out(&mut self) -> Option<Followed> {
        let event = self.arrived.pop_front()?;
        match &event {
            Followed::Started { epoch, .. } => self.epoch = *epoch,
            Followed::Bookmark(bookmark) => self.last_bookmark = Some(bookmark.clone()),
            Followed::Change(_)
            | Followed::Article(_)
            | Followed::SnapshotEnd
            | Followed::CaughtUp
            | Followed::FellBehind { .. }
            | Followed::Lost { .. } => {}
        }
        Some(event)
    }

    /// Handles the end of a stream: ends the feed, or schedules the next stream.
    fn end(&mut self, error: ServerError) -> Option<Result<Followed, ServerError>> {
        (self.state, self.stream_is_checked) = (StreamState::Ended, false);
        if self.caught_up && self.request.end_when_caught_up {
            return None;
        }
        if !error.is_passing() {
            return Some(Err(error));
        }
        let retry_in = delay(self.failures, getrandom::u32().unwrap_or_default());
        self.failures = self.failures.saturating_add(1);
        self.state = StreamState::Waiting(Box::pin(tokio::time::sleep(retry_in)));
        Some(Ok(Followed::Lost { error, retry_in }))
    }
}

impl Stream for Following {
    type Item = Result<Followed, ServerError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let following = self.get_mut();
        loop {
            if let Some(event) = following.hand_out() {
                return Poll::Ready(Some(Ok(event)));
            }
            if matches!(following.state, StreamState::Ended) {
                return Poll::Ready(None);
            }
            match ready!(following.poll_response(context)) {
                Some(Ok(response)) => match following.check(response.event.as_ref()) {
                    Ok(()) => following.arrive(response.event),
                    Err(error) => {
                        following.state = StreamState::Ended;
                        return Poll::Ready(Some(Err(ServerError::diverged(&error))));
                    }
                },
                Some(Err(status)) => return Poll::Ready(following.end(status.into())),
                None => return Poll::Ready(following.end(ended_by_server())),
            }
        }
    }
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Following")
            .field("request", &self.request)
            .field("last_bookmark", &self.last_bookmark)
            .finish_non_exhaustive()
    }
}

fn ended_by_server() -> ServerError {
    Status::new(Code::Unavailable, "the server ended the stream").into()
}

/// The delay before the next attempt. Its upper limit doubles with each failure; the delay is a random value between
/// half of the limit and the limit, so that the clients of a failed server do not all return at once.
fn delay(failures: u32, random: u32) -> Duration {
    let limit = FIRST_DELAY.saturating_mul(1 << failures.min(16)).min(DELAY_MAX);
    limit / 2 + limit / 2 * (random % 1_000) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_between_attempts_grows_up_to_a_limit() {
        assert_eq!(delay(0, 0), Duration::from_millis(50));
        assert_eq!(delay(3, 0), Duration::from_millis(400));
        for failures in 0..40 {
            let delay = delay(failures, u32::MAX);
            assert!(delay >= FIRST_DELAY / 2 && delay <= DELAY_MAX, "{delay:?}");
        }
    }

    #[test]
    fn only_temporary_errors_are_retried() {
        let passing = |code, reason: &str| {
            ServerError { reason: reason.to_owned(), ..ServerError::from(Status::new(code, "")) }.is_passing()
        };
        for (code, reason) in [
            (Code::Unavailable, ""),
            (Code::Unavailable, "DRAINING"),
            (Code::Unknown, ""),
            (Code::Cancelled, ""),
            (Code::ResourceExhausted, "SUBSCRIBER_STALLED"),
            (Code::ResourceExhausted, "STREAM_STALLED"),
            (Code::ResourceExhausted, "TOO_MANY_STREAMS"),
        ] {
            assert!(passing(code, reason), "{code:?} {reason}");
        }
        for (code, reason) in [
            (Code::FailedPrecondition, "HISTORY_DIVERGED"),
            (Code::Aborted, "CONSUMER_FENCED"),
            (Code::NotFound, "SUBSCRIPTION_UNKNOWN"),
            (Code::InvalidArgument, "FILTER_INVALID"),
            (Code::Internal, "INTERNAL"),
            (Code::ResourceExhausted, ""),
            (Code::Unimplemented, ""),
        ] {
            assert!(!passing(code, reason), "{code:?} {reason}");
        }
    }
}
