//! Which parts of a subscription an update replaces.

use super::super::Context;
use crate::model::WebhookUpdate;
use crate::wire::{self, FieldError, FieldErrors, WebhookUrls, all, pb};

/// Which parts of a subscription an update replaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UpdateMask {
    pub(super) filter: bool,
    pub(super) kinds: bool,
    webhook_url: bool,
    webhook_view: bool,
    webhook_state: bool,
}

impl UpdateMask {
    /// Reads the mask. Without one, the update replaces what is set.
    pub(super) fn read(
        mask: Option<prost_types::FieldMask>,
        subscription: &pb::Subscription,
    ) -> Result<Self, FieldErrors> {
        let paths = mask.map(|mask| mask.paths).unwrap_or_default();
        if paths.is_empty() {
            let webhook = subscription.webhook.as_ref();
            let mask = Self {
                filter: subscription.filter.is_some(),
                kinds: !subscription.kinds.is_empty(),
                webhook_url: webhook.is_some_and(|webhook| !webhook.url.is_empty()),
                webhook_view: webhook.is_some_and(|webhook| webhook.view != 0),
                webhook_state: webhook.is_some_and(|webhook| webhook.state != 0),
            };
            let is_empty = mask == Self::default();
            let problem = "names nothing to update; name filter, kinds, or a part of webhook";
            return if is_empty { Err(FieldError::invalid("update_mask", problem).into()) } else { Ok(mask) };
        }
        let mut mask = Self::default();
        wire::every(paths.iter().enumerate().map(|(index, path)| {
            match path.as_str() {
                "filter" => mask.filter = true,
                "kinds" => mask.kinds = true,
                "webhook.url" => mask.webhook_url = true,
                "webhook.view" => mask.webhook_view = true,
                "webhook.state" => mask.webhook_state = true,
                "*" => (mask.filter, mask.kinds) = (true, true),
                _ => {
                    let problem = "is not a field that can be updated; only filter, kinds, webhook.url, webhook.view and \
                                   webhook.state can";
                    return Err(FieldError::invalid(format!("update_mask.paths[{index}]"), problem));
                }
            }
            Ok(())
        }))?;
        Ok(mask)
    }
}

impl Context {
    /// What an update replaces of a webhook.
    pub(super) fn webhook_update(
        &self,
        mask: &UpdateMask,
        webhook: &pb::Webhook,
    ) -> Result<WebhookUpdate, FieldErrors> {
        let urls = self.webhooks.as_ref().map_or(WebhookUrls::Https, |webhooks| webhooks.urls);
        let url =
            mask.webhook_url.then(|| wire::webhook_url("subscription.webhook.url", &webhook.url, urls)).transpose();
        let view = mask.webhook_view.then(|| wire::feed_view("subscription.webhook.view", webhook.view)).transpose();
        let state =
            mask.webhook_state.then(|| wire::webhook_state("subscription.webhook.state", webhook.state)).transpose();
        let (url, view, state) = all!(url, view, state)?;
        Ok(WebhookUpdate { url, view, state })
    }
}
