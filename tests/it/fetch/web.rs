//! A simulated web of a few hosts: their names resolve to public addresses, which are mapped to servers on this
//! machine.
//!
//! So the fetcher checks addresses as it does outside of tests, and the addresses that it connects to are recorded.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use dateline::internals::fetch::{Later, Network};
use tokio::net::TcpStream;

use super::server::Server;

/// The web. A name that it does not know is not found, and an address without a server refuses connections.
#[derive(Default)]
pub(crate) struct Web {
    names: Mutex<HashMap<String, Vec<IpAddr>>>,
    servers: Mutex<HashMap<IpAddr, Place>>,
    resolved: Mutex<Vec<String>>,
    connected: Mutex<Vec<SocketAddr>>,
}

#[derive(Clone, Copy)]
enum Place {
    Server(SocketAddr),
    Silence,
}

impl Web {
    /// An empty web.
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A web with one site, `news.example`, on this server.
    pub(crate) fn of(server: &Server) -> Arc<Self> {
        let web = Self::new();
        web.site("news.example", server);
        web
    }

    /// Adds a host with a public address of its own, where the server answers at every port.
    pub(crate) fn site(&self, name: &str, server: &Server) {
        let number = u8::try_from(self.servers.lock().unwrap().len() + 1).unwrap();
        let address = IpAddr::from([9, 9, 9, number]);
        self.name(name, &[&address.to_string()]);
        self.server_at(&address.to_string(), server);
    }

    /// Adds a name, or changes the addresses to which it resolves.
    pub(crate) fn name(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.names.lock().unwrap().insert(name.to_owned(), addresses);
    }

    /// Maps an address to a server, at every port.
    pub(crate) fn server_at(&self, address: &str, server: &Server) {
        self.servers.lock().unwrap().insert(address.parse().unwrap(), Place::Server(server.address()));
    }

    /// Adds an address at which connections are neither accepted nor refused.
    pub(crate) fn silence_at(&self, address: &str) {
        self.servers.lock().unwrap().insert(address.parse().unwrap(), Place::Silence);
    }

    /// The names that were looked up, in order.
    pub(crate) fn resolved(&self) -> Vec<String> {
        self.resolved.lock().unwrap().clone()
    }

    /// The addresses that were connected to, in order.
    pub(crate) fn connected(&self) -> Vec<String> {
        self.connected.lock().unwrap().iter().map(SocketAddr::to_string).collect()
    }
}

impl Network for Web {
    fn resolve(&self, host: &str, port: u16) -> Later<Vec<SocketAddr>> {
        self.resolved.lock().unwrap().push(host.to_owned());
        let found = self.names.lock().unwrap().get(host).cloned();
        Box::pin(async move {
            let addresses = found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such name"))?;
            Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
        })
    }

    fn connect(&self, address: SocketAddr) -> Later<TcpStream> {
        self.connected.lock().unwrap().push(address);
        let place = self.servers.lock().unwrap().get(&address.ip()).copied();
        Box::pin(async move {
            match place {
                Some(Place::Server(server)) => TcpStream::connect(server).await,
                Some(Place::Silence) => std::future::pending().await,
                None => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        })
    }
}
