//! Keeps the service manager informed, as sd_notify(3) describes: systemd, or another one that sets NOTIFY_SOCKET. Without
//! one, nothing is sent.
//!
//! The functions send what they are named after, and know nothing about the server.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::interval;

use crate::cli::style;

/// How often more time is requested, and how much.
const EXTEND_EVERY: Duration = Duration::from_secs(10);
const EXTENSION: Duration = Duration::from_secs(60);
/// How often the status is sent if there is no watchdog.
const STATUS_EVERY: Duration = Duration::from_secs(60);

/// Whether there is a service manager to inform.
pub(super) fn is_present() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// How often to send [`alive`]: twice within the watchdog's timeout, if there is one.
pub(super) fn alive_every() -> Duration {
    let half = sd_notify::watchdog_enabled().map(|timeout| timeout / 2).filter(|half| !half.is_zero());
    half.unwrap_or(STATUS_EVERY)
}

/// The service has started or reloaded its configuration.
pub(super) fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(&style::safe_line(status))]);
}

/// The service is reloading its configuration; [`ready`] says that it has.
pub(super) fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    match now {
        Ok(now) => send(&[NotifyState::Reloading, now, NotifyState::Status("reloading")]),
        Err(error) => {
            tracing::warn!(%error, "the monotonic clock cannot be read; the service manager does not see the reload")
        }
    }
}

/// The service is shutting down, and needs at most this long.
pub(super) fn stopping(within: Duration) {
    send(&[NotifyState::Stopping, NotifyState::Status("shutting down"), extension(within)]);
}

/// The service does what it should; the watchdog starts its timeout again.
pub(super) fn alive(status: &str) {
    send(&[NotifyState::Watchdog, NotifyState::Status(&style::safe_line(status))]);
}

/// What the service is doing, for people.
pub(super) fn status(status: &str) {
    send(&[NotifyState::Status(&style::safe_line(status))]);
}

/// Waits for `work`, with this status, and requests more time as long as it takes.
pub(super) async fn with_more_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    status(what);
    let mut extending = interval(EXTEND_EVERY);
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = extending.tick() => send(&[extension(EXTENSION)]),
        }
    }
}

fn extension(time: Duration) -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be informed; check NOTIFY_SOCKET");
    }
}
