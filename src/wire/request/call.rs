//! The state of a call while its messages are received and decoded: its limits, and its share of the memory budget,
//! which is held until the call is answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::futures::TaskLocalFuture;
use tonic::Status;

use super::bounds::{Bounds, RequestKind};
use super::error::RequestError;

tokio::task_local! {
    static CALL: Arc<Call>;
}

/// A call, the message it received last, and the memory reserved for that message.
#[derive(Debug)]
pub struct Call {
    pub(super) bounds: Arc<Bounds>,
    kind: RequestKind,
    message: Mutex<Option<Message>>,
    held: Mutex<Option<OwnedSemaphorePermit>>,
    /// Why the last decoded message was rejected, if the stream continues nevertheless.
    rejection: Mutex<Option<Status>>,
}

/// A received message and, if it is long, the slot in which it is decoded.
type Message = (Bytes, Option<OwnedSemaphorePermit>);

impl Call {
    /// A call of a method, with the limits of that method's requests.
    pub(super) fn new(bounds: &Arc<Bounds>, method: &str) -> Self {
        Self {
            bounds: Arc::clone(bounds),
            kind: RequestKind::of_method(method),
            message: Mutex::default(),
            held: Mutex::default(),
            rejection: Mutex::default(),
        }
    }

    /// The call that the current task handles; `None` on a client.
    pub(super) fn current() -> Option<Arc<Self>> {
        CALL.try_with(Arc::clone).ok()
    }

    /// Runs `answering`, in which this call is [`Call::current`].
    pub(super) fn during<F: Future>(self: Arc<Self>, answering: F) -> TaskLocalFuture<Arc<Self>, F> {
        CALL.scope(self, answering)
    }

    /// Whether the call sends a stream of messages.
    pub(super) fn is_import(&self) -> bool {
        self.kind == RequestKind::Import
    }

    /// The maximum length of the call's messages, in bytes.
    pub(super) fn bytes_max(&self) -> usize {
        self.bounds.bytes_max(self.kind)
    }

    /// Hands a received message to the decoder.
    pub(super) fn put_message(&self, bytes: Bytes, slot: Option<OwnedSemaphorePermit>) {
        *lock(&self.message) = Some((bytes, slot));
    }

    /// Takes the message that was received last.
    pub(super) fn take_message(&self) -> Option<Message> {
        lock(&self.message).take()
    }

    /// Reserves memory for the call's message. Memory that the call already holds counts towards `bytes`. All of it is
    /// released when the call and its decoder have been dropped.
    pub(super) fn hold(&self, bytes: usize) -> Result<(), RequestError> {
        let mut held = lock(&self.held);
        let more = bytes.saturating_sub(held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        if more > 0 {
            let more = self.bounds.take(self.kind, more).ok_or(RequestError::Busy)?;
            match held.as_mut() {
                Some(held) => held.merge(more),
                None => *held = Some(more),
            }
        }
        Ok(())
    }

    /// Reserves memory for the next message, waiting until there is enough.
    pub(super) async fn hold_once_there_is_room(&self, bytes: usize) -> Result<(), RequestError> {
        let permit = self.bounds.take_once_there_is_room(self.kind, bytes).await.ok_or(RequestError::Busy)?;
        *lock(&self.held) = Some(permit);
        Ok(())
    }

    /// Releases the memory beyond `bytes`, which the message turned out not to need.
    pub(super) fn release_beyond(&self, bytes: usize) {
        if let Some(held) = lock(&self.held).as_mut() {
            drop(held.split(held.num_permits().saturating_sub(bytes)));
        }
    }

    /// Releases the memory of the last message.
    pub(super) fn release(&self) {
        drop(lock(&self.held).take());
    }

    /// Records that the message being decoded is rejected.
    pub(super) fn reject(&self, error: RequestError) {
        *lock(&self.rejection) = Some(error.into());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The messages of a streaming call, as its handler sees them: some of them may have been rejected individually.
#[derive(Debug)]
pub struct Incoming(pub(super) Option<Arc<Call>>);

impl Incoming {
    /// The messages of the current call. Outside a server, none is rejected.
    pub fn of_this_call() -> Self {
        Self(Call::current())
    }

    /// Why the last message was rejected, or `None` if it was not. A rejected message contains only its offset.
    pub fn rejection(&self) -> Option<Status> {
        lock(&self.0.as_ref()?.rejection).take()
    }

    /// Releases the memory of the last message. The content of that message is now limited elsewhere, and the next
    /// message may take long to arrive.
    pub fn release_memory(&self) {
        if let Some(call) = &self.0 {
            call.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Limits;

    const RECORD: &str = "RecordObservation";
    const IMPORT: &str = "ImportObservations";

    fn bounds() -> Arc<Bounds> {
        Arc::new(Bounds::new(&Limits::default(), Duration::MAX))
    }

    #[test]
    fn messages_share_one_budget_and_release_it_when_their_call_ends() {
        let bounds = bounds();
        let [first, second] = [Call::new(&bounds, RECORD), Call::new(&bounds, RECORD)];
        first.hold(200 << 20).unwrap();
        assert!(matches!(second.hold(100 << 20), Err(RequestError::Busy)));
        // Memory the call already holds is not reserved twice.
        first.hold(200 << 20).unwrap();
        first.release_beyond(100 << 20);
        second.hold(100 << 20).unwrap();
        assert!(matches!(second.hold(200 << 20), Err(RequestError::Busy)));
        drop(first);
        second.hold(200 << 20).unwrap();
    }

    /// An import keeps its message while it waits for the write queue. With a shared budget, all other requests would
    /// be rejected meanwhile.
    #[test]
    fn imports_use_none_of_the_memory_for_other_requests() {
        let bounds = bounds();
        let imports: Vec<_> = (0..30).map(|_| Arc::new(Call::new(&bounds, IMPORT))).collect();
        let accepted = imports.iter().filter(|import| import.hold(17 << 20).is_ok()).count();
        assert!((2..30).contains(&accepted), "{accepted}");
        let other = Call::new(&bounds, RECORD);
        other.hold(200 << 20).unwrap();
        // An import that waits for its next message holds no memory.
        imports.iter().for_each(|import| Incoming(Some(Arc::clone(import))).release_memory());
        assert_eq!(imports.iter().filter(|import| import.hold(4 << 20).is_ok()).count(), 30);
    }
}
