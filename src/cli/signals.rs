//! The signals that ask a process to stop: SIGTERM from a supervisor, SIGINT from a user.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, Failure};

/// Listens for SIGTERM and SIGINT. From its creation on, they no longer end the process by themselves.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| Failure::new(Exit::Failed, format!("signals cannot be listened to: {error}")))
        };
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for the first signal. A second one ends the process at once, for a user who does not want to wait for
    /// calls in progress; everything that was acknowledged is durable.
    pub(super) async fn asked_to_stop(mut self) {
        self.next().await;
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("second signal: stopping at once, without waiting for calls in progress");
            std::process::exit(Exit::Failed as i32);
        });
    }

    /// A token that the first signal cancels, even while nothing waits for it.
    pub(super) fn token(self) -> CancellationToken {
        let stopping = CancellationToken::new();
        let to_cancel = stopping.clone();
        tokio::spawn(async move {
            self.asked_to_stop().await;
            to_cancel.cancel();
        });
        stopping
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
