//! Implements `grpc.health.v1.Health`. As that contract requires, a watch of an unknown service stays open.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, future, stream};
use tokio::sync::watch;
use tokio::time::interval;
use tokio_stream::Stream;
use tokio_stream::wrappers::{IntervalStream, WatchStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::archive::Archive;
use crate::service::status::Refusal;

/// The name under which the health of the machine's clock is reported. It is separate from the server's own health,
/// because the server continues to serve while the clock is wrong.
const CLOCK: &str = "dateline.clock";
/// How often a watch of the clock checks it.
const CLOCK_EVERY: Duration = Duration::from_secs(5);

/// The handler. Every service reports the health of the whole server.
#[derive(Clone)]
pub(super) struct HealthHandler {
    /// The names of the services, including the empty name for the server.
    services: &'static [&'static str],
    serving: watch::Receiver<bool>,
    /// Consulted for the state of the clock.
    archive: Arc<Archive>,
    /// Cancelled when the server stops, which ends the watches.
    stopping: CancellationToken,
}

impl HealthHandler {
    pub(super) fn new(
        services: &'static [&'static str],
        serving: watch::Receiver<bool>,
        archive: Arc<Archive>,
        stopping: CancellationToken,
    ) -> Self {
        Self { services, serving, archive, stopping }
    }

    /// Whether the clock is right: the current state, then each change.
    fn clock(&self) -> impl Stream<Item = bool> + Send + use<> {
        let archive = Arc::clone(&self.archive);
        let states = IntervalStream::new(interval(CLOCK_EVERY)).map(move |_| archive.clock_fault().is_none());
        let changes = states.scan(None, |previous, is_right| {
            let is_new = previous.replace(is_right) != Some(is_right);
            future::ready(Some(is_new.then_some(is_right)))
        });
        changes.filter_map(future::ready)
    }

    fn knows(&self, service: &str) -> bool {
        self.services.contains(&service)
    }
}

type HealthResponses = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Health for HealthHandler {
    type WatchStream = HealthResponses;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let service = &request.get_ref().service;
        if service == CLOCK {
            return Ok(Response::new(response(status(self.archive.clock_fault().is_none()))));
        }
        if !self.knows(service) {
            return Err(Refusal::service_unknown(service).into());
        }
        Ok(Response::new(response(status(*self.serving.borrow()))))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthResponses>, Status> {
        let statuses: Pin<Box<dyn Stream<Item = ServingStatus> + Send>> = if request.get_ref().service == CLOCK {
            Box::pin(self.clock().map(status))
        } else if self.knows(&request.get_ref().service) {
            Box::pin(WatchStream::new(self.serving.clone()).map(status))
        } else {
            Box::pin(stream::iter([ServingStatus::ServiceUnknown]).chain(stream::pending()))
        };
        let until_stopped =
            statuses.map(|status| Ok(response(status))).take_until(self.stopping.clone().cancelled_owned());
        let last = stream::iter([Err(Status::from(Refusal::draining()))]);
        Ok(Response::new(Box::pin(until_stopped.chain(last))))
    }
}

fn status(serving: bool) -> ServingStatus {
    if serving { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
