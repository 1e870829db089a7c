//! Assembles and runs a server: listener, layers, services, shutdown.

mod admission;
mod authentication;
mod call_log;
mod calls;
mod connect;
mod connections;
mod health;
mod listener;
mod principal_streams;
mod stats;
mod tls;
mod unread_responses;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::select_all;
use http::{HeaderName, Method};
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::Router;
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::pb::health_server::HealthServer;
use tower::layer::util::{Identity, Stack};
use tower::service_fn;
use tower::util::{Either, option_layer};
use tower_http::cors::CorsLayer;
use tracing::Span;
use tracing::field::Empty;
use url::Url;

use self::admission::AdmissionLayer;
use self::authentication::AuthenticationLayer;
use self::calls::CountCallsLayer;
pub(crate) use self::calls::MethodStats;
use self::connect::ConnectLayer;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub use self::connect::conversions as connect_conversions;
pub use self::connections::raise_descriptor_limit;
use self::connections::{Connection, ConnectionLimits};
use self::health::HealthHandler;
pub use self::listener::Listener;
pub use self::stats::Stats;
pub(crate) use self::stats::{ConnectionStats, OpenConnection};
pub use self::tls::{Tls, TlsError, TlsFiles};
use self::unread_responses::UnreadResponses;
pub use crate::access::audit::{AuditLine, CODES_DENIED as AUDIT_CODES_DENIED, files as audit_files};
pub use crate::access::{Access, AccessError, FILE as ACCESS_FILE, PrivateFileError};
use crate::archive::Archive;
use crate::model::Limits;
pub use crate::proof::KeyError;
use crate::service::{AccessHandler, AdminHandler, ArchiveHandler, Context, FeedHandler, IntegrityHandler, Memory};
pub use crate::service::{
    NextChanges, Signer, WebhookConsumer, WebhookHold, WebhookStats, WebhookTest, WebhookTested, Webhooks, Witness,
};
pub use crate::webhook_keys::WebhookKeysError;
pub use crate::wire::WebhookUrls;
use crate::wire::pb::access_service_server::AccessServiceServer;
use crate::wire::pb::admin_service_server::AdminServiceServer;
use crate::wire::pb::archive_service_server::ArchiveServiceServer;
use crate::wire::pb::change_feed_service_server::ChangeFeedServiceServer;
use crate::wire::pb::integrity_service_server::IntegrityServiceServer;
use crate::wire::request::{Bounded, Bounds};
use crate::wire::{DESCRIPTOR, pb};

/// Options of a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The limits on input.
    pub limits: Limits,
    /// Calls that may be in progress on one connection. Default 1,024.
    pub calls_per_connection_max: usize,
    /// Change streams that may be open, over all connections. Default 1,000.
    pub subscribers_max: usize,
    /// Change streams that one peer may have open. Default: a quarter of `subscribers_max`.
    pub subscribers_per_peer_max: Option<usize>,
    /// Connections that may be open. Default 10,000, or fewer if the process has too few file descriptors.
    pub connections_max: usize,
    /// Connections that one peer may have open. Default: half of all.
    pub connections_per_peer_max: Option<usize>,
    /// File descriptors that the process may have, if known. Default: unknown.
    pub descriptors_max: Option<u64>,
    /// How long a client may take to start speaking HTTP/2 before its connection is closed. Default 10 s.
    pub greeting_within: Duration,
    /// How long a stream's transport may make no progress before the stream is ended. Default 60 s.
    pub stalled_after: Duration,
    /// How long a shutdown first lets the clients that are connected continue, except for subscribers. Default: not at
    /// all, so that only calls in progress are finished.
    pub linger: Duration,
    /// How long a shutdown waits for accepted writes. Default 30 s.
    pub grace: Duration,
    /// How long reads continue after a storage failure before the server ends. Default 30 s.
    pub failed_grace: Duration,
    /// Encrypts the connections on TCP. Default: nothing does.
    pub tls: Option<Tls>,
    /// How often the files of [`Self::tls`] are read again. Default 10 s.
    pub tls_files_every: Duration,
    /// Signs checkpoints. Default: nothing does.
    pub signer: Option<Arc<Signer>>,
    /// Whether texts may be destroyed, from this machine. Default: no.
    pub allow_expunge: bool,
    /// Who may do what, and where it is written down who was denied what. Default: the server does not tell its callers apart, and each may do everything.
    pub access: Option<Arc<Access>>,
    /// The webhooks to which somebody sends. Default: none, and none can be created.
    pub webhooks: Option<Arc<Webhooks>>,
    /// Where to count connections, calls and subscribers; calls are then logged, too. Default: nowhere.
    pub stats: Option<Arc<Stats>>,
    /// Where the process shows web pages, for the status. Default: nowhere.
    pub web_url: Option<Url>,
    /// The origins whose web pages may call the server. Default: none.
    pub allow_origin: Vec<http::HeaderValue>,
    /// Makes the span of a call a part of the trace that its headers name. Default: calls are parts of no trace.
    pub continue_trace: Option<fn(&Span, &http::HeaderMap)>,
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
            linger: Duration::ZERO,
            grace: Duration::from_secs(30),
            failed_grace: Duration::from_secs(30),
            tls: None,
            tls_files_every: Duration::from_secs(10),
            signer: None,
            allow_expunge: false,
            access: None,
            webhooks: None,
            stats: None,
            web_url: None,
            allow_origin: Vec::new(),
            continue_trace: None,
        }
    }
}

/// Why a server ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The HTTP/2 transport returned an error.
    #[error("the server's transport failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The listener's address could not be read.
    #[error("the listener cannot be used: {0}")]
    Listener(#[from] std::io::Error),
    /// The task that serves connections panicked or was cancelled.
    #[error("serving ended unexpectedly: {0}")]
    Ended(tokio::task::JoinError),
    /// The storage failed, and the time during which reads continue has passed.
    #[error("the storage failed; restart the server")]
    StorageFailed,
}

/// The services whose health can be checked. The empty name means the whole server.
const SERVICES: &[&str] = &[
    "",
    "dateline.v1.ArchiveService",
    "dateline.v1.ChangeFeedService",
    "dateline.v1.AdminService",
    "dateline.v1.IntegrityService",
    "dateline.v1.AccessService",
];
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a shutdown waits for calls in progress to end and connections to close on their own.
const CALLS_END_WITHIN: Duration = Duration::from_millis(1_500);
/// How long a shutdown waits for the responses to the last writes to be sent.
const RESPONSES_LEAVE_WITHIN: Duration = Duration::from_millis(250);
/// How long a shutdown waits for the tasks of ended streams.
const SUBSCRIBERS_END_WITHIN: Duration = Duration::from_millis(250);
/// How often a shutdown checks whether clients have disconnected.
const CLIENTS_LEFT_EVERY: Duration = Duration::from_millis(10);
/// How often the clock is checked.
const CLOCK_EVERY: Duration = Duration::from_secs(10);
/// How often it is checked whether the access rules have changed.
const RULES_EVERY: Duration = Duration::from_secs(1);
/// How often it is checked whether destroyed text is still in the files.
const DESTRUCTION_EVERY: Duration = Duration::from_secs(60 * 60);
/// How often the log says what is left open to others.
const WEAKENINGS_EVERY: Duration = Duration::from_secs(60 * 60);
/// The maximum size of a request to the services that are not [`Bounded`]; such a request contains only a name.
const SMALL_REQUEST_BYTES: usize = 16 << 10;
/// The HTTP/2 flow-control windows; large, so that a replay of the change feed runs at full speed.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// How long a browser may remember that an origin may call.
const PREFLIGHT_KEPT: Duration = Duration::from_secs(60 * 60);
/// How much each side of an in-memory connection can send before the other reads.
const IN_PROCESS_BUFFER_BYTES: usize = 1 << 20;

/// Serves `archive` on all `listeners` until `shutdown` completes. It then lets calls in progress finish, and closes the
/// archive.
///
/// If the storage fails, reads continue for a while and the server then ends with an error, so that a supervisor can
/// restart it.
pub async fn serve(
    listeners: Vec<Listener>,
    archive: Arc<Archive>,
    options: Options,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let addresses = listeners.iter().map(Listener::address).collect::<Result<Vec<_>, _>>()?;
    let (health, serving) = watch::channel(true);
    let access = options.access.clone();
    let weakenings: Arc<[pb::Weakening]> = weakenings(&listeners, &options).into();
    let context = context(Arc::clone(&archive), &options, Arc::clone(&weakenings));
    let (stopping, subscribers) = (context.stopping.clone(), context.subscribers.clone());
    let checks =
        HealthServer::new(HealthHandler::new(SERVICES, serving, Arc::clone(&archive), context.stopping.clone()));
    let router = router(context, &options, Some(checks));
    let limits = ConnectionLimits::new(&options, stopping.clone());
    tracing::info!(connections_max = limits.connections_max(), "connection limit");
    let stopped = stopping.clone().cancelled_owned();
    let connections = select_all(listeners.into_iter().map(|listener| limits.clone().connections(listener).boxed()));
    let mut serving = tokio::spawn(router.serve_with_incoming_shutdown(connections, stopped));
    for address in &addresses {
        tracing::info!(%address, "serving");
    }
    let failed = async {
        archive.failed().await;
        health.send_replace(false);
        tracing::error!(
            seconds = options.failed_grace.as_secs(),
            "the storage failed; reads continue for a while, then the server ends"
        );
        tokio::time::sleep(options.failed_grace).await;
    };
    let ended = tokio::select! {
        () = shut_down_after(shutdown, &limits, &subscribers, options.linger) => None,
        () = failed => Some(Err(ServeError::StorageFailed)),
        never = watch_clock(&archive) => match never {},
        never = watch_destruction(&archive) => match never {},
        never = watch_rules(access) => match never {},
        never = watch_weakenings(&weakenings) => match never {},
        never = Tls::follow(options.tls.as_ref(), options.tls_files_every) => match never {},
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
    // A subscriber whose connection is gone ends at once. One whose connection is still open may not.
    let _all_ended = tokio::time::timeout(SUBSCRIBERS_END_WITHIN, subscribers.wait()).await.is_ok();
    archive.close().await;
    if let Some(access) = options.access {
        access.keep_last_used();
    }
    ended
}

/// Waits for `shutdown`, and then until all clients except subscribers have disconnected, but no longer than `linger`.
async fn shut_down_after(
    shutdown: impl Future<Output = ()>,
    limits: &ConnectionLimits,
    subscribers: &TaskTracker,
    linger: Duration,
) {
    shutdown.await;
    let clients_left = async {
        while limits.open() > subscribers.len() as u64 {
            tokio::time::sleep(CLIENTS_LEFT_EVERY).await;
        }
    };
    // Those that are left are served until their calls in progress are finished.
    let _all_left = tokio::time::timeout(linger, clients_left).await.is_ok();
}

/// Checks the clock at intervals, so that faults are logged even if nothing is written.
async fn watch_clock(archive: &Archive) -> Infallible {
    let mut interval = tokio::time::interval(CLOCK_EVERY);
    loop {
        interval.tick().await;
        archive.clock_fault();
    }
}

/// Reads the access rules again when they change.
async fn watch_rules(access: Option<Arc<Access>>) -> Infallible {
    let Some(access) = access else { return std::future::pending().await };
    let mut interval = tokio::time::interval(RULES_EVERY);
    loop {
        interval.tick().await;
        let access = Arc::clone(&access);
        // A panic would be a bug there; the rules then stay as they are.
        drop(tokio::task::spawn_blocking(move || access.refresh()).await);
    }
}

/// Logs at intervals that text was destroyed long ago, and the files of the archive still have it.
async fn watch_destruction(archive: &Archive) -> Infallible {
    let mut interval = tokio::time::interval(DESTRUCTION_EVERY);
    loop {
        interval.tick().await;
        match archive.destruction_overdue().await {
            Ok(None) => {}
            Ok(Some(since)) => tracing::error!(
                %since,
                "the files of the archive still have text that was destroyed more than a day ago; restart the server, \
                 which takes it out of them first"
            ),
            Err(error) => tracing::error!(%error, "whether a destruction is pending could not be read"),
        }
    }
}

/// What a server leaves open to others that it could keep from them.
fn weakenings(listeners: &[Listener], options: &Options) -> Vec<pb::Weakening> {
    let no_auth = options.access.is_none() && listeners.iter().any(Listener::is_open_without_authentication);
    let no_tls = options.tls.is_none() && listeners.iter().any(Listener::is_remote);
    let found = [(no_auth, pb::Weakening::NoAuth), (no_tls, pb::Weakening::NoTls)];
    found.into_iter().filter_map(|(is_found, weakening)| is_found.then_some(weakening)).collect()
}

/// Logs what is left open to others, now and at intervals, so that nobody forgets it.
async fn watch_weakenings(weakenings: &[pb::Weakening]) -> Infallible {
    let mut interval = tokio::time::interval(WEAKENINGS_EVERY);
    loop {
        interval.tick().await;
        for weakening in weakenings {
            match weakening {
                pb::Weakening::NoAuth => {
                    tracing::warn!("no authentication: everyone who can connect can read and change everything");
                }
                pb::Weakening::NoTls => {
                    tracing::warn!("no TLS: texts and tokens can be read and changed on their way between machines");
                }
                pb::Weakening::Unspecified => {}
            }
        }
    }
}

/// A channel to `archive` through the same services, over an in-memory connection. The connection lasts as long as the
/// channel, and no other client can use it.
pub async fn in_process(archive: Arc<Archive>, options: &Options) -> Result<Channel, tonic::transport::Error> {
    let (client, server) = tokio::io::duplex(IN_PROCESS_BUFFER_BYTES);
    let incoming = tokio_stream::once(Ok::<_, std::io::Error>(Connection::in_process(server)));
    // The in-memory connection ends when its client does, and the server ends with its only connection. Its client knows
    // the contract.
    tokio::spawn(router(context(archive, options, Arc::default()), options, None).serve_with_incoming(incoming));
    let mut client = Some(client);
    let connector = service_fn(move |_| {
        let stream = client.take().map(TokioIo::new);
        async move { stream.ok_or_else(|| std::io::Error::other("the in-memory connection is closed")) }
    });
    Endpoint::from_static("http://in-process").connect_with_connector(connector).await
}

fn context(archive: Arc<Archive>, options: &Options, weakenings: Arc<[pb::Weakening]>) -> Context {
    Context {
        archive,
        limits: options.limits,
        stopping: CancellationToken::new(),
        subscribers: TaskTracker::new(),
        stalled_after: options.stalled_after,
        memory: Memory::default(),
        signer: options.signer.clone(),
        access: options.access.clone(),
        webhooks: options.webhooks.clone(),
        web_url: options.web_url.clone(),
        weakenings,
    }
}

/// What each call passes before its service, the outermost layer last.
type Layers = Stack<
    AuthenticationLayer,
    Stack<AdmissionLayer, Stack<CountCallsLayer, Stack<ConnectLayer, Stack<Either<CorsLayer, Identity>, Identity>>>>,
>;

fn router(context: Context, options: &Options, health: Option<HealthServer<HealthHandler>>) -> Router<Layers> {
    let bounds = Arc::new(Bounds::new(&options.limits, options.stalled_after));
    let archive = ArchiveServiceServer::new(ArchiveHandler(context.clone()))
        .max_encoding_message_size(usize::MAX)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let subscribers_per_peer_max = options.subscribers_per_peer_max.unwrap_or(options.subscribers_max.div_ceil(4));
    let stats = options.stats.clone();
    let feed_stats = stats.as_ref().map(|stats| Arc::clone(&stats.feed)).unwrap_or_default();
    let feed = FeedHandler::new(context.clone(), options.subscribers_max, subscribers_per_peer_max, feed_stats);
    let feed = ChangeFeedServiceServer::new(feed)
        .max_encoding_message_size(usize::MAX)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let integrity = IntegrityServiceServer::new(IntegrityHandler(context.clone()))
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let access = AccessServiceServer::new(AccessHandler(context.clone()))
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let authentication = AuthenticationLayer::new(options);
    let admin = AdminServiceServer::new(AdminHandler::new(context, options.allow_expunge))
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let is_public = health.is_some();
    let continue_trace = options.continue_trace;
    let responses = UnreadResponses::new(options.stalled_after);
    let mut server = Server::builder()
        .accept_http1(true)
        .trace_fn(move |request| call_span(request, continue_trace))
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(u32::try_from(options.calls_per_connection_max).unwrap_or(u32::MAX))
        .layer(option_layer(cors(&options.allow_origin)))
        .layer(ConnectLayer::new(responses.clone(), options))
        .layer(CountCallsLayer(stats.map(|stats| Arc::clone(&stats.calls))))
        .layer(AdmissionLayer { responses, allow_origin: options.allow_origin.clone().into() })
        .layer(authentication);
    server
        .add_service(Bounded::new(archive, &bounds))
        .add_service(Bounded::new(feed, &bounds))
        .add_service(Bounded::new(admin, &bounds))
        .add_service(Bounded::new(integrity, &bounds))
        .add_service(Bounded::new(access, &bounds))
        .add_optional_service(health.map(|health| health.max_decoding_message_size(SMALL_REQUEST_BYTES)))
        .add_optional_service(is_public.then(reflection).flatten())
        .add_optional_service(is_public.then(reflection_v1alpha).flatten())
}

/// Lets the web pages of some origins call the server, and read its responses; `None` for no origin.
fn cors(allow_origin: &[http::HeaderValue]) -> Option<CorsLayer> {
    use http::header::{AUTHORIZATION, CONTENT_TYPE};
    if allow_origin.is_empty() {
        return None;
    }
    let headers = ["connect-protocol-version", "connect-timeout-ms"].map(HeaderName::from_static);
    let layer = CorsLayer::new()
        .allow_origin(allow_origin.to_vec())
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE].into_iter().chain(headers).collect::<Vec<_>>())
        .max_age(PREFLIGHT_KEPT);
    Some(layer)
}

/// The span of a call, which is a part of its caller's trace if traces are exported. What is empty is set later, if they
/// are; the names are those of OpenTelemetry.
fn call_span(request: &http::Request<()>, continue_trace: Option<fn(&Span, &http::HeaderMap)>) -> Span {
    let path = request.uri().path();
    let span = tracing::info_span!(
        "rpc",
        method = path,
        otel.name = Empty,
        otel.kind = Empty,
        otel.status_code = Empty,
        rpc.grpc.status_code = Empty
    );
    if let Some(continue_trace) = continue_trace {
        continue_trace(&span, request.headers());
        span.record("otel.name", path.trim_start_matches('/'));
        span.record("otel.kind", "server");
    }
    span
}

/// Server reflection. Registering our own contract should not fail; if it does, the server runs without reflection.
fn reflection()
-> Option<tonic_reflection::server::v1::ServerReflectionServer<impl tonic_reflection::server::v1::ServerReflection>> {
    let built = reflection_builder().build_v1();
    let built = built.inspect_err(|error| tracing::error!(%error, "server reflection is not available")).ok();
    built.map(|service| service.max_decoding_message_size(SMALL_REQUEST_BYTES))
}

/// Server reflection for clients that only know its v1alpha version.
fn reflection_v1alpha() -> Option<
    tonic_reflection::server::v1alpha::ServerReflectionServer<impl tonic_reflection::server::v1alpha::ServerReflection>,
> {
    let built = reflection_builder().build_v1alpha();
    let built = built.inspect_err(|error| tracing::error!(%error, "server reflection v1alpha is not available")).ok();
    built.map(|service| service.max_decoding_message_size(SMALL_REQUEST_BYTES))
}

fn reflection_builder() -> tonic_reflection::server::Builder<'static> {
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

/// Waits for calls in progress, then for accepted writes. Streams and waiting calls end by themselves when the server
/// stops. After [`CALLS_END_WITHIN`], the shutdown waits only for writes and, briefly, for their responses: not for
/// other calls, unread responses, or idle connections that their client keeps open.
async fn finish(
    serving: &mut tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
    archive: &Archive,
    grace: Duration,
) -> Result<(), ServeError> {
    if let Ok(served) = tokio::time::timeout(CALLS_END_WITHIN.min(grace), &mut *serving).await {
        return joined(served);
    }
    if tokio::time::timeout(grace, archive.close()).await.is_err() {
        tracing::warn!("writes were still in progress when the grace period ended");
        return Ok(());
    }
    match tokio::time::timeout(RESPONSES_LEAVE_WITHIN, serving).await {
        Ok(served) => joined(served),
        Err(_) => {
            tracing::info!("connections were still open when the last write was done");
            Ok(())
        }
    }
}
