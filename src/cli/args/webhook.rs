//! The arguments of `webhook`.

use clap::{Args, Subcommand};

use super::super::article::ArticleRef;
use super::feed::{Kind, Start, View, start, subscription_id};
use super::selection::FilterArgs;
use crate::config::Period;
use crate::model::SubscriptionId;

/// The arguments of `webhook`.
#[derive(Debug, Args)]
pub(in crate::cli) struct WebhookArgs {
    #[command(subcommand)]
    pub(in crate::cli) action: WebhookAction,
}

/// What to do with webhooks.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum WebhookAction {
    /// Send changes to a URL from now on, and print the key that its receiver verifies them with
    Create(Box<CreateArgs>),
    /// List the webhooks, how far each is, and why it sends nothing if it does not
    List,
    /// Send a signed test event now, and print how the receiver replied
    Test(NameArg),
    /// Send nothing until `resume`; the changes wait
    Pause(NameArg),
    /// Send again, beginning at once with what waits
    Resume(NameArg),
    /// Make a new signing key, and print what the receiver needs; the earlier keys sign for a while, too
    RotateKey(RotateArgs),
    /// Delete a webhook with its keys
    Delete(NameArg),
}

/// The name of a webhook.
#[derive(Debug, Args)]
pub(in crate::cli) struct NameArg {
    /// The name of the webhook
    #[arg(value_name = "NAME", value_parser = subscription_id)]
    pub(in crate::cli) name: SubscriptionId,
}

/// The arguments of `webhook create`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CreateArgs {
    /// The name of the webhook, which is that of its durable subscription
    #[arg(value_name = "NAME", value_parser = subscription_id)]
    pub(in crate::cli) name: SubscriptionId,
    /// Where to send: an https address on the public internet, unless the server allows others
    pub(in crate::cli) url: String,
    /// Begin here: beginning, now, the position of a change, or an archive time (a date means its start) [default: now]
    #[arg(long, value_name = "beginning|now|SEQ|TIME", value_parser = start)]
    pub(in crate::cli) from: Option<Start>,
    /// Select this article; can be repeated
    #[arg(long, short, value_name = "ARTICLE")]
    pub(in crate::cli) article: Vec<ArticleRef>,
    #[command(flatten)]
    pub(in crate::cli) filter: FilterArgs,
    /// Select changes of this kind; can be repeated [default: all but sighted]
    #[arg(long, value_enum)]
    pub(in crate::cli) kind: Vec<Kind>,
    /// Send this much of each change [default: basic]
    #[arg(long, value_enum)]
    pub(in crate::cli) view: Option<View>,
    /// Sign with a secret that the receiver has, too (v1), for a receiver that cannot verify with a public key (v1a)
    #[arg(long)]
    pub(in crate::cli) hmac: bool,
}

/// The arguments of `webhook rotate-key`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RotateArgs {
    /// The name of the webhook
    #[arg(value_name = "NAME", value_parser = subscription_id)]
    pub(in crate::cli) name: SubscriptionId,
    /// How long the earlier keys still sign, such as 2h, at most 30 days; 0s ends them at once [default: 24h]
    #[arg(long, value_name = "DURATION")]
    pub(in crate::cli) overlap: Option<Period>,
}
