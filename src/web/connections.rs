//! Accepts connections, and closes those whose client is silent or takes nothing.
//!
//! Connections are limited, in total and for each peer; one over a limit is closed at once. A client has a time to send
//! its first request, TLS handshake included, and each later one. One that takes nothing of a response for too long is
//! disconnected, so that it cannot hold memory by not reading; since it takes nothing of the connection itself, this is
//! noticed below TLS. One that takes nothing of an HTTP/2 stream loses that stream ([`super::progress`]).

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tokio_util::either::Either;

use super::Options;
use super::front::Front;
use super::progress::Streams;
use super::proxies::TrustedProxies;
use super::stats::Stats;
use crate::server::{OpenConnection, Tls};
use crate::service::{PeerPlace, PerPeer};

/// The pause after a failed accept, so that a process without free descriptors does not retry in a busy loop.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// The largest head of a request, in bytes.
const HEAD_BYTES_MAX: u32 = 16 << 10;
/// The most header fields of a request.
const HEADERS_MAX: usize = 64;
/// Requests that may be in progress on one HTTP/2 connection.
const REQUESTS_MAX: u32 = 32;
/// How often the peer of an HTTP/2 connection is asked whether it is still there, and for how long.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// The limits on connections, and what encrypts them.
pub(super) struct Connections {
    places: Arc<Semaphore>,
    peers: PerPeer,
    per_peer_max: usize,
    /// Their connections are those of many clients, and count in total only.
    trusted_proxies: TrustedProxies,
    request_within: Duration,
    stalled_after: Duration,
    tls: Option<Tls>,
    stats: Arc<Stats>,
}

/// A connection with its places.
struct Accepted {
    stream: TcpStream,
    peer: IpAddr,
    _place: OwnedSemaphorePermit,
    _peer_place: PeerPlace,
    _counted: OpenConnection,
}

impl Connections {
    pub(super) fn new(options: &Options) -> Self {
        let places_max = options.connections_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(places_max)),
            peers: PerPeer::default(),
            per_peer_max: options.connections_per_peer_max.unwrap_or(places_max / 2).clamp(1, places_max),
            trusted_proxies: options.trusted_proxies.clone(),
            request_within: options.request_within,
            stalled_after: options.stalled_after,
            tls: options.tls.clone(),
            stats: Arc::clone(&options.stats),
        }
    }

    /// Serves the connections of `listener`. Does not return; connections end when this is dropped.
    pub(super) async fn serve(self, listener: TcpListener, front: Front) -> Infallible {
        let (this, mut open) = (Arc::new(self), JoinSet::new());
        loop {
            let accepted = tokio::select! {
                Some(_) = open.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => match this.admit(stream, peer.ip()) {
                    Some(accepted) => drop(open.spawn(Arc::clone(&this).answer(accepted, front.clone()))),
                    None => tracing::debug!(%peer, "a connection to the web pages was over a limit"),
                },
                Err(error) => {
                    tracing::debug!(%error, "a connection to the web pages was not accepted");
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                }
            }
        }
    }

    /// The connection with its places; `None` if there is none for it.
    fn admit(&self, stream: TcpStream, peer: IpAddr) -> Option<Accepted> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        let peer_max = if self.trusted_proxies.has(peer) { usize::MAX } else { self.per_peer_max };
        let places = place.zip(self.peers.take(peer, peer_max));
        let Some((place, peer_place)) = places else {
            self.stats.connections.reject();
            return None;
        };
        let counted = self.stats.connections.accept();
        Some(Accepted { stream, peer, _place: place, _peer_place: peer_place, _counted: counted })
    }

    /// Answers the requests of a connection, until it ends.
    async fn answer(self: Arc<Self>, accepted: Accepted, front: Front) {
        let Accepted { stream, peer, .. } = accepted;
        // A small response must not wait for the next one to fill a packet. Without that it is only slower.
        drop(stream.set_nodelay(true));
        let stream = Impatient { stream, stalled_after: self.stalled_after, deadline: None };
        let ask_until = Instant::now() + self.request_within;
        let stream = match &self.tls {
            None => Either::Left(stream),
            Some(tls) => match timeout_at(ask_until, tls.accept(stream)).await {
                Ok(Ok((stream, _))) => Either::Right(stream),
                Ok(Err(error)) => return tracing::debug!(%peer, %error, "a TLS handshake with the web pages failed"),
                Err(_) => return,
            },
        };
        let has_asked = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&has_asked);
        let service = service_fn(move |request| {
            asked.store(true, Ordering::Relaxed);
            let front = front.clone();
            async move { Ok::<_, Infallible>(front.answer(request, peer).await) }
        });
        let http = self.http();
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        // A connection whose client says nothing belongs to neither protocol yet, so no timer of theirs runs.
        tokio::select! {
            _ = &mut connection => return,
            () = sleep_until(ask_until) => {}
        }
        if has_asked.load(Ordering::Relaxed) {
            // An error is that of a client which is gone or broke the protocol.
            drop(connection.await);
        }
    }

    /// Both protocols, with their limits.
    fn http(&self) -> auto::Builder<Streams> {
        let mut http = auto::Builder::new(Streams { stalled_after: self.stalled_after });
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.request_within)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX as usize);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(REQUESTS_MAX)
            .max_header_list_size(HEAD_BYTES_MAX)
            .keep_alive_interval(KEEPALIVE_EVERY)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT);
        http
    }
}

/// A stream that fails if the peer takes nothing for too long.
struct Impatient {
    stream: TcpStream,
    stalled_after: Duration,
    /// When to give up; `None` unless something is waiting to be taken.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    /// The result of a write, or an error if the peer has taken nothing for too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let stalled_after = self.stalled_after;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(stalled_after)));
        match deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Impatient {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.watch(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.watch(cx, written)
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
