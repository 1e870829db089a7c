//! The signals that ask a process to stop, SIGTERM from a supervisor and SIGINT from a user, and the one that asks a server
//! to reload, SIGHUP.

use std::io::IsTerminal;

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

/// Listens for SIGHUP. From its creation on, it no longer ends the process by itself, unless the process logs to a
/// terminal: the signal then says that the terminal is gone.
pub(super) struct Hangups(Option<Signal>);

impl Hangups {
    pub(super) fn listen() -> Result<Self, Failure> {
        let is_daemon = !std::io::stderr().is_terminal();
        is_daemon.then(|| listen(SignalKind::hangup())).transpose().map(Self)
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    }
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(Exit::Failed, format!("signals cannot be listened to: {error}")))
}
