//! Clients that are silent, slow, or many.

use std::time::Duration;

use dateline::Observation;
use dateline::internals::web::Network;
use dateline::model::Original;
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{Options, Rules, Site, content};

/// Waits until the server has closed a connection, and returns what it sent before.
async fn closed(mut connection: TcpStream) -> String {
    let mut bytes = Vec::new();
    drop(connection.read_to_end(&mut bytes).await);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_request_is_disconnected() {
    let options = Options { request_within: Duration::from_millis(50), ..Options::default() };
    let site = Site::with(Rules::Off, options).await.with_bridge().await;
    for said in ["", "P", "PRI * HTTP/2.0", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nhost: localhost\r\nx: "] {
        let mut connection = site.connect().await;
        connection.write_all(said.as_bytes()).await.unwrap();
        let answer = closed(connection).await;
        assert!(!answer.contains("200 OK"), "{said:?}: {answer}");
    }
    let mut connection = site.connect().await;
    connection.write_all(b"GET /sources HTTP/1.1\r\nhost: localhost\r\n\r\nGET").await.unwrap();
    assert!(closed(connection).await.contains("200 OK"), "the first request was whole");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let site = Site::open().await.with_bridge().await;
    let long = "x".repeat(20 << 10);
    assert_eq!(site.ask("GET", "/", &[("x-long", &long)]).await.status, 431);
    assert!(matches!(site.ask("GET", &format!("/?{long}"), &[]).await.status, 414 | 431));
    assert_eq!(site.ask("GET", &format!("/?{}", "x".repeat(9 << 10)), &[]).await.status, 400);
    let many: Vec<(String, String)> = (0..100).map(|number| (format!("x-{number}"), "1".to_owned())).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(site.ask("GET", "/", &many).await.status, 431);
    assert_eq!(site.get("/").await.status, 200);
}

#[tokio::test]
async fn a_peer_has_its_limit_of_connections_and_a_closed_one_counts_no_more() {
    let options = Options { connections_per_peer_max: Some(2), ..Options::default() };
    let site = Site::with(Rules::Off, options).await;
    let (first, second) = (site.connect().await, site.connect().await);
    assert_eq!(closed(site.connect().await).await, "");
    drop((first, second));
    loop {
        let mut connection = site.connect().await;
        // It may be closed while it is written to.
        drop(connection.write_all(b"GET /robots.txt HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await);
        if closed(connection).await.starts_with("HTTP/1.1 200 OK") {
            break;
        }
    }
}

/// A client that asks and does not read must not hold the memory of its answers.
#[tokio::test]
async fn a_client_that_takes_nothing_is_disconnected() {
    let options = Options { stalled_after: Duration::from_millis(50), ..Options::default() };
    let site = Site::with(Rules::Off, options).await;
    let large = (0..800).fold(content("Bridge", "It closes."), |content, _| content.paragraph("word ".repeat(200)));
    site.record("express/harbour", large, "2026-05-01T09:00:00Z").await;
    let mut connection = site.connect().await;
    let request = "GET /a/express/harbour HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(32);
    connection.write_all(request.as_bytes()).await.unwrap();
    // Nothing is read until the server has closed the connection, which a write then notices.
    while connection.write_all(b"GET / HTTP/1.1\r\n").await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn http2_is_answered_as_well() {
    let site = Site::open().await.with_bridge().await;
    let io = TokioIo::new(site.connect().await);
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    for (path, status) in [("/a/express/harbour", 200), ("/nothing", 404)] {
        let request = http::Request::get(format!("http://localhost{path}")).body(String::new()).unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (status, http::Version::HTTP_2));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(b"<!DOCTYPE html>"));
    }
    let request = http::Request::get("http://evil.example/").body(String::new()).unwrap();
    assert_eq!(client.send_request(request).await.unwrap().status().as_u16(), 421);
    connection.abort();
}

/// An HTTP/2 connection whose client says how much of each response it takes.
async fn with_window(site: &Site, bytes: u32) -> (http2::SendRequest<String>, JoinHandle<hyper::Result<()>>) {
    let io = TokioIo::new(site.connect().await);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    let (client, connection) = builder.initial_stream_window_size(bytes).handshake(io).await.unwrap();
    (client, tokio::spawn(connection))
}

fn request(method: &str, path: &str) -> http::Request<String> {
    let request = http::Request::builder().method(method).uri(format!("http://localhost{path}"));
    request.body(String::new()).unwrap()
}

/// Without a window nothing is written, so the socket never shows that a client takes nothing. Its responses stayed in
/// memory as long as the connection did, and two such clients left none for the others.
#[tokio::test]
async fn a_stream_of_http2_whose_client_takes_nothing_is_reset_and_the_others_go_on() {
    let options = Options { stalled_after: Duration::from_millis(50), ..Options::default() };
    let site = Site::with(Rules::Off, options).await.with_bridge().await;
    let (mut client, connection) = with_window(&site, 0).await;
    for path in ["/a/express/harbour", "/nothing", "/changes/events"] {
        let response = client.send_request(request("GET", path)).await.unwrap();
        assert!(response.into_body().collect().await.is_err(), "{path}");
    }
    let response = client.send_request(request("HEAD", "/status")).await.unwrap();
    assert_eq!(response.status().as_u16(), 200, "the connection is still there");
    connection.abort();
}

/// A window of one byte moves a whole piece into the transport, which must not keep it either.
#[tokio::test]
async fn a_stream_of_http2_whose_client_takes_a_byte_gives_its_place_back() {
    let options = Options { stalled_after: Duration::from_millis(50), streams_max: 1, ..Options::default() };
    let site = Site::with(Rules::Off, options).await;
    let (mut client, connection) = with_window(&site, 1).await;
    let _unread = client.send_request(request("GET", "/changes/events")).await.unwrap();
    while site.ask("HEAD", "/changes/events", &[]).await.status == 503 {
        tokio::task::yield_now().await;
    }
    connection.abort();
}

/// Originals were sent as streams that counted nowhere but in the memory that the service has for all its clients, so one slow
/// visitor could have all of it.
#[tokio::test]
async fn the_originals_that_a_client_has_not_read_count_as_its_pages_do() {
    let site = Site::open().await;
    let original = Original { media_type: "text/html".to_owned(), data: vec![b'x'; 8 << 20].into() };
    site.observe("express/harbour", Observation::new(content("Bridge", "It closes.")).original(original)).await;
    let (mut client, connection) = with_window(&site, 0).await;
    let mut unread = Vec::new();
    for status in [200, 200, 200, 200, 200, 200, 200, 200, 503] {
        let response = client.send_request(request("GET", "/a/express/harbour/r/1/id_")).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "after {} of 8 MiB", unread.len());
        unread.push(response);
    }
    connection.abort();
}

#[tokio::test]
async fn readers_behind_a_trusted_proxy_have_limits_of_their_own() {
    let trusted_proxies = ["127.0.0.1".parse::<Network>().unwrap()].into_iter().collect();
    let options = Options { requests_per_second_max: 1, connections_per_peer_max: Some(1), ..Options::default() };
    let site = Site::with(Rules::Off, Options { trusted_proxies, ..options }).await;
    let _open = site.connect().await;
    let status = async |readers: &str| site.ask("GET", "/status", &[("x-forwarded-for", readers)]).await.status;
    while status("203.0.113.9, 198.51.100.7").await == 200 {}
    assert_eq!(status("203.0.113.9").await, 200, "only what the proxy added counts");
}

/// The weight of a request was that of the end of its path, which has more than one spelling.
#[tokio::test]
async fn a_request_that_may_need_thousands_of_records_counts_as_ten() {
    let trusted_proxies = ["127.0.0.1".parse::<Network>().unwrap()].into_iter().collect();
    let options = Options { requests_per_second_max: 1, trusted_proxies, ..Options::default() };
    let site = Site::with(Rules::Off, options).await.with_bridge().await;
    let long = [
        "/s/express/feed",
        "/s/express/feed.json",
        "/s/express/feed.atom.json",
        "/changes",
        "/changes.json",
        "/takedowns",
        "/s/express?label=x",
        "/a/express/harbour/calendar/2026",
        "/a/express/harbour/blame",
        "/cdx?url=https://express.example/",
    ];
    let short = ["/status", "/status.json", "/a/express/harbour", "/nothing", "/nothing/feed.atom"];
    let asked = long.map(|address| (address, 429)).into_iter().chain(short.map(|address| (address, 0)));
    for (number, (address, second)) in (1..).zip(asked) {
        let reader = format!("198.51.100.{number}");
        let status = async || site.ask("GET", address, &[("x-forwarded-for", &reader)]).await.status;
        let (first, again) = (status().await, status().await);
        assert!(first != 429 && again == if second == 429 { 429 } else { first }, "{address}: {first}, {again}");
    }
    let reader = [("x-forwarded-for", "198.51.100.99")];
    while site.ask("GET", "/nothing", &reader).await.status == 404 {}
    assert_eq!(site.ask("POST", "/", &reader).await.status, 429, "whatever it asks for");
}
