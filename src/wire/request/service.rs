//! Wraps a service, so that its requests are received and decoded within their limits.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use http_body_util::StreamBody;
use hyper::body::Body;
use tokio::task::futures::TaskLocalFuture;
use tonic::server::NamedService;
use tower_service::Service;

use super::bounds::Bounds;
use super::call::Call;
use super::receive::frames;
use super::unpack::Packing;

/// A service whose requests are bounded.
#[derive(Clone, Debug)]
pub struct Bounded<S> {
    service: S,
    bounds: Arc<Bounds>,
}

impl<S> Bounded<S> {
    /// Wraps a service. Services with the same bounds share one budget.
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
        call.during(self.service.call(received))
    }
}
