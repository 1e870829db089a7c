//! A web of a few hosts, made up: names that lead to public addresses, behind which servers of this machine stand.
//!
//! So the fetcher checks addresses as it does outside of tests, and what it connects to is told.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use dateline::fetch::{Later, Network};
use tokio::net::TcpStream;

use super::server::Server;

/// The web. A name that it doesn't know isn't found, and an address behind which nobody stands refuses.
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

    /// A web with one site, `news.example`.
    pub(crate) fn of(server: &Server) -> Arc<Self> {
        let web = Self::new();
        web.site("news.example", server);
        web
    }

    /// A host that a server stands for, at every port, at a public address of its own.
    pub(crate) fn site(&self, name: &str, server: &Server) {
        let number = u8::try_from(self.servers.lock().unwrap().len() + 1).unwrap();
        let address = IpAddr::from([9, 9, 9, number]);
        self.name(name, &[&address.to_string()]);
        self.server_at(&address.to_string(), server);
    }

    /// A name and where it leads.
    pub(crate) fn name(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.names.lock().unwrap().insert(name.to_owned(), addresses);
    }

    /// A server that stands at an address, at every port.
    pub(crate) fn server_at(&self, address: &str, server: &Server) {
        self.servers.lock().unwrap().insert(address.parse().unwrap(), Place::Server(server.address()));
    }

    /// An address at which connections neither come about nor are refused.
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
