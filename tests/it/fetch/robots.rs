//! robots.txt: read once, shared, and obeyed.

use std::sync::Arc;
use std::time::Duration;

use dateline::internals::fetch::{FetchError, Fetcher, Options, RobotsRefusal};
use tokio::task::JoinSet;

use super::server::{Answer, Gate, Server};
use super::web::Web;
use super::{error, options, page, pass, url};

fn obedient(web: &Arc<Web>) -> Fetcher {
    Fetcher::new(Options { obey_robots: true, ..options(web) })
}

fn refusal(error: &FetchError) -> &RobotsRefusal {
    let FetchError::Robots { refusal, .. } = error else { panic!("{error:?}") };
    refusal
}

fn robots_asked(server: &Server) -> usize {
    server.targets().iter().filter(|target| *target == "/robots.txt").count()
}

#[tokio::test]
async fn a_rule_is_obeyed_and_quoted() {
    let server = Server::start().await;
    let web = Web::of(&server);
    server.html("/open", "x");
    server.html("/closed/a?b", "x");
    server.html("/closed/but", "x");
    let rules = "User-agent: *\nDisallow: /\n\nUser-agent: Dateline\nDisallow: /closed/\nAllow: /closed/but\n";
    server.route("/robots.txt", move |_| Answer::ok("text/plain", rules));
    let fetcher = obedient(&web);
    page(&fetcher, "http://news.example/open").await;
    page(&fetcher, "http://news.example/closed/but").await;
    page(&fetcher, "http://news.example/robots.txt").await;
    let error = error(&fetcher, "http://news.example/closed/a?b").await;
    let RobotsRefusal::Rule { robots, line: 5, rule } = refusal(&error) else { panic!("{error:?}") };
    assert_eq!((robots.as_str(), rule.as_str()), ("http://news.example/robots.txt", "/closed/"));
    assert!(error.to_string().contains("`Disallow: /closed/`, line 5 of http://news.example/robots.txt"), "{error}");
    assert!(!error.is_transient() && error.retry_after().is_none());
    // Once for its rules, and once as a page.
    assert_eq!(server.targets(), ["/robots.txt", "/open", "/closed/but", "/robots.txt"]);
    page(&Fetcher::new(options(&web)), "http://news.example/closed/a?b").await;
}

#[tokio::test]
async fn a_redirect_must_be_allowed_by_both_sites() {
    let server = Server::start().await;
    let web = Web::of(&server);
    web.site("other.example", &server);
    server.route("other.example/robots.txt", |_| Answer::ok("text/plain", "user-agent: *\ndisallow: /"));
    server.route("/", |_| Answer::redirect(302, "http://other.example/a"));
    server.html("/a", "x");
    let error = error(&obedient(&web), "http://news.example/").await;
    let RobotsRefusal::Rule { robots, .. } = refusal(&error) else { panic!("{error:?}") };
    assert_eq!(robots, "http://other.example/robots.txt");
    assert_eq!(server.targets(), ["/robots.txt", "/", "/robots.txt"]);
}

#[tokio::test]
async fn a_missing_robots_txt_allows_everything() {
    let server = Server::start().await;
    server.html("/", "x");
    for answer in [
        || Answer::status(404),
        || Answer::status(403),
        || Answer::status(401),
        || Answer::status(410),
        || Answer::ok("text/html", "<html>Not found: /"),
        || Answer::ok("text/plain", ""),
        || Answer::redirect(302, "/robots.txt"),
    ] {
        server.route("/robots.txt", move |_| answer());
        page(&obedient(&Web::of(&server)), "http://news.example/").await;
    }
}

#[tokio::test]
async fn an_unreadable_robots_txt_disallows_everything_for_a_while() {
    let server = Server::start().await;
    server.html("/", "x");
    for (answer, told) in [
        ((|| Answer::status(500)) as fn() -> Answer, "500 Internal Server Error"),
        (|| Answer::status(503).header("Retry-After", "60"), "503 Service Unavailable"),
        (|| Answer::status(429), "429 Too Many Requests"),
        (|| Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"), "connection ended"),
        (|| Answer::ok("text/plain", "x").header("Content-Encoding", "gzip"), "cannot be decompressed"),
        (|| Answer::redirect(302, "http://unknown.example/"), "was not found"),
    ] {
        server.route("/robots.txt", move |_| answer());
        let fetcher = obedient(&Web::of(&server));
        let asked = robots_asked(&server);
        let error_closed = error(&fetcher, "http://news.example/").await;
        refusal(&error_closed);
        assert!(error_closed.to_string().contains(told), "{error_closed}");
        assert!(error_closed.is_transient());
        let wait = told.starts_with("503").then(|| Duration::from_secs(60));
        assert_eq!(error_closed.retry_after(), wait);
        error(&fetcher, "http://news.example/").await;
        assert_eq!(robots_asked(&server), asked + 1);
        server.route("/robots.txt", |_| Answer::status(404));
        pass(Duration::from_secs(301)).await;
        page(&fetcher, "http://news.example/").await;
    }
    assert!(server.targets().iter().all(|target| target == "/robots.txt" || target == "/"));
}

#[tokio::test]
async fn an_unreachable_site_is_reported_as_unreachable() {
    let web = Web::new();
    web.name("refusing.example", &["9.1.1.1"]);
    web.name("inside.example", &["10.0.0.1"]);
    let fetcher = obedient(&web);
    let told = error(&fetcher, "http://refusing.example/a").await;
    assert!(matches!(&told, FetchError::Connect { url, .. } if url == "http://refusing.example/a"), "{told:?}");
    let told = error(&fetcher, "http://inside.example/a").await;
    assert!(matches!(&told, FetchError::PrivateAddress { url, .. } if url == "http://inside.example/a"), "{told:?}");
    let told = error(&fetcher, "http://unknown.example/a").await;
    assert!(matches!(&told, FetchError::Dns { url, .. } if url == "http://unknown.example/a"), "{told:?}");
}

#[tokio::test]
async fn only_the_beginning_of_a_huge_robots_txt_counts() {
    let server = Server::start().await;
    server.html("/a", "x");
    server.html("/b", "x");
    let rules = format!("user-agent: *\ndisallow: /a\n{}disallow: /b\n", "# x\n".repeat(5_000_000));
    server.route("/robots.txt", move |_| Answer::ok("text/plain", rules.clone()));
    let fetcher = obedient(&Web::of(&server));
    refusal(&error(&fetcher, "http://news.example/a").await);
    page(&fetcher, "http://news.example/b").await;
}

#[tokio::test]
async fn robots_txt_may_be_reached_by_five_redirects() {
    let server = Server::start().await;
    server.html("/", "x");
    server.route("/robots.txt", |_| Answer::redirect(301, "/r1"));
    for number in 1..5 {
        server.route(&format!("/r{number}"), move |_| Answer::redirect(301, &format!("/r{}", number + 1)));
    }
    server.route("/r5", |_| Answer::ok("text/plain", "user-agent: *\ndisallow: /"));
    refusal(&error(&obedient(&Web::of(&server)), "http://news.example/").await);
    server.route("/r5", |_| Answer::redirect(301, "/r6"));
    page(&obedient(&Web::of(&server)), "http://news.example/").await;
}

#[tokio::test]
async fn robots_txt_is_read_once_a_day_and_kept_while_unreadable() {
    let server = Server::start().await;
    server.html("/", "x");
    server.route("/robots.txt", |_| Answer::ok("text/plain", "user-agent: *\ndisallow: /closed"));
    let fetcher = obedient(&Web::of(&server));
    page(&fetcher, "http://news.example/").await;
    pass(Duration::from_secs(24 * 60 * 60 - 60)).await;
    page(&fetcher, "http://news.example/").await;
    assert_eq!(robots_asked(&server), 1);
    server.route("/robots.txt", |_| Answer::status(503));
    pass(Duration::from_secs(120)).await;
    page(&fetcher, "http://news.example/").await;
    refusal(&error(&fetcher, "http://news.example/closed").await);
    assert_eq!(robots_asked(&server), 2);
    server.route("/robots.txt", |_| Answer::ok("text/plain", "user-agent: *\ndisallow: /"));
    pass(Duration::from_secs(301)).await;
    refusal(&error(&fetcher, "http://news.example/").await);
    assert_eq!(robots_asked(&server), 3);
}

#[tokio::test]
async fn waiting_fetches_share_one_request_even_if_one_is_abandoned() {
    let server = Server::start().await;
    let web = Web::of(&server);
    server.html("/", "x");
    let gate = Gate::new();
    let behind = gate.clone();
    server.route("/robots.txt", move |_| Answer::status(404).behind(&behind));
    let fetcher = obedient(&web);
    let target = url("http://news.example/");
    let mut waiting = JoinSet::new();
    tokio::select! {
        _ = fetcher.fetch(&target, None) => panic!("the gate is closed"),
        () = server.until(|seen| seen.requests.len() == 1) => {}
    }
    for _ in 0..10 {
        let (fetcher, target) = (fetcher.clone(), target.clone());
        waiting.spawn(async move { fetcher.fetch(&target, None).await.map(drop) });
    }
    server.until(|seen| seen.requests.len() == 2).await;
    gate.let_through(2);
    while let Some(ended) = waiting.join_next().await {
        ended.unwrap().unwrap();
    }
    assert_eq!(robots_asked(&server), 2);
    assert_eq!(server.seen().requests.len(), 12);
}

#[tokio::test]
async fn each_origin_has_its_own_robots_txt() {
    let server = Server::start().await;
    let web = Web::of(&server);
    server.html("/", "x");
    server.route("/robots.txt", |request| {
        let closed = request.header("host") == Some("news.example:8080");
        Answer::ok("text/plain", if closed { "user-agent: *\ndisallow: /" } else { "" })
    });
    let fetcher = obedient(&web);
    page(&fetcher, "http://news.example/").await;
    refusal(&error(&fetcher, "http://news.example:8080/").await);
}
