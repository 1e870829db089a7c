//! The position of a watch that the archive keeps.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::kinds;
use crate::cli::args::feed::{Start, WatchArgs};
use crate::cli::connect::Session;
use crate::cli::exit::{Exit, Failure};
use crate::cli::field_names::option_of;
use crate::cli::output::Output;
use crate::client::Connection;
use crate::client::ServerError;
use crate::model::{Limits, RequestDigest, SubscriptionId};
use crate::wire::pb::change_feed_service_client::ChangeFeedServiceClient;
use crate::wire::token::query_digest;
use crate::wire::{self, FieldErrors, pb};

/// How long to wait before a change is parked again whose first request got no reply.
const PARK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The outcome of a request to park a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parked {
    Yes,
    /// The epoch is no longer current, so the change is delivered again.
    Fenced,
    /// A signal asked to stop before the server replied.
    Stopped,
}

/// A durable subscription to which this process is attached as the consumer.
pub(super) struct Durable {
    feed: ChangeFeedServiceClient<Connection>,
    id: SubscriptionId,
    name: String,
    /// All changes below this position are acknowledged.
    acknowledged_next_seq: u64,
    /// This process has processed all changes below this position. After a lost connection, some of them are delivered
    /// again.
    done_next_seq: u64,
}

impl Durable {
    /// Finds the subscription, or creates it from the arguments.
    pub(super) async fn find_or_create(
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
                        "dateline: {0} is at change {1}; --from is for a new one, and `dateline subscriptions seek \
                         {0}` moves it",
                        id.as_str(),
                        found.next_seq
                    ));
                }
                found
            }
            None => {
                let created = create(session, id, args, filter).await?;
                // After a restore, a subscription that was created after the backup is missing. From this note, its
                // consumer learns that it begins again.
                out.note(format_args!(
                    "dateline: created {}, which begins at change {}",
                    id.as_str(),
                    created.next_seq
                ));
                created
            }
        };
        let (acknowledged_next_seq, done_next_seq) = (found.next_seq, found.next_seq);
        Ok(Self { feed: session.feed(), id: id.clone(), name: id.to_string(), acknowledged_next_seq, done_next_seq })
    }

    /// The resource name, `subscriptions/{id}`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The name as typed on the command line.
    pub(super) fn id(&self) -> &str {
        self.id.as_str()
    }

    /// Sets where a stream begins. If that is below the acknowledged position, the subscription was moved back, and the
    /// changes from there on are processed again.
    pub(super) fn begins_at(&mut self, next_seq: u64) {
        if next_seq < self.acknowledged_next_seq {
            (self.acknowledged_next_seq, self.done_next_seq) = (next_seq, next_seq);
        }
    }

    /// Whether a change was not processed yet.
    pub(super) fn is_new(&self, change: &pb::Change) -> bool {
        change.seq >= self.done_next_seq
    }

    /// Records that a change was processed.
    pub(super) fn done(&mut self, change: &pb::Change) {
        self.done_next_seq = change.seq.saturating_add(1);
    }

    /// Acknowledges that all changes below `next_seq` were processed. Returns whether the epoch is still current. A
    /// broken connection is not an error, since the next acknowledgement covers the same changes.
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
            Err(error) => Err(Failure::of_call(error)),
        }
    }

    /// Parks a change. A broken connection is no reason to skip the change, so this repeats the request until the
    /// server replies.
    pub(super) async fn park(
        &mut self,
        request: pb::ParkChangeRequest,
        stopping: &CancellationToken,
    ) -> Result<Parked, Failure> {
        loop {
            match self.feed.park_change(request.clone()).await.map_err(ServerError::from) {
                Ok(_) => return Ok(Parked::Yes),
                Err(error) if error.reason == "CONSUMER_FENCED" => return Ok(Parked::Fenced),
                Err(error) if error.is_passing() => {}
                Err(error) => return Err(Failure::of_call(error)),
            }
            tokio::select! {
                () = stopping.cancelled() => return Ok(Parked::Stopped),
                () = tokio::time::sleep(PARK_AGAIN_AFTER) => {}
            }
        }
    }
}

async fn find(session: &Session, id: &SubscriptionId) -> Result<Option<pb::Subscription>, Failure> {
    let request = pb::GetSubscriptionRequest { name: id.to_string() };
    match session.feed().get_subscription(request).await.map_err(ServerError::from) {
        Ok(found) => Ok(Some(found.into_inner().subscription.unwrap_or_default())),
        Err(error) if error.reason == "SUBSCRIPTION_UNKNOWN" => Ok(None),
        Err(error) => Err(Failure::of_call(error)),
    }
}

async fn create(
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
    let created = session.feed().create_subscription(request).await?;
    Ok(created.into_inner().subscription.unwrap_or_default())
}

/// Checks that the filter and kinds on the command line, if any, equal those of the subscription, even if they are
/// written differently.
fn check(
    found: &pb::Subscription,
    id: &SubscriptionId,
    args: &WatchArgs,
    filter: &pb::ArticleFilter,
) -> Result<(), Failure> {
    let differs = |what: &str| {
        let id = id.as_str();
        let message = format!("{what} is not that of the subscription {id}");
        Failure::new(Exit::Usage, message).hint(format!(
            "leave {what} out to continue it, or use another name; `dateline subscriptions update {id}` changes it"
        ))
    };
    let has_filter = *filter != pb::ArticleFilter::default();
    if has_filter && digest(Some(filter.clone()), &[])? != digest(found.filter.clone(), &[])? {
        return Err(differs("the filter"));
    }
    if !args.kind.is_empty() && digest(None, &kinds(args))? != digest(None, &found.kinds)? {
        return Err(differs("--kind"));
    }
    Ok(())
}

/// Lists invalid fields by the options that set them.
fn by_option(errors: &FieldErrors) -> String {
    let lines = errors.listed().iter().map(|error| format!("{}: {}", option_of(&error.path), error.problem));
    lines.collect::<Vec<_>>().join("\n  ")
}

/// The digest of a filter and kinds. The server distinguishes them by the same digest.
fn digest(filter: Option<pb::ArticleFilter>, kinds: &[i32]) -> Result<RequestDigest, Failure> {
    let query = wire::feed_query(filter, kinds, &Limits::default());
    query.map(|query| query_digest(&query)).map_err(|errors| Failure::new(Exit::Usage, by_option(&errors)))
}
