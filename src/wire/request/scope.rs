//! Tells the decoders of a service's calls their bounds, and keeps what a call takes until it is answered.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::futures::TaskLocalFuture;
use tonic::Status;
use tonic::server::NamedService;
use tower_service::Service;

use super::bounds::Bounds;
use super::refused::Refused;
use crate::model::Limits;

tokio::task_local! {
    static CALL: Arc<Call>;
}

/// A call, and what its message takes of the budget.
#[derive(Debug)]
pub struct Call {
    pub(super) bounds: Bounds,
    held: Mutex<Option<OwnedSemaphorePermit>>,
    /// Why the message that was read last is refused, where the stream goes on all the same.
    refused: Mutex<Option<Status>>,
}

impl Call {
    fn new(bounds: Bounds) -> Self {
        Self { bounds, held: Mutex::new(None), refused: Mutex::new(None) }
    }

    /// The call that is being answered. Outside a server it is one of its own.
    pub(super) fn current() -> Arc<Self> {
        CALL.try_with(Arc::clone).unwrap_or_else(|_| Arc::new(Self::new(Bounds::new(&Limits::default()))))
    }

    /// Takes what a message will need, in place of what the one before it did. It is given back when the call and its
    /// decoder are gone.
    pub(super) fn hold(&self, bytes: usize) -> Result<(), Refused> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        drop(held.take());
        *held = Some(self.bounds.take(bytes).ok_or(Refused::Busy)?);
        Ok(())
    }

    /// Notes that the message that is being read is refused.
    pub(super) fn refuse(&self, refused: Refused) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused.into());
    }
}

/// Which messages of a stream were refused, each by itself. To be asked after each message, by the handler of the call.
#[derive(Debug)]
pub struct RefusedMessages(pub(super) Arc<Call>);

impl RefusedMessages {
    /// Those of the call that is being answered.
    pub fn of_this_call() -> Self {
        Self(Call::current())
    }

    /// Why the message that came last is refused; none where it is not. Of a refused message only its offset is there.
    pub fn last(&self) -> Option<Status> {
        self.0.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
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

impl<S: Service<R>, R> Service<R> for Bounded<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = TaskLocalFuture<Arc<Call>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        CALL.scope(Arc::new(Call::new(self.bounds.clone())), self.service.call(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_share_one_budget_and_give_it_back_with_their_call() {
        let bounds = Bounds::new(&Limits::default());
        let [first, second] = [Call::new(bounds.clone()), Call::new(bounds)];
        first.hold(200 << 20).unwrap();
        assert!(matches!(second.hold(100 << 20), Err(Refused::Busy)));
        // A call's next message takes the place of the one before.
        first.hold(100 << 20).unwrap();
        second.hold(100 << 20).unwrap();
        assert!(matches!(second.hold(200 << 20), Err(Refused::Busy)));
        drop(first);
        second.hold(200 << 20).unwrap();
    }
}
