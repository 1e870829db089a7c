//! Conversions of webhooks between the contract and the model.

use url::Url;

use super::{FieldError, FieldErrors, all, pb, timestamp_to_pb};
use crate::model::{FeedView, Limits, Webhook, WebhookScheme, WebhookState};

/// Which URLs a webhook may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookUrls {
    /// Those that are encrypted.
    Https,
    /// Those that are encrypted or not.
    Any,
}

/// Converts the webhook of a new subscription. `path` is that of the message.
pub fn webhook(path: &str, message: &pb::Webhook, urls: WebhookUrls) -> Result<Webhook, FieldErrors> {
    let url = webhook_url(&format!("{path}.url"), &message.url, urls);
    let view = feed_view(&format!("{path}.view"), message.view);
    let scheme = match pb::WebhookScheme::try_from(message.scheme) {
        Ok(pb::WebhookScheme::Unspecified | pb::WebhookScheme::Ed25519) => Ok(WebhookScheme::Ed25519),
        Ok(pb::WebhookScheme::HmacSha256) => Ok(WebhookScheme::HmacSha256),
        Err(_) => Err(FieldError::invalid(format!("{path}.scheme"), "is not a known scheme")),
    };
    let state = webhook_state(&format!("{path}.state"), message.state);
    let (url, view, scheme, state) = all!(url, view, scheme, state)?;
    Ok(Webhook { state, ..Webhook::new(url, view, scheme) })
}

/// Checks the URL of a webhook.
pub fn webhook_url(path: &str, text: &str, urls: WebhookUrls) -> Result<String, FieldError> {
    let invalid = |problem: &str| Err(FieldError::invalid(path, problem));
    if text.is_empty() {
        return invalid("is missing");
    }
    if text.len() > Limits::WEBHOOK_URL_BYTES_MAX {
        return invalid(&format!("has {} bytes; at most {} are allowed", text.len(), Limits::WEBHOOK_URL_BYTES_MAX));
    }
    let Ok(url) = Url::parse(text) else { return invalid("is not a URL, such as https://example.org/hook") };
    match (url.scheme(), urls) {
        ("https", _) | ("http", WebhookUrls::Any) => {}
        ("http", WebhookUrls::Https) => {
            return invalid(
                "must begin with https; a server that is started with --webhook-allow-private accepts http",
            );
        }
        (_, WebhookUrls::Https) => return invalid("must begin with https"),
        (_, WebhookUrls::Any) => return invalid("must begin with https or http"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return invalid("must not have a user name or password; the receiver recognises messages by their signature");
    }
    if url.fragment().is_some() {
        return invalid("must not have a fragment, which is never sent");
    }
    Ok(url.into())
}

/// Converts the state that a webhook is to have.
pub fn webhook_state(path: &str, state: i32) -> Result<WebhookState, FieldError> {
    match pb::WebhookState::try_from(state) {
        Ok(pb::WebhookState::Unspecified | pb::WebhookState::Active) => Ok(WebhookState::Active),
        Ok(pb::WebhookState::Paused) => Ok(WebhookState::Paused),
        Ok(pb::WebhookState::Disabled) => {
            Err(FieldError::invalid(path, "can be ACTIVE or PAUSED; only the server makes a webhook DISABLED"))
        }
        Err(_) => Err(FieldError::invalid(path, "is not a known state")),
    }
}

/// Converts a view of the feed. `path` is that of the field.
pub fn feed_view(path: &str, view: i32) -> Result<FeedView, FieldError> {
    match pb::FeedView::try_from(view) {
        Ok(pb::FeedView::Unspecified | pb::FeedView::Basic) => Ok(FeedView::Basic),
        Ok(pb::FeedView::Full) => Ok(FeedView::Full),
        Ok(pb::FeedView::Diff) => Ok(FeedView::Diff),
        Ok(pb::FeedView::Request) => Ok(FeedView::Request),
        Err(_) => Err(FieldError::invalid(path, "is not a known view")),
    }
}

/// Converts a view of the feed to the contract.
pub fn feed_view_to_pb(view: FeedView) -> pb::FeedView {
    match view {
        FeedView::Basic => pb::FeedView::Basic,
        FeedView::Full => pb::FeedView::Full,
        FeedView::Diff => pb::FeedView::Diff,
        FeedView::Request => pb::FeedView::Request,
    }
}

/// Converts a webhook, without its keys.
pub fn webhook_to_pb(webhook: &Webhook) -> pb::Webhook {
    let state = match webhook.state {
        WebhookState::Active => pb::WebhookState::Active,
        WebhookState::Paused => pb::WebhookState::Paused,
        WebhookState::Disabled => pb::WebhookState::Disabled,
    };
    let scheme = match webhook.scheme {
        WebhookScheme::Ed25519 => pb::WebhookScheme::Ed25519,
        WebhookScheme::HmacSha256 => pb::WebhookScheme::HmacSha256,
    };
    pb::Webhook {
        url: webhook.url.clone(),
        view: feed_view_to_pb(webhook.view).into(),
        scheme: scheme.into(),
        state: state.into(),
        keys: Vec::new(),
        failed_attempts: webhook.failed_attempts,
        attempt_time: webhook.attempt_time.map(timestamp_to_pb),
        error: webhook.error.clone(),
        next_attempt_time: webhook.next_attempt_time.map(timestamp_to_pb),
    }
}
