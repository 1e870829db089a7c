//! `AdminService.Verify`: a verification, told as a stream.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::mpsc;
use tonic::Status;

use super::Context;
use super::status::Refusal;
use crate::wire::pb;
use crate::wire::pb::verify_response::Event;
use crate::wire::verification::{event_to_pb, summary_to_pb};

/// Messages that wait for the transport; the verification waits when there are more.
const WAITING_MAX: usize = 64;

pub(super) type Messages = mpsc::Receiver<Result<pb::VerifyResponse, Status>>;

impl Context {
    /// Begins a verification, which ends with the stream or with the server.
    pub(super) fn verify(&self) -> Messages {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let (archive, stopping, told) = (Arc::clone(&self.archive), self.stopping.clone(), sender.clone());
        let listener = move |event| {
            let event = event_to_pb(event);
            let is_told = !stopping.is_cancelled() && told.blocking_send(Ok(event.into())).is_ok();
            if is_told { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        self.subscribers.spawn(async move {
            let last = match archive.verify(listener).await {
                Ok(Some(summary)) => Ok(Event::Summary(summary_to_pb(summary)).into()),
                Ok(None) => Err(Refusal::draining().into()),
                Err(error) => Err(Refusal::from(error).into()),
            };
            // Nobody may be there any more.
            drop(sender.send(last).await);
        });
        receiver
    }
}
