//! Puts a server together: listener, layers, services, shutdown.

mod admission;
mod health;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::Router;
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::pb::health_server::HealthServer;
use tower::layer::util::{Identity, Stack};
use tower::service_fn;

use self::admission::AdmissionLayer;
use self::health::HealthHandler;
use crate::archive::Archive;
use crate::model::Limits;
use crate::service::{AdminHandler, ArchiveHandler, Context, FeedHandler};
use crate::wire::DESCRIPTOR;
use crate::wire::pb::admin_service_server::AdminServiceServer;
use crate::wire::pb::archive_service_server::ArchiveServiceServer;
use crate::wire::pb::feed_service_server::FeedServiceServer;

/// How to run a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The limits on input.
    pub limits: Limits,
    /// Calls at once on one connection. Default 1,024.
    pub calls_per_connection_max: usize,
    /// Streams of changes open at once, over all connections. Default 20,000.
    pub subscribers_max: usize,
    /// A subscriber whose transport makes no progress for so long is cut off. Default 60 s.
    pub stalled_after: Duration,
    /// How long a shutdown waits for calls under way. Default 30 s.
    pub grace: Duration,
    /// How long reads go on after the storage failed, before the server ends. Default 30 s.
    pub failed_grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            calls_per_connection_max: 1_024,
            subscribers_max: 20_000,
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
    /// The storage failed, and the time in which reads went on is over.
    #[error("the storage failed; start the server anew")]
    StorageFailed,
}

/// What may be asked for its health; the empty name is the server.
const SERVICES: &[&str] = &["", "dateline.v1.ArchiveService", "dateline.v1.FeedService", "dateline.v1.AdminService"];
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a shutdown waits for the tasks of streams that have ended.
const SUBSCRIBERS_END_WITHIN: Duration = Duration::from_secs(2);
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
    let checks = HealthServer::new(HealthHandler::new(SERVICES, serving, context.stopping.clone()));
    let router = router(context, &options, Some(checks));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let connections = TcpListenerStream::new(listener).filter_map(without_delay);
    let stopped = async move { drop(stopped.await) };
    let mut serving = tokio::spawn(router.serve_with_incoming_shutdown(connections, stopped));
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
        served = &mut serving => Some(joined(served)),
    };
    tracing::info!("shutting down");
    health.send_replace(false);
    stopping.cancel();
    // A server that has ended by itself needs no telling.
    let _ended = stop.send(());
    let ended = match ended {
        Some(ended) => ended,
        None => finish(&mut serving, options.grace).await,
    };
    serving.abort();
    subscribers.close();
    // With its connection gone a subscriber ends at once; one whose connection outlasted the grace period may not.
    let _all_ended = tokio::time::timeout(SUBSCRIBERS_END_WITHIN, subscribers.wait()).await.is_ok();
    archive.close().await;
    ended
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
    }
}

fn router(
    context: Context,
    options: &Options,
    health: Option<HealthServer<HealthHandler>>,
) -> Router<Stack<AdmissionLayer, Identity>> {
    // Above our own limits, so that what is too large gets our error and not the transport's.
    let request_bytes_max = 2 * (options.limits.batch_bytes_max + options.limits.original_bytes_max) + (1 << 20);
    let archive = ArchiveServiceServer::new(ArchiveHandler(context.clone()))
        .max_decoding_message_size(request_bytes_max)
        .max_encoding_message_size(usize::MAX)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let feed = FeedServiceServer::new(FeedHandler::new(context.clone(), options.subscribers_max))
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
        .concurrency_limit_per_connection(options.calls_per_connection_max)
        .layer(AdmissionLayer);
    server
        .add_service(archive)
        .add_service(feed)
        .add_service(admin)
        .add_optional_service(health)
        .add_optional_service(reflection())
        .add_optional_service(reflection_v1alpha())
}

/// The compiled contract is ours, so it registers; a server without reflection still serves.
fn reflection()
-> Option<tonic_reflection::server::v1::ServerReflectionServer<impl tonic_reflection::server::v1::ServerReflection>> {
    let built = described().build_v1();
    built.inspect_err(|error| tracing::error!(%error, "reflection is not served")).ok()
}

/// The same for clients that only know its first version.
fn reflection_v1alpha() -> Option<
    tonic_reflection::server::v1alpha::ServerReflectionServer<impl tonic_reflection::server::v1alpha::ServerReflection>,
> {
    let built = described().build_v1alpha();
    built.inspect_err(|error| tracing::error!(%error, "reflection v1alpha is not served")).ok()
}

fn described() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTOR)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// A small reply must not wait for the next one to fill a packet.
fn without_delay(connection: std::io::Result<tokio::net::TcpStream>) -> Option<std::io::Result<tokio::net::TcpStream>> {
    match connection.and_then(|stream| stream.set_nodelay(true).map(|()| stream)) {
        Ok(stream) => Some(Ok(stream)),
        Err(error) => {
            // A peer that is gone before it was accepted concerns nobody else.
            tracing::debug!(%error, "a connection was not taken");
            None
        }
    }
}

type Served = Result<Result<(), tonic::transport::Error>, tokio::task::JoinError>;

fn joined(served: Served) -> Result<(), ServeError> {
    match served {
        Ok(served) => Ok(served?),
        Err(error) => Err(ServeError::Listener(std::io::Error::other(error))),
    }
}

async fn finish(
    serving: &mut tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
    grace: Duration,
) -> Result<(), ServeError> {
    match tokio::time::timeout(grace, serving).await {
        Ok(served) => joined(served),
        Err(_) => {
            tracing::warn!("calls were still under way when the grace period ended");
            Ok(())
        }
    }
}
