//! Where a server listens: on TCP, and on the socket in the directory of its archive.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::archive::{Archive, Directory};
use crate::unix_socket;

/// A place where a server listens.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    ArchiveSocket { listener: UnixListener, path: PathBuf },
}

/// A connection as the system hands it over.
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    ArchiveSocket(UnixStream),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self(Kind::Tcp(listener))
    }
}

impl Listener {
    /// Listens on the socket `socket` in the directory of an archive, by which other processes of the same user find
    /// the archive's server. Processes of other users are not served there. Fails if the archive is in memory.
    pub fn archive_socket(archive: &Archive) -> io::Result<Self> {
        let Some(directory) = &archive.info().directory else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "an archive in memory has no directory"));
        };
        // This process has the archive open, so a socket that is there already was left by one that has ended.
        let path = Directory::socket(directory);
        Ok(Self(Kind::ArchiveSocket { listener: unix_socket::bind(&path)?, path }))
    }

    /// The address as clients name it: `127.0.0.1:7411`, or `unix:` and a path.
    pub fn address(&self) -> io::Result<String> {
        Ok(match &self.0 {
            Kind::Tcp(listener) => listener.local_addr()?.to_string(),
            Kind::ArchiveSocket { path, .. } => format!("unix:{}", path.display()),
        })
    }

    /// What it leaves open to others, if callers are not authenticated: everything, except on the archive's socket.
    pub(super) fn is_open_without_authentication(&self) -> bool {
        match &self.0 {
            Kind::Tcp(_) => true,
            Kind::ArchiveSocket { .. } => false,
        }
    }

    /// Whether what is sent leaves this machine, so that it can be read on its way unless it is encrypted.
    pub(super) fn is_remote(&self) -> bool {
        match &self.0 {
            Kind::Tcp(listener) => {
                !listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback())
            }
            Kind::ArchiveSocket { .. } => false,
        }
    }

    /// Waits for the next connection. Cancel safe.
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        Ok(match &self.0 {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Accepted::Tcp(stream, peer)
            }
            Kind::ArchiveSocket { listener, .. } => Accepted::ArchiveSocket(listener.accept().await?.0),
        })
    }
}
