//! Pages over TLS: who is shown them, and what a client that misbehaves does to others.

use std::time::Duration;

use dateline::internals::server::{Tls, TlsFiles};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{Answer, Options, Rules, Site, answer, content};
use crate::tls::{Authority, TLS13, closed, files, write};

/// Pages with a certificate, whose files are in a directory that exists as long as the test.
struct TlsSite {
    site: Site,
    directory: TempDir,
    authority: Authority,
}

impl TlsSite {
    async fn open(options: Options) -> Self {
        let (directory, authority) = (TempDir::new().unwrap(), Authority::new());
        write(directory.path(), &authority.of_server());
        let [certificate, key] = files(directory.path());
        let tls = Tls::read(TlsFiles { certificate, key, client_ca: None }).unwrap();
        let site = Site::with(Rules::Off, Options { tls: Some(tls), ..options }).await.with_bridge().await;
        Self { site, directory, authority }
    }

    async fn connect(&self, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
        self.authority.handshake(&self.site.address.to_string(), TLS13, alpn).await.unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        let mut stream = self.connect(&[b"http/1.1"]).await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        answer(&bytes)
    }

    /// The certificate that a new connection is shown.
    async fn certificate(&self) -> Vec<u8> {
        self.connect(&[b"h2"]).await.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }
}

#[tokio::test]
async fn pages_are_shown_over_tls_in_both_protocols_and_know_their_scheme() {
    let tls = TlsSite::open(Options::default()).await;
    let page = tls.get("/a/express/harbour").await;
    assert_eq!(page.status, 200);
    let link = format!("<https://{}/a/express/harbour>; rel=\"canonical\"", tls.site.address);
    assert!(page.header("link").is_some_and(|header| header.contains(&link)), "{page:?}");

    let stream = tls.connect(&[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get("https://localhost/a/express/harbour").body(String::new()).unwrap();
    assert_eq!(client.send_request(request).await.unwrap().status().as_u16(), 200);
    connection.abort();
}

#[tokio::test]
async fn a_client_without_tls_or_with_a_handshake_that_stalls_is_disconnected_and_stops_nobody() {
    let tls = TlsSite::open(Options { request_within: Duration::from_millis(300), ..Options::default() }).await;
    for said in ["", "\u{16}\u{3}\u{1}\u{2}", "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n"] {
        let mut connection = tls.site.connect().await;
        connection.write_all(said.as_bytes()).await.unwrap();
        closed(connection).await;
    }
    // A complete handshake, and nothing or half a request after it.
    closed(tls.connect(&[b"h2"]).await).await;
    let mut begun = tls.connect(&[b"http/1.1"]).await;
    begun.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    closed(begun).await;
    assert_eq!(tls.get("/").await.status, 200);
}

/// What TLS keeps of a response must not hide that its client takes nothing.
#[tokio::test]
async fn a_client_that_takes_nothing_over_tls_is_disconnected() {
    let tls = TlsSite::open(Options { stalled_after: Duration::from_millis(50), ..Options::default() }).await;
    let large = (0..800).fold(content("Bridge", "It closes."), |content, _| content.paragraph("word ".repeat(200)));
    tls.site.record("express/ferry", large, "2026-05-01T09:00:00Z").await;
    let mut connection = tls.connect(&[b"http/1.1"]).await;
    let request = "GET /a/express/ferry HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(32);
    connection.write_all(request.as_bytes()).await.unwrap();
    // Nothing is read until the server has closed the connection, which a write then notices.
    while connection.write_all(b"GET / HTTP/1.1\r\n").await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_certificate_of_the_pages_is_replaced_when_its_file_changes() {
    let tls = TlsSite::open(Options { tls_files_every: Duration::from_millis(5), ..Options::default() }).await;
    let first = tls.certificate().await;
    let next = tls.authority.of_server();
    write(tls.directory.path(), &next);
    let next = CertificateDer::from_pem_slice(&next.chain).unwrap().to_vec();
    while tls.certificate().await != next {}
    assert_ne!(first, next);
    std::fs::write(tls.directory.path().join("server.pem"), "not a certificate").unwrap();
    assert_eq!(tls.get("/").await.status, 200, "the old one stays in use");
}
