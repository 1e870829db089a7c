//! Where names lead and what connects: the machine's network, or one that a test makes up.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::net::TcpStream;

/// An answer of a network, in its time.
pub type Later<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// Where names lead and what connects.
///
/// The fetcher asks for a name's addresses once a connection, drops those that are not public, and connects to no other
/// address than one that is left: whoever answers cannot change their mind in between. It never asks for the address of
/// an IP literal. Dropping an answer that has not come gives it up.
pub trait Network: Send + Sync + 'static {
    /// The addresses of a host, each with the port, in the order in which to try them.
    fn resolve(&self, host: &str, port: u16) -> Later<Vec<SocketAddr>>;

    /// A connection to an address.
    fn connect(&self, address: SocketAddr) -> Later<TcpStream>;
}

/// The machine's own network.
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
