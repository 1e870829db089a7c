//! Memento (RFC 7089): the captures of a page's address, by time and as lists.

use dateline::Observation;
use dateline::internals::archive::request::{Action, ArticleTarget, Operation, UrlMove, WriteMode, Writer};
use dateline::internals::web::Options;
use tempfile::TempDir;

use super::{Answer, Rules, Site, content, name, rules, time};

const HARBOUR: &str = "https://express.example/harbour?id=1";

/// Two contents, one of which was seen twice, at one address.
async fn site() -> Site {
    recorded(Site::open().await).await
}

async fn recorded(site: Site) -> Site {
    for (headline, at) in [
        ("Bridge to close", "2026-05-01T09:00:00.7Z"),
        ("Bridge to close", "2026-05-03T09:00:00Z"),
        ("Bridge closes today", "2026-06-02T08:00:00Z"),
    ] {
        let seen = Observation::new(content(headline, "Lorries will cross by ferry."));
        site.observe("express/harbour", seen.url(HARBOUR).observed_at(time(at))).await;
    }
    site
}

async fn gate(site: &Site, accept: &str) -> Answer {
    site.ask("GET", &format!("/web/{HARBOUR}"), &[("accept-datetime", accept)]).await
}

/// The links with a relation, from a header or a list.
fn links<'a>(text: &'a str, relation: &str) -> Vec<&'a str> {
    let links = text.split('<').filter_map(|link| link.split_once(">; rel=\""));
    let links = links.filter(|(_, rest)| rest.split('"').next().unwrap().split(' ').any(|known| known == relation));
    links.map(|(address, _)| address).collect()
}

fn local(address: &str) -> &str {
    let path = address.split_once("://").unwrap().1;
    &path[path.find('/').unwrap()..]
}

#[tokio::test]
async fn the_time_gate_leads_to_what_was_there_at_the_time() {
    let site = site().await;
    for (accept, expected) in [
        ("Fri, 01 May 2026 09:00:00 GMT", "20260501090000"),
        ("Sat, 02 May 2026 00:00:00 GMT", "20260501090000"),
        ("Sun, 03 May 2026 09:00:00 GMT", "20260503090000"),
        ("Mon, 01 Jun 2026 00:00:00 GMT", "20260503090000"),
        ("Wed, 01 Jan 2031 00:00:00 GMT", "20260602080000"),
        ("Thu, 01 Jan 1970 00:00:00 GMT", "20260501090000"),
    ] {
        let answer = gate(&site, accept).await;
        assert_eq!(
            (answer.status, answer.header("location"), answer.header("vary")),
            (302, Some(&*format!("/web/{expected}/{HARBOUR}")), Some("accept-datetime")),
            "{accept}"
        );
        assert_eq!(answer.header("memento-datetime"), None);
        let link = answer.header("link").unwrap();
        assert_eq!(links(link, "original"), [HARBOUR]);
        assert_eq!(links(link, "timemap").len(), 3);
    }
    let newest = site.get(&format!("/web/{HARBOUR}")).await;
    assert_eq!(newest.header("location"), Some(&*format!("/web/20260602080000/{HARBOUR}")));
    let malformed = gate(&site, "last week").await;
    assert_eq!(malformed.status, 400);
    malformed.shows(&["Accept-Datetime must be an HTTP date"]);
}

#[tokio::test]
async fn a_memento_is_the_page_at_a_time_and_names_the_others() {
    let site = site().await;
    let memento = site.get(&format!("/web/20260503090000/{HARBOUR}")).await;
    assert_eq!((memento.status, memento.header("memento-datetime")), (200, Some("Sun, 03 May 2026 09:00:00 GMT")));
    memento.shows(&["Bridge to close"]);
    memento.hides(&["Bridge closes today"]);
    let headers: Vec<_> = memento.headers.iter().filter(|(name, _)| name == "link").collect();
    let link = headers.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ");
    for (relation, expected) in [
        ("first", "/web/20260501090000/"),
        ("prev", "/web/20260501090000/"),
        ("next", "/web/20260602080000/"),
        ("last", "/web/20260602080000/"),
        ("timegate", "/web/"),
        ("timemap", "/web/timemap/link/"),
    ] {
        let found = links(&link, relation)[0];
        assert_eq!(local(found), format!("{expected}{HARBOUR}"), "{relation}");
    }
    assert_eq!(links(&link, "memento").len(), 3);
    assert_eq!(local(links(&link, "canonical")[0]), "/a/express/harbour/r/1");
    let first = site.get(&format!("/web/20260501090000/{HARBOUR}")).await;
    let link = first.headers.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ");
    assert!(links(&link, "prev").is_empty(), "there is none before the first");
}

#[tokio::test]
async fn a_time_that_is_not_that_of_a_capture_leads_to_one() {
    let site = site().await;
    for (digits, expected) in [
        ("2026", "20260602080000"),
        ("202605", "20260503090000"),
        ("20260502", "20260501090000"),
        ("20260503090001", "20260503090000"),
        ("2025", "20260501090000"),
        ("2", "20260602080000"),
        ("0", "20260501090000"),
    ] {
        for flag in ["", "id_", "if_"] {
            let answer = site.get(&format!("/web/{digits}{flag}/{HARBOUR}")).await;
            let expected = format!("/web/{expected}{}/{HARBOUR}", flag.replace("if_", ""));
            assert_eq!((answer.status, answer.header("location")), (302, Some(&*expected)), "{digits}{flag}");
        }
    }
    assert_eq!(site.get(&format!("/web/20261399/{HARBOUR}")).await.status, 400);
    for (path, expected) in [("*", ""), ("2026*", "/2026"), ("202605*", "/2026")] {
        let answer = site.get(&format!("/web/{path}/{HARBOUR}")).await;
        assert_eq!(answer.header("location"), Some(&*format!("/a/express/harbour/calendar{expected}")));
    }
}

/// TimeGates have moved unnoticed elsewhere, and clients got 404s for months. So these are pinned.
#[tokio::test]
async fn the_addresses_that_clients_use_stay() {
    let site = site().await;
    let encoded: String = url::form_urlencoded::byte_serialize(HARBOUR.as_bytes()).collect();
    for address in [
        format!("/web/{HARBOUR}"),
        format!("/web/{}", HARBOUR.replace("//", "/")),
        format!("/web/{}", HARBOUR.replace("https://", "")),
        format!("/web/{}", HARBOUR.replace("https://", "http://")),
        format!("/web/{encoded}"),
    ] {
        let answer = site.get(&address).await;
        assert_eq!(answer.status, 302, "{address}");
        assert!(answer.header("location").unwrap().starts_with("/web/20260602080000/http"), "{address}");
        for format in ["link", "json", "cdxj"] {
            let address = address.replacen("/web/", &format!("/web/timemap/{format}/"), 1);
            assert_eq!(site.get(&address).await.status, 200, "{address}");
        }
    }
    assert_eq!(site.get("/web/https://express.example/data.json").await.status, 404, "its end is not ours");
    assert_eq!(site.get("/web/https://express.example/nothing").await.status, 404);
    for address in ["/web/", "/web/ftp://express.example/", "/web/timemap/xml/https://express.example/"] {
        assert!(matches!(site.get(address).await.status, 400 | 404), "{address}");
    }
}

#[tokio::test]
async fn a_time_map_lists_all_captures() {
    let site = site().await;
    let map = site.get(&format!("/web/timemap/link/{HARBOUR}")).await;
    assert_eq!((map.status, map.header("content-type")), (200, Some("application/link-format")));
    assert_eq!(links(&map.body, "original"), [HARBOUR]);
    let mementos: Vec<_> = links(&map.body, "memento").into_iter().map(local).collect();
    let expected = ["20260501090000", "20260503090000", "20260602080000"];
    assert_eq!(mementos, expected.map(|digits| format!("/web/{digits}/{HARBOUR}")));
    assert_eq!(links(&map.body, "first").len() + links(&map.body, "last").len(), 2);
    map.shows(&["from=\"Fri, 01 May 2026 09:00:00 GMT\"; until=\"Tue, 02 Jun 2026 08:00:00 GMT\""]);
    assert!(links(&map.body, "timemap").is_empty(), "there is no other page");

    let json = site.get(&format!("/web/timemap/json/{HARBOUR}")).await.json();
    assert_eq!(json["mementos"]["list"].as_array().unwrap().len(), 3);
    assert_eq!(json["mementos"]["first"]["datetime"], "2026-05-01T09:00:00Z");
    assert_eq!(json["original_uri"], HARBOUR);

    let cdxj = site.get(&format!("/web/timemap/cdxj/{HARBOUR}")).await;
    let lines: Vec<_> = cdxj.body.lines().filter(|line| !line.starts_with('!')).collect();
    assert_eq!(lines.iter().map(|line| &line[..14]).collect::<Vec<_>>(), expected);
    let first: serde_json::Value = serde_json::from_str(&lines[0][15..]).unwrap();
    assert_eq!(first["rel"], "first memento");

    let later = site.get(&format!("/web/timemap/link/20260503090000/{HARBOUR}")).await;
    assert_eq!((links(&later.body, "memento").len(), links(&later.body, "first").len()), (2, 0));
}

#[tokio::test]
async fn a_long_time_map_has_pages() {
    let site = Site::open().await;
    // The longer the address, the fewer captures fit on a page.
    let address = format!("https://express.example/{}", "x".repeat(3_900));
    let text = content("Bridge to close", "Lorries will cross by ferry.");
    let mut expected = 0;
    for day in 1..=28 {
        for hour in 0..24 {
            for minute in [10, 40] {
                let at = time(&format!("2026-05-{day:02}T{hour:02}:{minute}:00Z"));
                let seen = Observation::new(text.clone()).url(&*address).observed_at(at);
                site.observe("express/harbour", seen).await;
                expected += 1;
            }
        }
    }
    let mut next = Some(format!("/web/timemap/link/{address}"));
    let (mut found, mut pages) = (Vec::new(), 0);
    while let Some(path) = next {
        let page = site.get(&path).await;
        assert_eq!(page.status, 200);
        assert!(page.body.len() < 5 << 20, "{}", page.body.len());
        found.extend(links(&page.body, "memento").into_iter().map(str::to_owned));
        next = links(&page.body, "timemap").first().map(|address| local(address).to_owned());
        pages += 1;
    }
    assert!(pages > 1);
    let all = found.len();
    found.dedup();
    assert_eq!((all, found.len()), (expected, expected));
}

#[tokio::test]
async fn of_several_captures_within_a_second_the_last_counts() {
    let site = Site::open().await;
    for (text, at) in [("One", "2026-05-01T09:00:00.1Z"), ("Two", "2026-05-01T09:00:00.9Z")] {
        let seen = Observation::new(content(text, text)).url(HARBOUR).observed_at(time(at));
        site.observe("express/harbour", seen).await;
    }
    site.get(&format!("/web/20260501090000/{HARBOUR}")).await.shows(&["<h1", "Two"]);
    let map = site.get(&format!("/web/timemap/link/{HARBOUR}")).await;
    assert_eq!(links(&map.body, "memento").len(), 1);
}

#[tokio::test]
async fn an_address_that_moved_has_the_captures_of_each_article_in_its_period() {
    let site = Site::open().await;
    let one = |text: &str, at: &str| Observation::new(content(text, text)).observed_at(time(at));
    site.observe("express/old", one("Old", "2026-05-01T09:00:00Z").url(HARBOUR)).await;
    site.observe("express/new", one("New before", "2026-05-02T09:00:00Z")).await;
    let url = dateline::model::ArticleUrl::parse(HARBOUR).unwrap();
    let moved = Operation {
        target: ArticleTarget::Named(name("express/new")),
        observe_time: time("2026-05-03T00:00:00Z"),
        precondition: None,
        request: None,
        by: Writer::default(),
        action: Action::BindUrl(UrlMove { url, from: None, reason: String::new() }),
    };
    site.archive.write(vec![moved], WriteMode::Commit).await.unwrap();
    site.observe("express/new", one("New after", "2026-05-04T09:00:00Z")).await;
    site.observe("express/old", one("Old after", "2026-05-05T09:00:00Z")).await;
    let map = site.get(&format!("/web/timemap/link/{HARBOUR}")).await;
    let digits: Vec<_> = links(&map.body, "memento").into_iter().map(|link| &local(link)[5..19]).collect();
    assert_eq!(digits, ["20260501090000", "20260504090000"]);
    site.get(&format!("/web/20260504090000/{HARBOUR}")).await.shows(&["New after"]);
    site.get(&format!("/web/20260501090000/{HARBOUR}")).await.shows(&["Old"]);
}

#[tokio::test]
async fn what_is_not_granted_has_no_captures() {
    let directory = TempDir::new().unwrap();
    let granted = "[[principal]]\nname = \"anonymous\"\ngrant = [{ may = [\"read\"], sources = [\"courier\"] }]\n";
    let site = recorded(Site::with(Rules::Of(rules(&directory, granted)), Options::default()).await).await;
    for path in ["", "2026/", "20260501090000/", "20260501090000id_/", "*/", "timemap/link/", "timemap/json/"] {
        let (secret, nothing) = (
            site.get(&format!("/web/{path}{HARBOUR}")).await,
            site.get(&format!("/web/{path}{}", HARBOUR.replace("id=1", "id=2"))).await,
        );
        assert_eq!((secret.status, secret.body), (404, nothing.body.replace("id=2", "id=1")), "{path}");
    }
}
