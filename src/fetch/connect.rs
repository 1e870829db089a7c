//! Connections: the one place at which hosts become addresses, and at which addresses are checked.
//!
//! Every connection is made here, to IP literals too, and only to an address that has passed [`is_public`]. No proxy
//! stands in between, also not one that the environment names: it would look names up for us, past the check.
//!
//! Of a name with both public and private addresses the public ones are used. Nothing private is reached either way, and
//! a site whose records list an inside address too can still be read. A name with private ones only is refused.

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

/// How long an address is given before the next one is tried beside it (RFC 8305).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Makes connections for the HTTP client.
#[derive(Clone)]
pub(super) struct Connector {
    network: Arc<dyn Network>,
    tls: Arc<Tls>,
    allow_private: bool,
    timeout: Duration,
}

/// Why there is no connection.
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

    /// The addresses of a host that may be connected to; never none.
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

    /// The first connection that comes about. Each address gets a head start over the next, so that one which leads
    /// nowhere, as IPv6 does on some networks, costs a moment and not the page.
    async fn first_of(&self, addresses: Vec<SocketAddr>, host: &str) -> Result<TcpStream, ConnectError> {
        let mut attempts = JoinSet::new();
        let mut reason = "it has no address".to_owned();
        let mut addresses = addresses.into_iter();
        loop {
            let ended = match addresses.next() {
                Some(address) => {
                    attempts.spawn(self.network.connect(address));
                    match tokio::time::timeout(NEXT_ADDRESS_AFTER, attempts.join_next()).await {
                        Ok(ended) => ended,
                        Err(_) => continue,
                    }
                }
                None => attempts.join_next().await,
            };
            match ended {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => reason = error.to_string(),
                Some(Err(error)) => reason = error.to_string(),
                None => break,
            }
        }
        Err(ConnectError::Connect { host: host.to_owned(), reason })
    }
}

/// Names that mean this machine, whatever a resolver says of them (RFC 6761).
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

/// A connection, plain or secure.
pub(super) struct Stream(TokioIo<Box<dyn Duplex>>);

/// What reads and writes.
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
