//! Passes the messages of a stream to a transport that takes them at its own pace.
//!
//! One rule applies to every stream: a slow reader is waited for, and a reader that takes nothing for a while is
//! considered lost. The stream then ends with a status, in case the reader resumes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Status;

use super::status::Refusal;

/// A message that waits for the transport, until it is taken or the stream is ended.
type PendingMessage<T> = Arc<Mutex<Option<T>>>;

/// The sending half of a stream.
pub(super) struct Sink<T> {
    events: mpsc::Sender<Result<PendingMessage<T>, Status>>,
    /// The last messages, which the transport may not have taken yet.
    waiting: Mutex<VecDeque<PendingMessage<T>>>,
    messages: usize,
    /// A reserved place for the final status, so that it can be sent even if the transport takes nothing.
    end: Option<mpsc::OwnedPermit<Result<PendingMessage<T>, Status>>>,
    stalled_after: Duration,
}

/// The receiving half, from which the transport takes the messages. It also holds the stream's place in its limits for
/// as long as the transport has it.
pub struct Messages<T> {
    received: mpsc::Receiver<Result<PendingMessage<T>, Status>>,
    _place: Option<Box<dyn Send + Sync>>,
}

/// Why an event was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// The client is gone.
    Gone,
    /// The transport made no progress for too long.
    Stalled,
}

impl<T: Send + 'static> Sink<T> {
    /// Creates a stream in which `messages` may wait for the transport. Returns both halves.
    pub(super) fn new(messages: usize, stalled_after: Duration) -> (Self, Messages<T>) {
        let (events, received) = mpsc::channel(messages + 1);
        let end = events.clone().try_reserve_owned().ok();
        let waiting = Mutex::new(VecDeque::with_capacity(messages));
        (Self { events, waiting, messages, end, stalled_after }, Messages { received, _place: None })
    }

    /// Waits until the transport has taken the last event, so that another one can be sent at once.
    pub(super) async fn room(&self) -> Result<(), NotTaken> {
        if self.events.capacity() > 0 && !self.is_gone() {
            return Ok(()); // Nobody else sends on it.
        }
        self.places(1).await
    }

    /// Waits until the transport has taken everything sent.
    pub(super) async fn taken(&self) -> Result<(), NotTaken> {
        self.places(self.messages).await
    }

    async fn places(&self, count: usize) -> Result<(), NotTaken> {
        match tokio::time::timeout(self.stalled_after, self.events.reserve_many(count)).await {
            Ok(Ok(_room)) => Ok(()),
            Ok(Err(_)) => Err(NotTaken::Gone),
            Err(_) => Err(NotTaken::Stalled),
        }
    }

    /// Sends an event, once the transport has taken the previous one.
    pub(super) async fn send(&self, event: T) -> Result<(), NotTaken> {
        self.room().await?;
        self.hand_over(event).map_err(|_| NotTaken::Gone)
    }

    /// Sends an event if there is room for it.
    pub(super) fn send_if_room(&self, event: T) {
        // Whether it is taken makes no difference: the stream ends with the next message.
        drop(self.hand_over(event));
    }

    fn hand_over(&self, event: T) -> Result<(), mpsc::error::TrySendError<Result<PendingMessage<T>, Status>>> {
        let event = Arc::new(Mutex::new(Some(event)));
        self.events.try_send(Ok(Arc::clone(&event)))?;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.truncate(self.messages.saturating_sub(1));
        waiting.push_front(event);
        Ok(())
    }

    /// Ends the stream with a status, which follows the messages sent before.
    pub(super) fn end(self, status: Status) {
        if let Some(end) = self.end {
            drop(end.send(Err(status)));
        }
    }

    /// Ends the stream of a reader that takes nothing, and drops its unread messages.
    pub(super) fn end_unread(self) {
        self.take_back();
        let status = Refusal::unread(self.stalled_after).into();
        self.end(status);
    }

    /// Drops the messages that the transport has not taken. Returns whether there were any.
    pub(super) fn take_back(&self) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let taken_back = waiting.drain(..).filter_map(|event| take(&event)).count();
        taken_back > 0
    }

    /// Whether the client is gone.
    pub(super) fn is_gone(&self) -> bool {
        self.events.is_closed()
    }

    /// Waits until the client is gone.
    pub(super) async fn gone(&self) {
        self.events.closed().await;
    }
}

fn take<T>(waiting: &PendingMessage<T>) -> Option<T> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl<T> Messages<T> {
    /// Holds `place` until the transport has released the stream.
    pub(super) fn with(self, place: impl Send + Sync + 'static) -> Self {
        Self { _place: Some(Box::new(place)), ..self }
    }
}

impl<T> Stream for Messages<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(self.received.poll_recv(context)) {
                None => return Poll::Ready(None),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                Some(Ok(waiting)) => {
                    if let Some(event) = take(&waiting) {
                        return Poll::Ready(Some(Ok(event)));
                    }
                }
            }
        }
    }
}
