//! Decides which connections are accepted, and closes those whose client stays silent.
//!
//! A connection needs a file descriptor, and storage needs some as well. So the number of connections is limited, in
//! total and for each peer, and some descriptors are left for storage. A connection over the limit is closed at once:
//! its client notices immediately, and connected clients are not affected.
//!
//! A client begins with the HTTP/2 preface and a SETTINGS frame (RFC 9113, section 3.4), called its greeting here. If
//! the greeting has not arrived within [`ConnectionLimits::greeting_within`], the connection is closed. A client that begins
//! with something else speaks HTTP/1.1: hyper closes the connection if the head of a request takes longer than 30 s. A connection
//! that is still silent when the server stops is closed at once, because it has no calls in progress. With TLS, the
//! handshake is a part of the greeting. It runs in a task of its own, so that no connection waits for another's.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::Options;
use super::listener::{Accepted, Listener};
use super::stats::{ConnectionStats, OpenConnection};
use super::tls::Tls;
use crate::service::{Caller, PeerIdentity, PeerPlace, PerPeer};

/// Descriptors reserved for everything except connections: the database, files of backups and verifications, the
/// runtime, and a connection that is being rejected.
const DESCRIPTORS_RESERVED: u64 = 64;
/// The pause after a failed accept. Without the pause, a server without free descriptors would retry in a busy loop.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// The shortest interval between two log messages about rejected connections.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Raises the process's limit on file descriptors to the system's maximum, and returns the resulting limit.
///
/// `None` if the system does not report one.
pub fn raise_descriptor_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, "the limit on file descriptors could not be raised");
        return limit.current;
    }
    limit.maximum
}

/// Decides which connections a server accepts.
#[derive(Clone)]
pub(super) struct ConnectionLimits {
    places: Arc<Semaphore>,
    places_max: usize,
    per_peer_max: usize,
    peers: PerPeer,
    /// Calls that may be in progress on one connection.
    calls_max: usize,
    /// How long a client may take to send its preface and settings.
    greeting_within: Duration,
    /// Encrypts the connections on TCP; `None` if they are not encrypted.
    tls: Option<Tls>,
    /// Cancelled when the server stops.
    stopping: CancellationToken,
    stats: Arc<ConnectionStats>,
}

impl ConnectionLimits {
    /// Allows at most `connections_max` connections, or fewer if the process has too few descriptors. One peer may have
    /// `connections_per_peer_max` of them, or half if that is `None`.
    pub(super) fn new(options: &Options, stopping: CancellationToken) -> Self {
        let descriptors = options.descriptors_max;
        let for_connections = descriptors.map_or(u64::MAX, |max| max.saturating_sub(DESCRIPTORS_RESERVED).max(1));
        let places_max = options.connections_max.min(usize::try_from(for_connections).unwrap_or(usize::MAX));
        let places_max = places_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(places_max)),
            places_max,
            per_peer_max: options.connections_per_peer_max.unwrap_or(places_max / 2).clamp(1, places_max),
            peers: PerPeer::default(),
            calls_max: options.calls_per_connection_max,
            greeting_within: options.greeting_within,
            tls: options.tls.clone(),
            stopping,
            stats: options.stats.as_ref().map(|stats| Arc::clone(&stats.connections)).unwrap_or_default(),
        }
    }

    /// Accepts connections from `listener`, indefinitely.
    pub(super) fn connections(self, listener: Listener) -> impl Stream<Item = io::Result<Connection>> + Send {
        let state = (listener, self, JoinSet::new(), RejectionLog::default());
        futures_util::stream::unfold(state, |(listener, limits, mut handshakes, mut rejections)| async move {
            loop {
                let connection = tokio::select! {
                    Some(done) = handshakes.join_next() => done.unwrap_or_else(|error| Err(error.to_string())),
                    accepted = listener.accept() => match accepted.map(|accepted| limits.admit(accepted)) {
                        Ok(Ok(Admitted::Open(connection))) => Ok(connection),
                        Ok(Ok(Admitted::InHandshake(handshake))) => {
                            handshakes.spawn(handshake);
                            continue;
                        }
                        Ok(Err(reason)) => {
                            limits.stats.reject();
                            Err(reason.to_owned())
                        }
                        Err(error) => {
                            tracing::debug!(%error, "a connection was not accepted");
                            tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                            continue;
                        }
                    },
                };
                match connection {
                    Ok(connection) => return Some((Ok(connection), (listener, limits, handshakes, rejections))),
                    Err(reason) => rejections.log(&reason),
                }
            }
        })
    }

    fn admit(&self, accepted: Accepted) -> Result<Admitted, &'static str> {
        let permit = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| "the server has reached its limit of connections")?;
        match accepted {
            Accepted::Tcp(stream, peer) => {
                let place = self
                    .peers
                    .take(peer.ip(), self.per_peer_max)
                    .ok_or("the client's address has reached its limit of connections")?;
                // A small response must not wait for the next one to fill a packet.
                stream.set_nodelay(true).map_err(|_| "the client disconnected before it was accepted")?;
                let caller = Caller::new(PeerIdentity::Anonymous, Some(peer.ip()), self.calls_max);
                let entry = self.entry(caller, permit, Some(place));
                Ok(match self.tls.clone() {
                    None => Admitted::Open(entry.open(stream)),
                    Some(tls) => Admitted::InHandshake(Box::pin(entry.encrypt(stream, tls))),
                })
            }
            Accepted::ArchiveSocket(stream) if is_of_this_user(&stream) => {
                let caller = Caller::new(PeerIdentity::Owner, None, self.calls_max);
                Ok(Admitted::Open(self.entry(caller, permit, None).open(stream)))
            }
            Accepted::ArchiveSocket(_) => Err("only the archive's owner may use its socket"),
        }
    }

    fn entry(&self, caller: Caller, permit: OwnedSemaphorePermit, peer_place: Option<PeerPlace>) -> Entry {
        let greeting = Greeting {
            progress: GreetingProgress::default(),
            deadline: Box::pin(tokio::time::sleep(self.greeting_within)),
            stopping: Box::pin(self.stopping.clone().cancelled_owned()),
        };
        Entry { caller, greeting: Box::new(greeting), places: (permit, peer_place), counted: self.stats.accept() }
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> u64 {
        self.stats.open()
    }

    /// How many connections may be open at once.
    pub(super) fn connections_max(&self) -> usize {
        self.places_max
    }
}

/// Whether the process at the other end belongs to this process's user, who owns the archive. Not even root may connect:
/// it could not open the archive either, and can become that user.
fn is_of_this_user(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw())
}

/// Counts rejected connections between log messages.
#[derive(Default)]
struct RejectionLog {
    count: u64,
    logged: Option<Instant>,
}

impl RejectionLog {
    fn log(&mut self, reason: &str) {
        self.count += 1;
        if self.logged.is_some_and(|logged| logged.elapsed() < LOG_EVERY) {
            return;
        }
        tracing::warn!(reason, refused = self.count, "rejecting connections");
        *self = Self { count: 0, logged: Some(Instant::now()) };
    }
}

/// A connection that has its places, and what is left to do before it is used.
enum Admitted {
    Open(Connection),
    InHandshake(Pin<Box<dyn Future<Output = Result<Connection, String>> + Send>>),
}

/// What an admitted connection has before its transport is ready.
struct Entry {
    caller: Caller,
    greeting: Box<Greeting>,
    places: (OwnedSemaphorePermit, Option<PeerPlace>),
    counted: OpenConnection,
}

impl Entry {
    fn open(self, stream: impl Transport + 'static) -> Connection {
        let Self { caller, greeting, places, counted } = self;
        let (greeting, places, counted) = (Some(greeting), Some(places), Some(counted));
        Connection { stream: Box::new(stream), caller, greeting, _places: places, _counted: counted }
    }

    /// Completes a TLS handshake, within the time for the whole greeting.
    async fn encrypt(mut self, stream: TcpStream, tls: Tls) -> Result<Connection, String> {
        let done = tokio::select! {
            done = tls.accept(stream) => done,
            error = poll_fn(|cx| self.greeting.poll_given_up(cx)) => Err(error),
        };
        let (stream, identity) = done.map_err(|error| format!("a TLS handshake failed: {error}"))?;
        self.caller.identity = identity;
        Ok(self.open(stream))
    }
}

/// What carries a connection.
trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// An accepted connection. Dropping it frees its place for another one.
pub(super) struct Connection {
    stream: Box<dyn Transport>,
    caller: Caller,
    /// The greeting expected from the client; `None` once it has arrived.
    greeting: Option<Box<Greeting>>,
    /// Its place among all connections, and among those of its peer.
    _places: Option<(OwnedSemaphorePermit, Option<PeerPlace>)>,
    _counted: Option<OpenConnection>,
}

impl Connection {
    /// The connection of this process to itself.
    pub(super) fn in_process(stream: DuplexStream) -> Self {
        Self { stream: Box::new(stream), caller: Caller::in_process(), greeting: None, _places: None, _counted: None }
    }
}

/// A client that has not yet sent its preface and settings.
struct Greeting {
    progress: GreetingProgress,
    deadline: Pin<Box<Sleep>>,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Greeting {
    /// Ready when the server must stop waiting for the greeting.
    fn poll_given_up(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client did not send its settings in time",
            ));
        }
        if self.stopping.as_mut().poll(cx).is_ready() {
            return Poll::Ready(io::Error::new(io::ErrorKind::ConnectionAborted, "the server is stopping"));
        }
        Poll::Pending
    }
}

/// The HTTP/2 preface.
const PREFACE: &[u8; PREFACE_BYTES] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PREFACE_BYTES: usize = 24;
/// A frame's header has 9 bytes (RFC 9113, section 4.1). The first of its fields is the length of the payload.
const FRAME_HEADER_BYTES: usize = 9;
const PAYLOAD_LENGTH_BYTES: usize = 3;
/// The preface and the header of the first frame.
const HEAD_BYTES: usize = PREFACE_BYTES + FRAME_HEADER_BYTES;

/// How much of the preface and first frame has arrived. The HTTP/2 implementation validates the content.
#[derive(Default)]
struct GreetingProgress {
    received: usize,
    payload_bytes: usize,
}

impl GreetingProgress {
    /// Counts received bytes, and returns whether the greeting is complete, or is not one of HTTP/2.
    fn receive(&mut self, bytes: &[u8]) -> bool {
        let expected = PREFACE.iter().skip(self.received);
        if bytes.iter().zip(expected).any(|(received, expected)| received != expected) {
            return true;
        }
        for (at, byte) in (self.received..).zip(bytes).take_while(|(at, _)| *at < HEAD_BYTES) {
            if (PREFACE_BYTES..PREFACE_BYTES + PAYLOAD_LENGTH_BYTES).contains(&at) {
                self.payload_bytes = self.payload_bytes << 8 | usize::from(*byte);
            }
        }
        self.received = self.received.saturating_add(bytes.len());
        self.received >= HEAD_BYTES.saturating_add(self.payload_bytes)
    }
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(greeting) = &mut this.greeting else {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        };
        if let Poll::Ready(error) = greeting.poll_given_up(cx) {
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if read.is_ready() && greeting.progress.receive(buffer.filled().get(before..).unwrap_or_default()) {
            this.greeting = None;
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A preface, and a SETTINGS frame with one setting.
    fn greeting() -> Vec<u8> {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100]);
        bytes
    }

    #[test]
    fn a_greeting_is_complete_with_the_last_byte_of_its_settings() {
        let whole = greeting();
        for piece in 1..=whole.len() {
            let mut progress = GreetingProgress::default();
            let mut received = 0;
            for bytes in whole.chunks(piece) {
                received += bytes.len();
                assert_eq!(progress.receive(bytes), received == whole.len(), "{received} bytes in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_client_of_http_1_sends_no_greeting() {
        let mut progress = GreetingProgress::default();
        assert!(!progress.receive(b"P"));
        assert!(progress.receive(b"OST /dateline.v1.ArchiveService/GetArticle HTTP/1.1\r\n"));
        assert!(!GreetingProgress::default().receive(b""));
    }

    #[test]
    fn descriptors_are_left_for_storage() {
        let max = |connections_max, descriptors| {
            let options = Options { connections_max, descriptors_max: descriptors, ..Options::default() };
            ConnectionLimits::new(&options, CancellationToken::new()).connections_max()
        };
        assert_eq!(max(10_000, Some(256)), 256 - 64);
        assert_eq!(max(100, Some(1_024)), 100);
        assert_eq!(max(10_000, None), 10_000);
        assert_eq!(max(10_000, Some(10)), 1);
    }
}
