//! The webhook of a durable subscription: where its changes are sent, and what became of that.

use super::{FeedView, Seq, Timestamp};

/// Where the server sends the changes of a durable subscription, and what became of the last attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where to send.
    pub url: String,
    /// How much of each change is sent.
    pub view: FeedView,
    /// How messages are signed.
    pub scheme: WebhookScheme,
    /// Whether anything is sent.
    pub state: WebhookState,
    /// How often the present message was sent and not accepted.
    pub failed_attempts: u32,
    /// When a message was last sent.
    pub attempt_time: Option<Timestamp>,
    /// When the present message is sent again; `None` unless an attempt has failed and another one follows.
    pub next_attempt_time: Option<Timestamp>,
    /// Why the last attempt failed, or why nothing is sent; empty after a success.
    pub error: String,
    /// Where the message ends that was sent and not accepted. It is repeated as it was: a receiver that has dealt with it,
    /// and whose reply was lost, recognises it by its id.
    pub unaccepted_until: Option<Seq>,
}

/// How the messages of a webhook are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebhookScheme {
    /// With a private key; the receiver has the public one.
    #[default]
    Ed25519,
    /// With a secret that the receiver has, too.
    HmacSha256,
}

/// Whether a webhook sends anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebhookState {
    /// Changes are sent, and repeated after a failure.
    #[default]
    Active,
    /// Nothing is sent until its owner makes it active.
    Paused,
    /// Nothing is sent, because its receiver wants nothing any more, or its owner was revoked.
    Disabled,
}

/// The parts of a webhook to replace; `None` keeps the present one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookUpdate {
    /// Where to send.
    pub url: Option<String>,
    /// How much of each change is sent.
    pub view: Option<FeedView>,
    /// Whether anything is sent.
    pub state: Option<WebhookState>,
}

impl Webhook {
    /// An active webhook that has sent nothing.
    pub fn new(url: String, view: FeedView, scheme: WebhookScheme) -> Self {
        Self {
            url,
            view,
            scheme,
            state: WebhookState::Active,
            failed_attempts: 0,
            attempt_time: None,
            next_attempt_time: None,
            error: String::new(),
            unaccepted_until: None,
        }
    }

    /// The webhook after a message was accepted.
    #[must_use]
    pub fn accepted(self, now: Timestamp) -> Self {
        Self { attempt_time: Some(now), ..self.with_new_message() }
    }

    /// The webhook before an attempt at a message that it has not sent yet.
    #[must_use]
    pub fn with_new_message(self) -> Self {
        let error = if self.state == WebhookState::Active { String::new() } else { self.error };
        Self { failed_attempts: 0, next_attempt_time: None, error, unaccepted_until: None, ..self }
    }

    /// The webhook after an attempt that failed, without a decision on what follows.
    #[must_use]
    pub fn failed(self, now: Timestamp, error: String, unaccepted_until: Seq) -> Self {
        Self {
            failed_attempts: self.failed_attempts.saturating_add(1),
            attempt_time: Some(now),
            next_attempt_time: None,
            error,
            unaccepted_until: Some(unaccepted_until),
            ..self
        }
    }

    /// The webhook when it stops sending, and why.
    #[must_use]
    pub fn stopped(self, state: WebhookState, error: String) -> Self {
        Self { state, error, next_attempt_time: None, ..self }
    }

    /// The webhook with what an update replaces. If it is to be active, it attempts the present message
    /// at once and has all attempts again, even if it was active before.
    #[must_use]
    pub fn updated(self, update: &WebhookUpdate) -> Self {
        let WebhookUpdate { url, view, state } = update.clone();
        let updated = Self { url: url.unwrap_or(self.url), view: view.unwrap_or(self.view), ..self };
        match state {
            None => updated,
            Some(WebhookState::Active) => Self {
                state: WebhookState::Active,
                failed_attempts: 0,
                next_attempt_time: None,
                error: String::new(),
                ..updated
            },
            Some(state) if state == updated.state => updated,
            Some(state) => updated.stopped(state, String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_that_is_resumed_repeats_its_message_with_all_attempts() {
        let now = Timestamp::from_micros(7).unwrap();
        let new = Webhook::new("https://a.example/".to_owned(), FeedView::Basic, WebhookScheme::Ed25519);
        let failed = new.clone().failed(now, "status 500".to_owned(), Seq(3));
        assert_eq!(
            (failed.failed_attempts, failed.attempt_time, failed.unaccepted_until),
            (1, Some(now), Some(Seq(3)))
        );
        let paused = failed.stopped(WebhookState::Paused, "status 500".to_owned());
        let resumed = paused.updated(&WebhookUpdate { state: Some(WebhookState::Active), ..WebhookUpdate::default() });
        let expected = Webhook { attempt_time: Some(now), unaccepted_until: Some(Seq(3)), ..new.clone() };
        assert_eq!(resumed, expected);
        assert_eq!(resumed.accepted(now), Webhook { attempt_time: Some(now), ..new });
    }
}
