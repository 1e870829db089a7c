//! The signals that ask a process to stop: SIGTERM of a supervisor, SIGINT of a person.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, Failure};

/// What asks a process to stop. From when it is made, no signal ends the process by itself.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| Failure::new(Exit::Failed, format!("signals can't be listened to: {error}")))
        };
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for the first signal. A second one ends the process at once, for whoever does not want to wait for the
    /// calls under way: what was acknowledged is durable.
    pub(super) async fn asked_to_stop(mut self) {
        self.next().await;
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("asked a second time; calls under way are cut off");
            std::process::exit(Exit::Failed as i32);
        });
    }

    /// A token that the first signal cancels, also while nobody waits for it.
    pub(super) fn token(self) -> CancellationToken {
        let stopping = CancellationToken::new();
        let asked = stopping.clone();
        tokio::spawn(async move {
            self.asked_to_stop().await;
            asked.cancel();
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
