//! Connects to a server: on TCP, with or without TLS, or on a Unix socket.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Error, Identity};
use tower::service_fn;
use url::{Host, Url};

use super::Client;
use crate::unix_socket;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A call may take as long as it needs. A server that does not answer pings is considered gone, and the calls to it
/// fail.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How to connect to a server whose URL begins with `https:`. The options are without effect for other URLs.
///
/// ```no_run
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let options = dateline::ConnectOptions { ca: Some(std::fs::read("ca.pem")?), ..Default::default() };
/// let client = options.connect("https://news.example:7411").await?;
/// # drop(client); Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct ConnectOptions {
    /// The certificates of the authorities that are trusted, in PEM. Default: those that the system trusts.
    pub ca: Option<Vec<u8>>,
    /// The certificate by which the server recognises this client. Default: none.
    pub certificate: Option<ClientCertificate>,
}

/// A certificate of a client.
#[derive(Clone)]
pub struct ClientCertificate {
    /// The certificate, followed by those of intermediate authorities, in PEM.
    pub chain: Vec<u8>,
    /// Its private key, in PEM.
    pub key: Vec<u8>,
}

impl ConnectOptions {
    /// Connects to a server, as [`Client::connect`] does.
    pub async fn connect(self, url: &str) -> Result<Client, Error> {
        if let Some(path) = socket_path(url) {
            return socket(path).await;
        }
        let mut endpoint = endpoint(url.to_owned())?;
        if url.starts_with("https:") {
            endpoint = endpoint.tls_config(self.tls())?;
        }
        Ok(Client::over(endpoint.connect().await?))
    }

    fn tls(self) -> ClientTlsConfig {
        let tls = match self.ca {
            Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        match self.certificate {
            Some(ClientCertificate { chain, key }) => tls.identity(Identity::from_pem(chain, key)),
            None => tls,
        }
    }
}

/// Connects to the server on the Unix socket at `path`.
pub(super) async fn socket(path: PathBuf) -> Result<Client, Error> {
    streams(move || {
        let path = path.clone();
        async move { unix_socket::connect(&path).await }
    })
    .await
}

/// Connects over a stream that `connect` opens, and over another one whenever the connection breaks.
pub(super) async fn streams<F>(connect: impl Fn() -> F + Send + Sync + 'static) -> Result<Client, Error>
where
    F: Future<Output = io::Result<UnixStream>> + Send + 'static,
{
    // A socket has no host name, so `:authority` has the one that gRPC's other implementations send.
    let endpoint = endpoint("http://localhost".to_owned())?;
    let connector = service_fn(move |_| {
        let connecting = connect();
        async move { connecting.await.map(TokioIo::new) }
    });
    Ok(Client::over(endpoint.connect_with_connector(connector).await?))
}

fn endpoint(url: String) -> Result<Endpoint, Error> {
    let endpoint = Endpoint::from_shared(url)?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    Ok(endpoint)
}

/// The path of a Unix socket in the notation of gRPC: `unix:PATH`, or `unix://PATH` for an absolute path.
fn socket_path(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("unix:")?;
    Some(path.strip_prefix("//").unwrap_or(path).into())
}

/// Whether what is sent to a URL stays unread by others on its way: it is encrypted, or does not leave this machine.
pub fn is_safe_for_secrets(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    match url.scheme() {
        "https" => true,
        "http" | "unix" => is_on_this_machine(&url),
        _ => false,
    }
}

/// Whether a URL leads to this machine: to a Unix socket, or to an address of loopback.
pub fn is_on_this_machine(url: &Url) -> bool {
    let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
    match url.host() {
        // RFC 6761, section 6.3.
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => is_loopback(ip.into()),
        Some(Host::Ipv6(ip)) => is_loopback(ip.into()),
        None => url.scheme() == "unix",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_leave_the_machine_encrypted_or_not_at_all() {
        for url in [
            "https://news.example:7411",
            "unix:/srv/news/socket",
            "unix:socket",
            "http://127.0.0.1:7411",
            "http://127.9.9.9",
            "http://[::1]:7411",
            "http://[::ffff:127.0.0.1]:1",
            "http://localhost:7411",
        ] {
            assert!(is_safe_for_secrets(url), "{url}");
        }
        for url in [
            "http://news.example:7411",
            "http://0.0.0.0:7411",
            "http://192.0.2.1",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "http://127.0.0.1@news.example",
            "ftp://127.0.0.1",
            "127.0.0.1:7411",
        ] {
            assert!(!is_safe_for_secrets(url), "{url}");
        }
    }
}
