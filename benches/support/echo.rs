//! The floor of a call: a tonic server that answers any message with bytes prepared in advance, with the same transport
//! settings as ours, and a client that leaves the reply encoded.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::BoxFuture;
use tonic::server::{NamedService, UnaryService};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

/// A codec that passes messages through as bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

#[derive(Clone)]
struct Echo {
    reply: Bytes,
}

impl NamedService for Echo {
    const NAME: &'static str = "bench.Echo";
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let handler = Handler { reply: self.reply.clone() };
        Box::pin(async move { Ok(tonic::server::Grpc::new(Raw).unary(handler, request).await) })
    }
}

struct Handler {
    reply: Bytes,
}

impl UnaryService<Bytes> for Handler {
    type Response = Bytes;
    type Future = Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        ready(Ok(Response::new(self.reply.clone())))
    }
}

/// Starts a server that answers each call with the same bytes. It ends with the process.
pub(crate) async fn serve(reply: Bytes) -> anyhow::Result<String> {
    serve_bare(Echo { reply }).await
}

/// Serves a floor with the same transport settings as ours, and returns its URL. It ends with the process.
pub(crate) async fn serve_bare<S>(service: S) -> anyhow::Result<String>
where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .add_service(service);
    tokio::spawn(server.serve_with_incoming(incoming));
    Ok(url)
}

/// Sends requests that are already encoded, one after the other, and leaves the replies encoded.
pub(crate) struct RawCaller {
    grpc: tonic::client::Grpc<Channel>,
    path: PathAndQuery,
    requests: Vec<Bytes>,
    next: usize,
}

impl RawCaller {
    pub(crate) async fn connect(url: &str, path: &'static str, requests: Vec<Bytes>) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true).connect().await?;
        Ok(Self { grpc: tonic::client::Grpc::new(channel), path: PathAndQuery::from_static(path), requests, next: 0 })
    }
}

impl super::load::Caller for RawCaller {
    async fn call(&mut self) -> anyhow::Result<bool> {
        let Some(request) = self.requests.get(self.next % self.requests.len().max(1)).cloned() else {
            return Ok(false);
        };
        self.next += 1;
        self.grpc.ready().await?;
        let answer = self.grpc.unary(Request::new(request), self.path.clone(), Raw).await?;
        anyhow::ensure!(!answer.get_ref().is_empty(), "an empty reply");
        Ok(true)
    }
}

/// The gRPC path of the echo.
pub(crate) const PATH: &str = "/bench.Echo/Call";
