//! `subscriptions`: lists, moves, updates and deletes durable subscriptions, and deals with their parked changes.

mod parked;

use super::args::feed::{Kind, Start, SubscriptionsAction, SubscriptionsArgs, UpdateArgs, View};
use super::connect::Session;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::table::messages;
use super::{count, style, times};
use crate::model::SubscriptionId;
use crate::wire::pb;

const PAGE_SIZE: i32 = 1_000;

pub(super) async fn run(session: &Session, args: &SubscriptionsArgs, out: &mut Output) -> Result<(), Failure> {
    match &args.action {
        None => list(session, out).await,
        Some(SubscriptionsAction::Delete { name }) => delete(session, name, out).await,
        Some(SubscriptionsAction::Seek { name, from }) => seek(session, name, *from, out).await,
        Some(SubscriptionsAction::Update(args)) => update(session, args, out).await,
        Some(SubscriptionsAction::Parked { name, view }) => parked::list(session, name, *view, out).await,
        Some(SubscriptionsAction::Retry { name, exec, view }) => parked::retry(session, name, exec, *view, out).await,
        Some(SubscriptionsAction::Resolve { name, seqs }) => parked::resolve(session, name, seqs, out).await,
    }
}

async fn list(session: &Session, out: &mut Output) -> Result<(), Failure> {
    let mut request = pb::ListSubscriptionsRequest { page_size: PAGE_SIZE, page_token: String::new() };
    while !out.is_closed() {
        let page = session.feed().list_subscriptions(request.clone()).await?.into_inner();
        print(&page.subscriptions, out)?;
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    Ok(())
}

async fn delete(session: &Session, id: &SubscriptionId, out: &mut Output) -> Result<(), Failure> {
    let request = pb::DeleteSubscriptionRequest { name: id.to_string(), ..Default::default() };
    session.feed().delete_subscription(request).await?;
    if out.is_terminal() && !out.json {
        out.line(format_args!("deleted  {}", out.painter().paint(style::NAME, id.as_str())))?;
    }
    Ok(())
}

async fn seek(session: &Session, id: &SubscriptionId, from: Start, out: &mut Output) -> Result<(), Failure> {
    let request = pb::SeekSubscriptionRequest { name: id.to_string(), start: Some(from.to_pb()), ..Default::default() };
    let moved = session.feed().seek_subscription(request).await?.into_inner();
    print(moved.subscription.as_slice(), out)
}

async fn update(session: &Session, args: &UpdateArgs, out: &mut Output) -> Result<(), Failure> {
    let mut filter = args.filter.to_pb();
    for article in &args.article {
        filter.articles.push(article.resolve(session, None, None).await?);
    }
    let has_filter = args.all_articles || filter != pb::ArticleFilter::default();
    let has_kinds = args.default_kinds || !args.kind.is_empty();
    let paths = [("filter", has_filter), ("kinds", has_kinds)];
    let paths: Vec<_> = paths.into_iter().filter(|(_, is_set)| *is_set).map(|(path, _)| path.to_owned()).collect();
    if paths.is_empty() {
        let message = "nothing to update; say which articles or which kinds of change to select";
        return Err(Failure::new(Exit::Usage, message)
            .hint("--all-articles selects all articles, and --default-kinds all kinds but sighted"));
    }
    let subscription = pb::Subscription {
        name: args.name.to_string(),
        filter: Some(filter),
        kinds: args.kind.iter().copied().map(Kind::to_pb).map(i32::from).collect(),
        ..pb::Subscription::default()
    };
    let request = pb::UpdateSubscriptionRequest {
        subscription: Some(subscription),
        update_mask: Some(prost_types::FieldMask { paths }),
    };
    let updated = session.feed().update_subscription(request).await.map_err(|error| Failure::of_call(error.into()))?;
    print(updated.into_inner().subscription.as_slice(), out)
}

fn print(subscriptions: &[pb::Subscription], out: &mut Output) -> Result<(), Failure> {
    messages(subscriptions, row, out)
}

/// The columns: name, position, lag in changes, lag in time, parked changes, and consumer.
fn row(subscription: &pb::Subscription, out: &Output) -> [(String, anstyle::Style); 6] {
    let plain = anstyle::Style::new();
    let name = subscription.name.strip_prefix("subscriptions/").unwrap_or(&subscription.name).to_owned();
    let lag = subscription.lag_changes;
    let seconds = subscription.lag.as_ref().map_or(0, |lag| lag.seconds);
    let (position, changes, time) = if out.is_terminal() {
        let changes = match lag {
            0 => "caught up".to_owned(),
            lag => format!("{} behind", count(lag, "change")),
        };
        let time = if lag == 0 { String::new() } else { times::span(seconds) };
        (format!("at change {}", subscription.next_seq), changes, time)
    } else {
        (subscription.next_seq.to_string(), lag.to_string(), seconds.to_string())
    };
    let lag_style = if lag == 0 { style::GOOD } else { style::CHANGED };
    let nobody = if out.is_terminal() { "no consumer" } else { "-" };
    let attached = subscription.consumer.as_ref().filter(|consumer| consumer.attached);
    let consumer = match attached {
        Some(consumer) => label(&consumer.label),
        None if subscription.restored => "held since a restore; use seek".to_owned(),
        None if subscription.webhook.is_some() => "webhook that sends nothing".to_owned(),
        None => nobody.to_owned(),
    };
    let parked = match subscription.parked_count {
        0 if out.is_terminal() => String::new(),
        count if out.is_terminal() => format!("{count} parked"),
        count => count.to_string(),
    };
    [
        (name, style::NAME),
        (position, plain),
        (changes, lag_style),
        (time, style::FAINT),
        (parked, style::CHANGED),
        (consumer, plain),
    ]
}

/// The label of an attached consumer; `attached` if it has none.
fn label(label: &str) -> String {
    match style::safe_line(label) {
        label if label.is_empty() => "attached".to_owned(),
        label => label,
    }
}
