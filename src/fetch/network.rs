//! Name resolution and connections: the machine's network, or a simulated one in tests.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::net::TcpStream;

/// The future result of a network operation. Dropping it cancels the operation.
pub type Later<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// Resolves names and opens connections.
///
/// For each connection the fetcher resolves the name once, drops the addresses that are not public, and connects to one
/// of the remaining addresses. A name server therefore cannot change its answer between the check and the connection.
/// IP literals are never resolved.
pub trait Network: Send + Sync + 'static {
    /// Resolves a host to its addresses, each with `port`, in the order in which to try them.
    fn resolve(&self, host: &str, port: u16) -> Later<Vec<SocketAddr>>;

    /// Opens a TCP connection to an address.
    fn connect(&self, address: SocketAddr) -> Later<TcpStream>;
}

/// The machine's own resolver and network.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNetwork;

impl Network for SystemNetwork {
    fn resolve(&self, host: &str, port: u16) -> Later<Vec<SocketAddr>> {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }

    fn connect(&self, address: SocketAddr) -> Later<TcpStream> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        })
    }
}
