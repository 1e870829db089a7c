//! `webhook`: durable subscriptions whose changes the server sends to a URL.

use super::args::feed::{Kind, Start, View};
use super::args::webhook::{CreateArgs, NameArg, RotateArgs, WebhookAction, WebhookArgs};
use super::connect::Session;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::table::messages;
use super::{count, style};
use crate::model::SubscriptionId;
use crate::wire::{instant, pb};

const PAGE_SIZE: i32 = 1_000;

pub(super) async fn run(session: &Session, args: &WebhookArgs, out: &mut Output) -> Result<(), Failure> {
    act(session, args, out).await.map_err(of_webhook)
}

/// A failure in the words of webhooks, which are subscriptions to the server.
fn of_webhook(failure: Failure) -> Failure {
    match failure.reason() {
        "SUBSCRIPTION_UNKNOWN" => failure.hint("`dateline webhook list` lists the webhooks"),
        "SUBSCRIPTION_EXISTS" => {
            failure.hint("choose another name, or delete the old one with `dateline webhook delete`")
        }
        _ => failure,
    }
}

async fn act(session: &Session, args: &WebhookArgs, out: &mut Output) -> Result<(), Failure> {
    match &args.action {
        WebhookAction::Create(args) => create(session, args, out).await,
        WebhookAction::List => list(session, out).await,
        WebhookAction::Test(NameArg { name }) => test(session, name, out).await,
        WebhookAction::Pause(NameArg { name }) => set_state(session, name, pb::WebhookState::Paused, out).await,
        WebhookAction::Resume(NameArg { name }) => set_state(session, name, pb::WebhookState::Active, out).await,
        WebhookAction::RotateKey(args) => rotate_key(session, args, out).await,
        WebhookAction::Delete(NameArg { name }) => delete(session, name, out).await,
    }
}

async fn create(session: &Session, args: &CreateArgs, out: &mut Output) -> Result<(), Failure> {
    let mut filter = args.filter.to_pb();
    for article in &args.article {
        filter.articles.push(article.resolve(session, None, None).await?);
    }
    let scheme = if args.hmac { pb::WebhookScheme::HmacSha256 } else { pb::WebhookScheme::Ed25519 };
    let webhook = pb::Webhook {
        url: args.url.clone(),
        view: args.view.map_or(pb::FeedView::Unspecified, View::to_pb).into(),
        scheme: scheme.into(),
        ..pb::Webhook::default()
    };
    let subscription = pb::Subscription {
        filter: Some(filter),
        kinds: args.kind.iter().copied().map(Kind::to_pb).map(i32::from).collect(),
        webhook: Some(webhook),
        ..pb::Subscription::default()
    };
    let request = pb::CreateSubscriptionRequest {
        subscription_id: args.name.as_str().to_owned(),
        subscription: Some(subscription),
        start: Some(args.from.unwrap_or(Start::Now).to_pb()),
    };
    let created = session.feed().create_subscription(request).await?.into_inner();
    if out.json {
        return out.message(&created);
    }
    print_key(created.subscription.as_ref(), &created.webhook_secret, out)
}

async fn rotate_key(session: &Session, args: &RotateArgs, out: &mut Output) -> Result<(), Failure> {
    let overlap = args.overlap.and_then(|overlap| prost_types::Duration::try_from(overlap.0).ok());
    let request = pb::RotateWebhookKeyRequest { name: args.name.to_string(), overlap };
    let rotated = session.feed().rotate_webhook_key(request).await?.into_inner();
    if out.json {
        return out.message(&rotated);
    }
    print_key(rotated.subscription.as_ref(), &rotated.webhook_secret, out)
}

/// Prints what the receiver verifies messages with.
fn print_key(subscription: Option<&pb::Subscription>, secret: &str, out: &mut Output) -> Result<(), Failure> {
    if !secret.is_empty() {
        out.note(
            "This secret is shown once. The receiver verifies messages with it (v1), and everyone who has it can forge them.",
        );
        return out.line(secret);
    }
    let webhook = subscription.and_then(|subscription| subscription.webhook.as_ref());
    let key = webhook.and_then(|webhook| webhook.keys.first());
    out.note(
        "The receiver verifies messages with this public key (v1a); `dateline webhook list --json` shows it again.",
    );
    out.line(key.map_or("", |key| key.public_key.as_str()))
}

async fn list(session: &Session, out: &mut Output) -> Result<(), Failure> {
    let mut request = pb::ListSubscriptionsRequest { page_size: PAGE_SIZE, page_token: String::new() };
    while !out.is_closed() {
        let mut page = session.feed().list_subscriptions(request.clone()).await?.into_inner();
        page.subscriptions.retain(|subscription| subscription.webhook.is_some());
        print(&page.subscriptions, out)?;
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    Ok(())
}

async fn test(session: &Session, id: &SubscriptionId, out: &mut Output) -> Result<(), Failure> {
    let request = pb::TestWebhookRequest { name: id.to_string() };
    let tested = session.feed().test_webhook(request).await?.into_inner();
    let millis =
        tested.latency.as_ref().map_or(0, |latency| latency.seconds * 1_000 + i64::from(latency.nanos) / 1_000_000);
    if out.json {
        out.message(&tested)?;
    }
    if !tested.error.is_empty() {
        let message = format!("the test event was not accepted: {}", style::safe_line(&tested.error));
        return Err(Failure::new(Exit::Failed, message));
    }
    if out.json {
        return Ok(());
    }
    out.line(format_args!("accepted with status {} after {millis} ms", tested.http_status))
}

async fn set_state(
    session: &Session,
    id: &SubscriptionId,
    state: pb::WebhookState,
    out: &mut Output,
) -> Result<(), Failure> {
    let webhook = Some(pb::Webhook { state: state.into(), ..pb::Webhook::default() });
    let subscription = Some(pb::Subscription { name: id.to_string(), webhook, ..pb::Subscription::default() });
    let paths = vec!["webhook.state".to_owned()];
    let request = pb::UpdateSubscriptionRequest { subscription, update_mask: Some(prost_types::FieldMask { paths }) };
    let updated = session.feed().update_subscription(request).await?.into_inner();
    print(updated.subscription.as_slice(), out)
}

async fn delete(session: &Session, id: &SubscriptionId, out: &mut Output) -> Result<(), Failure> {
    let get = pb::GetSubscriptionRequest { name: id.to_string() };
    let subscription = session.feed().get_subscription(get).await?.into_inner().subscription.unwrap_or_default();
    if subscription.webhook.is_none() {
        let message = format!("{} is a subscription without a webhook", id.as_str());
        let hint = format!("`dateline subscriptions delete {}` deletes it", id.as_str());
        return Err(Failure::new(Exit::Conflict, message).hint(hint));
    }
    let request = pb::DeleteSubscriptionRequest { name: id.to_string(), etag: subscription.etag, ..Default::default() };
    session.feed().delete_subscription(request).await?;
    if out.is_terminal() && !out.json {
        out.line(format_args!("deleted  {}", out.painter().paint(style::NAME, id.as_str())))?;
    }
    Ok(())
}

fn print(subscriptions: &[pb::Subscription], out: &mut Output) -> Result<(), Failure> {
    messages(subscriptions, row, out)
}

/// The columns: name, state, position, lag in changes, URL, and why nothing is sent or the last attempt failed.
fn row(subscription: &pb::Subscription, out: &Output) -> [(String, anstyle::Style); 6] {
    let plain = anstyle::Style::new();
    let webhook = subscription.webhook.clone().unwrap_or_default();
    let name = subscription.name.strip_prefix("subscriptions/").unwrap_or(&subscription.name).to_owned();
    let (state, state_style) = match webhook.state() {
        _ if subscription.restored => ("held", style::BAD),
        pb::WebhookState::Paused => ("paused", style::BAD),
        pb::WebhookState::Disabled => ("disabled", style::BAD),
        pb::WebhookState::Active | pb::WebhookState::Unspecified if webhook.failed_attempts > 0 => {
            ("failing", style::CHANGED)
        }
        pb::WebhookState::Active | pb::WebhookState::Unspecified => ("active", style::GOOD),
    };
    let lag = subscription.lag_changes;
    let (position, changes) = match (out.is_terminal(), lag) {
        (false, lag) => (subscription.next_seq.to_string(), lag.to_string()),
        (true, 0) => (format!("at change {}", subscription.next_seq), "all sent".to_owned()),
        (true, lag) => (format!("at change {}", subscription.next_seq), format!("{} to send", count(lag, "change"))),
    };
    let next = instant(webhook.next_attempt_time.as_ref());
    let next = next.map(|time| format!("; next attempt {}", out.time(time)));
    let why = match subscription.restored {
        true => "dates from before a restore; move it with `dateline subscriptions seek`".to_owned(),
        false => format!("{}{}", style::safe_line(&webhook.error), next.unwrap_or_default()),
    };
    let lag_style = if lag == 0 { style::GOOD } else { style::CHANGED };
    [
        (name, style::NAME),
        (state.to_owned(), state_style),
        (position, plain),
        (changes, lag_style),
        (style::safe_line(&webhook.url), plain),
        (why, style::CHANGED),
    ]
}
