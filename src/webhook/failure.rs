//! What a failed attempt means: what is shown of it, and what follows.

use std::time::Duration;

use http::StatusCode;

use crate::fetch::{FetchError, ReplyHead};
use crate::model::{Timestamp, Webhook, WebhookState};

/// How long after each failed attempt the next one is made.
const RETRY_AFTER: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
    Duration::from_secs(5 * 60 * 60),
    Duration::from_secs(10 * 60 * 60),
    Duration::from_secs(14 * 60 * 60),
    Duration::from_secs(20 * 60 * 60),
    Duration::from_secs(24 * 60 * 60),
];
/// The longest that a receiver may ask to wait.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest error that is kept, in characters. What a resolver or a receiver says may be longer.
const ERROR_CHARS_MAX: usize = 300;
/// An attempt is made up to this part of its delay later, so that not all webhooks of a receiver return at once.
const JITTER: u32 = 10;

/// Why a message was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// What happened, for people.
    pub(super) error: String,
    /// The status of the reply, if there was one.
    pub(super) status: Option<StatusCode>,
    /// How long the receiver asks to wait.
    retry_after: Option<Duration>,
}

impl Failure {
    /// Reads a reply; `None` if it accepts the message.
    pub(super) fn of_reply(reply: ReplyHead) -> Option<Self> {
        let ReplyHead { status, retry_after } = reply;
        if status.is_success() {
            return None;
        }
        let advice = match status.as_u16() {
            410 => ": it wants no more messages",
            300..=399 => ": redirects are not followed; give the webhook the address that this one leads to",
            401 | 403 => ": check that it verifies signatures with the webhook's present key",
            413 => ": it does not accept a body of this size; 1 MiB must be allowed",
            _ => "",
        };
        let may_ask = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        Some(Self {
            error: format!("the receiver replied {status}{advice}"),
            status: Some(status),
            retry_after: retry_after.filter(|_| may_ask),
        })
    }

    /// Why there was no reply.
    pub(super) fn of_error(error: &FetchError) -> Self {
        let error = match error {
            FetchError::PrivateAddress { host, address, .. } => {
                format!("{host} is at {address}, which is not on the public internet; see --webhook-allow-private")
            }
            FetchError::Dns { host, reason, .. } => format!("the name {host} was not found ({reason})"),
            FetchError::Connect { host, reason, .. } => format!("no connection to {host} ({reason})"),
            FetchError::Tls { host, reason, .. } => format!("no secure connection to {host} ({reason})"),
            FetchError::Timeout { phase, after, .. } => format!("{phase} within {after:?}"),
            FetchError::CutOff { reason, .. } => format!("the connection ended before there was a reply ({reason})"),
            FetchError::Protocol { reason, .. } => format!("the reply is not valid HTTP ({reason})"),
            FetchError::NotHttp { reason, .. } => format!("nothing can be sent to this address: {reason}"),
            // A reply's body and robots.txt are not read, and redirects are not followed.
            FetchError::TooLarge { .. }
            | FetchError::RedirectLoop { .. }
            | FetchError::TooManyRedirects { .. }
            | FetchError::RedirectInvalid { .. }
            | FetchError::Status { .. }
            | FetchError::Robots { .. }
            | FetchError::BadEncoding { .. } => error.to_string(),
        };
        let error = error.chars().take(ERROR_CHARS_MAX).collect();
        Self { error, status: None, retry_after: None }
    }

    /// The webhook after this failure of an attempt that it has noted. `jitter` is a random number.
    pub(super) fn follow(self, webhook: Webhook, now: Timestamp, jitter: u32) -> Webhook {
        if self.status == Some(StatusCode::GONE) {
            return webhook.stopped(WebhookState::Disabled, self.error);
        }
        let attempts = webhook.failed_attempts;
        let delay = usize::try_from(attempts).ok().and_then(|attempts| RETRY_AFTER.get(attempts.checked_sub(1)?));
        let Some(delay) = delay.copied() else {
            let error = format!("{} attempts failed, and at the last {}", attempts, self.error);
            return webhook.stopped(WebhookState::Paused, error);
        };
        let asked = self.retry_after.unwrap_or_default().min(WAIT_MAX);
        let delay = delay + delay.mul_f64(f64::from(jitter) / f64::from(u32::MAX) / f64::from(JITTER));
        let micros = i64::try_from(delay.max(asked).as_micros()).unwrap_or(i64::MAX);
        Webhook { next_attempt_time: Some(now.saturating_add_micros(micros)), ..webhook }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FeedView, Seq, WebhookScheme};

    const NOW: Timestamp = Timestamp::MIN;

    fn after(status: u16, retry_after: Option<u64>, failed_before: u32, jitter: u32) -> Webhook {
        let status = StatusCode::from_u16(status).unwrap();
        let failure = Failure::of_reply(ReplyHead { status, retry_after: retry_after.map(Duration::from_secs) });
        let failure = failure.unwrap();
        let new = Webhook::new("https://a.example/".to_owned(), FeedView::Basic, WebhookScheme::Ed25519);
        let before = Webhook { failed_attempts: failed_before, ..new };
        failure.clone().follow(before.failed(NOW, failure.error, Seq(1)), NOW, jitter)
    }

    fn wait_seconds(webhook: &Webhook) -> Option<i64> {
        webhook.next_attempt_time.map(|next| next.micros_since(NOW) / 1_000_000)
    }

    #[test]
    fn each_failure_waits_longer_and_the_last_one_pauses() {
        let hours = |hours: i64| hours * 3_600;
        let waits = [5, 300, 1_800, hours(2), hours(5), hours(10), hours(14), hours(20), hours(24)];
        for (failed_before, wait) in (0..).zip(waits) {
            let webhook = after(500, None, failed_before, 0);
            assert_eq!((wait_seconds(&webhook), webhook.state), (Some(wait), WebhookState::Active));
            assert_eq!(wait_seconds(&after(500, None, failed_before, u32::MAX)), Some(wait * 11 / 10), "{wait}");
        }
        let paused = after(500, None, 9, 0);
        assert_eq!((wait_seconds(&paused), paused.state), (None, WebhookState::Paused));
        assert!(paused.error.starts_with("10 attempts failed, and at the last the receiver replied 500"), "{paused:?}");
    }

    #[test]
    fn a_receiver_may_ask_for_more_time_but_not_for_ever() {
        assert_eq!(wait_seconds(&after(429, Some(120), 0, 0)), Some(120));
        assert_eq!(wait_seconds(&after(503, Some(1), 0, 0)), Some(5), "not sooner than without");
        assert_eq!(wait_seconds(&after(503, Some(u64::MAX), 0, 0)), Some(86_400));
        assert_eq!(wait_seconds(&after(500, Some(120), 0, 0)), Some(5), "only with 429 and 503");
    }

    #[test]
    fn gone_disables_and_success_is_no_failure() {
        assert_eq!(after(410, None, 0, 0).state, WebhookState::Disabled);
        for status in [200, 202, 204, 299] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Failure::of_reply(ReplyHead { status, retry_after: None }), None, "{status}");
        }
    }
}
