//! The floor of a feed: a tonic server that streams messages which are already encoded, to any number of clients, with
//! the same transport settings as ours.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::{NamedService, ServerStreamingService};
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use super::echo::{Raw, serve_bare};

/// The gRPC path of the stream.
const PATH: &str = "/bench.Stream/Follow";

type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// Where each stream takes its messages from.
#[derive(Clone)]
enum Source {
    /// `count` messages in all, repeating the given ones.
    Cycle { messages: Arc<Vec<Bytes>>, count: usize },
    /// Every message that [`Speaker::say`] sends to all streams.
    Live(Arc<Mutex<Vec<mpsc::Sender<Bytes>>>>),
}

impl Source {
    fn stream(&self) -> Messages {
        match self {
            Self::Cycle { messages, count } => {
                let (messages, count) = (Arc::clone(messages), *count);
                let message = move |at: usize| Ok(messages[at % messages.len()].clone());
                Box::pin(tokio_stream::iter((0..count).map(message)))
            }
            Self::Live(senders) => {
                let (sender, receiver) = mpsc::channel(2);
                senders.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
                Box::pin(ReceiverStream::new(receiver).map(Ok))
            }
        }
    }
}

#[derive(Clone)]
struct Bare(Source);

impl NamedService for Bare {
    const NAME: &'static str = "bench.Stream";
}

impl tower::Service<http::Request<Body>> for Bare {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let handler = Handler(self.0.clone());
        Box::pin(async move { Ok(tonic::server::Grpc::new(Raw).server_streaming(handler, request).await) })
    }
}

struct Handler(Source);

impl ServerStreamingService<Bytes> for Handler {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Ready<Result<Response<Messages>, Status>>;

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        ready(Ok(Response::new(self.0.stream())))
    }
}

/// Sends messages to all live streams.
#[derive(Clone)]
pub(crate) struct Speaker(Arc<Mutex<Vec<mpsc::Sender<Bytes>>>>);

impl Speaker {
    pub(crate) async fn say(&self, message: &Bytes) {
        let senders = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for sender in senders {
            // A stream that has ended needs nothing.
            drop(sender.send(message.clone()).await);
        }
    }
}

/// Starts a server that streams `count` messages, repeating the given ones. It ends with the process.
pub(crate) async fn cycle(messages: Vec<Bytes>, count: usize) -> anyhow::Result<String> {
    serve_bare(Bare(Source::Cycle { messages: Arc::new(messages), count })).await
}

/// Starts a server whose streams carry whatever the returned [`Speaker`] says.
pub(crate) async fn live() -> anyhow::Result<(String, Speaker)> {
    let senders = Arc::default();
    Ok((serve_bare(Bare(Source::Live(Arc::clone(&senders)))).await?, Speaker(senders)))
}

/// Opens a stream and decodes its messages as type `M`, as our client does.
pub(crate) async fn follow<M: Message + Default + Send + 'static>(channel: Channel) -> anyhow::Result<Streaming<M>> {
    let mut grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(1 << 30);
    grpc.ready().await?;
    let codec = tonic_prost::ProstCodec::<(), M>::default();
    let path = PathAndQuery::from_static(PATH);
    Ok(grpc.server_streaming(Request::new(()), path, codec).await?.into_inner())
}
