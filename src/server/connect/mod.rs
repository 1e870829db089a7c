//! The Connect protocol: unary methods and streams of the server over plain HTTP, in JSON or protobuf, for curl, browsers
//! and programs without a gRPC library. Source: <https://connectrpc.com/docs/protocol/>.
//!
//! ```text
//! Connect request ──▶ gRPC request ──▶ the layers and services below ──▶ gRPC response ──▶ Connect response
//! ```
//!
//! A call is translated in front of all other layers, so that each rule and limit applies to it as to any other call.
//! What is not a Connect request passes unchanged. Messages are not compressed. A client cannot send a stream.

#[cfg(feature = "internals")]
pub mod conversions;
mod get;
mod json;
mod memory;
mod request;
mod response;
mod status;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, Either};
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use prost_reflect::MethodDescriptor;
use tonic::Status;
use tonic::body::Body;
use tower::Layer;
use tower_service::Service;

use self::json::Converter;
use self::memory::MessageMemory;
use super::Options;
use super::unread_responses::UnreadResponses;

/// The longest message that a client may send, in bytes. That is the default of gRPC clients for what they receive; larger
/// messages need gRPC.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Messages up to this length are converted where they arrive, and delay no other call noticeably.
const SHORT_BYTES: usize = 64 << 10;

/// How the messages of a call are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Json,
    Proto,
}

/// What the headers of a request say about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CallKind {
    encoding: Encoding,
    /// Whether messages are in envelopes, as those of streams are.
    is_stream: bool,
}

impl CallKind {
    /// `None` if it is not a Connect request.
    fn of(request: &Request<Body>) -> Option<Self> {
        if *request.method() == Method::GET {
            return get::encoding(request.uri()).map(|encoding| Self { encoding, is_stream: false });
        }
        let content_type = request.headers().get(CONTENT_TYPE)?.to_str().ok()?;
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let (encoding, is_stream) = match essence.as_str() {
            "application/json" => (Encoding::Json, false),
            "application/proto" => (Encoding::Proto, false),
            "application/connect+json" => (Encoding::Json, true),
            "application/connect+proto" => (Encoding::Proto, true),
            _ => return None,
        };
        (*request.method() == Method::POST).then_some(Self { encoding, is_stream })
    }

    fn content_type(self) -> &'static str {
        match (self.encoding, self.is_stream) {
            (Encoding::Json, false) => "application/json",
            (Encoding::Proto, false) => "application/proto",
            (Encoding::Json, true) => "application/connect+json",
            (Encoding::Proto, true) => "application/connect+proto",
        }
    }
}

/// Applies [`Connect`] to a service.
#[derive(Clone)]
pub(super) struct ConnectLayer(Arc<Translator>);

/// Translates calls.
struct Translator {
    responses: UnreadResponses,
    /// The memory of messages that are being received.
    memory: MessageMemory,
    converter: Converter,
    /// How long a message may take to arrive.
    arrives_within: Duration,
    /// Whether everyone who can connect may call.
    is_open: bool,
}

impl ConnectLayer {
    pub(super) fn new(responses: UnreadResponses, options: &Options) -> Self {
        Self(Arc::new(Translator {
            responses,
            memory: MessageMemory::default(),
            converter: Converter::default(),
            arrives_within: options.stalled_after,
            is_open: options.access.is_none(),
        }))
    }
}

impl<S> Layer<S> for ConnectLayer {
    type Service = Connect<S>;

    fn layer(&self, inner: S) -> Connect<S> {
        Connect { inner, translator: Arc::clone(&self.0) }
    }
}

/// Answers Connect requests with a service that speaks gRPC.
#[derive(Clone)]
pub(super) struct Connect<S> {
    inner: S,
    translator: Arc<Translator>,
}

impl<S> Service<Request<Body>> for Connect<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(kind) = CallKind::of(&request) else { return Either::Left(self.inner.call(request)) };
        // The one that is ready makes the call.
        let ready = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, ready);
        let translator = Arc::clone(&self.translator);
        Either::Right(Box::pin(async move { translator.answer(inner, kind, request).await }))
    }
}

impl Translator {
    async fn answer<S>(
        &self,
        mut inner: S,
        kind: CallKind,
        request: Request<Body>,
    ) -> Result<Response<Body>, Infallible>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let Some(method) = json::method(request.uri().path()) else {
            let status = Status::unimplemented(format!("there is no method {}", request.uri().path()));
            return Ok(response::failed(kind, &status));
        };
        if kind.is_stream != method.is_server_streaming() || method.is_client_streaming() {
            return Ok(unsupported(kind, &method));
        }
        let translated = match self.request(kind, &method, request).await {
            Ok(translated) => translated,
            Err(status) => return Ok(response::failed(kind, &status)),
        };
        let response = inner.call(translated).await?;
        Ok(if kind.is_stream {
            self.stream(kind, method.output(), response)
        } else {
            self.one(kind, method.output(), response).await
        })
    }
}

/// The response to a request whose content type does not fit its method (Connect, "Unary-Request").
fn unsupported(kind: CallKind, method: &MethodDescriptor) -> Response<Body> {
    if method.is_client_streaming() {
        let message = format!("{} takes a stream of messages, which needs gRPC", method.full_name());
        return response::failed(kind, &Status::unimplemented(message));
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let accepted = match method.is_server_streaming() {
        true => "application/connect+json, application/connect+proto",
        false => "application/json, application/proto",
    };
    response.headers_mut().insert("accept-post", http::HeaderValue::from_static(accepted));
    response
}
