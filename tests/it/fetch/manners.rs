//! Few requests at once.

use dateline::fetch::{Fetcher, Options};
use tokio::task::JoinSet;

use super::server::{Answer, Gate, Server};
use super::web::Web;
use super::{options, url};

#[tokio::test]
async fn two_at_once_and_no_more_at_a_host() {
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
    // Hosts don't wait for one another.
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
async fn a_turn_lasts_until_the_last_byte_and_is_given_back_by_who_gives_up() {
    let server = Server::start().await;
    let web = Web::of(&server);
    server.route("/held", |_| Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart").and_hold());
    server.html("/next", "x");
    let fetcher = Fetcher::new(Options { per_host_max: 1, ..options(&web) });
    let (held, next) = (url("http://news.example/held"), url("http://news.example/next"));
    let mut waiting = Box::pin(fetcher.fetch(&next, None));
    tokio::select! {
        // In this order, so that the page which is held asks first.
        biased;
        _ = fetcher.fetch(&held, None) => panic!("there is no end of the page"),
        _ = &mut waiting => panic!("it is not its turn"),
        () = server.until(|seen| seen.requests.len() == 1) => {}
    }
    assert_eq!(server.targets(), ["/held"]);
    waiting.await.unwrap();
}
