//! Feeds of changes: Atom with archives and tombstones, and JSON Feed.

use dateline::internals::archive::expunge::ExpungeScope;
use dateline::internals::web::Options;
use dateline::model::RevisionNumber;
use dateline::{EditOptions, Observation};
use feed_rs::model::Feed;
use tempfile::TempDir;

use super::states::expunge;
use super::{Answer, Rules, Site, content, name, rules, time};

fn parsed(answer: &Answer) -> Feed {
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/atom+xml; charset=utf-8")),
        "{answer:?}"
    );
    feed_rs::parser::parse(answer.body.as_bytes()).unwrap()
}

fn titles(feed: &Feed) -> Vec<String> {
    feed.entries.iter().map(|entry| entry.title.as_ref().unwrap().content.clone()).collect()
}

/// The address of the document before this one.
fn previous(feed: &Feed) -> Option<String> {
    let link = feed.links.iter().find(|link| link.rel.as_deref() == Some("prev-archive"))?;
    let path = link.href.split_once("://").unwrap().1;
    Some(path[path.find('/').unwrap()..].to_owned())
}

async fn site() -> Site {
    let site = Site::open().await.with_bridge().await;
    let mayor = Observation::new(content("Mayor resigns", "She did.")).label("town hall");
    site.observe("courier/mayor", mayor.observed_at(time("2026-05-01T00:00:00Z"))).await;
    site
}

#[tokio::test]
async fn a_feed_has_the_changes_of_its_subject_and_what_changed() {
    let site = site().await;
    for (path, expected) in [
        (
            "",
            vec![
                "New: Mayor resigns",
                "Revised late: Bridge to close in June",
                "Revised: Bridge closes today",
                "New: Bridge to close in June",
            ],
        ),
        ("/s/courier", vec!["New: Mayor resigns"]),
        ("/l/town%20hall", vec!["New: Mayor resigns"]),
        (
            "/a/express/harbour",
            vec![
                "Revised late: Bridge to close in June",
                "Revised: Bridge closes today",
                "New: Bridge to close in June",
            ],
        ),
    ] {
        let feed = parsed(&site.get(&format!("{path}/feed.atom")).await);
        assert_eq!(titles(&feed), expected, "{path}");
        let json = site.get(&format!("{path}/feed.json")).await;
        assert_eq!((json.status, json.header("content-type")), (200, Some("application/feed+json")));
        let json: serde_json::Value = serde_json::from_str(&json.body).unwrap();
        let items = json["items"].as_array().unwrap();
        assert_eq!(items.iter().map(|item| item["title"].as_str().unwrap()).collect::<Vec<_>>(), expected, "{path}");
        assert_eq!(items[0]["id"], feed.entries[0].id.as_str());
    }
    let feed = parsed(&site.get("/a/express/harbour/feed.atom").await);
    let revised = &feed.entries[1];
    let html = revised.content.as_ref().unwrap().body.as_deref().unwrap();
    assert!(html.contains("<ins>") && html.contains("Cars go round by Westport."), "{html}");
    assert!(revised.links[0].href.ends_with("/diff/..2?known_at=2026-06-11T12%3A00%3A00Z"), "{:?}", revised.links);
    assert!(revised.id.starts_with("urn:dateline:") && revised.id.ends_with(":1"), "{}", revised.id);
    for path in ["/s/nothing/feed.atom", "/a/express/nothing/feed.atom", "/s/nothing/feed.json"] {
        assert_eq!(site.get(path).await.status, 404, "{path}");
    }
    assert_eq!(titles(&parsed(&site.get("/l/nothing/feed.atom").await)), [""; 0]);
    site.get("/a/express/harbour/history").await.shows(&["href=\"/a/express/harbour/feed.atom\""]);
}

#[tokio::test]
async fn archived_documents_lead_to_the_first_change_and_stay_as_they_are() {
    let site = Site::open().await;
    let record = async |number: usize| {
        let text = content(&format!("Title {number}"), "Text.");
        site.record(
            &format!("express/a{}", number % 7),
            text,
            &format!("2026-05-01T00:{:02}:{:02}Z", number / 60, number % 60),
        )
        .await;
    };
    for number in 0..150 {
        record(number).await;
    }
    let mut archived = Vec::new();
    for (path, step) in [("/feed.atom", 1), ("/s/express/feed.atom", 1), ("/a/express/a0/feed.atom", 7)] {
        let mut next = Some(path.to_owned());
        let (mut found, mut documents) = (Vec::new(), 0);
        while let Some(address) = next {
            let answer = site.get(&address).await;
            let feed = parsed(&answer);
            assert_eq!(answer.body.contains("<fh:archive/>"), documents > 0, "{address}");
            found.extend(titles(&feed));
            next = previous(&feed);
            if documents > 0 {
                archived.push((address, answer.body));
            }
            documents += 1;
        }
        let numbers: Vec<usize> =
            found.iter().map(|title| title.rsplit(' ').next().unwrap().parse().unwrap()).collect();
        assert_eq!(numbers, (0..150).step_by(step).rev().collect::<Vec<_>>(), "{path}");
    }
    assert!(archived.len() >= 6, "{}", archived.len());
    for number in 150..170 {
        record(number).await;
    }
    // What becomes known late is between two revisions that were compared with each other.
    site.record("express/a0", content("Late", "Other words."), "2026-05-01T00:00:03Z").await;
    for (address, before) in archived {
        assert_eq!(site.get(&address).await.body, before, "{address}");
    }
    let newest = site.get("/a/express/a0/feed.atom").await;
    assert_eq!(titles(&parsed(&newest))[0], "Revised late: Late");
    newest.shows(&["when a later observation was known already"]);
    assert_eq!(site.get("/feed.atom?before=172").await.status, 400, "the end of the log is not fixed yet");
}

#[tokio::test]
async fn what_was_expunged_leaves_the_feed_and_has_a_tombstone() {
    let site = site().await;
    expunge(&site, ExpungeScope::Revisions(vec![RevisionNumber::new(2).unwrap()])).await;
    let feed = site.get("/feed.atom").await;
    feed.hides(&["Bridge closes today", "Cars go round"]);
    let urn = parsed(&feed).entries[0].id.rsplit_once(':').unwrap().0.to_owned();
    // The second change created that revision.
    let tombstone = format!("<at:deleted-entry ref=\"{urn}:1\"");
    assert_eq!(
        feed.body.matches(&tombstone).count(),
        1,
        "in place of the entry, and not again with what destroyed it: {}",
        feed.body
    );
    let json = site.get("/feed.json").await;
    json.hides(&["Bridge closes today", "Cars go round"]);
    json.shows(&["\"destroyed\"", "Revision 2"]);
}

#[tokio::test]
async fn text_from_elsewhere_is_text_in_a_feed() {
    let attack = "</title></content></entry></feed><script>alert(1)</script>&\u{0}\u{fffe}\u{202e}]]>";
    let site = Site::open().await;
    let seen = Observation::new(content(&attack.replace('\u{0}', ""), "]]><script>alert(1)</script>")).label("<b>&\"");
    site.observe("express/harbour", seen.observed_at(time("2026-05-01T00:00:00Z"))).await;
    site.archive.withdraw(&name("express/harbour"), EditOptions::because("<script>alert(2)</script>")).await.unwrap();
    let answer = site.get("/feed.atom").await;
    let feed = parsed(&answer);
    assert_eq!(feed.entries.len(), 2);
    assert!(feed.entries[1].title.as_ref().unwrap().content.contains("<script>alert(1)</script>"));
    answer.hides(&["<script", "\u{fffe}", "\u{202e}"]);
    for entry in &feed.entries {
        let html = entry.content.as_ref().unwrap().body.as_deref().unwrap();
        assert!(!html.contains("<script"), "{html}");
    }
}

#[tokio::test]
async fn what_is_not_granted_is_in_no_feed() {
    let directory = TempDir::new().unwrap();
    let granted = "[[principal]]\nname = \"anonymous\"\ngrant = [{ may = [\"read\"], sources = [\"courier\"] }]\n";
    let site = Site::with(Rules::Of(rules(&directory, granted)), Options::default()).await.with_bridge().await;
    let mayor = Observation::new(content("Mayor resigns", "She did.")).label("town");
    site.observe("courier/mayor", mayor.observed_at(time("2026-05-01T00:00:00Z"))).await;
    for path in ["/feed.atom", "/feed.json", "/s/courier/feed.atom", "/l/town/feed.json"] {
        let feed = site.get(path).await;
        feed.shows(&["Mayor resigns"]);
        feed.hides(&["Bridge", "harbour", "express"]);
    }
    for path in ["/s/{}/feed.atom", "/s/{}/feed.json", "/a/{}/harbour/feed.atom", "/a/{}/harbour/feed.json"] {
        let (secret, nothing) =
            (site.get(&path.replace("{}", "express")).await, site.get(&path.replace("{}", "nothing")).await);
        assert_eq!((secret.status, secret.body), (404, nothing.body), "{path}");
    }
}
