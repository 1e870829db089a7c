//! Text from elsewhere is text: in no page does it become an element, an attribute or a link that runs something.

use dateline::model::{ClaimedTime, Fetch, Original, Precision};
use dateline::{Block, BlockKind, Content, EditOptions, Observation};
use dom_query::Document;

use super::{Site, name, time};

/// Ways to leave the text that one is in.
const ATTACKS: [&str; 12] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'><svg onload=alert(1)>",
    "</title><script>alert(1)</script>",
    "</p></article></main><iframe src=\"javascript:alert(1)\">",
    "<a href=\"javascript:alert(1)\">click</a>",
    "--><!--<base href=\"https://evil.example/\">",
    "{{ 7 * 7 }} {% include \"x\" %} ${alert(1)}",
    "<style>*{background:url(https://evil.example/)}</style>",
    "<meta http-equiv=refresh content=\"0;url=https://evil.example/\">",
    "\u{202e}gpj.exe\u{2066}&lt;script&gt;&#60;script&#62;",
    "`onmouseover=alert(1) x=\" autofocus onfocus=alert(1) \"",
];
/// URLs that must not become links.
const URLS: [&str; 3] = ["javascript:alert(1)", "data:text/html,<script>alert(1)</script>", "vbscript:x"];

/// A content with an attack in every field.
fn content(attack: &str, url: &str) -> Content {
    let text = || attack.to_owned();
    let claim = || ClaimedTime {
        time: time("2026-05-01T00:00:00Z"),
        precision: Precision::Day,
        words: text(),
        found_in: text(),
        relative: true,
    };
    Content {
        headline: text(),
        standfirst: text(),
        bylines: vec![text(), text()],
        section: text(),
        language: String::new(),
        canonical_url: String::new(),
        publish_time: Some(claim()),
        modify_time: Some(claim()),
        keywords: vec![text()],
        rights: text(),
        blocks: [
            BlockKind::Paragraph { text: text() },
            BlockKind::Subheading { text: text() },
            BlockKind::Caption { text: text(), image_url: url.to_owned(), credit: text() },
            BlockKind::Quote { text: text(), attribution: text() },
            BlockKind::List { items: vec![text(), text()], ordered: true },
            BlockKind::List { items: vec![text()], ordered: false },
            BlockKind::Embed { url: url.to_owned(), text: text() },
            BlockKind::CorrectionNote { text: text() },
        ]
        .map(Block::from)
        .to_vec(),
    }
}

/// Fails if a page has anything that runs, loads or leads anywhere but to this site and to pages of the web.
fn must_be_inert(address: &str, html: &str) {
    let page = Document::from(html);
    for forbidden in [
        "iframe",
        "img",
        "svg:not(.spark)",
        "svg *:not(rect)",
        "object",
        "embed",
        "base",
        "style",
        "frame",
        "video",
        "audio",
        "[style]",
    ] {
        assert_eq!(page.select(forbidden).length(), 0, "{forbidden} in {address}");
    }
    assert_eq!(page.select("script").length(), 1, "{address}");
    assert!(page.select("script").attr("src").unwrap().starts_with("/static/"), "{address}");
    assert_eq!(page.select("meta[http-equiv]").length(), 0, "{address}");
    assert_eq!(page.select("main").length(), 1, "{address}");
    for node in page.select("*").nodes() {
        for attribute in node.attrs() {
            assert!(!attribute.name.local.starts_with("on"), "{:?} in {address}", attribute.name);
        }
    }
    for link in page.select("[href], [src], [action]").iter() {
        let to = ["href", "src", "action"].iter().find_map(|name| link.attr(name)).unwrap();
        let is_of_web = to.starts_with("https://") || to.starts_with("http://");
        assert!(to.starts_with('/') || to.starts_with('#') || is_of_web, "{to} in {address}");
        assert!(!to.starts_with("//"), "{to} in {address}");
        let is_own = to.starts_with('/') || to.starts_with('#');
        assert!(
            is_own || link.attr("rel").is_some_and(|rel| &*rel == "noreferrer noopener nofollow"),
            "{to} in {address}"
        );
    }
    assert!(!html.contains('\u{202e}'), "an invisible character in {address}");
}

#[tokio::test]
async fn no_field_of_an_article_runs_anything() {
    for (number, attack) in ATTACKS.into_iter().enumerate() {
        let site = Site::open().await;
        let url = URLS[number % URLS.len()];
        let seen = |content| {
            let original = Original { media_type: "text/html".to_owned(), data: attack.to_owned().into() };
            let fetch = Fetch {
                url: "https://express.example/<script>alert(1)</script>\"onclick=\"".to_owned(),
                etag: "\"><script>alert(1)</script>".to_owned(),
                last_modified: "<script>alert(1)</script>".to_owned(),
            };
            let address = "https://express.example/\"><script>alert(1)</script>?a=<b>";
            Observation::new(content).label(attack).original(original).fetch(fetch).url(address)
        };
        let first = seen(content(attack, url)).observed_at(time("2026-05-01T09:00:00Z"));
        site.observe("express/harbour", first).await;
        let changed = Content { headline: format!("{attack} again"), ..content(&format!("{attack}!"), url) };
        site.observe("express/harbour", seen(changed).observed_at(time("2026-05-02T09:00:00Z"))).await;
        let third = Content { blocks: vec![], ..content(attack, url) };
        site.observe("express/harbour", seen(third).observed_at(time("2026-05-03T09:00:00Z"))).await;
        for is_withdrawn in [false, true] {
            if is_withdrawn {
                site.archive.withdraw(&name("express/harbour"), EditOptions::because(attack)).await.unwrap();
            }
            for address in Site::addresses() {
                let page = site.get(address).await;
                assert_eq!(page.status, 200, "{address}");
                must_be_inert(address, &page.body);
            }
        }
        for address in
            ["/a/express/harbour/r/1/cite", "/a/express/harbour/r/1/cite.bib", "/a/express/harbour/r/1/cite.json"]
        {
            let citation = site.get(address).await;
            let media_type = citation.header("content-type").unwrap_or_default();
            assert!(citation.status == 200 && !media_type.contains("html"), "{address}: {media_type}");
        }
    }
}

/// What a visitor puts into an address comes back in the page.
#[tokio::test]
async fn no_part_of_an_address_runs_anything() {
    let site = Site::open().await.with_bridge().await;
    for attack in ATTACKS {
        let attack: String = url::form_urlencoded::byte_serialize(attack.as_bytes()).collect();
        for address in [
            format!("/a/{attack}/x"),
            format!("/a/express/{attack}"),
            format!("/a/express/harbour/r/{attack}"),
            format!("/a/express/harbour/diff/{attack}"),
            format!("/a/express/harbour?at={attack}"),
            format!("/a/express/harbour/diff?a={attack}&b=1"),
            format!("/a/express/harbour/history?page={attack}"),
            format!("/s/{attack}"),
            format!("/s/express?label={attack}"),
            format!("/s/express?state={attack}"),
            format!("/lookup?url={attack}"),
            format!("/changes?before={attack}"),
            format!("/feed.atom?before={attack}"),
            format!("/web/{attack}"),
            format!("/web/https://express.example/{attack}"),
            format!("/web/timemap/link/https://express.example/{attack}"),
            format!("/cdx?url={attack}&filter={attack}"),
            format!("/cdx?url=https://express.example/&resumeKey={attack}"),
            format!("/{attack}"),
        ] {
            let page = site.get(&address).await;
            assert!(matches!(page.status, 200 | 400 | 404), "{address}: {}", page.status);
            if page.header("content-type") != Some("application/json") {
                must_be_inert(&address, &page.body);
            }
        }
    }
}

#[tokio::test]
async fn a_redirect_leads_nowhere_else() {
    let site = Site::open().await.with_bridge().await;
    for address in [
        "//evil.example/?at=2026-05-25",
        "/\\evil.example?at=yesterday",
        "/lookup?url=//evil.example",
        "/a/express/harbour?at=yesterday%0d%0aset-cookie:x",
    ] {
        let answer = site.get(address).await;
        let location = answer.header("location").unwrap_or("/");
        assert!(
            location.starts_with('/') && !location.starts_with("//") && !location.starts_with("/\\"),
            "{address}: {location}"
        );
        assert_eq!(answer.header("set-cookie"), None);
    }
}
