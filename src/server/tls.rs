//! TLS of a server: its certificate, which is read again when its file changes, and handshakes.
//!
//! Only TLS 1.3 (RFC 8446) is spoken, and over it HTTP/2 or HTTP/1.1 (ALPN `h2` and `http/1.1`). A client may have a
//! certificate; the names in it are then its identity, and what they may do is for the access rules to say.
//!
//! The service and the pages each have a [`Tls`], whose files may be the same. A browser is never asked for a certificate.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::version::TLS13;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use webpki::EndEntityCert;

use crate::service::PeerIdentity;

const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// The files of a server's TLS, all in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate, followed by those of intermediate authorities.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The authorities whose client certificates are accepted. Without it, clients have no certificates.
    pub client_ca: Option<PathBuf>,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A file does not have what it should have.
    #[error("{} is not the PEM of {expected}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should have.
        expected: &'static str,
    },
    /// The files can be read, but not used, or not together.
    #[error("the certificate in {} cannot be used: {reason}", .path.display())]
    Unusable {
        /// The file of the server's certificate.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// The TLS of a server. Clones share the certificate.
#[derive(Clone, Debug)]
pub struct Tls {
    files: Arc<TlsFiles>,
    in_use: Arc<RwLock<InUse>>,
}

/// What connections begin with.
#[derive(Clone, Debug)]
struct InUse {
    contents: Arc<Contents>,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Reads the files.
    pub fn read(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = Contents::read(&files)?;
        let config = Arc::new(contents.config(&files)?);
        let in_use = InUse { contents: Arc::new(contents), config };
        Ok(Self { files: Arc::new(files), in_use: Arc::new(RwLock::new(in_use)) })
    }

    /// Reads the files again, and returns whether they have changed. Connections that are open keep what they began with.
    /// Files that cannot be used leave the old ones in use.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let contents = Contents::read(&self.files)?;
        // The files are small, so they are compared as they are: times of change are not always exact.
        if *self.in_use().contents == contents {
            return Ok(false);
        }
        let config = Arc::new(contents.config(&self.files)?);
        let in_use = InUse { contents: Arc::new(contents), config };
        *self.in_use.write().unwrap_or_else(PoisonError::into_inner) = in_use;
        tracing::info!(path = %self.files.certificate.display(), "the certificate was replaced");
        Ok(true)
    }

    /// Reads the files of `tls`, if there is one, again at intervals. An error is logged once.
    pub(crate) async fn follow(tls: Option<&Self>, every: Duration) -> Infallible {
        let Some(tls) = tls else { return std::future::pending().await };
        let mut interval = tokio::time::interval(every);
        let mut last_error = None;
        loop {
            interval.tick().await;
            let tls = tls.clone();
            let reloaded = tokio::task::spawn_blocking(move || tls.reload().map_err(|error| error.to_string()));
            // A panic would be a bug there; the certificate then stays as it is.
            let Ok(reloaded) = reloaded.await else { continue };
            let error = reloaded.err();
            if let Some(reason) = error.as_deref().filter(|_| error != last_error) {
                tracing::error!(reason, "the certificate was not replaced; the old one stays in use");
            }
            last_error = error;
        }
    }

    fn in_use(&self) -> InUse {
        self.in_use.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Completes the handshake of a connection, and returns who is at its other end. It takes as long as the client
    /// likes.
    pub(crate) async fn accept<S>(&self, stream: S) -> io::Result<(TlsStream<S>, PeerIdentity)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = TlsAcceptor::from(self.in_use().config).accept(stream).await?;
        let (_, session) = stream.get_ref();
        let identity = match session.peer_certificates() {
            Some([certificate, ..]) => PeerIdentity::Certificate(names(certificate)?),
            Some([]) | None => PeerIdentity::Anonymous,
        };
        Ok((stream, identity))
    }
}

/// The names that a verified certificate is for.
fn names(certificate: &CertificateDer<'_>) -> io::Result<Arc<[String]>> {
    let parsed =
        EndEntityCert::try_from(certificate).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(parsed.valid_uri_names().chain(parsed.valid_dns_names()).map(str::to_owned).collect())
}

/// What the files contain.
#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// The key is not shown.
impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents").finish_non_exhaustive()
    }
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_path_buf(), source })
        };
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: read(&files.key)?,
            client_ca: files.client_ca.as_deref().map(read).transpose()?,
        })
    }

    fn config(&self, files: &TlsFiles) -> Result<ServerConfig, TlsError> {
        let unusable = |error: &dyn std::fmt::Display| TlsError::Unusable {
            path: files.certificate.clone(),
            reason: error.to_string(),
        };
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| TlsError::Malformed { path: files.key.clone(), expected: "a private key" })?;
        let chain = certificates(&files.certificate, &self.certificate)?;
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13]);
        let builder = builder.map_err(|error| unusable(&error))?;
        let builder = match (&files.client_ca, &self.client_ca) {
            (Some(path), Some(pem)) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(path, pem)? {
                    roots.add(authority).map_err(|error| unusable(&error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                // Without a certificate, a client may still have a token.
                let verifier = verifier.allow_unauthenticated().build().map_err(|error| unusable(&error))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| unusable(&error))?;
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        Ok(config)
    }
}

/// The certificates in a file, of which there is at least one.
fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.ok().filter(|certificates| !certificates.is_empty());
    certificates.ok_or_else(|| TlsError::Malformed { path: path.to_path_buf(), expected: "certificates" })
}
