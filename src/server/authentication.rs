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
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::Layer;
use tower_service::Service;

use super::Options;
use super::calls::CalledBy;
use super::principal_streams::{PrincipalStreams, StreamGrant};
use crate::access::{Access, CallRate, Credentials, Principal, Unauthenticated, bearer_token};
use crate::archive::QueueShare;
use crate::model::PrincipalName;
use crate::service::status::Refusal;
use crate::service::{self, Caller, PeerIdentity, Required, is_stream};

/// Applies [`Authentication`] to a service.
#[derive(Clone)]
pub(super) struct AuthenticationLayer(Arc<Gate>);

/// What all calls share.
struct Gate {
    access: Option<Arc<Access>>,
    principals: Mutex<HashMap<PrincipalName, Used>>,
}

/// What the calls of a principal share.
#[derive(Clone, Default)]
struct Used {
    queue_share: Arc<QueueShare>,
    streams: PrincipalStreams,
    rate: CallRate,
}

impl AuthenticationLayer {
    pub(super) fn new(options: &Options) -> Self {
        Self(Arc::new(Gate { access: options.access.clone(), principals: Mutex::default() }))
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
        match admitted {
            Err(refusal) => {
                let (status, caller) = (Status::from(refusal), request.extensions().get());
                service::note_call(access, caller, required, request.uri().path(), Some(&status));
                let response = status.into_http();
                Box::pin(std::future::ready(Ok(response)))
            }
            Ok(stream) => {
                let (path, caller) = (request.uri().path().to_owned(), request.extensions().get().cloned());
                let access = Arc::clone(access);
                let responding = self.inner.call(request);
                Box::pin(async move {
                    let response = responding.await?;
                    let status = Status::from_header_map(response.headers());
                    service::note_call(&access, caller.as_ref(), required, &path, status.as_ref());
                    Ok(match stream {
                        Some(grant) => grant.guard(response),
                        None => response,
                    })
                })
            }
        }
    }
}

impl Gate {
    /// Recognises the principal of a call, and puts it into the request, for the handler. Returns what a stream needs as long
    /// as it lasts.
    fn admit(
        &self,
        access: &Arc<Access>,
        required: Option<Required>,
        request: &mut Request<Body>,
    ) -> Result<Option<StreamGrant>, Refusal> {
        // A method that does not exist is refused as such, to those who may call at all.
        let required = required.unwrap_or(Required::Principal);
        if required == Required::Nothing {
            return Ok(None);
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
        let Used { queue_share, streams, .. } = self.used_by(&principal)?;
        let caller = caller.authenticated(Arc::clone(&principal), Arc::clone(access), queue_share);
        request.extensions_mut().insert(caller.clone());
        caller.check(required)?;
        match is_stream(request.uri().path()) {
            true => StreamGrant::new(caller, &principal, required, access, &streams).map(Some),
            false => Ok(None),
        }
    }

    /// Counts a call of the principal, and returns what its calls share. Fails if it makes too many.
    fn used_by(&self, principal: &Principal) -> Result<Used, Refusal> {
        let mut principals = self.principals.lock().unwrap_or_else(PoisonError::into_inner);
        let used = principals.entry(principal.name.clone()).or_default();
        let counted = used.rate.count(principal.calls_per_second_max);
        counted.map_err(|too_many| Refusal::rate_limited(principal.name.as_str(), too_many))?;
        Ok(used.clone())
    }
}

/// The token in the `authorization` header; `None` without the header.
fn token(headers: &HeaderMap) -> Result<Option<&str>, Unauthenticated> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Unauthenticated::Invalid);
    }
    bearer_token(value.as_bytes()).map(Some).ok_or(Unauthenticated::Invalid)
}
