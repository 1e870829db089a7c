//! What pages show, and where their forms lead.

use std::sync::Arc;

use dateline::internals::client::Client;
use dateline::internals::server;
use dateline::internals::wire::pb;
use dateline::model::Original;
use dateline::{ArticleFilter, BlockKind, Content, Observation};

use super::{Site, content, time, twin};
use crate::server::publish;

/// An ordinary article has 500 to 800 words.
fn ordinary(headline: &str, words: usize) -> Content {
    let sentence = "The council said on Friday that the bridge would stay closed until the autumn. ";
    let mut written = Content::new(headline);
    for _ in 0..words / 70 {
        written = written.paragraph(sentence.repeat(5));
    }
    written
}

#[tokio::test]
async fn every_page_is_html_and_has_its_message_next_to_it() {
    let site = Site::open().await.with_bridge().await;
    for address in Site::addresses() {
        let page = site.get(address).await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")), "{address}");
        page.shows(&["<!DOCTYPE html>\n<html lang=\"en\">", "<main id=\"main\">", "</html>"]);
        let json = site.get(&twin(address)).await.json();
        assert!(json.as_object().is_some_and(|message| !message.is_empty()), "{address}: {json}");
    }
}

#[tokio::test]
async fn an_article_is_shown_at_any_point_of_both_axes() {
    let site = Site::open().await.with_bridge().await;
    let newest = site.get("/a/express/harbour").await;
    newest.shows(&["<h1>Bridge closes today</h1>", "Revision <a href=\"/a/express/harbour/r/2\">2</a> of 3"]);
    let earlier = site.get("/a/express/harbour?at=2026-05-25T00%3A00%3A00Z").await;
    earlier.shows(&[
        "<h1>Bridge to close in June</h1>",
        "It will close on 2 June.",
        "/a/express/harbour/r/3\">3</a> of 3",
    ]);
    earlier.shows(&["until <time datetime=\"2026-06-02T08:00:00Z\">2 June 2026, 08:00</time>"]);
    let query = "at=2026-05-25T00%3A00%3A00Z&known_at=2026-06-11T12%3A00%3A00.5Z";
    let as_known_then = site.get(&format!("/a/express/harbour?{query}")).await;
    as_known_then.shows(&["<h1>Bridge to close in June</h1>", "/a/express/harbour/r/1\">1</a> of 2"]);
    as_known_then.hides(&["It will close on 2 June."]);
    let json = site.get(&format!("/a/express/harbour.json?{query}")).await.json();
    assert_eq!(json["article"]["revision"]["number"], 1);
    let too_early = site.get("/a/express/harbour?at=2020-01-01T00%3A00%3A00Z").await;
    assert_eq!(too_early.status, 404);
    too_early.shows(&["2026-05-01T09:00:00Z"]);
    let in_future = site.get("/a/express/harbour?known_at=2030-01-01T00%3A00%3A00Z").await;
    assert_eq!(in_future.status, 400);
    in_future.shows(&["<a href=\"/a/express/harbour\">The article</a>"]);
}

#[tokio::test]
async fn times_are_typed_as_on_the_command_line_and_become_instants() {
    let site = Site::open().await.with_bridge().await;
    // It is 12 June 2026, 12:00.
    for (typed, expected) in [
        ("at=2026-05-25", "?at=2026-05-25T23%3A59%3A59.999999Z"),
        ("at=2+days+ago&known_at=", "?at=2026-06-10T12%3A00%3A00Z"),
        ("at=2026-05", "?at=2026-05-31T23%3A59%3A59.999999Z"),
        ("at=2026-05-25+10:00", "?at=2026-05-25T10%3A00%3A00Z"),
        ("at=&known_at=yesterday", "?known_at=2026-06-11T23%3A59%3A59.999999Z"),
        ("at=&known_at=", ""),
        ("utm_source=mail", ""),
    ] {
        let redirect = site.get(&format!("/a/express/harbour?{typed}")).await;
        let location = format!("/a/express/harbour{expected}");
        assert_eq!((redirect.status, redirect.header("location")), (302, Some(location.as_str())), "{typed}");
        assert_eq!(site.get(&location).await.status, 200);
    }
    let twin = site.get("/a/express/harbour.json?at=2026-05-25").await;
    assert_eq!(twin.header("location"), Some("/a/express/harbour.json?at=2026-05-25T23%3A59%3A59.999999Z"));
    let nonsense = site.get("/a/express/harbour?at=soon").await;
    assert_eq!(nonsense.status, 400);
    nonsense.shows(&["at: expected a time", "<a href=\"/a/express/harbour\">The article</a>"]);
    nonsense.hides(&["%2B"]);
    let zone = site.get("/a/express/harbour?at=2026-05-25T10:00:00+02:00").await;
    assert_eq!(zone.status, 400);
    zone.shows(&["write + as %2B"]);
}

#[tokio::test]
async fn a_history_offers_its_revisions_for_comparison() {
    let site = Site::open().await.with_bridge().await;
    let history = site.get("/a/express/harbour/history").await;
    history.shows(&[
        "<form action=\"/a/express/harbour/diff\" method=\"get\">",
        // The third came into force before the second.
        "<input type=\"radio\" name=\"a\" value=\"3\" aria-label=\"Compare revision 3\" checked>",
        "<input type=\"radio\" name=\"b\" value=\"2\" aria-label=\"with revision 2\" checked>",
        "<a href=\"/a/express/harbour/diff/..2?known_at=2026-06-11T12%3A00%3A00Z\">",
        "archived <time datetime=\"2026-06-11T12:00:00Z\">",
    ]);
    assert_eq!(history.body.matches(">late</span>").count(), 1, "the third was observed before the second");
    for (query, expected) in [("a=3&b=1", "1..3"), ("b=2", "..2"), ("", "3..2")] {
        let redirect = site.get(&format!("/a/express/harbour/diff?{query}")).await;
        let location = format!("/a/express/harbour/diff/{expected}");
        assert_eq!((redirect.status, redirect.header("location")), (302, Some(location.as_str())));
    }
    assert_eq!(site.get("/a/express/harbour/diff?a=x&b=1").await.status, 400);
    let times = "from=2026-05-10T23%3A59%3A59.999999Z&to=2026-05-25T23%3A59%3A59.999999Z";
    let between = site.get("/a/express/harbour/diff?from=2026-05-10&to=2026-05-25").await;
    assert_eq!(
        (between.status, between.header("location")),
        (302, Some(&*format!("/a/express/harbour/diff/1..3?{times}")))
    );
    site.get(&format!("/a/express/harbour/diff/1..3?{times}")).await.shows(&[
        "Asked for: what changed from <time datetime=\"2026-05-10T23:59:59.999999Z\">",
        " to <time datetime=\"2026-05-25T23:59:59.999999Z\">",
    ]);
    let too_early = site.get("/a/express/harbour/diff?from=2020-01-01").await;
    assert_eq!(too_early.status, 404);
    too_early
        .shows(&["first observed at 2026-05-01T09:00:00Z", "href=\"/a/express/harbour?at=2026-05-01T09%3A00%3A00Z\""]);
    let reversed = site.get("/a/express/harbour/diff?from=2026-05-25&to=2026-05-10").await;
    assert_eq!(reversed.header("location"), between.header("location"));
    for malformed in ["from=soon", "a=1&from=2026-05-10"] {
        assert_eq!(site.get(&format!("/a/express/harbour/diff?{malformed}")).await.status, 400);
    }
    site.get("/a/express/harbour/history").await.shows(&["name=\"from\""]);
}

#[tokio::test]
async fn a_text_that_was_seen_earlier_than_recorded_is_not_said_to_be_new() {
    let site = Site::open().await;
    let again = || content("Bridge closes", "Cars go round by Westport.");
    site.record("express/harbour", content("Bridge to close", "It will."), "2026-05-01T10:00:00Z").await;
    site.record("express/harbour", again(), "2026-05-03T10:00:00Z").await;
    let seen = Observation::new(again()).url("https://express.example/harbour");
    site.observe("express/harbour", seen.observed_at(time("2026-05-02T10:00:00Z"))).await;
    let found = site.get("/web/20260502100000/https://express.example/harbour").await;
    found.shows(&[
        "Found at this address on <time datetime=\"2026-05-02T10:00:00Z\">2 May 2026, 10:00:00 UTC</time>; this text was \
         recorded from a look on <time datetime=\"2026-05-03T10:00:00Z\">",
    ]);
    site.get("/a/express/harbour/r/2").await.hides(&["Found at"]);
    site.get("/a/express/harbour/history")
        .await
        .shows(&["seen 2 times, <time datetime=\"2026-05-02T10:00:00Z\">2 May 2026, 10:00</time> – \
         <time datetime=\"2026-05-03T10:00:00Z\">"]);
    let page = site.get("/a/express/harbour").await;
    page.shows(&[
        "in force since <time datetime=\"2026-05-02T10:00:00Z\">",
        "About this revision",
        "<dt>Observed</dt><dd><time datetime=\"2026-05-03T10:00:00Z\">",
    ]);
    page.hides(&["First seen"]);
}

/// The counts of a row are those of when it was archived. What was observed before it may arrive later.
#[tokio::test]
async fn the_counts_of_a_row_are_those_of_the_comparison_that_it_leads_to() {
    let site = Site::open().await.with_bridge().await;
    // In the commit of the third, or with its time.
    let late = content("Bridge may close", "Nobody knows when.");
    site.record("express/harbour", late, "2026-05-10T08:00:00Z").await;
    for list in ["/changes", "/a/express/harbour/history", "/a/express/harbour/r/2"] {
        site.get(list).await.shows(&["/a/express/harbour/diff/..2?known_at=2026-06-11T12%3A00%3A00Z\""]);
    }
    let third = site.get("/a/express/harbour/r/3.json").await.json()["revision"].clone();
    let archived = third["archiveTime"].as_str().unwrap().replace(':', "%3A");
    for (number, base, archived) in [(2, 1, "2026-06-11T12%3A00%3A00Z"), (3, 1, &archived)] {
        let json = site.get(&format!("/a/express/harbour/diff/..{number}.json?known_at={archived}")).await.json();
        assert_eq!((&json["base"]["number"], &json["target"]["number"]), (&base.into(), &number.into()));
        assert_eq!(json["wordDelta"], json["target"]["wordDelta"]);
    }
    let page = site.get("/a/express/harbour/diff/..2?known_at=2026-06-11T12%3A00%3A00Z").await;
    page.shows(&[
        "As known at <time datetime=\"2026-06-11T12:00:00Z\">",
        "<a href=\"/a/express/harbour/diff/..2\">Compare with what is known now</a>",
        "/a/express/harbour/diff/1..2.json?known_at=2026-06-11T12%3A00%3A00Z",
        "/a/express/harbour/diff/1..2?known_at=2026-06-11T12%3A00%3A00Z&#38;view=side",
        "/a/express/harbour/history?known_at=2026-06-11T12%3A00%3A00Z",
    ]);
    let now = site.get("/a/express/harbour/diff/..2.json").await.json();
    assert_eq!(now["base"]["number"], 3);
    let words = site.get("/a/express/harbour/diff/..2?view=side&known_at=2026-06-11").await;
    let instants = "/a/express/harbour/diff/..2?known_at=2026-06-11T23%3A59%3A59.999999Z&view=side";
    assert_eq!((words.status, words.header("location")), (302, Some(instants)));
}

#[tokio::test]
async fn changes_follow_each_other_as_they_were_in_force() {
    let site = Site::open().await.with_bridge().await;
    let link = |words: &str, path: &str| format!("<a href=\"/a/express/harbour/diff/{path}\">{words}</a>");
    let late = site.get("/a/express/harbour/diff/..3").await;
    late.shows(&[&link("← Earlier change", "..1"), &link("Later change →", "3..2")]);
    let last = site.get("/a/express/harbour/diff/..2").await;
    last.shows(&[&link("← Earlier change", "..3")]);
    last.hides(&["Later change"]);
    let first = site.get("/a/express/harbour/diff/..1").await;
    first.shows(&[&link("Later change →", "1..3")]);
    first.hides(&["Earlier change"]);
}

#[tokio::test]
async fn tabs_keep_the_point_that_is_shown() {
    let site = Site::open().await.with_bridge().await;
    let (at, known) = ("at=2026-05-25T00%3A00%3A00Z", "known_at=2026-06-11T12%3A00%3A00Z");
    for page in ["", "/blame"] {
        site.get(&format!("/a/express/harbour{page}?{at}&{known}")).await.shows(&[
            &format!("<a href=\"/a/express/harbour?{at}&#38;{known}\""),
            &format!("/a/express/harbour/blame?{at}&#38;{known}"),
            &format!("/a/express/harbour/history?{known}"),
            &format!("/a/express/harbour/diff?to=2026-05-25T00%3A00%3A00Z&#38;{known}"),
        ]);
    }
    let history = site.get(&format!("/a/express/harbour/history?{known}")).await;
    history.shows(&["As known at <time", "History <span class=\"quiet\">2</span>", "/a/express/harbour/r/2"]);
    history.hides(&["/a/express/harbour/r/3"]);
    assert_eq!(
        site.get("/a/express/harbour/history?known_at=2026-06-11T12:00Z").await.header("location"),
        Some(&*format!("/a/express/harbour/history?{known}"))
    );
    let changed = site.get(&format!("/a/express/harbour/diff?to=2026-06-10T00%3A00%3A00Z&{known}")).await;
    let expected = format!("/a/express/harbour/diff/1..2?to=2026-06-10T00%3A00%3A00Z&{known}");
    assert_eq!(changed.header("location"), Some(&*expected));
    assert_eq!(site.get(&expected).await.status, 200);
}

#[tokio::test]
async fn a_long_history_has_pages_that_lose_nothing() {
    let site = Site::open().await;
    for number in 0..205 {
        let (headline, at) =
            (format!("Toll rises to {number}"), format!("2026-05-01T{:02}:{:02}:00Z", number / 60, number % 60));
        site.record("express/toll", content(&headline, "People died."), &at).await;
    }
    let (mut address, mut seen) = ("/a/express/toll/history".to_owned(), Vec::new());
    loop {
        let page = site.get(&address).await;
        assert_eq!(page.status, 200);
        page.shows(&[&twin(&address).replace('&', "&#38;")]);
        seen.extend(
            page.body
                .split("<th scope=\"row\"><a href=\"/a/express/toll/r/")
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap().parse::<u32>().unwrap()),
        );
        // What is recorded meanwhile is on none of the later pages.
        site.record("express/toll", content("Later", "More."), "2026-06-01T00:00:00Z").await;
        match page.body.split("<p class=\"more\"><a href=\"").nth(1) {
            Some(rest) => address = rest.split('"').next().unwrap().replace("&#38;", "&"),
            None => break,
        }
    }
    assert_eq!(seen, (1..=205).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_comparison_marks_words_and_moves_in_both_layouts() {
    let site = Site::open().await;
    let blocks = |texts: &[&str]| texts.iter().fold(Content::new("Bridge"), |written, text| written.paragraph(*text));
    let texts: Vec<String> = (0..12).map(|number| format!("Paragraph {number} says something of its own.")).collect();
    let mut old: Vec<&str> = texts.iter().map(String::as_str).collect();
    old.push("It takes three months.");
    let mut new = old.clone();
    let moved = new.remove(11);
    new.insert(0, moved);
    new[12] = "It takes five months.";
    site.record("express/bridge", blocks(&old), "2026-05-01T09:00:00Z").await;
    site.record("express/bridge", blocks(&new), "2026-05-02T09:00:00Z").await;
    let inline = site.get("/a/express/bridge/diff/1..2").await;
    inline.shows(&[
        "It takes <del><span class=\"apart\">[removed: </span>three<span class=\"apart\">]</span></del>\
         <ins><span class=\"apart\">[added: </span>five<span class=\"apart\">]</span></ins> months.",
        "Moved from place 12 to place 1",
        "unchanged paragraphs</summary>",
        "id=\"d1\"",
        "id=\"d2\"",
    ]);
    let side = site.get("/a/express/bridge/diff/1..2?view=side").await;
    side.shows(&[
        "<div class=\"pair\" dir=\"ltr\"><p dir=\"auto\">It takes <del>",
        "</p><p dir=\"auto\">It takes <ins>",
    ]);
    let json = site.get("/a/express/bridge/diff/1..2.json").await.json();
    assert_eq!(json["hunks"].as_array().unwrap().len(), 13);
    let first = site.get("/a/express/bridge/diff/..1").await;
    first.shows(&["All of <a href=\"/a/express/bridge/r/1\">revision 1</a>"]);
    for missing in ["1..9", "0..1", "01..2", "x", "1...2", "2"] {
        assert_eq!(site.get(&format!("/a/express/bridge/diff/{missing}")).await.status, 404, "{missing}");
    }
}

#[tokio::test]
async fn a_permalink_has_digests_a_proof_and_citations() {
    let site = Site::open().await;
    let original = Original { media_type: "text/html".to_owned(), data: "<script>alert(1)</script>".into() };
    let written = Content {
        bylines: vec!["Ada Lake".to_owned(), "M & M {Brook}".to_owned()],
        canonical_url: "https://express.example/harbour".to_owned(),
        ..content("Bridge to close: 50% of \"lorries\" & cars", "By ferry.")
    };
    site.observe(
        "express/harbour",
        Observation::new(written).observed_at(time("2026-05-01T09:00:00Z")).original(original),
    )
    .await;
    let page = site.get("/a/express/harbour/r/1").await;
    let json = site.get("/a/express/harbour/r/1.json").await.json();
    let digest = json["revision"]["contentDigest"].as_str().unwrap();
    page.shows(&[digest, "/r/1/proof", "/r/1/cite.bib", "<a href=\"/a/express/harbour/r/1/id_\">text/html</a>, 25 B"]);
    let proof = site.get("/a/express/harbour/r/1/proof").await;
    assert_eq!((proof.status, proof.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    let key = site.get("/status").await;
    let key = key.body.split("<code>").find(|text| text.starts_with("example.org/log+")).unwrap();
    let key: dateline::VerifierKey = key.split('<').next().unwrap().replace("&#43;", "+").parse().unwrap();
    let file: dateline::internals::proof::ProofFile = proof.body.parse().unwrap();
    file.check(&key).unwrap();
    let bibtex = site.get("/a/express/harbour/r/1/cite.bib").await;
    bibtex.shows(&[
        "@online{express-harbour-r1,\n  title = {{Bridge to close: 50\\% of \"lorries\" \\& cars}},\n",
        "  author = {{Ada Lake} and {M \\& M \\{Brook\\}}},\n",
        "  urldate = {2026-05-01},\n",
        &format!(
            "  note = {{Observed 2026-05-01T09:00:00Z, archived 2026-06-10T12:00:00Z, revision 1, SHA-256 {digest}}},\n"
        ),
    ]);
    let csl = site.get("/a/express/harbour/r/1/cite.json").await;
    let csl: serde_json::Value = serde_json::from_str(&csl.body).unwrap();
    assert_eq!(csl[0]["title"], "Bridge to close: 50% of \"lorries\" & cars");
    assert_eq!(csl[0]["accessed"]["date-parts"][0], serde_json::json!([2026, 5, 1]));
    assert_eq!(
        csl[0]["note"],
        format!("observed: 2026-05-01T09:00:00Z; archived: 2026-06-10T12:00:00Z; sha256: {digest}")
    );
    let times = "Observed 2026-05-01T09:00:00Z, archived 2026-06-10T12:00:00Z (revision 1)";
    site.get("/a/express/harbour/r/1/cite").await.shows(&[times, digest]);
    let original = site.get("/a/express/harbour/r/1/id_").await;
    assert_eq!((original.status, original.body.as_str()), (200, "<script>alert(1)</script>"));
    assert_eq!(original.header("content-security-policy"), Some("sandbox; default-src 'none'"));
    // A client replaces the headers that it has by those of this answer.
    let known = [("if-none-match", original.header("etag").unwrap())];
    let again = site.ask("GET", "/a/express/harbour/r/1/id_", &known).await;
    assert_eq!((again.status, again.header("content-security-policy")), (304, None));
    assert_eq!(original.header("content-type"), Some("text/html"));
    assert_eq!(site.get("/a/express/harbour/r/2/id_").await.status, 404);
    assert_eq!(site.get("/a/express/harbour/r?n=1").await.header("location"), Some("/a/express/harbour/r/1"));
    assert_eq!(site.get("/a/express/harbour/r").await.header("location"), Some("/a/express/harbour/r/1"));
}

#[tokio::test]
async fn a_calendar_counts_the_looks_of_each_day() {
    let site = Site::open().await.with_bridge().await;
    let again = content("Bridge closes today", "Lorries cross by ferry. Cars go round by Westport.");
    site.record("express/harbour", again, "2026-06-02T20:00:00Z").await;
    let redirect = site.get("/a/express/harbour/calendar").await;
    assert_eq!(redirect.header("location"), Some("/a/express/harbour/calendar/2026"));
    let page = site.get("/a/express/harbour/calendar/2026").await;
    page.shows(&[
        "<a href=\"/a/express/harbour?at=2026-06-02\" class=\"look size1 shade1\"",
        "2 June: 1 revision, 1 sighting, ",
        "3 revisions, 1 sighting",
    ]);
    let json = site.get("/a/express/harbour/calendar/2026.json").await.json();
    let days = json["days"].as_array().unwrap();
    assert_eq!(days.len(), 3);
    assert_eq!((&days[2]["date"], &days[2]["sightings"]), (&"2026-06-02".into(), &1.into()));
    site.get("/a/express/harbour/calendar/2025").await.shows(&["no looks", "2026 →"]);
    let padded = site.get("/a/express/harbour/calendar/0500").await;
    assert_eq!(padded.header("location"), Some("/a/express/harbour/calendar/500"));
    for bad in ["0", "0000", "9999", "02026", "x", "-1"] {
        assert_eq!(site.get(&format!("/a/express/harbour/calendar/{bad}")).await.status, 404, "{bad}");
    }
}

#[tokio::test]
async fn a_calendar_leads_to_the_years_with_looks_of_any_kind() {
    let site = Site::open().await;
    let first = content("Bridge", "It closes.");
    site.record("express/bridge", first.clone(), "1912-04-15T00:00:00Z").await;
    site.record("express/bridge", content("Bridge", "It opens."), "2019-05-01T00:00:00Z").await;
    site.record("express/bridge", content("Bridge", "It opens."), "2022-05-01T00:00:00Z").await;
    super::states::miss(&site, "express/bridge", "2024-05-01T00:00:00Z").await;
    site.record("express/bridge", content("Bridge", "It opens."), "2025-05-01T00:00:00Z").await;
    let link = |year: &str| format!("href=\"/a/express/bridge/calendar/{year}\"");
    assert_eq!(
        site.get("/a/express/bridge/calendar").await.header("location"),
        Some("/a/express/bridge/calendar/2025")
    );
    let page = site.get("/a/express/bridge/calendar/2022").await;
    page.shows(&[&link("1912"), &link("2019"), &link("2024"), &link("2025"), ">Mon<"]);
    page.hides(&[&link("2021"), &link("2023")]);
    let earliest = site.get("/a/express/bridge/calendar/1912").await;
    earliest.shows(&[&link("2019"), &link("2025")]);
    earliest.hides(&["rel=\"prev\""]);
    site.get("/a/express/bridge/calendar/2024").await.shows(&["1 absence", &link("2022"), &link("2025")]);
}

#[tokio::test]
async fn lists_of_changes_lead_back_to_the_first() {
    let site = Site::open().await;
    for number in 0..130 {
        let at = format!("2026-05-01T{:02}:{:02}:00Z", number / 60, number % 60);
        site.record(&format!("express/a{number}"), content("Bridge", "It closes."), &at).await;
    }
    let (mut address, mut seen) = ("/changes".to_owned(), Vec::new());
    loop {
        let page = site.get(&address).await;
        seen.extend(
            page.body.split("<li id=\"c").skip(1).map(|rest| rest.split('"').next().unwrap().parse::<u64>().unwrap()),
        );
        match page.body.split("<p class=\"more\"><a href=\"").nth(1) {
            Some(rest) => address = rest.split('"').next().unwrap().to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, (0..130).rev().collect::<Vec<u64>>());
    let json = site.get("/changes.json?before=10").await.json();
    assert_eq!(json["changes"].as_array().unwrap().len(), 10);
    assert_eq!(site.get("/changes?before=x").await.status, 400);
}

#[tokio::test]
async fn the_rows_of_an_address_that_was_moved_say_which_way() {
    let site = Site::open().await.with_bridge().await;
    let url = "https://express.example/live";
    site.observe("express/monday", Observation::new(content("Live", "Monday.")).url(url)).await;
    site.observe("express/tuesday", Observation::new(content("Live", "Tuesday."))).await;
    let channel = server::in_process(Arc::clone(&site.archive), &server::Options::default()).await.unwrap();
    let moved = pb::MoveUrlRequest {
        url: url.to_owned(),
        destination: Some(pb::move_url_request::Destination::Name("sources/express/articles/tuesday".to_owned())),
        ..pb::MoveUrlRequest::default()
    };
    Client::over(channel).archive.move_url(moved).await.unwrap();
    let (to, from) = (format!("<bdi>{url} leads here</bdi>"), format!("<bdi>{url} no longer leads here</bdi>"));
    site.get("/changes").await.shows(&[&to, &from]);
    site.get("/a/express/monday/history").await.shows(&[&from]);
    site.get("/a/express/tuesday/history").await.shows(&[&to]);
}

#[tokio::test]
async fn a_list_of_changes_may_begin_inside_an_atomic_batch() {
    let site = Site::open().await;
    let channel = server::in_process(Arc::clone(&site.archive), &server::Options::default()).await.unwrap();
    let requests = (0..256).map(|number| publish(&format!("a{number}"), "It closes.")).collect();
    let batch = pb::BatchRecordObservationsRequest { requests };
    Client::over(channel).archive.batch_record_observations(batch).await.unwrap();
    let json = site.get("/changes.json").await.json();
    let changes = json["changes"].as_array().unwrap();
    let seqs: Vec<_> = changes.iter().map(|change| change["seq"].as_str().unwrap()).collect();
    let expected: Vec<_> = (206..256).map(|seq| seq.to_string()).collect();
    assert_eq!(seqs, expected);
}

#[tokio::test]
async fn a_source_lists_its_articles_and_filters_them() {
    let site = Site::open().await.with_bridge().await;
    site.observe("express/ferry", Observation::new(content("Ferry timetable", "From 6 to 24.")).label("timetable"))
        .await;
    site.archive.withdraw(&"express/ferry".parse().unwrap(), "legal").await.unwrap();
    site.record("courier/mayor", content("Mayor resigns", "She did."), "2026-05-01T00:00:00Z").await;
    let all = site.get("/s/express").await;
    all.shows(&["Ferry timetable", "Bridge closes today", "3 revisions", "timetable"]);
    all.hides(&["Mayor"]);
    let withdrawn = site.get("/s/express?state=withdrawn&label=").await;
    withdrawn.shows(&["Ferry timetable", "<option value=\"withdrawn\" selected>"]);
    withdrawn.hides(&["Bridge closes today"]);
    site.get("/s/express?label=timetable").await.shows(&["Ferry timetable"]);
    site.get("/s/express?label=nothing").await.shows(&["No article matches."]);
    assert_eq!(site.get("/s/nowhere").await.status, 404);
    assert_eq!(site.get("/s/express?state=odd").await.status, 400);
    let sources = site.get("/sources").await;
    sources.shows(&["<a href=\"/s/courier\">courier</a>", "<a href=\"/s/express\">express</a>"]);
    // The archive recorded the bridge on 10, 11 and 12 June, and the ferry on the last of these.
    sources.shows(&[
        "aria-label=\"4 revisions in 30 days\"",
        "<rect x=\"108\" y=\"8\" width=\"3\" height=\"8\"/><rect x=\"112\" y=\"8\" width=\"3\" height=\"8\"/>\
         <rect x=\"116\" y=\"0\" width=\"3\" height=\"16\"/>",
    ]);
    let listed = site.archive.list(ArticleFilter::default(), dateline::AsOf::NEWEST).await.unwrap().next().await;
    assert!(listed.is_some());
}

#[tokio::test]
async fn an_article_is_found_by_its_address_however_it_is_typed() {
    let site = Site::open().await;
    let seen = Observation::new(content("Bridge", "It closes.")).url("https://express.example/harbour");
    site.observe("express/harbour", seen).await;
    for typed in
        ["https%3A%2F%2Fexpress.example%2Fharbour%3Futm_source%3Dx", "express.example/harbour", "express/harbour"]
    {
        let redirect = site.get(&format!("/lookup?url={typed}")).await;
        assert_eq!((redirect.status, redirect.header("location")), (302, Some("/a/express/harbour")), "{typed}");
    }
    assert_eq!(site.get("/lookup.json?url=express.example/harbour").await.json()["article"]["revisionCount"], 1);
    let named = site.get("/lookup.json?url=express/harbour").await;
    assert_eq!(named.header("location"), Some("/a/express/harbour.json"));
    assert_eq!(site.get("/lookup?url=https://elsewhere.example/").await.status, 404);
    assert_eq!(site.get("/lookup").await.header("location"), Some("/"));
}

#[tokio::test]
async fn an_id_that_looks_like_a_twin_has_a_page_too() {
    let site = Site::open().await;
    site.record("express/data.json", content("Data", "Of July."), "2026-05-01T00:00:00Z").await;
    site.get("/changes").await.shows(&["/a/express/data.json/r/1"]);
    site.get("/s/express").await.shows(&["<a href=\"/a/express/data.json/\">Data</a>"]);
    site.get("/a/express/data.json/").await.shows(&["<h1>Data</h1>", "href=\"/a/express/data.json/history\""]);
    assert_eq!(site.get("/a/express/data.json.json").await.json()["article"]["revisionCount"], 1);
    assert_eq!(
        site.get("/a/express/data.json").await.status,
        404,
        "it is the JSON of express/data, which there is not"
    );
}

#[tokio::test]
async fn a_page_of_an_ordinary_article_weighs_little() {
    let site = Site::open().await;
    site.record("express/harbour", ordinary("Bridge to close in June", 800), "2026-05-01T09:00:00Z").await;
    let more = ordinary("Bridge closes today", 800).block(BlockKind::CorrectionNote { text: "Corrected.".to_owned() });
    site.record("express/harbour", more, "2026-05-02T09:00:00Z").await;
    for address in Site::addresses().into_iter().filter(|address| !address.contains("..3")) {
        let page = site.get(address).await;
        assert_eq!(page.status, 200, "{address}");
        assert!(page.body.len() < 30 << 10, "{address} has {} bytes", page.body.len());
    }
}
