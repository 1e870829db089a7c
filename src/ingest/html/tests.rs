//! Reads whole pages and checks the documents.

use super::*;
use crate::ingest::times::describe;
use crate::model::BlockKind;
use url::Url;

const BODY: &str = "<p>The night ferry came back to its berth at dawn on Sunday, two weeks after it had left.</p>\
    <p>Some forty lorries and two hundred passengers were on board, and the quay was full of people who had waited.</p>";

fn options() -> Options {
    Options { url: Url::parse("https://www.tidewater.example/2026/03/ferry?utm=1").ok(), ..Options::default() }
}

fn page(head: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html><html lang='en_gb'><head>{head}</head><body><nav><ul><li><a href='/'>Home</a></li></ul></nav>\
        <article>{body}</article><footer><p>Contact us</p></footer></body></html>"
    )
}

fn read_page(page: &str) -> Document {
    read(page.as_bytes(), &options()).unwrap()
}

fn kinds(document: &Document) -> Vec<BlockKind> {
    document.content.blocks.iter().map(|block| block.kind.clone()).collect()
}

fn paragraph(text: &str) -> BlockKind {
    BlockKind::Paragraph { text: text.to_owned() }
}

#[test]
fn all_metadata_and_blocks_of_a_page_are_read() {
    let head = r#"<meta charset="utf-8"><title>Ferry returns | The Tidewater Post</title>
        <link rel="canonical" href="https://tidewater.example/2026/03/ferry">
        <meta property="og:site_name" content="The Tidewater Post">
        <meta property="og:title" content="Ferry returns &amp;amp; the quay cheers">
        <meta name="description" content="It had been away for two weeks.">
        <meta property="article:published_time" content="2026-03-01T18:00:00Z">
        <meta property="article:modified_time" content="2026-03-02">
        <meta property="article:section" content="Harbour"><meta name="author" content="By Ada Quay">
        <meta property="article:tag" content="ferry"><meta property="article:tag" content="harbour">"#;
    let body = format!(
        "<h1>Ferry returns &amp; the quay cheers</h1>{BODY}\
        <figure><img src='/f.jpg'><figcaption>The ferry at dawn <span class='credit'>Ana Reis</span></figcaption></figure>\
        <h2>What comes next</h2><blockquote><p>We go on.</p><cite>The captain</cite></blockquote>\
        <ul><li>Monday: a rest</li><li>Tuesday: out again</li></ul><p>Correction: an earlier version had the wrong day of the week in it.</p>"
    );
    let document = read_page(&page(head, &body));
    let content = &document.content;
    assert_eq!(content.headline, "Ferry returns & the quay cheers");
    assert_eq!(content.standfirst, "It had been away for two weeks.");
    assert_eq!((content.bylines.as_slice(), content.section.as_str()), (&["Ada Quay".to_owned()][..], "Harbour"));
    assert_eq!((content.language.as_str(), content.keywords.len()), ("en-GB", 2));
    assert_eq!(content.canonical_url, "https://tidewater.example/2026/03/ferry");
    assert_eq!(describe(content.publish_time.as_ref().unwrap()), "2026-03-01T18:00:00Z");
    assert_eq!(describe(content.modify_time.as_ref().unwrap()), "2 March 2026");
    assert_eq!(document.publication.as_deref(), Some("The Tidewater Post"));
    assert_eq!(
        kinds(&document),
        [
            paragraph("The night ferry came back to its berth at dawn on Sunday, two weeks after it had left."),
            paragraph(
                "Some forty lorries and two hundred passengers were on board, and the quay was full of people who had waited."
            ),
            BlockKind::Caption {
                text: "The ferry at dawn".to_owned(),
                image_url: "https://www.tidewater.example/f.jpg".to_owned(),
                credit: "Ana Reis".to_owned(),
            },
            BlockKind::Subheading { text: "What comes next".to_owned() },
            BlockKind::Quote { text: "We go on.".to_owned(), attribution: "The captain".to_owned() },
            BlockKind::List {
                items: vec!["Monday: a rest".to_owned(), "Tuesday: out again".to_owned()],
                ordered: false
            },
            BlockKind::CorrectionNote {
                text: "Correction: an earlier version had the wrong day of the week in it.".to_owned()
            },
        ]
    );
}

#[test]
fn json_ld_takes_precedence_over_meta_elements() {
    let head = r#"<title>x</title><meta property="og:title" content="Another title"><meta name="author" content="Web desk">
        <script type="application/ld+json">{"@graph": [{"@type": "WebSite", "name": "x"}, {"@type": "NewsArticle",
        "headline": "Ferry returns", "author": {"name": "Ada Quay"}, "datePublished": "2026-03-01",
        "publisher": {"name": "The Tidewater Post"}}]}</script>"#;
    let document = read_page(&page(head, BODY));
    assert_eq!(document.content.headline, "Ferry returns");
    assert_eq!(document.content.bylines, ["Ada Quay"]);
    assert_eq!(describe(document.content.publish_time.as_ref().unwrap()), "1 March 2026");
    assert_eq!(document.publication.as_deref(), Some("The Tidewater Post"));
}

/// Pages have the data of articles that they link to, often before their own.
#[test]
fn json_ld_for_another_address_is_not_used() {
    let node = |more: &str, name: &str| {
        format!(
            r#"<script type="application/ld+json">{{"@type": "NewsArticle", {more} "headline": "Ferry returns",
            "author": {{"name": "{name}"}}, "datePublished": "2020-01-01"}}</script>"#
        )
    };
    let other = node(r#""url": "https://www.tidewater.example/other","#, "Wrong");
    let entity = node(r#""mainEntityOfPage": {"@id": "https://www.tidewater.example/third#page"},"#, "Wrong");
    let path = node(r#""url": "/other","#, "Wrong");
    let wrong = format!("{other}{entity}{path}");
    let unaddressed = node(r#""mainEntityOfPage": true, "url": "https://www.tidewater.example/","#, "Unaddressed");
    let ids = [
        r#""@id": "http://tidewater.example/news/ferry/?utm_source=x#article","#,
        r#""url": "/news/ferry","#,
        r#""url": "https://www.tidewater.example/other", "mainEntityOfPage": "https://www.tidewater.example/news/ferry","#,
    ];
    let read = |head: &str, url: Option<&str>| {
        let options = Options { url: url.map(|url| Url::parse(url).unwrap()), ..Options::default() };
        read(page(&format!("<title>Ferry returns</title>{head}"), BODY).as_bytes(), &options).unwrap()
    };
    let url = Some("https://www.tidewater.example/news/ferry");
    for own in ids.map(|id| node(id, "Right")) {
        assert_eq!(read(&format!("{wrong}{unaddressed}{own}"), url).content.bylines, ["Right"], "{own}");
    }
    assert_eq!(read(&format!("{wrong}{unaddressed}"), url).content.bylines, ["Unaddressed"]);
    let canonical = node(r#""url": "https://www.tidewater.example/story/7","#, "Right");
    for stated in
        ["<link rel=canonical href='/story/7'>", "<meta property='og:url' content='https://tidewater.example/story/7'>"]
    {
        assert_eq!(read(&format!("{stated}{wrong}{canonical}"), url).content.bylines, ["Right"], "{stated}");
    }
    let none = read(&wrong, url);
    assert_eq!((none.content.bylines.len(), none.content.publish_time), (0, None));
    let guesses: Vec<String> = none.guesses.iter().map(ToString::to_string).collect();
    assert!(guesses.iter().any(|guess| guess.contains("describes another address")), "{guesses:?}");
    assert_eq!(read(&other, None).content.bylines, ["Wrong"], "the address of the page is unknown");
}

#[test]
fn a_page_without_metadata_still_has_an_article() {
    let document = read_page(&page("<title>Ferry returns to port - Tidewater Post</title>", BODY));
    assert_eq!(document.content.headline, "Ferry returns to port");
    assert_eq!(document.guesses[0].to_string(), "headline: Ferry returns to port (from the page's title)");
    assert_eq!((document.content.canonical_url.as_str(), document.content.blocks.len()), ("", 2));
}

/// The heading of a section, or a title that the site states on every page, must not become the headline.
#[test]
fn the_headline_is_one_that_the_title_confirms() {
    for (head, body) in [
        ("<title>Ferry returns - Post</title>", "<h1>Harbour news</h1>"),
        (
            "<title>Ferry returns - Post</title><meta property='og:title' content='Post, the harbour paper'>",
            "<h1>Ferry returns</h1>",
        ),
        ("<title>x</title><meta property='og:title dc:title' content='Ferry returns'>", "<h1>Harbour news</h1>"),
    ] {
        assert_eq!(read_page(&page(head, &format!("{body}{BODY}"))).content.headline, "Ferry returns", "{head}");
    }
}

#[test]
fn a_page_cannot_take_over_the_address_of_another_site() {
    for (href, expected) in [
        ("https://other.example/ferry", "https://other.example/ferry is not on this site"),
        ("https://www.tidewater.example/", "is not the address of an article"),
        ("javascript:alert(1)", "is not the address of an article"),
    ] {
        let document = read_page(&page(&format!("<title>A ferry</title><link rel=canonical href='{href}'>"), BODY));
        assert_eq!(document.content.canonical_url, "");
        assert!(document.guesses.iter().any(|guess| guess.to_string().contains(expected)), "{:?}", document.guesses);
    }
    let document = read_page(&page("<title>A ferry</title><link rel=canonical href='/2026/03/ferry'>", BODY));
    assert_eq!(document.content.canonical_url, "https://www.tidewater.example/2026/03/ferry");
}

#[test]
fn a_description_that_repeats_the_body_or_headline_is_not_a_standfirst() {
    for description in [
        "The night ferry came back to its berth at dawn",
        "The night ferry came back to its berth at dawn on Sunday, two weeks…",
        "A ferry",
    ] {
        let head = format!("<title>A ferry</title><meta name=description content='{description}'>");
        assert_eq!(read_page(&page(&head, BODY)).content.standfirst, "", "{description}");
    }
}

#[test]
fn a_body_that_only_json_ld_has_is_used() {
    let text = "The night ferry came back to its berth at dawn. ".repeat(10);
    let head = format!(
        r#"<title>A ferry</title><script type="application/ld+json">{{"@type": "NewsArticle",
        "headline": "A ferry", "articleBody": "{text}"}}</script>"#
    );
    let document = read_page(&page(&head, "<p>Please enable JavaScript.</p>"));
    assert_eq!(kinds(&document), [paragraph(text.trim())]);
    assert!(document.guesses.iter().any(|guess| guess.what == "body"));
}

#[test]
fn a_page_without_an_article_is_rejected_with_what_it_shows() {
    for (body, expected) in [
        ("", "\"Home\""),
        ("<p>Please enable JavaScript and accept cookies to go on reading this page.</p>", "enable JavaScript"),
        ("<p>Not found</p>", "Not found"),
    ] {
        let error = read(page("<title>A ferry</title>", body).as_bytes(), &options()).unwrap_err();
        assert!(matches!(error, IngestError::NoArticle { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(read(b"  \n", &options()).unwrap_err(), IngestError::Empty);
}

#[test]
fn bytes_of_another_charset_are_read() {
    let page = page("<meta charset=windows-1252><title>F\u{e4}hre zur\u{fc}ck</title>", BODY);
    let bytes: Vec<u8> = page.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    assert_eq!(read(&bytes, &options()).unwrap().content.headline, "Fähre zurück");
}

proptest::proptest! {
    /// Every input is either read or rejected.
    #[test]
    fn no_bytes_panic(at in 0..300_usize, bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..12)) {
        let mut page = page("<title>A ferry</title><meta charset=utf-8>", BODY).into_bytes();
        page.splice(at..at + bytes.len(), bytes);
        drop(read(&page, &options()));
    }
}

/// The time to search for notes, captions and standfirsts is limited, however deeply they nest.
#[test]
fn deeply_nested_notes_and_captions_are_read_in_bounded_time() {
    let text = "correction ".repeat(30_000);
    for (start, depth) in [
        ("<aside class=correction>", 250),
        ("<aside>correction: ", 250),
        ("<div class=caption>", 250),
        ("<blockquote class=twitter-tweet>", 250),
    ] {
        let body = format!("{BODY}{}{text}", start.repeat(depth));
        let head = "<title>A ferry</title><meta name=description content='The ferry is back.'>";
        let started = std::time::Instant::now();
        read(page(head, &body).as_bytes(), &options()).unwrap();
        assert!(started.elapsed().as_secs() < 30, "{start} {:?}", started.elapsed());
    }
}

#[test]
fn a_modification_time_is_not_a_publish_time() {
    let body = format!(
        "<h1>Ferry returns</h1><time itemprop='dateModified' datetime='2026-03-01T18:00:00Z'>1 March</time>{BODY}"
    );
    let content = read_page(&page("<title>Ferry returns</title>", &body)).content;
    assert_eq!(content.publish_time, None);
    assert!(content.modify_time.is_some());
}
