//! The headers of answers, and what is not answered.

use std::sync::Arc;
use std::time::Duration;

use dateline::internals::clock::{Clock, ManualClock};
use dateline::model::Timestamp;

use super::{Options, Rules, Site, content};

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

#[tokio::test]
async fn every_answer_says_what_a_browser_may_do_with_it() {
    let site = Site::open().await.with_bridge().await;
    let home = site.get("/").await;
    let style = home.body.split("rel=\"stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let others = ["/nothing", "/a/express/nothing", "/a/x y", "/robots.txt", "/a/express/harbour.json", style];
    for address in Site::addresses().into_iter().chain(others) {
        let answer = site.get(&address.replace(' ', "%20")).await;
        assert_eq!(answer.header("content-security-policy"), Some(POLICY), "{address}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{address}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{address}");
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"), "{address}");
        assert_eq!(answer.header("set-cookie"), None, "{address}");
        assert!(answer.header("cache-control").is_some(), "{address}");
    }
    let style = site.get(style).await;
    assert_eq!(style.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(style.header("content-type"), Some("text/css; charset=utf-8"));
    assert_eq!(site.get("/static/000000000000/style.css").await.status, 404);
    site.get("/robots.txt").await.shows(&["User-agent: *\nDisallow: /\n"]);
}

#[tokio::test]
async fn only_reading_is_answered() {
    let site = Site::open().await.with_bridge().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        let answer = site.ask(method, "/a/express/harbour", &[("content-length", "0")]).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let (page, head) = (site.get("/sources").await, site.ask("HEAD", "/sources", &[]).await);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("etag"), page.header("etag"));
    assert_eq!(head.header("content-type"), page.header("content-type"));
}

/// A read as known at a time after the last change stores that time, unless it is a visitor's.
#[tokio::test]
async fn visits_store_no_time() {
    let site = Site::open().await.with_bridge().await;
    // The checkpoint of a log that has grown is kept.
    site.get("/status").await;
    let commits = || site.archive.stats().commit_sync;
    let before = format!("{:?}", commits());
    site.clock.set(super::time("2026-06-20T12:00:00Z"));
    for address in Site::addresses() {
        assert_eq!(site.get(address).await.status, 200, "{address}");
    }
    assert_eq!(site.get("/a/express/harbour?known_at=2026-06-20T11%3A00%3A00Z").await.status, 302);
    assert_eq!(site.get("/a/express/harbour?known_at=2026-06-20T13%3A00%3A00Z").await.status, 400, "it is to come");
    assert_eq!(format!("{:?}", commits()), before);
}

/// A commit that is being written may have an earlier time than the one that is asked for.
#[tokio::test]
async fn what_is_known_after_the_last_change_is_known_with_it() {
    let site = Site::open().await.with_bridge().await;
    site.clock.set(super::time("2026-06-20T12:00:00Z"));
    let asked = site.get("/a/express/harbour.json?known_at=2026-06-20T11%3A00%3A00Z").await;
    let address = asked.header("location").unwrap().to_owned();
    assert_eq!(address, "/a/express/harbour.json?known_at=2026-06-12T12%3A00%3A00Z");
    let before = site.get(&address).await.json();
    site.record("express/harbour", content("Bridge", "It is open."), "2026-06-19T12:00:00Z").await;
    assert_eq!(site.get(&address).await.json(), before);
    // The archive never gives a change an earlier time than the one before, even if the clock is set back.
    site.clock.jump(super::time("2026-06-01T12:00:00Z"));
    assert_eq!(site.get(&address).await.status, 200);
}

/// A clock that is never read twice at the same instant.
struct Passing(Arc<ManualClock>);

impl Clock for Passing {
    fn now(&self) -> Timestamp {
        let now = self.0.now();
        self.0.set(now.saturating_add_micros(1));
        now
    }

    fn steady(&self) -> Duration {
        self.0.steady()
    }
}

#[tokio::test]
async fn what_is_known_now_is_not_what_is_still_to_come() {
    let clock = Arc::new(ManualClock::new(super::time("2026-06-10T12:00:00Z")));
    let passing = Arc::new(Passing(Arc::clone(&clock)));
    let site = Site::with_clock(Rules::Off, Options::default(), clock, passing).await.with_bridge().await;
    for page in ["", "/history", "/blame", "/diff/..2"] {
        for words in ["now", "today", "2026", "2026-06"] {
            let answer = site.get(&format!("/a/express/harbour{page}?known_at={words}")).await;
            assert_eq!(answer.status, 302, "{page} {words}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_page_is_not_sent_again_until_something_is_recorded() {
    let site = Site::open().await.with_bridge().await;
    for address in ["/", "/a/express/harbour", "/a/express/harbour.json", "/a/express/harbour/diff/1..2"] {
        let page = site.get(address).await;
        let tag = page.header("etag").unwrap().to_owned();
        assert_eq!(page.header("cache-control"), Some("no-cache"));
        for sent in [tag.clone(), format!("\"x\", W/{tag}")] {
            let again = site.ask("GET", address, &[("if-none-match", &sent)]).await;
            assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", Some(tag.as_str())));
        }
        site.record("express/ferry", content("Ferry", address), "2026-05-01T00:00:00Z").await;
        let changed = site.ask("GET", address, &[("if-none-match", &tag)]).await;
        assert_eq!(changed.status, 200, "{address}");
        assert_ne!(changed.header("etag"), Some(tag.as_str()));
    }
    assert_eq!(site.get("/status").await.header("etag"), None, "it shows more than the log");
    // The activity of sources is at most a minute old.
    for address in ["/", "/index", "/sources", "/s/express", "/s/express/"] {
        let tag = site.get(address).await.header("etag").unwrap().to_owned();
        let ask = async || site.ask("GET", address, &[("if-none-match", &tag)]).await.status;
        assert_eq!(ask().await, 304);
        site.clock.set(site.archive.now().saturating_add_micros(60_000_000));
        assert_eq!(ask().await, 200, "{address}");
    }
}

#[tokio::test]
async fn pages_name_the_address_under_which_they_are_known() {
    let url = "https://archive.example.org/".parse().unwrap();
    let options = Options { url: Some(url), ..Options::default() };
    let site = Site::with(Rules::Off, options).await.with_bridge().await;
    let canonical = async |address: &str| site.get(address).await.header("link").unwrap_or_default().to_owned();
    let link = |path: &str| format!("<https://archive.example.org{path}>; rel=\"canonical\"");
    assert_eq!(canonical("/a/express/harbour/r/2").await, link("/a/express/harbour/r/2"));
    assert_eq!(canonical("/a/express/harbour/diff/..2").await, link("/a/express/harbour/diff/3..2"));
    assert_eq!(canonical("/a/express/harbour/diff/1..2?view=side").await, link("/a/express/harbour/diff/1..2"));
    for spelling in ["/a/express/%68arbour", "/a/express/harbour/", "/a/express/harbour.json"] {
        assert_eq!(canonical(spelling).await, link("/a/express/harbour"), "{spelling}");
    }
    assert_eq!(canonical("/").await, link("/"));
    site.get("/a/express/harbour/r/2").await.shows(&["https://archive.example.org/a/express/harbour/r/2"]);
}

/// Otherwise a page on the web could have its own name lead to this machine, and read the archive with the browser of
/// somebody who visits it.
#[tokio::test]
async fn on_loopback_only_local_names_are_answered() {
    let site = Site::open().await.with_bridge().await;
    for host in ["localhost", "localhost:8480", "127.0.0.1:1", "[::1]:9", "LOCALHOST", "localhost."] {
        assert_eq!(site.ask("GET", "/a/express/harbour", &[("host", host)]).await.status, 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.nip.example:80", "", "localhost@evil.example:80"]
    {
        let answer = site.ask("GET", "/a/express/harbour", &[("host", host)]).await;
        assert!(matches!(answer.status, 421 | 400), "{host:?}: {}", answer.status);
        answer.hides(&["Bridge"]);
    }
    let absolute = site.ask("GET", "http://evil.example/a/express/harbour", &[]).await;
    assert_eq!(absolute.status, 421);
    let options = Options { url: Some("https://archive.example.org/".parse().unwrap()), ..Options::default() };
    let public = Site::with(Rules::Off, options).await.with_bridge().await;
    assert_eq!(public.ask("GET", "/", &[("host", "archive.example.org")]).await.status, 200);
    assert_eq!(public.ask("GET", "/", &[("host", "evil.example")]).await.status, 421);
}

#[tokio::test]
async fn what_does_not_exist_is_said_in_the_form_that_was_asked_for() {
    let site = Site::open().await.with_bridge().await;
    for address in
        ["/nothing", "/a/express/nothing", "/a/-/x", "/a/express/harbour/r/9", "/a/express/harbour/r/x", "/s/%00"]
    {
        let page = site.get(address).await;
        assert_eq!((page.status, page.header("content-type")), (404, Some("text/html; charset=utf-8")), "{address}");
        page.shows(&["<h1>Not in the archive</h1>"]);
        let json = site.get(&format!("{address}.json")).await;
        assert_eq!((json.status, json.header("content-type")), (404, Some("application/json")), "{address}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json.body).unwrap()["status"], 404);
    }
}
