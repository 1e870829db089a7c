//! Opens connections: the only place that resolves hosts and checks their addresses.
//!
//! Every connection is made here, including those to IP literals, and only to an address that [`is_public`] accepts. No
//! proxy is used, not even one named in the environment: it would resolve names for us and so bypass the check.
//!
//! If a name has both public and private addresses, only the public ones are used: a site whose DNS records also list
//! an internal address can still be read. A name with only private addresses is rejected.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tower_service::Service;

use super::address::is_public;
use super::tls::Tls;
use super::{Network, Options};

/// Head start of each address before the next one is tried in parallel (RFC 8305).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Opens connections for the HTTP client.
#[derive(Clone)]
pub(super) struct Connector {
    network: Arc<dyn Network>,
    tls: Arc<Tls>,
    allow_private: bool,
    timeout: Duration,
}

/// Why a connection failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{self:?}")]
pub(super) enum ConnectError {
    Private { host: String, address: IpAddr },
    Dns { host: String, reason: String },
    Connect { host: String, reason: String },
    Tls { host: String, reason: String },
    Timeout,
}

impl Connector {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            network: Arc::clone(&options.network),
            tls: Arc::new(Tls::new(options.authorities.clone())),
            allow_private: options.allow_private,
            timeout: options.connect_timeout,
        }
    }

    async fn connect(self, uri: Uri) -> Result<Stream, ConnectError> {
        let secure = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let addresses = self.addresses(&host, port).await?;
        let stream = self.first_of(addresses, &host).await?;
        if !secure {
            return Ok(Stream(TokioIo::new(Box::new(stream))));
        }
        match self.tls.secure(host.trim_end_matches('.'), stream).await {
            Ok(stream) => Ok(Stream(TokioIo::new(Box::new(stream)))),
            Err(reason) => Err(ConnectError::Tls { host, reason }),
        }
    }

    /// Returns the addresses of a host that may be connected to, at least one.
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
        if is_localhost(host) && !self.allow_private {
            return Err(ConnectError::Private { host: host.to_owned(), address: Ipv4Addr::LOCALHOST.into() });
        }
        let mut addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => {
                let resolved = self.network.resolve(host, port).await;
                resolved.map_err(|error| ConnectError::Dns { host: host.to_owned(), reason: error.to_string() })?
            }
        };
        let Some(first) = addresses.first().map(SocketAddr::ip) else {
            return Err(ConnectError::Dns { host: host.to_owned(), reason: "it has no address".to_owned() });
        };
        if !self.allow_private {
            addresses.retain(|address| is_public(address.ip()));
        }
        if addresses.is_empty() {
            return Err(ConnectError::Private { host: host.to_owned(), address: first });
        }
        Ok(addresses)
    }

    /// Returns the first connection that succeeds. Each address gets a short head start over the next one, so that an
    /// address that never answers, such as an IPv6 address on some networks, costs 250 ms and not the page.
    async fn first_of(&self, addresses: Vec<SocketAddr>, host: &str) -> Result<TcpStream, ConnectError> {
        let mut attempts = JoinSet::new();
        let mut reason = "it has no address".to_owned();
        let mut addresses = addresses.into_iter();
        loop {
            let finished = match addresses.next() {
                Some(address) => {
                    attempts.spawn(self.network.connect(address));
                    match tokio::time::timeout(NEXT_ADDRESS_AFTER, attempts.join_next()).await {
                        Ok(finished) => finished,
                        Err(_) => continue,
                    }
                }
                None => attempts.join_next().await,
            };
            match finished {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => reason = error.to_string(),
                Some(Err(error)) => reason = error.to_string(),
                None => break,
            }
        }
        Err(ConnectError::Connect { host: host.to_owned(), reason })
    }
}

/// Whether a name means this machine, regardless of the resolver (RFC 6761).
fn is_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let timeout = self.timeout;
        let connection = self.clone().connect(uri);
        Box::pin(async move { tokio::time::timeout(timeout, connection).await.unwrap_or(Err(ConnectError::Timeout)) })
    }
}

/// A connection, plain TCP or TLS.
pub(super) struct Stream(TokioIo<Box<dyn Duplex>>);

/// `AsyncRead` and `AsyncWrite` in one trait object.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl hyper::rt::Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
