//! Serves one subscriber: from its start position to the durable tail, and then change by change.
//!
//! The state of a subscriber is a position in the log. Each turn reads one page from that position, sends it as one
//! event, and waits for the transport to take the event. Nothing else is kept between turns. A slow client therefore
//! costs the memory of one event, is served from storage, and delays no other subscriber.
//!
//! A subscriber is caught up while every page comes from memory and reaches the durable tail as it was when the page
//! was begun.

use std::ops::RangeInclusive;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::Context;
use super::super::caller::Caller;
use super::super::sink::{NotTaken, Sink};
use super::super::status::Refusal;
use super::checkpoints::FollowedTree;
use super::ending::{Ending, Interruption};
use super::memory::{self, MemoryShare};
use super::query::{Begin, RequestedQuery, feed_view};
use super::show;
use super::stats::{FeedStats, SubscriberKind, SubscriberPlace};
use super::subscribe_target::{SubscribeTarget, attach};
use crate::archive::changefeed::{FeedEnd, FeedView, PagePlan};
use crate::archive::subscriptions::Attachment;
use crate::model::{FeedQuery, RequestDigest, Snapshot};
use crate::wire::frame::{DeliveryFrame, EventFrame};
use crate::wire::pb::subscribe_response::Event;
use crate::wire::token::SnapshotPlace;
use crate::wire::{self, all, pb, snapshot_to_pb};

/// The most changes in one event.
const EVENT_CHANGES_MAX: usize = 512;
/// An event ends with the change that takes it to this many bytes.
const EVENT_BYTES_MAX: usize = 128 << 10;
/// The memory reserved for an event before its size is known.
const EVENT_MEMORY_BYTES: usize = EVENT_BYTES_MAX + (32 << 10);
/// The most changes examined for one event, so that heartbeats are sent in between.
const EVENT_EXAMINED_MAX: usize = 4_096;
/// How long to wait after new changes of which none matches, before the next changes are examined.
const EXAMINE_AGAIN_AFTER: Duration = Duration::from_millis(8);
/// The default interval between bookmarks while there are no changes to send.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The range of heartbeat intervals that a client may request, in seconds.
const HEARTBEAT_RANGE: RangeInclusive<u64> = 1..=60;

/// The state of one subscriber.
pub(super) struct Subscriber {
    pub(super) context: Context,
    end: FeedEnd,
    /// All matching changes below this position have been sent.
    pub(super) place: Snapshot,
    pub(super) snapshot: Option<SnapshotPlace>,
    plan: PagePlan,
    pub(super) query_digest: RequestDigest,
    heartbeat: Duration,
    end_when_caught_up: bool,
    /// What the subscriber knows of the log's tree, if it follows that, too.
    tree: Option<FollowedTree>,
    caller: Caller,
    attachment: Option<Attachment>,
    /// Whether CaughtUp has been sent, and no FellBehind since.
    caught_up: bool,
    /// When the next bookmark is due.
    bookmark_due: Instant,
    /// The memory of the last event, held until the transport has taken that event.
    pending_share: Option<MemoryShare>,
    /// The position before the last event. It applies if the transport never takes that event.
    before_last_event: (Snapshot, Option<SnapshotPlace>),
    /// Its place among the subscribers that an operator sees.
    counted: Option<SubscriberPlace>,
}

/// What ends a wait.
enum Wake {
    /// There are changes to examine.
    More,
    BookmarkDue,
    Interrupted(Interruption),
    /// The client is gone.
    Gone,
}

impl Subscriber {
    /// Validates a request and resolves its start. If it names a durable subscription, the consumer is attached when
    /// this returns.
    pub(super) async fn new(context: &Context, caller: Caller, request: pb::SubscribeRequest) -> Result<Self, Refusal> {
        let view = feed_view(request.view);
        let interval = wire::duration("heartbeat_interval", request.heartbeat_interval, HEARTBEAT, HEARTBEAT_RANGE);
        let end_when_caught_up = request.end_when_caught_up;
        let tree = FollowedTree::read(context, &request)?;
        let target = SubscribeTarget::read(request, &context.limits);
        let (view, heartbeat, target) = all!(view, interval, target)?;
        // Subscribed to before the position is resolved, so that no new tail is missed.
        let end = context.archive.feed_end();
        let (RequestedQuery { query, digest }, begin, attachment) = match target {
            SubscribeTarget::Feed(requested, start) => {
                let requested = requested.confined(&caller)?;
                let begin = context.begin(start, requested.digest).await?;
                (requested, begin, None)
            }
            SubscribeTarget::Durable { id, consumer, seen } => {
                let attachment = attach(context, &caller, id, consumer, seen).await?;
                let begin = Begin { place: attachment.start, snapshot: None };
                (RequestedQuery::new(attachment.query.clone()), begin, Some(attachment))
            }
        };
        let before_last_event = (begin.place, begin.snapshot.clone());
        Ok(Self {
            context: context.clone(),
            end,
            place: begin.place,
            snapshot: begin.snapshot,
            query_digest: digest,
            plan: plan(Arc::new(query), view),
            heartbeat,
            end_when_caught_up,
            tree,
            caller,
            attachment,
            caught_up: false,
            bookmark_due: Instant::now() + heartbeat,
            pending_share: None,
            before_last_event,
            counted: None,
        })
    }

    /// Shows this subscriber and its position in `stats`, as long as it runs.
    pub(super) fn counted_in(self, stats: &Arc<FeedStats>) -> Self {
        let kind = if self.attachment.is_some() { SubscriberKind::Durable } else { SubscriberKind::Feed };
        Self { counted: Some(stats.enter(kind, self.place.next_seq)), ..self }
    }

    /// Shows the present position.
    fn count(&self) {
        if let Some(counted) = &self.counted {
            counted.set(self.place.next_seq);
        }
    }

    /// Sends events until the client is gone or the stream ends.
    pub(super) async fn run(mut self, sink: Sink<EventFrame>) {
        let Err(mut ending) = self.feed(&sink).await;
        if let Ending::Done = ending
            && let Err(earlier) = self.room(&sink).await
        {
            ending = earlier;
        }
        match ending {
            Ending::Done | Ending::Gone => {}
            Ending::With(status) => sink.end(*status),
            Ending::Stalled(after) => {
                if sink.take_back() {
                    (self.place, self.snapshot) = self.before_last_event.clone();
                }
                tracing::info!(next_seq = self.place.next_seq.0, "closing a stream whose subscriber made no progress");
                let token = self.bookmark().resume_token;
                sink.end(Refusal::stalled(after, &token).into());
            }
        }
    }

    async fn feed(&mut self, sink: &Sink<EventFrame>) -> Result<std::convert::Infallible, Ending> {
        let started = pb::Started {
            bookmark: Some(self.bookmark_with_checkpoint().await?),
            epoch: self.attachment.as_ref().map_or(0, |attachment| attachment.epoch),
            snapshot: self.snapshot.as_ref().map(|_| snapshot_to_pb(&self.place)),
        };
        self.send(sink, show::event(Event::Started(started)), None).await?;
        while self.snapshot.is_some() {
            self.room(sink).await?;
            self.send_articles(sink).await?;
        }
        loop {
            self.room(sink).await?;
            if self.tree.as_ref().is_some_and(|tree| tree.is_due(self.end.now())) {
                self.send_bookmark(sink).await?;
                self.room(sink).await?;
            }
            self.send_changes(sink).await?;
            self.count();
            if self.place.next_seq == self.end.now() {
                self.send_caught_up(sink).await?;
                // If more was committed meanwhile, the loop continues instead of waiting.
                if self.caught_up {
                    self.wait(sink).await?;
                }
            }
        }
    }

    /// Waits until the transport has taken the last event. The data of the next event is read only then, so that it is
    /// current when sent.
    pub(super) async fn room(&mut self, sink: &Sink<EventFrame>) -> Result<(), Ending> {
        let interruption = tokio::select! {
            biased;
            interruption = Interruption::wait(&self.context, self.attachment.as_ref()) => interruption,
            room = sink.room() => {
                room.map_err(|not_taken| self.not_taken(not_taken))?;
                self.pending_share = None;
                return Ok(());
            }
            () = self.context.memory.shortage(), if self.pending_share.is_some() => {
                return Err(Ending::Stalled(memory::STALLED_AFTER));
            }
        };
        Err(self.interrupted(interruption, sink))
    }

    /// Sends an event, and holds `share` until the transport has taken it.
    pub(super) async fn send(
        &mut self,
        sink: &Sink<EventFrame>,
        event: EventFrame,
        share: Option<MemoryShare>,
    ) -> Result<(), Ending> {
        self.caller.still_reads(&self.plan.query.filter.within)?;
        sink.send(event).await.map_err(|not_taken| self.not_taken(not_taken))?;
        self.pending_share = share;
        self.before_last_event = (self.place, self.snapshot.clone());
        Ok(())
    }

    fn not_taken(&self, not_taken: NotTaken) -> Ending {
        match not_taken {
            NotTaken::Gone => Ending::Gone,
            NotTaken::Stalled => Ending::Stalled(self.context.stalled_after),
        }
    }

    /// Waits for this much memory while the client is connected. The subscriber holds no other memory meanwhile: after
    /// [`Self::room`], no event is pending.
    pub(super) async fn memory(&self, sink: &Sink<EventFrame>, bytes: usize) -> Result<MemoryShare, Ending> {
        let interruption = tokio::select! {
            biased;
            share = self.context.memory.reserve(bytes) => return share.ok_or(Ending::Gone),
            () = sink.gone() => return Err(Ending::Gone),
            interruption = Interruption::wait(&self.context, self.attachment.as_ref()) => interruption,
        };
        Err(self.interrupted(interruption, sink))
    }

    /// Ends a stream that has more to send. If the server is shutting down, sends a last bookmark first.
    fn interrupted(&self, interruption: Interruption, sink: &Sink<EventFrame>) -> Ending {
        match interruption {
            Interruption::Stopping => {
                sink.send_if_room(show::event(Event::Bookmark(self.bookmark())));
                Refusal::draining().into()
            }
            Interruption::ConsumerFenced(error) => Refusal::from(*error).into(),
        }
    }

    /// Reads and sends one page of changes, if there are any.
    async fn send_changes(&mut self, sink: &Sink<EventFrame>) -> Result<(), Ending> {
        let end = self.end.now();
        if self.place.next_seq >= end {
            return Ok(());
        }
        let mut bytes = EVENT_MEMORY_BYTES;
        let (page, share) = loop {
            let mut share = self.memory(sink, bytes).await?;
            let page = self.context.archive.feed_page(self.place, end, self.plan.clone()).await;
            let page = page.map_err(Refusal::from)?;
            // A large change needs more than was reserved. The page is read again when enough memory is free.
            bytes = page.items.iter().map(|item| item.bytes.len()).sum();
            if self.context.memory.fits(&mut share, bytes) {
                break (page, share);
            }
        };
        if self.caught_up && (page.from_storage || page.next.next_seq < end) {
            self.caught_up = false;
            let fell_behind = pb::FellBehind { durable_next_seq: end.0 };
            self.send(sink, show::event(Event::FellBehind(fell_behind)), None).await?;
            self.room(sink).await?;
        }
        if page.items.is_empty() {
            self.place = page.next;
            return if Instant::now() >= self.bookmark_due { self.send_bookmark(sink).await } else { Ok(()) };
        }
        let changes = page.items.into_iter().map(show::frame).collect();
        let delivery = DeliveryFrame { changes, bookmark: self.bookmark_at(&page.next) };
        self.send(sink, EventFrame::Delivery(Box::new(delivery)), Some(share)).await?;
        // Not set earlier: if the client stalls, its token must point before the changes that it did not receive.
        self.place = page.next;
        self.bookmark_due = Instant::now() + self.heartbeat;
        Ok(())
    }

    async fn send_caught_up(&mut self, sink: &Sink<EventFrame>) -> Result<(), Ending> {
        if self.caught_up {
            return Ok(());
        }
        self.room(sink).await?;
        if self.place.next_seq < self.end.now() {
            return Ok(()); // More was committed while this waited for room.
        }
        self.caught_up = true;
        let caught_up = pb::CaughtUp { bookmark: Some(self.bookmark()) };
        self.send(sink, show::event(Event::CaughtUp(caught_up)), None).await?;
        self.bookmark_due = Instant::now() + self.heartbeat;
        if self.end_when_caught_up { Err(Ending::Done) } else { Ok(()) }
    }

    /// Waits for a change that may match. If a bookmark becomes due first, sends it.
    async fn wait(&mut self, sink: &Sink<EventFrame>) -> Result<(), Ending> {
        // While the subscriber waits for a change, it holds no memory.
        self.room(sink).await?;
        match self.next_wake(sink).await {
            Wake::More => Ok(()),
            Wake::BookmarkDue => self.send_bookmark(sink).await,
            Wake::Interrupted(interruption) => Err(self.interrupted(interruption, sink)),
            Wake::Gone => Err(Ending::Gone),
        }
    }

    /// Waits for the next thing to do. Changes that do not match are skipped here, without a turn for each, and a pause
    /// after each look lets more accumulate. Otherwise each commit would wake all of a thousand subscribers that wait
    /// for something rare.
    async fn next_wake(&mut self, sink: &Sink<EventFrame>) -> Wake {
        let mut interruption = pin!(Interruption::wait(&self.context, self.attachment.as_ref()));
        let mut gone = pin!(sink.gone());
        let mut due = pin!(tokio::time::sleep_until(self.bookmark_due));
        loop {
            let end = tokio::select! {
                // Polled first, because polling the other branches takes longer than examining new changes.
                biased;
                end = self.end.beyond(self.place.next_seq) => end,
                () = &mut due => return Wake::BookmarkDue,
                interruption = &mut interruption => return Wake::Interrupted(interruption),
                () = &mut gone => return Wake::Gone,
            };
            match self.context.archive.feed_without_match(self.place, end, &self.plan.query) {
                Some(end_of_examined) => {
                    self.place = end_of_examined;
                    self.count();
                }
                None => return Wake::More,
            }
            tokio::time::sleep(EXAMINE_AGAIN_AFTER).await;
            if Instant::now() >= self.bookmark_due {
                return Wake::BookmarkDue;
            }
            if sink.is_gone() || Interruption::has_occurred(&self.context, self.attachment.as_ref()) {
                return Wake::More; // The next turn handles both cases first.
            }
        }
    }

    pub(super) async fn send_bookmark(&mut self, sink: &Sink<EventFrame>) -> Result<(), Ending> {
        let bookmark = self.bookmark_with_checkpoint().await?;
        self.send(sink, show::event(Event::Bookmark(bookmark)), None).await?;
        self.bookmark_due = Instant::now() + self.heartbeat;
        Ok(())
    }

    /// A bookmark of the current position, with a checkpoint if one is due.
    async fn bookmark_with_checkpoint(&mut self) -> Result<pb::Bookmark, Ending> {
        let mut bookmark = self.bookmark();
        if let Some(tree) = &mut self.tree {
            tree.add(&mut bookmark, &self.context).await?;
        }
        Ok(bookmark)
    }

    /// A bookmark of the current position.
    fn bookmark(&self) -> pb::Bookmark {
        match &self.snapshot {
            None => self.bookmark_at(&self.place),
            Some(within) => show::bookmark_in_snapshot(&self.place, within.clone(), self.query_digest),
        }
    }

    /// A bookmark of `place`, which is about to be sent. Its position is recorded as delivered first, because the
    /// acknowledgement can arrive before the send returns.
    pub(super) fn bookmark_at(&self, place: &Snapshot) -> pb::Bookmark {
        if let Some(attachment) = &self.attachment {
            attachment.deliver(place.next_seq);
        }
        show::bookmark(place, self.query_digest)
    }

    /// The query and the view of the feed, which also apply to its snapshot.
    pub(super) fn requested(&self) -> (&FeedQuery, FeedView) {
        (&self.plan.query, self.plan.view)
    }
}

fn plan(query: Arc<FeedQuery>, view: FeedView) -> PagePlan {
    PagePlan {
        query,
        view,
        render: show::encode,
        changes_max: EVENT_CHANGES_MAX,
        bytes_max: EVENT_BYTES_MAX,
        examined_max: EVENT_EXAMINED_MAX,
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::super::memory::Memory;
    use super::*;
    use crate::archive::Archive;
    use crate::archive::request::{Action, ArticleTarget, Observation, Operation, Writer};
    use crate::model::{ArticleName, Content, Timestamp};

    fn context(stalled_after: Duration, memory: Memory) -> Context {
        Context { stalled_after, memory, ..Context::in_memory() }
    }

    async fn write(archive: &Archive, source: &str) {
        let name = ArticleName::parse(&format!("sources/{source}/articles/a")).unwrap();
        let content = Content { headline: source.to_owned(), ..Content::default() };
        let operation = Operation {
            target: ArticleTarget::Named(name),
            observe_time: Timestamp::from_micros(0).unwrap(),
            precondition: None,
            request: None,
            by: Writer::default(),
            action: Action::Observe(Box::new(Observation::new(content, Vec::new()))),
        };
        archive.write(vec![operation], crate::archive::request::WriteMode::Commit).await.unwrap();
    }

    /// A fixed bug: if changes that do not match were committed while there was no room to send `CaughtUp`, they were
    /// skipped, and `CaughtUp` was sent only after the next matching change.
    #[tokio::test]
    async fn changes_that_do_not_match_do_not_delay_caught_up() {
        let context = context(Duration::from_secs(60), Memory::default());
        let archive = Arc::clone(&context.archive);
        write(&archive, "wanted").await;
        let position = pb::feed_start::Position::Beginning(true);
        let request = pb::SubscribeRequest {
            start: Some(pb::FeedStart { position: Some(position) }),
            filter: Some(pb::ArticleFilter { sources: vec!["sources/wanted".into()], ..Default::default() }),
            heartbeat_interval: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
            end_when_caught_up: true,
            ..pb::SubscribeRequest::default()
        };
        let subscriber = Subscriber::new(&context, Caller::default(), request).await.unwrap();
        let (sink, mut received) = Sink::new(1, context.stalled_after);
        let running = tokio::spawn(subscriber.run(sink));
        let mut next = async || received.next().await.unwrap().unwrap();
        assert!(matches!(next().await, EventFrame::Other(_)), "Started");
        // The delivery is now waiting for the transport, and the subscriber is waiting to send CaughtUp.
        tokio::task::yield_now().await;
        write(&archive, "other").await;
        assert!(matches!(next().await, EventFrame::Delivery(_)));
        let EventFrame::Other(message) = next().await else { panic!("only one change matches") };
        let Some(Event::CaughtUp(caught_up)) = message.event else { panic!("{message:?} came before CaughtUp") };
        assert_eq!(caught_up.bookmark.unwrap().next_seq, 2);
        running.await.unwrap();
    }

    /// If events use all memory, a reader that takes nothing is ended with its token, and the next reader is served.
    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_gives_way_to_one_that_waits_for_memory() {
        let context = context(Duration::from_secs(3_600), Memory::bounded(EVENT_MEMORY_BYTES));
        let archive = Arc::clone(&context.archive);
        write(&archive, "wanted").await;
        let begin = async || {
            let position = pb::feed_start::Position::Beginning(true);
            let start = Some(pb::FeedStart { position: Some(position) });
            let request = pb::SubscribeRequest { start, ..pb::SubscribeRequest::default() };
            let subscriber = Subscriber::new(&context, Caller::default(), request).await.unwrap();
            let (sink, mut received) = Sink::new(1, context.stalled_after);
            tokio::spawn(subscriber.run(sink));
            assert!(matches!(received.next().await.unwrap().unwrap(), EventFrame::Other(_)), "Started");
            received
        };
        let mut unread = begin().await;
        // The event is ready once no other task can run; the second subscriber then has to wait.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let mut read = begin().await;
        let begun = Instant::now();
        assert!(matches!(read.next().await.unwrap().unwrap(), EventFrame::Delivery(_)));
        assert!(begun.elapsed() <= memory::STALLED_AFTER * 2, "{:?}", begun.elapsed());
        let status = unread.next().await.unwrap().unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}");
        let info = tonic_types::StatusExt::get_details_error_info(&status).unwrap();
        assert_eq!(info.reason, "SUBSCRIBER_STALLED");
        // The undelivered event was withdrawn, and reading again from the token returns it.
        let position = pb::feed_start::Position::ResumeToken(info.metadata["resume_token"].clone());
        let start = Some(pb::FeedStart { position: Some(position) });
        let request = pb::SubscribeRequest { start, ..pb::SubscribeRequest::default() };
        let subscriber = Subscriber::new(&context, Caller::default(), request).await.unwrap();
        let (sink, mut received) = Sink::new(1, context.stalled_after);
        tokio::spawn(subscriber.run(sink));
        assert!(matches!(received.next().await.unwrap().unwrap(), EventFrame::Other(_)), "Started");
        assert!(matches!(received.next().await.unwrap().unwrap(), EventFrame::Delivery(_)));
    }

    /// If every subscriber kept the memory of one event while it waited for the next, none could continue.
    #[tokio::test]
    async fn a_subscriber_holds_no_memory_while_it_waits_for_more() {
        let context = context(Duration::from_secs(3_600), Memory::bounded(EVENT_MEMORY_BYTES));
        let archive = Arc::clone(&context.archive);
        let subscriber = Subscriber::new(&context, Caller::default(), pb::SubscribeRequest::default()).await.unwrap();
        let (sink, mut received) = Sink::new(1, context.stalled_after);
        tokio::spawn(subscriber.run(sink));
        for source in ["one", "two", "three"] {
            write(&archive, source).await;
            loop {
                let event = tokio::time::timeout(Duration::from_secs(30), received.next()).await;
                let event = event.unwrap_or_else(|_| panic!("the event of {source} never arrives")).unwrap().unwrap();
                if matches!(event, EventFrame::Delivery(_)) {
                    break;
                }
            }
        }
        assert!(context.memory.reserve(EVENT_MEMORY_BYTES).await.is_some(), "an idle subscriber holds no memory");
    }
}
