//! The ports of a server.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use crate::cli::exit::{Exit, Failure};
use crate::config::Settings;

/// The connections that wait in the system until the server accepts them. The system ignores further ones, whose clients
/// try again only after a second. Linux allows at most `net.core.somaxconn`, by default as many as this.
const BACKLOG: u32 = 4_096;

/// Where the server is to listen.
pub(super) struct Addresses {
    service: Vec<SocketAddr>,
    metrics: Option<SocketAddr>,
    web: Option<SocketAddr>,
}

/// Where it listens.
pub(super) struct Ports {
    pub(super) service: Vec<TcpListener>,
    pub(super) metrics: Option<TcpListener>,
    pub(super) web: Option<TcpListener>,
}

impl Addresses {
    pub(super) fn of(settings: &Settings) -> Result<Self, Failure> {
        let (metrics, web) = (settings.metrics_address()?, settings.web_address()?);
        Ok(Self { service: settings.addresses()?, metrics, web })
    }

    /// Whether pages are to be shown.
    pub(super) fn has_web(&self) -> bool {
        self.web.is_some()
    }

    /// Listens at all of them. Must be called within a Tokio runtime.
    pub(super) fn listen(&self) -> Result<Ports, Failure> {
        let service = self.service.iter().map(|address| listen(*address, "--listen")).collect::<Result<_, _>>()?;
        let metrics = self.metrics.map(|address| listen(address, "--metrics-listen")).transpose()?;
        let web = self.web.map(|address| listen(address, "--web-listen")).transpose()?;
        Ok(Ports { service, metrics, web })
    }
}

fn listen(address: SocketAddr, option: &str) -> Result<TcpListener, Failure> {
    bind(address).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot listen on {address}: {error}"))
            .hint(format!("{option} sets another address; port 0 selects a free port"))
    })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // The port of a server that has just ended is free at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
