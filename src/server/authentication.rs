//! Finds out who makes a call, and refuses it if its principal may not call the method.
//!
//! ```text
//! connection ─┐
//! token ──────┼─▶ principal ──▶ its rate ──▶ what the method needs ──▶ the handler, with the caller in the request
//! certificate ┘        │            │                  │
//!                UNAUTHENTICATED  RATE_LIMITED  PERMISSION_DENIED ──▶ the audit file
//! ```
//!
//! Nothing of a message is read before that. The sources that a message names are the handlers' to check.

use std::collections::HashMap;
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tower::Layer;
use tower_service::Service;

use super::Options;
use super::call_log::name as code_name;
use super::calls::CalledBy;
use crate::access::audit::{Audit, AuditLine};
use crate::access::{Access, Credentials, Principal, Unauthenticated};
use crate::archive::QueueShare;
use crate::clock::Clock;
use crate::model::PrincipalName;
use crate::service::status::Refusal;
use crate::service::{self, Caller, PeerIdentity, Required};

/// Applies [`Authentication`] to a service.
#[derive(Clone)]
pub(super) struct AuthenticationLayer(Arc<Gate>);

/// What all calls share.
struct Gate {
    access: Option<Arc<Access>>,
    audit: Option<Arc<Audit>>,
    clock: Arc<dyn Clock>,
    principals: Mutex<HashMap<PrincipalName, Used>>,
}

/// What the calls of a principal share.
#[derive(Clone, Default)]
struct Used {
    queue_share: Arc<QueueShare>,
    /// With the rate that it enforces.
    limiter: Option<(u32, Arc<DefaultDirectRateLimiter>)>,
}

impl AuthenticationLayer {
    pub(super) fn new(context: &service::Context, options: &Options) -> Self {
        Self(Arc::new(Gate {
            access: options.access.clone(),
            audit: options.audit.clone(),
            clock: Arc::clone(context.archive.clock()),
            principals: Mutex::default(),
        }))
    }
}

impl<S> Layer<S> for AuthenticationLayer {
    type Service = Authentication<S>;

    fn layer(&self, inner: S) -> Authentication<S> {
        Authentication { inner, gate: Arc::clone(&self.0) }
    }
}

/// Refuses calls whose principal is unknown, makes too many, or may not call the method.
#[derive(Clone)]
pub(super) struct Authentication<S> {
    inner: S,
    gate: Arc<Gate>,
}

impl<S> Service<Request<Body>> for Authentication<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Some(access) = &self.gate.access else { return Box::pin(self.inner.call(request)) };
        let required = service::required(request.uri().path());
        let admitted = self.gate.admit(access, required, &mut request);
        let gate = Arc::clone(&self.gate);
        match admitted {
            Err(refusal) => {
                let response = Status::from(refusal).into_http();
                gate.note(required, &request, &response);
                Box::pin(std::future::ready(Ok(response)))
            }
            Ok(()) => {
                // What is needed of the request, which the handler consumes.
                let noted = gate.audit.is_some().then(|| head_of(&request));
                let responding = self.inner.call(request);
                Box::pin(async move {
                    let response = responding.await?;
                    if let Some(request) = noted {
                        gate.note(required, &request, &response);
                    }
                    Ok(response)
                })
            }
        }
    }
}

impl Gate {
    /// Recognises the principal of a call, and puts it into the request, for the handler.
    fn admit(
        &self,
        access: &Arc<Access>,
        required: Option<Required>,
        request: &mut Request<Body>,
    ) -> Result<(), Refusal> {
        // A method that does not exist is refused as such, to those who may call at all.
        let required = required.unwrap_or(Required::Principal);
        if required == Required::Nothing {
            return Ok(());
        }
        let connection = request.extensions().get::<Caller>().cloned();
        let token = token(request.headers()).map_err(Refusal::unauthenticated)?;
        let caller = connection.unwrap_or_default();
        let is_owner = caller.identity == PeerIdentity::Owner;
        let credentials = Credentials { token, sans: caller.identity.certificate_names(), is_owner };
        let principal = access.authenticate(credentials).map_err(Refusal::unauthenticated)?;
        if let Some(call) = request.extensions().get::<CalledBy>() {
            call.set(&principal.name);
        }
        let used = self.used_by(&principal)?;
        let caller = caller.authenticated(principal, Arc::clone(access), used);
        let checked = caller.check(required);
        request.extensions_mut().insert(caller);
        checked
    }

    /// Counts a call of the principal, and returns its part of the queue. Fails if it makes too many.
    fn used_by(&self, principal: &Principal) -> Result<Arc<QueueShare>, Refusal> {
        let mut principals = self.principals.lock().unwrap_or_else(PoisonError::into_inner);
        let used = principals.entry(principal.name.clone()).or_default();
        let max = principal.calls_per_second_max.and_then(NonZeroU32::new);
        if used.limiter.as_ref().map(|(max, _)| *max) != max.map(NonZeroU32::get) {
            used.limiter = max.map(|max| (max.get(), Arc::new(RateLimiter::direct(Quota::per_second(max)))));
        }
        let Used { queue_share, limiter } = used.clone();
        drop(principals);
        if let Some((max, limiter)) = limiter
            && let Err(not_until) = limiter.check()
        {
            let retry_after: Duration = not_until.wait_time_from(DefaultClock::default().now());
            return Err(Refusal::rate_limited(principal.name.as_str(), max, retry_after));
        }
        Ok(queue_share)
    }

    /// Adds a call that was denied, or that only an administrator may make, to the audit file.
    fn note<T>(&self, required: Option<Required>, request: &Request<T>, response: &Response<Body>) {
        let Some(audit) = &self.audit else { return };
        let status = Status::from_header_map(response.headers());
        let code = status.as_ref().map_or(Code::Ok, Status::code);
        let is_denied = matches!(code, Code::Unauthenticated | Code::PermissionDenied);
        if !is_denied && !matches!(required, Some(Required::Everywhere(_))) {
            return;
        }
        let caller = request.extensions().get::<Caller>();
        let principal = caller.and_then(Caller::principal);
        let info = status.as_ref().and_then(StatusExt::get_details_error_info);
        audit.add(AuditLine {
            time: self.clock.now().to_string(),
            principal: principal.map(|principal| principal.name.as_str().to_owned()).unwrap_or_default(),
            peer: caller.and_then(|caller| caller.peer).map(|peer| peer.to_string()).unwrap_or_default(),
            method: request.uri().path().trim_start_matches('/').to_owned(),
            resource: info.and_then(|mut info| info.metadata.remove("resource")).unwrap_or_default(),
            code: code_name(code).to_owned(),
        });
    }
}

/// The token in the `authorization` header; `None` without the header.
fn token(headers: &HeaderMap) -> Result<Option<&str>, Unauthenticated> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Unauthenticated::Invalid);
    }
    let (scheme, token) =
        value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(Unauthenticated::Invalid)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(Some(token.trim())) } else { Err(Unauthenticated::Invalid) }
}

/// The path and the extensions of a request.
fn head_of(request: &Request<Body>) -> Request<()> {
    let mut head = Request::new(());
    *head.uri_mut() = request.uri().clone();
    *head.extensions_mut() = request.extensions().clone();
    head
}
