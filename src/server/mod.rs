//! Puts a server together: listener, layers, services, shutdown.

mod admission;
mod answers;
mod connections;
mod health;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::Router;
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::pb::health_server::HealthServer;
use tower::layer::util::{Identity, Stack};
use tower::service_fn;

use self::admission::AdmissionLayer;
use self::answers::Answers;
use self::connections::Doors;
pub use self::connections::raise_descriptor_limit;
use self::health::HealthHandler;
use crate::archive::Archive;
use crate::model::Limits;
use crate::service::{AdminHandler, ArchiveHandler, Context, FeedHandler, Memory};
use crate::wire::DESCRIPTOR;
use crate::wire::pb::admin_service_server::AdminServiceServer;
use crate::wire::pb::archive_service_server::ArchiveServiceServer;
use crate::wire::pb::change_feed_service_server::ChangeFeedServiceServer;
use crate::wire::request::{Bounded, Bounds};

/// How to run a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The limits on input.
    pub limits: Limits,
    /// Calls at once on one connection. Default 1,024.
    pub calls_per_connection_max: usize,
    /// Streams of changes open at once, over all connections. Default 1,000.
    pub subscribers_max: usize,
    /// Streams of changes of one peer open at once. Default a quarter of those that may be open.
    pub subscribers_per_peer_max: Option<usize>,
    /// Connections open at once. Default 10,000, and fewer where the process may have fewer file descriptors.
    pub connections_max: usize,
    /// Connections of one peer open at once. Default half of those that may be open.
    pub connections_per_peer_max: Option<usize>,
    /// File descriptors that the process may have, where that is known. Default unknown.
    pub descriptors_max: Option<u64>,
    /// A connection whose client has not begun to speak HTTP/2 by then is closed. Default 10 s.
    pub greeting_within: Duration,
    /// How long a stream's transport may make no progress before it is cut off. Default 60 s.
    pub stalled_after: Duration,
    /// How long a shutdown waits for writes that were accepted. Default 30 s.
    pub grace: Duration,
    /// How long reads go on after the storage failed, before the server ends. Default 30 s.
    pub failed_grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            calls_per_connection_max: 1_024,
            subscribers_max: 1_000,
            subscribers_per_peer_max: None,
            connections_max: 10_000,
            connections_per_peer_max: None,
            descriptors_max: None,
            greeting_within: Duration::from_secs(10),
            stalled_after: Duration::from_secs(60),
            grace: Duration::from_secs(30),
            failed_grace: Duration::from_secs(30),
        }
    }
}

/// Why a server ended other than by being asked to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The transport failed.
    #[error("the server's transport failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The listener could not be used.
    #[error("the listener cannot be used: {0}")]
    Listener(#[from] std::io::Error),
    /// The task that serves connections panicked or was cancelled.
    #[error("serving ended unexpectedly: {0}")]
    Ended(tokio::task::JoinError),
    /// The storage failed, and the time in which reads went on is over.
    #[error("the storage failed; start the server anew")]
    StorageFailed,
}

/// What may be asked for its health; the empty name is the server.
const SERVICES: &[&str] =
    &["", "dateline.v1.ArchiveService", "dateline.v1.ChangeFeedService", "dateline.v1.AdminService"];
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a shutdown waits for calls under way to end and connections to close by themselves.
const CALLS_END_WITHIN: Duration = Duration::from_millis(1_500);
/// How long a shutdown waits for the answers of the last writes to leave.
const ANSWERS_LEAVE_WITHIN: Duration = Duration::from_millis(250);
/// How long a shutdown waits for the tasks of streams that have ended.
const SUBSCRIBERS_END_WITHIN: Duration = Duration::from_millis(250);
/// How often the clock is looked at.
const CLOCK_EVERY: Duration = Duration::from_secs(10);
/// Requests of services whose requests are not [`Bounded`]: a name, no more.
const SMALL_REQUEST_BYTES: usize = 16 << 10;
/// HTTP/2 windows that let a replay run at full speed.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// Serves `archive` on `listener` until `shutdown` is done, then lets calls under way finish and closes the
/// archive. When the storage fails, reads go on for a while, then the server ends with an error, so that whoever
/// watches it starts it anew.
pub async fn serve(
    listener: TcpListener,
    archive: Arc<Archive>,
    options: Options,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let address: SocketAddr = listener.local_addr()?;
    let (health, serving) = watch::channel(true);
    let context = context(Arc::clone(&archive), &options);
    let (stopping, subscribers) = (context.stopping.clone(), context.subscribers.clone());
    let checks =
        HealthServer::new(HealthHandler::new(SERVICES, serving, Arc::clone(&archive), context.stopping.clone()));
    let router = router(context, &options, Some(checks));
    let doors = Doors::new(
        options.connections_max,
        options.connections_per_peer_max,
        options.descriptors_max,
        options.calls_per_connection_max,
        options.greeting_within,
        stopping.clone(),
    );
    tracing::info!(connections_max = doors.connections_max(), "connections above the limit are refused");
    let stopped = stopping.clone().cancelled_owned();
    let mut serving = tokio::spawn(router.serve_with_incoming_shutdown(doors.connections(listener), stopped));
    tracing::info!(%address, "serving");
    let failed = async {
        archive.failed().await;
        health.send_replace(false);
        tracing::error!(seconds = options.failed_grace.as_secs(), "the storage failed; reads go on for a while");
        tokio::time::sleep(options.failed_grace).await;
    };
    let ended = tokio::select! {
        () = shutdown => None,
        () = failed => Some(Err(ServeError::StorageFailed)),
        never = look_at_clock(&archive) => match never {},
        served = &mut serving => Some(joined(served)),
    };
    tracing::info!("shutting down");
    health.send_replace(false);
    stopping.cancel();
    let ended = match ended {
        Some(ended) => ended,
        None => finish(&mut serving, &archive, options.grace).await,
    };
    serving.abort();
    subscribers.close();
    // With its connection gone a subscriber ends at once; one whose connection outlasted the server may not.
    let _all_ended = tokio::time::timeout(SUBSCRIBERS_END_WITHIN, subscribers.wait()).await.is_ok();
    archive.close().await;
    ended
}

/// What is wrong with the clock is logged also while nothing is written.
async fn look_at_clock(archive: &Archive) -> Infallible {
    let mut looks = tokio::time::interval(CLOCK_EVERY);
    loop {
        looks.tick().await;
        archive.clock_fault();
    }
}

/// A channel to `archive` through the same services, over a connection in memory. It lasts as long as the archive
/// is used; nobody else can connect.
pub async fn in_process(archive: Arc<Archive>, options: &Options) -> Result<Channel, tonic::transport::Error> {
    let (client, server) = tokio::io::duplex(1 << 20);
    let incoming = tokio_stream::once(Ok::<_, std::io::Error>(server));
    // A connection in memory ends with its client, and the server with its only connection.
    tokio::spawn(router(context(archive, options), options, None).serve_with_incoming(incoming));
    let mut client = Some(client);
    let connector = service_fn(move |_| {
        let taken = client.take().map(TokioIo::new);
        async move { taken.ok_or_else(|| std::io::Error::other("the connection in memory is closed")) }
    });
    Endpoint::from_static("http://in-process").connect_with_connector(connector).await
}

fn context(archive: Arc<Archive>, options: &Options) -> Context {
    Context {
        archive,
        limits: options.limits,
        stopping: CancellationToken::new(),
        subscribers: TaskTracker::new(),
        stalled_after: options.stalled_after,
        memory: Memory::default(),
    }
}

fn router(
    context: Context,
    options: &Options,
    health: Option<HealthServer<HealthHandler>>,
) -> Router<Stack<AdmissionLayer, Identity>> {
    let bounds = Arc::new(Bounds::new(&options.limits, options.stalled_after));
    let archive = ArchiveServiceServer::new(ArchiveHandler(context.clone()))
        .max_encoding_message_size(usize::MAX)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let subscribers_per_peer_max = options.subscribers_per_peer_max.unwrap_or(options.subscribers_max.div_ceil(4));
    let feed = FeedHandler::new(context.clone(), options.subscribers_max, subscribers_per_peer_max);
    let feed = ChangeFeedServiceServer::new(feed)
        .max_encoding_message_size(usize::MAX)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let admin = AdminServiceServer::new(AdminHandler::new(context))
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let mut server = Server::builder()
        .trace_fn(|request| tracing::info_span!("rpc", method = request.uri().path()))
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(u32::try_from(options.calls_per_connection_max).unwrap_or(u32::MAX))
        .layer(AdmissionLayer(Answers::new(options.stalled_after)));
    server
        .add_service(Bounded::new(archive, &bounds))
        .add_service(Bounded::new(feed, &bounds))
        .add_service(Bounded::new(admin, &bounds))
        .add_optional_service(health.map(|health| health.max_decoding_message_size(SMALL_REQUEST_BYTES)))
        .add_optional_service(reflection())
        .add_optional_service(reflection_v1alpha())
}

/// The compiled contract is ours, so it registers; a server without reflection still serves.
fn reflection()
-> Option<tonic_reflection::server::v1::ServerReflectionServer<impl tonic_reflection::server::v1::ServerReflection>> {
    let built = described().build_v1();
    let built = built.inspect_err(|error| tracing::error!(%error, "reflection is not served")).ok();
    built.map(|service| service.max_decoding_message_size(SMALL_REQUEST_BYTES))
}

/// The same for clients that only know its first version.
fn reflection_v1alpha() -> Option<
    tonic_reflection::server::v1alpha::ServerReflectionServer<impl tonic_reflection::server::v1alpha::ServerReflection>,
> {
    let built = described().build_v1alpha();
    let built = built.inspect_err(|error| tracing::error!(%error, "reflection v1alpha is not served")).ok();
    built.map(|service| service.max_decoding_message_size(SMALL_REQUEST_BYTES))
}

fn described() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTOR)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

type Served = Result<Result<(), tonic::transport::Error>, tokio::task::JoinError>;

fn joined(served: Served) -> Result<(), ServeError> {
    match served {
        Ok(served) => Ok(served?),
        Err(error) => Err(ServeError::Ended(error)),
    }
}

/// Lets calls under way end, then those whose writes were accepted. Streams and waits end by themselves when the server
/// stops. What is left after [`CALLS_END_WITHIN`] are calls other than writes, unread answers, and idle
/// connections whose client does not close them: none of them is waited for.
async fn finish(
    serving: &mut tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
    archive: &Archive,
    grace: Duration,
) -> Result<(), ServeError> {
    if let Ok(served) = tokio::time::timeout(CALLS_END_WITHIN.min(grace), &mut *serving).await {
        return joined(served);
    }
    if tokio::time::timeout(grace, archive.close()).await.is_err() {
        tracing::warn!("writes were still under way when the grace period ended");
        return Ok(());
    }
    match tokio::time::timeout(ANSWERS_LEAVE_WITHIN, serving).await {
        Ok(served) => joined(served),
        Err(_) => {
            tracing::info!("connections were still open when the last write was done");
            Ok(())
        }
    }
}
