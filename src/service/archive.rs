//! The handler of `ArchiveService`: writes and reads of articles.

use std::collections::HashSet;
use std::pin::Pin;

use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::caller::Caller;
use super::operation::{self, ArticleRequest, ParsedObservation};
use super::sink::Messages;
use super::status::Refusal;
use super::{Context, RpcResult, import, page_space, render, view};
use crate::access::Permission;
use crate::archive::ReadPoint;
use crate::archive::read::article::View;
use crate::archive::read::compare::StateSelector;
use crate::archive::request::{Action, Operation, Outcome, Receipt, WriteMode};
use crate::model::name::parse_revision_name;
use crate::model::{ArticleName, AsOf, KnownAt, Seq, Timestamp};
use crate::wire::frame::ResponseFrame;
use crate::wire::pb::archive_service_server::ArchiveService;
use crate::wire::token::request_digest;
use crate::wire::{self, FieldError, FieldErrors, all, diff_to_pb, pb, snapshot_to_pb, word_delta_to_pb};

/// The most articles that one call may read whole, since each may have 1 MiB.
const FULL_ARTICLES_MAX: usize = 100;

/// The handler of `ArchiveService`.
#[derive(Clone)]
pub struct ArchiveHandler(pub Context);

/// Extracts the fields that rollbacks and state changes share. The generated messages have the same fields but no
/// common trait.
macro_rules! article_request {
    ($request:expr) => {{
        let mut request = $request.clone();
        request.validate_only = false;
        let digest = request_digest(&request);
        ArticleRequest {
            name: request.name,
            observe_time: request.observe_time,
            precondition: request.precondition,
            request_id: request.request_id,
            digest,
        }
    }};
}

/// Renders the result of changing an article. As with [`article_request`], the messages have the same fields.
macro_rules! article_response {
    ($message:ident, $changed:expr) => {{
        let ArticleChanged { article, changed, replayed, snapshot, etag, state } = $changed;
        Response::new(pb::$message { article: Some(article), changed, replayed, snapshot, etag, state: state.into() })
    }};
}

#[tonic::async_trait]
impl ArchiveService for ArchiveHandler {
    type ImportObservationsStream = Pin<Box<dyn Stream<Item = Result<pb::ImportObservationsResponse, Status>> + Send>>;

    async fn record_observation(
        &self,
        request: Request<pb::RecordObservationRequest>,
    ) -> RpcResult<pb::RecordObservationResponse> {
        let caller = Caller::of(&request);
        let request = request.into_inner();
        let mode = write_mode(request.validate_only);
        let ParsedObservation { operation, warnings } =
            operation::observation(&self.0, request).map_err(Refusal::from)?;
        let written = self.write_one(&caller, operation, mode).await?;
        Ok(Response::new(render::recorded(&written, warnings)))
    }

    async fn batch_record_observations(
        &self,
        request: Request<pb::BatchRecordObservationsRequest>,
    ) -> RpcResult<pb::BatchRecordObservationsResponse> {
        Ok(Response::new(self.record_batch(&Caller::of(&request), request.into_inner().requests).await?))
    }

    async fn import_observations(
        &self,
        request: Request<Streaming<pb::ImportObservationsRequest>>,
    ) -> RpcResult<Self::ImportObservationsStream> {
        Ok(Response::new(Box::pin(import::start(self.0.clone(), Caller::of(&request), request.into_inner()))))
    }

    async fn get_article(
        &self,
        request: Request<pb::GetArticleRequest>,
    ) -> RpcResult<ResponseFrame<pb::GetArticleResponse>> {
        let caller = Caller::of(&request);
        let request = request.into_inner();
        let name = article_name("name", &request.name);
        let view = view(request.view, View::Full);
        let as_of = wire::as_of(request.as_of);
        let (name, as_of, view) = all!(name, as_of, view).map_err(Refusal::from)?;
        caller.require(Permission::Read, &name.source)?;
        let point = self.0.read_point(as_of, request.min_next_seq).await?;
        let article = self.0.archive.article(point, name, view).await.map_err(Refusal::from)?;
        let snapshot = Some(snapshot_to_pb(&point.snapshot));
        let rest = pb::GetArticleResponse { article: None, snapshot };
        let encoded = vec![render::encoded_article(article, &caller.scope(Permission::Read))];
        Ok(Response::new(ResponseFrame { encoded, rest }))
    }

    async fn get_revision(
        &self,
        request: Request<pb::GetRevisionRequest>,
    ) -> RpcResult<ResponseFrame<pb::GetRevisionResponse>> {
        let caller = Caller::of(&request);
        let request = request.into_inner();
        let name = parse_revision_name(&request.name).map_err(|error| FieldError::invalid("name", error));
        let view = view(request.view, View::Full);
        let as_of = wire::as_of(request.as_of);
        let ((name, selector), as_of, view) = all!(name, as_of, view).map_err(Refusal::from)?;
        caller.require(Permission::Read, &name.source)?;
        let point = self.0.read_point(as_of, request.min_next_seq).await?;
        let revision = self.0.archive.revision(point, name, selector, view).await.map_err(Refusal::from)?;
        let revision = if request.include_original { self.0.with_original(point, revision).await? } else { revision };
        let snapshot = Some(snapshot_to_pb(&point.snapshot));
        let rest = pb::GetRevisionResponse { revision: None, snapshot };
        Ok(Response::new(ResponseFrame { encoded: vec![render::encoded_revision(&revision)], rest }))
    }

    type ReadOriginalStream = Messages<pb::ReadOriginalResponse>;

    async fn read_original(&self, request: Request<pb::ReadOriginalRequest>) -> RpcResult<Self::ReadOriginalStream> {
        let caller = Caller::of(&request);
        Ok(Response::new(self.0.read_original(&caller, request.into_inner()).await?))
    }

    async fn batch_get_articles(
        &self,
        request: Request<pb::BatchGetArticlesRequest>,
    ) -> RpcResult<ResponseFrame<pb::BatchGetArticlesResponse>> {
        let caller = Caller::of(&request);
        let request = request.into_inner();
        let view = view(request.view, View::Basic);
        let names = self.batch_names(&request.names, *view.as_ref().unwrap_or(&View::Basic));
        let as_of = wire::as_of(request.as_of);
        let (names, as_of, view) = all!(names, as_of, view).map_err(Refusal::from)?;
        for name in &names {
            caller.require(Permission::Read, &name.source)?;
        }
        let point = self.0.read_point(as_of, request.min_next_seq).await?;
        let found = self.0.archive.articles(point, names, view).await.map_err(Refusal::from)?;
        let mut answer = pb::BatchGetArticlesResponse {
            snapshot: Some(snapshot_to_pb(&point.snapshot)),
            ..pb::BatchGetArticlesResponse::default()
        };
        let (within, mut encoded) = (caller.scope(Permission::Read), Vec::new());
        let mut room = page_space::PageSpace::default();
        let mut found = found.into_iter();
        for name in request.names {
            match found.next().filter(|_| answer.unread_names.is_empty()) {
                None => answer.unread_names.push(name),
                Some(None) => answer.missing_names.push(name),
                Some(Some(article)) => {
                    let article = render::encoded_article(article, &within);
                    if room.has(article.len()) { encoded.push(article) } else { answer.unread_names.push(name) }
                }
            }
        }
        Ok(Response::new(ResponseFrame { encoded, rest: answer }))
    }

    async fn list_articles(
        &self,
        request: Request<pb::ListArticlesRequest>,
    ) -> RpcResult<ResponseFrame<pb::ListArticlesResponse>> {
        let caller = Caller::of(&request);
        Ok(Response::new(self.0.list_articles(&caller, request.into_inner()).await?))
    }

    async fn list_sources(&self, request: Request<pb::ListSourcesRequest>) -> RpcResult<pb::ListSourcesResponse> {
        let caller = Caller::of(&request);
        Ok(Response::new(self.0.list_sources(&caller, request.into_inner()).await?))
    }

    async fn list_revisions(
        &self,
        request: Request<pb::ListRevisionsRequest>,
    ) -> RpcResult<ResponseFrame<pb::ListRevisionsResponse>> {
        let caller = Caller::of(&request);
        Ok(Response::new(self.0.list_revisions(&caller, request.into_inner()).await?))
    }

    async fn lookup_article(
        &self,
        request: Request<pb::LookupArticleRequest>,
    ) -> RpcResult<ResponseFrame<pb::LookupArticleResponse>> {
        let caller = Caller::of(&request);
        let request = request.into_inner();
        let key = wire::check_url("url", &request.url, &self.0.limits);
        let view = view(request.view, View::Basic);
        let as_of = wire::as_of(request.as_of);
        let (key, as_of, view) = all!(key, as_of, view).map_err(Refusal::from)?;
        let point = self.0.read_point(as_of, request.min_next_seq).await?;
        let within = caller.scope(Permission::Read);
        let article = self.0.archive.article_by_url(point, request.url, key.clone(), within.clone(), view).await;
        let encoded = vec![render::encoded_article(article.map_err(Refusal::from)?, &within)];
        let (url_key, snapshot) = (key.as_str().to_owned(), Some(snapshot_to_pb(&point.snapshot)));
        let rest = pb::LookupArticleResponse { article: None, url_key, snapshot };
        Ok(Response::new(ResponseFrame { encoded, rest }))
    }

    async fn diff_revisions(&self, request: Request<pb::DiffRevisionsRequest>) -> RpcResult<pb::DiffRevisionsResponse> {
        let caller = Caller::of(&request);
        let request = request.into_inner();
        let name = article_name("name", &request.name);
        let base = state_selector("base", request.base);
        let target = state_selector("target", request.target);
        let as_of = wire::as_of(request.as_of).and_then(|as_of| match as_of.observe_time {
            None => Ok(as_of),
            Some(_) => {
                let problem = "must be unset; select instants with base and target instead";
                Err(FieldError::invalid("as_of.observe_time", problem).into())
            }
        });
        let (name, base, target, as_of) = all!(name, base, target, as_of).map_err(Refusal::from)?;
        caller.require(Permission::Read, &name.source)?;
        let point = self.0.read_point(as_of, request.min_next_seq).await?;
        let compared = self.0.archive.compare(point, name, base, target).await.map_err(Refusal::from)?;
        let (field_changes, hunks) = diff_to_pb(&compared.diff);
        Ok(Response::new(pb::DiffRevisionsResponse {
            base: compared.base.as_ref().map(render::basic_revision),
            target: Some(render::basic_revision(&compared.target)),
            field_changes,
            hunks,
            word_delta: Some(word_delta_to_pb(compared.word_delta)),
            snapshot: Some(snapshot_to_pb(&point.snapshot)),
        }))
    }

    async fn rollback_article(
        &self,
        request: Request<pb::RollbackArticleRequest>,
    ) -> RpcResult<pb::RollbackArticleResponse> {
        let caller = Caller::of(&request);
        let request = request.into_inner();
        let action = operation::revision_number("revision_number", request.revision_number).map(Action::Rollback);
        let plain = article_request!(request);
        let operation = operation::article_operation(&self.0, plain, action).map_err(Refusal::from)?;
        let written = self.write_one(&caller, operation, write_mode(request.validate_only)).await?;
        Ok(Response::new(pb::RollbackArticleResponse {
            revision: Some(render::recorded_revision(&written)),
            outcome: render::outcome(written.outcome).into(),
            replayed: written.replayed,
            snapshot: Some(snapshot_to_pb(&written.snapshot)),
            state: wire::article_state_to_pb(written.state).into(),
            etag: written.etag,
        }))
    }

    async fn withdraw_article(
        &self,
        request: Request<pb::WithdrawArticleRequest>,
    ) -> RpcResult<pb::WithdrawArticleResponse> {
        let caller = Caller::of(&request);
        let request = request.into_inner();
        let plain = article_request!(request);
        let action = operation::reason(request.reason).map(|reason| Action::SetState { withdrawn: true, reason });
        let changed = self.set_state(&caller, plain, action, write_mode(request.validate_only)).await?;
        Ok(article_response!(WithdrawArticleResponse, changed))
    }

    async fn reinstate_article(
        &self,
        request: Request<pb::ReinstateArticleRequest>,
    ) -> RpcResult<pb::ReinstateArticleResponse> {
        let caller = Caller::of(&request);
        let request = request.into_inner();
        let plain = article_request!(request);
        let action = operation::reason(request.reason).map(|reason| Action::SetState { withdrawn: false, reason });
        let changed = self.set_state(&caller, plain, action, write_mode(request.validate_only)).await?;
        Ok(article_response!(ReinstateArticleResponse, changed))
    }

    async fn label_article(&self, request: Request<pb::LabelArticleRequest>) -> RpcResult<pb::LabelArticleResponse> {
        let caller = Caller::of(&request);
        let request = request.into_inner();
        let mode = write_mode(request.validate_only);
        let digest = request_digest(&pb::LabelArticleRequest { validate_only: false, ..request.clone() });
        let pb::LabelArticleRequest { name, add_labels, remove_labels, reason, precondition, request_id, .. } = request;
        let action = operation::label(&self.0, add_labels, remove_labels, reason);
        let plain = ArticleRequest { name, observe_time: None, precondition, request_id, digest };
        let operation = operation::article_operation(&self.0, plain, action).map_err(Refusal::from)?;
        let written = self.write_one(&caller, operation, mode).await?;
        let changed = self.changed(&caller, written, None).await?;
        Ok(article_response!(LabelArticleResponse, changed))
    }

    async fn record_absence(&self, request: Request<pb::RecordAbsenceRequest>) -> RpcResult<pb::RecordAbsenceResponse> {
        let caller = Caller::of(&request);
        let request = request.into_inner();
        let mode = write_mode(request.validate_only);
        let operation = operation::absence(&self.0, request).map_err(Refusal::from)?;
        let changed = self.change(&caller, operation, mode).await?;
        Ok(article_response!(RecordAbsenceResponse, changed))
    }

    async fn move_url(&self, request: Request<pb::MoveUrlRequest>) -> RpcResult<pb::MoveUrlResponse> {
        let caller = Caller::of(&request);
        let request = request.into_inner();
        let mode = write_mode(request.validate_only);
        let digest = request_digest(&pb::MoveUrlRequest { validate_only: false, ..request.clone() });
        let operation = operation::move_url(&self.0, request, digest).map_err(Refusal::from)?;
        let (Action::BindUrl(url_move) | Action::EndUrl(url_move)) = &operation.action else {
            return Err(Refusal::internal().into());
        };
        let url = url_move.url.clone();
        let written = self.write_one(&caller, operation.clone(), mode).await?;
        let is_end = matches!(operation.action, Action::EndUrl(_)) && written.outcome != Outcome::Unchanged;
        let lost_by = if is_end { Some(written.article.clone()) } else { written.moved_from.clone() };
        let point = self.point_after(&written, None).await?;
        let leads_to = self.0.archive.url_leads_to(point, url).await.map_err(Refusal::from)?;
        // A later period of the address may be another source's.
        let mine = caller.scope(Permission::Mark);
        let shown = |article: Option<ArticleName>| {
            article.filter(|article| mine.has(&article.source)).map(|article| article.to_string()).unwrap_or_default()
        };
        let changed = self.changed(&caller, written, None).await?;
        Ok(Response::new(pb::MoveUrlResponse {
            article: Some(changed.article),
            changed: changed.changed,
            lost_by: shown(lost_by),
            leads_to: shown(leads_to),
            replayed: changed.replayed,
            snapshot: changed.snapshot,
            etag: changed.etag,
            state: changed.state.into(),
        }))
    }
}

fn write_mode(validate_only: bool) -> WriteMode {
    if validate_only { WriteMode::Validate } else { WriteMode::Commit }
}

/// The result of an absence, or of a change of an article's state, labels or addresses.
struct ArticleChanged {
    article: pb::Article,
    changed: bool,
    replayed: bool,
    snapshot: Option<pb::Snapshot>,
    etag: String,
    state: pb::ArticleState,
}

impl ArchiveHandler {
    async fn write_one(&self, caller: &Caller, mut operation: Operation, mode: WriteMode) -> Result<Receipt, Refusal> {
        caller.authorize(&mut operation)?;
        let written = self.0.archive.write_from(&caller.origin, vec![operation], mode).await;
        let written = written.map_err(|failed| Refusal::from(failed.error))?;
        written.into_iter().next().ok_or_else(Refusal::internal)
    }

    async fn record_batch(
        &self,
        caller: &Caller,
        requests: Vec<pb::RecordObservationRequest>,
    ) -> Result<pb::BatchRecordObservationsResponse, Refusal> {
        let mut batch = operation::batch(&self.0, requests).await?;
        for operation in &mut batch.operations {
            caller.authorize(operation)?;
        }
        let answer = self.0.archive.write_from(&caller.origin, batch.operations, batch.mode).await;
        render::batch_response(answer, batch.warnings)
    }

    async fn set_state(
        &self,
        caller: &Caller,
        plain: ArticleRequest,
        action: Result<Action, FieldError>,
        mode: WriteMode,
    ) -> Result<ArticleChanged, Refusal> {
        self.change(caller, operation::article_operation(&self.0, plain, action)?, mode).await
    }

    /// Carries out an operation, and reads the article just after it, at the operation's observe time.
    async fn change(&self, caller: &Caller, operation: Operation, mode: WriteMode) -> Result<ArticleChanged, Refusal> {
        let written = self.write_one(caller, operation, mode).await?;
        let at = written.observe_time;
        self.changed(caller, written, Some(at)).await
    }

    /// The point just after the write, at `observe_time`.
    async fn point_after(&self, written: &Receipt, observe_time: Option<Timestamp>) -> Result<ReadPoint, Refusal> {
        let known_at = KnownAt::NextSeq { next_seq: written.snapshot.next_seq, log_digest: None };
        Ok(self.0.archive.read_point(AsOf { observe_time, known_at }, Seq::ZERO).await?)
    }

    /// The article just after the write, at `observe_time`.
    async fn changed(
        &self,
        caller: &Caller,
        written: Receipt,
        observe_time: Option<Timestamp>,
    ) -> Result<ArticleChanged, Refusal> {
        let snapshot = written.snapshot;
        let point = self.point_after(&written, observe_time).await?;
        let article = self.0.archive.article(point, written.article.clone(), View::Basic).await?;
        Ok(ArticleChanged {
            article: render::article(article, &caller.scope(Permission::Read)),
            changed: written.outcome != Outcome::Unchanged,
            replayed: written.replayed,
            snapshot: Some(snapshot_to_pb(&snapshot)),
            etag: written.etag,
            state: wire::article_state_to_pb(written.state),
        })
    }

    fn batch_names(&self, names: &[String], view: View) -> Result<Vec<ArticleName>, FieldErrors> {
        let names_max = match view {
            View::Basic => self.0.limits.page_size_max,
            View::Full => self.0.limits.page_size_max.min(FULL_ARTICLES_MAX),
        };
        if names.is_empty() || names.len() > names_max {
            let problem = format!("has {} names; 1 to {names_max} are allowed in this view", names.len());
            return Err(FieldError::invalid("names", problem).into());
        }
        let mut seen = HashSet::with_capacity(names.len());
        wire::every(names.iter().enumerate().map(|(index, name)| {
            let path = format!("names[{index}]");
            if seen.insert(name) { article_name(&path, name) } else { Err(FieldError::invalid(path, "is a duplicate")) }
        }))
    }
}

pub(super) fn article_name(field: &str, name: &str) -> Result<ArticleName, FieldError> {
    ArticleName::parse(name).map_err(|error| FieldError::invalid(field, error))
}

fn state_selector(field: &str, selector: Option<pb::RevisionSelector>) -> Result<Option<StateSelector>, FieldError> {
    use pb::revision_selector::Selector;
    match selector.and_then(|selector| selector.selector) {
        None => Ok(None),
        Some(Selector::RevisionNumber(number)) => {
            let number = operation::revision_number(&format!("{field}.revision_number"), number)?;
            Ok(Some(StateSelector::Number(number)))
        }
        Some(Selector::ObserveTime(time)) => {
            Ok(Some(StateSelector::At(wire::timestamp(&format!("{field}.observe_time"), &time)?)))
        }
    }
}
