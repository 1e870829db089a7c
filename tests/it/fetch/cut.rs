//! Silent sites, and fetches that are abandoned.

use std::time::Duration;

use bytes::Bytes;
use dateline::internals::fetch::{FetchError, Fetcher, Options, TimeoutPhase};

use super::server::{Answer, Gate, Server};
use super::web::Web;
use super::{error, fetcher, options, page, pass, url};

/// Long enough to connect to this machine, and short enough to wait for.
const SHORT: Duration = Duration::from_millis(200);

fn phase(error: &FetchError) -> TimeoutPhase {
    let FetchError::Timeout { phase, .. } = error else { panic!("{error:?}") };
    assert!(error.is_transient());
    *phase
}

#[tokio::test]
async fn a_site_that_never_responds_times_out() {
    let server = Server::start().await;
    server.route("/", |_| Answer::never());
    let web = Web::of(&server);
    let hurried = Fetcher::new(Options { idle_timeout: SHORT, ..options(&web) });
    let error_idle = error(&hurried, "http://news.example/").await;
    assert_eq!(phase(&error_idle), TimeoutPhase::Response);
    assert!(error_idle.to_string().contains("no answer within 200ms"), "{error_idle}");
    let hurried = Fetcher::new(Options { timeout: SHORT, ..options(&web) });
    let error_total = error(&hurried, "http://news.example/").await;
    assert_eq!(phase(&error_total), TimeoutPhase::Response);
    assert!(error_total.to_string().contains("no answer within 200ms"), "{error_total}");
    server.until(|seen| seen.closed == 2).await;
}

#[tokio::test]
async fn a_site_that_stops_sending_times_out() {
    let server = Server::start().await;
    server.route("/head", |_| Answer::raw("HTTP/1.1 200 OK\r\nContent-").and_hold());
    server.route("/body", |_| Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart").and_hold());
    let web = Web::of(&server);
    let hurried = Fetcher::new(Options { idle_timeout: Duration::from_secs(1), ..options(&web) });
    assert_eq!(phase(&error(&hurried, "http://news.example/head").await), TimeoutPhase::Response);
    assert_eq!(phase(&error(&hurried, "http://news.example/body").await), TimeoutPhase::Silence);
    server.until(|seen| seen.closed == 2).await;
}

#[tokio::test]
async fn a_page_without_an_end_exceeds_the_total_time() {
    let server = Server::start().await;
    // One byte at a time is never silent, and never too large.
    server.route("/", |_| {
        let bytes = std::iter::repeat_with(|| Bytes::from_static(b"x"));
        Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").pieces(bytes)
    });
    let large = Options { body_bytes_max: u64::MAX, timeout: Duration::from_secs(1), ..options(&Web::of(&server)) };
    assert_eq!(phase(&error(&Fetcher::new(large), "http://news.example/").await), TimeoutPhase::Body);
    server.until(|seen| seen.closed == 1).await;
}

#[tokio::test]
async fn the_total_time_includes_all_redirects() {
    let server = Server::start().await;
    let gate = Gate::new();
    server.route("/a", |_| Answer::redirect(302, "/b"));
    let behind = gate.clone();
    server.route("/b", move |_| Answer::redirect(302, "/c").behind(&behind));
    server.route("/c", |_| Answer::never());
    let fetcher = Fetcher::new(Options { timeout: Duration::from_secs(2), ..options(&Web::of(&server)) });
    let begun = tokio::time::Instant::now();
    let target = url("http://news.example/a");
    let (error, ()) = tokio::join!(fetcher.fetch(&target, None), async {
        server.until(|seen| seen.requests.len() == 2).await;
        pass(Duration::from_millis(1500)).await;
        gate.let_through(1);
    });
    assert_eq!(phase(&error.unwrap_err()), TimeoutPhase::Response);
    // About half a second of the two was left for the last request.
    assert!(begun.elapsed() < Duration::from_millis(3400), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn unreachable_hosts_are_reported() {
    let server = Server::start().await;
    server.html("/", "x");
    let web = Web::new();
    web.name("refusing.example", &["9.1.1.1"]);
    web.name("empty.example", &[]);
    web.name("silent.example", &["9.1.1.2"]);
    web.silence_at("9.1.1.2");
    let hurried = Fetcher::new(Options { connect_timeout: SHORT, ..options(&web) });
    let error_unknown = error(&hurried, "http://unknown.example/").await;
    assert!(matches!(error_unknown, FetchError::Dns { .. }) && error_unknown.is_transient(), "{error_unknown:?}");
    assert!(error_unknown.to_string().contains("unknown.example was not found (no such name)"), "{error_unknown}");
    assert!(matches!(error(&hurried, "http://empty.example/").await, FetchError::Dns { .. }));
    let error_refused = error(&hurried, "http://refusing.example/").await;
    assert!(matches!(error_refused, FetchError::Connect { .. }) && error_refused.is_transient(), "{error_refused:?}");
    let error_silent = error(&hurried, "http://silent.example/").await;
    assert_eq!(phase(&error_silent), TimeoutPhase::Connect);
    assert!(error_silent.to_string().contains("no connection within 200ms"), "{error_silent}");
}

#[tokio::test]
async fn the_next_address_is_tried_while_the_first_is_silent() {
    let server = Server::start().await;
    server.html("/", "x");
    let web = Web::new();
    web.name("several.example", &["2001:4860::1", "9.1.1.1", "9.1.1.2", "9.1.1.3"]);
    web.silence_at("2001:4860::1");
    web.server_at("9.1.1.2", &server);
    page(&fetcher(&web), "http://several.example/").await;
    assert_eq!(web.connected(), ["[2001:4860::1]:80", "9.1.1.1:80", "9.1.1.2:80"]);
}

#[tokio::test]
async fn abandoning_a_fetch_closes_its_connection() {
    let server = Server::start().await;
    server.route("/answer", |_| Answer::never());
    server.route("/body", |_| Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart").and_hold());
    let fetcher = fetcher(&Web::of(&server));
    for (count, path) in [(1, "/answer"), (2, "/body")] {
        let target = url("http://news.example/").join(path).unwrap();
        tokio::select! {
            _ = fetcher.fetch(&target, None) => panic!("the page has no end"),
            () = server.until(|seen| seen.requests.len() == count) => {}
        }
        server.until(|seen| seen.closed == count).await;
    }
}
