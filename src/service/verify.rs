//! `AdminService.Verify`: streams the events of a verification.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

use super::Context;
use super::sink::{Messages, NotTaken, Sink};
use super::status::Refusal;
use crate::wire::pb;
use crate::wire::pb::verify_response::Event;
use crate::wire::verification::{event_to_pb, summary_to_pb};

/// Messages that may wait for the transport. The verification pauses while there are more.
const WAITING_MAX: usize = 64;

impl Context {
    /// Starts a verification. It also ends early: with the stream, with the server, or if the client reads nothing.
    /// `place` is released when it ends.
    pub(super) fn verify(&self, place: OwnedSemaphorePermit) -> Messages<pb::VerifyResponse> {
        let (sink, received) = Sink::new(WAITING_MAX, self.stalled_after);
        let sink = Arc::new(sink);
        let (archive, context, listening) = (Arc::clone(&self.archive), self.clone(), Arc::clone(&sink));
        let runtime = Handle::current();
        let listener = move |event| {
            let message = event_to_pb(event).into();
            match runtime.block_on(context.send(&listening, message)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(NotTaken::Gone | NotTaken::Stalled) => ControlFlow::Break(()),
            }
        };
        let context = self.clone();
        self.subscribers.spawn(async move {
            let _place = place;
            let sent = match archive.verify(listener).await {
                Ok(Some(summary)) => match context.send(&sink, Event::Summary(summary_to_pb(summary)).into()).await {
                    Ok(()) => context.unless_stopping(sink.taken()).await,
                    not_taken => not_taken,
                },
                // The listener ended the verification, because the stream stalled or the client is gone. A client that
                // is gone does not see the status.
                Ok(None) => Err(NotTaken::Stalled),
                Err(error) => return end(sink, error.into()),
            };
            match sent {
                Ok(()) => {}
                Err(_) if context.stopping.is_cancelled() => end(sink, Refusal::draining()),
                Err(NotTaken::Stalled) => {
                    if let Some(sink) = Arc::into_inner(sink) {
                        sink.end_unread();
                    }
                }
                Err(NotTaken::Gone) => {}
            }
        });
        received
    }

    async fn send(&self, sink: &Sink<pb::VerifyResponse>, message: pb::VerifyResponse) -> Result<(), NotTaken> {
        self.unless_stopping(sink.send(message)).await
    }

    /// Waits for a message to be sent, or the server to stop.
    async fn unless_stopping(&self, sent: impl Future<Output = Result<(), NotTaken>>) -> Result<(), NotTaken> {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(NotTaken::Gone),
            sent = sent => sent,
        }
    }
}

/// Ends the stream with an error. The verification is over, so nothing else is sent.
fn end(sink: Arc<Sink<pb::VerifyResponse>>, refusal: Refusal) {
    if let Some(sink) = Arc::into_inner(sink) {
        sink.end(refusal.into());
    }
}
