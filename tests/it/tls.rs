//! TLS over real sockets: who is served, who is not, and what a client that misbehaves does to others.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dateline::internals::archive::{Archive, Options};
use dateline::internals::client::{Client, ClientCertificate, ConnectOptions};
use dateline::internals::clock::SystemClock;
use dateline::internals::server::{self, Tls, TlsFiles, raise_descriptor_limit};
use rcgen::string::Ia5String;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::server::{TestServer, publish};

const CRAWLER: &str = "spiffe://news.example/crawler";

/// An authority that signs certificates.
pub(crate) struct Authority(Issuer<'static, KeyPair>, Vec<u8>);

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self(Issuer::new(params, key), certificate.pem().into_bytes())
    }

    fn pem(&self) -> Vec<u8> {
        self.1.clone()
    }

    /// A certificate and its key, in PEM.
    fn sign(&self, params: &CertificateParams) -> ClientCertificate {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        ClientCertificate { chain: certificate.pem().into_bytes(), key: key.serialize_pem().into_bytes() }
    }

    pub(crate) fn of_server(&self) -> ClientCertificate {
        self.sign(&of_server())
    }

    fn of_client(&self) -> ClientCertificate {
        self.sign(&of_client())
    }

    /// Connects to a server whose certificate it has signed.
    pub(crate) async fn handshake(
        &self,
        address: &str,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&self.pem()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(address).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await
    }
}

fn of_server() -> CertificateParams {
    CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap()
}

fn of_client() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(CRAWLER).unwrap())];
    params
}

fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_after = date_time_ymd(2020, 1, 1);
    params
}

/// A server with TLS, whose files are in a directory that exists as long as the test.
struct TlsServer {
    server: TestServer,
    dir: tempfile::TempDir,
    authority: Authority,
}

impl TlsServer {
    async fn start(options: server::Options) -> Self {
        let authority = Authority::new();
        let certificate = authority.of_server();
        Self::with(authority, &certificate, options).await
    }

    async fn with(authority: Authority, certificate: &ClientCertificate, options: server::Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), certificate);
        std::fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        let client_ca = Some(dir.path().join("ca.pem"));
        let [certificate, key] = files(dir.path());
        let tls = Tls::read(TlsFiles { certificate, key, client_ca }).unwrap();
        let archive = Archive::in_memory_with(&Options::default(), Arc::new(SystemClock)).unwrap();
        let mut server = TestServer::over(archive, server::Options { tls: Some(tls), ..options }).await;
        server.url = server.url.replace("http:", "https:");
        Self { server, dir, authority }
    }

    fn address(&self) -> &str {
        self.server.url.trim_start_matches("https://")
    }

    /// Connects and makes a call.
    async fn call(&self, ca: Vec<u8>, certificate: Option<ClientCertificate>) -> Result<Client, String> {
        let options = ConnectOptions { ca: Some(ca), certificate };
        let client = options.connect(&self.server.url).await.map_err(|error| format!("{error:?}"))?;
        let mut archive = client.archive.clone();
        archive.record_observation(publish("bridge", "It closes.")).await.map_err(|status| format!("{status:?}"))?;
        Ok(client)
    }

    /// A call of a client that does everything right.
    async fn serves(&self) -> Client {
        self.call(self.authority.pem(), Some(self.authority.of_client())).await.unwrap()
    }

    /// A TLS connection with other parameters than ours.
    async fn handshake(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.authority.handshake(self.address(), versions, alpn).await
    }
}

pub(crate) fn files(dir: &Path) -> [PathBuf; 2] {
    ["server.pem", "server.key"].map(|name| dir.join(name))
}

pub(crate) fn write(dir: &Path, certificate: &ClientCertificate) {
    let [chain, key] = files(dir);
    std::fs::write(chain, &certificate.chain).unwrap();
    std::fs::write(key, &certificate.key).unwrap();
}

/// Waits until the server has closed a connection, whatever it sent before.
pub(crate) async fn closed(mut connection: impl AsyncReadExt + Unpin) {
    let mut bytes = [0; 1024];
    while connection.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
}

pub(crate) const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

#[tokio::test]
async fn each_side_trusts_only_its_authorities_and_valid_certificates() {
    let server = TlsServer::start(server::Options::default()).await;
    let (own, other) = (&server.authority, Authority::new());
    server.serves().await;
    server.call(own.pem(), None).await.expect("a client needs no certificate");

    let refused = server.call(other.pem(), None).await.unwrap_err();
    assert!(refused.contains("UnknownIssuer") || refused.contains("BadSignature"), "{refused}");
    let refused = server.call(own.pem(), Some(other.of_client())).await;
    assert!(refused.is_err(), "a client with a certificate of another authority was served");
    let refused = server.call(own.pem(), Some(own.sign(&expired(of_client())))).await;
    assert!(refused.is_err(), "a client whose certificate has expired was served");
    server.serves().await;

    let authority = Authority::new();
    let certificate = authority.sign(&expired(of_server()));
    let server = TlsServer::with(authority, &certificate, server::Options::default()).await;
    let refused = server.call(server.authority.pem(), None).await.unwrap_err();
    assert!(refused.contains("Expired"), "{refused}");
}

#[tokio::test]
async fn a_client_certificate_is_an_identity_for_the_access_rules() {
    let dir = tempfile::tempdir().unwrap();
    let grant = "grant = [{ may = [\"write\"], sources = [\"*\"] }]";
    let rules = format!("[[principal]]\nname = \"crawler\"\nsan = [\"{CRAWLER}\"]\n{grant}\n");
    let path = dir.path().join("access.toml");
    std::fs::write(&path, rules).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let access = Arc::new(server::Access::open(dir.path(), Arc::new(SystemClock)).unwrap());
    let server = TlsServer::start(server::Options { access: Some(access), ..server::Options::default() }).await;
    server.serves().await;
    for certificate in [None, Some(server.authority.of_server())] {
        let refused = server.call(server.authority.pem(), certificate).await.unwrap_err();
        assert!(refused.contains("Unauthenticated"), "{refused}");
    }
}

#[tokio::test]
async fn only_tls_1_3_and_http2_are_spoken_on_the_port() {
    let server = TlsServer::start(server::Options::default()).await;
    let mut client = server.serves().await;
    let stream = server.handshake(TLS13, &[b"h2"]).await.unwrap();
    assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));

    assert!(server.handshake(&[&rustls::version::TLS12], &[b"h2"]).await.is_err());
    // For programs without a gRPC library.
    for alpn in [&[b"http/1.1".as_slice()][..], &[]] {
        let mut stream = server.handshake(TLS13, alpn).await.unwrap();
        let health = "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
                      Content-Length: 2\r\nConnection: close\r\n\r\n{}";
        stream.write_all(health.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(
            response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("{\"status\":\"SERVING\"}"),
            "{response}"
        );
    }
    assert!(server.handshake(TLS13, &[b"spdy/3"]).await.is_err());

    for said in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\0\0\0\0\0\0\0\0"] {
        let mut connection = TcpStream::connect(server.address()).await.unwrap();
        connection.write_all(said.as_bytes()).await.unwrap();
        closed(connection).await;
    }
    // The client may have written its preface before it learns that the server closes the connection.
    if let Ok(mut plain) = Client::connect(&server.server.url.replace("https:", "http:")).await {
        plain.archive.record_observation(publish("bridge", "It closes.")).await.unwrap_err();
    }
    client.archive.record_observation(publish("bridge", "It does not.")).await.expect("others are not affected");
}

#[tokio::test]
async fn a_certificate_is_replaced_while_connections_are_open() {
    let options = server::Options { tls_files_every: Duration::from_millis(5), ..server::Options::default() };
    let server = TlsServer::start(options).await;
    let mut client = server.serves().await;
    let shown = async || {
        let stream = server.handshake(TLS13, &[b"h2"]).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let der = |pem: &ClientCertificate| CertificateDer::from_pem_slice(&pem.chain).unwrap().to_vec();
    let first = shown().await;

    let next = server.authority.of_server();
    write(server.dir.path(), &next);
    while shown().await != der(&next) {}
    client.archive.record_observation(publish("bridge", "It stays.")).await.expect("the connection is still open");

    // A file that cannot be used changes nothing, and the one after it is used again.
    std::fs::write(server.dir.path().join("server.pem"), "not a certificate").unwrap();
    assert_eq!(shown().await, der(&next));
    std::fs::remove_file(server.dir.path().join("server.key")).unwrap();
    assert_eq!(shown().await, der(&next));
    let last = server.authority.of_server();
    write(server.dir.path(), &last);
    while shown().await != der(&last) {}
    assert!(first != der(&last));
}

#[tokio::test]
async fn a_handshake_that_stalls_is_ended_and_stops_nobody() {
    let options = server::Options { greeting_within: Duration::from_millis(300), ..server::Options::default() };
    let server = TlsServer::start(options).await;
    // Nothing, a part of a record, and a complete handshake without the preface of HTTP/2 after it.
    closed(TcpStream::connect(server.address()).await.unwrap()).await;
    let mut begun = TcpStream::connect(server.address()).await.unwrap();
    begun.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    closed(begun).await;
    closed(server.handshake(TLS13, &[b"h2"]).await.unwrap()).await;
    server.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_idle_handshakes_delay_no_other_connection() {
    raise_descriptor_limit();
    let options = server::Options {
        connections_max: 2_000,
        connections_per_peer_max: Some(2_000),
        greeting_within: Duration::from_secs(600),
        ..server::Options::default()
    };
    let server = TlsServer::start(options).await;
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        idle.push(TcpStream::connect(server.address()).await.unwrap());
    }
    let begun = std::time::Instant::now();
    server.serves().await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    server.server.stop_serving().await;
    for connection in idle {
        closed(connection).await;
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let [certificate, key] = files(dir.path());
    let files = TlsFiles { certificate, key, client_ca: None };
    let why = || Tls::read(files.clone()).unwrap_err().to_string();
    assert!(why().contains("server.pem cannot be read"), "{}", why());
    let (one, other) = (Authority::new().of_server(), Authority::new().of_server());
    write(dir.path(), &ClientCertificate { chain: one.chain.clone(), key: other.key });
    assert!(why().contains("KeyMismatch") || why().contains("not match") || why().contains("nconsistent"), "{}", why());
    write(dir.path(), &ClientCertificate { chain: b"-".to_vec(), key: one.key.clone() });
    assert!(why().contains("server.pem is not the PEM of certificates"), "{}", why());
    write(dir.path(), &ClientCertificate { chain: one.chain, key: b"-".to_vec() });
    assert!(why().contains("server.key is not the PEM of a private key"), "{}", why());
}
