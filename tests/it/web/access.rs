//! What visitors see is what the principal `anonymous` may read, and nothing says that there is more.

use std::sync::Arc;

use dateline::internals::access::Access;
use tempfile::TempDir;

use super::{Options, Rules, Site, content, rules, twin, write_rules};

const COURIER: &str = "[[principal]]\nname = \"anonymous\"\ngrant = [{ may = [\"read\"], sources = [\"courier\"] }]\n";

/// A site with an article in each of two sources.
async fn site(access: &Arc<Access>, options: Options) -> Site {
    let site = Site::with(Rules::Of(Arc::clone(access)), options).await.with_bridge().await;
    site.record("courier/mayor", content("Mayor resigns", "She did."), "2026-05-01T00:00:00Z").await;
    site.archive.withdraw(&"express/harbour".parse().unwrap(), "legal").await.unwrap();
    site.archive.withdraw(&"courier/mayor".parse().unwrap(), "her wish").await.unwrap();
    site
}

#[tokio::test]
async fn what_is_not_granted_is_not_seen() {
    let directory = TempDir::new().unwrap();
    let site = site(&rules(&directory, COURIER), Options::default()).await;
    for address in ["/", "/changes", "/takedowns", "/sources", "/s/courier", "/a/courier/mayor", "/status"] {
        for address in [address.to_owned(), twin(address)] {
            let page = site.get(&address).await;
            assert_eq!(page.status, 200, "{address}");
            page.hides(&["express", "harbour", "Bridge", "legal"]);
        }
    }
    site.get("/takedowns").await.shows(&["Mayor resigns", "her wish"]);
    // A secret, and what was never there, are the same to a visitor.
    for (secret, nothing) in [
        ("/a/express/harbour", "/a/express/nothing"),
        ("/a/express/harbour/history", "/a/express/nothing/history"),
        ("/a/express/harbour/r/1", "/a/express/nothing/r/1"),
        ("/a/express/harbour/r/1/id_", "/a/express/nothing/r/1/id_"),
        ("/a/express/harbour/r/1/proof", "/a/express/nothing/r/1/proof"),
        ("/a/express/harbour/r/1/cite", "/a/express/nothing/r/1/cite"),
        ("/a/express/harbour/r", "/a/express/nothing/r"),
        ("/a/express/harbour/diff/1..2", "/a/express/nothing/diff/1..2"),
        ("/a/express/harbour/diff", "/a/express/nothing/diff"),
        ("/a/express/harbour/calendar/2026", "/a/express/nothing/calendar/2026"),
        ("/a/express/harbour?at=2020-01-01T00%3A00%3A00Z", "/a/express/nothing"),
        ("/s/express", "/s/nothing"),
        ("/a/express/harbour.json", "/a/express/nothing.json"),
    ] {
        let (secret, nothing) = (site.get(secret).await, site.get(nothing).await);
        assert_eq!((secret.status, &secret.body), (404, &nothing.body));
    }
}

#[tokio::test]
async fn without_a_grant_loopback_shows_everything_and_a_public_address_nothing() {
    let directory = TempDir::new().unwrap();
    let others =
        "[[principal]]\nname = \"crawler\"\nsan = [\"x\"]\ngrant = [{ may = [\"read\"], sources = [\"*\"] }]\n";
    let access = rules(&directory, others);
    let private = site(&access, Options::default()).await;
    private.get("/a/express/harbour/history").await.shows(&["Bridge closes today"]);
    let url = Some("https://archive.example.org/".parse().unwrap());
    let public = site(&access, Options { url, ..Options::default() }).await;
    for address in Site::addresses().into_iter().chain(["/changes/events", "/lookup?url=x"]) {
        let page = public.get(address).await;
        assert_eq!(page.status, 403, "{address}");
        page.hides(&["Bridge", "express</a>"]);
    }
    assert_eq!(public.get("/robots.txt").await.status, 200);
}

#[tokio::test]
async fn new_rules_apply_to_the_next_request() {
    let directory = TempDir::new().unwrap();
    let access = rules(&directory, COURIER);
    let site = site(&access, Options::default()).await;
    let page = site.get("/sources").await;
    page.hides(&["express"]);
    let tag = page.header("etag").unwrap().to_owned();
    write_rules(directory.path(), &COURIER.replace("courier", "*"));
    access.refresh();
    let granted = site.ask("GET", "/sources", &[("if-none-match", &tag)]).await;
    assert_eq!(granted.status, 200, "the tag is not of these rules");
    granted.shows(&["express", "courier"]);
    write_rules(directory.path(), "[[principal]]\nname = \"anonymous\"\n");
    access.refresh();
    assert_eq!(site.ask("GET", "/sources", &[("if-none-match", &tag)]).await.status, 403);
}

#[tokio::test]
async fn a_grant_ends_when_the_rules_say_so() {
    let directory = TempDir::new().unwrap();
    let expired = COURIER.replace("grant", "expires = 2026-06-09\ngrant");
    let site = site(&rules(&directory, &expired), Options::default()).await;
    assert_eq!(site.get("/a/courier/mayor").await.status, 403);
}

/// The rate of the principal `anonymous` is that of all visitors together.
#[tokio::test]
async fn visitors_over_their_rate_are_told_when_to_ask_again() {
    let directory = TempDir::new().unwrap();
    let limited = "[[principal]]\nname = \"anonymous\"\ncalls_per_second_max = 1\n\
                   grant = [{ may = [\"read\"], sources = [\"*\"] }]\n";
    let site = Site::with(Rules::Of(rules(&directory, limited)), Options::default()).await.with_bridge().await;
    assert_eq!(site.get("/a/express/harbour").await.status, 200);
    for (path, media_type) in [("/", "text/html; charset=utf-8"), ("/index.json", "application/json")] {
        let refused = loop {
            let answer = site.get(path).await;
            if answer.status == 429 {
                break answer;
            }
        };
        assert_eq!(refused.header("content-type"), Some(media_type));
        assert_eq!(refused.header("retry-after"), Some("1"), "{refused:?}");
        refused.shows(&["Too many requests"]);
    }
}
