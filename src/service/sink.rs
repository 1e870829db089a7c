//! Where the messages of a stream go: to a transport that takes them in its own time.
//!
//! One rule for every stream: a reader may be slow, and is waited for; one that takes nothing for a while is taken for
//! lost. The stream then ends with a status, for a reader that wakes up.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// The way to one reader.
pub(super) struct Sink<T> {
    events: mpsc::Sender<Result<T, Status>>,
    /// Keeps a place for how the stream ends, also when the transport takes nothing.
    end: Option<mpsc::OwnedPermit<Result<T, Status>>>,
    stalled_after: Duration,
}

/// Why an event was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// Nobody is there any more.
    Gone,
    /// The transport made no progress for too long.
    Stalled,
}

impl<T: Send + 'static> Sink<T> {
    /// A way on which `messages` may wait for the transport, and what the transport takes them from.
    pub(super) fn new(messages: usize, stalled_after: Duration) -> (Self, ReceiverStream<Result<T, Status>>) {
        let (events, received) = mpsc::channel(messages + 1);
        let end = events.clone().try_reserve_owned().ok();
        (Self { events, end, stalled_after }, ReceiverStream::new(received))
    }

    /// Waits until the transport has taken the last event, so that another one can be handed over at once.
    pub(super) async fn room(&self) -> Result<(), NotTaken> {
        if self.events.capacity() > 0 && !self.is_gone() {
            return Ok(()); // Nobody else hands anything over.
        }
        match tokio::time::timeout(self.stalled_after, self.events.reserve()).await {
            Ok(Ok(_room)) => Ok(()),
            Ok(Err(_)) => Err(NotTaken::Gone),
            Err(_) => Err(NotTaken::Stalled),
        }
    }

    /// Hands over an event, once the transport has taken the one before.
    pub(super) async fn send(&self, event: T) -> Result<(), NotTaken> {
        self.room().await?;
        self.events.try_send(Ok(event)).map_err(|_| NotTaken::Gone)
    }

    /// Hands over an event if there is room for it.
    pub(super) fn send_if_room(&self, event: T) {
        // Whether it is taken makes no difference: the stream ends with what comes next.
        drop(self.events.try_send(Ok(event)));
    }

    /// Ends the stream with a status. The transport has it when it takes what was handed over before.
    pub(super) fn end(self, status: Status) {
        if let Some(end) = self.end {
            drop(end.send(Err(status)));
        }
    }

    /// Whether nobody is there any more.
    pub(super) fn is_gone(&self) -> bool {
        self.events.is_closed()
    }

    /// Waits until nobody is there any more.
    pub(super) async fn gone(&self) {
        self.events.closed().await;
    }
}
