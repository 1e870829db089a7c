//! Passes the messages of a stream to a transport that takes them at its own pace.
//!
//! One rule applies to every stream: the server waits for a slow client, but a client that reads nothing for a while is
//! considered lost. The stream then ends with a status, in case the client resumes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Status;

use super::status::Refusal;

/// A message that waits for the transport; `None` once it has been taken or withdrawn.
type PendingMessage<T> = Arc<Mutex<Option<T>>>;

/// The sending half of a stream.
pub(super) struct Sink<T> {
    sender: mpsc::Sender<Result<PendingMessage<T>, Status>>,
    /// The last messages, newest first; the transport may have taken some of them.
    waiting: Mutex<VecDeque<PendingMessage<T>>>,
    waiting_max: usize,
    /// A reserved place for the final status, so that it can be sent even if the transport takes nothing.
    end: Option<mpsc::OwnedPermit<Result<PendingMessage<T>, Status>>>,
    stalled_after: Duration,
}

/// The receiving half, from which the transport takes the messages. It also holds the stream's place in the limits on
/// streams until the transport has released the stream.
pub struct Messages<T> {
    received: mpsc::Receiver<Result<PendingMessage<T>, Status>>,
    _place: Option<Box<dyn Send + Sync>>,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// The client is gone.
    Gone,
    /// The transport made no progress for too long.
    Stalled,
}

impl<T: Send + 'static> Sink<T> {
    /// Creates a stream in which up to `waiting_max` messages wait for the transport. Returns both halves.
    pub(super) fn new(waiting_max: usize, stalled_after: Duration) -> (Self, Messages<T>) {
        // One more place, which is reserved for the final status.
        let (sender, received) = mpsc::channel(waiting_max + 1);
        let end = sender.clone().try_reserve_owned().ok();
        let waiting = Mutex::new(VecDeque::with_capacity(waiting_max));
        (Self { sender, waiting, waiting_max, end, stalled_after }, Messages { received, _place: None })
    }

    /// Waits until another message can be sent at once.
    pub(super) async fn room(&self) -> Result<(), NotTaken> {
        if self.sender.capacity() > 0 && !self.is_gone() {
            return Ok(()); // Nothing else sends on this stream, so the place stays free.
        }
        self.places(1).await
    }

    /// Waits until the transport has taken everything sent.
    pub(super) async fn taken(&self) -> Result<(), NotTaken> {
        self.places(self.waiting_max).await
    }

    async fn places(&self, count: usize) -> Result<(), NotTaken> {
        match tokio::time::timeout(self.stalled_after, self.sender.reserve_many(count)).await {
            Ok(Ok(_room)) => Ok(()),
            Ok(Err(_)) => Err(NotTaken::Gone),
            Err(_) => Err(NotTaken::Stalled),
        }
    }

    /// Sends a message, and waits for room first.
    pub(super) async fn send(&self, message: T) -> Result<(), NotTaken> {
        self.room().await?;
        self.hand_over(message).map_err(|_| NotTaken::Gone)
    }

    /// Sends a message if there is room. The caller then ends the stream.
    pub(super) fn send_if_room(&self, message: T) {
        // Whether the message is sent makes no difference, since the stream ends after it.
        drop(self.hand_over(message));
    }

    fn hand_over(&self, message: T) -> Result<(), mpsc::error::TrySendError<Result<PendingMessage<T>, Status>>> {
        let message = Arc::new(Mutex::new(Some(message)));
        self.sender.try_send(Ok(Arc::clone(&message)))?;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.truncate(self.waiting_max.saturating_sub(1));
        waiting.push_front(message);
        Ok(())
    }

    /// Ends the stream with a status, which follows the messages sent before.
    pub(super) fn end(self, status: Status) {
        if let Some(end) = self.end {
            drop(end.send(Err(status)));
        }
    }

    /// Ends the stream of a client that reads nothing, and drops its unread messages.
    pub(super) fn end_unread(self) {
        self.take_back();
        let status = Refusal::unread(self.stalled_after).into();
        self.end(status);
    }

    /// Drops the messages that the transport has not taken. Returns whether there were any.
    pub(super) fn take_back(&self) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let taken_back = waiting.drain(..).filter_map(|message| take(&message)).count();
        taken_back > 0
    }

    /// Whether the client is gone.
    pub(super) fn is_gone(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until the client is gone.
    pub(super) async fn gone(&self) {
        self.sender.closed().await;
    }
}

/// Takes a waiting message out, as the transport or [`Sink::take_back`] does; `None` if the other did so first.
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
                    if let Some(message) = take(&waiting) {
                        return Poll::Ready(Some(Ok(message)));
                    }
                }
            }
        }
    }
}
