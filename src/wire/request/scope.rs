//! Tells the decoders of a service's calls their bounds, and keeps what a call takes until it is answered.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::Request;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::futures::TaskLocalFuture;
use tokio_stream::Stream;
use tonic::server::NamedService;
use tonic::{Status, Streaming};
use tower_service::Service;

use super::apart::{Apart, Counted, Packed};
use super::bounds::Bounds;
use super::refused::Refused;
use crate::model::Limits;

/// The header that says how messages of a call are compressed.
const ENCODING: &str = "grpc-encoding";

tokio::task_local! {
    static CALL: Arc<Call>;
}

/// A call, and what its message takes of the budget.
#[derive(Debug)]
pub struct Call {
    pub(super) bounds: Bounds,
    held: Mutex<Option<OwnedSemaphorePermit>>,
    /// Why the message that was read last is refused, where the stream continues all the same.
    refused: Mutex<Option<Status>>,
    pub(super) packed: Packed,
}

impl Call {
    fn new(bounds: Bounds) -> Self {
        Self { bounds, held: Mutex::new(None), refused: Mutex::new(None), packed: Packed::default() }
    }

    /// The call that is being answered. Outside a server it is one of its own.
    pub(super) fn current() -> Arc<Self> {
        CALL.try_with(Arc::clone).unwrap_or_else(|_| Arc::new(Self::new(Bounds::new(&Limits::default()))))
    }

    /// Takes what a message will need, in place of what the one before it did. It is given back when the call and its
    /// decoder are gone.
    pub(super) fn hold(&self, message: &str, bytes: usize) -> Result<(), Refused> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        drop(held.take());
        *held = Some(self.bounds.take(message, bytes).ok_or(Refused::Busy)?);
        Ok(())
    }

    /// Gives back what the last message took.
    fn let_go(&self) {
        drop(self.held.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Notes that the message that is being read is refused.
    pub(super) fn refuse(&self, refused: Refused) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused.into());
    }
}

/// The messages of a call that sends a stream of them, for its handler: which are refused each by itself, and large ones
/// without holding up anybody.
#[derive(Debug)]
pub struct Incoming(pub(super) Arc<Call>);

impl Incoming {
    /// Those of the call that is being answered.
    pub fn of_this_call() -> Self {
        Self(Call::current())
    }

    /// The next message of the call.
    pub async fn next<M>(&self, messages: &mut Streaming<M>) -> Result<Option<M>, Status> {
        poll_fn(|context| self.0.packed.poll(|| Pin::new(&mut *messages).poll_next(context))).await.transpose()
    }

    /// Why the message that came last is refused; none where it is not. Of a refused message only its offset is there.
    pub fn refused(&self) -> Option<Status> {
        self.0.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What came of the message that was read last is bounded elsewhere now, and the next one may be long in coming.
    pub fn is_done(&self) {
        self.0.let_go();
    }
}

/// A service whose requests are bounded.
#[derive(Clone, Debug)]
pub struct Bounded<S> {
    service: S,
    bounds: Bounds,
}

impl<S> Bounded<S> {
    /// Services with clones of the same bounds share one budget.
    pub fn new(service: S, bounds: &Bounds) -> Self {
        Self { service, bounds: bounds.clone() }
    }
}

impl<S: NamedService> NamedService for Bounded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<Request<B>> for Bounded<S>
where
    S: Service<Request<Counted<B>>>,
    S::Future: Unpin,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TaskLocalFuture<Arc<Call>, Apart<S::Future>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let call = Arc::new(Call::new(self.bounds.clone()));
        let is_packed = request.headers().get(ENCODING).is_some_and(|encoding| encoding != "identity");
        let counted = is_packed.then(|| Arc::clone(&call));
        let future = self.service.call(request.map(|body| Counted::new(body, counted)));
        CALL.scope(Arc::clone(&call), Apart { future, call })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISH: &str = "PublishRevisionRequest";
    const IMPORT: &str = "ImportRevisionsRequest";

    #[test]
    fn messages_share_one_budget_and_give_it_back_with_their_call() {
        let bounds = Bounds::new(&Limits::default());
        let [first, second] = [Call::new(bounds.clone()), Call::new(bounds)];
        first.hold(PUBLISH, 200 << 20).unwrap();
        assert!(matches!(second.hold(PUBLISH, 100 << 20), Err(Refused::Busy)));
        // A call's next message takes the place of the one before.
        first.hold(PUBLISH, 100 << 20).unwrap();
        second.hold(PUBLISH, 100 << 20).unwrap();
        assert!(matches!(second.hold(PUBLISH, 200 << 20), Err(Refused::Busy)));
        drop(first);
        second.hold(PUBLISH, 200 << 20).unwrap();
    }

    /// An import keeps its message while it waits for room, and all others were refused meanwhile.
    #[test]
    fn imports_take_nothing_of_what_other_requests_need() {
        let bounds = Bounds::new(&Limits::default());
        let imports: Vec<_> = (0..30).map(|_| Incoming(Arc::new(Call::new(bounds.clone())))).collect();
        let taken = imports.iter().filter(|import| import.0.hold(IMPORT, 17 << 20).is_ok()).count();
        assert!((2..30).contains(&taken), "{taken}");
        let other = Call::new(bounds);
        other.hold(PUBLISH, 200 << 20).unwrap();
        // One that waits for its next message holds nothing.
        imports.iter().for_each(Incoming::is_done);
        assert_eq!(imports.iter().filter(|import| import.0.hold(IMPORT, 4 << 20).is_ok()).count(), 30);
    }
}
