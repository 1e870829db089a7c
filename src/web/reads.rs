//! What pages read: messages of the contract, from the handlers of the service, as the visitor.

use std::sync::Arc;

use http::StatusCode;
use prost::Message;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};
use url::Url;

use super::problem::Problem;
use super::{Options, Sources};
use crate::archive::Archive;
use crate::service::{AdminHandler, ArchiveHandler, Caller, Context, IntegrityHandler, Memory};
use crate::wire::frame::{Frame, PageFrame, ResponseFrame};
use crate::wire::pb;
use crate::wire::pb::admin_service_server::AdminService;
use crate::wire::pb::archive_service_server::ArchiveService;
use crate::wire::pb::as_of::KnownAt;
use crate::wire::pb::integrity_service_server::IntegrityService;
use crate::wire::pb::revision_selector::Selector;

/// The handlers of the service.
#[derive(Clone)]
pub(super) struct Reads {
    context: Context,
    archive: ArchiveHandler,
    admin: AdminHandler,
    integrity: IntegrityHandler,
}

/// Reads a message as `$caller`, and returns the response.
macro_rules! read {
    ($handler:expr, $method:ident, $caller:expr, $request:expr) => {{
        let mut request = Request::new($request);
        request.extensions_mut().insert(Caller::clone($caller));
        let response: Result<Response<_>, Status> = $handler.$method(request).await;
        response?.into_inner()
    }};
}

type Read<T> = Result<T, Problem>;

impl Reads {
    pub(super) fn new(sources: Sources, options: &Options, origin: Url) -> Self {
        let Sources { archive, access, signer, limits } = sources;
        let context = Context {
            archive,
            limits,
            stopping: CancellationToken::new(),
            subscribers: TaskTracker::new(),
            stalled_after: options.stalled_after,
            memory: Memory::default(),
            signer,
            access,
            // Pages change nothing.
            webhooks: None,
            web_url: Some(origin),
            weakenings: Arc::default(),
        };
        Self {
            archive: ArchiveHandler(context.clone()),
            admin: AdminHandler::new(context.clone(), false),
            integrity: IntegrityHandler(context.clone()),
            context,
        }
    }

    /// The archive itself, for what is no message: its durable tail, and waiting for changes.
    pub(super) fn archive(&self) -> &Archive {
        &self.context.archive
    }

    /// Whether the archive signs its log, so that it has proofs.
    pub(super) fn has_proofs(&self) -> bool {
        self.context.signer.is_some()
    }

    pub(super) async fn article(
        &self,
        caller: &Caller,
        request: pb::GetArticleRequest,
    ) -> Read<pb::GetArticleResponse> {
        whole(read!(self.archive, get_article, caller, request))
    }

    pub(super) async fn batch(
        &self,
        caller: &Caller,
        request: pb::BatchGetArticlesRequest,
    ) -> Read<pb::BatchGetArticlesResponse> {
        whole(read!(self.archive, batch_get_articles, caller, request))
    }

    pub(super) async fn revision(
        &self,
        caller: &Caller,
        request: pb::GetRevisionRequest,
    ) -> Read<pb::GetRevisionResponse> {
        whole(read!(self.archive, get_revision, caller, request))
    }

    pub(super) async fn revisions(
        &self,
        caller: &Caller,
        request: pb::ListRevisionsRequest,
    ) -> Read<pb::ListRevisionsResponse> {
        whole(read!(self.archive, list_revisions, caller, request))
    }

    pub(super) async fn articles(
        &self,
        caller: &Caller,
        request: pb::ListArticlesRequest,
    ) -> Read<pb::ListArticlesResponse> {
        whole(read!(self.archive, list_articles, caller, request))
    }

    pub(super) async fn sources(
        &self,
        caller: &Caller,
        request: pb::ListSourcesRequest,
    ) -> Read<pb::ListSourcesResponse> {
        Ok(read!(self.archive, list_sources, caller, request))
    }

    pub(super) async fn lookup(&self, caller: &Caller, url: String) -> Read<pb::LookupArticleResponse> {
        let request = pb::LookupArticleRequest { url, ..pb::LookupArticleRequest::default() };
        whole(read!(self.archive, lookup_article, caller, request))
    }

    pub(super) async fn diff(
        &self,
        caller: &Caller,
        request: pb::DiffRevisionsRequest,
    ) -> Read<pb::DiffRevisionsResponse> {
        Ok(read!(self.archive, diff_revisions, caller, request))
    }

    /// The comparison of a revision with what was in force before it when it was archived, which stays the same.
    ///
    /// Changes of one commit share their archive time, so what was known is what is below its position; but an atomic batch
    /// is known as a whole.
    pub(super) async fn recorded_diff(
        &self,
        caller: &Caller,
        name: String,
        revision: &pb::Revision,
    ) -> Read<pb::DiffRevisionsResponse> {
        let target = pb::RevisionSelector { selector: Some(Selector::RevisionNumber(revision.number)) };
        let known = |known_at| pb::DiffRevisionsRequest {
            name: name.clone(),
            target: Some(target),
            as_of: Some(pb::AsOf { known_at: Some(known_at), ..pb::AsOf::default() }),
            ..pb::DiffRevisionsRequest::default()
        };
        match self.diff(caller, known(KnownAt::NextSeq(revision.seq + 1))).await {
            Err(problem) if problem.status() == StatusCode::NOT_FOUND => {
                let archived = revision.archive_time.unwrap_or_default();
                self.diff(caller, known(KnownAt::ArchiveTime(archived))).await
            }
            diff => diff,
        }
    }

    pub(super) async fn original(
        &self,
        caller: &Caller,
        name: String,
    ) -> Read<<ArchiveHandler as ArchiveService>::ReadOriginalStream> {
        let request = pb::ReadOriginalRequest { name, ..pb::ReadOriginalRequest::default() };
        Ok(read!(self.archive, read_original, caller, request))
    }

    pub(super) async fn status(&self, caller: &Caller) -> Read<pb::GetStatusResponse> {
        Ok(read!(self.admin, get_status, caller, pb::GetStatusRequest {}))
    }

    pub(super) async fn checkpoint(&self, caller: &Caller) -> Read<pb::GetCheckpointResponse> {
        Ok(read!(self.integrity, get_checkpoint, caller, pb::GetCheckpointRequest::default()))
    }

    pub(super) async fn log_keys(&self, caller: &Caller) -> Read<pb::ListLogKeysResponse> {
        Ok(read!(self.integrity, list_log_keys, caller, pb::ListLogKeysRequest {}))
    }

    pub(super) async fn proof(&self, caller: &Caller, revision: String) -> Read<pb::GetInclusionProofResponse> {
        let change = Some(pb::get_inclusion_proof_request::Change::Revision(revision));
        let request = pb::GetInclusionProofRequest { change, ..pb::GetInclusionProofRequest::default() };
        Ok(read!(self.integrity, get_inclusion_proof, caller, request))
    }
}

/// The message of a response of which parts are encoded already.
fn whole<M: Message + Default>(frame: impl FrameOf<M>) -> Read<M> {
    let mut bytes = Vec::with_capacity(frame.encoded_len());
    frame.encode(&mut bytes);
    M::decode(bytes.as_slice()).map_err(|error| {
        tracing::error!(%error, "a response of the service could not be read");
        Problem::internal()
    })
}

/// A frame whose encoding is that of the message.
trait FrameOf<M>: Frame {}

impl<M: Message + 'static> FrameOf<M> for ResponseFrame<M> {}

impl FrameOf<pb::ListChangesResponse> for PageFrame {}
