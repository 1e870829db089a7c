//! TLS for clients, with the certificate authorities of the machine, and readable errors.

use std::io;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Performs TLS handshakes. The machine's certificate authorities are loaded at the first handshake.
#[derive(Debug)]
pub(super) struct Tls {
    authorities: Vec<CertificateDer<'static>>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    /// Trusts `authorities` in addition to those of the machine.
    pub(super) fn new(authorities: Vec<CertificateDer<'static>>) -> Self {
        Self { authorities, config: OnceCell::new() }
    }

    /// Performs the handshake with `host` and returns the secured connection, or the reason for the failure.
    pub(super) async fn secure(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| "the host's name is not valid".to_owned())?;
        let config = self.config.get_or_try_init(|| self.load_config()).await?;
        TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(|error| reason(&error))
    }

    async fn load_config(&self) -> Result<Arc<ClientConfig>, String> {
        let authorities = self.authorities.clone();
        // This may read hundreds of files.
        let config = tokio::task::spawn_blocking(move || config(authorities)).await;
        config.map_err(|error| error.to_string())?.map(Arc::new)
    }
}

fn config(authorities: Vec<CertificateDer<'static>>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    // A partly readable list is better than none. If a missing authority is needed, the handshake reports it.
    let machine = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(machine.certs);
    roots.add_parsable_certificates(authorities);
    if roots.is_empty() {
        let why = machine.errors.first().map_or_else(String::new, |error| format!(": {error}"));
        return Err(format!("this machine has no certificate authorities{why}"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn reason(error: &io::Error) -> String {
    let tls_error = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls_error {
        Some(tls_error) => tls_error.to_string(),
        None => error.to_string(),
    }
}
