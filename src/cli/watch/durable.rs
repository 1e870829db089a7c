//! The place of a watch that the archive keeps.

use tonic::transport::Channel;

use super::kinds;
use crate::cli::connect::Session;
use crate::cli::exit::{Exit, Failure};
use crate::cli::feed_args::{Start, WatchArgs};
use crate::cli::output::Output;
use crate::client::ServerError;
use crate::model::{Limits, RequestDigest, SubscriptionId};
use crate::wire::pb::change_feed_service_client::ChangeFeedServiceClient;
use crate::wire::token::query_digest;
use crate::wire::{self, pb};

/// A durable subscription that this process is a consumer of.
pub(super) struct Durable {
    feed: ChangeFeedServiceClient<Channel>,
    id: SubscriptionId,
    name: String,
    /// All changes below this are acknowledged.
    acknowledged_next_seq: u64,
    /// All changes below this were dealt with by this process. After a lost connection some of them come again.
    done_next_seq: u64,
}

impl Durable {
    /// Finds the subscription, or makes it as the arguments say.
    pub(super) async fn find_or_make(
        session: &Session,
        id: &SubscriptionId,
        args: &WatchArgs,
        filter: &pb::ArticleFilter,
        out: &Output,
    ) -> Result<Self, Failure> {
        let found = match find(session, id).await? {
            Some(found) => {
                check(&found, id, args, filter)?;
                if args.from.is_some_and(|from| from != Start::Seq(found.next_seq)) {
                    out.note(format_args!(
                        "dateline: {0} goes on at change {1}; --from is for a new one, and `dateline subscriptions seek \
                         {0}` moves it",
                        id.as_str(),
                        found.next_seq
                    ));
                }
                found
            }
            None => {
                let made = make(session, id, args, filter).await?;
                // One that was made after the last backup is gone after a restore: its consumer sees that here.
                out.note(format_args!("dateline: {} is new, and begins at change {}", id.as_str(), made.next_seq));
                made
            }
        };
        let (acknowledged_next_seq, done_next_seq) = (found.next_seq, found.next_seq);
        Ok(Self { feed: session.feed(), id: id.clone(), name: id.to_string(), acknowledged_next_seq, done_next_seq })
    }

    /// The resource name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The name as a person gives it.
    pub(super) fn id(&self) -> &str {
        self.id.as_str()
    }

    /// A stream begins behind what was acknowledged. One that begins before what we acknowledged is of a subscription that
    /// was moved back: what comes from there is to be delivered again.
    pub(super) fn begins_at(&mut self, next_seq: u64) {
        if next_seq < self.acknowledged_next_seq {
            (self.acknowledged_next_seq, self.done_next_seq) = (next_seq, next_seq);
        }
    }

    /// Whether a change was not dealt with yet.
    pub(super) fn is_new(&self, change: &pb::Change) -> bool {
        change.seq >= self.done_next_seq
    }

    /// A change was dealt with.
    pub(super) fn done(&mut self, change: &pb::Change) {
        self.done_next_seq = change.seq.saturating_add(1);
    }

    /// Tells the archive that all changes below `next_seq` were dealt with, and answers whether the epoch holds. A broken
    /// connection is no failure: the next acknowledgement says this too.
    pub(super) async fn acknowledge(&mut self, next_seq: u64, epoch: u64) -> Result<bool, Failure> {
        if next_seq <= self.acknowledged_next_seq {
            return Ok(true);
        }
        let request = pb::AcknowledgeSubscriptionRequest { name: self.name.clone(), epoch, next_seq };
        match self.feed.acknowledge_subscription(request).await.map_err(ServerError::from) {
            Ok(_) => {
                self.acknowledged_next_seq = next_seq;
                Ok(true)
            }
            Err(error) if error.is_passing() => Ok(true),
            Err(error) if error.reason == "CONSUMER_FENCED" => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

async fn find(session: &Session, id: &SubscriptionId) -> Result<Option<pb::Subscription>, Failure> {
    let request = pb::GetSubscriptionRequest { name: id.to_string() };
    match session.feed().get_subscription(request).await.map_err(ServerError::from) {
        Ok(found) => Ok(Some(found.into_inner().subscription.unwrap_or_default())),
        Err(error) if error.reason == "SUBSCRIPTION_UNKNOWN" => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn make(
    session: &Session,
    id: &SubscriptionId,
    args: &WatchArgs,
    filter: &pb::ArticleFilter,
) -> Result<pb::Subscription, Failure> {
    let subscription =
        pb::Subscription { filter: Some(filter.clone()), kinds: kinds(args), ..pb::Subscription::default() };
    let request = pb::CreateSubscriptionRequest {
        subscription_id: id.as_str().to_owned(),
        subscription: Some(subscription),
        start: Some(args.from.unwrap_or(Start::Now).to_pb()),
    };
    let made = session.feed().create_subscription(request).await?;
    Ok(made.into_inner().subscription.unwrap_or_default())
}

/// What is given must be what the subscription has, however it is written.
fn check(
    found: &pb::Subscription,
    id: &SubscriptionId,
    args: &WatchArgs,
    filter: &pb::ArticleFilter,
) -> Result<(), Failure> {
    let same = |filters: [Option<pb::ArticleFilter>; 2], kinds: [&[i32]; 2]| {
        let ([given, found], [given_kinds, found_kinds]) = (filters, kinds);
        Ok::<_, Failure>(digest(given, given_kinds)? == digest(found, found_kinds)?)
    };
    let other = |what: &str| {
        let id = id.as_str();
        Failure::new(Exit::Usage, format!("the subscription {id} has {what}, and that never changes")).hint(format!(
            "leave the choice out to go on with it as it is, or take another name; `dateline subscriptions delete {id}` \
             makes room for a new one"
        ))
    };
    let chosen = *filter != pb::ArticleFilter::default();
    if chosen && !same([Some(filter.clone()), found.filter.clone()], [&[], &[]])? {
        return Err(other("another filter"));
    }
    if !args.kind.is_empty() && !same([None, None], [&kinds(args), &found.kinds])? {
        return Err(other("other kinds of change"));
    }
    Ok(())
}

/// The digest by which the server, too, tells one choice of changes from another.
fn digest(filter: Option<pb::ArticleFilter>, kinds: &[i32]) -> Result<RequestDigest, Failure> {
    let query = wire::feed_query(filter, kinds, &Limits::default());
    query.map(|query| query_digest(&query)).map_err(|error| Failure::new(Exit::Usage, error))
}
