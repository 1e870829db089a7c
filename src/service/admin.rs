//! The handler of `AdminService`: status, verification and backup.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Request, Response, Status};

use super::Context;
use super::backup::{self, BackupSender};
use super::caller::Caller;
use super::sink::{Messages, Sink};
use super::status::Refusal;
use crate::access::Permission;
use crate::archive::error::Unavailable;
use crate::archive::{ArchiveError, ClockFault, FORMAT_VERSION, VERIFICATIONS_MAX};
use crate::model::Limits;
use crate::wire::pb::admin_service_server::AdminService;
use crate::wire::{pb, snapshot_to_pb, timestamp_to_pb};

/// The number of backups that may be open at once. Each holds one or two segments in memory; few of them are read at
/// the same time.
const BACKUPS_MAX: usize = 16;

/// The handler of `AdminService`.
#[derive(Clone)]
pub struct AdminHandler {
    context: Context,
    backups: Arc<Semaphore>,
    verifications: Arc<Semaphore>,
    allow_expunge: bool,
}

impl AdminHandler {
    /// Creates the handler. Its clones share the limits on backups and verifications.
    /// `allow_expunge` says whether texts may be destroyed through it.
    pub fn new(context: Context, allow_expunge: bool) -> Self {
        let verifications = Arc::new(Semaphore::new(VERIFICATIONS_MAX));
        Self { context, backups: Arc::new(Semaphore::new(BACKUPS_MAX)), verifications, allow_expunge }
    }
}

#[tonic::async_trait]
impl AdminService for AdminHandler {
    type VerifyStream = Messages<pb::VerifyResponse>;

    async fn verify(&self, _request: Request<pb::VerifyRequest>) -> Result<Response<Self::VerifyStream>, Status> {
        Ok(Response::new(self.context.verify(place(&self.verifications, VERIFICATIONS_MAX)?)))
    }

    type StreamBackupStream = Messages<pb::StreamBackupResponse>;

    async fn stream_backup(
        &self,
        request: Request<pb::StreamBackupRequest>,
    ) -> Result<Response<Self::StreamBackupStream>, Status> {
        let place = place(&self.backups, BACKUPS_MAX)?;
        let since = backup::since(request.into_inner().since)?;
        let backup = self.context.archive.stream_backup(since).await.map_err(backup::of_start)?;
        let estimated_bytes = backup.estimated_bytes().await.map_err(Refusal::from)?;
        let (sink, received) = Sink::new(1, self.context.stalled_after);
        let sending = BackupSender::new(sink, &self.context);
        self.context.subscribers.spawn(async move {
            sending.send(backup, estimated_bytes).await;
            drop(place);
        });
        Ok(Response::new(received))
    }

    async fn expunge_revisions(
        &self,
        request: Request<pb::ExpungeRevisionsRequest>,
    ) -> Result<Response<pb::ExpungeRevisionsResponse>, Status> {
        Ok(Response::new(self.context.expunge_revisions(request, self.allow_expunge).await?))
    }

    async fn get_status(
        &self,
        request: Request<pb::GetStatusRequest>,
    ) -> Result<Response<pb::GetStatusResponse>, Status> {
        let is_administrator = Caller::of(&request).may_everywhere(Permission::Admin);
        let archive = &self.context.archive;
        let info = archive.info();
        let clock = archive.clock_fault();
        let destruction_pending = archive.destruction_pending().await.map_err(Refusal::from)?;
        let refusal = archive.check_writable().await.err();
        let witnesses = self.context.signer.iter().flat_map(|signer| signer.witnesses());
        let state = match &refusal {
            None => pb::StorageState::Serving,
            Some(ArchiveError::Unavailable(Unavailable::StorageFull { .. })) => pb::StorageState::Full,
            Some(_) => pb::StorageState::Failed,
        };
        let webhooks = archive.stats().webhooks;
        let status = pb::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            format_version: FORMAT_VERSION,
            archive_id: info.id.to_vec(),
            snapshot: Some(snapshot_to_pb(&archive.tail())),
            article_count: archive.article_count(),
            disk_bytes: archive.disk_bytes().await.map_err(Refusal::from)?,
            storage_state: state.into(),
            storage_message: refusal.map(|refusal| refusal.to_string()).unwrap_or_default(),
            start_time: Some(timestamp_to_pb(info.opened)),
            queued_writes: u32::try_from(archive.queued_writes()).unwrap_or(u32::MAX),
            clock_message: archive.clock_message().unwrap_or_default(),
            clock_behind: clock.and_then(|fault| match fault {
                ClockFault::Behind { by, .. } => prost_types::Duration::try_from(by).ok(),
                ClockFault::JumpedAhead { .. } => None,
            }),
            limits: Some(limits_to_pb(&self.context.limits)),
            destruction_pending_since: destruction_pending.map(timestamp_to_pb),
            witnesses: witnesses.map(|witness| witness.as_ref().into()).collect(),
            weakenings: self.context.weakenings.iter().map(|weakening| i32::from(*weakening)).collect(),
            webhook_count: webhooks.active + webhooks.stopped,
            stopped_webhook_count: webhooks.stopped,
            web_url: self.context.web_url.as_ref().map(ToString::to_string).unwrap_or_default(),
        };
        if is_administrator {
            return Ok(Response::new(status));
        }
        // What every client needs; the rest says what others do, and how the server is doing.
        Ok(Response::new(pb::GetStatusResponse {
            version: status.version,
            format_version: status.format_version,
            archive_id: status.archive_id,
            snapshot: status.snapshot,
            storage_state: status.storage_state,
            limits: status.limits,
            web_url: status.web_url,
            ..pb::GetStatusResponse::default()
        }))
    }
}

fn limits_to_pb(limits: &Limits) -> pb::Limits {
    let count = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
    pb::Limits {
        content_bytes_max: limits.content_bytes_max as u64,
        original_bytes_max: limits.original_bytes_max as u64,
        url_bytes_max: count(limits.url_bytes_max),
        urls_max: count(limits.urls_max),
        batch_items_max: count(limits.batch_items_max),
        batch_bytes_max: limits.batch_bytes_max as u64,
        labels_max: count(limits.labels_max),
        page_size_max: count(limits.page_size_max),
    }
}

/// Takes one of the `places_max` places for streams of one kind.
fn place(places: &Arc<Semaphore>, places_max: usize) -> Result<OwnedSemaphorePermit, Refusal> {
    Arc::clone(places).try_acquire_owned().map_err(|_| Refusal::too_many_streams(places_max))
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    /// A verification reads the whole archive. It occupies its place until its client has the result or is gone.
    #[tokio::test]
    async fn no_more_than_two_verifications_run_at_once() {
        let handler = AdminHandler::new(Context::in_memory(), false);
        let verify = || handler.verify(Request::new(pb::VerifyRequest {}));
        let first = verify().await.unwrap();
        let second = verify().await.unwrap();
        let refused = verify().await.err().unwrap();
        assert_eq!(refused.get_details_error_info().unwrap().reason, "TOO_MANY_STREAMS");
        drop(first);
        while verify().await.is_err() {
            tokio::task::yield_now().await;
        }
        drop(second);
    }
}
