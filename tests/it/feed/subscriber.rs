//! A subscriber that joins, stalls, leaves and comes back at random, and keeps everything that it receives.

use std::sync::Arc;

use dateline::internals::client::Client;
use dateline::internals::wire::{self, pb, timestamp_to_pb};
use pb::feed_start::Position;
use pb::subscribe_response::Event;
use tokio::sync::watch;
use tonic::transport::Endpoint;
use tonic::{Status, Streaming};

use super::dice::Dice;
use super::query::Query;
use super::recording::{Ended, Recording, Session, SnapshotAt, Start, bookmark_of};
use super::writer::Progress;

/// The window of a stream: small, so that a subscriber that does not read soon stalls its stream.
const WINDOW_BYTES: u32 = 8 << 10;

/// A connection with small windows.
pub(super) async fn narrow_client(url: &str) -> Client {
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap().initial_stream_window_size(WINDOW_BYTES);
    Client::over(endpoint.tcp_nodelay(true).connect().await.unwrap())
}

/// A subscriber, and what it has received.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) client: Client,
    pub(super) recording: Recording,
    progress: Progress,
    dice: Dice,
    /// How many times all subscribers of the run were caught up.
    hand_offs: Arc<watch::Sender<u64>>,
}

/// A session in progress.
#[derive(Debug)]
pub(super) struct Joined {
    session: Session,
    stream: Streaming<pb::SubscribeResponse>,
    hand_offs: Arc<watch::Sender<u64>>,
}

impl Joined {
    /// Receives one event; false if the server ended the stream.
    async fn next(&mut self) -> Result<bool, Status> {
        let Some(message) = self.stream.message().await? else {
            self.session.ended = Ended::Finished;
            return Ok(false);
        };
        let event = message.event.expect("a message has an event");
        if matches!(event, Event::CaughtUp(_)) {
            self.hand_offs.send_modify(|count| *count += 1);
        }
        self.session.events.push(event);
        Ok(true)
    }

    /// Receives until the next `CaughtUp`.
    pub(super) async fn until_caught_up(&mut self) -> Result<(), Status> {
        while self.next().await? && !matches!(self.session.events.last(), Some(Event::CaughtUp(_))) {}
        Ok(())
    }

    pub(super) fn leave(mut self) -> Session {
        self.session.ended = Ended::Left;
        self.session
    }

    async fn follow(
        &mut self,
        patience: Patience,
        progress: &Progress,
        writing: &mut watch::Receiver<bool>,
    ) -> Result<(), Status> {
        let mut tail = progress.watch();
        for count in 0..patience.events {
            if let Some((_, changes)) = patience.stall.filter(|stall| stall.0 == count) {
                let goes_on_at = progress.tail() + changes;
                tokio::select! {
                    _ = tail.wait_for(|tail| *tail >= goes_on_at) => {}
                    _ = writing.wait_for(|writing| !writing) => {}
                }
            }
            let leave_at = self.caught_up_with().map_or(u64::MAX, |with| with + patience.changes);
            tokio::select! {
                biased;
                goes_on = self.next() => if !goes_on? { return Ok(()) },
                _ = tail.wait_for(|tail| *tail >= leave_at) => break,
                _ = writing.wait_for(|writing| !writing) => break,
            }
        }
        self.session.ended = Ended::Left;
        Ok(())
    }

    /// The position of the last `CaughtUp`.
    fn caught_up_with(&self) -> Option<u64> {
        let caught_up = |event: &&Event| matches!(event, Event::CaughtUp(_));
        let last = self.session.events.iter().rfind(caught_up);
        last.and_then(bookmark_of).map(|bookmark| bookmark.next_seq)
    }
}

/// How long a session lasts, unless the writers finish first.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// It leaves after this many events,
    events: u64,
    /// or when this many more changes are durable than when it was last caught up.
    changes: u64,
    /// After `.0` events, it does not read until `.1` more changes are durable.
    stall: Option<(u64, u64)>,
}

impl Subscriber {
    /// Subscriber `number` of a run.
    pub(super) fn new(
        client: Client,
        progress: Progress,
        seed: u64,
        number: u64,
        query: Query,
        hand_offs: Arc<watch::Sender<u64>>,
    ) -> Self {
        let dice = Dice::for_task(seed, 1_000 + number);
        Self { client, recording: Recording { query, sessions: Vec::new() }, progress, dice, hand_offs }
    }

    /// Runs one session of random length.
    pub(super) async fn visit(&mut self, writing: &mut watch::Receiver<bool>) -> Result<(), Status> {
        let start = self.choose_start();
        let patience = self.choose_patience();
        let mut stream = self.join(start).await?;
        let result = stream.follow(patience, &self.progress, writing).await;
        self.recording.sessions.push(stream.session);
        result
    }

    /// Continues from the last bookmark to the end.
    pub(super) async fn finish(&mut self) -> Result<(), Status> {
        let start = self.last_token().map_or(Start::Beginning, Start::Token);
        let mut session = self.session(start);
        session.end_when_caught_up = true;
        let mut stream = self.open(session).await?;
        let result = loop {
            match stream.next().await {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(status) => break Err(status),
            }
        };
        self.recording.sessions.push(stream.session);
        result
    }

    /// Begins a session.
    pub(super) async fn join(&mut self, start: Start) -> Result<Joined, Status> {
        let session = self.session(start);
        self.open(session).await
    }

    fn session(&mut self, start: Start) -> Session {
        Session {
            start,
            view: self.choose_view(),
            end_when_caught_up: false,
            tail_at_start: self.progress.tail(),
            events: Vec::new(),
            ended: Ended::Failed,
        }
    }

    async fn open(&mut self, session: Session) -> Result<Joined, Status> {
        let query = &self.recording.query;
        let request = pb::SubscribeRequest {
            start: Some(pb::FeedStart { position: Some(position(&session.start)) }),
            filter: Some(query.filter.clone()),
            kinds: query.kinds.iter().map(|kind| i32::from(*kind)).collect(),
            view: session.view.into(),
            end_when_caught_up: session.end_when_caught_up,
            ..pb::SubscribeRequest::default()
        };
        let stream = self.client.feed.subscribe(request).await?.into_inner();
        Ok(Joined { session, stream, hand_offs: Arc::clone(&self.hand_offs) })
    }

    fn choose_view(&mut self) -> pb::FeedView {
        match self.dice.below(10) {
            0..7 => pb::FeedView::Basic,
            7..9 => pb::FeedView::Full,
            _ => pb::FeedView::Diff,
        }
    }

    fn choose_patience(&mut self) -> Patience {
        let events = 2 + self.dice.below(6);
        if self.dice.percent(4) {
            // Long enough to read what the transport has buffered, and to be caught up again.
            let changes = 100 + self.dice.below(500);
            return Patience { events: events + 60, changes: 2 * changes, stall: Some((events, changes)) };
        }
        Patience { events, changes: 1 + self.dice.below(3), stall: None }
    }

    /// Usually the last bookmark, sometimes another start.
    fn choose_start(&mut self) -> Start {
        match self.last_token().filter(|_| self.dice.percent(96)) {
            Some(token) => Start::Token(token),
            None => self.choose_anew(),
        }
    }

    fn choose_anew(&mut self) -> Start {
        let seq = self.dice.below(self.progress.tail() + 1);
        match self.dice.below(9) {
            0 => Start::Beginning,
            1 => Start::Seq(seq),
            2 => self.some_bookmark().and_then(archived).map_or(Start::Now, Start::ArchiveTime),
            3 => self.some_bookmark().map_or(Start::Now, |bookmark| Start::Token(bookmark.resume_token.clone())),
            4 | 5 => Start::Now,
            6 => Start::Snapshot(SnapshotAt::Newest),
            7 => Start::Snapshot(SnapshotAt::NextSeq(seq)),
            _ => {
                let instant = self.some_bookmark().and_then(archived).map(SnapshotAt::ArchiveTime);
                Start::Snapshot(instant.unwrap_or(SnapshotAt::Newest))
            }
        }
    }

    /// A random one of the bookmarks that it received.
    fn some_bookmark(&mut self) -> Option<&pb::Bookmark> {
        let sessions = &self.recording.sessions;
        let events = sessions.iter().flat_map(|session| &session.events).filter_map(bookmark_of);
        let bookmarks: Vec<_> = events.collect();
        if bookmarks.is_empty() { None } else { Some(*self.dice.one_of(&bookmarks)) }
    }

    fn last_token(&self) -> Option<String> {
        let last = self.recording.sessions.iter().rev().find_map(Session::last_bookmark);
        last.map(|bookmark| bookmark.resume_token.clone())
    }
}

fn archived(bookmark: &pb::Bookmark) -> Option<dateline::model::Timestamp> {
    bookmark.archive_time.as_ref().map(|time| wire::timestamp("archive_time", time).unwrap())
}

/// The start as a message.
pub(super) fn position(start: &Start) -> Position {
    let as_of = |known_at| Position::Snapshot(pb::AsOf { known_at, ..pb::AsOf::default() });
    match start {
        Start::Beginning => Position::Beginning(true),
        Start::Seq(seq) => Position::Seq(*seq),
        Start::ArchiveTime(instant) => Position::ArchiveTime(timestamp_to_pb(*instant)),
        Start::Token(token) => Position::ResumeToken(token.clone()),
        Start::Now => Position::Now(true),
        Start::Snapshot(SnapshotAt::Newest) => as_of(None),
        Start::Snapshot(SnapshotAt::NextSeq(bound)) => as_of(Some(pb::as_of::KnownAt::NextSeq(*bound))),
        Start::Snapshot(SnapshotAt::ArchiveTime(instant)) => {
            as_of(Some(pb::as_of::KnownAt::ArchiveTime(timestamp_to_pb(*instant))))
        }
        Start::Acknowledged(_) => panic!("a durable subscription has a start of its own"),
    }
}
