//! Connections: which are taken, and which have to say what they want.
//!
//! A connection costs a file descriptor, and storage needs some as well. So their number is bounded, overall and for
//! each peer, well below the descriptors that the process may have. One above that is closed at once: its caller learns
//! that immediately, and those that are connected notice nothing.
//!
//! A client begins with the preface of HTTP/2 and a SETTINGS frame (RFC 9113, section 3.4). A connection on which that
//! has not come within [`Doors::greeting_within`] is closed, and so is one that is still silent when the server
//! stops: nothing is under way on it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use crate::service::{Caller, PeerPlace, PerPeer};

/// Descriptors that are kept for everything but connections: the database, files of backups and verifications, the
/// runtime, and a connection that is being refused.
const DESCRIPTORS_RESERVED: u64 = 64;
/// A failed accept is not tried again sooner than this: without descriptors it would fail at once, again and again.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Refused connections are logged at most this often.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Allows the process as many descriptors as the system lets it have, and returns how many those are.
///
/// `None` where the system does not say.
pub fn raise_descriptor_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, "the limit of file descriptors could not be raised");
        return limit.current;
    }
    limit.maximum
}

/// Which connections a server takes.
#[derive(Clone)]
pub(super) struct Doors {
    places: Arc<Semaphore>,
    places_max: usize,
    per_peer_max: usize,
    peers: PerPeer,
    /// Calls that may be under way on one connection.
    calls_max: usize,
    /// How long a connection may take to send its preface and settings.
    greeting_within: Duration,
    /// Is cancelled when the server stops.
    stopping: CancellationToken,
}

impl Doors {
    /// At most `connections_max` connections, fewer where `descriptors` allows no more, and of one peer at most
    /// `per_peer_max`, or half of all.
    pub(super) fn new(
        connections_max: usize,
        per_peer_max: Option<usize>,
        descriptors: Option<u64>,
        calls_max: usize,
        greeting_within: Duration,
        stopping: CancellationToken,
    ) -> Self {
        let for_connections = descriptors.map_or(u64::MAX, |all| all.saturating_sub(DESCRIPTORS_RESERVED).max(1));
        let places_max = connections_max.min(usize::try_from(for_connections).unwrap_or(usize::MAX));
        let places_max = places_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(places_max)),
            places_max,
            per_peer_max: per_peer_max.unwrap_or(places_max / 2).clamp(1, places_max),
            peers: PerPeer::default(),
            calls_max,
            greeting_within,
            stopping,
        }
    }

    /// The connections that come to `listener`, without end.
    pub(super) fn connections(self, listener: TcpListener) -> impl Stream<Item = io::Result<Connection>> {
        let begin = (listener, self, Refused::default());
        futures_util::stream::unfold(begin, |(listener, doors, mut refused)| async move {
            loop {
                let connection = match listener.accept().await {
                    Ok((stream, peer)) => doors.admit(stream, peer),
                    Err(error) => {
                        tracing::debug!(%error, "a connection was not accepted");
                        tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                        continue;
                    }
                };
                match connection {
                    Ok(connection) => return Some((Ok(connection), (listener, doors, refused))),
                    Err(reason) => refused.log(reason),
                }
            }
        })
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) -> Result<Connection, &'static str> {
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(|_| "as many are open as may be")?;
        let place = self.peers.take(peer.ip(), self.per_peer_max).ok_or("its peer has as many open as one may have")?;
        // A small answer must not wait for the next one to fill a packet.
        stream.set_nodelay(true).map_err(|_| "it was gone before it was taken")?;
        let greeting = Greeting {
            progress: Progress::default(),
            deadline: Box::pin(tokio::time::sleep(self.greeting_within)),
            stopping: Box::pin(self.stopping.clone().cancelled_owned()),
        };
        let caller = Caller::new(peer.ip(), self.calls_max);
        Ok(Connection { stream, caller, greeting: Some(Box::new(greeting)), _permit: permit, _place: place })
    }

    /// How many connections may be open at once.
    pub(super) fn connections_max(&self) -> usize {
        self.places_max
    }
}

/// Connections that were refused, and when that was last logged.
#[derive(Default)]
struct Refused {
    count: u64,
    logged: Option<Instant>,
}

impl Refused {
    fn log(&mut self, reason: &str) {
        self.count += 1;
        if self.logged.is_some_and(|logged| logged.elapsed() < LOG_EVERY) {
            return;
        }
        tracing::warn!(reason, refused = self.count, "connections are refused");
        *self = Self { count: 0, logged: Some(Instant::now()) };
    }
}

/// A connection that was taken.
pub(super) struct Connection {
    stream: TcpStream,
    caller: Caller,
    /// What is awaited of its client first; `None` once it has come.
    greeting: Option<Box<Greeting>>,
    _permit: OwnedSemaphorePermit,
    _place: PeerPlace,
}

/// A client that has yet to send its preface and settings.
struct Greeting {
    progress: Progress,
    deadline: Pin<Box<Sleep>>,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Greeting {
    /// Ready when it is not awaited any longer.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client did not send its settings in time",
            ));
        }
        if self.stopping.as_mut().poll(cx).is_ready() {
            return Poll::Ready(io::Error::new(io::ErrorKind::ConnectionAborted, "the server stops"));
        }
        Poll::Pending
    }
}

const PREFACE_BYTES: usize = 24;
/// Preface and the head of the first frame, whose first three bytes are the length of its payload.
const HEAD_BYTES: usize = PREFACE_BYTES + 9;

/// How much of preface and first frame has come. What they say is judged by their reader.
#[derive(Default)]
struct Progress {
    received: usize,
    payload_bytes: usize,
}

impl Progress {
    /// Takes what came next, and tells whether all has come.
    fn take(&mut self, bytes: &[u8]) -> bool {
        for (at, byte) in (self.received..).zip(bytes).take_while(|(at, _)| *at < HEAD_BYTES) {
            if (PREFACE_BYTES..PREFACE_BYTES + 3).contains(&at) {
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
        if let Poll::Ready(error) = greeting.poll_over(cx) {
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if read.is_ready() && greeting.progress.take(buffer.filled().get(before..).unwrap_or_default()) {
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

    /// Preface and a SETTINGS frame with one setting.
    fn greeting() -> Vec<u8> {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100]);
        bytes
    }

    #[test]
    fn a_greeting_is_over_with_the_last_byte_of_its_settings() {
        let whole = greeting();
        for piece in 1..=whole.len() {
            let mut progress = Progress::default();
            let mut came = 0;
            for bytes in whole.chunks(piece) {
                came += bytes.len();
                assert_eq!(progress.take(bytes), came == whole.len(), "{came} bytes in pieces of {piece}");
            }
        }
    }

    #[test]
    fn descriptors_are_left_for_storage() {
        let max = |most, descriptors| {
            Doors::new(most, None, descriptors, 1, Duration::ZERO, CancellationToken::new()).connections_max()
        };
        assert_eq!(max(10_000, Some(256)), 256 - 64);
        assert_eq!(max(100, Some(1_024)), 100);
        assert_eq!(max(10_000, None), 10_000);
        assert_eq!(max(10_000, Some(10)), 1);
    }
}
