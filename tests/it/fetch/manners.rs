//! The limit of concurrent requests per host.

use dateline::internals::fetch::{Fetcher, Options};
use tokio::task::JoinSet;

use super::server::{Answer, Gate, Server};
use super::web::Web;
use super::{options, url};

#[tokio::test]
async fn at_most_two_requests_per_host_run_at_once() {
    let server = Server::start().await;
    let web = Web::of(&server);
    web.site("other.example", &server);
    let gate = Gate::new();
    let behind = gate.clone();
    server.route("/", move |_| Answer::ok("text/html", "x").behind(&behind));
    let fetcher = Fetcher::new(options(&web));
    let mut fetches = JoinSet::new();
    for _ in 0..6 {
        for host in ["news.example", "other.example"] {
            let fetcher = fetcher.clone();
            fetches.spawn(async move { fetcher.fetch(&url(&format!("http://{host}/")), None).await.map(drop) });
        }
    }
    // One host does not wait for another.
    server.until(|seen| seen.requests.len() == 4).await;
    gate.let_through(12);
    while let Some(ended) = fetches.join_next().await {
        ended.unwrap().unwrap();
    }
    let seen = server.seen();
    assert_eq!(seen.requests.len(), 12);
    assert_eq!((seen.peak["news.example"], seen.peak["other.example"]), (2, 2));
}

#[tokio::test]
async fn a_slot_is_held_until_the_last_byte_and_freed_by_an_abandoned_fetch() {
    let server = Server::start().await;
    let web = Web::of(&server);
    server.route("/held", |_| Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart").and_hold());
    server.html("/next", "x");
    let fetcher = Fetcher::new(Options { per_host_max: 1, ..options(&web) });
    let (held, next) = (url("http://news.example/held"), url("http://news.example/next"));
    let mut waiting = Box::pin(fetcher.fetch(&next, None));
    tokio::select! {
        // In this order, so that the page that is held comes first.
        biased;
        _ = fetcher.fetch(&held, None) => panic!("the page has no end"),
        _ = &mut waiting => panic!("the only slot is taken"),
        () = server.until(|seen| seen.requests.len() == 1) => {}
    }
    assert_eq!(server.targets(), ["/held"]);
    waiting.await.unwrap();
}
