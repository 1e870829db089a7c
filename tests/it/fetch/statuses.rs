//! Responses that are not pages.

use std::time::Duration;

use dateline::internals::fetch::FetchError;

use super::server::{Answer, Server};
use super::web::Web;
use super::{error, fetcher, page};

#[tokio::test]
async fn error_statuses_are_reported() {
    let server = Server::start().await;
    let fetcher = fetcher(&Web::of(&server));
    for (status, told, transient) in [
        (404, "404 Not Found; check the address", false),
        (410, "the page may be gone", false),
        (403, "does not allow us to read the page", false),
        (451, "does not allow us to read the page", false),
        (400, "offers no page", false),
        (204, "offers no page", false),
        (206, "offers no page", false),
        (300, "offers no page", false),
        (408, "try again later", true),
        (429, "less often", true),
        (500, "try again later", true),
        (501, "offers no page", false),
        (503, "try again later", true),
        (599, "try again later", true),
        (999, "offers no page", false),
    ] {
        server.route("/", move |_| {
            Answer::raw(format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n")).and_close()
        });
        let error = error(&fetcher, "http://news.example/").await;
        let FetchError::Status { code, retry_after: None, .. } = &error else { panic!("{error:?}") };
        assert_eq!(code.as_u16(), status);
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(error.is_transient(), transient, "{error}");
    }
    server.route("/", |_| Answer::status(203).body("by a proxy"));
    page(&fetcher, "http://news.example/").await;
}

#[tokio::test]
async fn retry_after_is_reported() {
    let server = Server::start().await;
    let fetcher = fetcher(&Web::of(&server));
    for (status, retry_after, seconds) in [
        (429, "120", Some(120)),
        (503, "Sun, 02 Nov 2025 10:05:00 GMT", Some(300)),
        (503, "Sun, 02 Nov 2025 09:00:00 GMT", Some(0)),
        (429, "when the moon is full", None),
    ] {
        server.route("/", move |_| {
            Answer::status(status).header("Date", "Sun, 02 Nov 2025 10:00:00 GMT").header("Retry-After", retry_after)
        });
        let error = error(&fetcher, "http://news.example/").await;
        assert_eq!(error.retry_after(), seconds.map(Duration::from_secs), "{retry_after}");
        assert!(error.is_transient());
        if let Some(seconds) = seconds {
            assert!(error.to_string().ends_with(&format!("it asks to try again in {seconds} s")), "{error}");
        }
    }
}

#[tokio::test]
async fn a_response_that_is_not_http_is_reported() {
    let server = Server::start().await;
    let fetcher = fetcher(&Web::of(&server));
    for bytes in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
        "<html>",
    ] {
        server.route("/", move |_| Answer::raw(bytes));
        let error = error(&fetcher, "http://news.example/").await;
        assert!(matches!(error, FetchError::Protocol { .. }), "{bytes:?}: {error:?}");
        assert!(error.to_string().contains("not valid HTTP"), "{error}");
    }
    for (what, count) in [("many", 300), ("large", 10)] {
        let header = format!("X: {}\r\n", if what == "large" { "x".repeat(30_000) } else { "y".to_owned() });
        let head = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", header.repeat(count));
        server.route("/", move |_| Answer::raw(head.clone()));
        let error = error(&fetcher, "http://news.example/").await;
        assert!(matches!(error, FetchError::Protocol { .. }), "{what}: {error:?}");
    }
    let head =
        format!("HTTP/1.1 200 OK\r\n{}junk header\r\nContent-Length: 1\r\n\r\nx", "Set-Cookie: x\r\n".repeat(200));
    server.route("/", move |_| Answer::raw(head.clone()));
    assert_eq!(page(&fetcher, "http://news.example/").await.body.as_ref(), b"x");
}
