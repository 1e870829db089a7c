//! The handler of `ChangeFeedService`: the change feed and durable subscriptions.

mod checkpoints;
mod durable;
mod ending;
mod follow;
mod memory;
mod pages;
mod parked;
mod query;
mod request;
mod show;
mod snapshot;
mod stats;
mod subscribe_target;
mod update_mask;
mod webhook_consumer;
mod webhooks;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Request, Response};

pub use self::memory::Memory;
pub(crate) use self::show::encode as encode_change;
pub use self::stats::{FeedStats, SubscriberKind};
pub use self::webhook_consumer::{NextChanges, WebhookConsumer};
use super::caller::{Caller, PeerPlace, PerPeer};
use super::sink::{Messages, Sink};
use super::status::Refusal;
use super::{Context, RpcResult};
use crate::wire::frame::{EventFrame, PageFrame};
use crate::wire::pb;
use crate::wire::pb::change_feed_service_server::ChangeFeedService;

/// The handler of `ChangeFeedService`.
#[derive(Clone)]
pub struct FeedHandler {
    context: Context,
    /// The streams that may be open at once.
    streams: Arc<Semaphore>,
    streams_max: usize,
    peers: PerPeer,
    per_peer_max: usize,
    stats: Arc<FeedStats>,
}

impl FeedHandler {
    /// Creates a handler that allows `streams_max` open streams, of which one peer may have `per_peer_max`. It counts
    /// them in `stats`.
    pub fn new(context: Context, streams_max: usize, per_peer_max: usize, stats: Arc<FeedStats>) -> Self {
        let streams_max = streams_max.min(Semaphore::MAX_PERMITS);
        let streams = Arc::new(Semaphore::new(streams_max));
        Self { context, streams, streams_max, peers: PerPeer::default(), per_peer_max, stats }
    }

    /// Takes a place among all streams, and one among those of the peer.
    fn place(&self, caller: &Caller) -> Result<StreamPlace, Refusal> {
        let peer_place = match caller.peer {
            None => None,
            Some(peer) => {
                let refused = || Refusal::too_many_streams_of("this address", self.per_peer_max);
                Some(self.peers.take(peer, self.per_peer_max).ok_or_else(refused)?)
            }
        };
        let stream = Arc::clone(&self.streams).try_acquire_owned();
        let permit = stream.map_err(|_| Refusal::too_many_streams(self.streams_max))?;
        Ok(StreamPlace { _permit: permit, _peer_place: peer_place })
    }
}

/// The place of an open stream among all streams and among those of its peer. Dropping it frees both.
struct StreamPlace {
    _permit: OwnedSemaphorePermit,
    _peer_place: Option<PeerPlace>,
}

#[tonic::async_trait]
impl ChangeFeedService for FeedHandler {
    type SubscribeStream = Messages<EventFrame>;

    async fn subscribe(&self, request: Request<pb::SubscribeRequest>) -> RpcResult<Self::SubscribeStream> {
        let caller = Caller::of(&request);
        let place = self.place(&caller)?;
        let subscriber = follow::Subscriber::new(&self.context, caller, request.into_inner()).await?;
        let (sink, received) = Sink::new(1, self.context.stalled_after);
        self.context.subscribers.spawn(subscriber.counted_in(&self.stats).run(sink));
        Ok(Response::new(received.with(place)))
    }

    async fn list_changes(&self, request: Request<pb::ListChangesRequest>) -> RpcResult<PageFrame> {
        Ok(Response::new(self.context.list_changes(&Caller::of(&request), request.into_inner()).await?))
    }

    async fn create_subscription(
        &self,
        request: Request<pb::CreateSubscriptionRequest>,
    ) -> RpcResult<pb::CreateSubscriptionResponse> {
        Ok(Response::new(self.context.create_subscription(&Caller::of(&request), request.into_inner()).await?))
    }

    async fn get_subscription(
        &self,
        request: Request<pb::GetSubscriptionRequest>,
    ) -> RpcResult<pb::GetSubscriptionResponse> {
        let subscription = Some(self.context.get_subscription(&Caller::of(&request), &request.get_ref().name).await?);
        Ok(Response::new(pb::GetSubscriptionResponse { subscription }))
    }

    async fn list_subscriptions(
        &self,
        request: Request<pb::ListSubscriptionsRequest>,
    ) -> RpcResult<pb::ListSubscriptionsResponse> {
        Ok(Response::new(self.context.list_subscriptions(&Caller::of(&request), request.into_inner()).await?))
    }

    async fn delete_subscription(
        &self,
        request: Request<pb::DeleteSubscriptionRequest>,
    ) -> RpcResult<pb::DeleteSubscriptionResponse> {
        self.context.delete_subscription(&Caller::of(&request), request.into_inner()).await?;
        Ok(Response::new(pb::DeleteSubscriptionResponse {}))
    }

    async fn acknowledge_subscription(
        &self,
        request: Request<pb::AcknowledgeSubscriptionRequest>,
    ) -> RpcResult<pb::AcknowledgeSubscriptionResponse> {
        let subscription =
            Some(self.context.acknowledge_subscription(&Caller::of(&request), request.into_inner()).await?);
        Ok(Response::new(pb::AcknowledgeSubscriptionResponse { subscription }))
    }

    async fn seek_subscription(
        &self,
        request: Request<pb::SeekSubscriptionRequest>,
    ) -> RpcResult<pb::SeekSubscriptionResponse> {
        let subscription = Some(self.context.seek_subscription(&Caller::of(&request), request.into_inner()).await?);
        Ok(Response::new(pb::SeekSubscriptionResponse { subscription }))
    }

    async fn update_subscription(
        &self,
        request: Request<pb::UpdateSubscriptionRequest>,
    ) -> RpcResult<pb::UpdateSubscriptionResponse> {
        let subscription = Some(self.context.update_subscription(&Caller::of(&request), request.into_inner()).await?);
        Ok(Response::new(pb::UpdateSubscriptionResponse { subscription }))
    }

    async fn park_change(&self, request: Request<pb::ParkChangeRequest>) -> RpcResult<pb::ParkChangeResponse> {
        let subscription = Some(self.context.park_change(&Caller::of(&request), request.into_inner()).await?);
        Ok(Response::new(pb::ParkChangeResponse { subscription }))
    }

    async fn list_parked_changes(
        &self,
        request: Request<pb::ListParkedChangesRequest>,
    ) -> RpcResult<pb::ListParkedChangesResponse> {
        Ok(Response::new(self.context.list_parked_changes(&Caller::of(&request), request.into_inner()).await?))
    }

    async fn resolve_parked_changes(
        &self,
        request: Request<pb::ResolveParkedChangesRequest>,
    ) -> RpcResult<pb::ResolveParkedChangesResponse> {
        let subscription =
            Some(self.context.resolve_parked_changes(&Caller::of(&request), request.into_inner()).await?);
        Ok(Response::new(pb::ResolveParkedChangesResponse { subscription }))
    }

    async fn test_webhook(&self, request: Request<pb::TestWebhookRequest>) -> RpcResult<pb::TestWebhookResponse> {
        Ok(Response::new(self.context.test_webhook(&Caller::of(&request), request.into_inner()).await?))
    }

    async fn rotate_webhook_key(
        &self,
        request: Request<pb::RotateWebhookKeyRequest>,
    ) -> RpcResult<pb::RotateWebhookKeyResponse> {
        Ok(Response::new(self.context.rotate_webhook_key(&Caller::of(&request), request.into_inner()).await?))
    }
}
