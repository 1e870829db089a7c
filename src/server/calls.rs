//! Counts calls by method, and logs them: how they ended, how long they took, and how large they were.
//!
//! A call begins with its headers, and ends when its response has been sent or the client is gone. So this is the
//! outermost layer: it sees calls that are rejected before any handler knows them, and it sees the status that the client
//! gets. A call whose client goes away before that counts as CANCELLED.
//!
//! The methods are those of the contract, so a client cannot add to them: what has another path counts as one method.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Layer;
use tower_service::Service;
use tracing::Span;

use super::call_log::{CallLog, CallRecord};
use crate::histogram::{Counts, Histogram};
use crate::model::PrincipalName;
use crate::service::{Caller, methods};

/// The name under which calls of unknown methods are counted.
const OTHER: &str = "other";
/// The number of status codes, from OK to UNAUTHENTICATED.
const CODES: usize = 17;
/// The longest duration in each bucket of calls, in microseconds: a cached read takes some 50 µs, a write as long as a
/// sync of the disk.
const DURATION_BOUNDS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
];

/// The calls of a server since it started.
#[derive(Debug)]
pub(crate) struct Calls {
    /// By path.
    methods: HashMap<&'static str, Arc<Method>>,
    other: Arc<Method>,
}

/// The calls of one method.
#[derive(Debug)]
struct Method {
    /// The path without the first slash.
    name: String,
    is_stream: bool,
    begun: AtomicU64,
    ended: [AtomicU64; CODES],
    duration: Histogram,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    log: CallLog,
}

/// The calls of one method as they were at one moment.
#[derive(Clone, Debug)]
pub(crate) struct MethodStats<'a> {
    /// The service and the method, such as `dateline.v1.ArchiveService/GetArticle`; `other` for all unknown methods.
    pub(crate) name: &'a str,
    /// How many calls are in progress.
    pub(crate) in_progress: u64,
    /// How many calls ended with each code.
    pub(crate) ended: [(Code, u64); CODES],
    /// How long they took, in microseconds; `None` for streams, which last as long as their client wants.
    pub(crate) duration: Option<Counts>,
    /// The bytes of all requests, as received.
    pub(crate) request_bytes: u64,
    /// The bytes of all responses, as sent.
    pub(crate) response_bytes: u64,
}

impl Default for Calls {
    fn default() -> Self {
        let methods = methods().map(|(path, is_stream)| {
            let name = path.trim_start_matches('/').to_owned();
            (path, Arc::new(Method::new(name, is_stream)))
        });
        Self { methods: methods.collect(), other: Arc::new(Method::new(OTHER.to_owned(), false)) }
    }
}

impl Calls {
    /// The calls of each method.
    pub(crate) fn stats(&self) -> impl Iterator<Item = MethodStats<'_>> {
        self.methods.values().chain([&self.other]).map(|method| method.stats())
    }

    fn begin(&self, request: &Request<Body>) -> CallInProgress {
        let method = Arc::clone(self.methods.get(request.uri().path()).unwrap_or(&self.other));
        method.begun.fetch_add(1, Ordering::Relaxed);
        let peer = request.extensions().get::<Caller>().and_then(|caller| caller.peer);
        let (span, request, begun) = (Span::none(), Arc::default(), Instant::now());
        CallInProgress { method, peer, span, begun, request, response_bytes: 0, code: Code::Cancelled }
    }
}

impl Method {
    fn new(name: String, is_stream: bool) -> Self {
        let log = CallLog::of(&format!("/{name}"));
        Self {
            name,
            is_stream,
            begun: AtomicU64::new(0),
            ended: std::array::from_fn(|_| AtomicU64::new(0)),
            duration: Histogram::new(DURATION_BOUNDS),
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
            log,
        }
    }

    fn stats(&self) -> MethodStats<'_> {
        let mut codes = 0..;
        // Read before the number of those that began, which is then never the smaller one.
        let ended = self.ended.each_ref().map(|count| {
            let code = Code::from_i32(codes.next().unwrap_or_default());
            (code, count.load(Ordering::Acquire))
        });
        let ended_count: u64 = ended.iter().map(|(_, count)| count).sum();
        MethodStats {
            name: &self.name,
            in_progress: self.begun.load(Ordering::Relaxed).saturating_sub(ended_count),
            ended,
            duration: (!self.is_stream).then(|| self.duration.counts()),
            request_bytes: self.request_bytes.load(Ordering::Relaxed),
            response_bytes: self.response_bytes.load(Ordering::Relaxed),
        }
    }
}

/// What the layers below learn of the request of a call.
#[derive(Debug, Default)]
struct Received {
    bytes: AtomicU64,
    principal: OnceLock<PrincipalName>,
}

/// An extension of each request that is counted, for the layer that finds out who makes the call.
#[derive(Clone, Debug)]
pub(super) struct CalledBy(Arc<Received>);

impl CalledBy {
    /// Notes the principal of the call.
    pub(super) fn set(&self, name: &PrincipalName) {
        self.0.principal.get_or_init(|| name.clone());
    }
}

/// A call that has begun. Dropping this ends it.
struct CallInProgress {
    method: Arc<Method>,
    peer: Option<IpAddr>,
    /// The span of the call, if spans are exported.
    span: Span,
    begun: Instant,
    request: Arc<Received>,
    response_bytes: u64,
    /// How the call ends if nothing else becomes known.
    code: Code,
}

impl CallInProgress {
    /// Notes the status, if these headers or trailers have one.
    fn note_status(&mut self, headers: &HeaderMap) {
        if let Some(code) = headers.get("grpc-status") {
            self.code = Code::from_bytes(code.as_bytes());
        }
    }
}

impl Drop for CallInProgress {
    fn drop(&mut self) {
        let (method, took) = (&self.method, self.begun.elapsed());
        let request_bytes = self.request.bytes.load(Ordering::Relaxed);
        method.request_bytes.fetch_add(request_bytes, Ordering::Relaxed);
        method.response_bytes.fetch_add(self.response_bytes, Ordering::Relaxed);
        if !method.is_stream {
            method.duration.observe(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
        if let Some(ended) = usize::try_from(i32::from(self.code)).ok().and_then(|code| method.ended.get(code)) {
            ended.fetch_add(1, Ordering::Release);
        }
        if !self.span.is_none() {
            self.span.record("rpc.grpc.status_code", i32::from(self.code));
            if is_fault(self.code) {
                self.span.record("otel.status_code", "ERROR");
            }
        }
        method.log.ended(&CallRecord {
            method: &method.name,
            is_stream: method.is_stream,
            principal: self.request.principal.get().map(PrincipalName::as_str),
            peer: self.peer,
            code: self.code,
            took,
            request_bytes,
            response_bytes: self.response_bytes,
        });
    }
}

/// Whether a server's span with this code is an error: OpenTelemetry's semantic conventions for gRPC.
fn is_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// Applies [`CountCalls`] to a service.
#[derive(Clone)]
pub(super) struct CountCallsLayer(pub(super) Option<Arc<Calls>>);

impl<S> Layer<S> for CountCallsLayer {
    type Service = CountCalls<S>;

    fn layer(&self, inner: S) -> CountCalls<S> {
        CountCalls { inner, calls: self.0.clone() }
    }
}

/// Counts and logs the calls of a service; does nothing if there is nothing to count them in.
#[derive(Clone)]
pub(super) struct CountCalls<S> {
    inner: S,
    calls: Option<Arc<Calls>>,
}

impl<S> Service<Request<Body>> for CountCalls<S>
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
        let Some(calls) = &self.calls else { return Box::pin(self.inner.call(request)) };
        let mut call = calls.begin(&request);
        request.extensions_mut().insert(CalledBy(Arc::clone(&call.request)));
        let received = Arc::clone(&call.request);
        let responding = self.inner.call(request.map(|body| Body::new(RequestBody { body, received })));
        Box::pin(async move {
            // The transport enters the span of a call only now.
            if tracing::span_enabled!(target: "dateline::trace", tracing::Level::TRACE) {
                call.span = Span::current();
            }
            let response = responding.await?;
            // What is not gRPC gets a response of HTTP, without a status.
            call.code = Code::Unknown;
            call.note_status(response.headers());
            Ok(response.map(|body| {
                // A body that has frames may still be dropped before the last of them.
                if !body.is_end_stream() {
                    call.code = Code::Cancelled;
                }
                Body::new(ResponseBody { body, call })
            }))
        })
    }
}

/// The body of a request, whose bytes are counted.
struct RequestBody {
    body: Body,
    received: Arc<Received>,
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.received.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response. The call ends with it.
struct ResponseBody {
    body: Body,
    call: CallInProgress,
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                this.call.response_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if let Some(trailers) = frame.trailers_ref() {
                    this.call.note_status(trailers);
                }
            }
            Poll::Ready(Some(Err(status))) => this.call.code = status.code(),
            Poll::Ready(None) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
