//! Tells the decoders of a service's calls their bounds, and keeps what a call takes until it is answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body_util::StreamBody;
use hyper::body::Body;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::futures::TaskLocalFuture;
use tonic::Status;
use tonic::server::NamedService;
use tower_service::Service;

use super::bounds::{Bounds, RequestKind};
use super::receive::frames;
use super::refused::Refused;
use super::unpack::Packing;

tokio::task_local! {
    static CALL: Arc<Call>;
}

/// A call, its message that was received last, and what that takes of the budget.
#[derive(Debug)]
pub struct Call {
    pub(super) bounds: Arc<Bounds>,
    kind: RequestKind,
    message: Mutex<Option<Message>>,
    held: Mutex<Option<OwnedSemaphorePermit>>,
    /// Why the message that was read last is refused, where the stream continues all the same.
    refused: Mutex<Option<Status>>,
}

/// A message that was received, and the slot in which it is decoded if it is long.
type Message = (Bytes, Option<OwnedSemaphorePermit>);

impl Call {
    /// A call of a method.
    pub(super) fn new(bounds: &Arc<Bounds>, method: &str) -> Self {
        Self {
            bounds: Arc::clone(bounds),
            kind: RequestKind::of_method(method),
            message: Mutex::default(),
            held: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// The call that is being answered; none with a client.
    pub(super) fn current() -> Option<Arc<Self>> {
        CALL.try_with(Arc::clone).ok()
    }

    /// Whether it sends many messages, one after the other.
    pub(super) fn is_import(&self) -> bool {
        self.kind == RequestKind::Import
    }

    /// The length of its longest message.
    pub(super) fn bytes_max(&self) -> usize {
        self.bounds.bytes_max(self.kind)
    }

    /// Leaves a message to its decoder.
    pub(super) fn put_message(&self, bytes: Bytes, slot: Option<OwnedSemaphorePermit>) {
        *lock(&self.message) = Some((bytes, slot));
    }

    /// Takes the message that was received last.
    pub(super) fn take_message(&self) -> Option<Message> {
        lock(&self.message).take()
    }

    /// Takes from the budget what its message will need. What it has taken already counts. It is given back when the call and
    /// its decoder are gone.
    pub(super) fn hold(&self, bytes: usize) -> Result<(), Refused> {
        let mut held = lock(&self.held);
        let more = bytes.saturating_sub(held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        if more > 0 {
            let more = self.bounds.take(self.kind, more).ok_or(Refused::Busy)?;
            match held.as_mut() {
                Some(held) => held.merge(more),
                None => *held = Some(more),
            }
        }
        Ok(())
    }

    /// Takes from the budget, once there is room, what its next message will need.
    pub(super) async fn hold_once_there_is_room(&self, bytes: usize) -> Result<(), Refused> {
        let taken = self.bounds.take_once_there_is_room(self.kind, bytes).await.ok_or(Refused::Busy)?;
        *lock(&self.held) = Some(taken);
        Ok(())
    }

    /// Gives back what its message does not need after all.
    pub(super) fn hold_no_more_than(&self, bytes: usize) {
        if let Some(held) = lock(&self.held).as_mut() {
            drop(held.split(held.num_permits().saturating_sub(bytes)));
        }
    }

    /// Gives back what the last message took.
    pub(super) fn let_go(&self) {
        drop(lock(&self.held).take());
    }

    /// Notes that the message that is being read is refused.
    pub(super) fn refuse(&self, refused: Refused) {
        *lock(&self.refused) = Some(refused.into());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The messages of a call that sends a stream of them, for its handler: which are refused each by itself.
#[derive(Debug)]
pub struct Incoming(pub(super) Option<Arc<Call>>);

impl Incoming {
    /// Those of the call that is being answered. Outside a server none is refused.
    pub fn of_this_call() -> Self {
        Self(Call::current())
    }

    /// Why the message that came last is refused; none where it is not. Of a refused message only its offset is there.
    pub fn refused(&self) -> Option<Status> {
        lock(&self.0.as_ref()?.refused).take()
    }

    /// What came of the message that was read last is bounded elsewhere now, and the next one may be long in coming.
    pub fn is_done(&self) {
        if let Some(call) = &self.0 {
            call.let_go();
        }
    }
}

/// A service whose requests are bounded.
#[derive(Clone, Debug)]
pub struct Bounded<S> {
    service: S,
    bounds: Arc<Bounds>,
}

impl<S> Bounded<S> {
    /// Services with the same bounds share one budget.
    pub fn new(service: S, bounds: &Arc<Bounds>) -> Self {
        Self { service, bounds: Arc::clone(bounds) }
    }
}

impl<S: NamedService> NamedService for Bounded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<Request<B>> for Bounded<S>
where
    S: Service<Request<tonic::body::Body>>,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TaskLocalFuture<Arc<Call>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default();
        let call = Arc::new(Call::new(&self.bounds, method));
        let packing = Packing::of_call(request.headers());
        let received =
            request.map(|body| tonic::body::Body::new(StreamBody::new(frames(body, Arc::clone(&call), packing))));
        CALL.scope(call, self.service.call(received))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Limits;

    const PUBLISH: &str = "RecordObservation";
    const IMPORT: &str = "ImportObservations";

    fn bounds() -> Arc<Bounds> {
        Arc::new(Bounds::new(&Limits::default(), Duration::MAX))
    }

    #[test]
    fn messages_share_one_budget_and_give_it_back_with_their_call() {
        let bounds = bounds();
        let [first, second] = [Call::new(&bounds, PUBLISH), Call::new(&bounds, PUBLISH)];
        first.hold(200 << 20).unwrap();
        assert!(matches!(second.hold(100 << 20), Err(Refused::Busy)));
        // What a call has is not taken twice.
        first.hold(200 << 20).unwrap();
        first.hold_no_more_than(100 << 20);
        second.hold(100 << 20).unwrap();
        assert!(matches!(second.hold(200 << 20), Err(Refused::Busy)));
        drop(first);
        second.hold(200 << 20).unwrap();
    }

    /// An import keeps its message while it waits for room, and all others were refused meanwhile.
    #[test]
    fn imports_take_nothing_of_what_other_requests_need() {
        let bounds = bounds();
        let imports: Vec<_> = (0..30).map(|_| Arc::new(Call::new(&bounds, IMPORT))).collect();
        let taken = imports.iter().filter(|import| import.hold(17 << 20).is_ok()).count();
        assert!((2..30).contains(&taken), "{taken}");
        let other = Call::new(&bounds, PUBLISH);
        other.hold(200 << 20).unwrap();
        // One that waits for its next message holds nothing.
        imports.iter().for_each(|import| Incoming(Some(Arc::clone(import))).is_done());
        assert_eq!(imports.iter().filter(|import| import.hold(4 << 20).is_ok()).count(), 30);
    }
}
